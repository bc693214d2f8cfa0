//! The directory room: tenants, applications, service principals and groups.

mod application;
mod found;
mod group;
mod manage;
mod tenant;

pub use application::{Application, CertificateCredential, SecretCredential, ServicePrincipal};
pub use found::{TenantToFound, found_first_tenant};
pub use group::Group;
pub use manage::{ApplicationToPut, GeneratedSecret};
pub use tenant::{Tenant, TenantDomain};
