//! Keys in a SoftHSM token: the suite, and what an attacker or an accident does to a token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use vouchsafe_crypto::keys::{
    EncryptionAlgorithm, KeyFamily, KeySpec, PrivateKey, SignatureAlgorithm, TransportAlgorithm,
};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::Hsm;
use vouchsafe_domain::ports::hsm::{Exportable, HsmError, KeyRef, ObjectStatement};
use vouchsafe_hsm::breaker::Position;
use vouchsafe_hsm::pkcs11::connection::{Connection, Fault, Reply, Request};
use vouchsafe_hsm::pkcs11::material::TokenKey;
use vouchsafe_hsm::pkcs11::settings::ModuleProgram;
use vouchsafe_hsm::pkcs11::token::{self, Care};
use vouchsafe_hsm::{Pkcs11Hsm, TokenSettings};
use vouchsafe_testkit::softhsm::{PIN, SoftHsm, in_its_own_process};
use vouchsafe_testkit::suites::hsm::{self as suite, Reopen};

use super::software::software;
use super::{Hand, run};

pub const DIGEST: &[u8] = &[7; 32];
pub const ES256: SignatureAlgorithm = SignatureAlgorithm::Es256;

/// What loads the module, as the shipped program does it with another command.
pub fn program() -> ModuleProgram {
    ModuleProgram { path: env!("CARGO_BIN_EXE_pkcs11-module").into(), arguments: Vec::new() }
}

pub fn settings(soft: &SoftHsm, label: &str) -> TokenSettings {
    let pin_file = soft.pin_file(&format!("pin-{label}"), PIN);
    TokenSettings { program: program(), ..TokenSettings::new(soft.module.clone(), label, pin_file) }
}

pub fn open(soft: &SoftHsm, label: &str) -> Pkcs11Hsm {
    Pkcs11Hsm::open(settings(soft, label), Arc::new(Hand::new())).unwrap()
}

/// Another user of the same token, as an attacker with the PIN would be.
pub fn intruder(soft: &SoftHsm, label: &str) -> Session {
    let session = stranger(soft, label);
    // The second of this process finds it logged in.
    let _ = session.login(UserType::User, Some(&AuthPin::new(PIN.into())));
    session
}

/// Somebody at the same token who is not logged in.
pub fn stranger(soft: &SoftHsm, label: &str) -> Session {
    let module = Pkcs11::new(&soft.module).unwrap();
    // Only the first of this process does it.
    let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slots = module.get_slots_with_initialized_token().unwrap();
    let slot =
        slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label().trim_end() == label);
    module.open_rw_session(slot.unwrap()).unwrap()
}

pub fn private_keys(session: &Session) -> Vec<ObjectHandle> {
    session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap()
}

struct Token<'a>(&'a SoftHsm);

impl Reopen for Token<'_> {
    fn open(&self) -> Arc<dyn Hsm> {
        Arc::new(open(self.0, "suite"))
    }

    fn keeps_keys(&self) -> bool {
        true
    }
}

#[test]
fn a_softhsm_token_passes_the_suite() {
    in_its_own_process("softhsm::a_softhsm_token_passes_the_suite", &["other", "suite"], |soft| {
        run(async {
            suite::all(&Token(&soft)).await;
            let hsm = open(&soft, "suite");
            hsm.healthy().await.unwrap();
            let intruder = intruder(&soft, "suite");
            let wanted = [AttributeType::Class, AttributeType::KeyType, AttributeType::Token];
            let left = intruder.find_objects(&[]).unwrap();
            let left: Vec<_> =
                left.into_iter().map(|left| intruder.get_attributes(left, &wanted).unwrap()).collect();
            assert!(left.is_empty(), "nothing is left behind, not even public halves: {left:?}");
            softhsm_offers_what_the_reference_says(&hsm).await;
        });
    });
}

