//! What a vault answers about keys (keys.json, `KeyBundle` and its kin): public parts only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Curve, KeyOperation, KeyType, ReleasePolicy};
use crate::keyvault::answer::Attributes;
use crate::keyvault::octets::{Octets, SecretOctets, write_exposed};
use crate::secret_text::to_wiped_json;

/// The public part of a key; there is no shape that could say the private one in the clear.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct JsonWebKey {
    /// The identifier, with the version.
    pub kid: String,
    /// What kind of key.
    pub kty: KeyType,
    /// What it may be used for.
    pub key_ops: Vec<KeyOperation>,
    /// RSA's modulus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<Octets>,
    /// RSA's public exponent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<Octets>,
    /// The curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<Curve>,
    /// A point's first coordinate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<Octets>,
    /// A point's second coordinate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<Octets>,
    /// The private half, wrapped for whoever it is released to: a [`super::TransferBlob`] as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_hsm: Option<Octets>,
}

/// When and whether a key may be used, and where it lives.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyAttributes {
    /// What all objects of a vault have.
    #[serde(flatten)]
    pub common: Attributes,
    /// Whether it may be released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exportable: Option<bool>,
    /// `0` for software, `1` for a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsm_platform: Option<String>,
    /// What the token says about the key; only in answers to GET `/attestation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
}

/// What a token says about a key of its own (7.6). Of our keys both attestations are a signed [`super::KeyStatement`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// The certificates of whoever signed, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem_file: Option<Octets>,
    /// About the private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_attestation: Option<Octets>,
    /// About the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_attestation: Option<Octets>,
    /// The version of the format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyBundle {
    /// The public part.
    pub key: JsonWebKey,
    /// When and whether it may be used.
    pub attributes: KeyAttributes,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether it backs a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<bool>,
    /// Under which conditions it may be released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_policy: Option<ReleasePolicy>,
}

/// A key in a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyItem {
    /// The identifier; with the version in the list of versions, without in the list of keys.
    pub kid: String,
    /// When and whether it may be used.
    pub attributes: KeyAttributes,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether it backs a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<bool>,
}

/// A deleted key, as DELETE and GET `/deletedkeys/{name}` answer it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedKeyBundle {
    /// Where to recover it.
    pub recovery_id: String,
    /// When it was deleted, in seconds since the epoch.
    pub deleted_date: i64,
    /// When it will be purged, in seconds since the epoch.
    pub scheduled_purge_date: i64,
    /// What it was.
    #[serde(flatten)]
    pub bundle: KeyBundle,
}

/// A deleted key in a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedKeyItem {
    /// Where to recover it.
    pub recovery_id: String,
    /// When it was deleted, in seconds since the epoch.
    pub deleted_date: i64,
    /// When it will be purged, in seconds since the epoch.
    pub scheduled_purge_date: i64,
    /// What it was.
    #[serde(flatten)]
    pub item: KeyItem,
}

/// The answer to encrypt, decrypt, sign, wrap and unwrap.
#[derive(Serialize)]
pub struct KeyOperationResult {
    /// The key that did it, with the version.
    pub kid: String,
    /// The ciphertext, the plaintext or the signature.
    #[serde(serialize_with = "write_exposed")]
    pub value: SecretOctets,
    /// The initialization vector, for AES.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iv: Option<Octets>,
    /// The authentication tag, for AES-GCM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Octets>,
    /// What was authenticated and not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aad: Option<Octets>,
}

impl KeyOperationResult {
    /// The answer's bytes, in a buffer that wipes itself.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let more = [&self.iv, &self.tag, &self.aad];
        let more: usize = more.into_iter().flatten().map(|octets| octets.0.len()).sum();
        to_wiped_json(self, 96 + self.kid.len() + (self.value.len() + more) / 3 * 4 + 16)
    }
}

/// The answer to verify.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VerifyResult {
    /// Whether the signature is good.
    pub value: bool,
}

/// The answer to `POST /rng`.
#[derive(Serialize)]
pub struct RandomBytes {
    /// The bytes; they may become a key.
    #[serde(serialize_with = "write_exposed")]
    pub value: SecretOctets,
}

impl RandomBytes {
    /// The answer's bytes, in a buffer that wipes itself.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        to_wiped_json(self, 32 + self.value.len() / 3 * 4)
    }
}

/// The answer to release: a signed token with the wrapped key inside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReleaseResult {
    /// The token.
    pub value: String,
}
