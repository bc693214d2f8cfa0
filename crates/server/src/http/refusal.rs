//! From what a room refuses to what a dialect says: exhaustive, in one place, without status codes.

use vouchsafe_domain::Fault;
use vouchsafe_domain::access::authorize::Denial;
use vouchsafe_domain::resource;
use vouchsafe_domain::token;
use vouchsafe_domain::vault;

use super::problem::{Class, Dialect, Problem};

/// A fault is told in general terms; the details go to the log.
pub fn of_fault(dialect: Dialect, fault: &Fault) -> Problem {
    match fault {
        Fault::Contended => Problem::usual(
            dialect,
            Class::Limited,
            "too many concurrent changes to the same object; try again",
        )
        .with_retry_after(1),
        Fault::Unavailable(detail) => unavailable(dialect, detail, 1),
        Fault::UnavailableFor { why, retry_after_seconds } => unavailable(dialect, why, *retry_after_seconds),
        Fault::Broken(detail) => {
            tracing::error!(detail, "the request failed because of us");
            Problem::usual(
                dialect,
                Class::Broken,
                "the service failed; its log has the details under this request id",
            )
        }
    }
}

/// SECURITY: when to come again says that something is out of order, which the answer says anyway, and not what.
fn unavailable(dialect: Dialect, detail: &str, retry_after_seconds: u32) -> Problem {
    tracing::error!(detail, retry_after_seconds, "a dependency is unavailable");
    Problem::usual(dialect, Class::Unavailable, "the service cannot answer now; try again")
        .with_retry_after(retry_after_seconds)
}

/// A refusal of the vault room, in Key Vault's words.
pub fn of_vault(error: vault::Error) -> Problem {
    use vault::Error;
    let message = error.to_string();
    match error {
        Error::VaultNotFound(_) => Problem::new(Class::Absent, "VaultNotFound", message),
        Error::NotFound(kind, name) => Problem::new(
            Class::Absent,
            format!("{}NotFound", capitalized(kind)),
            format!(
                "A {kind} with (name/id) {name} was not found in this key vault. If you recently deleted this {kind} \
                 you may be able to recover it using the correct recovery command."
            ),
        ),
        Error::Disabled(kind) => {
            let message = format!("Operation get is not allowed on a disabled {kind}.");
            let inner = format!("{}Disabled", capitalized(kind));
            Problem::new(Class::Denied, "Forbidden", message).with_inner(inner)
        }
        Error::KeyUnusable(why, operation) => key_unusable(why, operation),
        Error::Managed(kind, operation) => Problem::new(
            Class::Denied,
            "Forbidden",
            format!(
                "Operation {operation} is not allowed on this {kind}, because it belongs to the certificate of the \
                 same name."
            ),
        )
        .with_inner(format!("{}ManagedByCertificate", capitalized(kind))),
        Error::DeletedButRecoverable(kind, name) => Problem::new(
            Class::Conflict,
            "Conflict",
            format!(
                "{} {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this \
                 state, the {kind} can only be recovered or purged.",
                capitalized(kind)
            ),
        )
        .with_inner("ObjectIsDeletedButRecoverable"),
        Error::BeingDeleted(..) => {
            Problem::new(Class::Conflict, "Conflict", message).with_inner("ObjectIsBeingDeleted").with_retry_after(1)
        }
        Error::AlreadyExists(..) | Error::OperationInProgress(_) | Error::OperationEnded(_) => {
            Problem::new(Class::Conflict, "Conflict", message)
        }
        Error::PendingNotFound(_) => Problem::new(Class::Absent, "PendingCertificateNotFound", message),
        Error::IssuerNotFound(_) => Problem::new(Class::Absent, "CertificateIssuerNotFound", message),
        Error::ContactsNotFound => Problem::new(Class::Absent, "ContactsNotFound", message),
        Error::NotReleased(_) => {
            Problem::new(Class::Denied, "Forbidden", message).with_inner("KeyReleaseForbidden")
        }
        Error::PurgeProtected => Problem::new(Class::Denied, "Forbidden", message),
        Error::BadParameter(_) => Problem::new(Class::Invalid, "BadParameter", message),
        Error::Denied(denial) => denied_data_action(&denial),
        Error::Fault(fault) => of_fault(Dialect::KeyVault, &fault),
    }
}

/// In the words that Key Vault uses for keys.
fn key_unusable(why: vault::KeyUnusable, operation: &str) -> Problem {
    use vault::KeyUnusable;
    let (message, inner) = match why {
        KeyUnusable::Disabled => {
            (format!("Operation {operation} is not allowed on a disabled key."), "KeyDisabled")
        }
        KeyUnusable::Operation => {
            (format!("Operation {operation} is not permitted on this key."), "KeyOperationForbidden")
        }
        KeyUnusable::NotYetValid => (
            format!("Operation {operation} is not allowed on a key that is not yet valid."),
            "KeyNotYetValid",
        ),
        KeyUnusable::Expired => {
            (format!("Operation {operation} is not allowed on an expired key."), "KeyExpired")
        }
    };
    Problem::new(Class::Denied, "Forbidden", message).with_inner(inner)
}

