//! The store port: small and ordered, so that an embedded file and an existing distributed engine both fit it.
//!
//! Optimistic: every record has a [`Revision`] that is never used again in the life of the store; a commit states
//! what it expects and either applies whole and durably, or not at all. There are no blind writes: each put and
//! delete says what it replaces. Use cases retry on conflict and are safe to run twice.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use vouchsafe_crypto::SecretBytes;

use super::log::Position;
use crate::ids::{TenantId, VaultId};

/// Which part of the deployment a record belongs to; it decides the key ring that seals it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Partition {
    /// What no tenant owns: the list of tenants, the TLS authority, checkpoints.
    Deployment,
    /// A tenant's control plane.
    Tenant(TenantId),
    /// The objects of one vault.
    Vault(TenantId, VaultId),
}

/// What kind of record a key names. Numbers are stored: never change or re-use one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Kind {
    /// A tenant, in the deployment partition.
    Tenant = 1,
    /// A vault's globally unique DNS name, in the deployment partition.
    VaultName = 2,
    /// The certificate authority of our own TLS listener.
    TlsAuthority = 3,
    /// The newest signed checkpoint of a node's audit log.
    AuditCheckpoint = 4,
    /// The revision that all of a tenant's control-plane decisions are guarded by.
    Epoch = 5,
    /// A subscription.
    Subscription = 6,
    /// A resource group.
    ResourceGroup = 7,
    /// A vault.
    Vault = 8,
    /// A soft-deleted vault.
    DeletedVault = 9,
    /// A user-assigned managed identity.
    Identity = 10,
    /// An application registration with its credentials.
    Application = 11,
    /// A service principal.
    ServicePrincipal = 12,
    /// A group of principals.
    Group = 13,
    /// A custom role definition.
    RoleDefinition = 14,
    /// A role assignment.
    RoleAssignment = 15,
    /// A tenant's token-signing key.
    SigningKey = 16,
    /// The head of a secret: current version and what listing shows.
    Secret = 17,
    /// The attributes of one version of a secret.
    SecretVersion = 18,
    /// The value of one version of a secret.
    SecretValue = 19,
    /// The head of a soft-deleted secret.
    DeletedSecret = 20,
    /// The subscription that a tenant id belongs to, in the deployment partition.
    SubscriptionOwner = 21,
    /// The head of a key: current version and what listing shows.
    Key = 22,
    /// The public part and the attributes of one version of a key.
    KeyVersion = 23,
    /// What a holder of keys needs to use one version: private key material, or the handle of a key in a token.
    KeyMaterial = 24,
    /// The head of a soft-deleted key.
    DeletedKey = 25,
    /// When a key is rotated by itself.
    KeyRotationPolicy = 26,
    /// The head of a certificate: current version and what listing shows.
    Certificate = 27,
    /// One version of a certificate: its attributes and its chain.
    CertificateVersion = 28,
    /// The head of a soft-deleted certificate.
    DeletedCertificate = 29,
    /// What the next version of a certificate is made from.
    CertificatePolicy = 30,
    /// The operation that makes the next version of a certificate.
    PendingCertificate = 31,
    /// An issuer of certificates, as a vault knows it.
    CertificateIssuer = 32,
    /// Who is told about certificates of a vault.
    CertificateContacts = 33,
    /// One certificate that a private authority issued.
    IssuedCertificate = 34,
    /// A private certificate authority of a vault.
    CertificateAuthority = 35,
    /// An attestation service that a tenant trusts.
    AttestationIssuer = 36,
    /// The latest time that was believed, in the deployment partition.
    ClockMark = 37,
}

/// The typed path of a record. The barrier turns it into an opaque engine key; names never reach the disk.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// Whose record it is.
    pub partition: Partition,
    /// What it is.
    pub kind: Kind,
    /// Its canonical name, outermost segment first: at most [`Key::SEGMENTS_MAX`].
    pub name: Vec<String>,
}

impl Key {
    /// Deepest name, for example a secret's name and version.
    pub const SEGMENTS_MAX: usize = 2;

    /// A record named by one segment.
    pub fn new(partition: Partition, kind: Kind, name: impl Into<String>) -> Self {
        Self { partition, kind, name: vec![name.into()] }
    }

    /// A record named by two segments.
    pub fn nested(
        partition: Partition,
        kind: Kind,
        outer: impl Into<String>,
        inner: impl Into<String>,
    ) -> Self {
        Self { partition, kind, name: vec![outer.into(), inner.into()] }
    }
}

/// A range of records: all of a kind in a partition, or all below one outer name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Prefix {
    /// Whose records.
    pub partition: Partition,
    /// Which kind.
    pub kind: Kind,
    /// Only those below this outer segment.
    pub outer: Option<String>,
}

