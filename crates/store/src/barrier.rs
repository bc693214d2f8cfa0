//! The barrier: every record, names included, is sealed before an engine sees it and proved after an engine gives it.
//!
//! Implements the upper half of architecture.md §5 and security.md §7.1. Whoever can write to the disk can make a
//! record unreadable or absent; they cannot read one, make one, or move one elsewhere. Each answer is the value that
//! was committed in that very place at that revision, or [`StoreError::Integrity`].

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use vouchsafe_crypto::envelope::{Kek, NameKey};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::Store;
use vouchsafe_domain::ports::log::Position;
use vouchsafe_domain::ports::store::{
    Change, Commit, CommitError, Cursor, Expect, Key, Page, Partition, Prefix, Record, Revision, StoreError,
};

use crate::engine::{Batch, BatchError, Engine, EngineError, Expected, Mark, Put, Stored};
use crate::root::RootKeys;

mod place;
mod record;
pub mod rekey;
mod ring;
mod rings;
mod watchers;

use place::{Own, Place, Places};
use record::{key_version, open_record, seal_record};
use ring::{Ring, lineage};
use rings::Rings;
use watchers::Watchers;

/// Records one page may hold.
pub const PAGE_MAX: usize = 1000;
/// Bytes one value may have.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Times a commit is prepared anew because another one created the same key ring first.
const RING_RACES_MAX: usize = 8;
/// Times a record or ring is read again because its key was replaced while it was opened.
const REKEY_RACES_MAX: usize = 8;

/// The key version in the header of the deployment's ring, which the root wraps.
const ROOT_VERSION: u32 = 0;

/// Why a barrier could not be set up or opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BarrierError {
    /// There is nothing to open.
    #[error("the store was never initialised")]
    Absent,
    /// There is already something.
    #[error("the store is already initialised")]
    Present,
    /// The deployment's key ring does not open with this root key.
    #[error("the root key does not belong to this store, or the store's first record is damaged")]
    WrongRootKey,
    /// A read or write failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store port over an engine.
pub struct Barrier<E> {
    engine: E,
    root: Kek,
    /// What wrapped the ring before a replacement of the root that was broken off.
    previous_root: Option<Kek>,
    places: Places,
    rings: Rings,
    /// Held shared from the choice of a key until the engine is done with the commit, and alone while a ring changes.
    ///
    /// INVARIANT: once a ring has a new key, no commit under an older one is on its way. So what a scan after that does
    /// not find under an older key is under none, and the older key can be destroyed.
    sealing: Arc<RwLock<()>>,
    /// Held while all rings get new keys: one at a time.
    rekeying: tokio::sync::Mutex<()>,
    watchers: Arc<Watchers>,
    deployment: [u8; 16],
    next_revision: AtomicU64,
    end_of_revisions: u64,
}

impl<E: Engine> Barrier<E> {
    /// Writes the first two records of a deployment into an empty engine: its key ring and its canary.
    pub async fn initialise(engine: E, root: &Kek, deployment: [u8; 16]) -> Result<(), BarrierError> {
        Self::initialise_under(engine, &keys_of(root)?, deployment).await
    }

    /// The same, under keys that a root record gave.
    pub async fn initialise_under(
        engine: E,
        keys: &RootKeys,
        deployment: [u8; 16],
    ) -> Result<(), BarrierError> {
        let barrier = Self::over(engine, keys).await?;
        let canary = barrier.places.own(Partition::Deployment, Own::Canary);
        let mut batch = Batch::default();
        let ring = barrier.create_ring(&mut batch, Partition::Deployment, None)?;
        let (version, key) = ring.current().ok_or_else(|| integrity(&canary))?;
        let revision = barrier.revision()?;
        let bytes = seal_record(key, version, &canary, revision, &[], &SecretBytes::new(deployment.to_vec()));
        batch.expected.push((canary.engine_key.clone(), Expected::Absent));
        batch.puts.push(Put { key: canary.engine_key, revision, bytes });
        match barrier.engine.commit(batch).await {
            Ok(()) => Ok(()),
            Err(BatchError::Conflict) => Err(BarrierError::Present),
            Err(BatchError::Engine(error)) => Err(store_error(error).into()),
        }
    }

