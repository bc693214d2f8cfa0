//! The directory room: tenants, applications, service principals, groups, and whose attestation is believed.

mod application;
mod attestation;
mod found;
mod group;
mod manage;
mod tenant;

pub use application::{Application, CertificateCredential, SecretCredential, ServicePrincipal};
pub use attestation::AttestationIssuer;
pub use found::{TenantToFound, found_first_tenant};
pub use group::Group;
pub use manage::{ApplicationToPut, GeneratedSecret};
pub use tenant::{Tenant, TenantDomain};