/// `docs/reference/hsm.md` names the gaps; a SoftHSM that closes one should change the page.
async fn softhsm_offers_what_the_reference_says(hsm: &Pkcs11Hsm) {
    hsm.healthy().await.unwrap();
    assert!(KeySpec::ALL.into_iter().all(|spec| hsm.holds(spec)));
    for spec in KeySpec::ALL {
        for algorithm in SignatureAlgorithm::ALL.iter().filter(|algorithm| algorithm.fits(spec)) {
            assert_eq!(hsm.signs(spec, *algorithm), !algorithm.is_symmetric(), "{spec:?} {algorithm:?}");
        }
        for algorithm in EncryptionAlgorithm::ALL.iter().filter(|algorithm| algorithm.fits(spec)) {
            assert!(hsm.decrypts(spec, *algorithm), "{spec:?} {algorithm:?}");
        }
    }
}

#[test]
fn a_wrong_pin_is_tried_once_and_never_again_until_it_was_looked_at() {
    let name = "softhsm::a_wrong_pin_is_tried_once_and_never_again_until_it_was_looked_at";
    in_its_own_process(name, &["pin"], |soft| {
        run(async {
            let mut settings = settings(&soft, "pin");
            settings.name.pin_file = soft.pin_file("wrong", "00000000");
            let hsm = Arc::new(Pkcs11Hsm::open(settings, Arc::new(Hand::new())).unwrap());
            let calls: Vec<_> = (0..16)
                .map(|_| {
                    let hsm = Arc::clone(&hsm);
                    tokio::spawn(
                        async move { hsm.generate(KeySpec::P256, Exportable::Never).await.map(drop) },
                    )
                })
                .collect();
            for call in calls {
                assert_eq!(call.await.unwrap(), Err(HsmError::Locked));
            }
            assert_eq!(hsm.healthy().await, Err(HsmError::Locked));
            let state = hsm.state();
            assert_eq!((state.logins, state.locked, state.breaker), (1, true, Position::Closed));
            assert_eq!(state.processes, 0, "none stays that could try it");
            soft.pin_file("wrong", PIN);
            assert_eq!(hsm.healthy().await, Err(HsmError::Locked), "the right PIN alone changes nothing");
            assert_eq!(hsm.state().logins, 1);
            hsm.reload_pin();
            assert_eq!(hsm.healthy().await, Ok(()));
            let state = hsm.state();
            assert_eq!((state.logins, state.locked), (2, false));
        });
    });
}

#[test]
fn a_token_that_is_taken_away_is_unavailable_and_software_keys_are_not() {
    let name = "softhsm::a_token_that_is_taken_away_is_unavailable_and_software_keys_are_not";
    in_its_own_process(name, &["gone"], |soft| {
        run(async {
            let (token, software) = (open(&soft, "gone"), software());
            let held = token.generate(KeySpec::P256, Exportable::Never).await.unwrap();
            let ours = software.generate(KeySpec::P256, Exportable::Never).await.unwrap();
            let (key, ours) = (held.reference(KeySpec::P256), ours.reference(KeySpec::P256));
            token.sign(&key, ES256, DIGEST).await.unwrap();
            soft.remove_tokens();
            for _ in 0..8 {
                let signed = token.sign(&key, ES256, DIGEST).await;
                assert!(matches!(signed, Err(HsmError::Unavailable { .. })), "{signed:?}");
                software.sign(&ours, ES256, DIGEST).await.unwrap();
            }
            assert!(token.healthy().await.is_err());
            assert!(token.generate(KeySpec::P256, Exportable::Never).await.is_err());
            assert_eq!(token.state().breaker, Position::Open);
            software.healthy().await.unwrap();
        });
    });
}

#[test]
fn keys_cannot_be_taken_out_weakened_or_swapped() {
    in_its_own_process("softhsm::keys_cannot_be_taken_out_weakened_or_swapped", &["attacked"], |soft| {
        run(async {
            let hsm = open(&soft, "attacked");
            let (one, two) = (
                hsm.generate(KeySpec::P256, Exportable::Never).await.unwrap(),
                hsm.generate(KeySpec::P256, Exportable::Never).await.unwrap(),
            );
            let aes = hsm.generate(KeySpec::Oct256, Exportable::Never).await.unwrap();
            let intruder = intruder(&soft, "attacked");
            nothing_leaves(&intruder);
            ids_do_not_stand_for_keys(&hsm, &one.material, &two.material).await;
            a_planted_key_is_not_used(&hsm, &intruder, &two.material).await;
            a_planted_symmetric_key_is_not_used(&hsm, &intruder, &aes.material).await;
            hsm.sign(&one.reference(KeySpec::P256), ES256, DIGEST).await.unwrap();
        });
    });
}

