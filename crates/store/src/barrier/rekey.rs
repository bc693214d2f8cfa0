//! New wrapping keys for everything, while the store is in use (security.md §7.1, "Rotation").
//!
//! Beginning is one small record; whoever finds it there later goes on. Then every ring gets a new key, every record
//! under an older one is sealed anew under it, in bounded batches, and when a whole pass has found nothing under an
//! older key, the older keys are taken out of the ring. Which rings still need a key tells their revision, which records
//! still need sealing tells the version in their header: so nothing has to be remembered in between, and the work may
//! end anywhere and go on from there.
//!
//! A record that is sealed anew keeps its revision: it is the same record to everybody who expects it. It gets a fresh
//! data key with its new wrap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use vouchsafe_crypto::SecretBytes;
use vouchsafe_domain::ports::store::{CommitError, Partition, StoreError};

use super::place::{Own, PARTITION, Place};
use super::record::{key_version, open_record, seal_record};
use super::ring::{Ring, lineage};
use super::{Barrier, commit_error, integrity, store_error};
use crate::engine::{Batch, BatchError, Engine, Expected, Put, Stored};

/// Records sealed anew in one commit.
pub const BATCH_RECORDS_MAX: usize = 128;
/// Bytes of records in one commit, but for the last one that is added.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Records looked at before others have their turn.
const PAGE: usize = 512;
/// Passes over one partition before the work gives up: each but the first finds only what was being written meanwhile.
const PASSES_MAX: usize = 16;

/// How far the work is; shared with whoever wants to show it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Partitions - the deployment, tenants, vaults - that there are.
    pub partitions: AtomicU64,
    /// Those that are done.
    pub partitions_done: AtomicU64,
    /// Records looked at.
    pub records_seen: AtomicU64,
    /// Records sealed anew.
    pub records_sealed: AtomicU64,
}

/// How the work ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rekeyed {
    /// Rings of partitions that nobody named: their outer ring keeps its older keys, because nobody can wrap them anew.
    pub strays: u64,
}

/// What a server needs of it.
#[async_trait]
pub trait Rekey: Send + Sync {
    /// Whether the work was begun and has not been done.
    async fn is_pending(&self) -> Result<bool, StoreError>;

    /// Begins it, durably. Says no if it was begun already.
    async fn begin(&self) -> Result<bool, CommitError>;

    /// Does what is left of it in these partitions, and ends it. Refused while it runs.
    async fn run(&self, partitions: &[Partition], progress: &Progress) -> Result<Rekeyed, CommitError>;
}

#[async_trait]
impl<E: Engine> Rekey for Barrier<E> {
    async fn is_pending(&self) -> Result<bool, StoreError> {
        Ok(self.begun().await?.is_some())
    }

    async fn begin(&self) -> Result<bool, CommitError> {
        let place = self.places.own(Partition::Deployment, Own::Rekey);
        let held = Arc::clone(&self.sealing).read_owned().await;
        let ring = self.ring(Partition::Deployment).await?.ok_or_else(|| integrity(&place))?;
        let (version, key) = ring.current().ok_or_else(|| integrity(&place))?;
        let revision = self.revision()?;
        let bytes = seal_record(key, version, &place, revision, &[], &SecretBytes::new(vec![FORMAT]));
        let batch = Batch {
            expected: vec![(place.engine_key.clone(), Expected::Absent)],
            puts: vec![Put { key: place.engine_key, revision, bytes }],
            notice: Some(Box::new(move || drop(held))),
            ..Batch::default()
        };
        match self.engine.commit(batch).await {
            Ok(()) => Ok(true),
            Err(BatchError::Conflict) => Ok(false),
            Err(error) => Err(commit_error(error)),
        }
    }

