//! Stored records: numbered, optional fields, so that old files stay readable.
//!
//! A number is never changed and never used again. `tests/golden/records.txt` holds a sample of each format. Rooms
//! convert these into nouns that cannot be wrong; nothing outside a room's `Encode` and `Decode` sees them.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::ids::Malformed;

/// A noun that is stored.
pub trait Encode {
    /// The record's bytes.
    fn encode(&self) -> Vec<u8>;
}

/// A noun that is read back.
pub trait Decode: Sized {
    /// Reads a record; anything unexpected is an error, never a default.
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable>;
}

/// A record passed its integrity check but does not say what its kind says.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a stored record cannot be decoded: {0}")]
pub struct Undecodable(pub String);

impl From<prost::DecodeError> for Undecodable {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

impl From<Malformed> for Undecodable {
    fn from(error: Malformed) -> Self {
        Self(error.to_string())
    }
}

impl From<Undecodable> for crate::error::Fault {
    fn from(error: Undecodable) -> Self {
        Self::Broken(error.to_string())
    }
}

pub(crate) fn encode<M: prost::Message>(message: &M) -> Vec<u8> {
    message.encode_to_vec()
}

pub(crate) fn decode<M: prost::Message + Default>(bytes: &[u8]) -> Result<M, Undecodable> {
    Ok(M::decode(bytes)?)
}

pub(crate) fn uuid(bytes: &[u8]) -> Result<Uuid, Undecodable> {
    Uuid::from_slice(bytes).map_err(|_| Undecodable("an id is not 16 bytes".to_owned()))
}

pub(crate) fn tags_into(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(name, value)| Tag { name: name.clone(), value: value.clone() }).collect()
}

