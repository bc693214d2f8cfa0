//! Whoever edits a log is found out by whoever holds the public key.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod support;

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{LogIn, files, run, signer};
use vouchsafe_domain::ports::Log;
use vouchsafe_store::log::verify::{Verified, verify};

const MUTATIONS: usize = 10_000;
const ENTRIES: u64 = 300;

fn vkey() -> String {
    signer(1).vkey()
}

/// A log of 300 entries with checkpoints in between, and its frames' places in the segment.
fn sample(directory: &Path) -> (LogIn, Vec<(usize, usize)>) {
    let place = LogIn::new(directory);
    run(async {
        let log = place.open().unwrap();
        for n in 0..ENTRIES {
            log.append(format!("{{\"n\":{n},\"what\":\"{}\"}}", "x".repeat((n % 50) as usize)).into_bytes())
                .await
                .unwrap();
            if n % 100 == 99 {
                log.checkpoint_now().await.unwrap();
            }
        }
    });
    let bytes = std::fs::read(place.0.join("segment/000000000000")).unwrap();
    let mut frames = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = 6 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        frames.push((at, at + length));
        at += length;
    }
    assert_eq!(frames.len() as u64, ENTRIES);
    (place, frames)
}

/// The frame of an entry, with a checksum that is right.
fn frame(entry: &[u8]) -> Vec<u8> {
    let length = (entry.len() as u16).to_be_bytes();
    let crc = crc32fast::hash(&[&length, entry].concat());
    [&length[..], &crc.to_be_bytes(), entry].concat()
}

