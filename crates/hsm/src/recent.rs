//! Keys that were used a moment ago, as arithmetic takes them.
//!
//! Reading an RSA key costs more than signing with it: its numbers are checked against one another, and what speeds up
//! arithmetic with them is computed. So what was read is remembered, but for [`RECENT_KEY_LIFE`] only, counted from the
//! reading and not from the last use: no key rests in memory, and one that is used without end is read again every few
//! seconds. Nothing here can be stale, because a key is found by the digest of the very bytes from which it was read; and
//! the bytes come from the record, opened and proven anew at every use.
//!
//! A library's cache forgets when it is used next, or frees what it forgot some time later. Here an entry ends when its
//! time is over, by a timer of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use vouchsafe_crypto::keys::{KeyFamily, KeySpec, Malformed, PrivateKey};
use vouchsafe_crypto::{Reason, SecretBytes, digest};

use crate::limits::{RECENT_KEY_LIFE, RECENT_KEYS_MAX};

/// The kind, and the digest of the bytes.
type Name = (KeySpec, [u8; 32]);

/// Keys that were read less than [`RECENT_KEY_LIFE`] ago, at most [`RECENT_KEYS_MAX`].
#[derive(Default)]
pub struct RecentKeys {
    keys: Arc<Mutex<HashMap<Name, Arc<PrivateKey>>>>,
}

impl RecentKeys {
    /// Reads a key from its stored bytes, unless that was done a moment ago. Needs a runtime of `tokio`'s.
    pub fn read(&self, spec: KeySpec, material: &SecretBytes) -> Result<Arc<PrivateKey>, Malformed> {
        let read = || PrivateKey::from_material(spec, material).map(Arc::new);
        // The bytes of a symmetric key are the key.
        if spec.family() == KeyFamily::Oct {
            return read();
        }
        let name = (spec, digest::sha256(material.expose(Reason::Cipher)));
        if let Some(key) = lock(&self.keys).get(&name) {
            return Ok(Arc::clone(key));
        }
        let key = read()?;
        self.remember(name, &key);
        Ok(key)
    }

    /// When there is no room, a key is read again the next time; and where there are no timers, each time.
    fn remember(&self, name: Name, key: &Arc<PrivateKey>) {
        let Ok(runtime) = Handle::try_current() else { return };
        {
            let mut keys = lock(&self.keys);
            if keys.len() >= RECENT_KEYS_MAX || keys.contains_key(&name) {
                return;
            }
            keys.insert(name, Arc::clone(key));
        }
        let entry = Entry { keys: Arc::clone(&self.keys), name };
        runtime.spawn(async move {
            tokio::time::sleep(RECENT_KEY_LIFE).await;
            drop(entry);
        });
    }
}

/// What is remembered ends with this, however the task that has it ends.
struct Entry {
    keys: Arc<Mutex<HashMap<Name, Arc<PrivateKey>>>>,
    name: Name,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let forgotten = lock(&self.keys).remove(&self.name);
        // Freed, and wiped, after the lock is open again.
        drop(forgotten);
    }
}

fn lock<T>(keys: &Mutex<T>) -> MutexGuard<'_, T> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn material(spec: KeySpec) -> SecretBytes {
        PrivateKey::generate(spec).to_material()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_read_once_in_its_time_and_is_gone_after_it_used_or_not() {
        let (recent, material) = (RecentKeys::default(), material(KeySpec::P256));
        let first = recent.read(KeySpec::P256, &material).unwrap();
        tokio::time::sleep(RECENT_KEY_LIFE - Duration::from_secs(1)).await;
        assert!(Arc::ptr_eq(&first, &recent.read(KeySpec::P256, &material).unwrap()), "read again too early");
        let gone = Arc::downgrade(&first);
        drop(first);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(gone.upgrade().is_none(), "the use a moment ago kept it");
        assert!(lock(&recent.keys).is_empty());
        recent.read(KeySpec::P256, &material).unwrap();
        assert_eq!(lock(&recent.keys).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_found_by_all_of_its_bytes_and_its_kind() {
        let (recent, one, two) = (RecentKeys::default(), material(KeySpec::P256), material(KeySpec::P256));
        let [first, second] = [&one, &two].map(|bytes| recent.read(KeySpec::P256, bytes).unwrap());
        assert_ne!(first.public(), second.public());
        assert!(recent.read(KeySpec::P384, &one).is_err(), "what was read as one kind is not of another");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_remembered_than_there_is_room_for() {
        let recent = RecentKeys::default();
        for _ in 0..RECENT_KEYS_MAX + 3 {
            recent.read(KeySpec::P256, &material(KeySpec::P256)).unwrap();
        }
        assert_eq!(lock(&recent.keys).len(), RECENT_KEYS_MAX);
    }

    #[test]
    fn without_timers_nothing_is_remembered() {
        let recent = RecentKeys::default();
        recent.read(KeySpec::P256, &material(KeySpec::P256)).unwrap();
        assert!(lock(&recent.keys).is_empty());
    }
}
