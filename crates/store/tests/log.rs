//! The audit log over files: the port's suite, crashes at every byte, and what is not opened.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod support;

use std::io::Write;
use std::sync::Arc;

use support::{LogIn, copy, run, signer};
use vouchsafe_crypto::merkle::{NoteVerifier, leaf_hash};
use vouchsafe_domain::ports::Log;
use vouchsafe_domain::ports::log::Position;
use vouchsafe_store::log::verify::verify;
use vouchsafe_store::log::{FileLog, LogError, SEGMENT_ENTRIES, initialise};
use vouchsafe_testkit::suites::log as suite;

impl suite::Reopen for LogIn {
    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(LogIn::open(self).expect("a log"))
    }
}

fn vkey() -> String {
    signer(1).vkey()
}

async fn append(log: &FileLog, entries: impl IntoIterator<Item = String>) {
    for entry in entries {
        loop {
            match log.append_later(entry.clone().into_bytes()) {
                Ok(()) => break,
                // The queue is full: wait until something of it is durable.
                Err(_) => drop(log.append(b"wait".to_vec()).await.unwrap()),
            }
        }
    }
}

#[test]
fn a_log_of_files_passes_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let log = LogIn::new(directory.path());
    run(suite::all(&log));
    let verified = verify(&log.0, &vkey()).unwrap();
    assert_eq!(verified.signed, verified.entries, "closing a log signs all of it");
}

#[test]
fn a_log_is_made_once() {
    let directory = tempfile::tempdir().unwrap();
    let log = LogIn::new(directory.path());
    assert!(matches!(initialise(&log.0, &signer(1)), Err(LogError::Present(_))));
    let nowhere = LogIn(directory.path().join("nowhere"));
    assert!(matches!(nowhere.open(), Err(LogError::File { .. })), "opening never makes one");
    assert!(!nowhere.0.exists());
}

#[test]
fn each_checkpoint_is_the_root_of_what_was_appended() {
    let directory = tempfile::tempdir().unwrap();
    let place = LogIn::new(directory.path());
    let verifier = NoteVerifier::parse(&vkey()).unwrap();
    run(async {
        let log = place.open().unwrap();
        let mut leaves = Vec::new();
        for size in 1..=300 {
            let entry = format!("entry {size}");
            leaves.push(leaf_hash(entry.as_bytes()));
            log.append(entry.into_bytes()).await.unwrap();
            if size % 37 == 0 || size == 256 || size == 300 {
                let checkpoint = verifier.open(&log.checkpoint_now().await.unwrap()).unwrap();
                assert_eq!(
                    (checkpoint.size, checkpoint.root),
                    (size, vouchsafe_crypto::merkle::root(&leaves))
                );
            }
        }
    });
    assert_eq!(verify(&place.0, &vkey()).unwrap().entries, 300);
}

#[test]
fn a_checkpoint_comes_by_itself_within_a_second_or_so() {
    let directory = tempfile::tempdir().unwrap();
    let place = LogIn::new(directory.path());
    run(async {
        let log = place.open().unwrap();
        let before = log.checkpoint();
        log.append(b"entry".to_vec()).await.unwrap();
        let mut waited = 0;
        while log.checkpoint() == before {
            assert!(waited < 50, "no checkpoint after five seconds");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            waited += 1;
        }
    });
}

/// 131,072 entries and some: two full segments, level-2 hashes, and a third segment.
#[test]
fn a_log_goes_on_over_segments_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let place = LogIn::new(directory.path());
    let total = 2 * SEGMENT_ENTRIES + 700;
    run(async {
        for part in 0..4 {
            let log = place.open().unwrap();
            let from = log.len();
            append(&log, (from..total * (part + 1) / 4).map(|n| format!("{n}"))).await;
            log.checkpoint_now().await.unwrap();
        }
        let log = place.open().unwrap();
        assert!(log.len() >= total);
        for from in [0, 65_530, 65_536, 131_000, 131_072] {
            let found = log.read(Position(from), 10).await.unwrap();
            assert_eq!(found.len(), 10);
            assert!((from..).zip(&found).all(|(expected, (position, _))| position.0 == expected));
        }
    });
    let verified = verify(&place.0, &vkey()).unwrap();
    assert_eq!(verified.entries, verified.signed);

    // A power cut may take tiles that were never waited for: they are computed again and proved.
    for lost in ["tile/0/511", "tile/1/001", "tile/2/000.p", "tile/1/002.p", "tile/0/000"] {
        let path = place.0.join(lost);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap()
        } else {
            std::fs::remove_file(path).unwrap()
        }
    }
    drop(place.open().unwrap());
    assert_eq!(verify(&place.0, &vkey()).unwrap(), verified);
    assert_eq!(std::fs::read_dir(place.0.join("segment")).unwrap().count(), 3);
}