    /// Opens an initialised engine, if the root key is the one it was initialised with.
    pub async fn open(engine: E, root: &Kek) -> Result<Self, BarrierError> {
        Self::open_under(engine, &keys_of(root)?).await
    }

    /// The same, under keys that a root record gave.
    pub async fn open_under(engine: E, keys: &RootKeys) -> Result<Self, BarrierError> {
        let mut barrier = Self::over(engine, keys).await?;
        let ring = match barrier.ring(Partition::Deployment).await {
            Ok(Some(ring)) => ring,
            // Another root blinds names differently, so that it finds nothing; but there is something.
            Ok(None) => {
                let first = barrier.engine.scan(&[], None, 1).await.map_err(store_error)?;
                return Err(if first.is_empty() { BarrierError::Absent } else { BarrierError::WrongRootKey });
            }
            Err(StoreError::Integrity(_)) => return Err(BarrierError::WrongRootKey),
            Err(error) => return Err(error.into()),
        };
        let place = barrier.places.own(Partition::Deployment, Own::Canary);
        let stored = barrier.engine.get(&place.engine_key).await.map_err(store_error)?;
        let deployment = stored
            .and_then(|stored| open_with(&ring, &place, &stored))
            .and_then(|opened| <[u8; 16]>::try_from(opened.value.expose(Reason::Record)).ok())
            .ok_or_else(|| integrity(&place))?;
        barrier.deployment = deployment;
        Ok(barrier)
    }

    /// The random id that the deployment was given when it was initialised.
    pub fn deployment(&self) -> [u8; 16] {
        self.deployment
    }

    /// Adds a key to a partition's ring and uses it from now on; older records stay readable.
    pub async fn rotate_ring(&self, partition: Partition) -> Result<(), CommitError> {
        self.change_ring(partition, |ring| {
            let full = || StoreError::Unavailable("the key ring is full".into());
            ring.rotated().map(Some).ok_or_else(full)
        })
        .await
    }

    /// Wraps the deployment's ring with the root that this barrier was opened under, if the one before still does.
    pub(crate) async fn adopt_root(&self) -> Result<(), StoreError> {
        self.wrap_with(&self.root).await
    }

    /// Wraps the deployment's ring with another root. This barrier is of no use afterwards.
    pub(crate) async fn replace_root(&self, keys: &RootKeys) -> Result<(), StoreError> {
        let (root, _) = keys.ring_keys().ok_or_else(short_key)?;
        self.wrap_with(&root).await
    }

    async fn wrap_with(&self, root: &Kek) -> Result<(), StoreError> {
        let place = self.places.own(Partition::Deployment, Own::Ring);
        let stored = self.engine.get(&place.engine_key).await.map_err(store_error)?;
        let stored = stored.ok_or_else(|| integrity(&place))?;
        if open_record(root, &place, stored.revision, &stored.bytes).is_some() {
            return Ok(());
        }
        let ring = self.open_ring(None, &place, &stored)?;
        let bytes = seal_record(root, ROOT_VERSION, &place, stored.revision, &[], &ring.encode());
        let batch = Batch {
            expected: vec![(place.engine_key.clone(), Expected::At(stored.revision))],
            puts: vec![Put { key: place.engine_key, revision: stored.revision, bytes }],
            ..Batch::default()
        };
        self.engine.commit(batch).await.map_err(|error| match commit_error(error) {
            CommitError::Store(error) => error,
            CommitError::Conflict => {
                StoreError::Unavailable("the deployment's key ring changed meanwhile".into())
            }
        })
    }

