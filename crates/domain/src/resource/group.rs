//! Subscriptions and resource groups: what other resources stand in.

use std::collections::BTreeMap;

use crate::ids::{ResourceGroupName, SubscriptionId, TenantId};
use crate::record::{self, Decode, Encode, Undecodable, tags_from, tags_into};

/// A subscription: belongs to one tenant for life.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// What people see.
    pub display_name: String,
}

/// A resource group.
#[derive(Clone, Debug)]
pub struct ResourceGroup {
    /// The subscription it stands in.
    pub subscription: SubscriptionId,
    /// Its name.
    pub name: ResourceGroupName,
    /// Where it says it is; we keep it because clients compare it.
    pub location: String,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

impl Encode for Subscription {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::Subscription {
            id: self.id.0.as_bytes().to_vec(),
            tenant: self.tenant.0.as_bytes().to_vec(),
            display_name: self.display_name.clone(),
        })
    }
}

impl Decode for Subscription {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::Subscription = record::decode(bytes)?;
        Ok(Self {
            id: SubscriptionId(record::uuid(&stored.id)?),
            tenant: TenantId(record::uuid(&stored.tenant)?),
            display_name: stored.display_name,
        })
    }
}

impl Encode for ResourceGroup {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::ResourceGroup {
            subscription: self.subscription.0.as_bytes().to_vec(),
            name: self.name.to_string(),
            location: self.location.clone(),
            tags: tags_into(&self.tags),
        })
    }
}

impl Decode for ResourceGroup {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::ResourceGroup = record::decode(bytes)?;
        Ok(Self {
            subscription: SubscriptionId(record::uuid(&stored.subscription)?),
            name: ResourceGroupName::parse(&stored.name)?,
            location: stored.location,
            tags: tags_from(stored.tags),
        })
    }
}
