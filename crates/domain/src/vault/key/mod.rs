//! Keys: nouns, and what can be done with them (wire facts §7).
//!
//! The public half and the attributes of a version are its record; what a holder of keys needs to work with the private
//! half is another one, which the rooms carry and never look into. A key's holder is decided when a version is made and
//! never changed: no other holder stands in for one that does not answer.

mod attest;
mod change;
mod decide;
mod holder;
mod life;
mod operate;
mod policy;
mod read;
mod release;
mod release_policy;
mod rotate;
mod signatory;

use std::collections::BTreeMap;

use vouchsafe_crypto::keys::{KeyFamily, KeySpec, PublicKey};

use self::release_policy::ReleaseRules;
use super::object::{Collection, Deleted, Family, Head, ObjectKind, Version};
use crate::access::action::{
    BackupKey, DeleteKey, PurgeKey, ReadKey as ReadKeys, RecoverKey, RestoreKey, UpdateKey,
};
use crate::ids::ObjectVersion;
use crate::ports::store::Kind;
use crate::record::key as stored;
use crate::record::{self, Decode, Encode, Undecodable, tags_from, tags_into};
use crate::time::Timestamp;

pub use attest::{AttestedKey, KeyHalf, KeyOnAttestation};
pub use change::{KeyToCreate, KeyToImport, KeyUpdate, WrappedKey};
pub(in crate::vault) use decide::protection;
pub(in crate::vault) use holder::TokenInRun;
pub use operate::{Plaintext, RandomBytes, UsedKey};
pub use policy::{
    LifetimeAction, LifetimeTrigger, RotationAction, RotationPolicy, RotationPolicyToSet, Span,
};
pub use read::ReadKey;
pub use release::{KeyOnRelease, KeyReleaseRequest, ReleasedKey};
pub use rotate::KeyRotationPolicy;

/// What a key may be used for (`key_ops`).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum KeyOperation {
    /// Encrypt bytes.
    Encrypt,
    /// Decrypt bytes.
    Decrypt,
    /// Sign a digest.
    Sign,
    /// Verify the signature of a digest.
    Verify,
    /// Wrap another key.
    WrapKey,
    /// Unwrap another key.
    UnwrapKey,
    /// Unwrap keys that are imported into the token that holds this one.
    Import,
    /// Be released.
    Export,
}

impl KeyOperation {
    /// All of them, in Azure's order.
    pub const ALL: [Self; 8] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::Sign,
        Self::Verify,
        Self::WrapKey,
        Self::UnwrapKey,
        Self::Import,
        Self::Export,
    ];

    /// The name in `key_ops`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::WrapKey => "wrapKey",
            Self::UnwrapKey => "unwrapKey",
            Self::Import => "import",
            Self::Export => "export",
        }
    }

    /// Reads a name of `key_ops`, which is case-sensitive (RFC 7517 §4.3).
    pub fn parse(raw: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == raw)
    }

    /// What a key may do when nobody says.
    pub fn usual(spec: KeySpec) -> Vec<Self> {
        match spec.family() {
            KeyFamily::Rsa => Self::ALL[..6].to_vec(),
            KeyFamily::Ec => vec![Self::Sign, Self::Verify],
            KeyFamily::Oct => vec![Self::Encrypt, Self::Decrypt, Self::WrapKey, Self::UnwrapKey],
        }
    }

    /// Numbers are stored: never change or re-use one.
    const fn code(self) -> u32 {
        match self {
            Self::Encrypt => 1,
            Self::Decrypt => 2,
            Self::Sign => 3,
            Self::Verify => 4,
            Self::WrapKey => 5,
            Self::UnwrapKey => 6,
            Self::Import => 7,
            Self::Export => 8,
        }
    }

    fn from_code(code: u32) -> Result<Self, Undecodable> {
        let found = Self::ALL.into_iter().find(|operation| operation.code() == code);
        found.ok_or_else(|| Undecodable(format!("there is no key operation {code}")))
    }
}

/// What a caller may set on a version of a key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyAttributes {
    /// Whether using it is switched off.
    pub disabled: bool,
    /// Not to be used before.
    pub not_before: Option<Timestamp>,
    /// Not to be used after.
    pub expires: Option<Timestamp>,
    /// Whether it may be released.
    pub exportable: bool,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// To whom an exportable key may be released.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReleasePolicy {
    /// The type of `data`.
    pub content_type: Option<String>,
    /// The policy, as it was given.
    pub data: Vec<u8>,
    /// Whether it can never be changed again.
    pub immutable: bool,
}

impl ReleasePolicy {
    /// Whether it would be understood when it is needed, and if not, why.
    pub fn check(&self) -> Result<(), String> {
        ReleaseRules::parse(self.content_type.as_deref(), &self.data).map(drop)
    }
}

