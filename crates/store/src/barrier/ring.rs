//! Key rings: the root wraps the deployment's, that one the tenants', each of those its vaults' (security.md §7.1).
//!
//! A ring is a record of the barrier's own: versions of a wrapping key, the newest in use, older ones kept to unwrap.
//! It is written in the same commit as the first record of its partition, and remembered in memory within a bound.
//!
//! ```text
//! format (1) | number of keys (2, big-endian) | each: version (4, big-endian), key (32); versions ascending
//! ```

use vouchsafe_crypto::envelope::Kek;
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::store::Partition;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
const KEY_BYTES: usize = 32;
/// Versions one ring may hold: a key a year for longer than anybody keeps a vault.
const KEYS_MAX: usize = 1024;

/// The wrapping keys of one partition.
pub struct Ring {
    /// By ascending version, at least one.
    keys: Vec<(u32, Kek)>,
    /// The revision the ring was read or written at; zero before it is written.
    pub revision: u64,
}

impl Ring {
    /// A ring with one new key, not stored yet.
    pub fn generate() -> Self {
        Self { keys: vec![(1, Kek::generate())], revision: 0 }
    }

    /// The same ring with one more key, which is used from then on. `None` when it is full.
    pub fn rotated(&self) -> Option<Self> {
        let (newest, _) = self.keys.last()?;
        let next = newest.checked_add(1).filter(|_| self.keys.len() < KEYS_MAX)?;
        let kept = self
            .keys
            .iter()
            .filter_map(|(version, key)| Some((*version, Kek::from_secret(key.to_secret())?)));
        let keys = kept.chain([(next, Kek::generate())]).collect();
        Some(Self { keys, revision: 0 })
    }

    /// The same ring with nothing but the key in use; `None` when that is how it is. The others are destroyed with it.
    pub fn with_newest_only(&self) -> Option<Self> {
        let (version, key) = self.keys.last().filter(|_| self.keys.len() > 1)?;
        Some(Self { keys: vec![(*version, Kek::from_secret(key.to_secret())?)], revision: 0 })
    }

    /// The key in use and its version.
    pub fn current(&self) -> Option<(u32, &Kek)> {
        self.keys.last().map(|(version, key)| (*version, key))
    }

    /// The key of a version.
    pub fn key(&self, version: u32) -> Option<&Kek> {
        let index = self.keys.binary_search_by_key(&version, |(version, _)| *version).ok()?;
        self.keys.get(index).map(|(_, key)| key)
    }

    /// The ring as the value of a record.
    pub fn encode(&self) -> SecretBytes {
        let mut bytes = Zeroizing::new(Vec::with_capacity(3 + self.keys.len() * (4 + KEY_BYTES)));
        bytes.push(FORMAT);
        bytes.extend_from_slice(&(self.keys.len() as u16).to_be_bytes());
        for (version, key) in &self.keys {
            bytes.extend_from_slice(&version.to_be_bytes());
            bytes.extend_from_slice(key.to_secret().expose(Reason::Record));
        }
        SecretBytes::new(std::mem::take(&mut *bytes))
    }

    /// Reads what [`Ring::encode`] wrote, and nothing else.
    pub fn decode(value: &SecretBytes, revision: u64) -> Option<Self> {
        let (&[FORMAT, high, low], mut rest) = value.expose(Reason::Record).split_first_chunk::<3>()? else {
            return None;
        };
        let count = usize::from(u16::from_be_bytes([high, low]));
        let mut keys: Vec<(u32, Kek)> = Vec::with_capacity(count.min(KEYS_MAX));
        while !rest.is_empty() {
            let (version, tail) = rest.split_first_chunk::<4>()?;
            let (key, tail) = tail.split_at_checked(KEY_BYTES)?;
            let version = u32::from_be_bytes(*version);
            if keys.last().is_some_and(|(previous, _)| *previous >= version) {
                return None;
            }
            keys.push((version, Kek::from_secret(SecretBytes::new(key.to_vec()))?));
            rest = tail;
        }
        (count == keys.len() && count > 0 && count <= KEYS_MAX).then_some(Self { keys, revision })
    }
}

/// The partitions whose rings lead to this one's, outermost first, itself last.
pub fn lineage(partition: Partition) -> Vec<Partition> {
    match partition {
        Partition::Deployment => vec![partition],
        Partition::Tenant(_) => vec![Partition::Deployment, partition],
        Partition::Vault(tenant, _) => vec![Partition::Deployment, Partition::Tenant(tenant), partition],
    }
}
