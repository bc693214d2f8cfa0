//! The store port's suite (architecture.md §5). An adapter passes when every fact here holds over it.
//!
//! `open` gives the same state again, as a restart would; the adapter's own tests say how. Each fact uses partitions
//! of its own, so that they may also run over a store that others use.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::audit::{Entry, Subject, Trail};
use vouchsafe_domain::ids::{TenantId, VaultId};
use vouchsafe_domain::ports::log::{LogUnavailable, Position};
use vouchsafe_domain::ports::store::{
    Commit, CommitError, Expect, Housekeeping, Key, Kind, Partition, Prefix, Revision, StoreError,
};
use vouchsafe_domain::ports::{Log, Store};
use vouchsafe_domain::time::Timestamp;

/// Gives a store over the same state each time; the one given before is no longer used.
pub trait Reopen {
    /// Opens the store.
    fn open(&self) -> impl Future<Output = Arc<dyn Store>>;
}

/// Runs every fact over an adapter.
pub async fn all(adapter: &impl Reopen) {
    what_was_put_is_read_back_also_after_reopening(adapter).await;
    a_commit_applies_whole_or_not_at_all(adapter).await;
    every_expectation_is_checked(adapter).await;
    a_recreated_record_never_looks_like_the_old_one(adapter).await;
    a_scan_stays_in_its_range_and_pages_without_loss(adapter).await;
    equal_names_in_different_places_are_different_records(adapter).await;
    a_watcher_hears_of_its_range_and_of_nothing_else(adapter).await;
    a_watcher_that_fell_behind_is_told_to_load_again(adapter).await;
    announced_commits_are_known_until_settled(adapter).await;
    concurrent_increments_lose_nothing(adapter).await;
    concurrent_first_writes_to_a_partition_all_succeed(adapter).await;
    a_single_use_record_is_spent_once(adapter).await;
    unlikely_names_and_values_survive(adapter).await;
    a_commit_that_breaks_a_limit_is_refused_whole(adapter).await;
    random_operations_agree_with_a_map(adapter, 0x5eed, 400).await;
}

/// A commit that no log entry announced: what suites write with.
pub fn commit() -> Commit {
    Commit::housekeeping(Housekeeping::Initialise)
}

/// A commit that an entry at `position` announced: made as the platform makes it, by a trail over a log that says so.
pub async fn announced_at(position: Position) -> Commit {
    let subject = Subject { by: "suite".to_owned(), ..Subject::default() };
    let entry = Entry::new(uuid::Uuid::nil(), subject, "suite", "/", Timestamp::default());
    let trail = Trail::new(Arc::new(Always(position)));
    trail.announce(entry).await.expect("a log that never fails").commit()
}

/// A log whose next position is always the same.
struct Always(Position);

#[async_trait]
impl Log for Always {
    async fn append(&self, _: Vec<u8>) -> Result<Position, LogUnavailable> {
        Ok(self.0)
    }

    fn append_later(&self, _: Vec<u8>) -> Result<(), LogUnavailable> {
        Ok(())
    }

    async fn flush(&self) -> Result<(), LogUnavailable> {
        Ok(())
    }

    async fn read(&self, _: Position, _: usize) -> Result<Vec<(Position, Vec<u8>)>, LogUnavailable> {
        Ok(Vec::new())
    }

    fn len(&self) -> u64 {
        self.0.0
    }
}

/// A tenant partition that a number names.
pub fn tenant(number: u128) -> Partition {
    Partition::Tenant(TenantId(uuid::Uuid::from_u128(number)))
}

/// A vault partition that two numbers name.
pub fn vault(tenant: u128, vault: u128) -> Partition {
    Partition::Vault(TenantId(uuid::Uuid::from_u128(tenant)), VaultId(uuid::Uuid::from_u128(vault)))
}

/// The bytes of a value.
pub fn value(bytes: impl AsRef<[u8]>) -> SecretBytes {
    SecretBytes::new(bytes.as_ref().to_vec())
}