/// Every key that was made: it shows no value, cannot be made to, and no key that an intruder brings wraps it.
fn nothing_leaves(intruder: &Session) {
    let template = [
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::Wrap(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
    ];
    let weak = intruder.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    let secret =
        intruder.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)]).unwrap();
    let keys = [private_keys(intruder), secret].concat();
    assert_eq!(keys.len(), 3);
    for key in keys {
        assert_eq!(intruder.get_attributes(key, &[AttributeType::Value]).unwrap(), []);
        for wish in [Attribute::Extractable(true), Attribute::Sensitive(false), Attribute::Modifiable(true)] {
            assert!(intruder.update_attributes(key, std::slice::from_ref(&wish)).is_err(), "{wish:?}");
            assert!(intruder.copy_object(key, &[wish]).is_err());
        }
        for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
            assert!(intruder.wrap_key(&mechanism, weak, key).is_err());
        }
    }
}

/// The id of one key with the check of another is neither of them.
async fn ids_do_not_stand_for_keys(hsm: &Pkcs11Hsm, one: &SecretBytes, two: &SecretBytes) {
    for key in [one, two] {
        hsm.sign(&KeyRef { spec: KeySpec::P256, material: key }, ES256, DIGEST).await.unwrap();
    }
    let (one, two) = (one.expose(Reason::Test), two.expose(Reason::Test));
    let spliced = SecretBytes::new([&one[..17], &two[17..]].concat());
    let spliced = KeyRef { spec: KeySpec::P256, material: &spliced };
    // Every connection has the handle of the true key by now, and must not use it for this one.
    for _ in 0..8 {
        assert_eq!(hsm.sign(&spliced, ES256, DIGEST).await.err(), Some(HsmError::Mismatch));
    }
    assert_eq!(hsm.destroy(&spliced).await.err(), Some(HsmError::Mismatch), "nor destroy it");
    let mut unknown = one.to_vec();
    unknown[1] ^= 1;
    let unknown = KeyRef { spec: KeySpec::P256, material: &SecretBytes::new(unknown) };
    assert_eq!(hsm.sign(&unknown, ES256, DIGEST).await.err(), Some(HsmError::NotFound));
}

/// Another private key under the id of ours, beside it and instead of it.
async fn a_planted_key_is_not_used(hsm: &Pkcs11Hsm, intruder: &Session, material: &SecretBytes) {
    let id = Attribute::Id(material.expose(Reason::Test)[1..17].to_vec());
    let key = KeyRef { spec: KeySpec::P256, material };
    let ours = intruder.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY), id.clone()]).unwrap();
    let plant = |extractable: bool| {
        let curve = Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
        let public = [Attribute::Token(false), Attribute::Verify(true), curve];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(extractable),
            Attribute::Sign(true),
            id.clone(),
        ];
        intruder.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap().1
    };
    let beside = plant(false);
    // A new holder has no handle yet and finds two.
    let signed = hsm.sign(&key, ES256, DIGEST).await;
    assert!(matches!(signed, Ok(_) | Err(HsmError::Mismatch)), "the true one or none: {signed:?}");
    intruder.destroy_object(beside).unwrap();
    for ours in ours {
        intruder.destroy_object(ours).unwrap();
    }
    for extractable in [false, true] {
        let planted = plant(extractable);
        for _ in 0..8 {
            assert_eq!(hsm.sign(&key, ES256, DIGEST).await.err(), Some(HsmError::Mismatch), "{extractable}");
        }
        intruder.destroy_object(planted).unwrap();
    }
    assert_eq!(hsm.sign(&key, ES256, DIGEST).await.err(), Some(HsmError::NotFound));
}