/// One version of a key without its private half.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyVersion {
    /// Its id.
    pub version: ObjectVersion,
    /// What kind of key it is.
    pub spec: KeySpec,
    /// Whether a token holds it.
    pub in_token: bool,
    /// What it may be used for.
    pub operations: Vec<KeyOperation>,
    /// The public half; symmetric keys have none.
    pub public: Option<PublicKey>,
    /// What the caller set.
    pub attributes: KeyAttributes,
    /// To whom it may be released.
    pub release_policy: Option<ReleasePolicy>,
    /// Whether it belongs to a certificate of the same name.
    pub managed: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When its attributes last changed.
    pub updated: Timestamp,
}

/// A live key as lists show it.
pub type KeyHead = Head<KeyVersion>;
/// A soft-deleted key.
pub type DeletedKey = Deleted<KeyVersion>;

/// The collection of keys.
pub(super) enum Keys {}

impl Collection for Keys {
    const FAMILY: Family = Family {
        object: ObjectKind::Key,
        head: Kind::Key,
        version: Kind::KeyVersion,
        deleted: Kind::DeletedKey,
        material: Some(Kind::KeyMaterial),
        extras: &[Kind::KeyRotationPolicy],
    };
    type Version = KeyVersion;
    type Read = ReadKeys;
    type Update = UpdateKey;
    type Delete = DeleteKey;
    type Recover = RecoverKey;
    type Purge = PurgeKey;
    type Backup = BackupKey;
    type Restore = RestoreKey;
}

impl Version for KeyVersion {
    fn id(&self) -> ObjectVersion {
        self.version
    }

    fn managed(&self) -> bool {
        self.managed
    }
}

fn public_into(public: &PublicKey) -> stored::PublicKey {
    let (first, second) = match public {
        PublicKey::Rsa { n, e } => (n, e),
        PublicKey::Ec { x, y, .. } => (x, y),
    };
    stored::PublicKey { first: first.clone(), second: second.clone() }
}

fn public_from(spec: KeySpec, public: stored::PublicKey) -> Result<PublicKey, Undecodable> {
    let stored::PublicKey { first, second } = public;
    match spec.family() {
        KeyFamily::Rsa => Ok(PublicKey::Rsa { n: first, e: second }),
        KeyFamily::Ec => Ok(PublicKey::Ec { curve: spec, x: first, y: second }),
        KeyFamily::Oct => Err(Undecodable("a symmetric key has a public half".to_owned())),
    }
}

impl Encode for KeyVersion {
    fn encode(&self) -> Vec<u8> {
        record::encode(&stored::KeyVersion {
            version: self.version.0.as_bytes().to_vec(),
            disabled: self.attributes.disabled,
            not_before: self.attributes.not_before.map(Timestamp::millis),
            expires: self.attributes.expires.map(Timestamp::millis),
            created: self.created.millis(),
            updated: self.updated.millis(),
            spec: self.spec.code(),
            tags: tags_into(&self.attributes.tags),
            managed: self.managed,
            in_token: self.in_token,
            exportable: self.attributes.exportable,
            operations: self.operations.iter().map(|operation| operation.code()).collect(),
            public: self.public.as_ref().map(public_into),
            release_policy: self.release_policy.as_ref().map(|policy| stored::ReleasePolicy {
                content_type: policy.content_type.clone(),
                data: policy.data.clone(),
                immutable: policy.immutable,
            }),
        })
    }
}

impl Decode for KeyVersion {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: stored::KeyVersion = record::decode(bytes)?;
        let unknown = || Undecodable(format!("there is no kind of key {}", stored.spec));
        let spec = KeySpec::from_code(stored.spec).ok_or_else(unknown)?;
        let operations = stored.operations.into_iter().map(KeyOperation::from_code);
        Ok(Self {
            version: ObjectVersion(record::uuid(&stored.version)?),
            spec,
            in_token: stored.in_token,
            operations: operations.collect::<Result<_, _>>()?,
            public: stored.public.map(|public| public_from(spec, public)).transpose()?,
            attributes: KeyAttributes {
                disabled: stored.disabled,
                not_before: stored.not_before.map(Timestamp::from_millis),
                expires: stored.expires.map(Timestamp::from_millis),
                exportable: stored.exportable,
                tags: tags_from(stored.tags),
            },
            release_policy: stored.release_policy.map(|policy| ReleasePolicy {
                content_type: policy.content_type,
                data: policy.data,
                immutable: policy.immutable,
            }),
            managed: stored.managed,
            created: Timestamp::from_millis(stored.created),
            updated: Timestamp::from_millis(stored.updated),
        })
    }
}