    async fn run(&self, partitions: &[Partition], progress: &Progress) -> Result<Rekeyed, CommitError> {
        let Ok(_only) = self.rekeying.try_lock() else {
            return Err(StoreError::Unavailable("the rings are getting new keys already".into()).into());
        };
        let Some(begun) = self.begun().await? else { return Ok(Rekeyed::default()) };
        // Inner rings are sealed under outer ones: outermost get their new key first and lose their old one last.
        let mut order = partitions.to_vec();
        order.push(Partition::Deployment);
        order.sort_unstable_by_key(|partition| lineage(*partition).len());
        order.dedup();
        progress.partitions.store(order.len() as u64, Ordering::Relaxed);
        for partition in &order {
            if self.ring(*partition).await?.is_some_and(|ring| ring.revision < begun) {
                self.rotate_ring(*partition).await?;
            }
        }
        let mut strays = 0;
        for partition in order.iter().rev() {
            strays += self.rekey_partition(*partition, progress).await?;
            progress.partitions_done.fetch_add(1, Ordering::Relaxed);
        }
        let place = self.places.own(Partition::Deployment, Own::Rekey);
        let batch = Batch {
            expected: vec![(place.engine_key.clone(), Expected::At(begun))],
            deletes: vec![place.engine_key],
            ..Batch::default()
        };
        self.engine.commit(batch).await.map_err(commit_error)?;
        Ok(Rekeyed { strays })
    }
}

const FORMAT: u8 = 1;

impl<E: Engine> Barrier<E> {
    /// The revision at which the work was begun; rings of a later one have their new key.
    async fn begun(&self) -> Result<Option<u64>, StoreError> {
        let place = self.places.own(Partition::Deployment, Own::Rekey);
        let Some(stored) = self.engine.get(&place.engine_key).await.map_err(store_error)? else {
            return Ok(None);
        };
        let Some((opened, revision)) = self.open_stored(&place, stored).await? else { return Ok(None) };
        if opened.value.matches(&[FORMAT]) { Ok(Some(revision)) } else { Err(integrity(&place)) }
    }

    /// Seals everything in a partition under the newest keys, then destroys the older ones. Says how many inner rings
    /// hold on to an older key.
    async fn rekey_partition(&self, partition: Partition, progress: &Progress) -> Result<u64, CommitError> {
        let mut passes = 0;
        while self.pass(partition, progress).await? > 0 {
            passes += 1;
            if passes == PASSES_MAX {
                let problem = "records are written under an older key faster than they are sealed anew";
                return Err(StoreError::Unavailable(problem.into()).into());
            }
        }
        let strays = self.inner_rings_under_older_keys(partition).await?;
        if strays == 0 && self.ring(partition).await?.is_some() {
            self.change_ring(partition, |ring| Ok(ring.with_newest_only())).await?;
        }
        Ok(strays)
    }

    /// One pass over a partition; says how many records were under an older key.
    async fn pass(&self, partition: Partition, progress: &Progress) -> Result<u64, CommitError> {
        let prefix = self.places.partition(partition);
        let mut after: Option<Vec<u8>> = None;
        let mut older = 0;
        loop {
            let page = self.engine.scan(&prefix, after.as_deref(), PAGE).await.map_err(store_error)?;
            let Some((last, _)) = page.last() else { return Ok(older) };
            after = Some(last.clone());
            progress.records_seen.fetch_add(page.len() as u64, Ordering::Relaxed);
            let mut puts: Vec<Put> = Vec::new();
            for (engine_key, stored) in page {
                if let Some(put) = self.sealed_anew(partition, engine_key, stored).await? {
                    older += 1;
                    puts.push(put);
                    let bytes: usize = puts.iter().map(|put| put.bytes.len()).sum();
                    if puts.len() == BATCH_RECORDS_MAX || bytes >= BATCH_BYTES_MAX {
                        self.replace(std::mem::take(&mut puts), progress).await?;
                    }
                }
            }
            self.replace(puts, progress).await?;
            tokio::task::yield_now().await;
        }
    }

