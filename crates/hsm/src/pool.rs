//! RSA keys made before anyone asks for one: finding the primes takes seconds, and a caller waits for them otherwise.
//!
//! Keys wait in memory only, sealed under a key that the pool makes for itself and that ends with the process: a piece
//! of memory that gets out has no key in it that somebody will be given tomorrow. One is made at a time, so that the
//! pool never takes more than one core from those who are waiting for an answer; and none before the first was asked
//! for, so that a server that makes no RSA keys spends nothing on them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use vouchsafe_crypto::Reason;
use vouchsafe_crypto::envelope::{AssociatedData, Kek, open, seal};
use vouchsafe_crypto::keys::{KeyFamily, KeySpec, PrivateKey};

use crate::limits::POOL_KEYS_MAX;

/// RSA keys in stock.
pub struct KeyPool {
    shelves: Mutex<BTreeMap<KeySpec, Shelf>>,
    sealing: Kek,
    taken: Notify,
}

struct Shelf {
    wanted: usize,
    /// Sealed.
    keys: VecDeque<Vec<u8>>,
}

impl KeyPool {
    /// An empty pool that wants so many keys of each kind. Only RSA keys are worth keeping: others are left out.
    pub fn new(wanted: impl IntoIterator<Item = (KeySpec, usize)>) -> Arc<Self> {
        let shelves = wanted
            .into_iter()
            .filter(|(spec, _)| spec.family() == KeyFamily::Rsa)
            .map(|(spec, wanted)| (spec, Shelf { wanted: wanted.min(POOL_KEYS_MAX), keys: VecDeque::new() }))
            .collect();
        Arc::new(Self { shelves: Mutex::new(shelves), sealing: Kek::generate(), taken: Notify::new() })
    }

    /// A key, if one is in stock. Each key is given out once.
    pub fn take(&self, spec: KeySpec) -> Option<PrivateKey> {
        let sealed = self.shelves().get_mut(&spec)?.keys.pop_front();
        self.taken.notify_one();
        let material = open(&self.sealing, &purpose(spec), &sealed?).ok()?;
        PrivateKey::from_material(spec, &material).ok()
    }

    /// How many keys of a kind are in stock.
    pub fn stock(&self, spec: KeySpec) -> usize {
        self.shelves().get(&spec).map_or(0, |shelf| shelf.keys.len())
    }

    /// Makes the key that is missed most; says whether one was missing.
    pub async fn refill_one(&self) -> bool {
        let emptiest = self
            .shelves()
            .iter()
            .filter(|(_, shelf)| shelf.keys.len() < shelf.wanted)
            .min_by_key(|(spec, shelf)| (shelf.keys.len(), **spec))
            .map(|(spec, _)| *spec);
        let Some(spec) = emptiest else { return false };
        let made = spawn_blocking(move || PrivateKey::generate(spec).to_material()).await;
        let Ok(material) = made else {
            tracing::warn!(?spec, "no key was made for the pool");
            return false;
        };
        let sealed = seal(&self.sealing, &purpose(spec), material.expose(Reason::Cipher));
        if let Some(shelf) = self.shelves().get_mut(&spec).filter(|shelf| shelf.keys.len() < shelf.wanted) {
            shelf.keys.push_back(sealed);
        }
        true
    }

    /// Keeps the pool filled for ever, from the first time that a key is asked for; a task to start once.
    pub async fn keep_filled(self: Arc<Self>) {
        loop {
            self.taken.notified().await;
            while self.refill_one().await {}
        }
    }

    fn shelves(&self) -> MutexGuard<'_, BTreeMap<KeySpec, Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key of one kind is never taken for one of another.
fn purpose(spec: KeySpec) -> AssociatedData {
    AssociatedData::new("key made ahead").field(format!("{spec:?}").as_bytes())
}
