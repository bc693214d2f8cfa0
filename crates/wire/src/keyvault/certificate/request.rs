//! Bodies that clients send about certificates (certificates.json, the `…Parameters` definitions).
//!
//! What is imported holds a private key, and what opens it is a password: both are read into types that wipe
//! themselves.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::answer::Contact;
use super::encoded::MergedDer;
use super::policy::{CertificatePolicy, Organization};
use crate::json::{self, BadBody, Budget};
use crate::keyvault::request::AttributesRequest;
use crate::secret_text::SecretText;

/// `POST /certificates/{name}/create`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct CreateCertificateRequest {
    /// How it is made and renewed.
    pub policy: Option<CertificatePolicy>,
    /// Whether it may be used.
    pub attributes: Option<AttributesRequest>,
    /// Names and values of the caller's own; not secret.
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether the chain keeps the order in which it was given.
    #[serde(rename = "preserveCertOrder")]
    pub preserve_cert_order: Option<bool>,
}

/// `POST /certificates/{name}/import`: a certificate with its private key that was made elsewhere.
#[derive(Deserialize)]
pub struct ImportCertificateRequest {
    /// PKCS #12 in base64, or PEM.
    pub value: SecretText,
    /// What opens the PKCS #12.
    pub pwd: Option<SecretText>,
    /// How it is renewed.
    pub policy: Option<CertificatePolicy>,
    /// Whether it may be used.
    pub attributes: Option<AttributesRequest>,
    /// Names and values of the caller's own; not secret.
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether the chain keeps the order in which it was given.
    #[serde(rename = "preserveCertOrder")]
    pub preserve_cert_order: Option<bool>,
}

/// `PATCH /certificates/{name}/{version}`; what is absent stays as it was.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct UpdateCertificateRequest {
    /// The new policy.
    pub policy: Option<CertificatePolicy>,
    /// The new attributes.
    pub attributes: Option<AttributesRequest>,
    /// The new tags, all of them.
    pub tags: Option<BTreeMap<String, String>>,
}

/// `POST /certificates/{name}/pending/merge`: what somebody else signed for the pending request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct MergeCertificateRequest {
    /// The certificate first, then those above it.
    pub x5c: Vec<MergedDer>,
    /// Whether it may be used.
    pub attributes: Option<AttributesRequest>,
    /// Names and values of the caller's own; not secret.
    pub tags: Option<BTreeMap<String, String>>,
}

/// `PATCH /certificates/{name}/pending`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub struct UpdateOperationRequest {
    /// Whether to give up.
    pub cancellation_requested: bool,
}

/// `POST /certificates/{name}/{version}/revoke`, which is ours: for certificates of an authority in the vault.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub struct RevokeCertificateRequest {
    /// Why.
    pub reason: Option<RevocationReason>,
}

/// Why a certificate is revoked (RFC 5280 §5.3.1), as far as a certificate of a vault can have such a reason.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// The subject has another name.
    AffiliationChanged,
    /// There is a newer certificate.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// A right that it names was taken away.
    PrivilegeWithdrawn,
}

/// `PUT` and `PATCH /certificates/issuers/{name}`; a PUT needs the provider.
#[derive(Deserialize)]
pub struct IssuerRequest {
    /// Who it is.
    pub provider: Option<String>,
    /// How to log in there.
    pub credentials: Option<IssuerCredentialsRequest>,
    /// Whom it knows us as.
    pub org_details: Option<Organization>,
    /// Whether it may be used.
    pub attributes: Option<IssuerAttributesRequest>,
}

/// How to log in at an issuer.
#[derive(Deserialize)]
pub struct IssuerCredentialsRequest {
    /// Which account.
    pub account_id: Option<String>,
    /// Its password.
    pub pwd: Option<SecretText>,
}

/// The attributes of an issuer that a caller may choose.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct IssuerAttributesRequest {
    /// Whether it may be used.
    pub enabled: Option<bool>,
}

/// `PUT /certificates/contacts`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct SetContactsRequest {
    /// Who is told.
    pub contacts: Option<Vec<Contact>>,
}

/// Each of these is read within a budget and refused in plain words.
macro_rules! parsed {
    ($($shape:ty),* $(,)?) => {$(
        impl $shape {
            /// Reads a body within a budget.
            pub fn parse(body: &[u8], budget: &Budget) -> Result<Self, BadBody> {
                json::parse(body, budget)
            }
        }
    )*};
}

parsed!(
    CreateCertificateRequest,
    ImportCertificateRequest,
    UpdateCertificateRequest,
    MergeCertificateRequest,
    RevokeCertificateRequest,
    UpdateOperationRequest,
    IssuerRequest,
    SetContactsRequest,
);
