//! Our own administration interface over the Unix socket: JSON, `snake_case`, unknown members refused.
//!
//! The kernel's peer credentials are the login there, so no shape has a member for one. The desired state is also the
//! document that people write as YAML for `vouchsafe apply`.

mod answer;
mod desired;
mod secret;

pub use answer::{
    Action, ApplyReport, AuditEntry, AuditTail, Change, ClockConfirmed, ClockStatus, Endpoints, Kind,
    LogStatus, Outcome, Phase, Problem, RekeyStatus, Status, Subject,
};
pub use desired::{
    Application, ApplyRequest, AttestationIssuer, Binding, CustomRole, DEFAULT_GROUP, DesiredState, Group,
    Identity, Member, Principal, PrincipalGroup, RoleAssignment, Scope, Sku, Subscription, Tenant, Vault,
};
pub use secret::{ClientSecret, ClientSecretRequest, SecretWrite};