    /// Replaces a ring by what `change` makes of it, while no commit is on its way.
    async fn change_ring(
        &self,
        partition: Partition,
        change: impl Fn(&Ring) -> Result<Option<Ring>, StoreError>,
    ) -> Result<(), CommitError> {
        let absent =
            || StoreError::Unavailable("the partition has no records yet, so it has no key to rotate".into());
        let alone = Arc::clone(&self.sealing).write_owned().await;
        // Not from memory: the newest revision is what the write expects.
        self.rings.forget(partition);
        let ring = self.ring(partition).await?.ok_or_else(absent)?;
        let Some(changed) = change(&ring)? else { return Ok(()) };
        let outer = match lineage(partition).iter().rev().nth(1) {
            Some(outer) => Some(self.ring(*outer).await?.ok_or_else(absent)?),
            None => None,
        };
        let place = self.places.own(partition, Own::Ring);
        let (put, _) = self.seal_ring(changed, outer.as_deref(), &place)?;
        let rings = self.rings.clone();
        let batch = Batch {
            expected: vec![(place.engine_key, Expected::At(ring.revision))],
            puts: vec![put],
            // The engine calls or drops this when it is done, even if nobody waits here any more.
            notice: Some(Box::new(move || {
                rings.forget(partition);
                drop(alone);
            })),
            ..Batch::default()
        };
        let result = self.engine.commit(batch).await;
        self.rings.forget(partition);
        result.map_err(commit_error)
    }

    async fn over(engine: E, keys: &RootKeys) -> Result<Self, BarrierError> {
        let revisions = engine.reserve_revisions().await.map_err(store_error)?;
        let names = NameKey::new(keys.names());
        let (root, previous_root) = keys.ring_keys().ok_or_else(short_key)?;
        Ok(Self {
            engine,
            places: Places::new(names),
            root,
            previous_root,
            rings: Rings::default(),
            sealing: Arc::default(),
            rekeying: tokio::sync::Mutex::default(),
            watchers: Arc::default(),
            deployment: [0; 16],
            next_revision: AtomicU64::new(revisions.start),
            end_of_revisions: revisions.end,
        })
    }

    fn revision(&self) -> Result<u64, StoreError> {
        let revision = self.next_revision.fetch_add(1, Ordering::Relaxed);
        if revision < self.end_of_revisions {
            Ok(revision)
        } else {
            // At 10,000 writes a second, 3.5 years after opening.
            Err(StoreError::Unavailable("all revisions of this opening are used; restart the server".into()))
        }
    }

    /// The ring of a partition, or nothing if the partition was never written to.
    async fn ring(&self, partition: Partition) -> Result<Option<Arc<Ring>>, StoreError> {
        if let Some(ring) = self.rings.get(partition) {
            return Ok(Some(ring));
        }
        let mut tries = 0;
        loop {
            match self.read_ring(partition).await {
                // An outer ring got another key between two reads; what is in memory or was read is of before.
                Err(StoreError::Integrity(_)) if tries < REKEY_RACES_MAX => {
                    tries += 1;
                    lineage(partition).into_iter().for_each(|step| self.rings.forget(step));
                }
                result => return result,
            }
        }
    }

    async fn read_ring(&self, partition: Partition) -> Result<Option<Arc<Ring>>, StoreError> {
        let mut outer: Option<Arc<Ring>> = None;
        for step in lineage(partition) {
            let ring = match self.rings.get(step) {
                Some(ring) => ring,
                None => {
                    let seen = self.rings.changes();
                    let place = self.places.own(step, Own::Ring);
                    let stored = self.engine.get(&place.engine_key).await.map_err(store_error)?;
                    let Some(stored) = stored else { return Ok(None) };
                    let ring = Arc::new(self.open_ring(outer.as_deref(), &place, &stored)?);
                    self.rings.remember(step, Arc::clone(&ring), seen);
                    ring
                }
            };
            outer = Some(ring);
        }
        Ok(outer)
    }

