//! The processes that have the module loaded: they may be killed, stopped and lie, and this one goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use rustix::process::Signal;
use vouchsafe_crypto::keys::{
    KeySpec, PrivateKey, PublicKey, SignatureAlgorithm, TransportAlgorithm, wrap_for,
};
use vouchsafe_domain::ports::Hsm;
use vouchsafe_domain::ports::hsm::{ByokBlob, Exportable, HsmError, KeyRef};
use vouchsafe_hsm::breaker::Position;
use vouchsafe_hsm::pkcs11::counts::Ended;
use vouchsafe_hsm::pkcs11::material::{Check, TokenKey};
use vouchsafe_hsm::pkcs11::settings::ModuleProgram;
use vouchsafe_hsm::{Pkcs11Hsm, TokenSettings};
use vouchsafe_testkit::processes::{children_of, lives, signal};
use vouchsafe_testkit::softhsm::{PIN, SoftHsm, in_its_own_process};

use super::faults::{is_unavailable, until};
use super::softhsm::{DIGEST, ES256, intruder, open, private_keys, program, settings, stranger};
use super::{Hand, run};

const RS256: SignatureAlgorithm = SignatureAlgorithm::Rs256;

/// The processes of the module that this one has started.
fn processes() -> Vec<u32> {
    children_of(std::process::id())
}

fn with(settings: &TokenSettings) -> (Arc<Pkcs11Hsm>, Arc<Hand>) {
    let clock = Arc::new(Hand::new());
    (Arc::new(Pkcs11Hsm::open(settings.clone(), clock.clone()).unwrap()), clock)
}

#[test]
fn a_process_that_ended_between_two_calls_is_replaced_and_nobody_notices() {
    let name = "processes::a_process_that_ended_between_two_calls_is_replaced_and_nobody_notices";
    in_its_own_process(name, &["between"], |soft| {
        run(async {
            let (hsm, _) = with(&settings(&soft, "between"));
            let key = hsm.generate(KeySpec::P256, Exportable::Never).await.unwrap();
            let key = key.reference(KeySpec::P256);
            for sent in [Signal::KILL, Signal::SEGV, Signal::ABORT] {
                hsm.sign(&key, ES256, DIGEST).await.unwrap();
                let before = processes();
                assert!(!before.is_empty());
                // Those that ended are counted until their threads have their next call.
                assert!(hsm.state().processes >= before.len());
                // Again and again: the first SIGSEGV that comes from outside only ends Rust's own handler for it.
                until(|| {
                    before.iter().filter(|process| lives(**process) && signal(**process, sent)).count() == 0
                })
                .await;
                for _ in 0..8 {
                    hsm.sign(&key, ES256, DIGEST).await.unwrap();
                }
                assert!(processes().iter().all(|process| !before.contains(process)));
            }
            assert_eq!(hsm.state().breaker, Position::Closed);
        });
    });
}

#[test]
fn a_process_that_ends_in_a_call_fails_that_call_and_no_other() {
    let name = "processes::a_process_that_ends_in_a_call_fails_that_call_and_no_other";
    in_its_own_process(name, &["within"], |soft| {
        run(async {
            let mut settings = settings(&soft, "within");
            settings.workers = 1;
            let (hsm, _) = with(&settings);
            let key = Arc::new(hsm.generate(KeySpec::P256, Exportable::Never).await.unwrap());
            for sent in [Signal::KILL, Signal::SEGV, Signal::ABORT] {
                let mut failed = false;
                // Whether the call had begun is known by how it ends: one that had not is done by the next process.
                for _ in 0..20 {
                    let process = processes()[0];
                    signal(process, Signal::STOP);
                    let (caller, used) = (Arc::clone(&hsm), Arc::clone(&key));
                    let call = tokio::spawn(async move {
                        caller.sign(&used.reference(KeySpec::P256), ES256, DIGEST).await
                    });
                    let start = Instant::now();
                    until(|| start.elapsed() > Duration::from_millis(50)).await;
                    signal(process, sent);
                    signal(process, Signal::CONT);
                    failed = is_unavailable(call.await.unwrap());
                    hsm.sign(&key.reference(KeySpec::P256), ES256, DIGEST).await.unwrap();
                    if failed {
                        break;
                    }
                }
                assert!(failed, "{sent:?}");
            }
            assert_eq!(hsm.state().breaker, Position::Closed);
        });
    });
}

