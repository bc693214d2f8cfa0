//! All rings get new keys while the store is in use, and the work may end anywhere.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vouchsafe_crypto::Reason;
use vouchsafe_domain::ports::Store;
use vouchsafe_domain::ports::store::{Expect, Key, Kind, Partition, Prefix};
use vouchsafe_store::Barrier;
use vouchsafe_store::barrier::rekey::{BATCH_RECORDS_MAX, Progress, Rekey, Rekeyed};
use vouchsafe_store::engine::memory::Memory;
use vouchsafe_store::engine::sqlite::Sqlite;
use vouchsafe_store::engine::{Batch, BatchError, Engine, EngineError, Mark, Stored};
use vouchsafe_testkit::suites::store::{commit, tenant, value, vault};

use crate::support::{copy, root, run};
use crate::{RING, get, new_store, put};

/// An engine that stops after some commits, as if the process had been killed there.
struct Mortal<E> {
    inner: E,
    commits_left: Arc<AtomicU64>,
}

impl<E: Engine> Engine for Mortal<E> {
    async fn get(&self, key: &[u8]) -> Result<Option<Stored>, EngineError> {
        self.inner.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Stored)>, EngineError> {
        self.inner.scan(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), BatchError> {
        let left = |left: u64| left.checked_sub(1);
        if self.commits_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_err() {
            return Err(EngineError::Unavailable("killed".into()).into());
        }
        self.inner.commit(batch).await
    }

    async fn reserve_revisions(&self) -> Result<Range<u64>, EngineError> {
        self.inner.reserve_revisions().await
    }

    async fn announced_since(&self, from: u64) -> Result<Vec<Mark>, EngineError> {
        self.inner.announced_since(from).await
    }

    async fn settle(&self, before: Mark) -> Result<(), EngineError> {
        self.inner.settle(before).await
    }

    async fn settled(&self) -> Result<Option<Mark>, EngineError> {
        self.inner.settled().await
    }
}

fn partitions() -> Vec<Partition> {
    vec![vault(1, 1), tenant(1), vault(1, 2), tenant(2), vault(2, 1), vault(3, 9)]
}

fn contents() -> BTreeMap<Key, String> {
    let written = partitions().into_iter().take(5).chain([Partition::Deployment]);
    let records = written.flat_map(|partition| {
        (0..3).map(move |n| {
            (Key::new(partition, Kind::Secret, format!("record {n}")), format!("{partition:?} {n}"))
        })
    });
    records.collect()
}

async fn filled(engine: &Memory) {
    let store = new_store(engine).await;
    for (key, text) in contents() {
        put(&store, &key, &text).await;
    }
}

async fn all_is_there<E: Engine>(store: &Barrier<E>) {
    for (key, text) in contents() {
        let record = store.get(&key).await.unwrap().expect("the record");
        assert_eq!(record.value.expose(Reason::Test), text.as_bytes());
        let prefix = Prefix { partition: key.partition, kind: key.kind, outer: None };
        assert_eq!(store.scan(&prefix, None, 10).await.unwrap().records.len(), 3);
    }
}

/// 18 records and the canary.
const RECORDS: usize = 19;

#[test]
fn new_keys_leave_every_record_and_its_revision_as_they_were_and_nothing_under_an_old_key() {
    run(async {
        let engine = Memory::new();
        filled(&engine).await;
        let before: BTreeMap<_, _> = engine.scan(&[], None, 1000).await.unwrap().into_iter().collect();
        let store = Barrier::open(engine.clone(), &root(7)).await.unwrap();
        assert!(!store.is_pending().await.unwrap());
        let nothing_begun = store.run(&partitions(), &Progress::default()).await;
        assert_eq!((nothing_begun, versions(&engine).await), (Ok(Rekeyed::default()), [(1, RECORDS)].into()));
        assert!(store.begin().await.unwrap());
        assert!(!store.begin().await.unwrap(), "it is begun once");
        let progress = Progress::default();
        assert_eq!(store.run(&partitions(), &progress).await, Ok(Rekeyed { strays: 0 }));
        assert!(!store.is_pending().await.unwrap());
        assert_eq!(versions(&engine).await, [(2, RECORDS)].into());
        assert_eq!(progress.partitions_done.load(Ordering::Relaxed), 7);
        for (key, stored) in engine.scan(&[], None, 1000).await.unwrap() {
            let old = &before[&key];
            assert_ne!(old.bytes, stored.bytes);
            if key[33] != RING {
                assert_eq!(old.revision, stored.revision);
            }
        }
        all_is_there(&store).await;
        all_is_there(&Barrier::open(engine.clone(), &root(7)).await.unwrap()).await;
        // What was copied before opens no more: its key is destroyed.
        let (key, old) = before.iter().find(|(key, _)| key[0] == 3 && key[33] == Kind::Secret as u8).unwrap();
        engine.tamper(key, Some(old.clone()));
        let store = Barrier::open(engine.clone(), &root(7)).await.unwrap();
        let mut refused = 0;
        for key in contents().into_keys() {
            refused += usize::from(store.get(&key).await.is_err());
        }
        assert_eq!(refused, 1);
    });
}

/// How many records there are by the version of the key in their header, rings apart.
async fn versions(engine: &impl Engine) -> BTreeMap<u32, usize> {
    let mut versions = BTreeMap::new();
    for (key, stored) in engine.scan(&[], None, 10_000).await.unwrap() {
        if key[33] != RING {
            *versions.entry(u32::from_be_bytes(stored.bytes[1..5].try_into().unwrap())).or_default() += 1;
        }
    }
    versions
}

/// Gives out keys until `commits` commits were made, and goes on with whatever `engine` opens then. Whether it was done
/// before that.
async fn killed_after<E: Engine, F: Future<Output = E>>(commits: u64, engine: impl Fn() -> F) -> bool {
    let mortal = Mortal { inner: engine().await, commits_left: Arc::new(AtomicU64::new(commits)) };
    let store = Barrier::open(mortal, &root(7)).await.unwrap();
    let first = match store.begin().await {
        Ok(_) => store.run(&partitions(), &Progress::default()).await.map(|_| ()),
        Err(error) => Err(error),
    };
    all_is_there(&store).await;
    drop(store);
    let store = Barrier::open(engine().await, &root(7)).await.unwrap();
    all_is_there(&store).await;
    if first.is_ok() {
        assert!(commits > 15, "killed {commits} times");
        return true;
    }
    if commits > 0 {
        assert!(store.is_pending().await.unwrap(), "begun, and not done, after {commits}");
    }
    store.begin().await.unwrap();
    store.run(&partitions(), &Progress::default()).await.unwrap();
    all_is_there(&store).await;
    drop(store);
    // One new key each, however often it was begun: nothing was rotated twice.
    assert_eq!(versions(&engine().await).await, [(2, RECORDS)].into(), "after {commits} commits");
    false
}

#[test]
fn killed_after_every_commit_the_work_goes_on_and_no_read_fails() {
    run(async {
        for commits in 0.. {
            let engine = Memory::new();
            filled(&engine).await;
            if killed_after(commits, || async { engine.clone() }).await {
                return;
            }
        }
    });
}

#[test]
fn killed_after_every_commit_a_database_on_disk_goes_on_and_no_read_fails() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    std::fs::create_dir(&whole).unwrap();
    let path = whole.join("store.sqlite");
    run(async {
        Sqlite::create(&path).unwrap();
        Barrier::initialise(Sqlite::open(&path, ()).unwrap(), &root(7), [1; 16]).await.unwrap();
        let store = Barrier::open(Sqlite::open(&path, ()).unwrap(), &root(7)).await.unwrap();
        for (key, text) in contents() {
            store.commit(commit().put(key, Expect::Absent, value(text))).await.unwrap();
        }
        drop(store);
        for commits in 0.. {
            let mortal = directory.path().join(format!("killed-{commits}"));
            copy(&whole, &mortal);
            let path = mortal.join("store.sqlite");
            let done = killed_after(commits, || async { Sqlite::open(&path, ()).unwrap() }).await;
            std::fs::remove_dir_all(&mortal).unwrap();
            if done {
                println!("a database on disk was killed after each of {commits} commits");
                return;
            }
        }
    });
}

