//! How certificates of one name are made and renewed (certificates.json, `CertificatePolicy`).
//!
//! The same shape is heard and said. Members that we do not know are kept and said again, because clients send back
//! what they read: `platformManaged` came after the versions we were written for, and others will.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::{self, BadBody, Budget};
use crate::keyvault::key::{Curve, KeyType};

/// Members of an object that have no meaning here.
type Rest = BTreeMap<String, serde_json::Value>;

/// How certificates of one name are made and renewed; whatever is absent the service chooses.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct CertificatePolicy {
    /// Its address; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What key is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_props: Option<KeyProperties>,
    /// What the secret of the same name looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_props: Option<SecretProperties>,
    /// What is in the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x509_props: Option<X509Properties>,
    /// What happens before it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_actions: Option<Vec<LifetimeAction>>,
    /// Who signs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerParameters>,
    /// Whether it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<PolicyAttributes>,
    /// What we do not know and say again.
    #[serde(flatten)]
    pub rest: Rest,
}

impl CertificatePolicy {
    /// Reads a body within a budget, as `PATCH /certificates/{name}/policy` has it.
    pub fn parse(body: &[u8], budget: &Budget) -> Result<Self, BadBody> {
        json::parse(body, budget)
    }
}

/// What key is made.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct KeyProperties {
    /// Whether the private key can be read through the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exportable: Option<bool>,
    /// What kind of key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kty: Option<KeyType>,
    /// How many bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_size: Option<u32>,
    /// Whether renewals keep the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_key: Option<bool>,
    /// The curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<Curve>,
    /// What we do not know and say again.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What the secret of the same name looks like.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretProperties {
    /// `application/x-pkcs12` or `application/x-pem-file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// What is in the certificate (RFC 5280 §4).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct X509Properties {
    /// The subject, as text (RFC 4514).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The subject's other names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sans: Option<SubjectAlternativeNames>,
    /// Extended key usages, as dotted numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ekus: Option<Vec<String>>,
    /// Key usages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_usage: Option<Vec<KeyUsage>>,
    /// For how many months it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity_months: Option<u32>,
    /// Whether it may sign others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_constraints: Option<BasicConstraints>,
    /// What we do not know and say again.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The subject's other names (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SubjectAlternativeNames {
    /// Mail addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emails: Option<Vec<String>>,
    /// Host names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_names: Option<Vec<String>>,
    /// User principal names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upns: Option<Vec<String>>,
    /// Identifiers of other schemes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uris: Option<Vec<String>>,
    /// Addresses of the internet.
    #[serde(default, rename = "ipAddresses", skip_serializing_if = "Option::is_none")]
    pub ip_addresses: Option<Vec<String>>,
    /// What we do not know and say again.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Whether a certificate may sign others (RFC 5280 §4.2.1.9).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct BasicConstraints {
    /// Whether it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<bool>,
    /// How many may be between it and the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_len_constraint: Option<i32>,
}

/// What a certificate's key may be used for (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyUsage {
    /// Signatures other than on certificates.
    DigitalSignature,
    /// Signatures that cannot be denied.
    NonRepudiation,
    /// Encrypting keys.
    KeyEncipherment,
    /// Encrypting data.
    DataEncipherment,
    /// Agreeing on keys.
    KeyAgreement,
    /// Signing certificates.
    KeyCertSign,
    /// Signing revocation lists.
    #[serde(rename = "cRLSign")]
    CrlSign,
    /// Only encrypting, while agreeing on keys.
    EncipherOnly,
    /// Only decrypting, while agreeing on keys.
    DecipherOnly,
}

/// One action and its moment.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LifetimeAction {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// What.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}

/// A moment in the life of a certificate; exactly one member is meant to be there.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Trigger {
    /// After so many hundredths of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_percentage: Option<u32>,
    /// So many days before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_before_expiry: Option<u32>,
}

/// The action's kind, in an object of its own.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Action {
    /// Which.
    pub action_type: ActionType,
}

/// What can happen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ActionType {
    /// The contacts are told.
    EmailContacts,
    /// The certificate is renewed.
    AutoRenew,
}

/// Who signs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct IssuerParameters {
    /// `Self`, `Unknown`, or the name of an issuer of this vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What kind of certificate, in the issuer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cty: Option<String>,
    /// Whether it goes into a public log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_transparency: Option<bool>,
    /// What we do not know and say again.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Whether a policy is in force, and since when it is as it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct PolicyAttributes {
    /// Whether it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// When it was first set, in seconds since the epoch; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// When it was last set, in seconds since the epoch; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
}

/// Whom an issuer knows.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Organization {
    /// Its number at the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_details: Option<Vec<Administrator>>,
}

/// A person whom an issuer knows.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Administrator {
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}
