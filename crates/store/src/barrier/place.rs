//! Where a record stands: typed paths become engine keys that tell nothing, yet keep ranges together.
//!
//! ```text
//! partition tag (1) | tenant (16) | vault (16) | kind (1) | outer segment (16) | inner segment (16)
//! ```
//!
//! Tenant, vault and segments are keyed hashes, each over its whole parent path: equal names in two vaults share no
//! bytes, while everything of one kind in one partition, or below one outer name, stays one range. What remains
//! visible is how many records of which kind there are, and which belong together.

use vouchsafe_crypto::envelope::NameKey;
use vouchsafe_domain::ports::store::{Key, Partition, Prefix, StoreError};

/// Bytes of a blinded segment.
pub const SEGMENT: usize = 16;
/// Bytes of the part that says whose record it is.
pub const PARTITION: usize = 1 + 2 * SEGMENT;
const DEPLOYMENT: u8 = 1;
const TENANT: u8 = 2;
const VAULT: u8 = 3;
/// Longest name segment: an object's name has at most 127 bytes, a scope may have some hundreds.
pub const SEGMENT_BYTES_MAX: usize = 2048;

/// Kinds that only the barrier uses, from the end of the byte's range that domain kinds never reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Own {
    /// The key ring of a partition.
    Ring = 0xf0,
    /// What proves at opening that the root key is the right one; holds the deployment's id.
    Canary = 0xf1,
    /// That all rings are getting a new key; there while the work is not done.
    Rekey = 0xf2,
}

/// A place as the engine sees it, with what the associated data needs.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Place {
    /// Whose record.
    pub partition: Partition,
    /// The kind's number.
    pub kind: u8,
    /// The engine key.
    pub engine_key: Vec<u8>,
}

impl Place {
    /// The blinded segments, which stand for the name in the associated data.
    pub fn blinded_segments(&self) -> impl Iterator<Item = &[u8]> {
        self.engine_key.get(PARTITION + 1..).unwrap_or_default().chunks(SEGMENT)
    }

    /// What an operator may see of it.
    pub fn describe(&self) -> String {
        let tail = self.engine_key.get(PARTITION..).unwrap_or_default();
        format!("kind {}, key {}", self.kind, data_encoding::HEXLOWER.encode(tail))
    }
}

/// Makes places from typed paths.
pub struct Places(NameKey);

impl Places {
    /// Uses a key that is derived for nothing else.
    pub fn new(key: NameKey) -> Self {
        Self(key)
    }

    /// The place of a record.
    pub fn record(&self, key: &Key) -> Result<Place, StoreError> {
        if key.name.is_empty() || key.name.len() > Key::SEGMENTS_MAX {
            let problem =
                format!("a record's name has 1 to {} segments, not {}", Key::SEGMENTS_MAX, key.name.len());
            return Err(StoreError::Unavailable(problem));
        }
        if key.name.iter().any(|segment| segment.len() > SEGMENT_BYTES_MAX) {
            let problem = format!("a segment of a record's name has at most {SEGMENT_BYTES_MAX} bytes");
            return Err(StoreError::Unavailable(problem));
        }
        Ok(self.place(key.partition, key.kind as u8, &key.name))
    }

    /// What the engine keys of a range begin with.
    pub fn range(&self, prefix: &Prefix) -> Place {
        self.place(prefix.partition, prefix.kind as u8, prefix.outer.as_slice())
    }

    /// The place of a record of the barrier's own.
    pub fn own(&self, partition: Partition, own: Own) -> Place {
        self.place(partition, own as u8, &[])
    }

    /// What the engine keys of everything in a partition begin with.
    pub fn partition(&self, partition: Partition) -> Vec<u8> {
        let mut prefix = self.own(partition, Own::Ring).engine_key;
        prefix.truncate(PARTITION);
        prefix
    }

    /// What the engine keys of all partitions begin with whose rings this partition's ring wraps.
    pub fn inner_partitions(&self, partition: Partition) -> Vec<u8> {
        match partition {
            Partition::Deployment => vec![TENANT],
            Partition::Tenant(tenant) => {
                let ids = PartitionIds { tag: VAULT, tenant: tenant.0.into_bytes(), vault: [0; 16] };
                let mut prefix = vec![ids.tag];
                prefix.extend(self.0.blind(&[b"tenant", &[ids.tag], &ids.tenant]));
                prefix
            }
            Partition::Vault(..) => vec![],
        }
    }

    /// A keyed hash that proves that the barrier wrote a number for a purpose.
    pub fn proof(&self, purpose: &str, number: u64) -> [u8; SEGMENT] {
        self.0.blind(&[b"proof", purpose.as_bytes(), &number.to_be_bytes()])
    }

    fn place(&self, partition: Partition, kind: u8, name: &[String]) -> Place {
        let ids = partition_ids(partition);
        let mut engine_key = Vec::with_capacity(PARTITION + 1 + name.len() * SEGMENT);
        engine_key.push(ids.tag);
        engine_key.extend(self.0.blind(&[b"tenant", &[ids.tag], &ids.tenant]));
        engine_key.extend(self.0.blind(&[b"vault", &[ids.tag], &ids.tenant, &ids.vault]));
        engine_key.push(kind);
        let mut path: Vec<&[u8]> = vec![b"segment", &ids.tenant, &ids.vault];
        let tag_and_kind = [ids.tag, kind];
        path.push(&tag_and_kind);
        for segment in name {
            path.push(segment.as_bytes());
            engine_key.extend(self.0.blind(&path));
        }
        Place { partition, kind, engine_key }
    }
}

/// A partition as bytes.
pub struct PartitionIds {
    /// Which of the three.
    pub tag: u8,
    /// The tenant's id, or zeros.
    pub tenant: [u8; 16],
    /// The vault's id, or zeros.
    pub vault: [u8; 16],
}

/// The fixed encoding of a partition.
pub fn partition_ids(partition: Partition) -> PartitionIds {
    let (tag, tenant, vault) = match partition {
        Partition::Deployment => (DEPLOYMENT, [0; 16], [0; 16]),
        Partition::Tenant(tenant) => (TENANT, tenant.0.into_bytes(), [0; 16]),
        Partition::Vault(tenant, vault) => (VAULT, tenant.0.into_bytes(), vault.0.into_bytes()),
    };
    PartitionIds { tag, tenant, vault }
}
