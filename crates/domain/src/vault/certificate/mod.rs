//! Certificates: nouns, and what can be done with them (wire.md §7.3).
//!
//! A certificate owns a key and a secret of the same name and versions, which are *managed*: they are made, deleted,
//! recovered and destroyed together with it and by nothing else. The private key is stored once, as material of that
//! key. The secret has no stored value at all: what it gives is put together when it is read (`managed.rs`), so that a
//! key that is not exportable has no way out through it.
//!
//! The next version is made by an operation (`pending.rs`) that goes on when somebody polls it or the job comes by
//! (`advance.rs`). Its key waits under the certificate's own name until the certificate is there.

mod advance;
mod authority;
mod calendar;
mod change;
mod complete;
mod create;
mod import;
mod issuer;
mod issuers;
mod jobs;
mod life;
mod lifetime;
mod managed;
mod merge;
mod operation;
mod outside;
mod pending;
mod policy;
mod read;
mod revocation;
mod signing;
mod stored;
mod subject;

pub use authority::{AuthorityId, AuthorityRules};
pub(crate) use calendar::Calendar;
pub use change::CertificateUpdate;
pub use create::CertificateToCreate;
pub use import::{CertificateFile, CertificateToImport};
pub use issuer::{Administrator, Contact, Contacts, Issuer, IssuerName, IssuerPatch, Organization, Provider};
pub use jobs::CertificateJobs;
pub use lifetime::{LifetimeAction, LifetimeActionType, Trigger};
pub(in crate::vault) use managed::converted;
pub use merge::CertificateToMerge;
pub use pending::{Failure, PendingCertificate, PendingStatus};
pub use policy::{
    CertificatePolicy, ContentType, IssuerChoice, IssuerParameters, KeyProperties, PolicyPatch,
    X509Properties,
};
pub use read::{ReadCertificate, ReadPending};
pub(crate) use revocation::RememberedAnswers;

use std::collections::BTreeMap;

use vouchsafe_crypto::digest::sha1;
use vouchsafe_crypto::{Reason, SecretBytes};

use super::key::Keys;
use super::object::{Collection, Deleted, Family, Head, ObjectKind, Version};
use super::secret::Secrets;
use crate::access::action::{
    BackupCertificate, DeleteCertificate, PurgeCertificate, ReadCertificate as Read, RecoverCertificate,
    RestoreCertificate, UpdateCertificate,
};
use crate::ids::ObjectVersion;
use crate::ports::store::Kind;
use crate::record::{Decode, Encode, Undecodable};
use crate::time::Timestamp;

/// Reads a record whose noun stays in this room, an issuer's or a private authority's, and writes it again; nothing for
/// records of other kinds. For those who try to read what is no record.
#[doc(hidden)]
pub fn written_again(kind: Kind, bytes: &[u8]) -> Option<Result<Vec<u8>, Undecodable>> {
    fn again<T: Decode + Encode>(bytes: &[u8]) -> Result<Vec<u8>, Undecodable> {
        T::decode(bytes).map(|noun| noun.encode())
    }
    Some(match kind {
        Kind::CertificateIssuer => again::<issuer::StoredIssuer>(bytes),
        Kind::CertificateAuthority => again::<authority::CertificateAuthority>(bytes),
        Kind::IssuedCertificate => again::<authority::IssuedCertificate>(bytes),
        _ => return None,
    })
}

/// What a caller may set on a version.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CertificateAttributes {
    /// Whether the certificate, its key and its secret are switched off.
    pub disabled: bool,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// One version of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateVersion {
    /// Its id, which is also that of its key and its secret.
    pub version: ObjectVersion,
    /// What the caller set.
    pub attributes: CertificateAttributes,
    /// The first moment of its validity; nothing while the first version is being made.
    pub not_before: Option<Timestamp>,
    /// The last moment of its validity; nothing while the first version is being made.
    pub expires: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When its attributes last changed.
    pub updated: Timestamp,
    /// The certificate and those above it, in DER; nothing while the first version is being made.
    pub chain: Vec<Vec<u8>>,
    /// Which of the chain is the certificate itself: the first, unless an order is kept.
    pub leaf_at: usize,
    /// The form of the managed secret.
    pub content_type: ContentType,
    /// Whether the managed secret gives the key out.
    pub exportable: bool,
    /// Whether the chain is kept in the order in which it came.
    pub preserve_order: bool,
    /// The version before.
    pub previous: Option<ObjectVersion>,
    /// Whether the contacts were told that it expires.
    pub notified: bool,
    /// The authority of this vault that issued it.
    pub authority: Option<AuthorityId>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A live certificate as lists show it.
pub type CertificateHead = Head<CertificateVersion>;
/// A soft-deleted certificate.
pub type DeletedCertificate = Deleted<CertificateVersion>;

impl CertificateVersion {
    /// The certificate itself in DER, once it is issued.
    pub fn leaf(&self) -> Option<&[u8]> {
        self.chain.get(self.leaf_at).map(Vec::as_slice)
    }

    /// SHA-1 of the certificate, which is `x5t`.
    pub fn thumbprint(&self) -> Option<[u8; 20]> {
        self.leaf().map(sha1)
    }

    /// Whether there is a certificate, or only the wish for one.
    pub fn is_issued(&self) -> bool {
        self.leaf().is_some()
    }
}

impl Version for CertificateVersion {
    fn id(&self) -> ObjectVersion {
        self.version
    }

    fn managed(&self) -> bool {
        false
    }
}

/// The collection of certificates.
pub(super) enum Certificates {}

impl Collection for Certificates {
    const FAMILY: Family = Family {
        object: ObjectKind::Certificate,
        head: Kind::Certificate,
        version: Kind::CertificateVersion,
        deleted: Kind::DeletedCertificate,
        material: None,
        extras: &[Kind::CertificatePolicy, Kind::PendingCertificate, PENDING_KEY],
    };
    const COMPANIONS: &'static [Family] = &[Keys::FAMILY, Secrets::FAMILY];
    type Version = CertificateVersion;
    type Read = Read;
    type Update = UpdateCertificate;
    type Delete = DeleteCertificate;
    type Recover = RecoverCertificate;
    type Purge = PurgeCertificate;
    type Backup = BackupCertificate;
    type Restore = RestoreCertificate;
}

/// The key of the operation that makes the next version: material under the name alone, without a version, where no
/// operation on keys looks.
pub(in crate::vault) const PENDING_KEY: Kind = Kind::KeyMaterial;

/// A copy of what a holder of keys wants back, for another record.
fn copied(material: &SecretBytes) -> SecretBytes {
    SecretBytes::new(material.expose(Reason::Record).to_vec())
}