    fn open_ring(&self, outer: Option<&Ring>, place: &Place, stored: &Stored) -> Result<Ring, StoreError> {
        let opened = match outer {
            Some(outer) => open_with(outer, place, stored),
            None if key_version(&stored.bytes) == Some(ROOT_VERSION) => {
                let roots = [Some(&self.root), self.previous_root.as_ref()];
                let open = |root| open_record(root, place, stored.revision, &stored.bytes);
                roots.into_iter().flatten().find_map(open)
            }
            None => None,
        };
        opened
            .filter(|opened| opened.name.is_empty())
            .and_then(|opened| Ring::decode(&opened.value, stored.revision))
            .ok_or_else(|| integrity(place))
    }

    fn seal_ring(
        &self,
        mut ring: Ring,
        outer: Option<&Ring>,
        place: &Place,
    ) -> Result<(Put, Ring), StoreError> {
        let (version, key) = match outer {
            Some(outer) => outer.current().ok_or_else(|| integrity(place))?,
            None => (ROOT_VERSION, &self.root),
        };
        ring.revision = self.revision()?;
        let bytes = seal_record(key, version, place, ring.revision, &[], &ring.encode());
        Ok((Put { key: place.engine_key.clone(), revision: ring.revision, bytes }, ring))
    }

    /// Adds to a batch a new ring for a partition, wrapped by the ring `outer`.
    fn create_ring(
        &self,
        batch: &mut Batch,
        partition: Partition,
        outer: Option<&Ring>,
    ) -> Result<Ring, StoreError> {
        let place = self.places.own(partition, Own::Ring);
        let (put, ring) = self.seal_ring(Ring::generate(), outer, &place)?;
        batch.expected.push((place.engine_key, Expected::Absent));
        batch.puts.push(put);
        Ok(ring)
    }

    /// The ring to write with: the stored one, or one that this very batch creates.
    async fn ring_for_writing(
        &self,
        batch: &mut Batch,
        created: &mut Vec<(Partition, Arc<Ring>)>,
        partition: Partition,
    ) -> Result<Arc<Ring>, StoreError> {
        let mut outer: Option<Arc<Ring>> = None;
        for step in lineage(partition) {
            let in_batch =
                created.iter().find(|(partition, _)| *partition == step).map(|(_, ring)| Arc::clone(ring));
            let known = match in_batch {
                Some(ring) => Some(ring),
                None => self.ring(step).await?,
            };
            let ring = match known {
                Some(ring) => ring,
                None => {
                    let ring = Arc::new(self.create_ring(batch, step, outer.as_deref())?);
                    created.push((step, Arc::clone(&ring)));
                    ring
                }
            };
            outer = Some(ring);
        }
        outer.ok_or_else(|| StoreError::Unavailable("a partition has no lineage".into()))
    }

    /// Opens what the engine gave for a place, with the revision it has; nothing if it is gone by now. The name still
    /// has to be proved against the place.
    async fn open_stored(
        &self,
        place: &Place,
        mut stored: Stored,
    ) -> Result<Option<(record::Opened, u64)>, StoreError> {
        for _ in 0..REKEY_RACES_MAX {
            let version = key_version(&stored.bytes).ok_or_else(|| integrity(place))?;
            let mut ring = self.ring(place.partition).await?.ok_or_else(|| integrity(place))?;
            if ring.key(version).is_none() {
                // The ring in memory may be older than the record: it was rotated while we were loading it.
                self.rings.forget(place.partition);
                ring = self.ring(place.partition).await?.ok_or_else(|| integrity(place))?;
            }
            if ring.key(version).is_some() {
                let opened = open_with(&ring, place, &stored).ok_or_else(|| integrity(place))?;
                return Ok(Some((opened, stored.revision)));
            }
            // Or the record in our hands may be older than the ring: it was sealed anew, and its old key destroyed.
            let again = self.engine.get(&place.engine_key).await.map_err(store_error)?;
            let Some(again) = again else { return Ok(None) };
            if again == stored {
                break;
            }
            stored = again;
        }
        Err(integrity(place))
    }