#[test]
fn a_process_that_hangs_is_ended_at_the_deadline_and_no_thread_is_lost() {
    let name = "processes::a_process_that_hangs_is_ended_at_the_deadline_and_no_thread_is_lost";
    in_its_own_process(name, &["hangs"], |soft| {
        run(async {
            let mut settings = settings(&soft, "hangs");
            (settings.workers, settings.failures_max) = (2, 100);
            let key = open(&soft, "hangs").generate(KeySpec::P256, Exportable::Never).await.unwrap();
            let key = key.reference(KeySpec::P256);
            until(|| processes().is_empty()).await;
            settings.call_deadline = Duration::from_millis(1_500);
            let (hsm, _) = with(&settings);
            for round in 0..2 {
                let (one, two) = tokio::join!(hsm.sign(&key, ES256, DIGEST), hsm.sign(&key, ES256, DIGEST));
                assert!(one.is_ok() && two.is_ok(), "round {round}: {one:?} {two:?}");
                let hung = processes();
                for process in &hung {
                    signal(*process, Signal::STOP);
                }
                let mut late = 0;
                // There may be one process only, if that was quick enough for both calls.
                for _ in 0..hung.len() {
                    late += usize::from(is_unavailable(hsm.sign(&key, ES256, DIGEST).await));
                }
                assert!(late > 0, "something hung");
                assert_eq!(hsm.state().stuck, 0, "no thread is left with it");
                hsm.sign(&key, ES256, DIGEST).await.ok();
                hsm.sign(&key, ES256, DIGEST).await.unwrap();
                let left: Vec<_> = hung.iter().filter(|process| lives(**process)).collect();
                assert!(left.len() <= hung.len() - late, "those that hung are gone");
                for process in left {
                    signal(*process, Signal::CONT);
                }
            }
            drop(hsm);
            until(|| processes().is_empty()).await;
        });
    });
}

#[test]
fn a_key_that_was_made_when_its_process_ended_does_not_stay() {
    let name = "processes::a_key_that_was_made_when_its_process_ended_does_not_stay";
    in_its_own_process(name, &["orphan"], |soft| {
        run(async {
            let mut settings = settings(&soft, "orphan");
            (settings.workers, settings.failures_max) = (1, 100);
            let (hsm, _) = with(&settings);
            hsm.healthy().await.unwrap();
            let intruder = intruder(&soft, "orphan");
            // What the intruder sees lags behind what others destroy, so that a key is known by its id.
            let (mut met, mut orphans) = (Vec::new(), 0);
            for _ in 0..100 {
                // The last signal may have come after the answer, and end a later call instead.
                if hsm.healthy().await.is_err() {
                    hsm.healthy().await.unwrap();
                }
                let process = processes()[0];
                let caller = Arc::clone(&hsm);
                let call = tokio::spawn(async move {
                    caller.generate(KeySpec::Rsa2048, Exportable::Never).await.map(drop)
                });
                // It is there and whole, and not proved yet: that and the answer take longer than a signal does. SoftHSM
                // writes an object twice, and what is left of one that it did not finish is none that anybody can see.
                let new = || rsa_keys(&intruder).into_iter().find(|key| !met.contains(key));
                until(|| new().is_some() || call.is_finished()).await;
                signal(process, Signal::KILL);
                let (made, key) = (call.await.unwrap(), new());
                let _ = hsm.healthy().await;
                let Some(key) = key else { continue };
                let (spec, material) = (KeySpec::Rsa2048, key.material());
                let signed = hsm.sign(&KeyRef { spec, material: &material }, RS256, DIGEST).await.map(drop);
                match made {
                    Ok(()) => assert_eq!(signed, Ok(())),
                    Err(_) => {
                        assert_eq!(signed, Err(HsmError::NotFound), "a key that nobody was told of stays")
                    }
                }
                orphans += usize::from(made.is_err());
                met.push(key);
                if orphans == 3 {
                    break;
                }
            }
            assert!(orphans > 0, "no process ended at the right moment");
        });
    });
}

