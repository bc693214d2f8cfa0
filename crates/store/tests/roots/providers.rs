//! One provider at a time, then several at once.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use vouchsafe_store::root::{ProviderKind, RootKeyError, RootKeySource};

use super::{RIGHT, Token, made, opened, passphrase, record};
use crate::support::{Counting, run};

fn refusal(data: &std::path::Path, source: &RootKeySource) -> String {
    run(opened(data, source)).err().expect("refused").to_string()
}

#[test]
fn every_provider_opens_what_it_sealed_and_another_of_its_kind_does_not() {
    let elsewhere = tempfile::tempdir().unwrap();
    let kept = |name: &str| elsewhere.path().join(name);
    let foreign = RootKeySource::KeyFile(kept("foreign"));
    foreign.create(&Counting::default()).unwrap();
    let credential =
        |name: &str| RootKeySource::SystemdCredential(name.to_owned(), PathBuf::from(elsewhere.path()));
    RootKeySource::KeyFile(kept("mine")).create(&Counting::default()).unwrap();
    let mut other = std::fs::read_to_string(kept("mine")).unwrap();
    other = other.replace("0001", "1000");
    std::fs::write(kept("theirs"), other).unwrap();
    let cases = [
        (RootKeySource::KeyFile(kept("root.key")), foreign, "its key is not the one"),
        (credential("mine"), credential("theirs"), "its key is not the one"),
        (passphrase(RIGHT), passphrase("correct horse battery stable"), "the passphrase is wrong"),
        (Token::source(1), Token::source(2), "was not wrapped by this token's key"),
    ];
    for (right, wrong, words) in cases {
        let directory = tempfile::tempdir().unwrap();
        let data = made(directory.path(), &right);
        run(opened(&data, &right)).unwrap();
        let error = refusal(&data, &wrong);
        assert!(error.contains(words), "{error}");
        assert!(error.contains(right.kind().as_str()), "the provider is named: {error}");
    }
}

#[test]
fn a_provider_that_was_never_added_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let data = made(directory.path(), &passphrase(RIGHT));
    let error = refusal(&data, &Token::source(1));
    assert!(error.contains("`pkcs11`") && error.ends_with("it has: passphrase"), "{error}");
    assert!(!data.join("root.key").exists(), "a deployment without a file provider has no key file");
}

#[test]
fn providers_stand_side_by_side_and_go_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = RootKeySource::KeyFile(directory.path().join("data/root.key"));
    let data = made(directory.path(), &file);
    let (person, token) = (passphrase(RIGHT), Token::source(1));
    let mut changed = record(&data);
    let keys = changed.open(&data, &file).unwrap();
    changed.add(&data, &keys, "operator", &person, &Counting::default()).unwrap();
    changed.add(&data, &keys, "hsm", &token, &Counting::default()).unwrap();
    assert!(matches!(
        changed.add(&data, &keys, "hsm", &token, &Counting::default()),
        Err(RootKeyError::Refused(_))
    ));
    changed.save(&data).unwrap();
    let names: Vec<_> =
        record(&data).providers().into_iter().map(|provider| (provider.name, provider.kind)).collect();
    assert_eq!(
        names,
        [
            ("file".to_owned(), ProviderKind::File),
            ("operator".to_owned(), ProviderKind::Passphrase),
            ("hsm".to_owned(), ProviderKind::Pkcs11)
        ]
    );
    for source in [&file, &person, &token] {
        run(opened(&data, source)).unwrap();
    }
    // Whoever opened it with one may take another out.
    let mut changed = record(&data);
    let keys = changed.open(&data, &token).unwrap();
    changed.remove(&keys, "file").unwrap();
    changed.save(&data).unwrap();
    assert!(refusal(&data, &file).contains("it has: operator, hsm"));
    run(opened(&data, &person)).unwrap();
    changed.remove(&keys, "operator").unwrap();
    let last = changed.remove(&keys, "hsm").unwrap_err().to_string();
    assert!(last.contains("the last provider"), "{last}");
    assert!(changed.remove(&keys, "hsn").is_err());
}

#[test]
fn a_short_passphrase_is_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let refused = vouchsafe_store::initialise(
        &data,
        &passphrase("fourteen chars"),
        vouchsafe_store::EngineKind::Sqlite,
        &Counting::default(),
    );
    assert!(refused.unwrap_err().to_string().contains("at least 15"));
    made(directory.path(), &passphrase(RIGHT));
}

/// Every character of the record is changed once: none of that opens the deployment, but for white space.
#[test]
fn a_record_that_was_changed_anywhere_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let token = Token::source(1);
    let data = made(directory.path(), &token);
    let mut changed = record(&data);
    let keys = changed.open(&data, &token).unwrap();
    changed.add(&data, &keys, "operator", &passphrase(RIGHT), &Counting::default()).unwrap();
    changed.save(&data).unwrap();
    let good = std::fs::read(data.join("root.json")).unwrap();
    for at in 0..good.len() {
        if good[at].is_ascii_whitespace() {
            continue;
        }
        let mut bad = good.clone();
        bad[at] = if bad[at] == b'1' { b'2' } else { b'1' };
        std::fs::write(data.join("root.json"), &bad).unwrap();
        let loaded = vouchsafe_store::root::RootRecord::load(&data);
        let opens =
            loaded.is_ok_and(|record| record.is_some_and(|record| record.open(&data, &token).is_ok()));
        assert!(!opens, "changed at {at}: {}", String::from_utf8_lossy(&bad));
    }
    // An entry that is taken out by somebody without the root key is missed.
    let text = String::from_utf8(good.clone()).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["providers"].as_array_mut().unwrap().remove(1);
    std::fs::write(data.join("root.json"), serde_json::to_vec(&json).unwrap()).unwrap();
    assert!(refusal(&data, &token).contains("changed by somebody without the root key"));
    std::fs::write(data.join("root.json"), good).unwrap();
    run(opened(&data, &token)).unwrap();
}

#[test]
fn a_deployment_of_the_layout_before_records_opens_with_the_key_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = RootKeySource::KeyFile(directory.path().join("root.key"));
    let key = file.create(&Counting::default()).unwrap();
    let path = directory.path().join("store.sqlite");
    vouchsafe_store::engine::sqlite::Sqlite::create(&path).unwrap();
    run(async {
        let engine = vouchsafe_store::engine::sqlite::Sqlite::open(&path, ()).unwrap();
        vouchsafe_store::Barrier::initialise(engine, &key, [7; 16]).await.unwrap();
    });
    std::fs::write(directory.path().join("lock"), "").unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = run(opened(directory.path(), &file)).err().expect("there is no log").to_string();
    assert!(error.contains("log"), "the store opened, and only the log is missing: {error}");
}

#[cfg(not(feature = "tpm"))]
#[test]
fn a_program_without_tpm_support_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let tpm = RootKeySource::Tpm(vouchsafe_store::root::TpmSource { tcti: String::new(), pcrs: vec![] });
    let refused = vouchsafe_store::initialise(
        &directory.path().join("data"),
        &tpm,
        vouchsafe_store::EngineKind::Sqlite,
        &Counting::default(),
    );
    assert!(refused.unwrap_err().to_string().contains("built without TPM support"));
}
