//! Recovery by a quorum, and another root key.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use vouchsafe_crypto::{Reason, SecretString};
use vouchsafe_domain::ports::Log;
use vouchsafe_domain::ports::store::{Commit, Expect, Housekeeping, Key, Kind, Partition};
use vouchsafe_store::deployment::{Ceremony, EngineKind, initialise_with};
use vouchsafe_store::root::{Custodian, OpenedShare, Recovery, RootKeySource, ShareFile};
use vouchsafe_testkit::suites::store::value;

use super::{RIGHT, Token, made, opened, passphrase};
use crate::support::{Counting, Standing, run};

/// Public and private key in PEM; made once, because RSA keys take a while.
fn custodians() -> &'static [(String, String)] {
    static KEYS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let pem = |label: &str, der: &[u8]| {
            let text = data_encoding::BASE64.encode(der);
            let lines: Vec<_> =
                text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
        };
        let key = |_| {
            let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
            let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
            let public = AsDer::<PublicKeyX509Der<'_>>::as_der(&key.public_key()).unwrap();
            (pem("PUBLIC KEY", public.as_ref()), pem("PRIVATE KEY", private.as_ref()))
        };
        (0..5).map(key).collect()
    })
}

pub(super) fn custodian_private_keys() -> impl Iterator<Item = String> {
    custodians().iter().map(|(_, private)| private.clone())
}

pub(super) fn recovery(threshold: u8, count: usize) -> Recovery {
    let keys = custodians().iter().take(count).enumerate();
    let keys = keys.map(|(n, (public, _))| Custodian::from_pem(&format!("custodian {n}"), public).unwrap());
    Recovery::new(threshold, keys.collect()).unwrap()
}

fn open_share(file: &ShareFile) -> OpenedShare {
    let file = ShareFile::parse(file.text().as_bytes()).unwrap();
    let private = custodians()[usize::from(file.index) - 1].1.clone();
    let opened = file.open(&SecretString::new(private)).unwrap();
    // What a custodian carries is the line; the way through it must not change anything.
    OpenedShare::parse(&format!("share {}", file.index), opened.line().expose(Reason::Test).as_bytes())
        .unwrap()
}

fn quorum(files: &[ShareFile], which: impl IntoIterator<Item = usize>) -> RootKeySource {
    RootKeySource::Quorum(which.into_iter().map(|n| open_share(&files[n])).collect())
}

fn made_with(data: &Path, source: &RootKeySource, threshold: u8, count: usize) -> Vec<ShareFile> {
    let entropy = Counting::default();
    initialise_with(data, source, Some(&recovery(threshold, count)), EngineKind::Sqlite, &entropy).unwrap()
}

fn refusal(data: &Path, source: &RootKeySource) -> String {
    run(opened(data, source)).err().expect("refused").to_string()
}

#[test]
fn every_quorum_opens_and_one_less_never_does() {
    for (threshold, count) in [(2_u8, 3_usize), (3, 5)] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let files = made_with(&data, &passphrase(RIGHT), threshold, count);
        assert_eq!(files.len(), count);
        for chosen in 0_u32..1 << count {
            let which = (0..count).filter(|n| chosen & (1 << n) != 0);
            let enough = chosen.count_ones() >= u32::from(threshold);
            match run(opened(&data, &quorum(&files, which))) {
                Ok(_) => assert!(enough, "{chosen:b} of {count}"),
                Err(error) => {
                    assert!(!enough, "{chosen:b} of {count}: {error}");
                    assert!(error.to_string().contains(&format!("{threshold} shares are needed")), "{error}");
                }
            }
        }
    }
}

#[test]
fn every_wrong_share_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (data, other) = (directory.path().join("data"), directory.path().join("other"));
    let files = made_with(&data, &passphrase(RIGHT), 2, 3);
    // Another deployment has another id.
    let entropy = Counting::default();
    vouchsafe_domain::ports::Entropy::fill(&entropy, &mut [0; 5]);
    let token = Token::source(1);
    let foreign =
        initialise_with(&other, &token, Some(&recovery(2, 3)), EngineKind::Sqlite, &entropy).unwrap();
    let changed = |from: &str, to: &str, file: &ShareFile| {
        let line = open_share(file).line();
        let text = line.expose(Reason::Test).replacen(from, to, 1);
        OpenedShare::parse("the share in my hand", text.as_bytes()).unwrap()
    };
    let digit = |file: &ShareFile| {
        let line = open_share(file).line();
        let last = line.expose(Reason::Test).trim_end().chars().last().unwrap();
        let (from, to) = (format!("{last}\n"), if last == '0' { "1\n" } else { "0\n" });
        changed(&from, to, file)
    };
    let cases: [(Vec<OpenedShare>, &[&str]); 5] = [
        (vec![open_share(&files[0]), open_share(&foreign[1])], &["share 2 belongs to another deployment"]),
        (vec![open_share(&files[0]), open_share(&files[0])], &["share 1 is share 1 once more"]),
        (
            vec![open_share(&files[0]), digit(&files[1]), open_share(&files[2])],
            &["the share in my hand is not the share 2 that `custodian 1` was given"],
        ),
        (
            vec![changed(" 3 2 ", " 7 2 ", &files[2]), open_share(&foreign[0])],
            &["says it is share 7, which there is not", "share 1 belongs to another deployment"],
        ),
        (
            vec![changed(" 3 2 ", " 2 2 ", &files[2]), open_share(&files[0])],
            &["is not the share 2 that `custodian 1` was given"],
        ),
    ];
    for (shares, words) in cases {
        let error = refusal(&data, &RootKeySource::Quorum(shares.into()));
        assert!(words.iter().all(|words| error.contains(words)), "{error}");
    }
    let wrong_key = files[0].open(&SecretString::new(custodians()[1].1.clone())).unwrap_err();
    assert!(wrong_key.contains("not the one of `custodian 0`"), "{wrong_key}");
}