/// The RSA keys that are whole, as the server would remember them.
fn rsa_keys(session: &Session) -> Vec<TokenKey> {
    let wanted = [AttributeType::Id, AttributeType::Modulus, AttributeType::PublicExponent];
    let read = |handle| match session.get_attributes(handle, &wanted).ok()?.as_slice() {
        [Attribute::Id(id), Attribute::Modulus(modulus), Attribute::PublicExponent(exponent)] => {
            let public = PublicKey::rsa(modulus, exponent).ok()?;
            let id = id.as_slice().try_into().ok()?;
            let check = Check::Public(public.spki_der());
            Some(TokenKey { spec: KeySpec::Rsa2048, id, exportable: Exportable::Never, check })
        }
        _ => None,
    };
    private_keys(session).into_iter().filter_map(read).collect()
}

#[test]
fn the_processes_see_what_others_make_while_they_make_keys_themselves() {
    let name = "processes::the_processes_see_what_others_make_while_they_make_keys_themselves";
    in_its_own_process(name, &["makers"], |soft| {
        run(async {
            let (hsm, _) = with(&settings(&soft, "makers"));
            for _ in 0..3 {
                // RSA takes long, so that keys of others come to be between what its process sees and what it writes.
                let kinds = [KeySpec::Rsa2048, KeySpec::P256, KeySpec::Rsa2048, KeySpec::P256];
                let makers = kinds.map(|spec| {
                    let hsm = Arc::clone(&hsm);
                    tokio::spawn(async move { (spec, hsm.generate(spec, Exportable::Never).await.unwrap()) })
                });
                for maker in makers {
                    let (spec, key) = maker.await.unwrap();
                    let key = Arc::new(key);
                    let algorithm = if spec == KeySpec::P256 { ES256 } else { RS256 };
                    // Every process is asked for every key.
                    let calls: Vec<_> = (0..16)
                        .map(|_| {
                            let (hsm, key) = (Arc::clone(&hsm), Arc::clone(&key));
                            tokio::spawn(async move {
                                hsm.sign(&key.reference(spec), algorithm, DIGEST).await.map(drop)
                            })
                        })
                        .collect();
                    for call in calls {
                        assert_eq!(call.await.unwrap(), Ok(()));
                    }
                }
            }
        });
    });
}

#[test]
fn a_key_that_another_process_made_is_destroyed_by_one_that_was_making_a_key_meanwhile() {
    let name =
        "processes::a_key_that_another_process_made_is_destroyed_by_one_that_was_making_a_key_meanwhile";
    in_its_own_process(name, &["purged"], |soft| {
        run(async {
            let mut settings = settings(&soft, "purged");
            settings.workers = 1;
            let ((slow, _), (quick, _)) = (with(&settings), with(&settings));
            for holder in [&slow, &quick] {
                holder.healthy().await.unwrap();
            }
            for _ in 0..3 {
                // What it sees is from before these keys, and what it writes is from after them.
                let maker = Arc::clone(&slow);
                let making = tokio::spawn(async move {
                    maker.generate(KeySpec::Rsa3072, Exportable::Never).await.map(drop)
                });
                let mut others = Vec::new();
                for _ in 0..3 {
                    others.push(quick.generate(KeySpec::P256, Exportable::Never).await.unwrap());
                }
                making.await.unwrap().unwrap();
                for key in &others {
                    slow.destroy(&key.reference(KeySpec::P256)).await.unwrap();
                    slow.destroy(&key.reference(KeySpec::P256)).await.unwrap();
                }
                let (witness, _) = with(&settings);
                for key in &others {
                    let signed = witness.sign(&key.reference(KeySpec::P256), ES256, DIGEST).await;
                    assert_eq!(signed.err(), Some(HsmError::NotFound), "it was said to be destroyed");
                }
            }
            let public = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(KeyType::EC)];
            let left = intruder(&soft, "purged").find_objects(&public).unwrap();
            assert!(left.is_empty(), "nor is a public half left: {left:?}");
        });
    });
}