    async fn batch(
        &self,
        commit: &Commit,
        held: OwnedRwLockReadGuard<()>,
    ) -> Result<(Batch, Vec<(Partition, Arc<Ring>)>), StoreError> {
        let mut batch = Batch::default();
        let mut created = Vec::new();
        let mut changed = Vec::new();
        for change in commit.changes() {
            let (key, expect) = match change {
                Change::Put(key, expect, _) | Change::Guard(key, expect) => (key, *expect),
                Change::Delete(key, revision) => (key, Expect::At(*revision)),
            };
            let place = self.places.record(key)?;
            let expected = match expect {
                Expect::Absent => Expected::Absent,
                Expect::At(revision) => Expected::At(revision.0),
            };
            batch.expected.push((place.engine_key.clone(), expected));
            match change {
                Change::Put(_, _, value) => {
                    let ring = self.ring_for_writing(&mut batch, &mut created, key.partition).await?;
                    let (version, kek) = ring.current().ok_or_else(|| integrity(&place))?;
                    let revision = self.revision()?;
                    let bytes = seal_record(kek, version, &place, revision, &key.name, value);
                    batch.puts.push(Put { key: place.engine_key, revision, bytes });
                    changed.push(key.clone());
                }
                Change::Delete(..) => {
                    batch.deletes.push(place.engine_key);
                    changed.push(key.clone());
                }
                Change::Guard(..) => {}
            }
        }
        batch.announced = commit.announced().map(|position| self.mark(ANNOUNCED, position));
        if !changed.is_empty() {
            let (watchers, changed) = (Arc::clone(&self.watchers), changed.into());
            batch.notice = Some(Box::new(move || {
                watchers.tell(&changed);
                drop(held);
            }));
        }
        Ok((batch, created))
    }

    fn mark(&self, purpose: &str, position: Position) -> Mark {
        Mark { position: position.0, proof: self.places.proof(purpose, position.0) }
    }

    fn proved(&self, purpose: &str, mark: Mark) -> Result<Position, StoreError> {
        // The proof is no secret that timing could tell: whoever can choose it can also read the right ones.
        if self.places.proof(purpose, mark.position) == mark.proof {
            Ok(Position(mark.position))
        } else {
            Err(StoreError::Integrity(format!("{purpose} position {}", mark.position)))
        }
    }
}

const ANNOUNCED: &str = "announced";
const SETTLED: &str = "settled";

