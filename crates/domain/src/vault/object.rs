//! What secrets, keys and certificates have in common: a head, versions, a soft-deleted form, and where these stand.
//!
//! A [`Collection`] says what is different. What an object is made of is told by its [`Family`] at run time, so that
//! the key and the secret of a certificate can be moved together with it by code that knows nothing of either.

use crate::access::action::Action;
use crate::ids::{ObjectName, ObjectVersion, TenantId, VaultId};
use crate::ports::store::{Commit, Expect, Key, Kind, Partition, Prefix};
use crate::record::{self, Decode, Encode, Undecodable};
use crate::time::Timestamp;
use crate::timekeeping::ElapsedTime;
use vouchsafe_crypto::SecretBytes;

/// What an object of a vault is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObjectKind {
    /// A secret.
    Secret,
    /// A key.
    Key,
    /// A certificate.
    Certificate,
}

impl ObjectKind {
    /// The word for one of them.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Key => "key",
            Self::Certificate => "certificate",
        }
    }

    /// The collection as scopes and addresses name it.
    pub const fn collection(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }
}

impl std::fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.noun())
    }
}

/// The kinds of record that an object of one collection is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// What it is.
    pub object: ObjectKind,
    /// Its name and its current version.
    pub head: Kind,
    /// The attributes of each version.
    pub version: Kind,
    /// The head of a soft-deleted one.
    pub deleted: Kind,
    /// What must be kept of each version and never listed: a value, private key material.
    pub material: Option<Kind>,
    /// Records of the object as a whole that stay through delete and recover and go with a purge: policies.
    pub extras: &'static [Kind],
}

/// A collection of a vault: what its objects are made of and which actions their life asks for.
pub(super) trait Collection: Send + Sync + 'static {
    /// What an object is made of.
    const FAMILY: Family;
    /// What else of the same name is deleted, recovered and purged together with it.
    const COMPANIONS: &'static [Family] = &[];
    /// The attributes of one version.
    type Version: Version;
    /// Listing, and showing what is deleted.
    type Read: Action;
    /// Changing attributes.
    type Update: Action;
    /// Soft-deleting.
    type Delete: Action;
    /// Bringing back.
    type Recover: Action;
    /// Destroying.
    type Purge: Action;
    /// Exporting a sealed blob.
    type Backup: Action;
    /// Importing a sealed blob.
    type Restore: Action;
}

/// One version of an object, without what is kept secret of it.
pub trait Version: Clone + Decode + Encode + Send + Sync {
    /// Its id.
    fn id(&self) -> ObjectVersion;

    /// Whether the object belongs to a certificate and is changed through that only.
    fn managed(&self) -> bool;
}

/// A live object as lists show it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head<V> {
    /// Its name as first written.
    pub name: ObjectName,
    /// Its current version.
    pub current: V,
}

/// A soft-deleted object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deleted<V> {
    /// What it was.
    pub head: Head<V>,
    /// When it was deleted.
    pub deleted: Timestamp,
    /// When it is purged without being asked.
    pub purge_due: Timestamp,
    /// Whether its versions are already being destroyed; then it cannot be recovered.
    pub purging: bool,
}

impl<V> Deleted<V> {
    /// Whether its retention is over, as far as the time that has come is not in doubt.
    pub fn is_due(&self, elapsed: Option<ElapsedTime>) -> bool {
        elapsed.is_some_and(|now| self.purge_due <= now.moment())
    }
}

/// Where an object's records stand.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub partition: Partition,
    pub family: Family,
    name: String,
}

impl Place {
    pub(super) fn new(tenant: TenantId, vault: VaultId, family: Family, name: &ObjectName) -> Self {
        Self { partition: Partition::Vault(tenant, vault), family, name: name.canonical() }
    }

    /// Where something of the same name in another collection stands.
    pub(super) fn companion(&self, family: Family) -> Self {
        Self { family, ..self.clone() }
    }

    /// Whether a record is of the object that has this name, or of what belongs to it.
    pub(super) fn owns(&self, record: &Key) -> bool {
        record.partition == self.partition && record.name.first() == Some(&self.name)
    }

    pub(super) fn head(&self) -> Key {
        Key::new(self.partition, self.family.head, &self.name)
    }

    pub(super) fn deleted(&self) -> Key {
        Key::new(self.partition, self.family.deleted, &self.name)
    }

    pub(super) fn extra(&self, kind: Kind) -> Key {
        Key::new(self.partition, kind, &self.name)
    }

    pub(super) fn version(&self, version: ObjectVersion) -> Key {
        Key::nested(self.partition, self.family.version, &self.name, version.to_string())
    }

    pub(super) fn material(&self, version: ObjectVersion) -> Option<Key> {
        Some(Key::nested(self.partition, self.family.material?, &self.name, version.to_string()))
    }

    pub(super) fn versions(&self) -> Prefix {
        Prefix { partition: self.partition, kind: self.family.version, outer: Some(self.name.clone()) }
    }

    /// Writes a version that was not there before, with what is kept secret of it.
    pub(super) fn put_version(
        &self,
        commit: Commit,
        version: ObjectVersion,
        record: Vec<u8>,
        material: Option<SecretBytes>,
    ) -> Commit {
        let commit = commit.put(self.version(version), Expect::Absent, SecretBytes::new(record));
        match (self.material(version), material) {
            (Some(key), Some(material)) => commit.put(key, Expect::Absent, material),
            _ => commit,
        }
    }
}

fn head_into<V: Version>(head: &Head<V>) -> record::Object {
    record::Object {
        name: head.name.to_string(),
        current: Some(head.current.encode()),
        deleted: None,
        purge_due: None,
        purging: false,
    }
}

fn head_from<V: Version>(stored: &record::Object) -> Result<Head<V>, Undecodable> {
    let current = stored.current.as_ref();
    let current = current.ok_or_else(|| Undecodable("an object has no current version".to_owned()))?;
    Ok(Head { name: ObjectName::parse(&stored.name)?, current: V::decode(current)? })
}

impl<V: Version> Encode for Head<V> {
    fn encode(&self) -> Vec<u8> {
        record::encode(&head_into(self))
    }
}

impl<V: Version> Decode for Head<V> {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        head_from(&record::decode(bytes)?)
    }
}

impl<V: Version> Encode for Deleted<V> {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::Object {
            deleted: Some(self.deleted.millis()),
            purge_due: Some(self.purge_due.millis()),
            purging: self.purging,
            ..head_into(&self.head)
        })
    }
}

impl<V: Version> Decode for Deleted<V> {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::Object = record::decode(bytes)?;
        let missing = || Undecodable("a deleted object has no dates".to_owned());
        Ok(Self {
            head: head_from(&stored)?,
            deleted: Timestamp::from_millis(stored.deleted.ok_or_else(missing)?),
            purge_due: Timestamp::from_millis(stored.purge_due.ok_or_else(missing)?),
            purging: stored.purging,
        })
    }
}