#[test]
fn a_key_is_taken_over_under_an_exchange_key_that_another_process_made_meanwhile() {
    let name = "processes::a_key_is_taken_over_under_an_exchange_key_that_another_process_made_meanwhile";
    in_its_own_process(name, &["exchange"], |soft| {
        run(async {
            let mut settings = settings(&soft, "exchange");
            settings.workers = 1;
            let ((slow, _), (quick, _)) = (with(&settings), with(&settings));
            for holder in [&slow, &quick] {
                holder.healthy().await.unwrap();
            }
            let (spec, brought) = (KeySpec::Rsa2048, PrivateKey::generate(KeySpec::Oct256));
            let exchange = PrivateKey::generate(spec);
            let algorithm = TransportAlgorithm::CkmRsaAesKeyWrap;
            let blob = wrap_for(&exchange.public().unwrap(), algorithm, &brought).unwrap();
            let maker = Arc::clone(&slow);
            let making =
                tokio::spawn(
                    async move { maker.generate(KeySpec::Rsa3072, Exportable::Never).await.map(drop) },
                );
            quick.generate(KeySpec::P256, Exportable::Never).await.unwrap();
            let exchange = quick.import(exchange, Exportable::Never).await.unwrap();
            making.await.unwrap().unwrap();
            let blob = ByokBlob::new(blob).unwrap();
            let taken = slow
                .import_wrapped(&exchange.reference(spec), &blob, KeySpec::Oct256, Exportable::Never)
                .await;
            assert_eq!(taken.map(drop), Ok(()));
        });
    });
}

#[test]
fn the_processes_see_what_others_destroy() {
    in_its_own_process("processes::the_processes_see_what_others_destroy", &["shared"], |soft| {
        run(async {
            let (hsm, _) = with(&settings(&soft, "shared"));
            for _ in 0..3 {
                let key = Arc::new(hsm.generate(KeySpec::P256, Exportable::Never).await.unwrap());
                // Every process has met the key.
                let calls: Vec<_> = (0..32)
                    .map(|_| {
                        let (hsm, key) = (Arc::clone(&hsm), Arc::clone(&key));
                        tokio::spawn(async move {
                            hsm.sign(&key.reference(KeySpec::P256), ES256, DIGEST).await.map(drop)
                        })
                    })
                    .collect();
                for call in calls {
                    assert_eq!(call.await.unwrap(), Ok(()));
                }
                hsm.destroy(&key.reference(KeySpec::P256)).await.unwrap();
                hsm.generate(KeySpec::P256, Exportable::Never).await.unwrap();
                for _ in 0..16 {
                    let signed = hsm.sign(&key.reference(KeySpec::P256), ES256, DIGEST).await;
                    assert_eq!(signed.err(), Some(HsmError::NotFound));
                }
            }
            assert!(processes().len() > 1, "more than one process took part");
        });
    });
}

