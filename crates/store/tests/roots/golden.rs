//! `root.json` and the files of custodians as released versions wrote them. They stay readable and open what they
//! opened, and what is read is written again byte for byte. Bent samples give the right key or say what is wrong.
//!
//! The samples are of one deployment, whose root key is the bytes 0 to 31, with a provider of every kind. A TPM opens
//! only what it sealed itself, and it is gone: of that entry it is held that it is understood and kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_crypto::envelope::Kek;
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_store::Barrier;
use vouchsafe_store::engine::memory::Memory;
use vouchsafe_store::root::{
    OpenedShare, ProviderKind, RootKeyError, RootKeySource, RootKeys, RootRecord, ShareFile,
};

use super::{RIGHT, Token, passphrase};
use crate::support::run;

const RECORD: &str = include_str!("../golden/root/root.json");
const TPM_RECORD: &str = include_str!("../golden/root/tpm.json");
const SHARES: [&str; 3] = [
    include_str!("../golden/root/share-1.json"),
    include_str!("../golden/root/share-2.json"),
    include_str!("../golden/root/share-3.json"),
];
const OPENED: [&str; 3] = [
    include_str!("../golden/root/opened-1.txt"),
    include_str!("../golden/root/opened-2.txt"),
    include_str!("../golden/root/opened-3.txt"),
];
const CUSTODIANS: [&str; 3] = [
    include_str!("../golden/root/custodian-1.pem"),
    include_str!("../golden/root/custodian-2.pem"),
    include_str!("../golden/root/custodian-3.pem"),
];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/root")
}

/// A data directory with the samples, as their owner would have them.
fn data(record: &[u8]) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("root.json"), record).unwrap();
    for file in ["root.key", "credential"] {
        let path = directory.path().join(file);
        std::fs::copy(samples().join(file), &path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

fn shares() -> Vec<OpenedShare> {
    let opened = SHARES.iter().zip(CUSTODIANS).map(|(file, key)| {
        ShareFile::parse(file.as_bytes()).unwrap().open(&SecretString::new(key.to_owned())).unwrap()
    });
    opened.collect()
}

fn sources(directory: &Path) -> Vec<RootKeySource> {
    vec![
        RootKeySource::KeyFile(directory.join("root.key")),
        RootKeySource::SystemdCredential("credential".into(), directory.to_owned()),
        passphrase(RIGHT),
        Token::source(9),
        RootKeySource::Quorum(shares().into_iter().skip(1).collect()),
    ]
}

/// A store under the root key that the samples hold.
async fn store() -> Memory {
    let (engine, root) = (Memory::new(), Kek::from_secret(SecretBytes::new((0..32).collect())).unwrap());
    Barrier::initialise_under(engine.clone(), &RootKeys::of(root), [3; 16]).await.unwrap();
    engine
}

/// Whether keys are those of the samples: nothing else opens the store.
async fn are_right(keys: &RootKeys, engine: &Memory) -> bool {
    Barrier::open_under(engine.clone(), keys).await.is_ok()
}

#[test]
fn a_root_record_of_format_1_opens_for_every_kind_of_provider() {
    let directory = data(RECORD.as_bytes());
    let record = RootRecord::load(directory.path()).unwrap().expect("a record");
    let kinds: Vec<ProviderKind> = record.providers().iter().map(|provider| provider.kind).collect();
    let all = [
        ProviderKind::File,
        ProviderKind::Systemd,
        ProviderKind::Passphrase,
        ProviderKind::Pkcs11,
        ProviderKind::Recovery,
    ];
    assert_eq!(kinds, all);
    run(async {
        let engine = store().await;
        for source in sources(directory.path()) {
            let keys = record.open(directory.path(), &source).unwrap_or_else(|error| panic!("{error}"));
            assert!(are_right(&keys, &engine).await, "{} gives another root key", source.kind());
        }
        let other = Kek::from_secret(SecretBytes::new(vec![1; 32])).unwrap();
        assert!(!are_right(&RootKeys::of(other), &engine).await, "any key opens the store");
    });
}

#[test]
fn a_root_record_with_a_tpm_is_understood_and_opens_for_the_others() {
    let directory = data(TPM_RECORD.as_bytes());
    let record = RootRecord::load(directory.path()).unwrap().expect("a record");
    let providers = record.providers();
    assert!(providers.iter().any(|provider| provider.kind == ProviderKind::Tpm), "{providers:?}");
    let file = RootKeySource::KeyFile(directory.path().join("root.key"));
    let keys = record.open(directory.path(), &file).unwrap_or_else(|error| panic!("{error}"));
    assert!(run(async { are_right(&keys, &store().await).await }));
}

#[test]
fn what_was_read_is_written_again_as_it_was() {
    for sample in [RECORD, TPM_RECORD] {
        let directory = data(sample.as_bytes());
        let record = RootRecord::load(directory.path()).unwrap().expect("a record");
        record.save(directory.path()).unwrap();
        let again = std::fs::read_to_string(directory.path().join("root.json")).unwrap();
        assert_eq!(again, sample, "root.json");
    }
    for ((file, key), line) in SHARES.iter().zip(CUSTODIANS).zip(OPENED) {
        let share = ShareFile::parse(file.as_bytes()).unwrap();
        assert_eq!(share.text(), *file, "a share file");
        let opened = share.open(&SecretString::new(key.to_owned())).unwrap();
        assert_eq!(opened.line().expose(Reason::Test), line, "an opened share");
        let carried = OpenedShare::parse("the sample", line.as_bytes()).unwrap();
        assert_eq!(carried.line().expose(Reason::Test), line, "a share that was carried");
    }
}

/// A small generator of numbers that a seed repeats (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (end.max(1) as u64)).unwrap()
    }
}

