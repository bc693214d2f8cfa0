//! A cold store that somebody wrote to: every answer is the value that was committed there, or an integrity error.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{copy, root, run};
use vouchsafe_crypto::Reason;
use vouchsafe_domain::ports::Store;
use vouchsafe_domain::ports::log::Position;
use vouchsafe_domain::ports::store::{Expect, Key, Kind, Partition, Prefix, StoreError};
use vouchsafe_store::Barrier;
use vouchsafe_store::barrier::BarrierError;
use vouchsafe_store::engine::memory::Memory;
use vouchsafe_store::engine::sqlite::Sqlite;
use vouchsafe_store::engine::{Engine, Stored};
use vouchsafe_testkit::suites::store::{announced_at, commit, tenant, value, vault};

const RECORD_TAMPERINGS: usize = 99_000;
/// How often the store is opened anew, so that the key rings too come from tampered rows, and read whole.
const COLD_START_EVERY: usize = 60;
const FILE_TAMPERINGS: usize = 1_000;

/// What a modest store holds: 2 tenants, 2 vaults each, all kinds of names, several revisions.
fn contents() -> BTreeMap<Key, Vec<u8>> {
    let mut contents = BTreeMap::new();
    for t in 1..=2 {
        for kind in [Kind::Vault, Kind::Identity] {
            for name in ["alpha", "beta"] {
                contents.insert(Key::new(tenant(t), kind, name), format!("{t} {kind:?} {name}").into_bytes());
            }
        }
        for v in 1..=2 {
            for name in ["alpha", "beta"] {
                contents.insert(
                    Key::new(vault(t, v), Kind::Secret, name),
                    format!("{t}/{v} head {name}").into_bytes(),
                );
                for version in ["1", "2"] {
                    let key = Key::nested(vault(t, v), Kind::SecretValue, name, version);
                    contents.insert(key, format!("value of {t}/{v}/{name}/{version}").into_bytes());
                }
            }
        }
    }
    contents.insert(Key::new(Partition::Deployment, Kind::Tenant, "one"), b"a tenant".to_vec());
    contents
}

async fn fill(store: &impl Store, contents: &BTreeMap<Key, Vec<u8>>) {
    for (key, bytes) in contents {
        let old =
            store.commit(commit().put(key.clone(), Expect::Absent, value(b"an old value"))).await.unwrap();
        let newer = announced_at(Position(old[0].0 % 1000)).await;
        store.commit(newer.put(key.clone(), Expect::At(old[0]), value(bytes))).await.unwrap();
    }
    store.settle(Position(3)).await.unwrap();
}

/// What reading everything gave.
#[derive(Debug, Default)]
struct Tally {
    right: usize,
    integrity: usize,
    absent: usize,
    not_opened: usize,
}

impl Tally {
    fn add(&mut self, result: Result<Option<(Vec<u8>, bool)>, StoreError>, context: &dyn Fn() -> String) {
        match result {
            Ok(Some((_, true))) => self.right += 1,
            Ok(Some((bytes, false))) => {
                panic!("a wrong value: {:?}, {}", String::from_utf8_lossy(&bytes), context())
            }
            Ok(None) => self.absent += 1,
            Err(StoreError::Integrity(_)) => self.integrity += 1,
            Err(StoreError::Unavailable(problem)) => panic!("{problem}: {}", context()),
        }
    }
}

async fn read(store: &impl Store, key: &Key, wanted: &[u8]) -> Result<Option<(Vec<u8>, bool)>, StoreError> {
    let record = store.get(key).await?;
    Ok(record.map(|record| {
        let bytes = record.value.expose(Reason::Test).to_vec();
        let right = bytes == wanted && record.key == *key;
        (bytes, right)
    }))
}

async fn read_range(
    store: &impl Store,
    contents: &BTreeMap<Key, Vec<u8>>,
    prefix: &Prefix,
) -> Result<Option<(Vec<u8>, bool)>, StoreError> {
    let page = store.scan(prefix, None, 1000).await?;
    let mut seen = std::collections::BTreeSet::new();
    let wrong = page.records.iter().find(|record| {
        let right = contents.get(&record.key).map(Vec::as_slice) == Some(record.value.expose(Reason::Test));
        !right || !seen.insert(&record.key)
    });
    Ok(Some(match wrong {
        Some(record) => (record.value.expose(Reason::Test).to_vec(), false),
        None => (Vec::new(), true),
    }))
}

/// Which record lies under which engine key: the one that reading no longer finds when that key is empty.
async fn engine_keys<'k>(
    engine: &Memory,
    originals: &BTreeMap<Vec<u8>, Stored>,
    keys: &[&'k Key],
) -> BTreeMap<Vec<u8>, &'k Key> {
    let store = Barrier::open(engine.clone(), &root(7)).await.unwrap();
    for key in keys {
        store.get(key).await.unwrap();
    }
    let mut found = BTreeMap::new();
    for (engine_key, stored) in originals {
        engine.tamper(engine_key, None);
        for key in keys {
            // With the rings in memory, only the record itself is missed.
            if store.get(key).await.unwrap().is_none() {
                found.insert(engine_key.clone(), *key);
            }
        }
        engine.tamper(engine_key, Some(stored.clone()));
    }
    assert_eq!(found.len(), keys.len());
    found
}