async fn read(store: &dyn Store, key: &Key) -> Option<(Vec<u8>, Revision)> {
    let record = store.get(key).await.expect("a read")?;
    assert_eq!(&record.key, key);
    Some((record.value.expose(Reason::Test).to_vec(), record.revision))
}

async fn put(store: &dyn Store, key: &Key, expect: Expect, bytes: impl AsRef<[u8]>) -> Revision {
    let revisions = store.commit(commit().put(key.clone(), expect, value(bytes))).await.expect("a put");
    assert_eq!(revisions.len(), 1);
    revisions[0]
}

/// Every record of a range, page by page.
pub async fn list(
    store: &dyn Store,
    prefix: &Prefix,
    page: usize,
) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store.scan(prefix, after.as_ref(), page).await?;
        found.extend(
            page.records.into_iter().map(|record| (record.key, record.value.expose(Reason::Test).to_vec())),
        );
        match page.next {
            Some(cursor) => after = Some(cursor),
            None => return Ok(found),
        }
    }
}

async fn what_was_put_is_read_back_also_after_reopening(adapter: &impl Reopen) {
    let keys = [
        Key::new(Partition::Deployment, Kind::Tenant, "suite"),
        Key::new(tenant(1), Kind::Vault, "one"),
        Key::nested(vault(1, 1), Kind::SecretVersion, "name", "version"),
    ];
    let store = adapter.open().await;
    let mut revisions = Vec::new();
    for key in &keys {
        assert!(read(&*store, key).await.is_none());
        revisions.push(put(&*store, key, Expect::Absent, b"first").await);
    }
    drop(store);
    let store = adapter.open().await;
    for (key, revision) in keys.iter().zip(revisions) {
        assert_eq!(read(&*store, key).await, Some((b"first".to_vec(), revision)));
        let newer = put(&*store, key, Expect::At(revision), b"second").await;
        assert_ne!(newer, revision);
        assert_eq!(read(&*store, key).await, Some((b"second".to_vec(), newer)));
        store.commit(commit().delete(key.clone(), newer)).await.expect("a removal");
        assert!(read(&*store, key).await.is_none());
    }
    drop(store);
    let store = adapter.open().await;
    for key in &keys {
        assert!(read(&*store, key).await.is_none());
    }
}

async fn a_commit_applies_whole_or_not_at_all(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let name = |name: &str| Key::new(tenant(2), Kind::Group, name);
    let a = put(&*store, &name("a"), Expect::Absent, b"a1").await;
    let b = put(&*store, &name("b"), Expect::Absent, b"b1").await;
    let changes = |at: Revision| {
        commit()
            .put(name("a"), Expect::At(a), value(b"a2"))
            .delete(name("b"), b)
            .put(Key::new(vault(2, 9), Kind::Secret, "c"), Expect::Absent, value(b"c1"))
            .guard(name("a"), Expect::At(at))
    };
    assert_eq!(store.commit(changes(b)).await, Err(CommitError::Conflict));
    assert_eq!(read(&*store, &name("a")).await, Some((b"a1".to_vec(), a)));
    assert_eq!(read(&*store, &name("b")).await, Some((b"b1".to_vec(), b)));
    assert!(read(&*store, &Key::new(vault(2, 9), Kind::Secret, "c")).await.is_none());

    let revisions = store.commit(changes(a)).await.expect("the whole commit");
    assert_eq!(read(&*store, &name("a")).await, Some((b"a2".to_vec(), revisions[0])));
    assert!(read(&*store, &name("b")).await.is_none());
    assert_eq!(
        read(&*store, &Key::new(vault(2, 9), Kind::Secret, "c")).await,
        Some((b"c1".to_vec(), revisions[1]))
    );
    assert_eq!(revisions.len(), 2, "one revision per put, none for what the adapter wrote for itself");
}