#[test]
fn a_quorum_makes_sense_or_is_refused() {
    let keys = |count: usize| {
        let keys = custodians().iter().cycle().take(count);
        keys.map(|(public, _)| Custodian::from_pem("x", public).unwrap()).collect::<Vec<_>>()
    };
    for (threshold, count) in [(1, 3), (4, 3), (2, 17), (2, 1), (0, 0)] {
        assert!(Recovery::new(threshold, keys(count)).is_err(), "{threshold} of {count}");
    }
    assert!(Recovery::new(2, keys(6)).unwrap_err().contains("same key"));
    for text in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &custodians()[0].1] {
        assert!(Custodian::from_pem("x", text).is_err(), "{text}");
    }
}

async fn ceremony(data: &Path, source: &RootKeySource) -> Ceremony {
    Ceremony::begin(data, source, Arc::new(Standing::default())).await.unwrap()
}

#[test]
fn when_all_else_is_lost_a_quorum_sets_up_a_new_provider() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let files = made_with(&data, &RootKeySource::KeyFile(data.join("root.key")), 2, 3);
    std::fs::remove_file(data.join("root.key")).unwrap();
    run(async {
        let mut ceremony = ceremony(&data, &quorum(&files, [2, 0])).await;
        ceremony.add("new-hsm", &Token::source(9), &Counting::default()).unwrap();
        ceremony.remove("file").unwrap();
    });
    run(opened(&data, &Token::source(9))).unwrap();
}

#[test]
fn another_root_key_opens_for_everybody_and_what_was_signed_and_named_stays() {
    let directory = tempfile::tempdir().unwrap();
    let person = passphrase(RIGHT);
    let data = directory.path().join("data");
    let first = made_with(&data, &person, 2, 3);
    let key = Key::new(Partition::Deployment, Kind::Tenant, "a");
    let token = Token::source(4);
    run(async {
        let mut ceremony = ceremony(&data, &person).await;
        ceremony.add("hsm", &token, &Counting::default()).unwrap();
        let put =
            Commit::housekeeping(Housekeeping::Initialise).put(key.clone(), Expect::Absent, value(b"1"));
        ceremony.deployment.store.commit(put).await.unwrap();
        ceremony.deployment.log.append(b"entry".to_vec()).await.unwrap();
        ceremony.deployment.log.checkpoint_now().await.unwrap();
        ceremony.deployment.anchor().await.unwrap();
        let missing = ceremony.replace_root(&[passphrase(RIGHT)], &Counting::default(), |_| Ok(())).await;
        let missing = missing.unwrap_err().to_string();
        assert!(missing.contains("`hsm`") && missing.contains("say how to open it"), "{missing}");
    });
    let before = std::fs::read(data.join("root.json")).unwrap();
    let mut second = Vec::new();
    run(async {
        let ceremony = ceremony(&data, &token).await;
        let sources = [passphrase(RIGHT), Token::source(4)];
        let deliver = |files: &[ShareFile]| {
            second = files.to_vec();
            Ok(())
        };
        let entropy = Counting::default();
        vouchsafe_domain::ports::Entropy::fill(&entropy, &mut [0; 3]);
        ceremony.replace_root(&sources, &entropy, deliver).await.unwrap();
    });
    for source in [&person, &token, &quorum(&second, [0, 1])] {
        run(async {
            let deployment = opened(&data, source).await.unwrap();
            assert_eq!(deployment.log.len(), 1);
            let record = deployment.store.get(&key).await.unwrap().unwrap();
            assert_eq!(record.value.expose(Reason::Test), b"1");
        });
    }
    assert!(refusal(&data, &quorum(&first, [0, 1])).contains("another set of shares"));
    // The record from before opens its root, which opens nothing any more.
    std::fs::write(data.join("root.json"), before).unwrap();
    assert!(refusal(&data, &token).contains("root key does not belong to this store"));
}

#[test]
fn a_replacement_of_the_root_that_was_broken_off_is_finished_by_the_next_opening() {
    let directory = tempfile::tempdir().unwrap();
    let token = Token::source(4);
    let data = made(directory.path(), &token);
    let store = |name: &str| data.join(name);
    let old = std::fs::read(store("root.json")).unwrap();
    run(async {
        let ceremony = ceremony(&data, &token).await;
        let failed = ceremony
            .replace_root(&[Token::source(4)], &Counting::default(), |_| {
                Err(std::io::Error::other("no paper in the printer"))
            })
            .await;
        assert!(failed.unwrap_err().to_string().contains("no paper"));
    });
    assert_eq!(std::fs::read(store("root.json")).unwrap(), old, "nothing has happened");
    let between = run(async {
        let mut record = super::record(&data);
        let keys = record.open(&data, &token).unwrap();
        record.replace_root(keys, &[Token::source(4)], &Counting::default()).unwrap();
        record
    });
    // The store is from before and the record from between: as if killed right after the record was written.
    between.save(&data).unwrap();
    run(opened(&data, &token)).unwrap();
    let text = std::fs::read_to_string(store("root.json")).unwrap();
    assert!(text.contains("carried") && !text.contains("previous"), "{text}");
    run(opened(&data, &token)).unwrap();
}