fn capitalized(kind: vault::ObjectKind) -> &'static str {
    match kind {
        vault::ObjectKind::Secret => "Secret",
        vault::ObjectKind::Key => "Key",
        vault::ObjectKind::Certificate => "Certificate",
    }
}

/// The lines that people search for: who, which data action, on what.
fn denied_data_action(denial: &Denial) -> Problem {
    let caller = &denial.caller;
    let client = caller.client().map(|client| client.to_string()).unwrap_or_default();
    let vault =
        denial.scope.as_str().split('/').skip_while(|part| !part.eq_ignore_ascii_case("vaults")).nth(1);
    let message = format!(
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
         definitions were changed recently, please observe propagation time.\r\nCaller: \
         appid={client};oid={};iss={}\r\nAction: '{}'\r\nResource: '{}'\r\nAssignment: (not found)\r\nDecisionReason: \
         null\r\nVault: {};location=null\r\n",
        caller.principal(),
        caller.issuer(),
        denial.action,
        denial.scope.canonical(),
        vault.unwrap_or_default(),
    );
    Problem::new(Class::Denied, "Forbidden", message).with_inner("ForbiddenByRbac")
}

/// A refusal of the control plane, in ARM's words.
pub fn of_resource(error: resource::Error) -> Problem {
    use resource::Error;
    let message = error.to_string();
    match error {
        Error::Denied(denial) => denied_action(&denial),
        Error::NotFound { kind, .. } => {
            let code = match kind {
                "subscription" => "SubscriptionNotFound",
                "role definition" => "RoleDefinitionDoesNotExist",
                "role assignment" => "RoleAssignmentNotFound",
                _ => "ResourceNotFound",
            };
            Problem::new(Class::Absent, code, message)
        }
        Error::GroupNotFound(_) => Problem::new(Class::Absent, "ResourceGroupNotFound", message),
        Error::VaultNameTaken(_) => Problem::new(Class::Conflict, "VaultAlreadyExists", message),
        Error::RoleAssignmentExists(_) => Problem::new(Class::Conflict, "RoleAssignmentExists", message),
        Error::Conflict(_) => Problem::new(Class::Conflict, "Conflict", message),
        Error::PurgeProtected(_) => Problem::new(Class::Conflict, "DeletedVaultPurgeProtected", message),
        Error::Invalid(_) => Problem::new(Class::Invalid, "InvalidRequest", message),
        Error::Fault(fault) => of_fault(Dialect::Arm, &fault),
    }
}

/// ARM's refusal, with the action and the scope that an assignment would need.
pub fn denied_action(denial: &Denial) -> Problem {
    let client = denial.caller.client().map(|client| client.to_string()).unwrap_or_default();
    let message = format!(
        "The client '{client}' with object id '{}' does not have authorization to perform action '{}' over scope '{}' \
         or the scope is invalid. If access was recently granted, please refresh your credentials.",
        denial.caller.principal(),
        denial.action,
        denial.scope,
    );
    Problem::new(Class::Denied, "AuthorizationFailed", message)
}

/// A refusal of the token service, in Entra's words.
pub fn of_token(error: token::Error) -> Problem {
    use token::Error;
    let message = error.to_string();
    match error {
        Error::TenantUnknown(_) => Problem::entra(Class::Invalid, "invalid_request", 90_002, message),
        Error::ClientUnknown(_) => Problem::entra(Class::Invalid, "unauthorized_client", 700_016, message),
        Error::ClientDisabled(_) => {
            Problem::entra(Class::Unauthenticated, "unauthorized_client", 7_000_112, message)
        }
        Error::BadSecret => Problem::entra(Class::Unauthenticated, "invalid_client", 7_000_215, message),
        Error::AssertionSignature { .. } => {
            Problem::entra(Class::Unauthenticated, "invalid_client", 700_027, message)
        }
        Error::AssertionTime => Problem::entra(Class::Unauthenticated, "invalid_client", 700_024, message),
        Error::AssertionMalformed(_) => Problem::entra(Class::Invalid, "invalid_request", 50_027, message),
        Error::ResourceUnknown(_) => Problem::entra(Class::Invalid, "invalid_resource", 500_011, message),
        Error::BadScope(_) => Problem::entra(Class::Invalid, "invalid_scope", 70_011, message),
        Error::NoIdentity { .. } | Error::AmbiguousIdentity { .. } => {
            Problem::entra(Class::Invalid, "invalid_request", 50_058, message)
        }
        Error::Fault(fault) => of_fault(Dialect::Entra, &fault),
    }
}