async fn a_planted_symmetric_key_is_not_used(hsm: &Pkcs11Hsm, intruder: &Session, material: &SecretBytes) {
    let id = Attribute::Id(material.expose(Reason::Test)[1..17].to_vec());
    let key = KeyRef { spec: KeySpec::Oct256, material };
    let gcm = EncryptionAlgorithm::A256Gcm;
    hsm.encrypt(&key, gcm, b"secret", None, None).await.unwrap();
    for ours in intruder.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), id.clone()]).unwrap() {
        intruder.destroy_object(ours).unwrap();
    }
    let known = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Value(vec![0; 32]),
        id,
    ];
    intruder.create_object(&known).unwrap();
    for _ in 0..8 {
        let encrypted = hsm.encrypt(&key, gcm, b"secret", None, None).await;
        assert_eq!(encrypted.err(), Some(HsmError::Mismatch), "nothing is encrypted for the intruder");
    }
}

#[test]
fn a_token_says_of_a_key_where_it_was_made_and_of_a_planted_one_nothing() {
    let name = "softhsm::a_token_says_of_a_key_where_it_was_made_and_of_a_planted_one_nothing";
    in_its_own_process(name, &["said"], |soft| {
        run(async {
            let hsm = open(&soft, "said");
            for spec in [KeySpec::P256, KeySpec::Rsa2048, KeySpec::Oct256] {
                let made = hsm.generate(spec, Exportable::Never).await.unwrap();
                let brought = hsm.import(PrivateKey::generate(spec), Exportable::Never).await.unwrap();
                for (key, made_there) in [(&made, true), (&brought, false)] {
                    let said = hsm.attest(&key.reference(spec)).await;
                    let said = said.unwrap_or_else(|error| panic!("{spec:?}, {made_there}: {error}"));
                    let expected = ObjectStatement {
                        token: Some(true),
                        private: Some(true),
                        sensitive: Some(true),
                        always_sensitive: Some(made_there),
                        extractable: Some(false),
                        never_extractable: Some(made_there),
                        local: Some(made_there),
                    };
                    assert_eq!(said.secret, expected, "{spec:?}");
                    let public = said.public.map(|public| (public.private, public.local));
                    let of_its_own = made_there && spec.family() != KeyFamily::Oct;
                    assert_eq!(public, of_its_own.then_some((Some(false), Some(true))), "{spec:?}");
                    assert_eq!(said.id, key.material.expose(Reason::Test)[1..17]);
                    assert_eq!(
                        (said.manufacturer.as_str(), said.label.as_str()),
                        ("SoftHSM project", "said")
                    );
                    assert_eq!(said.serial.len(), 16);
                }
                assert!(matches!(
                    software().attest(&made.reference(spec)).await,
                    Err(HsmError::Unsupported(_))
                ));
            }
            let key = hsm.generate(KeySpec::P256, Exportable::Never).await.unwrap();
            hsm.attest(&key.reference(KeySpec::P256)).await.unwrap();
            nothing_is_said_of_a_planted_public_half(&hsm, &intruder(&soft, "said"), &key.material).await;
        });
    });
}

