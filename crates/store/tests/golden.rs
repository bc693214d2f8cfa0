//! One sample of every format on disk. What a released version wrote must stay readable, so these files only grow.
//!
//! Sealed records hold random keys and nonces: their samples are opened. Everything else is written again and compared.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use data_encoding::HEXLOWER;
use support::{Counting, LogIn, root, run, signer};
use vouchsafe_crypto::Reason;
use vouchsafe_domain::ports::Log;
use vouchsafe_domain::ports::Store;
use vouchsafe_domain::ports::log::Position;
use vouchsafe_domain::ports::store::{Expect, Key, Kind, Partition, Prefix};
use vouchsafe_store::Barrier;
use vouchsafe_store::engine::memory::Memory;
use vouchsafe_store::engine::sqlite::Sqlite;
use vouchsafe_store::engine::{Batch, Engine, Mark, Stored};
use vouchsafe_store::log::verify::verify;
use vouchsafe_store::root::RootKeySource;
use vouchsafe_testkit::suites::store::{announced_at, tenant, value, vault};

const STORE: &str = include_str!("golden/store.txt");
const SCHEMA: &str = include_str!("golden/schema.sql");
const SEGMENT: &str = include_str!("golden/segment.hex");
const TILE: &str = include_str!("golden/tile.hex");
const CHECKPOINTS: &str = include_str!("golden/checkpoints");
const KEY: &str = include_str!("golden/key.pub");
const ROOT_KEY: &str = include_str!("golden/root.key");

fn contents() -> BTreeMap<Key, &'static str> {
    BTreeMap::from([
        (Key::new(Partition::Deployment, Kind::Tenant, "tenant-one"), "a tenant"),
        (Key::new(tenant(1), Kind::Vault, "vault-one"), "a vault"),
        (Key::new(vault(1, 2), Kind::Secret, "secret-one"), "a head"),
        (Key::nested(vault(1, 2), Kind::SecretValue, "secret-one", "version-one"), "a value"),
        (Key::nested(vault(1, 2), Kind::SecretValue, "secret-one", "version-two"), "after a rotation"),
    ])
}

/// Writes a new sample; run it by name, with its output shown, when a format gets a new version, and add to the file.
#[test]
#[ignore = "makes a sample instead of checking one"]
fn make_a_store_sample() {
    run(async {
        let engine = Memory::new();
        Barrier::initialise(engine.clone(), &root(7), *b"deployment id 16").await.unwrap();
        let store = Barrier::open(engine.clone(), &root(7)).await.unwrap();
        for (key, text) in contents() {
            if text == "after a rotation" {
                store.rotate_ring(key.partition).await.unwrap();
            }
            let announced = announced_at(Position(41)).await;
            store.commit(announced.put(key, Expect::Absent, value(text))).await.unwrap();
        }
        store.settle(Position(40)).await.unwrap();
        for (key, stored) in engine.scan(&[], None, 100).await.unwrap() {
            let (key, bytes) = (HEXLOWER.encode(&key), HEXLOWER.encode(&stored.bytes));
            println!("record {key} {} {bytes}", stored.revision);
        }
        for mark in engine.announced_since(0).await.unwrap() {
            println!("announced {} {}", mark.position, HEXLOWER.encode(&mark.proof));
        }
        let settled = engine.settled().await.unwrap().unwrap();
        println!("settled {} {}", settled.position, HEXLOWER.encode(&settled.proof));
    });
}

#[test]
fn a_sealed_store_of_format_1_opens() {
    run(async {
        let engine = Memory::new();
        let mut headers = BTreeMap::<(u8, u32), usize>::new();
        for line in STORE.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number: u64 = words[if words[0] == "record" { 2 } else { 1 }].parse().unwrap();
            let hex = |word: usize| HEXLOWER.decode(words[word].as_bytes()).unwrap();
            let mark = |word| Mark { position: number, proof: hex(word).try_into().unwrap() };
            match words[0] {
                "record" => {
                    let bytes = hex(3);
                    let version = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
                    *headers.entry((bytes[0], version)).or_default() += 1;
                    engine.tamper(&hex(1), Some(Stored { revision: number, bytes }));
                }
                "announced" => {
                    engine.commit(Batch { announced: Some(mark(2)), ..Batch::default() }).await.unwrap();
                }
                _ => engine.settle(mark(2)).await.unwrap(),
            }
        }
        let store = Barrier::open(engine, &root(7)).await.unwrap();
        assert_eq!(store.deployment(), *b"deployment id 16");
        for (key, text) in contents() {
            let record = store.get(&key).await.unwrap().expect("the record");
            assert_eq!(record.value.expose(Reason::Test), text.as_bytes());
        }
        let prefix =
            Prefix { partition: vault(1, 2), kind: Kind::SecretValue, outer: Some("secret-one".into()) };
        assert_eq!(store.scan(&prefix, None, 10).await.unwrap().records.len(), 2);
        assert_eq!(store.announced_since(Position(0)).await, Ok(vec![Position(41)]));
        assert_eq!(store.settled().await, Ok(Position(40)));
        // Format 1; by key version: the deployment's ring under the root, most records under a first key, and what
        // was written after the rotation under the second.
        assert_eq!(headers, BTreeMap::from([((1, 0), 1), ((1, 1), 7), ((1, 2), 1)]));
    });
}