    /// The record under the newest key, if it is under an older one; nothing either if it is gone or written anew.
    async fn sealed_anew(
        &self,
        partition: Partition,
        engine_key: Vec<u8>,
        stored: Stored,
    ) -> Result<Option<Put>, StoreError> {
        let kind = *engine_key.get(PARTITION).unwrap_or(&0);
        let place = Place { partition, kind, engine_key };
        let version = key_version(&stored.bytes).ok_or_else(|| integrity(&place))?;
        // A ring is wrapped by the one outside it, everything else by the partition's own.
        let steps = lineage(partition);
        let wrapping = if kind == Own::Ring as u8 { steps.iter().rev().nth(1) } else { steps.last() };
        let Some(wrapping) = wrapping else { return Ok(None) };
        let ring = self.ring(*wrapping).await?.ok_or_else(|| integrity(&place))?;
        let (newest, newest_key) = ring.current().ok_or_else(|| integrity(&place))?;
        if version == newest {
            return Ok(None);
        }
        // Only this work takes keys out of rings, so the key is there unless the record is not as it was written.
        let Some(key) = ring.key(version) else {
            let now = self.engine.get(&place.engine_key).await.map_err(store_error)?;
            return if now.as_ref() == Some(&stored) { Err(integrity(&place)) } else { Ok(None) };
        };
        let opened =
            open_record(key, &place, stored.revision, &stored.bytes).ok_or_else(|| integrity(&place))?;
        let bytes = seal_record(newest_key, newest, &place, stored.revision, &opened.name, &opened.value);
        Ok(Some(Put { key: place.engine_key, revision: stored.revision, bytes }))
    }

    /// Writes records over themselves. Those that somebody else wrote meanwhile are left alone.
    async fn replace(&self, puts: Vec<Put>, progress: &Progress) -> Result<(), CommitError> {
        if puts.is_empty() {
            return Ok(());
        }
        let count = puts.len() as u64;
        let batch = |puts: Vec<Put>| Batch {
            expected: puts.iter().map(|put| (put.key.clone(), Expected::At(put.revision))).collect(),
            puts,
            ..Batch::default()
        };
        match self.engine.commit(batch(puts.clone())).await {
            Ok(()) => {
                progress.records_sealed.fetch_add(count, Ordering::Relaxed);
                Ok(())
            }
            Err(BatchError::Conflict) => {
                for put in puts {
                    match self.engine.commit(batch(vec![put])).await {
                        Ok(()) => {
                            progress.records_sealed.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(BatchError::Conflict) => {}
                        Err(error) => return Err(commit_error(error)),
                    }
                }
                Ok(())
            }
            Err(error) => Err(commit_error(error)),
        }
    }

    /// Rings that this partition's ring wraps with a key that is not its newest. Partitions cannot be told from their
    /// blinded keys, so those that nobody named are only found here.
    async fn inner_rings_under_older_keys(&self, partition: Partition) -> Result<u64, StoreError> {
        let prefix = self.places.inner_partitions(partition);
        let ring: Option<Arc<Ring>> = self.ring(partition).await?;
        let Some(newest) = ring.as_ref().and_then(|ring| ring.current()).map(|(version, _)| version) else {
            return Ok(0);
        };
        if prefix.is_empty() {
            return Ok(0);
        }
        let mut after: Option<Vec<u8>> = None;
        let mut older = 0;
        loop {
            let next = self.engine.scan(&prefix, after.as_deref(), 1).await.map_err(store_error)?;
            let Some((key, _)) = next.first() else { return Ok(older) };
            let mut ring_key = key.get(..PARTITION).unwrap_or(key).to_vec();
            let mut beyond = ring_key.clone();
            ring_key.push(Own::Ring as u8);
            let found = self.engine.get(&ring_key).await.map_err(store_error)?;
            let under = found.and_then(|stored| key_version(&stored.bytes));
            older += u64::from(under.is_some_and(|version| version != newest));
            // Kinds end below 0xff, so nothing of this partition comes after this key.
            beyond.push(0xff);
            after = Some(beyond);
        }
    }
}