#[test]
fn a_key_that_may_leave_says_so_and_neither_stands_for_one_that_may_not_nor_one_for_it() {
    let name = "softhsm::a_key_that_may_leave_says_so_and_neither_stands_for_one_that_may_not_nor_one_for_it";
    in_its_own_process(name, &["leaves"], |soft| {
        run(async {
            let hsm = open(&soft, "leaves");
            let to = PrivateKey::generate(KeySpec::Rsa2048).public().unwrap();
            let enc = TransportAlgorithm::RsaAesKeyWrap256;
            for (spec, algorithm) in [(KeySpec::P256, ES256), (KeySpec::Rsa2048, SignatureAlgorithm::Ps256)] {
                for exportable in [Exportable::OnRelease, Exportable::Never] {
                    let leaves = exportable == Exportable::OnRelease;
                    let made = hsm.generate(spec, exportable).await.unwrap();
                    let said = hsm.attest(&made.reference(spec)).await.unwrap().secret;
                    assert_eq!(
                        (said.sensitive, said.always_sensitive, said.local, said.extractable),
                        (Some(true), Some(true), Some(true), Some(leaves))
                    );
                    assert_eq!(said.never_extractable, Some(!leaves));
                    // The same reference, but for what it says of leaving: no connection takes one for the other, whether
                    // it has met the key or not.
                    let mut turned = made.material.expose(Reason::Test).to_vec();
                    turned[0] ^= 3;
                    let turned = SecretBytes::new(turned);
                    let turned = KeyRef { spec, material: &turned };
                    for _ in 0..8 {
                        hsm.sign(&made.reference(spec), algorithm, DIGEST).await.unwrap();
                        assert_eq!(hsm.sign(&turned, algorithm, DIGEST).await, Err(HsmError::Mismatch));
                    }
                    let refused = hsm.wrap_for_release(&turned, &to, enc).await;
                    assert!(matches!(refused, Err(HsmError::Mismatch | HsmError::Refused(_))), "{refused:?}");
                    assert_eq!(hsm.attest(&turned).await.err(), Some(HsmError::Mismatch));
                    let wrapped = hsm.wrap_for_release(&made.reference(spec), &to, enc).await;
                    assert_eq!(wrapped.is_ok(), leaves, "{spec:?}");
                }
            }
            what_leaves_is_still_not_shown(&intruder(&soft, "leaves"));
        });
    });
}

/// Of every key, exportable or not: its value is not shown, and it cannot be made to. That whoever has the PIN can wrap
/// those that may leave is what `SECURITY.md` says.
fn what_leaves_is_still_not_shown(intruder: &Session) {
    let mut leaving = 0;
    for key in private_keys(intruder) {
        let values = [AttributeType::Value, AttributeType::PrivateExponent, AttributeType::Prime1];
        assert_eq!(intruder.get_attributes(key, &values).unwrap(), []);
        let extractable = intruder.get_attributes(key, &[AttributeType::Extractable]).unwrap();
        leaving += usize::from(extractable == [Attribute::Extractable(true)]);
        for wish in [Attribute::Sensitive(false), Attribute::Extractable(true), Attribute::Modifiable(true)] {
            assert!(intruder.update_attributes(key, std::slice::from_ref(&wish)).is_err(), "{wish:?}");
            assert!(intruder.copy_object(key, &[wish]).is_err());
        }
    }
    assert_eq!(leaving, 2);
}

/// The connection of a module's process, in this one: what does not stay in the token is seen by nobody else.
#[test]
fn what_a_key_was_wrapped_with_does_not_stay_in_the_token() {
    in_its_own_process(
        "softhsm::what_a_key_was_wrapped_with_does_not_stay_in_the_token",
        &["once"],
        |soft| {
            let mut connection = token::open(&settings(&soft, "once").name, Care::Usual).connection.unwrap();
            let mut perform = |request: &Request| connection.perform(request, Instant::now());
            let generate = Request::Generate(KeySpec::P256, Exportable::OnRelease);
            let Ok(Reply::Held(key, _)) = perform(&generate) else { panic!("no key") };
            let recipient = PrivateKey::generate(KeySpec::Rsa2048).public().unwrap();
            let algorithm = TransportAlgorithm::CkmRsaAesKeyWrap;
            let wrap = Request::WrapFor { key: key.clone(), recipient, algorithm };
            assert!(matches!(perform(&wrap), Ok(Reply::Wrapped(_))));
            let secret = [Attribute::Class(ObjectClass::SECRET_KEY)];
            assert_eq!(intruder(&soft, "once").find_objects(&secret).unwrap(), []);
            let Request::WrapFor { recipient, .. } = wrap else { panic!("another request") };
            let kept = Request::WrapFor {
                key: TokenKey { exportable: Exportable::Never, ..key },
                recipient,
                algorithm,
            };
            let refused = perform(&kept).err();
            assert_eq!(refused, Some(Fault::Answer(HsmError::Refused("the key is not exportable"))));
        },
    );
}