/// What JSON and hexadecimal are made of, and what they are not.
const ALPHABET: &[u8] = b"0123456789abcdef{}[]\",:-eE. \n\0\xff";

/// One change, or a few: a bit, a byte, a piece lost, doubled or moved, another number.
fn bent(sample: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        let length = dice.below(40).min(bytes.len() - at);
        match dice.below(8) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = ALPHABET[dice.below(ALPHABET.len())],
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let piece = bytes[at..at + length].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => bytes.truncate(at.max(1)),
            5 => {
                let number: &[u8] = [
                    &b"18446744073709551616"[..],
                    b"4294967295",
                    b"-1",
                    b"1e999",
                    b"null",
                    b"[[[[[[[[[[[[",
                    b"\"\"",
                ][dice.below(7)];
                bytes.splice(at..at, number.iter().copied());
            }
            6 => bytes.insert(at, bytes[dice.below(bytes.len())]),
            _ => {
                let other = dice.below(bytes.len());
                bytes.swap(at, other);
            }
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
    bytes
}

/// How many bent samples; they take the place of a fuzz target, whose build would need everything below the store.
const MUTATIONS: usize = 10_000;

#[test]
fn ten_thousand_bent_root_records_give_the_right_key_or_say_what_is_wrong() {
    let mut dice = Dice(0x0526);
    let directory = data(RECORD.as_bytes());
    let sources = sources(directory.path());
    let path = directory.path().join("root.json");
    run(async {
        let engine = store().await;
        let (mut unread, mut refused, mut opened) = (0, 0, 0);
        for round in 0..MUTATIONS {
            let sample = bent(RECORD.as_bytes(), &mut dice);
            std::fs::write(&path, &sample).unwrap();
            let record = match RootRecord::load(directory.path()) {
                Ok(record) => record.expect("there is a file"),
                Err(error) => {
                    assert!(matches!(error, RootKeyError::Record { .. }), "{error}");
                    assert!(error.to_string().contains("root.json"), "{error}");
                    unread += 1;
                    continue;
                }
            };
            // All of them in turn; of a passphrase only now and then, because that is meant to be slow.
            let source = &sources[if round % 50 == 0 { 2 } else { [0, 1, 3, 4][round % 4] }];
            match record.open(directory.path(), source) {
                Ok(keys) => {
                    assert!(
                        are_right(&keys, &engine).await,
                        "another root key came out of\n{}",
                        String::from_utf8_lossy(&sample)
                    );
                    opened += 1;
                }
                Err(error) => {
                    let said = error.to_string();
                    assert!(!said.is_empty() && said.len() < 1_000, "{said}");
                    refused += 1;
                }
            }
        }
        println!("{MUTATIONS} bent root records: {unread} not read, {refused} not opened, {opened} harmless");
        assert!(unread > 100 && refused > 100 && opened > 0, "{unread} {refused} {opened}");
    });
}

