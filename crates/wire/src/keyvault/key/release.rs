//! What a released key travels in: the payload of the signed answer (Azure Key Vault's secure key release).

use serde::{Deserialize, Serialize};

use super::{JsonWebKey, KeyAttributes, ReleasePolicy};

/// The payload of the token that release answers with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReleasePayload {
    /// What was asked.
    pub request: ReleasePayloadRequest,
    /// What is given.
    pub response: ReleasePayloadResponse,
}

impl ReleasePayload {
    /// The version of what stands in `key_hsm`; that of a key on its way in is another one.
    pub const SCHEMA_VERSION: &str = "1.0";

    /// The bytes that are signed.
    pub fn to_json(&self) -> Vec<u8> {
        // Texts, numbers and truths only: serialisation has nothing that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What was asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReleasePayloadRequest {
    /// The version of the protocol.
    #[serde(rename = "api-version", default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// How the key is wrapped.
    pub enc: String,
    /// The identifier of the key.
    pub kid: String,
    /// The caller's nonce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// What is given.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReleasePayloadResponse {
    /// The key.
    pub key: ReleasePayloadKey,
}

/// A released key: a bundle whose key has the wrapped private half in `key_hsm`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReleasePayloadKey {
    /// The public half, and the wrapped private one.
    pub key: JsonWebKey,
    /// When and whether it may be used.
    pub attributes: KeyAttributes,
    /// Under which conditions it was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_policy: Option<ReleasePolicy>,
}