#[derive(Clone)]
struct Row {
    key: Vec<u8>,
    stored: Stored,
}

/// 99,000 times: a flipped bit in key, revision, header or sealed bytes, or two records, or parts of them, swapped.
#[test]
fn tampered_records_give_the_right_value_or_an_integrity_error() {
    run(async {
        let contents = contents();
        let engine = Memory::new();
        Barrier::initialise(engine.clone(), &root(7), [1; 16]).await.unwrap();
        fill(&Barrier::open(engine.clone(), &root(7)).await.unwrap(), &contents).await;
        let rows: Vec<Row> = engine
            .scan(&[], None, usize::MAX)
            .await
            .unwrap()
            .into_iter()
            .map(|(key, stored)| Row { key, stored })
            .collect();
        let originals: BTreeMap<Vec<u8>, Stored> =
            rows.iter().map(|row| (row.key.clone(), row.stored.clone())).collect();
        let keys: Vec<&Key> = contents.keys().collect();
        let record_at = engine_keys(&engine, &originals, &keys).await;
        let mut random = StdRng::seed_from_u64(0x57012e);
        let mut tally = Tally::default();
        let mut kinds = BTreeMap::<&str, usize>::new();
        let mut store = Barrier::open(engine.clone(), &root(7)).await.unwrap();
        for number in 0..RECORD_TAMPERINGS {
            let (a, b) = (random.random_range(0..rows.len()), random.random_range(0..rows.len()));
            let (row, other) = (&rows[a], &rows[b]);
            let mut changed = vec![];
            let what = match random.random_range(0..100) {
                0..50 => {
                    let mut flipped = row.clone();
                    let bit = random.random_range(0..flipped.stored.bytes.len() * 8);
                    flipped.stored.bytes[bit / 8] ^= 1 << (bit % 8);
                    changed.push(flipped);
                    "a bit of the record"
                }
                50..60 => {
                    let mut flipped = row.clone();
                    let bit = random.random_range(0..5 * 8);
                    flipped.stored.bytes[bit / 8] ^= 1 << (bit % 8);
                    changed.push(flipped);
                    "a bit of the record's clear header"
                }
                60..70 => {
                    let mut flipped = row.clone();
                    flipped.stored.revision ^= 1 << random.random_range(0..62);
                    changed.push(flipped);
                    "a bit of the revision"
                }
                70..80 => {
                    let mut flipped = row.clone();
                    let bit = random.random_range(0..flipped.key.len() * 8);
                    flipped.key[bit / 8] ^= 1 << (bit % 8);
                    engine.tamper(&row.key, None);
                    changed.push(flipped);
                    "a bit of the key"
                }
                80..95 if a != b => {
                    let (mut one, mut two) = (row.clone(), other.clone());
                    let what = match random.random_range(0..4) {
                        0 => {
                            two.stored = one.stored.clone();
                            "a record copied over another"
                        }
                        1 => {
                            std::mem::swap(&mut one.stored, &mut two.stored);
                            "two records swapped"
                        }
                        2 => {
                            std::mem::swap(&mut one.stored.bytes, &mut two.stored.bytes);
                            "two records' bytes swapped"
                        }
                        _ => {
                            std::mem::swap(&mut one.stored.revision, &mut two.stored.revision);
                            "two records' revisions swapped"
                        }
                    };
                    changed.extend([one, two]);
                    what
                }
                _ => {
                    let mut cut = row.clone();
                    let at = random.random_range(0..cut.stored.bytes.len());
                    match random.random_bool(0.5) {
                        true => cut.stored.bytes.truncate(at),
                        false => cut.stored.bytes.insert(at, random.random()),
                    }
                    changed.push(cut);
                    "bytes cut off or put in"
                }
            };
            *kinds.entry(what).or_default() += 1;
            for row in &changed {
                engine.tamper(&row.key, Some(row.stored.clone()));
            }
            let context = || format!("tampering {number}, {what} in {a} and {b}");
            // Every so often from a cold start, when the key rings too come from the tampered rows.
            if number % COLD_START_EVERY == 0 {
                match Barrier::open(engine.clone(), &root(7)).await {
                    Ok(opened) => store = opened,
                    Err(BarrierError::WrongRootKey | BarrierError::Store(StoreError::Integrity(_))) => {
                        tally.not_opened += 1;
                    }
                    Err(error) => panic!("{error}: {}", context()),
                }
            }
            // The records that were touched, if they are records, and one that was not.
            for key in [a, b].iter().filter_map(|index| record_at.get(&rows[*index].key)) {
                tally.add(read(&store, key, &contents[*key]).await, &context);
            }
            if number % COLD_START_EVERY == 0 {
                for key in &keys {
                    tally.add(read(&store, key, &contents[*key]).await, &context);
                }
            }
            if let Some(key) = record_at.get(&row.key).filter(|_| number % 7 == 0) {
                let prefix = Prefix { partition: key.partition, kind: key.kind, outer: None };
                tally.add(read_range(&store, &contents, &prefix).await, &context);
            }

            for row in changed.iter().chain([row, other]) {
                engine.tamper(&row.key, originals.get(&row.key).cloned());
            }
            if number % COLD_START_EVERY == 0 {
                store = Barrier::open(engine.clone(), &root(7)).await.unwrap();
            }
        }
        println!("{RECORD_TAMPERINGS} tampered records: {kinds:?}; reads: {tally:?}");
        assert!(tally.integrity > RECORD_TAMPERINGS / 2, "the tampering was seen");
    });
}

