//! A deployment on disk: made once, locked, and refused when it is not what it was.

mod roots;
mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use support::{Counting, Standing, copy, files, run};
use vouchsafe_crypto::Reason;
use vouchsafe_domain::ports::Log;
use vouchsafe_domain::ports::log::Position;
use vouchsafe_domain::ports::store::{Commit, Expect, Housekeeping, Key, Kind, Partition};
use vouchsafe_store::Deployment;
use vouchsafe_store::barrier::BarrierError;
use vouchsafe_store::deployment::{EngineKind, InitError, OpenError, initialise, open};
use vouchsafe_store::log::LogError;
use vouchsafe_store::log::verify::verify;
use vouchsafe_store::root::{RootKeyError, RootKeySource};
use vouchsafe_testkit::suites::store::{announced_at, value};

fn source(directory: &Path) -> RootKeySource {
    RootKeySource::KeyFile(directory.join("root.key"))
}

fn init(directory: &Path) -> Result<(), InitError> {
    initialise(directory, &source(directory), EngineKind::Sqlite, &Counting::default())
}

async fn opened(directory: &Path) -> Result<Deployment, OpenError> {
    open(directory, &source(directory), Arc::new(Standing::default())).await
}

fn key(name: &str) -> Key {
    Key::new(Partition::Deployment, Kind::Tenant, name)
}

#[test]
fn what_is_initialised_opens_and_keeps_what_it_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    init(&data).unwrap();
    let id = run(async {
        let deployment = opened(&data).await.unwrap();
        let put = Commit::housekeeping(Housekeeping::Initialise).put(key("a"), Expect::Absent, value(b"1"));
        deployment.store.commit(put).await.unwrap();
        deployment.log.append(b"entry".to_vec()).await.unwrap();
        deployment.log.checkpoint_now().await.unwrap();
        deployment.anchor().await.unwrap();
        deployment.anchor().await.unwrap();
        deployment.id()
    });
    run(async {
        let deployment = opened(&data).await.unwrap();
        assert_eq!(deployment.id(), id);
        assert_eq!(deployment.log.len(), 1);
        let record = deployment.store.get(&key("a")).await.unwrap().unwrap();
        assert_eq!(record.value.expose(Reason::Test), b"1");
    });
    let vkey = std::fs::read_to_string(data.join("audit/key.pub")).unwrap();
    assert_eq!(verify(&data.join("audit"), &vkey).unwrap().signed, 1);
}

#[test]
fn initialising_refuses_whatever_exists() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    init(&data).unwrap();
    let before: Vec<_> = files(&data).iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(matches!(init(&data), Err(InitError::Present(_))));
    let after: Vec<_> = files(&data).iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(before, after);

    let other = directory.path().join("other");
    let kept = RootKeySource::KeyFile(data.join("root.key"));
    let again = initialise(&other, &kept, EngineKind::Sqlite, &Counting::default());
    assert!(
        matches!(again, Err(InitError::Present(_))),
        "a root key is never used for a second deployment by accident"
    );
}

#[test]
fn opening_never_makes_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = directory.path().join("nothing");
    run(async {
        assert!(matches!(opened(&nothing).await, Err(OpenError::Absent(_))));
        assert!(!nothing.exists());
        for lost in ["root.key", "audit", "audit/key.pub", "audit/checkpoint", "audit/checkpoints", "lock"] {
            let data = directory.path().join("data");
            init(&data).unwrap();
            let path = data.join(lost);
            if path.is_dir() {
                std::fs::remove_dir_all(&path).unwrap()
            } else {
                std::fs::remove_file(&path).unwrap()
            }
            assert!(opened(&data).await.is_err(), "without {lost}");
            assert!(!path.exists(), "{lost} came back");
            std::fs::remove_dir_all(&data).unwrap();
        }
    });
}

#[test]
fn only_the_owner_can_read_any_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    init(&data).unwrap();
    run(async {
        let deployment = opened(&data).await.unwrap();
        for n in 0..300 {
            deployment.log.append(format!("entry {n}").into_bytes()).await.unwrap();
        }
        deployment.log.checkpoint_now().await.unwrap();
        let all = files(&data);
        assert!(all.iter().any(|path| path.ends_with("store.sqlite-wal")));
        assert!(all.iter().any(|path| path.ends_with("tile/0/000")));
        for path in all {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
        assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    });
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o750)).unwrap();
    assert!(matches!(run(opened(&data)), Err(OpenError::Exposed { mode: 0o750, .. })));
}

#[test]
fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    init(&data).unwrap();
    run(async {
        let first = opened(&data).await.unwrap();
        assert!(matches!(opened(&data).await, Err(OpenError::Locked(_))));
        let Deployment { store, .. } = &first;
        let store = Arc::clone(store);
        drop(first);
        assert!(matches!(opened(&data).await, Err(OpenError::Locked(_))), "the store is still in use");
        drop(store);
        drop(opened(&data).await.unwrap());
    });
}

