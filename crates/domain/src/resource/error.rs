//! What a caller of the control plane can do wrong.

use crate::access::assignment::AssignmentRefused;
use crate::access::authorize::Denial;
use crate::access::custom_role::RoleRefused;
use crate::error::Fault;
use crate::ids::Malformed;

/// Why a control-plane operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller may not.
    #[error("the caller is not authorized")]
    Denied(Box<Denial>),
    /// There is no such resource.
    #[error("the {kind} `{name}` was not found")]
    NotFound {
        /// What was looked for, in people's words.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The resource group that something is to stand in does not exist.
    #[error("the resource group `{0}` was not found; create it first")]
    GroupNotFound(String),
    /// A vault of that name exists in this deployment, perhaps soft-deleted, perhaps somebody else's.
    #[error(
        "the vault name `{0}` is already in use; choose another, or recover or purge the deleted vault of that name"
    )]
    VaultNameTaken(String),
    /// The state of the resource does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The principal holds the role at the scope already.
    #[error("{0}")]
    RoleAssignmentExists(String),
    /// The vault keeps deleted objects until their time.
    #[error("the vault `{0}` has purge protection and cannot be purged before its scheduled purge date")]
    PurgeProtected(String),
    /// The request does not make sense.
    #[error("{0}")]
    Invalid(String),
    /// Not the caller's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Error {
    /// The reason in the audit log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::NotFound { .. } => "not_found",
            Self::GroupNotFound(_) => "group_not_found",
            Self::VaultNameTaken(_) => "vault_name_taken",
            Self::Conflict(_) => "conflict",
            Self::RoleAssignmentExists(_) => "role_assignment_exists",
            Self::PurgeProtected(_) => "purge_protected",
            Self::Invalid(_) => "invalid",
            Self::Fault(Fault::Contended) => "contended",
            Self::Fault(_) => "fault",
        }
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        Self::Denied(Box::new(denial))
    }
}

impl From<AssignmentRefused> for Error {
    fn from(refused: AssignmentRefused) -> Self {
        match refused {
            AssignmentRefused::Denied(denial) => denial.into(),
            AssignmentRefused::RoleAbsent(id) => {
                Self::NotFound { kind: "role definition", name: id.to_string() }
            }
            AssignmentRefused::Absent(id) => Self::NotFound { kind: "role assignment", name: id.to_string() },
            AssignmentRefused::NotAssignable { .. } => Self::Invalid(refused.to_string()),
            AssignmentRefused::Exists(_) => Self::RoleAssignmentExists(refused.to_string()),
            AssignmentRefused::Immutable(_) | AssignmentRefused::TooMany => {
                Self::Conflict(refused.to_string())
            }
        }
    }
}

impl From<RoleRefused> for Error {
    fn from(refused: RoleRefused) -> Self {
        match refused {
            RoleRefused::Denied(denial) => denial.into(),
            RoleRefused::Absent(id) => Self::NotFound { kind: "role definition", name: id.to_string() },
            RoleRefused::BuiltIn(_)
            | RoleRefused::NameTaken(_)
            | RoleRefused::InUse(_)
            | RoleRefused::TooMany => Self::Conflict(refused.to_string()),
        }
    }
}
