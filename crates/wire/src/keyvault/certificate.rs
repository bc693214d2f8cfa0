//! The data plane of Key Vault, certificates (certificates.json 7.4, and what 2025-07-01 and 2026-04-01 added to it).

mod answer;
mod encoded;
mod policy;
mod request;

pub use answer::{
    CertificateBundle, CertificateContacts, CertificateIssuer, CertificateIssuerItem, CertificateItem,
    CertificateOperation, Contact, DeletedCertificateBundle, DeletedCertificateItem, IssuerAttributes,
    IssuerCredentials, OperationError, PendingLink,
};
pub use encoded::{Der, MergedDer};
pub use policy::{
    Action, ActionType, Administrator, BasicConstraints, CertificatePolicy, IssuerParameters, KeyProperties,
    KeyUsage, LifetimeAction, Organization, PolicyAttributes, SecretProperties, SubjectAlternativeNames,
    Trigger, X509Properties,
};
pub use request::{
    CreateCertificateRequest, ImportCertificateRequest, IssuerAttributesRequest, IssuerCredentialsRequest,
    IssuerRequest, MergeCertificateRequest, RevocationReason, RevokeCertificateRequest, SetContactsRequest,
    UpdateCertificateRequest, UpdateOperationRequest,
};