#[async_trait]
impl<E: Engine> Store for Barrier<E> {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let place = self.places.record(key)?;
        let Some(stored) = self.engine.get(&place.engine_key).await.map_err(store_error)? else {
            return Ok(None);
        };
        let Some((opened, revision)) = self.open_stored(&place, stored).await? else { return Ok(None) };
        if opened.name != key.name {
            return Err(integrity(&place));
        }
        Ok(Some(Record { key: key.clone(), value: opened.value, revision: Revision(revision) }))
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let range = self.places.range(prefix);
        let after = match (after, &prefix.outer) {
            (Some(cursor), _) => Some(cursor.0.as_slice()),
            // A record of just the outer name has the range's own key; what was asked for lies below it.
            (None, Some(_)) => Some(range.engine_key.as_slice()),
            (None, None) => None,
        };
        let mut found = self.engine.scan(&range.engine_key, after, limit + 1).await.map_err(store_error)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(key, _)| Cursor(key.clone()));
        let mut records = Vec::with_capacity(found.len());
        for (engine_key, stored) in found {
            let place = Place { partition: prefix.partition, kind: range.kind, engine_key };
            let Some((opened, revision)) = self.open_stored(&place, stored).await? else { continue };
            let key = Key { partition: prefix.partition, kind: prefix.kind, name: opened.name };
            if self.places.record(&key).ok().as_ref() != Some(&place) {
                return Err(integrity(&place));
            }
            records.push(Record { key, value: opened.value, revision: Revision(revision) });
        }
        Ok(Page { records, next })
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Revision>, CommitError> {
        check(&commit)?;
        for _ in 0..RING_RACES_MAX {
            let held = Arc::clone(&self.sealing).read_owned().await;
            let (batch, created) = self.batch(&commit, held).await?;
            let mut places = HashSet::with_capacity(batch.puts.len() + batch.deletes.len());
            let once =
                batch.puts.iter().map(|put| &put.key).chain(&batch.deletes).all(|key| places.insert(key));
            if !once {
                let problem = "a commit may write each record once".into();
                return Err(StoreError::Unavailable(problem).into());
            }
            let rings: HashSet<_> =
                created.iter().map(|(step, _)| self.places.own(*step, Own::Ring).engine_key).collect();
            let revisions = batch
                .puts
                .iter()
                .filter(|put| !rings.contains(&put.key))
                .map(|put| Revision(put.revision))
                .collect();
            match self.engine.commit(batch).await {
                Ok(()) => {
                    created.into_iter().for_each(|(step, ring)| self.rings.made(step, ring));
                    return Ok(revisions);
                }
                Err(BatchError::Conflict) => {
                    // If another commit created one of the rings first, what the caller expects may still hold.
                    let mut raced = false;
                    for (step, _) in &created {
                        raced |= self.ring(*step).await?.is_some();
                    }
                    if !raced {
                        return Err(CommitError::Conflict);
                    }
                }
                Err(BatchError::Engine(error)) => return Err(store_error(error).into()),
            }
        }
        Err(CommitError::Conflict)
    }

    fn watch(&self, prefix: Prefix) -> BoxStream<'static, Result<Key, StoreError>> {
        self.watchers.follow(prefix)
    }

    async fn announced_since(&self, from: Position) -> Result<Vec<Position>, StoreError> {
        let marks = self.engine.announced_since(from.0).await.map_err(store_error)?;
        marks.into_iter().map(|mark| self.proved(ANNOUNCED, mark)).collect()
    }

    async fn settle(&self, before: Position) -> Result<(), StoreError> {
        self.engine.settle(self.mark(SETTLED, before)).await.map_err(store_error)
    }

    async fn settled(&self) -> Result<Position, StoreError> {
        match self.engine.settled().await.map_err(store_error)? {
            Some(mark) => self.proved(SETTLED, mark),
            None => Ok(Position(0)),
        }
    }
}

fn keys_of(root: &Kek) -> Result<RootKeys, StoreError> {
    Kek::from_secret(root.to_secret()).map(RootKeys::of).ok_or_else(short_key)
}

fn short_key() -> StoreError {
    StoreError::Unavailable("a key has 32 bytes".into())
}

fn check(commit: &Commit) -> Result<(), StoreError> {
    let changes = commit.changes().len();
    if changes > Commit::CHANGES_MAX {
        let problem = format!("a commit has at most {} changes, not {changes}", Commit::CHANGES_MAX);
        return Err(StoreError::Unavailable(problem));
    }
    let too_long =
        |change: &Change| matches!(change, Change::Put(_, _, value) if value.len() > VALUE_BYTES_MAX);
    if commit.changes().iter().any(too_long) {
        return Err(StoreError::Unavailable(format!("a record has at most {VALUE_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn open_with(ring: &Ring, place: &Place, stored: &Stored) -> Option<record::Opened> {
    let key = ring.key(key_version(&stored.bytes)?)?;
    open_record(key, place, stored.revision, &stored.bytes)
}

fn integrity(place: &Place) -> StoreError {
    StoreError::Integrity(place.describe())
}

fn store_error(error: EngineError) -> StoreError {
    match error {
        EngineError::Damaged(problem) => StoreError::Integrity(problem),
        EngineError::Unavailable(problem) => StoreError::Unavailable(problem),
    }
}

fn commit_error(error: BatchError) -> CommitError {
    match error {
        BatchError::Conflict => CommitError::Conflict,
        BatchError::Engine(error) => CommitError::Store(store_error(error)),
    }
}