#[test]
fn the_tables_are_those_of_layout_1() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    Sqlite::create(&path).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mut schema = String::new();
    for name in ["application_id", "user_version"] {
        let number: i64 = connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        writeln!(schema, "PRAGMA {name} = {number};").unwrap();
    }
    let mut tables = connection.prepare("SELECT sql FROM sqlite_schema ORDER BY name").unwrap();
    for sql in tables.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        writeln!(schema, "{};", sql.unwrap()).unwrap();
    }
    compare("schema.sql", SCHEMA, &schema);
}

#[test]
fn a_log_is_written_as_in_the_sample() {
    let directory = tempfile::tempdir().unwrap();
    let place = LogIn::new(directory.path());
    run(async {
        let log = place.open().unwrap();
        for entry in [&b"first"[..], "zweiter, mit \u{fc}".as_bytes(), &[0, 255]] {
            log.append(entry.to_vec()).await.unwrap();
        }
    });
    let hex = |path: &str| HEXLOWER.encode(&std::fs::read(place.0.join(path)).unwrap()) + "\n";
    compare("segment.hex", SEGMENT, &hex("segment/000000000000"));
    compare("tile.hex", TILE, &hex("tile/0/000.p/3"));
    compare("checkpoints", CHECKPOINTS, &std::fs::read_to_string(place.0.join("checkpoints")).unwrap());
    compare("key.pub", KEY, &std::fs::read_to_string(place.0.join("key.pub")).unwrap());
}

#[test]
fn a_log_as_in_the_sample_verifies_and_opens() {
    let directory = tempfile::tempdir().unwrap();
    let log = |name: &str| directory.path().join(name);
    std::fs::create_dir_all(log("segment")).unwrap();
    std::fs::create_dir_all(log("tile/0/000.p")).unwrap();
    let bytes = |text: &str| HEXLOWER.decode(text.trim().as_bytes()).unwrap();
    std::fs::write(log("segment/000000000000"), bytes(SEGMENT)).unwrap();
    std::fs::write(log("tile/0/000.p/3"), bytes(TILE)).unwrap();
    std::fs::write(log("checkpoints"), CHECKPOINTS).unwrap();
    // The newest of the two notes, each of which ends with an empty line of the history's.
    let newest = CHECKPOINTS.rfind("vouchsafe/audit/test\n3\n").unwrap();
    std::fs::write(log("checkpoint"), CHECKPOINTS[newest..].strip_suffix('\n').unwrap()).unwrap();
    std::fs::write(log("key.pub"), KEY).unwrap();
    assert_eq!(signer(1).vkey(), KEY.trim());
    let verified = verify(directory.path(), KEY).unwrap();
    assert_eq!((verified.entries, verified.signed, verified.checkpoints), (3, 3, 2));
    let log = LogIn(directory.path().to_owned()).open().unwrap();
    assert_eq!(run(log.read(Position(0), 1)).unwrap(), [(Position(0), b"first".to_vec())]);
}

#[test]
fn a_root_key_file_is_written_as_in_the_sample() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.key");
    let key = RootKeySource::KeyFile(path.clone()).create(&Counting::default()).unwrap();
    compare("root.key", ROOT_KEY, &std::fs::read_to_string(path).unwrap());
    assert_eq!(key.to_secret().expose(Reason::Test), (0..32).collect::<Vec<u8>>());
}

/// Says what would be written now, so that a deliberate change can be copied into the file.
fn compare(name: &str, golden: &str, now: &str) {
    let path = Path::new("tests/golden").join(name);
    assert!(golden == now, "{} differs from what is written now:\n{now}", path.display());
}