#[test]
fn ten_thousand_bent_shares_give_the_right_key_or_say_what_is_wrong() {
    let mut dice = Dice(0x5afe);
    let directory = data(RECORD.as_bytes());
    let record = RootRecord::load(directory.path()).unwrap().expect("a record");
    let private = SecretString::new(CUSTODIANS[0].to_owned());
    run(async {
        let engine = store().await;
        let (mut unread, mut refused, mut opened) = (0, 0, 0);
        for round in 0..MUTATIONS {
            // What a custodian gets, and what a custodian brings. To decrypt takes long, so that is done seldom.
            let share = if round % 20 == 0 {
                let file = ShareFile::parse(&bent(SHARES[0].as_bytes(), &mut dice));
                file.and_then(|file| file.open(&private))
            } else {
                let _ = ShareFile::parse(&bent(SHARES[round % 3].as_bytes(), &mut dice));
                OpenedShare::parse("the bent share", &bent(OPENED[0].as_bytes(), &mut dice))
            };
            let share = match share {
                Ok(share) => share,
                Err(error) => {
                    assert!(!error.is_empty() && error.len() < 1_000, "{error}");
                    unread += 1;
                    continue;
                }
            };
            let second = OpenedShare::parse("the second share", OPENED[1].as_bytes()).unwrap();
            match record.open(directory.path(), &RootKeySource::Quorum(Arc::from([share, second]))) {
                Ok(keys) => {
                    assert!(are_right(&keys, &engine).await, "another root key");
                    opened += 1;
                }
                Err(error) => {
                    assert!(error.to_string().len() < 1_000, "{error}");
                    refused += 1;
                }
            }
        }
        println!("{MUTATIONS} bent shares: {unread} not read, {refused} not accepted, {opened} harmless");
        assert!(unread > 100 && refused > 100 && opened > 0, "{unread} {refused} {opened}");
    });
}

/// Writes new samples beside the old ones; run it by name when a format gets a new version.
#[test]
#[ignore = "makes samples instead of checking some"]
fn make_root_samples() {
    use super::ceremonies::{custodian_private_keys, recovery};
    use crate::support::Counting;
    let to = samples();
    std::fs::create_dir_all(&to).unwrap();
    let entropy = Counting::default();
    let root = || RootKeys::of(Kek::from_secret(SecretBytes::new((0..32).collect())).unwrap());
    let keys = root();
    for file in ["root.key", "credential"] {
        drop(std::fs::remove_file(to.join(file)));
    }
    // A key file is made with its entry; a credential is there before.
    drop(RootKeySource::KeyFile(to.join("credential")).create(&entropy).unwrap());
    let mut record = RootRecord::new([3; 16]);
    let all: [(&str, RootKeySource); 4] = [
        ("file", RootKeySource::KeyFile(to.join("root.key"))),
        ("systemd", RootKeySource::SystemdCredential("credential".into(), to.clone())),
        ("passphrase", passphrase(RIGHT)),
        ("pkcs11", Token::source(9)),
    ];
    for (name, source) in &all {
        record.add(&to, &keys, name, source, &entropy).unwrap();
    }
    let files = record.add_recovery(&keys, "recovery", &recovery(2, 3), &entropy).unwrap();
    record.save(&to).unwrap();
    for (number, (file, private)) in (1..).zip(files.iter().zip(custodian_private_keys())) {
        let opened = file.open(&SecretString::new(private.clone())).unwrap();
        std::fs::write(to.join(format!("share-{number}.json")), file.text()).unwrap();
        std::fs::write(to.join(format!("custodian-{number}.pem")), private).unwrap();
        std::fs::write(to.join(format!("opened-{number}.txt")), opened.line().expose(Reason::Test)).unwrap();
    }
    #[cfg(feature = "tpm")]
    {
        let directory = tempfile::tempdir().unwrap();
        let tpm = super::tpm::SoftwareTpm::start(directory.path());
        for name in ["systemd", "passphrase", "pkcs11", "recovery"] {
            record.remove(&keys, name).unwrap();
        }
        record.add(&to, &keys, "tpm", &tpm.source(&[7]), &entropy).unwrap();
        record.save(directory.path()).unwrap();
        std::fs::copy(directory.path().join("root.json"), to.join("tpm.json")).unwrap();
    }
}
