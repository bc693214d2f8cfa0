//! An engine that forgets: for tests and simulation. Clones share one state, so that a test can "restart" over it.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, BatchError, Engine, EngineError, Expected, Mark, REVISION_BLOCK, Stored};

#[derive(Default)]
struct State {
    records: BTreeMap<Vec<u8>, Stored>,
    announced: BTreeMap<u64, Mark>,
    settled: Option<Mark>,
    blocks_reserved: u64,
}

/// An ordered map in memory.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

impl Memory {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so a poisoned state is still a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what is stored under a key behind the barrier's back; for tests of tampering.
    pub fn tamper(&self, key: &[u8], stored: Option<Stored>) {
        let mut state = self.state();
        match stored {
            Some(stored) => state.records.insert(key.to_vec(), stored),
            None => state.records.remove(key),
        };
    }
}

impl Engine for Memory {
    async fn get(&self, key: &[u8]) -> Result<Option<Stored>, EngineError> {
        Ok(self.state().records.get(key).cloned())
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Stored)>, EngineError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        Ok(self
            .state()
            .records
            .range::<[u8], _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, stored)| (key.clone(), stored.clone()))
            .collect())
    }

    async fn commit(&self, batch: Batch) -> Result<(), BatchError> {
        let mut state = self.state();
        let holds = batch.expected.iter().all(|(key, expected)| match (state.records.get(key), expected) {
            (None, Expected::Absent) => true,
            (Some(stored), Expected::At(revision)) => stored.revision == *revision,
            _ => false,
        });
        if !holds {
            return Err(BatchError::Conflict);
        }
        for key in &batch.deletes {
            state.records.remove(key);
        }
        for put in batch.puts {
            state.records.insert(put.key, Stored { revision: put.revision, bytes: put.bytes });
        }
        if let Some(mark) = batch.announced {
            state.announced.insert(mark.position, mark);
        }
        drop(state);
        if let Some(notice) = batch.notice {
            notice();
        }
        Ok(())
    }

    async fn reserve_revisions(&self) -> Result<Range<u64>, EngineError> {
        let mut state = self.state();
        state.blocks_reserved += 1;
        let start = state.blocks_reserved * REVISION_BLOCK;
        Ok(start..start + REVISION_BLOCK)
    }

    async fn announced_since(&self, from: u64) -> Result<Vec<Mark>, EngineError> {
        Ok(self.state().announced.range(from..).map(|(_, mark)| *mark).collect())
    }

    async fn settle(&self, before: Mark) -> Result<(), EngineError> {
        let mut state = self.state();
        if state.settled.is_none_or(|settled| settled.position < before.position) {
            state.announced = state.announced.split_off(&before.position);
            state.settled = Some(before);
        }
        Ok(())
    }

    async fn settled(&self) -> Result<Option<Mark>, EngineError> {
        Ok(self.state().settled)
    }
}
