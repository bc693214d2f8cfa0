//! Secrets as nouns.

use std::collections::BTreeMap;

use crate::ids::{ObjectName, ObjectVersion, TenantId, VaultId};
use crate::limits;
use crate::ports::store::{Key, Kind, Partition, Prefix};
use crate::record::{self, Decode, Encode, Undecodable, tags_from, tags_into};
use crate::time::Timestamp;

/// What a caller may set on a version, besides its value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// Whether reading is switched off.
    pub disabled: bool,
    /// Not to be used before; for information, as Key Vault has it for secrets.
    pub not_before: Option<Timestamp>,
    /// Not to be used after; for information, as Key Vault has it for secrets.
    pub expires: Option<Timestamp>,
    /// What kind of text the value is.
    pub content_type: Option<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// One version without its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretVersion {
    /// Its id.
    pub version: ObjectVersion,
    /// What the caller set.
    pub attributes: Attributes,
    /// When it was set.
    pub created: Timestamp,
    /// When its attributes last changed.
    pub updated: Timestamp,
}

/// A live secret as lists show it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretHead {
    /// Its name as first written.
    pub name: ObjectName,
    /// Its current version.
    pub current: SecretVersion,
}

/// A soft-deleted secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeletedSecret {
    /// What it was.
    pub head: SecretHead,
    /// When it was deleted.
    pub deleted: Timestamp,
    /// When it is purged without being asked.
    pub purge_due: Timestamp,
    /// Whether its versions are already being destroyed; then it cannot be recovered.
    pub purging: bool,
}

impl Attributes {
    /// Refuses what Key Vault documents as too long or contradictory.
    pub fn check(&self) -> Result<(), String> {
        if self.content_type.as_ref().is_some_and(|text| text.len() > limits::CONTENT_TYPE_BYTES_MAX) {
            return Err(format!("contentType is longer than {} bytes", limits::CONTENT_TYPE_BYTES_MAX));
        }
        if let (Some(not_before), Some(expires)) = (self.not_before, self.expires)
            && not_before > expires
        {
            return Err("the attribute nbf must not be later than exp".to_owned());
        }
        if self.tags.len() > limits::TAGS_MAX {
            return Err(format!("there are more than {} tags", limits::TAGS_MAX));
        }
        let too_long = |(name, value): (&String, &String)| {
            name.is_empty()
                || name.chars().count() > limits::TAG_NAME_CHARS_MAX
                || value.chars().count() > limits::TAG_VALUE_CHARS_MAX
        };
        if self.tags.iter().any(too_long) {
            return Err(format!(
                "a tag's name must have 1 to {} characters and its value at most {}",
                limits::TAG_NAME_CHARS_MAX,
                limits::TAG_VALUE_CHARS_MAX
            ));
        }
        Ok(())
    }
}

/// Where a secret's records stand.
pub(super) struct Place {
    partition: Partition,
    name: String,
}

impl Place {
    pub(super) fn new(tenant: TenantId, vault: VaultId, name: &ObjectName) -> Self {
        Self { partition: Partition::Vault(tenant, vault), name: name.canonical() }
    }

    pub(super) fn head(&self) -> Key {
        Key::new(self.partition, Kind::Secret, &self.name)
    }

    pub(super) fn deleted(&self) -> Key {
        Key::new(self.partition, Kind::DeletedSecret, &self.name)
    }

    pub(super) fn version(&self, version: ObjectVersion) -> Key {
        Key::nested(self.partition, Kind::SecretVersion, &self.name, version.to_string())
    }

    pub(super) fn value(&self, version: ObjectVersion) -> Key {
        Key::nested(self.partition, Kind::SecretValue, &self.name, version.to_string())
    }

    pub(super) fn versions(&self) -> Prefix {
        Prefix { partition: self.partition, kind: Kind::SecretVersion, outer: Some(self.name.clone()) }
    }
}

pub(super) fn version_into(version: &SecretVersion) -> record::SecretVersion {
    record::SecretVersion {
        version: version.version.0.as_bytes().to_vec(),
        disabled: version.attributes.disabled,
        not_before: version.attributes.not_before.map(Timestamp::millis),
        expires: version.attributes.expires.map(Timestamp::millis),
        created: version.created.millis(),
        updated: version.updated.millis(),
        content_type: version.attributes.content_type.clone(),
        tags: tags_into(&version.attributes.tags),
    }
}

pub(super) fn version_from(stored: record::SecretVersion) -> Result<SecretVersion, Undecodable> {
    Ok(SecretVersion {
        version: ObjectVersion(record::uuid(&stored.version)?),
        attributes: Attributes {
            disabled: stored.disabled,
            not_before: stored.not_before.map(Timestamp::from_millis),
            expires: stored.expires.map(Timestamp::from_millis),
            content_type: stored.content_type,
            tags: tags_from(stored.tags),
        },
        created: Timestamp::from_millis(stored.created),
        updated: Timestamp::from_millis(stored.updated),
    })
}

impl Encode for SecretVersion {
    fn encode(&self) -> Vec<u8> {
        record::encode(&version_into(self))
    }
}

impl Decode for SecretVersion {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        version_from(record::decode(bytes)?)
    }
}

fn head_into(head: &SecretHead) -> record::Secret {
    record::Secret {
        name: head.name.to_string(),
        current: Some(version_into(&head.current)),
        deleted: None,
        purge_due: None,
        purging: false,
    }
}

fn head_from(stored: &record::Secret) -> Result<SecretHead, Undecodable> {
    let current =
        stored.current.clone().ok_or_else(|| Undecodable("a secret has no current version".to_owned()))?;
    Ok(SecretHead { name: ObjectName::parse(&stored.name)?, current: version_from(current)? })
}

impl Encode for SecretHead {
    fn encode(&self) -> Vec<u8> {
        record::encode(&head_into(self))
    }
}

impl Decode for SecretHead {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        head_from(&record::decode(bytes)?)
    }
}

impl Encode for DeletedSecret {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::Secret {
            deleted: Some(self.deleted.millis()),
            purge_due: Some(self.purge_due.millis()),
            purging: self.purging,
            ..head_into(&self.head)
        })
    }
}

impl Decode for DeletedSecret {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::Secret = record::decode(bytes)?;
        let missing = || Undecodable("a deleted secret has no dates".to_owned());
        Ok(Self {
            head: head_from(&stored)?,
            deleted: Timestamp::from_millis(stored.deleted.ok_or_else(missing)?),
            purge_due: Timestamp::from_millis(stored.purge_due.ok_or_else(missing)?),
            purging: stored.purging,
        })
    }
}