#[test]
fn it_is_counted_why_a_process_ended() {
    in_its_own_process("processes::it_is_counted_why_a_process_ended", &["counted"], |soft| {
        run(async {
            let mut settings = settings(&soft, "counted");
            (settings.workers, settings.failures_max) = (1, 100);
            let ended = |hsm: &Pkcs11Hsm| {
                let state = hsm.state();
                let ended: Vec<_> = state.ended.into_iter().filter(|(_, count)| *count > 0).collect();
                assert_eq!(state.started, state.processes as u64 + ended.iter().map(|(_, n)| n).sum::<u64>());
                (ended, state.late)
            };
            let (hsm, _) = with(&settings);
            let key = hsm.generate(KeySpec::P256, Exportable::Never).await.unwrap();
            let key = key.reference(KeySpec::P256);
            assert_eq!(ended(&hsm), (vec![], 0));
            // Killed between two calls; nobody but the counter notices.
            signal(processes()[0], Signal::KILL);
            until(|| processes().is_empty()).await;
            hsm.sign(&key, ES256, DIGEST).await.unwrap();
            assert_eq!(ended(&hsm), (vec![(Ended::Itself, 1)], 0));
            // One that has written does not find a key that is not there, and may not have seen it.
            let other = hsm.generate(KeySpec::P256, Exportable::Never).await.unwrap();
            hsm.destroy(&other.reference(KeySpec::P256)).await.unwrap();
            assert_eq!(
                hsm.sign(&other.reference(KeySpec::P256), ES256, DIGEST).await,
                Err(HsmError::NotFound)
            );
            assert_eq!(ended(&hsm), (vec![(Ended::Itself, 1), (Ended::Blind, 1)], 0));
            drop(hsm);

            settings.call_deadline = Duration::from_millis(500);
            let (hsm, _) = with(&settings);
            hsm.healthy().await.unwrap();
            signal(processes()[0], Signal::STOP);
            assert!(is_unavailable(hsm.healthy().await));
            assert_eq!(ended(&hsm), (vec![(Ended::Late, 1)], 1));
            drop(hsm);

            settings.program = script(&soft, r"printf '\000\000\000\003\377\377\377' >&0").0;
            let (hsm, _) = with(&settings);
            assert!(is_unavailable(hsm.healthy().await));
            assert_eq!(ended(&hsm), (vec![(Ended::Garbled, 1)], 0));
            settings.program = program();
            settings.name.pin_file = soft.pin_file("wrong", "00000000");
            let (hsm, _) = with(&settings);
            assert_eq!(hsm.healthy().await, Err(HsmError::Locked));
            assert_eq!(ended(&hsm), (vec![(Ended::Failed, 1)], 0));
        });
    });
}

/// A program that is a script; `counted` gets a line for each start.
fn script(soft: &SoftHsm, text: &str) -> (ModuleProgram, std::path::PathBuf) {
    let directory = soft.pin_file("starts", "").parent().unwrap().to_owned();
    let (path, counted) = (directory.join("program"), directory.join("starts"));
    let text = format!("#!/bin/sh\necho started >> '{}'\n{text}\n", counted.display());
    fs::write(&counted, "").unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    (ModuleProgram { path, arguments: Vec::new() }, counted)
}

fn starts(counted: &Path) -> usize {
    fs::read_to_string(counted).unwrap().lines().count()
}

#[test]
fn a_program_that_ends_at_once_is_started_as_often_as_the_breaker_lets_it() {
    let name = "processes::a_program_that_ends_at_once_is_started_as_often_as_the_breaker_lets_it";
    in_its_own_process(name, &["ends"], |soft| {
        run(async {
            let (program, counted) = script(&soft, "exit 1");
            let mut settings = settings(&soft, "ends");
            (settings.program, settings.failures_max) = (program, 3);
            let (hsm, clock) = with(&settings);
            for _ in 0..100 {
                assert!(is_unavailable(hsm.healthy().await));
            }
            assert_eq!((starts(&counted), hsm.state().breaker), (3, Position::Open));
            clock.advance(10);
            for _ in 0..100 {
                assert!(is_unavailable(hsm.healthy().await));
            }
            assert_eq!(starts(&counted), 4, "one trial");
            assert_eq!(hsm.state().processes, 0);
        });
    });
}

