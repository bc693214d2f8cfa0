//! What a vault answers about certificates (certificates.json, `CertificateBundle` and its kin): never a private key,
//! never a password.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::encoded::Der;
use super::policy::{CertificatePolicy, IssuerParameters, Organization};
use crate::keyvault::answer::Attributes;
use crate::keyvault::error::InnerError;
use crate::keyvault::octets::Octets;

/// A certificate.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CertificateBundle {
    /// The identifier, with the version.
    pub id: String,
    /// The key of the same name and version; absent while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The secret of the same name and version; absent while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The SHA-1 of the certificate; absent while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x5t: Option<Octets>,
    /// The certificate; absent while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cer: Option<Der>,
    /// What the secret looks like.
    #[serde(default, rename = "contentType", skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// When and whether it may be used.
    pub attributes: Attributes,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// How it is made and renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<CertificatePolicy>,
    /// Where the newest request stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingLink>,
    /// Whether the chain keeps the order in which it was given.
    #[serde(default, rename = "preserveCertOrder", skip_serializing_if = "Option::is_none")]
    pub preserve_cert_order: Option<bool>,
}

/// Where a request stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PendingLink {
    /// Its address.
    pub id: String,
}

/// A certificate in a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CertificateItem {
    /// The identifier; with the version in the list of versions, without in the list of certificates.
    pub id: String,
    /// The SHA-1 of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x5t: Option<Octets>,
    /// When and whether it may be used.
    pub attributes: Attributes,
    /// The subject, as 7.4 and later show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// A deleted certificate, as DELETE and GET `/deletedcertificates/{name}` answer it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedCertificateBundle {
    /// Where to recover it.
    pub recovery_id: String,
    /// When it was deleted, in seconds since the epoch.
    pub deleted_date: i64,
    /// When it will be purged, in seconds since the epoch.
    pub scheduled_purge_date: i64,
    /// What it was.
    #[serde(flatten)]
    pub bundle: CertificateBundle,
}

/// A deleted certificate in a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedCertificateItem {
    /// Where to recover it.
    pub recovery_id: String,
    /// When it was deleted, in seconds since the epoch.
    pub deleted_date: i64,
    /// When it will be purged, in seconds since the epoch.
    pub scheduled_purge_date: i64,
    /// What it was.
    #[serde(flatten)]
    pub item: CertificateItem,
}

/// A certificate that is being made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CertificateOperation {
    /// Its address.
    pub id: String,
    /// Who signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerParameters>,
    /// The request for the signer (RFC 2986).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<Der>,
    /// Whether somebody gave up.
    pub cancellation_requested: bool,
    /// `inProgress`, `completed`, `cancelled` or `failed`.
    pub status: String,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_details: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
    /// Where the certificate is; only once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its number.
    pub request_id: String,
    /// Whether the chain keeps the order in which it was given.
    #[serde(default, rename = "preserveCertOrder", skip_serializing_if = "Option::is_none")]
    pub preserve_cert_order: Option<bool>,
}

/// Why a certificate could not be made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OperationError {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// A second code that tells cases of the first apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub innererror: Option<InnerError>,
}

/// An issuer: everything but its password.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CertificateIssuer {
    /// Its address.
    pub id: String,
    /// Who it is.
    pub provider: String,
    /// Which account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<IssuerCredentials>,
    /// Whom it knows us as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_details: Option<Organization>,
    /// Whether it may be used, and since when it is as it is.
    pub attributes: IssuerAttributes,
}

/// Which account at an issuer.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct IssuerCredentials {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// Whether an issuer may be used, and since when it is as it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IssuerAttributes {
    /// Whether it may.
    pub enabled: bool,
    /// When it was first set, in seconds since the epoch.
    pub created: i64,
    /// When it was last set, in seconds since the epoch.
    pub updated: i64,
}

/// An issuer in a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CertificateIssuerItem {
    /// Its address.
    pub id: String,
    /// Who it is.
    pub provider: String,
}

/// Who is told about certificates of a vault.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CertificateContacts {
    /// The list's address.
    pub id: String,
    /// The people.
    pub contacts: Vec<Contact>,
}

/// Somebody who is told.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Contact {
    /// Mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}