#[test]
fn ten_thousand_random_mutations_of_a_log_are_all_detected() {
    let directory = tempfile::tempdir().unwrap();
    let (place, frames) = sample(directory.path());
    let whole = verify(&place.0, &vkey()).unwrap();
    assert_eq!((whole.entries, whole.signed), (ENTRIES, ENTRIES));
    let segment = place.0.join("segment/000000000000");
    let original = std::fs::read(&segment).unwrap();
    let others: Vec<(PathBuf, Vec<u8>)> = files(&place.0)
        .into_iter()
        .filter(|path| *path != segment && !path.ends_with("key.pub"))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let mut random = StdRng::seed_from_u64(0x10c);
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for number in 0..MUTATIONS {
        let entry = random.random_range(0..frames.len());
        let (start, end) = frames[entry];
        // What is done, what the segment then holds, and the first entry that is not the original one.
        let (what, bytes, first_bad) = match random.random_range(0..8) {
            0 => {
                let mut bytes = original.clone();
                bytes[random.random_range(start..end)] ^= 1 << random.random_range(0..8);
                ("flip a bit of an entry", bytes, Some(entry))
            }
            1 => {
                let mut edited = original[start + 6..end].to_vec();
                let at = random.random_range(0..edited.len());
                edited[at] ^= random.random_range(1..=255);
                let bytes = [&original[..start], &frame(&edited), &original[end..]].concat();
                ("edit an entry and its checksum", bytes, Some(entry))
            }
            2 => {
                let bytes = [&original[..start], &original[end..]].concat();
                ("drop an entry", bytes, Some(entry))
            }
            3 => {
                let other = random.random_range(0..frames.len());
                if other == entry {
                    continue;
                }
                let ((a, b), (c, d)) = (frames[entry.min(other)], frames[entry.max(other)]);
                let parts =
                    [&original[..a], &original[c..d], &original[b..c], &original[a..b], &original[d..]];
                ("swap two entries", parts.concat(), Some(entry.min(other)))
            }
            4 => {
                let cut = random.random_range(0..original.len());
                let whole = frames.iter().filter(|(_, end)| *end <= cut).count();
                ("truncate the log", original[..cut].to_vec(), Some(whole))
            }
            5 => {
                let forged = frame(format!("forged {number}").as_bytes());
                ("insert an entry", [&original[..start], &forged, &original[start..]].concat(), Some(entry))
            }
            6 => {
                let mut bytes = original[..start].to_vec();
                for n in entry..frames.len() {
                    bytes.extend(frame(format!("another history {n}").as_bytes()));
                }
                ("fork the log", bytes, Some(entry))
            }
            _ => ("flip a bit of a tile or checkpoint", original.clone(), None),
        };
        *counts.entry(what).or_default() += 1;
        std::fs::write(&segment, &bytes).unwrap();
        let damaged = first_bad.is_none().then(|| {
            let (path, bytes) = &others[random.random_range(0..others.len())];
            let mut bytes = bytes.clone();
            let at = random.random_range(0..bytes.len());
            bytes[at] ^= 1 << random.random_range(0..8);
            std::fs::write(path, bytes).unwrap();
            path
        });
        let result = verify(&place.0, &vkey());
        match (&result, first_bad) {
            (Ok(verified), _) => panic!("mutation {number}, {what} {entry} {damaged:?}: {verified:?}"),
            (Err(tampered), Some(first_bad)) => {
                assert_eq!(
                    tampered.position, first_bad as u64,
                    "mutation {number}, {what} {entry}: {tampered}"
                );
            }
            (Err(tampered), None) => assert!(tampered.position <= ENTRIES, "{tampered}"),
        }
        if let Some(path) = damaged {
            let (_, bytes) = others.iter().find(|(other, _)| other == path).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    std::fs::write(&segment, &original).unwrap();
    assert_eq!(verify(&place.0, &vkey()).unwrap(), whole);
    println!("mutations, all detected, first bad entry named: {counts:?}");
}

/// Whoever rewrites entries and tiles alike, without the key, cannot rewrite what was signed.
#[test]
fn a_rewritten_log_with_matching_tiles_contradicts_its_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let (place, _) = sample(directory.path());
    // The attacker's own log over the same entries, but for one; signed with another key.
    let other = LogIn(directory.path().join("other"));
    vouchsafe_store::log::initialise(&other.0, &signer(2)).unwrap();
    run(async {
        let clock = std::sync::Arc::new(support::Standing::default());
        let log = vouchsafe_store::log::FileLog::open(&other.0, signer(2), None, clock, ()).unwrap();
        for n in 0..ENTRIES {
            let what = if n == 280 { "forged".to_owned() } else { "x".repeat((n % 50) as usize) };
            log.append(format!("{{\"n\":{n},\"what\":\"{what}\"}}").into_bytes()).await.unwrap();
        }
    });
    assert_eq!(verify(&other.0, &signer(2).vkey()).unwrap().entries, ENTRIES);
    assert_eq!(
        verify(&other.0, &vkey()).unwrap_err().position,
        0,
        "the other key's checkpoints count for nothing"
    );
    for name in ["checkpoint", "checkpoints", "key.pub"] {
        std::fs::copy(place.0.join(name), other.0.join(name)).unwrap();
    }
    let tampered = verify(&other.0, &vkey()).unwrap_err();
    // The signed checkpoint before entry 280 holds, the one after it does not.
    assert!((200..=280).contains(&tampered.position), "{tampered}");
}

#[test]
fn missing_and_foreign_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let (place, _) = sample(directory.path());
    let whole: Verified = verify(&place.0, &vkey()).unwrap();
    for path in files(&place.0) {
        if path.ends_with("key.pub") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(verify(&place.0, &vkey()).is_err(), "without {}", path.display());
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(verify(&place.0, &vkey()).is_err(), "with half of {}", path.display());
        std::fs::write(&path, &bytes).unwrap();
    }
    std::fs::write(place.0.join("segment/000000000002"), b"").unwrap();
    assert_eq!(verify(&place.0, &vkey()).unwrap_err().position, 65_536);
    std::fs::remove_file(place.0.join("segment/000000000002")).unwrap();
    assert_eq!(verify(&place.0, &vkey()).unwrap(), whole);
    assert!(verify(&place.0, "not a key").is_err());
}