async fn every_expectation_is_checked(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let (present, absent) = (Key::new(tenant(3), Kind::Group, "p"), Key::new(tenant(3), Kind::Group, "a"));
    let old = put(&*store, &present, Expect::Absent, b"1").await;
    let now = put(&*store, &present, Expect::At(old), b"2").await;
    let refused = [
        commit().put(present.clone(), Expect::Absent, value(b"x")),
        commit().put(present.clone(), Expect::At(old), value(b"x")),
        commit().put(absent.clone(), Expect::At(now), value(b"x")),
        commit().delete(present.clone(), old),
        commit().delete(absent.clone(), now),
        commit().guard(present.clone(), Expect::Absent),
        commit().guard(present.clone(), Expect::At(old)),
        commit().guard(absent.clone(), Expect::At(now)),
    ];
    for (index, commit) in refused.into_iter().enumerate() {
        assert_eq!(store.commit(commit).await, Err(CommitError::Conflict), "case {index}");
    }
    assert_eq!(read(&*store, &present).await, Some((b"2".to_vec(), now)));
    let held = commit().guard(present.clone(), Expect::At(now)).guard(absent.clone(), Expect::Absent);
    assert_eq!(store.commit(held).await, Ok(vec![]));
    assert_eq!(store.commit(commit()).await, Ok(vec![]));
}

async fn a_recreated_record_never_looks_like_the_old_one(adapter: &impl Reopen) {
    let key = Key::new(tenant(4), Kind::Group, "again");
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let store = adapter.open().await;
        for _ in 0..3 {
            let revision = put(&*store, &key, Expect::Absent, b"same").await;
            assert!(seen.insert(revision), "a revision came twice");
            for old in &seen {
                let expected = if *old == revision { Ok(vec![]) } else { Err(CommitError::Conflict) };
                assert_eq!(store.commit(commit().guard(key.clone(), Expect::At(*old))).await, expected);
            }
            store.commit(commit().delete(key.clone(), revision)).await.expect("a removal");
        }
    }
}

async fn a_scan_stays_in_its_range_and_pages_without_loss(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let mut expected: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
    for partition in [tenant(5), vault(5, 1), vault(5, 2), tenant(6)] {
        for kind in [Kind::Secret, Kind::SecretVersion] {
            for outer in ["a", "b"] {
                let mut changes = commit();
                let names = (0..7).map(|inner| Key::nested(partition, kind, outer, inner.to_string()));
                for key in names.chain([Key::new(partition, kind, outer)]) {
                    let bytes = format!("{key:?}").into_bytes();
                    changes = changes.put(key.clone(), Expect::Absent, value(&bytes));
                    expected.insert(key, bytes);
                }
                store.commit(changes).await.expect("eight records");
            }
        }
    }
    for partition in [tenant(5), vault(5, 1), vault(5, 2), tenant(6), vault(6, 1), tenant(7)] {
        for kind in [Kind::Secret, Kind::SecretVersion, Kind::SecretValue] {
            for outer in [None, Some("a".to_owned()), Some("b".to_owned()), Some("c".to_owned())] {
                let prefix = Prefix { partition, kind, outer };
                let wanted: BTreeMap<_, _> = expected
                    .iter()
                    .filter(|(key, _)| key.partition == partition && key.kind == kind)
                    .filter(|(key, _)| {
                        prefix.outer.as_ref().is_none_or(|outer| key.name.len() == 2 && key.name[0] == *outer)
                    })
                    .map(|(key, bytes)| (key.clone(), bytes.clone()))
                    .collect();
                let mut orders = Vec::new();
                for page in [1, 3, 7, 16, 1000] {
                    let found = list(&*store, &prefix, page).await.expect("a scan");
                    assert_eq!(found.len(), wanted.len(), "{prefix:?} by {page}");
                    orders.push(found.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>());
                    assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), wanted, "{prefix:?} by {page}");
                }
                assert!(orders.windows(2).all(|pair| pair[0] == pair[1]), "the order depends on the page");
            }
        }
    }
}

