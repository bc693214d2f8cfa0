//! Vaults as resources: where they stand and how they behave, not what is in them.

use std::collections::BTreeMap;

use crate::ids::{ResourceGroupName, SubscriptionId, VaultId, VaultName};
use crate::record::{self, Decode, Encode, Undecodable, tags_from, tags_into};
use crate::time::Timestamp;

/// What a vault offers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sku {
    /// Keys in software.
    #[default]
    Standard,
    /// Keys in a token as well.
    Premium,
}

impl Sku {
    /// Numbers are stored: never change or re-use one.
    const fn code(self) -> u32 {
        match self {
            Self::Standard => 0,
            Self::Premium => 1,
        }
    }

    fn from_code(code: u32) -> Result<Self, Undecodable> {
        match code {
            0 => Ok(Self::Standard),
            1 => Ok(Self::Premium),
            _ => Err(Undecodable(format!("there is no SKU {code}"))),
        }
    }
}

/// A vault.
#[derive(Clone, Debug)]
pub struct Vault {
    /// Immutable; decides the key ring that seals what is inside.
    pub id: VaultId,
    /// Its DNS label, unique in the deployment.
    pub name: VaultName,
    /// The subscription it stands in.
    pub subscription: SubscriptionId,
    /// The resource group it stands in.
    pub group: ResourceGroupName,
    /// Where it says it is.
    pub location: String,
    /// How long deleted objects can be recovered; fixed at creation, as Key Vault has it.
    pub retention_days: u32,
    /// Whether deleted objects cannot be purged before their time; never switched off again.
    pub purge_protection: bool,
    /// What it offers.
    pub sku: Sku,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was soft-deleted, if it was.
    pub deleted: Option<Timestamp>,
}

impl Vault {
    /// When something deleted at `deleted` is purged without being asked.
    pub fn purge_due(&self, deleted: Timestamp) -> Timestamp {
        deleted.plus(std::time::Duration::from_secs(u64::from(self.retention_days) * 86_400))
    }
}

impl Encode for Vault {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::Vault {
            id: self.id.0.as_bytes().to_vec(),
            name: self.name.to_string(),
            subscription: self.subscription.0.as_bytes().to_vec(),
            group: self.group.to_string(),
            location: self.location.clone(),
            retention_days: self.retention_days,
            purge_protection: self.purge_protection,
            sku: self.sku.code(),
            tags: tags_into(&self.tags),
            created: self.created.millis(),
            deleted: self.deleted.map(Timestamp::millis),
        })
    }
}

impl Decode for Vault {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::Vault = record::decode(bytes)?;
        Ok(Self {
            id: VaultId(record::uuid(&stored.id)?),
            name: VaultName::parse(&stored.name)?,
            subscription: SubscriptionId(record::uuid(&stored.subscription)?),
            group: ResourceGroupName::parse(&stored.group)?,
            location: stored.location,
            retention_days: stored.retention_days,
            purge_protection: stored.purge_protection,
            sku: Sku::from_code(stored.sku)?,
            tags: tags_from(stored.tags),
            created: Timestamp::from_millis(stored.created),
            deleted: stored.deleted.map(Timestamp::from_millis),
        })
    }
}