/// A record's revision: unique in the life of the store, so that a re-created record never looks like the old one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Revision(pub u64);

/// A record as it was read.
pub struct Record {
    /// Its typed path, which the barrier proved against the sealed bytes.
    pub key: Key,
    /// Its content.
    pub value: SecretBytes,
    /// The revision to expect when it is replaced.
    pub revision: Revision,
}

/// One page of a scan.
pub struct Page {
    /// Records in the engine's own order, which is stable but tells nothing about names.
    pub records: Vec<Record>,
    /// Where to go on, when there is more. Opaque.
    pub next: Option<Cursor>,
}

/// Where a scan goes on: the opaque engine key of the last record returned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cursor(pub Vec<u8>);

/// What a commit expects to find in a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// No record.
    Absent,
    /// The record last seen at this revision.
    At(Revision),
}

/// One change of a commit.
pub enum Change {
    /// Writes a record over what is expected.
    Put(Key, Expect, SecretBytes),
    /// Removes the record last seen at this revision.
    Delete(Key, Revision),
    /// Changes nothing, but fails the commit if the place is not as expected.
    Guard(Key, Expect),
}

/// A set of changes that happens whole or not at all, bound to the audit entry that announced it.
///
/// INVARIANT: an announced commit is made by `audit::Intent` and by nothing else, so that no state changes without a
/// durable entry. Housekeeping, which no entry could precede, says what it is.
///
/// ```compile_fail
/// use vouchsafe_domain::ports::log::Position;
/// use vouchsafe_domain::ports::store::{Commit, Housekeeping};
/// let mut commit = Commit::housekeeping(Housekeeping::Checkpoint);
/// commit.announced = Some(Position(7));
/// ```
pub struct Commit {
    changes: Vec<Change>,
    announced: Option<Position>,
}

/// Writes that belong to the platform itself and follow no request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Housekeeping {
    /// The newest checkpoint of the audit log, which the log itself cannot announce.
    Checkpoint,
    /// The latest time that was believed.
    ClockMark,
    /// The first records of a deployment, made by `vouchsafe init` before a log entry can name anything.
    Initialise,
}

impl Commit {
    /// Changes per commit that every engine must carry.
    pub const CHANGES_MAX: usize = 1_024;

    pub(crate) fn announced_by(position: Position) -> Self {
        Self { changes: Vec::new(), announced: Some(position) }
    }

    /// A commit that no request caused.
    pub fn housekeeping(_: Housekeeping) -> Self {
        Self { changes: Vec::new(), announced: None }
    }

    /// What to change.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The position of the intent entry; stored with the commit, so that recovery can tell whether it happened.
    pub fn announced(&self) -> Option<Position> {
        self.announced
    }

    /// Adds a write.
    pub fn put(mut self, key: Key, expect: Expect, value: SecretBytes) -> Self {
        self.changes.push(Change::Put(key, expect, value));
        self
    }

    /// Adds a removal.
    pub fn delete(mut self, key: Key, revision: Revision) -> Self {
        self.changes.push(Change::Delete(key, revision));
        self
    }

    /// Adds a condition.
    pub fn guard(mut self, key: Key, expect: Expect) -> Self {
        self.changes.push(Change::Guard(key, expect));
        self
    }
}

/// Why a read failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// Stored bytes are not what was written there: tampering or decay. Never a wrong value.
    #[error(
        "a stored record failed its integrity check ({0}); restore it from a backup and compare the audit log"
    )]
    Integrity(String),
    /// The engine cannot answer now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Why a commit did not happen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommitError {
    /// An expectation did not hold; nothing changed. Load again and decide again.
    #[error("another change came first")]
    Conflict,
    /// Nothing is known to have changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An ordered map of sealed records.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads one record.
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError>;

    /// Reads up to `limit` records of a range, after the cursor of an earlier page.
    async fn scan(&self, prefix: &Prefix, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError>;

    /// Applies all changes durably, or none. The revisions of the puts are returned in their order.
    async fn commit(&self, commit: Commit) -> Result<Vec<Revision>, CommitError>;

    /// Follows the keys of a range as commits change them. At least once; an error means "load again".
    fn watch(&self, prefix: Prefix) -> BoxStream<'static, Result<Key, StoreError>>;

    /// Of the announced commits at or after `from`, those that happened, in order.
    async fn announced_since(&self, from: Position) -> Result<Vec<Position>, StoreError>;

    /// Forgets announced positions before `before`: their outcome is in the log. Returns nothing new twice.
    async fn settle(&self, before: Position) -> Result<(), StoreError>;

    /// The position that [`Store::settle`] last reached.
    async fn settled(&self) -> Result<Position, StoreError>;
}