pub(crate) fn tags_from(tags: Vec<Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.name, tag.value)).collect()
}

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $id:ident: $type:ty,)* })*) => {$(
        #[derive(Clone, PartialEq, prost::Message)]
        $(#[$doc])*
        pub struct $name { $($(#[$field])* #[doc = "See the noun of the same name."] pub $id: $type,)* }
    )*};
}

pub mod certificate;
pub mod key;

records! {
    /// A label.
    Tag {
        #[prost(string, tag = "1")] name: String,
        #[prost(string, tag = "2")] value: String,
    }
    /// A tenant.
    Tenant {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(string, tag = "2")] display_name: String,
        #[prost(string, tag = "3")] domain: String,
        #[prost(bytes = "vec", tag = "4")] local_administrator: Vec<u8>,
        #[prost(uint64, tag = "5")] created: u64,
    }
    /// A subscription.
    Subscription {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] tenant: Vec<u8>,
        #[prost(string, tag = "3")] display_name: String,
    }
    /// A resource group.
    ResourceGroup {
        #[prost(bytes = "vec", tag = "1")] subscription: Vec<u8>,
        #[prost(string, tag = "2")] name: String,
        #[prost(string, tag = "3")] location: String,
        #[prost(message, repeated, tag = "4")] tags: Vec<Tag>,
    }
    /// A vault.
    Vault {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(string, tag = "2")] name: String,
        #[prost(bytes = "vec", tag = "3")] subscription: Vec<u8>,
        #[prost(string, tag = "4")] group: String,
        #[prost(string, tag = "5")] location: String,
        #[prost(uint32, tag = "6")] retention_days: u32,
        #[prost(bool, tag = "7")] purge_protection: bool,
        #[prost(message, repeated, tag = "8")] tags: Vec<Tag>,
        #[prost(uint64, tag = "9")] created: u64,
        #[prost(uint64, optional, tag = "10")] deleted: Option<u64>,
        #[prost(uint32, tag = "11")] sku: u32,
    }
    /// The owner of a vault's global name.
    VaultName {
        #[prost(bytes = "vec", tag = "1")] tenant: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] vault: Vec<u8>,
    }
    /// One way for a workload to be an identity.
    Binding {
        #[prost(uint32, optional, tag = "1")] uid: Option<u32>,
        #[prost(uint32, optional, tag = "2")] gid: Option<u32>,
        #[prost(string, optional, tag = "3")] path: Option<String>,
        #[prost(bytes = "vec", optional, tag = "4")] sha256: Option<Vec<u8>>,
        #[prost(string, optional, tag = "5")] unit: Option<String>,
    }
    /// A user-assigned managed identity.
    Identity {
        #[prost(bytes = "vec", tag = "1")] principal: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] client: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")] subscription: Vec<u8>,
        #[prost(string, tag = "4")] group: String,
        #[prost(string, tag = "5")] name: String,
        #[prost(string, tag = "6")] location: String,
        #[prost(message, repeated, tag = "7")] tags: Vec<Tag>,
        #[prost(message, repeated, tag = "8")] bindings: Vec<Binding>,
    }
    /// A certificate that an application may sign assertions with.
    CertificateCredential {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] der: Vec<u8>,
    }
    /// A client secret, of which only a digest is kept.
    SecretCredential {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] sha256: Vec<u8>,
        #[prost(string, tag = "3")] hint: String,
        #[prost(uint64, tag = "4")] created: u64,
        #[prost(uint64, tag = "5")] expires: u64,
    }
    /// An application registration.
    Application {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] client: Vec<u8>,
        #[prost(string, tag = "3")] display_name: String,
        #[prost(string, repeated, tag = "4")] identifier_uris: Vec<String>,
        #[prost(message, repeated, tag = "5")] certificates: Vec<CertificateCredential>,
        #[prost(message, repeated, tag = "6")] secrets: Vec<SecretCredential>,
    }
    /// A service principal.
    ServicePrincipal {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] client: Vec<u8>,
        #[prost(string, tag = "3")] display_name: String,
        #[prost(bool, tag = "4")] disabled: bool,
    }
    /// A group of principals.
    Group {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(string, tag = "2")] display_name: String,
        #[prost(bytes = "vec", repeated, tag = "3")] members: Vec<Vec<u8>>,
    }
    /// An attestation service that a tenant trusts, with its key set as JSON.
    AttestationIssuer {
        #[prost(string, tag = "1")] issuer: String,
        #[prost(bytes = "vec", tag = "2")] keys: Vec<u8>,
    }
    /// What one entry of a role permits.
    Permission {
        #[prost(string, repeated, tag = "1")] actions: Vec<String>,
        #[prost(string, repeated, tag = "2")] not_actions: Vec<String>,
        #[prost(string, repeated, tag = "3")] data_actions: Vec<String>,
        #[prost(string, repeated, tag = "4")] not_data_actions: Vec<String>,
    }
    /// A custom role definition.
    RoleDefinition {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(string, tag = "2")] name: String,
        #[prost(string, tag = "3")] description: String,
        #[prost(message, repeated, tag = "4")] permissions: Vec<Permission>,
        #[prost(string, repeated, tag = "5")] assignable_scopes: Vec<String>,
    }
    /// A role assignment.
    RoleAssignment {
        #[prost(bytes = "vec", tag = "1")] id: Vec<u8>,
        #[prost(string, tag = "2")] scope: String,
        #[prost(bytes = "vec", tag = "3")] role: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")] principal: Vec<u8>,
        #[prost(string, tag = "5")] principal_type: String,
        #[prost(uint64, tag = "6")] created: u64,
        #[prost(bytes = "vec", optional, tag = "7")] created_by: Option<Vec<u8>>,
    }
    /// A token-signing key.
    #[prost(skip_debug)]
    SigningKey {
        #[prost(string, tag = "1")] kid: String,
        #[prost(uint32, tag = "2")] kind: u32,
        #[prost(uint32, tag = "3")] state: u32,
        #[prost(uint64, tag = "4")] created: u64,
        #[prost(bytes = "vec", tag = "5")] pkcs8: Vec<u8>,
    }
    /// The certificate authority of our own listener.
    #[prost(skip_debug)]
    TlsAuthority {
        #[prost(bytes = "vec", tag = "1")] certificate: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] pkcs8: Vec<u8>,
    }
    /// The latest time that was believed.
    ClockMark {
        #[prost(uint64, tag = "1")] latest: u64,
        #[prost(bool, tag = "2")] doubted: bool,
    }
    /// A tenant's epoch; its revision is what counts.
    Epoch {
        #[prost(uint64, tag = "1")] changed: u64,
    }
    /// The attributes of one version of a secret.
    SecretVersion {
        #[prost(bytes = "vec", tag = "1")] version: Vec<u8>,
        #[prost(bool, tag = "2")] disabled: bool,
        #[prost(uint64, optional, tag = "3")] not_before: Option<u64>,
        #[prost(uint64, optional, tag = "4")] expires: Option<u64>,
        #[prost(uint64, tag = "5")] created: u64,
        #[prost(uint64, tag = "6")] updated: u64,
        #[prost(string, optional, tag = "7")] content_type: Option<String>,
        #[prost(message, repeated, tag = "8")] tags: Vec<Tag>,
        #[prost(bool, tag = "9")] managed: bool,
    }
    /// The head of a vault's object, live or deleted. The current version is a record of the object's collection.
    Object {
        #[prost(string, tag = "1")] name: String,
        #[prost(bytes = "vec", optional, tag = "2")] current: Option<Vec<u8>>,
        #[prost(uint64, optional, tag = "3")] deleted: Option<u64>,
        #[prost(uint64, optional, tag = "4")] purge_due: Option<u64>,
        #[prost(bool, tag = "5")] purging: bool,
    }
    /// What the record of every version begins with.
    VersionId {
        #[prost(bytes = "vec", tag = "1")] version: Vec<u8>,
    }
    /// One version inside a backup.
    #[prost(skip_debug)]
    BackupVersion {
        #[prost(bytes = "vec", optional, tag = "1")] attributes: Option<Vec<u8>>,
        #[prost(bytes = "vec", tag = "2")] value: Vec<u8>,
    }
    /// A record that belongs to an object as a whole, inside a backup.
    BackupExtra {
        #[prost(uint32, tag = "1")] kind: u32,
        #[prost(bytes = "vec", tag = "2")] record: Vec<u8>,
    }
    /// A backup of an object with all its versions, and of the objects that live and die with it.
    #[prost(skip_debug)]
    ObjectBackup {
        #[prost(string, tag = "1")] name: String,
        #[prost(bytes = "vec", tag = "2")] current: Vec<u8>,
        #[prost(message, repeated, tag = "3")] versions: Vec<BackupVersion>,
        #[prost(message, repeated, tag = "4")] companions: Vec<ObjectBackup>,
        #[prost(message, repeated, tag = "5")] extras: Vec<BackupExtra>,
    }
}

macro_rules! redacted {
    ($($name:ident)*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }
    )*};
}

use redacted;

redacted! { SigningKey TlsAuthority BackupVersion ObjectBackup }

impl Encode for Object {
    fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

impl Decode for Object {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        decode(bytes)
    }
}
