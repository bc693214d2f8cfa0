//! What a caller of the vault can do wrong.

use vouchsafe_crypto::jose::attestation::AttestationRefused;

use super::object::ObjectKind;
use crate::access::authorize::Denial;
use crate::error::Fault;
use crate::ids::Malformed;
use crate::record::Undecodable;

/// Why a vault operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No vault of this name is here.
    #[error("there is no vault named `{0}`")]
    VaultNotFound(String),
    /// The caller may not.
    #[error("the caller is not authorized")]
    Denied(Box<Denial>),
    /// There is no such object, or no such version of it.
    #[error("a {0} with (name/id) {1} was not found in this key vault")]
    NotFound(ObjectKind, String),
    /// The version is disabled and cannot be read.
    #[error("operation get is not allowed on a disabled {0}")]
    Disabled(ObjectKind),
    /// The name belongs to a soft-deleted object.
    #[error(
        "{0} {1} is currently in a deleted but recoverable state, and its name cannot be reused; recover or purge it first"
    )]
    DeletedButRecoverable(ObjectKind, String),
    /// The name is being purged.
    #[error("{0} {1} is currently being deleted; try again when it is gone")]
    BeingDeleted(ObjectKind, String),
    /// An object of that name exists where one is to be restored or recovered to.
    #[error("there is already a {0} named {1} in this vault")]
    AlreadyExists(ObjectKind, String),
    /// The object belongs to a certificate; this operation asks for the certificate.
    #[error("operation {1} is not allowed on this {0}, because it belongs to a certificate of the same name")]
    Managed(ObjectKind, &'static str),
    /// The next version of the certificate is being made already.
    #[error(
        "certificate {0} has a pending operation that is in progress: wait for it, cancel it or delete it before another one begins"
    )]
    OperationInProgress(String),
    /// There is no operation on the certificate.
    #[error("a pending certificate with (name/id) {0} was not found in this key vault")]
    PendingNotFound(String),
    /// The operation on the certificate is over.
    #[error("{0}")]
    OperationEnded(String),
    /// There is no such issuer.
    #[error("a certificate issuer with (name/id) {0} was not found in this key vault")]
    IssuerNotFound(String),
    /// There are no contacts.
    #[error("there are no certificate contacts in this key vault")]
    ContactsNotFound,
    /// The key may not be used for this now.
    #[error("operation {1} is not allowed on this key: it {0}")]
    KeyUnusable(KeyUnusable, &'static str),
    /// The key is not released to who asks for it.
    #[error("the key is not released: {0}")]
    NotReleased(#[from] NotReleased),
    /// The vault keeps deleted objects until their time.
    #[error(
        "operation purge is not allowed because purge protection is enabled for this vault; the secret is purged on its scheduled purge date"
    )]
    PurgeProtected,
    /// The request does not make sense.
    #[error("{0}")]
    BadParameter(String),
    /// Not the caller's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a key may not be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyUnusable {
    /// It is disabled.
    #[error("is disabled")]
    Disabled,
    /// The operation is not among its `key_ops`.
    #[error("does not permit the operation")]
    Operation,
    /// Its `nbf` is still to come.
    #[error("is not yet valid")]
    NotYetValid,
    /// Its `exp` has passed.
    #[error("is expired")]
    Expired,
}

/// Why a key is not released.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotReleased {
    /// It was not made to be.
    #[error("it is not exportable")]
    Exportable,
    /// Nothing says to whom it may go, or what says so cannot be understood any more.
    #[error("it has no release policy that can be used")]
    Policy,
    /// Nobody whom both the policy and the operator trust signed what was presented.
    #[error(
        "no authority of its release policy that is configured on this server vouches for the environment"
    )]
    Authority,
    /// What was presented is not believed.
    #[error("what attests the environment is not accepted: {0}")]
    Attestation(AttestationRefused),
    /// The authority says something else than the policy asks for.
    #[error("the environment does not meet the conditions of its release policy")]
    Conditions,
    /// The token was made for another request.
    #[error("the nonce is not that of the environment's token")]
    Nonce,
}

impl NotReleased {
    const fn reason(self) -> &'static str {
        match self {
            Self::Exportable => "key_not_exportable",
            Self::Policy => "no_release_policy",
            Self::Authority => "attestation_authority",
            Self::Attestation(_) => "attestation_refused",
            Self::Conditions => "attestation_conditions",
            Self::Nonce => "attestation_nonce",
        }
    }
}

impl KeyUnusable {
    const fn reason(self) -> &'static str {
        match self {
            Self::Disabled => "key_disabled",
            Self::Operation => "key_operation_forbidden",
            Self::NotYetValid => "key_not_yet_valid",
            Self::Expired => "key_expired",
        }
    }
}

impl Error {
    /// The reason in the audit log: a word of ours, never the caller's text.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::VaultNotFound(_) => "vault_not_found",
            Self::Denied(_) => "denied",
            Self::NotFound(..) => "not_found",
            Self::Disabled(_) => "disabled",
            Self::DeletedButRecoverable(..) => "deleted_but_recoverable",
            Self::BeingDeleted(..) => "being_deleted",
            Self::AlreadyExists(..) => "already_exists",
            Self::Managed(..) => "managed",
            Self::OperationInProgress(_) => "operation_in_progress",
            Self::PendingNotFound(_) => "pending_not_found",
            Self::OperationEnded(_) => "operation_ended",
            Self::IssuerNotFound(_) => "issuer_not_found",
            Self::ContactsNotFound => "contacts_not_found",
            Self::KeyUnusable(why, _) => why.reason(),
            Self::NotReleased(why) => why.reason(),
            Self::PurgeProtected => "purge_protected",
            Self::BadParameter(_) => "bad_parameter",
            Self::Fault(Fault::Contended) => "contended",
            Self::Fault(_) => "fault",
        }
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Self {
        Self::BadParameter(error.to_string())
    }
}

impl From<Undecodable> for Error {
    fn from(error: Undecodable) -> Self {
        Self::Fault(error.into())
    }
}
