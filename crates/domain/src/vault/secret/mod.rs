//! Secrets: nouns, and what can be done with them.
//!
//! A secret's value has its own record, which nothing but [`Platform::get_secret`](crate::Platform::get_secret) and
//! [`Platform::backup_secret`](crate::Platform::backup_secret) opens.

mod change;
mod decide;
mod life;
mod read;

pub use change::{SecretToSet, SecretUpdate};
pub use read::ReadSecret;

use std::collections::BTreeMap;

use super::decide::labels_and_validity;
use super::object::{Collection, Deleted, Family, Head, ObjectKind, Version};
use crate::access::action::{
    BackupSecret, DeleteSecret, PurgeSecret, ReadSecretMetadata, RecoverSecret, RestoreSecret, UpdateSecret,
};
use crate::ids::ObjectVersion;
use crate::limits;
use crate::ports::store::Kind;
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
    /// Whether it belongs to a certificate of the same name.
    pub managed: bool,
    /// When it was set.
    pub created: Timestamp,
    /// When its attributes last changed.
    pub updated: Timestamp,
}

/// A live secret as lists show it.
pub type SecretHead = Head<SecretVersion>;
/// A soft-deleted secret.
pub type DeletedSecret = Deleted<SecretVersion>;

/// The collection of secrets.
pub(super) enum Secrets {}

impl Collection for Secrets {
    const FAMILY: Family = Family {
        object: ObjectKind::Secret,
        head: Kind::Secret,
        version: Kind::SecretVersion,
        deleted: Kind::DeletedSecret,
        material: Some(Kind::SecretValue),
        extras: &[],
    };
    type Version = SecretVersion;
    type Read = ReadSecretMetadata;
    type Update = UpdateSecret;
    type Delete = DeleteSecret;
    type Recover = RecoverSecret;
    type Purge = PurgeSecret;
    type Backup = BackupSecret;
    type Restore = RestoreSecret;
}

impl Version for SecretVersion {
    fn id(&self) -> ObjectVersion {
        self.version
    }

    fn managed(&self) -> bool {
        self.managed
    }
}

impl Attributes {
    /// Refuses what Key Vault documents as too long or contradictory.
    pub fn check(&self) -> Result<(), String> {
        if self.content_type.as_ref().is_some_and(|text| text.len() > limits::CONTENT_TYPE_BYTES_MAX) {
            return Err(format!("contentType is longer than {} bytes", limits::CONTENT_TYPE_BYTES_MAX));
        }
        labels_and_validity(&self.tags, self.not_before, self.expires)
    }
}

fn version_into(version: &SecretVersion) -> record::SecretVersion {
    record::SecretVersion {
        version: version.version.0.as_bytes().to_vec(),
        disabled: version.attributes.disabled,
        not_before: version.attributes.not_before.map(Timestamp::millis),
        expires: version.attributes.expires.map(Timestamp::millis),
        created: version.created.millis(),
        updated: version.updated.millis(),
        content_type: version.attributes.content_type.clone(),
        tags: tags_into(&version.attributes.tags),
        managed: version.managed,
    }
}

fn version_from(stored: record::SecretVersion) -> Result<SecretVersion, Undecodable> {
    Ok(SecretVersion {
        version: ObjectVersion(record::uuid(&stored.version)?),
        attributes: Attributes {
            disabled: stored.disabled,
            not_before: stored.not_before.map(Timestamp::from_millis),
            expires: stored.expires.map(Timestamp::from_millis),
            content_type: stored.content_type,
            tags: tags_from(stored.tags),
        },
        managed: stored.managed,
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
