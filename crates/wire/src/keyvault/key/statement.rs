//! What a statement about a key in a token says, before it is signed: ours, because Azure's is its vendor's.

use serde::{Deserialize, Serialize};

use super::JsonWebKey;
use crate::keyvault::octets::Octets;

/// The payload of a statement about one half of a key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyStatement {
    /// The issuer of the tenant's tokens.
    pub iss: String,
    /// When the token said it, in seconds since the epoch.
    pub iat: u64,
    /// The identifier of the key, with the version.
    pub kid: String,
    /// The name of the vault.
    pub vault: String,
    /// The public half, the kind and what the key may be used for.
    pub key: JsonWebKey,
    /// Which token said it.
    pub token: StatedToken,
    /// What it said of the object that the statement is about. A public half that is no object in the token has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<StatedAttributes>,
}

impl KeyStatement {
    /// The version of the format.
    pub const VERSION: &str = "vouchsafe-1";

    /// The bytes that are signed.
    pub fn to_json(&self) -> Vec<u8> {
        // Texts, numbers and truths only: serialisation has nothing that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A token, as it calls itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatedToken {
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial_number: String,
    /// Its label.
    pub label: String,
}

/// Attributes of an object in a token, under the names of PKCS#11; what the token does not say is absent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StatedAttributes {
    /// `CKO_PRIVATE_KEY`, `CKO_SECRET_KEY` or `CKO_PUBLIC_KEY`.
    #[serde(rename = "CKA_CLASS")]
    pub class: String,
    /// `CKK_RSA`, `CKK_EC` or `CKK_AES`.
    #[serde(rename = "CKA_KEY_TYPE")]
    pub key_type: String,
    /// Bits of an RSA key.
    #[serde(rename = "CKA_MODULUS_BITS", default, skip_serializing_if = "Option::is_none")]
    pub modulus_bits: Option<usize>,
    /// Bytes of an AES key.
    #[serde(rename = "CKA_VALUE_LEN", default, skip_serializing_if = "Option::is_none")]
    pub value_len: Option<usize>,
    /// What the token finds it by.
    #[serde(rename = "CKA_ID")]
    pub id: Octets,
    /// It stays when the connection ends.
    #[serde(rename = "CKA_TOKEN", default, skip_serializing_if = "Option::is_none")]
    pub token: Option<bool>,
    /// It needs a login.
    #[serde(rename = "CKA_PRIVATE", default, skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    /// Its value is not shown in the clear.
    #[serde(rename = "CKA_SENSITIVE", default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
    /// Nor ever was.
    #[serde(rename = "CKA_ALWAYS_SENSITIVE", default, skip_serializing_if = "Option::is_none")]
    pub always_sensitive: Option<bool>,
    /// It can leave the token, wrapped.
    #[serde(rename = "CKA_EXTRACTABLE", default, skip_serializing_if = "Option::is_none")]
    pub extractable: Option<bool>,
    /// It never could.
    #[serde(rename = "CKA_NEVER_EXTRACTABLE", default, skip_serializing_if = "Option::is_none")]
    pub never_extractable: Option<bool>,
    /// The token made it.
    #[serde(rename = "CKA_LOCAL", default, skip_serializing_if = "Option::is_none")]
    pub local: Option<bool>,
}
