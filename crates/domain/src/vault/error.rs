//! What a caller of the vault can do wrong.

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
    /// There is no such secret, or no such version of it.
    #[error("a secret with (name/id) {0} was not found in this key vault")]
    NotFound(String),
    /// The version is disabled.
    #[error("operation get is not allowed on a disabled secret")]
    Disabled,
    /// The name belongs to a soft-deleted secret.
    #[error(
        "secret {0} is currently in a deleted but recoverable state, and its name cannot be reused; recover or purge it first"
    )]
    DeletedButRecoverable(String),
    /// The name is being purged.
    #[error("secret {0} is currently being deleted; try again when it is gone")]
    BeingDeleted(String),
    /// A secret of that name exists where one is to be restored or recovered to.
    #[error("there is already a secret named {0} in this vault")]
    AlreadyExists(String),
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

impl Error {
    /// The reason in the audit log: a word of ours, never the caller's text.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::VaultNotFound(_) => "vault_not_found",
            Self::Denied(_) => "denied",
            Self::NotFound(_) => "not_found",
            Self::Disabled => "disabled",
            Self::DeletedButRecoverable(_) => "deleted_but_recoverable",
            Self::BeingDeleted(_) => "being_deleted",
            Self::AlreadyExists(_) => "already_exists",
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