#[test]
fn writers_and_readers_do_not_notice_that_keys_are_replaced_and_destroyed() {
    run(async {
        let engine = Memory::new();
        filled(&engine).await;
        let store = Arc::new(Barrier::open(engine.clone(), &root(7)).await.unwrap());
        let many = BATCH_RECORDS_MAX + 9;
        let key = |n: usize| Key::nested(vault(1, 1), Kind::SecretValue, "busy", n.to_string());
        for n in 0..many {
            put(&store, &key(n), "0").await;
        }
        let done = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for task in 0..4 {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                let mut round = 0_u64;
                let mut fresh_vaults = 0..15_u64;
                while !done.load(Ordering::SeqCst) {
                    for n in (task..many).step_by(4) {
                        let record = store.get(&key(n)).await.unwrap().expect("the record");
                        round += 1;
                        let put = commit().put(key(n), Expect::At(record.revision), value(round.to_string()));
                        store
                            .commit(put)
                            .await
                            .expect("nobody else writes it, and sealing it anew is not a write");
                        assert_eq!(get(&store, &key(n)).await, Ok(Some(round.to_string().into_bytes())));
                    }
                    if let Some(fresh) = fresh_vaults.next() {
                        let vault = vault(1, 100 + u128::from(fresh));
                        put(&store, &Key::new(vault, Kind::Secret, format!("{task} {fresh}")), "x").await;
                    }
                }
            }));
        }
        let (reader_store, reader_done) = (Arc::clone(&store), Arc::clone(&done));
        tasks.push(tokio::spawn(async move {
            let prefix =
                Prefix { partition: vault(1, 1), kind: Kind::SecretValue, outer: Some("busy".into()) };
            while !reader_done.load(Ordering::SeqCst) {
                // Nothing in memory makes it wait: without this it might keep a thread, and whoever is to run there next,
                // for ever.
                tokio::task::yield_now().await;
                all_is_there(&reader_store).await;
                assert_eq!(reader_store.scan(&prefix, None, 1000).await.unwrap().records.len(), many);
            }
        }));
        for _ in 0..4 {
            assert!(store.begin().await.unwrap());
            let mut partitions = partitions();
            partitions.extend((0..15).map(|n| vault(1, 100 + n)));
            store.run(&partitions, &Progress::default()).await.unwrap();
        }
        done.store(true, Ordering::SeqCst);
        for task in tasks {
            task.await.unwrap();
        }
        all_is_there(&Barrier::open(engine.clone(), &root(7)).await.unwrap()).await;
    });
}

#[test]
fn a_ring_that_nobody_names_keeps_the_older_key_above_it_alive() {
    run(async {
        let engine = Memory::new();
        filled(&engine).await;
        let store = Barrier::open(engine.clone(), &root(7)).await.unwrap();
        let named: Vec<_> = partitions().into_iter().filter(|partition| *partition != vault(1, 2)).collect();
        for round in 1..=2 {
            store.begin().await.unwrap();
            let rekeyed = store.run(&named, &Progress::default()).await.unwrap();
            assert_eq!(rekeyed, Rekeyed { strays: 1 }, "round {round}");
            all_is_there(&Barrier::open(engine.clone(), &root(7)).await.unwrap()).await;
        }
        store.begin().await.unwrap();
        assert_eq!(store.run(&partitions(), &Progress::default()).await, Ok(Rekeyed { strays: 0 }));
        all_is_there(&Barrier::open(engine.clone(), &root(7)).await.unwrap()).await;
    });
}
