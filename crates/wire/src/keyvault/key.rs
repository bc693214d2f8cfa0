//! The data plane of Key Vault, keys (keys.json 7.4, and what 7.5 to 2026-04-01 added to it).

mod answer;
mod release;
mod request;
mod rotation;
mod statement;

use serde::{Deserialize, Serialize};

pub use answer::{
    Attestation, DeletedKeyBundle, DeletedKeyItem, JsonWebKey, KeyAttributes, KeyBundle, KeyItem,
    KeyOperationResult, RandomBytes, ReleaseResult, VerifyResult,
};
pub use release::{ReleasePayload, ReleasePayloadKey, ReleasePayloadRequest, ReleasePayloadResponse};
pub use request::{
    CreateKeyRequest, ImportKeyRequest, JsonWebKeyRequest, KeyAttributesRequest, OperationRequest,
    RandomRequest, ReleaseRequest, SignRequest, TransferBlob, TransferHeader, UpdateKeyRequest,
    VerifyRequest,
};
pub use rotation::{
    ActionKind, KeyRotationPolicy, LifetimeAction, LifetimeActionKind, LifetimeTrigger, RotationAttributes,
};
pub use statement::{KeyStatement, StatedAttributes, StatedToken};

use super::octets::Octets;

/// The kinds of keys; those with `-HSM` are held by a token (RFC 7518 §6.1 has the others).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum KeyType {
    /// Elliptic curve.
    #[serde(rename = "EC")]
    Ec,
    /// Elliptic curve, in a token.
    #[serde(rename = "EC-HSM")]
    EcHsm,
    /// RSA.
    #[serde(rename = "RSA")]
    Rsa,
    /// RSA, in a token.
    #[serde(rename = "RSA-HSM")]
    RsaHsm,
    /// Symmetric.
    #[serde(rename = "oct")]
    Oct,
    /// Symmetric, in a token.
    #[serde(rename = "oct-HSM")]
    OctHsm,
}

impl KeyType {
    /// Whether the key is asked to live in a token.
    pub const fn in_token(self) -> bool {
        matches!(self, Self::EcHsm | Self::RsaHsm | Self::OctHsm)
    }
}

/// The curves.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Curve {
    /// NIST P-256.
    #[serde(rename = "P-256")]
    P256,
    /// NIST P-384.
    #[serde(rename = "P-384")]
    P384,
    /// NIST P-521.
    #[serde(rename = "P-521")]
    P521,
    /// secp256k1.
    #[serde(rename = "P-256K", alias = "SECP256K1")]
    P256K,
}

/// What a key may be used for (RFC 7517 §4.3, with `import` and `export`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyOperation {
    /// Encrypting.
    Encrypt,
    /// Decrypting.
    Decrypt,
    /// Signing a digest.
    Sign,
    /// Verifying a signature.
    Verify,
    /// Encrypting another key.
    WrapKey,
    /// Decrypting another key.
    UnwrapKey,
    /// Receiving a key that was wrapped for a token.
    Import,
    /// Being released.
    Export,
}

/// Under which conditions an exportable key may be released.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePolicy {
    /// `application/json; charset=utf-8` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Whether it can never be changed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// The policy, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Octets>,
}