/// Another public half under the id of ours, beside it and instead of it, on a connection that has met the key.
async fn nothing_is_said_of_a_planted_public_half(
    hsm: &Pkcs11Hsm,
    intruder: &Session,
    material: &SecretBytes,
) {
    let id = Attribute::Id(material.expose(Reason::Test)[1..17].to_vec());
    let key = KeyRef { spec: KeySpec::P256, material };
    let ours = intruder.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY), id.clone()]).unwrap();
    let curve = Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let public = [Attribute::Token(true), Attribute::Private(false), Attribute::Verify(true), curve, id];
    let private = [Attribute::Token(false), Attribute::Private(true), Attribute::Sign(true)];
    intruder.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
    assert_eq!(hsm.attest(&key).await.err(), Some(HsmError::Mismatch), "two of them");
    for ours in ours {
        intruder.destroy_object(ours).unwrap();
    }
    assert_eq!(hsm.attest(&key).await.err(), Some(HsmError::Mismatch), "the wrong one");
    hsm.sign(&key, ES256, DIGEST).await.unwrap();
}

/// Whoever asks opens another connection then, once: `a_lost_connection_is_opened_once_more_and_not_twice`.
#[test]
fn a_lost_login_is_noticed_and_is_no_lost_key() {
    in_its_own_process("softhsm::a_lost_login_is_noticed_and_is_no_lost_key", &["login"], |soft| {
        // The connection of a module's process, in this one: only there can somebody else log it out.
        let mut connection = token::open(&settings(&soft, "login").name, Care::Usual).connection.unwrap();
        let mut perform = |request: &Request| connection.perform(request, Instant::now());
        let Ok(Reply::Held(curve, _)) = perform(&Request::Generate(KeySpec::P256, Exportable::Never)) else {
            panic!("no key")
        };
        let sign = Request::Sign(curve, ES256, DIGEST.to_vec());
        for request in [sign, Request::Generate(KeySpec::P384, Exportable::Never)] {
            assert!(perform(&request).is_ok());
            intruder(&soft, "login").logout().unwrap();
            let answer = perform(&request);
            assert!(matches!(answer, Err(Fault::Lost(_))), "{:?}", answer.err());
            intruder(&soft, "login");
        }
    });
}

#[test]
fn a_backup_refers_to_its_own_token_and_tokens_are_found_by_name() {
    let name = "softhsm::a_backup_refers_to_its_own_token_and_tokens_are_found_by_name";
    in_its_own_process(name, &["left", "right", "twin", "twin"], |soft| {
        run(async {
            let (left, right) = (open(&soft, "left"), open(&soft, "right"));
            let key = left.generate(KeySpec::P256, Exportable::Never).await.unwrap();
            let blob = left.backup(&key.reference(KeySpec::P256)).await.unwrap();
            assert!(left.restore(KeySpec::P256, &blob).await.is_ok());
            assert!(matches!(right.restore(KeySpec::P256, &blob).await, Err(HsmError::Refused(_))));
            let there = right.sign(&key.reference(KeySpec::P256), ES256, DIGEST).await;
            assert_eq!(there.err(), Some(HsmError::NotFound));
            left.destroy(&key.reference(KeySpec::P256)).await.unwrap();
            assert_eq!(left.restore(KeySpec::P256, &blob).await.err(), Some(HsmError::NotFound));
            for label in ["twin", "nobody"] {
                let health = open(&soft, label).healthy().await;
                assert!(matches!(health, Err(HsmError::Unavailable { .. })), "{label}: {health:?}");
            }
        });
    });
}

#[test]
fn a_key_that_nobody_waited_for_does_not_stay() {
    in_its_own_process("softhsm::a_key_that_nobody_waited_for_does_not_stay", &["late"], |soft| {
        run(async {
            let mut settings = settings(&soft, "late");
            settings.workers = 1;
            settings.generate_deadline = Duration::from_millis(30);
            let hsm = Pkcs11Hsm::open(settings, Arc::new(Hand::new())).unwrap();
            hsm.healthy().await.unwrap();
            let made = hsm.generate(KeySpec::Rsa4096, Exportable::Never).await.map(drop);
            assert!(matches!(made, Err(HsmError::Unavailable { .. })), "{made:?}");
            hsm.healthy().await.unwrap();
            assert_eq!(private_keys(&intruder(&soft, "late")), []);
        });
    });
}