#[test]
fn what_a_process_says_that_is_no_answer_harms_nobody() {
    let name = "processes::what_a_process_says_that_is_no_answer_harms_nobody";
    in_its_own_process(name, &["lies"], |soft| {
        run(async {
            for said in [
                r"\377\377\377\377",
                r"\000\004\000\001",
                r"\000\000\000\000",
                r"\000\000\000\003\377\377\377",
                r"\000\000\000\002\010\143",
                r"\000\000\000\002\010\002",
                r"\000\000\000\011",
                "",
            ] {
                let mut settings = settings(&soft, "lies");
                settings.program = script(&soft, &format!("printf '{said}' >&0")).0;
                let (hsm, _) = with(&settings);
                assert!(is_unavailable(hsm.healthy().await), "{said}");
                assert!(
                    is_unavailable(hsm.generate(KeySpec::Oct256, Exportable::Never).await.map(drop)),
                    "{said}"
                );
                assert_eq!((hsm.state().locked, hsm.state().processes), (false, 0), "{said}");
            }
        });
    });
}

#[test]
fn after_a_login_with_an_unknown_end_a_token_that_complains_is_not_logged_in_to() {
    let name = "processes::after_a_login_with_an_unknown_end_a_token_that_complains_is_not_logged_in_to";
    in_its_own_process(name, &["careful"], |soft| {
        run(async {
            let (shipped, ready) = (program().path, soft.pin_file("ready", ""));
            fs::remove_file(&ready).unwrap();
            let text = format!("[ -e '{}' ] || exit 1\nexec '{}'", ready.display(), shipped.display());
            let mut settings = settings(&soft, "careful");
            settings.program = script(&soft, &text).0;
            let (hsm, _) = with(&settings);
            assert!(is_unavailable(hsm.healthy().await), "it may have shown the PIN; nobody knows");
            fs::write(&ready, "").unwrap();
            let other = stranger(&soft, "careful");
            assert!(other.login(UserType::User, Some(&AuthPin::new("00000000".into()))).is_err());
            for _ in 0..4 {
                assert_eq!(hsm.healthy().await, Err(HsmError::Locked));
            }
            assert_eq!((hsm.state().logins, hsm.state().locked), (0, true));
            hsm.reload_pin();
            assert_eq!(hsm.healthy().await, Ok(()));
            assert_eq!(hsm.state().logins, 1);
        });
    });
}

#[test]
fn a_process_has_no_secret_in_its_arguments_no_core_and_only_its_own_descriptors() {
    let name = "processes::a_process_has_no_secret_in_its_arguments_no_core_and_only_its_own_descriptors";
    in_its_own_process(name, &["bare"], |soft| {
        run(async {
            let kept = fs::File::open(&soft.module).unwrap();
            let hsm = open(&soft, "bare");
            hsm.healthy().await.unwrap();
            let process = processes()[0];
            let read = |what: &str| fs::read(format!("/proc/{process}/{what}"));
            let arguments = String::from_utf8(read("cmdline").unwrap()).unwrap();
            assert_eq!(arguments.trim_end_matches('\0'), program().path.to_str().unwrap());
            let limits = String::from_utf8(read("limits").unwrap()).unwrap();
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
            assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
            // Both can be read by root alone, which is what no dump means to everybody else.
            match (read("environ"), fs::read_dir(format!("/proc/{process}/fd"))) {
                (Ok(environment), Ok(descriptors)) => {
                    assert!(!String::from_utf8_lossy(&environment).contains(PIN));
                    let ours = fs::read_link("/proc/self/exe").unwrap();
                    for descriptor in descriptors.flatten() {
                        let open = fs::read_link(descriptor.path()).unwrap();
                        assert!(open != soft.module && open != ours, "{open:?} was inherited");
                    }
                }
                _ => assert!(!rustix::process::geteuid().is_root(), "the process cannot be looked at"),
            }
            drop(kept);
        });
    });
}
