//! Key rings in memory, within a bound; the others are read and unwrapped again when they are needed.

use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;
use vouchsafe_domain::ports::store::Partition;

use super::ring::Ring;

const RINGS_CACHED: u64 = 10_000;

/// Rings by partition.
///
/// INVARIANT: a ring that was read before a change is not remembered after it. A writer that found it would go on using
/// a key that is about to be destroyed.
#[derive(Clone)]
pub struct Rings {
    remembered: Cache<Partition, Arc<Ring>>,
    changes: Arc<Mutex<u64>>,
}

impl Default for Rings {
    fn default() -> Self {
        Self { remembered: Cache::new(RINGS_CACHED), changes: Arc::default() }
    }
}

impl Rings {
    /// The ring of a partition, if it is here.
    pub fn get(&self, partition: Partition) -> Option<Arc<Ring>> {
        self.remembered.get(&partition)
    }

    /// How often rings changed; to be asked before one is read from the engine.
    pub fn changes(&self) -> u64 {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a ring that was read, unless any changed since [`Rings::changes`] said `seen`.
    pub fn remember(&self, partition: Partition, ring: Arc<Ring>, seen: u64) {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if *changes == seen {
            self.remembered.insert(partition, ring);
        }
    }

    /// Keeps a ring that this process just made.
    pub fn made(&self, partition: Partition, ring: Arc<Ring>) {
        self.remembered.insert(partition, ring);
    }

    /// Lets go of a ring that changed.
    pub fn forget(&self, partition: Partition) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        *changes += 1;
        self.remembered.invalidate(&partition);
    }
}