#[test]
fn another_root_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (data, other) = (directory.path().join("data"), directory.path().join("other"));
    init(&data).unwrap();
    let entropy = Counting::default();
    let mut skipped = [0; 1];
    vouchsafe_domain::ports::Entropy::fill(&entropy, &mut skipped);
    initialise(&other, &source(&other), EngineKind::Sqlite, &entropy).unwrap();
    std::fs::copy(other.join("root.key"), data.join("root.key")).unwrap();
    assert!(matches!(run(opened(&data)), Err(OpenError::RootKey(RootKeyError::Provider { .. }))));
    std::fs::copy(other.join("root.json"), data.join("root.json")).unwrap();
    assert!(matches!(run(opened(&data)), Err(OpenError::Store(BarrierError::WrongRootKey))));
    // Without the record, the file would have to hold the root itself.
    std::fs::remove_file(data.join("root.json")).unwrap();
    assert!(matches!(run(opened(&data)), Err(OpenError::Store(BarrierError::WrongRootKey))));
    // Nor does one deployment's log go with another's store.
    std::fs::copy(data.join("root.key"), other.join("root.key")).unwrap();
    std::fs::remove_dir_all(other.join("audit")).unwrap();
    init(&directory.path().join("third")).unwrap();
    copy(&directory.path().join("third/audit"), &other.join("audit"));
    assert!(run(opened(&other)).is_err());
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.key");
    let file = RootKeySource::KeyFile(path.clone());
    let error = |source: &RootKeySource| source.load().err().expect("refused").to_string();
    file.create(&Counting::default()).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    file.load().unwrap();
    assert!(file.create(&Counting::default()).is_err(), "a key is never overwritten");
    for mode in [0o640, 0o604, 0o660, 0o644, 0o601] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(error(&file).contains("chmod 0600"), "{mode:o}");
    }
    for mode in [0o600, 0o400] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        file.load().unwrap();
    }
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(RootKeySource::KeyFile(link.clone()).load().is_err());
    assert!(error(&RootKeySource::KeyFile(directory.path().to_owned())).contains("regular file"));

    // A credential's readers are systemd's business, but it is a plain file with a plain name all the same.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    let credential = |name: &str| RootKeySource::SystemdCredential(name.into(), directory.path().to_owned());
    credential("root.key").load().unwrap();
    for name in ["", "..", "a/b", ".hidden", "link", "absent"] {
        assert!(credential(name).load().is_err(), "{name}");
    }
}

#[test]
fn a_key_file_holds_one_line_of_one_form() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.key");
    let file = RootKeySource::KeyFile(path.clone());
    file.create(&Counting::default()).unwrap();
    let good = std::fs::read(&path).unwrap();
    let digits = "0".repeat(64);
    for bad in [
        String::new(),
        digits.clone(),
        format!("vouchsafe-root-key-2 {digits}\n"),
        format!("vouchsafe-root-key-1 {}\n", &digits[..62]),
        format!("vouchsafe-root-key-1 {digits}00\n"),
        format!("vouchsafe-root-key-1 {digits}\n\n"),
        format!("vouchsafe-root-key-1  {digits}\n"),
        format!("vouchsafe-root-key-1 {}zz\n", &digits[..62]),
        format!("vouchsafe-root-key-1 {digits}\n").repeat(50),
    ] {
        std::fs::write(&path, &bad).unwrap();
        assert!(file.load().is_err(), "{bad:?}");
    }
    std::fs::write(&path, good.strip_suffix(b"\n").unwrap()).unwrap();
    file.load().unwrap();
}

#[test]
fn a_log_older_than_the_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = (directory.path().join("data"), directory.path().join("old"));
    init(&data).unwrap();
    copy(&data.join("audit"), &old);
    let roll_back = || {
        std::fs::remove_dir_all(data.join("audit")).unwrap();
        copy(&old, &data.join("audit"));
    };
    let announce = async |position: Position| {
        announced_at(position).await.put(key(&position.0.to_string()), Expect::Absent, value(b"1"))
    };
    // Known by the commit that the missing entry announced…
    run(async {
        let deployment = opened(&data).await.unwrap();
        let position = deployment.log.append(b"intent".to_vec()).await.unwrap();
        deployment.store.commit(announce(position).await).await.unwrap();
    });
    let newest = directory.path().join("newest");
    copy(&data.join("audit"), &newest);
    roll_back();
    let refused = run(opened(&data));
    assert!(matches!(refused, Err(OpenError::Log(LogError::Shorter { signed: 1, found: 0, .. }))));
    // … and by the checkpoint that the store keeps.
    std::fs::remove_dir_all(data.join("audit")).unwrap();
    copy(&newest, &data.join("audit"));
    run(async {
        let deployment = opened(&data).await.unwrap();
        deployment.anchor().await.unwrap();
    });
    roll_back();
    let error = run(opened(&data)).err().expect("refused").to_string();
    assert!(error.contains("rollback suspected") && error.contains("the store's checkpoint"), "{error}");
}
