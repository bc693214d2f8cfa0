//! A store that fails as it is told to: each write can be lost, or applied without the caller hearing of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use vouchsafe_domain::ports::Store;
use vouchsafe_domain::ports::log::Position;
use vouchsafe_domain::ports::store::{
    Commit, CommitError, Cursor, Key, Page, Prefix, Record, Revision, StoreError,
};

/// What happens to one commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommitFault {
    /// Nothing is applied, and the caller hears that the store is unavailable.
    NotApplied,
    /// It is applied if its expectations hold, but the caller hears that the store is unavailable.
    AppliedNotAcknowledged,
    /// It is applied if its expectations hold, and no answer ever comes: the caller gives up or goes away.
    AppliedNeverAnswered,
    /// Somebody else seems to have come first.
    Conflict,
}

/// What happens to one read.
enum ReadFault {
    /// The caller hears that the store is unavailable.
    Unavailable,
    /// The caller gets what is there, and right after that somebody else's commit is applied.
    Overtaken(Commit),
}

/// A store with a fault plan.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Mutex<BTreeMap<u64, CommitFault>>,
    reads_plan: Mutex<BTreeMap<Key, ReadFault>>,
    commits: AtomicU64,
    reads: AtomicU64,
    reads_fail: AtomicBool,
    takes_turns: AtomicBool,
}

impl FaultyStore {
    /// Behaves until it is told otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let (commits, reads, reads_fail, takes_turns) = Default::default();
        let reads_plan = Mutex::default();
        Self { inner, plan: Mutex::default(), reads_plan, commits, reads, reads_fail, takes_turns }
    }

    /// Lets the `ahead`-th commit from now on fail; zero is the next one.
    pub fn fail_commit(&self, ahead: u64, fault: CommitFault) {
        let number = self.commits() + ahead;
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).insert(number, fault);
    }

    /// Makes all reads fail, or work again.
    pub fn fail_reads(&self, fail: bool) {
        self.reads_fail.store(fail, Ordering::SeqCst);
    }

    /// Lets others run before each access, as a store does that is not in memory.
    pub fn take_turns(&self, turns: bool) {
        self.takes_turns.store(turns, Ordering::SeqCst);
    }

    /// Makes the next read of one record fail.
    pub fn fail_read(&self, key: Key) {
        self.reads_plan().insert(key, ReadFault::Unavailable);
    }

    /// Lets somebody else's commit happen right after the next read of one record.
    pub fn overtake(&self, key: Key, commit: Commit) {
        self.reads_plan().insert(key, ReadFault::Overtaken(commit));
    }

    fn reads_plan(&self) -> MutexGuard<'_, BTreeMap<Key, ReadFault>> {
        self.reads_plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many commits were tried.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// How many records were asked for or given out.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// What it stands before.
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    async fn turn(&self) {
        if self.takes_turns.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }

    fn read_allowed(&self) -> Result<(), StoreError> {
        if self.reads_fail.load(Ordering::SeqCst) { Err(unavailable()) } else { Ok(()) }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the fault plan says so".into())
}

#[async_trait]
impl Store for FaultyStore {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.turn().await;
        self.read_allowed()?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        let fault = self.reads_plan().remove(key);
        match fault {
            None => self.inner.get(key).await,
            Some(ReadFault::Unavailable) => Err(unavailable()),
            Some(ReadFault::Overtaken(commit)) => {
                let read = self.inner.get(key).await;
                self.inner.commit(commit).await.expect("a plan that can be carried out");
                read
            }
        }
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.turn().await;
        self.read_allowed()?;
        let page = self.inner.scan(prefix, after, limit).await?;
        self.reads.fetch_add(1 + page.records.len() as u64, Ordering::SeqCst);
        Ok(page)
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Revision>, CommitError> {
        self.turn().await;
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let fault = self.plan.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        match fault {
            None => self.inner.commit(commit).await,
            Some(CommitFault::Conflict) => Err(CommitError::Conflict),
            Some(CommitFault::NotApplied) => Err(unavailable().into()),
            Some(CommitFault::AppliedNotAcknowledged) => {
                // Whether it was applied is exactly what the caller does not learn.
                let _ = self.inner.commit(commit).await;
                Err(unavailable().into())
            }
            Some(CommitFault::AppliedNeverAnswered) => {
                let _ = self.inner.commit(commit).await;
                std::future::pending().await
            }
        }
    }

    fn watch(&self, prefix: Prefix) -> BoxStream<'static, Result<Key, StoreError>> {
        self.inner.watch(prefix)
    }

    async fn announced_since(&self, from: Position) -> Result<Vec<Position>, StoreError> {
        self.read_allowed()?;
        self.inner.announced_since(from).await
    }

    async fn settle(&self, before: Position) -> Result<(), StoreError> {
        self.inner.settle(before).await
    }

    async fn settled(&self) -> Result<Position, StoreError> {
        self.read_allowed()?;
        self.inner.settled().await
    }
}

#[cfg(test)]
mod tests {
    use vouchsafe_crypto::envelope::Kek;
    use vouchsafe_domain::ports::store::{Expect, Kind, Partition};
    use vouchsafe_store::Barrier;
    use vouchsafe_store::engine::memory::Memory;

    use super::*;
    use crate::suites::store::{commit, value};

    async fn working() -> FaultyStore {
        let (engine, root) = (Memory::new(), Kek::generate());
        Barrier::initialise(engine.clone(), &root, [0; 16]).await.expect("an empty engine");
        FaultyStore::new(Arc::new(Barrier::open(engine, &root).await.expect("a store")))
    }

    #[tokio::test]
    async fn one_read_fails_or_somebody_comes_right_after_it() {
        let store = working().await;
        let key = |name: &str| Key::new(Partition::Deployment, Kind::Tenant, name);
        store.fail_read(key("a"));
        assert!(store.get(&key("b")).await.is_ok());
        assert!(store.get(&key("a")).await.is_err());
        assert!(store.get(&key("a")).await.is_ok());
        store.overtake(key("a"), commit().put(key("a"), Expect::Absent, value(b"x")));
        assert!(store.get(&key("a")).await.expect("a read").is_none());
        assert!(store.get(&key("a")).await.expect("a read").is_some());
    }

    #[tokio::test]
    async fn each_fault_happens_once_and_where_it_was_planned() {
        let store = working().await;
        let key = |name: &str| Key::new(Partition::Deployment, Kind::Tenant, name);
        let put = |name: &str| commit().put(key(name), Expect::Absent, value(b"x"));
        store.fail_commit(1, CommitFault::NotApplied);
        store.fail_commit(2, CommitFault::AppliedNotAcknowledged);
        store.fail_commit(3, CommitFault::Conflict);

        assert!(store.commit(put("a")).await.is_ok());
        assert_eq!(store.commit(put("b")).await, Err(unavailable().into()));
        assert_eq!(store.commit(put("c")).await, Err(unavailable().into()));
        assert_eq!(store.commit(put("d")).await, Err(CommitError::Conflict));
        assert!(store.commit(put("e")).await.is_ok());
        for (name, there) in [("a", true), ("b", false), ("c", true), ("d", false), ("e", true)] {
            assert_eq!(store.get(&key(name)).await.expect("a read").is_some(), there, "{name}");
        }
        store.fail_reads(true);
        assert!(store.get(&key("a")).await.is_err());
        store.fail_reads(false);
        assert!(store.get(&key("a")).await.is_ok());
    }
}