async fn equal_names_in_different_places_are_different_records(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let mut keys = Vec::new();
    for partition in [Partition::Deployment, tenant(8), vault(8, 8), vault(8, 9), vault(9, 8), tenant(9)] {
        for kind in [Kind::Secret, Kind::DeletedSecret] {
            keys.push(Key::new(partition, kind, "same"));
            keys.push(Key::nested(partition, kind, "same", "same"));
            keys.push(Key::nested(partition, kind, "samesame", ""));
        }
    }
    for (index, key) in keys.iter().enumerate() {
        put(&*store, key, Expect::Absent, index.to_string()).await;
    }
    for (index, key) in keys.iter().enumerate() {
        let (bytes, revision) = read(&*store, key).await.expect("the record");
        assert_eq!(bytes, index.to_string().into_bytes());
        store.commit(commit().delete(key.clone(), revision)).await.expect("a removal");
    }
}

async fn next(
    stream: &mut (impl StreamExt<Item = Result<Key, StoreError>> + Unpin),
) -> Result<Key, StoreError> {
    tokio::time::timeout(Duration::from_secs(10), stream.next()).await.expect("in time").expect("a change")
}

async fn a_watcher_hears_of_its_range_and_of_nothing_else(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let prefix =
        |kind, outer: Option<&str>| Prefix { partition: vault(10, 1), kind, outer: outer.map(Into::into) };
    let mut all = store.watch(prefix(Kind::SecretVersion, None));
    let mut below = store.watch(prefix(Kind::SecretVersion, Some("a")));
    let version = |outer: &str, inner: &str| Key::nested(vault(10, 1), Kind::SecretVersion, outer, inner);
    let foreign = [
        Key::nested(vault(10, 2), Kind::SecretVersion, "a", "1"),
        Key::nested(tenant(10), Kind::SecretVersion, "a", "1"),
        Key::nested(vault(10, 1), Kind::SecretValue, "a", "1"),
    ];
    for key in &foreign {
        put(&*store, key, Expect::Absent, b"").await;
    }
    let b = put(&*store, &version("b", "1"), Expect::Absent, b"").await;
    let conflict =
        commit().put(version("a", "0"), Expect::Absent, value(b"")).delete(version("b", "1"), Revision(0));
    assert_eq!(store.commit(conflict).await, Err(CommitError::Conflict));
    let both = commit().put(version("a", "1"), Expect::Absent, value(b"")).delete(version("b", "1"), b);
    store.commit(both).await.expect("both");
    assert_eq!(next(&mut all).await, Ok(version("b", "1")));
    assert_eq!(next(&mut all).await, Ok(version("a", "1")));
    assert_eq!(next(&mut all).await, Ok(version("b", "1")));
    assert_eq!(next(&mut below).await, Ok(version("a", "1")));
}

async fn a_watcher_that_fell_behind_is_told_to_load_again(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let key = Key::new(tenant(11), Kind::Epoch, "epoch");
    let mut slow = store.watch(Prefix { partition: tenant(11), kind: Kind::Epoch, outer: None });
    let mut revision = put(&*store, &key, Expect::Absent, b"").await;
    for _ in 0..2000 {
        revision = put(&*store, &key, Expect::At(revision), b"").await;
    }
    // Either every change arrives or the watcher is told; it is never left without knowing.
    let mut heard = 0;
    loop {
        match next(&mut slow).await {
            Ok(changed) => assert_eq!(changed, key),
            Err(_) => break,
        }
        heard += 1;
        if heard == 2001 {
            break;
        }
    }
    // And it goes on afterwards.
    while tokio::time::timeout(Duration::from_millis(50), slow.next()).await.is_ok() {}
    put(&*store, &key, Expect::At(revision), b"").await;
    assert_eq!(next(&mut slow).await, Ok(key));
}

