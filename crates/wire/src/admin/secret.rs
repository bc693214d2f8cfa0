//! The administration shapes that carry a secret: writing one into a vault, and getting a client secret.
//!
//! They write themselves into a buffer that wipes itself; nothing else can serialize them.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret_text::{SecretText, to_wiped_json, write_exposed};

/// A value for `vouchsafe secret set`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretWrite {
    /// The value to keep.
    pub value: SecretText,
    /// What kind of text it is.
    #[serde(rename = "contentType")]
    pub content_type: Option<String>,
}

impl SecretWrite {
    /// The request's bytes, in a buffer that wipes itself.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Written<'a> {
            #[serde(serialize_with = "write_exposed")]
            value: &'a SecretText,
            #[serde(rename = "contentType", skip_serializing_if = "Option::is_none")]
            content_type: Option<&'a str>,
        }
        let written = Written { value: &self.value, content_type: self.content_type.as_deref() };
        to_wiped_json(&written, self.value.len() + 64)
    }
}

/// Asks for a new client secret of an application.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSecretRequest {
    /// The application, by name or client id.
    pub application: String,
    /// What the secret is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// For how many days it is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_days: Option<u32>,
    /// The application's tenant, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A new client secret, shown this once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSecret {
    /// The application's client id.
    pub client_id: String,
    /// The id of this credential.
    pub key_id: String,
    /// The secret itself.
    pub secret: SecretText,
    /// Until when it is good, RFC 3339.
    pub expires_at: String,
}

impl ClientSecret {
    /// The answer's bytes, in a buffer that wipes itself.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Written<'a> {
            client_id: &'a str,
            key_id: &'a str,
            #[serde(serialize_with = "write_exposed")]
            secret: &'a SecretText,
            expires_at: &'a str,
        }
        let Self { client_id, key_id, secret, expires_at } = self;
        to_wiped_json(&Written { client_id, key_id, secret, expires_at }, secret.len() + 256)
    }
}