/// 1,000 times: bits of the cold database file itself, its pages' structure and our tables' other columns included.
#[test]
fn a_tampered_database_file_gives_the_right_value_or_an_integrity_error() {
    run(async {
        let contents = contents();
        let directory = tempfile::tempdir().unwrap();
        let original = directory.path().join("original");
        std::fs::create_dir(&original).unwrap();
        let path = original.join("store.sqlite");
        Sqlite::create(&path).unwrap();
        Barrier::initialise(Sqlite::open(&path, ()).unwrap(), &root(7), [1; 16]).await.unwrap();
        let store = Barrier::open(Sqlite::open(&path, ()).unwrap(), &root(7)).await.unwrap();
        fill(&store, &contents).await;
        let announced = store.announced_since(Position(0)).await.unwrap();
        let settled = store.settled().await.unwrap();
        drop(store);
        assert!(!original.join("store.sqlite-wal").exists(), "closing moves everything into the database");

        let bytes = std::fs::read(&path).unwrap();
        let cold = directory.path().join("cold");
        copy(&original, &cold);
        let mut random = StdRng::seed_from_u64(0xf11e);
        let mut tally = Tally::default();
        let (mut marks, mut marks_refused) = (0, 0);
        for number in 0..FILE_TAMPERINGS {
            let mut tampered = bytes.clone();
            let mut flipped = Vec::new();
            for _ in 0..random.random_range(1..=3) {
                let bit = random.random_range(0..tampered.len() * 8);
                tampered[bit / 8] ^= 1 << (bit % 8);
                flipped.push(bit);
            }
            let context = || format!("tampering {number}, bits {flipped:?}");
            write_cold(&cold, &tampered);
            let engine = match Sqlite::open(&cold.join("store.sqlite"), ()) {
                Ok(engine) => engine,
                Err(_) => {
                    tally.not_opened += 1;
                    continue;
                }
            };
            let store = match Barrier::open(engine, &root(7)).await {
                Ok(store) => store,
                Err(_) => {
                    tally.not_opened += 1;
                    continue;
                }
            };
            for (key, wanted) in &contents {
                tally.add(read(&store, key, wanted).await, &context);
            }
            let key = contents.keys().nth(random.random_range(0..contents.len())).unwrap();
            let prefix = Prefix { partition: key.partition, kind: key.kind, outer: None };
            tally.add(read_range(&store, &contents, &prefix).await, &context);
            match store.announced_since(Position(0)).await {
                Ok(found) => {
                    assert!(found.iter().all(|position| announced.contains(position)), "{}", context());
                    marks += 1;
                }
                Err(_) => marks_refused += 1,
            }
            match store.settled().await {
                Ok(found) => assert!(found == settled || found == Position(0), "{found:?} {}", context()),
                Err(_) => marks_refused += 1,
            }
        }
        println!("{FILE_TAMPERINGS} tampered files: {tally:?}; marks read {marks}, refused {marks_refused}");
        assert!(tally.integrity > 100 && tally.right > 10_000);
    });
}

fn write_cold(cold: &Path, bytes: &[u8]) {
    for name in ["store.sqlite-wal", "store.sqlite-shm"] {
        // Left behind when a damaged store could not be closed in order.
        let _ = std::fs::remove_file(cold.join(name));
    }
    std::fs::write(cold.join("store.sqlite"), bytes).unwrap();
}

/// A record's bytes with the revision they were sealed at, put back over a newer one: a rollback of one record.
#[test]
fn an_old_revision_does_not_pass_for_the_new_one_under_the_new_number() {
    run(async {
        let engine = Memory::new();
        Barrier::initialise(engine.clone(), &root(7), [1; 16]).await.unwrap();
        let store = Barrier::open(engine.clone(), &root(7)).await.unwrap();
        let key = Key::new(tenant(1), Kind::Vault, "v");
        let first = store.commit(commit().put(key.clone(), Expect::Absent, value(b"old"))).await.unwrap()[0];
        let before = engine.scan(&[], None, 100).await.unwrap();
        store.commit(commit().put(key.clone(), Expect::At(first), value(b"new"))).await.unwrap();
        let after = engine.scan(&[], None, 100).await.unwrap();
        let (old, new) = before.iter().zip(&after).find(|(old, new)| old != new).unwrap();
        engine.tamper(&old.0, Some(Stored { revision: new.1.revision, bytes: old.1.bytes.clone() }));
        assert!(matches!(store.get(&key).await, Err(StoreError::Integrity(_))));
    });
}
