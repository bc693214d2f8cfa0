//! Bodies that clients send (secrets.json, `SecretSetParameters`, `SecretUpdateParameters`, `SecretRestoreParameters`).
//!
//! Unknown members are ignored and empty objects accepted, because JS sends `"attributes":{}` and newer API versions
//! add members. `null` counts as absent.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::json::{self, BadBody, Budget};
use crate::secret_text::SecretText;

/// `PUT /secrets/{name}`.
#[derive(Deserialize)]
pub struct SetSecretRequest {
    /// The value to keep.
    pub value: SecretText,
    /// What kind of text it is, as far as the caller cares.
    #[serde(rename = "contentType")]
    pub content_type: Option<String>,
    /// Names and values of the caller's own; not secret.
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether and when it may be read.
    pub attributes: Option<AttributesRequest>,
}

/// `PATCH /secrets/{name}/{version}`; what is absent stays as it was.
#[derive(Debug, Deserialize, Eq, PartialEq)]
pub struct UpdateSecretRequest {
    /// The new content type.
    #[serde(rename = "contentType")]
    pub content_type: Option<String>,
    /// The new tags, all of them.
    pub tags: Option<BTreeMap<String, String>>,
    /// The new attributes.
    pub attributes: Option<AttributesRequest>,
}

/// The attributes that a caller may choose; the rest of what it sends there is read-only and ignored.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct AttributesRequest {
    /// Whether it may be read or used.
    pub enabled: Option<bool>,
    /// Not before, in seconds since the epoch.
    pub nbf: Option<i64>,
    /// Not after, in seconds since the epoch.
    pub exp: Option<i64>,
}

/// `POST /secrets/restore`, and the same for keys and certificates.
#[derive(Deserialize)]
pub struct RestoreRequest {
    /// What a backup answered. It is sealed, but whoever holds it can restore it, so it does not print either.
    pub value: SecretText,
}

impl SetSecretRequest {
    /// Reads a body within a budget.
    pub fn parse(body: &[u8], budget: &Budget) -> Result<Self, BadBody> {
        json::parse(body, budget)
    }
}

impl UpdateSecretRequest {
    /// Reads a body within a budget.
    pub fn parse(body: &[u8], budget: &Budget) -> Result<Self, BadBody> {
        json::parse(body, budget)
    }
}

impl RestoreRequest {
    /// Reads a body within a budget.
    pub fn parse(body: &[u8], budget: &Budget) -> Result<Self, BadBody> {
        json::parse(body, budget)
    }
}