/// A kill in the middle of a write leaves any prefix of it. Each prefix opens, keeps every whole entry, and goes on.
#[test]
fn a_log_cut_at_any_byte_of_its_unsigned_end_opens_with_every_whole_entry() {
    let directory = tempfile::tempdir().unwrap();
    let place = LogIn::new(directory.path());
    let segment = place.0.join("segment/000000000000");
    run(async {
        let log = place.open().unwrap();
        append(&log, (0..40).map(|n| format!("signed {n}"))).await;
    });
    let signed_bytes = std::fs::metadata(&segment).unwrap().len() as usize;
    let original = directory.path().join("original");
    copy(&place.0, &original);
    // The same log goes on; its newest checkpoint is put back, as if the process had been killed before the next one.
    run(async {
        let log = place.open().unwrap();
        append(&log, (0..4).map(|n| format!("unsigned {n} {}", "x".repeat(n * 9)))).await;
    });
    let bytes = std::fs::read(&segment).unwrap();
    let mut ends = vec![signed_bytes];
    for n in 0..4 {
        ends.push(ends[n] + 6 + format!("unsigned {n} {}", "x".repeat(n * 9)).len());
    }
    assert_eq!(ends[4], bytes.len());

    for cut in signed_bytes..=bytes.len() {
        for zeros in [0, 40] {
            let copied = LogIn(directory.path().join("cut"));
            copy(&original, &copied.0);
            let mut file = std::fs::File::create(copied.0.join("segment/000000000000")).unwrap();
            file.write_all(&bytes[..cut]).unwrap();
            // Some file systems grow a file before its data arrives.
            file.write_all(&vec![0; zeros]).unwrap();
            drop(file);
            let whole = ends.iter().filter(|end| **end <= cut).count() as u64 - 1;
            run(async {
                let log =
                    copied.open().unwrap_or_else(|error| panic!("cut at {cut}, {zeros} zeros: {error}"));
                assert_eq!(log.len(), 40 + whole, "cut at {cut}, {zeros} zeros");
                assert_eq!(log.append(b"next".to_vec()).await.unwrap(), Position(40 + whole));
            });
            let verified = verify(&copied.0, &vkey()).unwrap();
            assert_eq!((verified.entries, verified.signed), (41 + whole, 41 + whole));
            std::fs::remove_dir_all(&copied.0).unwrap();
        }
    }
}

#[test]
fn a_log_shorter_than_its_checkpoint_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let place = LogIn::new(directory.path());
    run(async {
        let log = place.open().unwrap();
        append(&log, (0..300).map(|n| format!("entry {n}"))).await;
    });
    let segment = place.0.join("segment/000000000000");
    let bytes = std::fs::read(&segment).unwrap();
    for cut in [0, 1, 100, bytes.len() - 30, bytes.len() - 1] {
        std::fs::write(&segment, &bytes[..cut]).unwrap();
        let error = place.open().err().expect("refused").to_string();
        assert!(error.contains("rollback suspected"), "{error}");
        assert_eq!(std::fs::read(&segment).unwrap().len(), cut, "what is refused is not changed");
    }
}

#[test]
fn a_log_rolled_back_whole_is_refused_by_the_checkpoint_kept_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let place = LogIn::new(directory.path());
    let fork = LogIn(directory.path().join("fork"));
    let anchor = run(async {
        let log = place.open().unwrap();
        append(&log, (0..10).map(|n| format!("entry {n}"))).await;
        drop(log);
        copy(&place.0, &fork.0);
        let log = place.open().unwrap();
        append(&log, (0..10).map(|n| format!("later {n}"))).await;
        log.checkpoint_now().await.unwrap()
    });
    drop(place.open_with(Some(&anchor)).unwrap());
    assert!(matches!(fork.open_with(Some(&anchor)), Err(LogError::Shorter { signed: 20, found: 10, .. })));
    run(async {
        let log = fork.open().unwrap();
        append(&log, (0..20).map(|n| format!("other {n}"))).await;
    });
    assert!(matches!(fork.open_with(Some(&anchor)), Err(LogError::Different { size: 20, .. })));
    let other_key = FileLog::open(&place.0, signer(2), None, Arc::new(support::Standing::default()), ());
    assert!(matches!(other_key, Err(LogError::OtherKey)));
}

#[test]
fn a_damaged_entry_in_the_middle_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let place = LogIn::new(directory.path());
    run(async {
        let log = place.open().unwrap();
        append(&log, (0..30).map(|n| format!("entry {n}"))).await;
    });
    let segment = place.0.join("segment/000000000000");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(8).position(|window| window == b"entry 17").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    assert!(matches!(place.open(), Err(LogError::Damaged { position: 17 })));
    assert_eq!(verify(&place.0, &vkey()).unwrap_err().position, 17);
}

#[test]
fn after_a_failed_write_nothing_is_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let place = LogIn::new(directory.path());
    run(async {
        let log = place.open().unwrap();
        log.append(b"before".to_vec()).await.unwrap();
        // Tiles and checkpoints can no longer be written: a file stands where their directory was.
        std::fs::remove_dir_all(place.0.join("tile")).unwrap();
        std::fs::write(place.0.join("tile"), b"").unwrap();
        assert!(log.checkpoint_now().await.is_err());
        let error = log.append(b"after".to_vec()).await.unwrap_err();
        assert!(error.to_string().contains("restart"), "{error}");
        assert!(log.append_later(b"after".to_vec()).is_err());
        assert_eq!(log.len(), 1);
    });
    std::fs::remove_file(place.0.join("tile")).unwrap();
    assert_eq!(place.open().unwrap().len(), 1);
    assert_eq!(verify(&place.0, &vkey()).unwrap().entries, 1);
}