async fn announced_commits_are_known_until_settled(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let start = store.settled().await.expect("a position").0.max(1_000);
    let key = |n: u64| Key::new(tenant(12), Kind::Group, n.to_string());
    let announce =
        async |n: u64, expect| announced_at(Position(start + n)).await.put(key(n), expect, value(b""));
    for n in [3, 1, 7] {
        store.commit(announce(n, Expect::Absent).await).await.expect("a commit");
    }
    assert_eq!(store.commit(announce(5, Expect::At(Revision(0))).await).await, Err(CommitError::Conflict));
    drop(store);
    let store = adapter.open().await;
    let since = |from| store.announced_since(Position(start + from));
    let positions = |numbers: &[u64]| numbers.iter().map(|n| Position(start + n)).collect::<Vec<_>>();
    assert_eq!(since(0).await, Ok(positions(&[1, 3, 7])));
    assert_eq!(since(2).await, Ok(positions(&[3, 7])));
    assert_eq!(since(8).await, Ok(vec![]));
    store.settle(Position(start + 3)).await.expect("settled");
    store.settle(Position(start)).await.expect("settling backwards changes nothing");
    assert_eq!(since(0).await, Ok(positions(&[3, 7])));
    drop(store);
    let store = adapter.open().await;
    assert_eq!(store.settled().await, Ok(Position(start + 3)));
    store.settle(Position(start + 8)).await.expect("settled");
    assert_eq!(store.announced_since(Position(0)).await, Ok(vec![]));
}

