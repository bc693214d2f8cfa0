//! What the token endpoint answers (RFC 6749 §5.1, with Entra's additions).

use serde::{Deserialize, Serialize};

use crate::secret_text::{SecretText, to_wiped_json, write_exposed};

/// The answer of the v2.0 token endpoint; lifetimes are JSON integers, which one SDK insists on.
#[derive(Deserialize, Serialize)]
pub struct TokenResponse {
    /// Always `Bearer`.
    pub token_type: String,
    /// For how many seconds the token may be used.
    pub expires_in: u64,
    /// The same, when the issuer is out of reach.
    pub ext_expires_in: u64,
    /// After how many seconds the client should ask again, when that is earlier than it would by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_in: Option<u64>,
    /// The token, which is as good as a password while it lives.
    #[serde(serialize_with = "write_exposed")]
    pub access_token: SecretText,
}

impl TokenResponse {
    /// A bearer token with its lifetime.
    pub fn bearer(access_token: SecretText, lifetime_seconds: u64) -> Self {
        Self {
            token_type: "Bearer".to_owned(),
            expires_in: lifetime_seconds,
            ext_expires_in: lifetime_seconds,
            refresh_in: None,
            access_token,
        }
    }

    /// The answer's bytes, in a buffer that wipes itself.
    pub fn to_json(&self) -> zeroize::Zeroizing<Vec<u8>> {
        to_wiped_json(self, self.access_token.len() + 128)
    }
}

/// The answer of the v1 token endpoint, where every number is a string.
#[derive(Deserialize, Serialize)]
pub struct TokenResponseV1 {
    /// Always `Bearer`.
    pub token_type: String,
    /// For how many seconds the token may be used.
    pub expires_in: String,
    /// The same, when the issuer is out of reach.
    pub ext_expires_in: String,
    /// When it expires, in seconds since the epoch.
    pub expires_on: String,
    /// When it begins to be good, in seconds since the epoch.
    pub not_before: String,
    /// What it is for.
    pub resource: String,
    /// The token.
    #[serde(serialize_with = "write_exposed")]
    pub access_token: SecretText,
}

impl TokenResponseV1 {
    /// A bearer token good from `not_before` for `lifetime_seconds`.
    pub fn bearer(
        access_token: SecretText,
        resource: String,
        not_before: u64,
        lifetime_seconds: u64,
    ) -> Self {
        Self {
            token_type: "Bearer".to_owned(),
            expires_in: lifetime_seconds.to_string(),
            ext_expires_in: lifetime_seconds.to_string(),
            expires_on: not_before.saturating_add(lifetime_seconds).to_string(),
            not_before: not_before.to_string(),
            resource,
            access_token,
        }
    }

    /// The answer's bytes, in a buffer that wipes itself.
    pub fn to_json(&self) -> zeroize::Zeroizing<Vec<u8>> {
        to_wiped_json(self, self.access_token.len() + self.resource.len() + 256)
    }
}