async fn concurrent_increments_lose_nothing(adapter: &impl Reopen) {
    const TASKS: u64 = 64;
    const EACH: u64 = 4;
    let store = adapter.open().await;
    let counter = Key::new(tenant(13), Kind::Epoch, "counter");
    put(&*store, &counter, Expect::Absent, 0u64.to_be_bytes()).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, counter) = (Arc::clone(&store), counter.clone());
            tokio::spawn(async move {
                for _ in 0..EACH {
                    loop {
                        let (bytes, revision) = read(&*store, &counter).await.expect("the counter");
                        let next = u64::from_be_bytes(bytes.try_into().expect("eight bytes")) + 1;
                        let write =
                            commit().put(counter.clone(), Expect::At(revision), value(next.to_be_bytes()));
                        match store.commit(write).await {
                            Ok(_) => break,
                            Err(CommitError::Conflict) => tokio::task::yield_now().await,
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    let (bytes, _) = read(&*store, &counter).await.expect("the counter");
    assert_eq!(u64::from_be_bytes(bytes.try_into().expect("eight bytes")), TASKS * EACH);
}

async fn concurrent_first_writes_to_a_partition_all_succeed(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let tasks: Vec<_> = (0..64u32)
        .map(|n| {
            let store = Arc::clone(&store);
            // Nobody has written to this tenant or its vaults: an adapter may have to prepare them first.
            let key = Key::new(vault(14, u128::from(n % 4)), Kind::Secret, n.to_string());
            tokio::spawn(async move {
                let revision = put(&*store, &key, Expect::Absent, n.to_be_bytes()).await;
                assert_eq!(read(&*store, &key).await, Some((n.to_be_bytes().to_vec(), revision)));
                key
            })
        })
        .collect();
    let mut keys = Vec::new();
    for task in tasks {
        keys.push(task.await.expect("a task"));
    }
    drop(store);
    let store = adapter.open().await;
    for key in keys {
        assert!(read(&*store, &key).await.is_some());
    }
}

async fn a_single_use_record_is_spent_once(adapter: &impl Reopen) {
    let store = adapter.open().await;
    for round in 0..3 {
        let key = Key::new(tenant(15), Kind::Group, format!("token {round}"));
        let revision = put(&*store, &key, Expect::Absent, b"join").await;
        let tries: Vec<_> = (0..200)
            .map(|_| {
                let (store, spend) = (Arc::clone(&store), commit().delete(key.clone(), revision));
                tokio::spawn(async move { store.commit(spend).await })
            })
            .collect();
        let mut spent = 0;
        for attempt in tries {
            match attempt.await.expect("a task") {
                Ok(_) => spent += 1,
                Err(error) => assert_eq!(error, CommitError::Conflict),
            }
        }
        assert_eq!(spent, 1);
    }
}

async fn unlikely_names_and_values_survive(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let long = "x".repeat(1024);
    for (index, name) in
        ["", "/", "a/b", "\0", "é\u{0301}", "🔑", "A", "a", " ", &long].into_iter().enumerate()
    {
        let key = Key::nested(tenant(16), Kind::Group, name, index.to_string());
        put(&*store, &key, Expect::Absent, name).await;
        assert_eq!(read(&*store, &key).await.map(|(bytes, _)| bytes), Some(name.as_bytes().to_vec()));
        let prefix = Prefix { partition: tenant(16), kind: Kind::Group, outer: Some(name.into()) };
        assert_eq!(list(&*store, &prefix, 10).await, Ok(vec![(key, name.as_bytes().to_vec())]));
    }
    for size in [0, 1, 4096, 65_536, 1 << 20] {
        let key = Key::new(tenant(16), Kind::SecretValue, size.to_string());
        let bytes: Vec<u8> = (0..size).map(|n: usize| n.to_le_bytes()[0]).collect();
        put(&*store, &key, Expect::Absent, &bytes).await;
        assert_eq!(read(&*store, &key).await.map(|(bytes, _)| bytes), Some(bytes));
    }
}

async fn a_commit_that_breaks_a_limit_is_refused_whole(adapter: &impl Reopen) {
    let store = adapter.open().await;
    let key = |n: usize| Key::new(tenant(17), Kind::Group, n.to_string());
    let many = |count| (0..count).fold(commit(), |commit, n| commit.put(key(n), Expect::Absent, value(b"")));
    let refused = [
        many(Commit::CHANGES_MAX + 1),
        commit().put(key(0), Expect::Absent, value(b"1")).put(key(0), Expect::Absent, value(b"2")),
        commit().put(key(0), Expect::Absent, value(b"1")).put(
            Key { partition: tenant(17), kind: Kind::Group, name: vec![] },
            Expect::Absent,
            value(b""),
        ),
        commit().put(key(0), Expect::Absent, value(b"1")).put(
            Key { partition: tenant(17), kind: Kind::Group, name: vec!["a".into(), "b".into(), "c".into()] },
            Expect::Absent,
            value(b""),
        ),
    ];
    for (index, commit) in refused.into_iter().enumerate() {
        assert!(matches!(store.commit(commit).await, Err(CommitError::Store(_))), "case {index}");
        assert!(read(&*store, &key(0)).await.is_none());
    }
    let most = store.commit(many(Commit::CHANGES_MAX)).await;
    assert_eq!(most.map(|revisions| revisions.len()), Ok(Commit::CHANGES_MAX));
}

/// One random operation of the model test.
#[derive(Clone, Debug)]
enum Operation {
    Put { key: Key, stale: bool, bytes: Vec<u8> },
    Delete { key: Key, stale: bool },
    Many(Vec<(Key, Vec<u8>)>),
    Scan(Prefix, usize),
    Reopen,
}

fn operations() -> impl Strategy<Value = Operation> {
    let partition =
        prop_oneof![Just(tenant(90)), Just(vault(90, 1)), Just(vault(90, 2)), Just(Partition::Deployment)];
    let kind = prop_oneof![Just(Kind::Group), Just(Kind::Secret)];
    let name = prop_oneof!["[ab]".prop_map(|a| vec![a]), ("[ab]", "[abc]").prop_map(|(a, b)| vec![a, b])];
    let key = (partition.clone(), kind.clone(), name).prop_map(|(partition, kind, name)| Key {
        partition,
        kind,
        name,
    });
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    let outer = proptest::option::of("[abc]");
    let prefix =
        (partition, kind, outer).prop_map(|(partition, kind, outer)| Prefix { partition, kind, outer });
    prop_oneof![
        8 => (key.clone(), proptest::bool::weighted(0.2), bytes.clone())
            .prop_map(|(key, stale, bytes)| Operation::Put { key, stale, bytes }),
        3 => (key.clone(), proptest::bool::weighted(0.2)).prop_map(|(key, stale)| Operation::Delete { key, stale }),
        2 => proptest::collection::btree_map(key, bytes, 1..6)
            .prop_map(|writes| Operation::Many(writes.into_iter().collect())),
        3 => (prefix, 1usize..5).prop_map(|(prefix, page)| Operation::Scan(prefix, page)),
        1 => Just(Operation::Reopen),
    ]
}

/// Does what a seed says, `count` times, to the adapter and to a map, and compares after each step.
pub async fn random_operations_agree_with_a_map(adapter: &impl Reopen, seed: u64, count: usize) {
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let strategy = operations();
    let mut model: BTreeMap<Key, (Vec<u8>, Revision)> = BTreeMap::new();
    let mut last_gone: BTreeMap<Key, Revision> = BTreeMap::new();
    let mut store = adapter.open().await;
    for step in 0..count {
        let operation = strategy.new_tree(&mut runner).expect("an operation").current();
        let context = format!("seed {seed}, step {step}, {operation:?}");
        let expectation = |key: &Key, stale: bool| match (model.get(key), last_gone.get(key), stale) {
            (Some((_, revision)), _, false) => Expect::At(*revision),
            (None, _, false) | (Some(_), None, true) => Expect::Absent,
            (_, Some(gone), true) => Expect::At(*gone),
            (None, None, true) => Expect::At(Revision(1)),
        };
        match operation {
            Operation::Put { key, stale, bytes } => {
                let expect = expectation(&key, stale);
                let result = store.commit(commit().put(key.clone(), expect, value(&bytes))).await;
                if stale {
                    assert_eq!(result, Err(CommitError::Conflict), "{context}");
                } else {
                    let revision = result.expect(&context)[0];
                    let old = model.insert(key.clone(), (bytes, revision));
                    last_gone.extend(old.map(|(_, revision)| (key, revision)));
                }
            }
            Operation::Delete { key, stale } => {
                let revision = match expectation(&key, stale) {
                    Expect::At(revision) => revision,
                    Expect::Absent => Revision(1),
                };
                let result = store.commit(commit().delete(key.clone(), revision)).await;
                if !stale && model.contains_key(&key) {
                    result.expect(&context);
                    let old = model.remove(&key);
                    last_gone.extend(old.map(|(_, revision)| (key, revision)));
                } else {
                    assert_eq!(result, Err(CommitError::Conflict), "{context}");
                }
            }
            Operation::Many(writes) => {
                let mut changes = commit();
                for (key, bytes) in &writes {
                    changes = changes.put(key.clone(), expectation(key, false), value(bytes));
                }
                let revisions = store.commit(changes).await.expect(&context);
                for ((key, bytes), revision) in writes.into_iter().zip(revisions) {
                    let old = model.insert(key.clone(), (bytes, revision));
                    last_gone.extend(old.map(|(_, revision)| (key, revision)));
                }
            }
            Operation::Scan(prefix, page) => {
                let found: BTreeMap<_, _> =
                    list(&*store, &prefix, page).await.expect(&context).into_iter().collect();
                let wanted: BTreeMap<_, _> = model
                    .iter()
                    .filter(|(key, _)| key.partition == prefix.partition && key.kind == prefix.kind)
                    .filter(|(key, _)| {
                        prefix.outer.as_ref().is_none_or(|outer| key.name.len() == 2 && key.name[0] == *outer)
                    })
                    .map(|(key, (bytes, _))| (key.clone(), bytes.clone()))
                    .collect();
                assert_eq!(found, wanted, "{context}");
            }
            Operation::Reopen => {
                drop(store);
                store = adapter.open().await;
            }
        }
        if step % 20 == 0 {
            for (key, record) in &model {
                assert_eq!(read(&*store, key).await.as_ref(), Some(record), "{context}");
            }
        }
    }
}
