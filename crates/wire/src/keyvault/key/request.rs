//! Bodies that clients send about keys (keys.json, the `…Parameters` definitions).
//!
//! As with secrets, unknown members are ignored, empty objects are accepted and `null` counts as absent. Private
//! parts and plaintexts are read into types that wipe themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Curve, KeyOperation, KeyType, ReleasePolicy};
use crate::json::{self, BadBody, Budget};
use crate::keyvault::octets::{Octets, SecretOctets};
use crate::secret_text::SecretText;

/// `POST /keys/{name}/create`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct CreateKeyRequest {
    /// What kind of key.
    pub kty: KeyType,
    /// How many bits, for RSA and symmetric keys.
    pub key_size: Option<u32>,
    /// RSA's public exponent.
    pub public_exponent: Option<u64>,
    /// What it may be used for; everything its kind can do if absent.
    pub key_ops: Option<Vec<KeyOperation>>,
    /// Whether and when it may be used.
    pub attributes: Option<KeyAttributesRequest>,
    /// Names and values of the caller's own; not secret.
    pub tags: Option<BTreeMap<String, String>>,
    /// The curve, for elliptic curve keys.
    pub crv: Option<Curve>,
    /// Under which conditions it may be released.
    pub release_policy: Option<ReleasePolicy>,
}

/// The attributes that a caller may choose; the rest of what it sends there is read-only and ignored.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct KeyAttributesRequest {
    /// Whether it may be used.
    pub enabled: Option<bool>,
    /// Not before, in seconds since the epoch.
    pub nbf: Option<i64>,
    /// Not after, in seconds since the epoch.
    pub exp: Option<i64>,
    /// Whether it may be released.
    pub exportable: Option<bool>,
}

/// `PUT /keys/{name}`: a key that was made elsewhere.
#[derive(Deserialize)]
pub struct ImportKeyRequest {
    /// Whether it shall live in a token.
    #[serde(rename = "Hsm", alias = "hsm")]
    pub hsm: Option<bool>,
    /// The key.
    pub key: JsonWebKeyRequest,
    /// Whether and when it may be used.
    pub attributes: Option<KeyAttributesRequest>,
    /// Names and values of the caller's own; not secret.
    pub tags: Option<BTreeMap<String, String>>,
    /// Under which conditions it may be released.
    pub release_policy: Option<ReleasePolicy>,
}

/// A JSON web key with its private parts (RFC 7518 §6). All numbers are big-endian.
#[derive(Deserialize)]
pub struct JsonWebKeyRequest {
    /// What kind of key.
    pub kty: KeyType,
    /// What it may be used for.
    pub key_ops: Option<Vec<KeyOperation>>,
    /// The curve.
    pub crv: Option<Curve>,
    /// RSA's modulus.
    pub n: Option<Octets>,
    /// RSA's public exponent.
    pub e: Option<Octets>,
    /// A point's first coordinate.
    pub x: Option<Octets>,
    /// A point's second coordinate.
    pub y: Option<Octets>,
    /// The private exponent or number.
    pub d: Option<SecretOctets>,
    /// RSA's first prime.
    pub p: Option<SecretOctets>,
    /// RSA's second prime.
    pub q: Option<SecretOctets>,
    /// `d` modulo `p - 1`.
    pub dp: Option<SecretOctets>,
    /// `d` modulo `q - 1`.
    pub dq: Option<SecretOctets>,
    /// The inverse of `q` modulo `p`.
    pub qi: Option<SecretOctets>,
    /// A symmetric key.
    pub k: Option<SecretOctets>,
    /// A key that was wrapped for a token elsewhere: a [`TransferBlob`] as JSON.
    pub key_hsm: Option<SecretOctets>,
}

/// `PATCH /keys/{name}/{version}`; what is absent stays as it was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct UpdateKeyRequest {
    /// The new uses.
    pub key_ops: Option<Vec<KeyOperation>>,
    /// The new attributes.
    pub attributes: Option<KeyAttributesRequest>,
    /// The new tags, all of them.
    pub tags: Option<BTreeMap<String, String>>,
    /// The new conditions of release.
    pub release_policy: Option<ReleasePolicy>,
}

/// `POST /keys/{name}/{version}/encrypt`, `decrypt`, `wrapkey`, `unwrapkey`.
#[derive(Deserialize)]
pub struct OperationRequest {
    /// The algorithm's name (RFC 7518 §4 and §5).
    pub alg: String,
    /// The plaintext, or the ciphertext.
    pub value: SecretOctets,
    /// The initialization vector, for AES.
    pub iv: Option<Octets>,
    /// What is authenticated and not encrypted, for AES-GCM.
    pub aad: Option<Octets>,
    /// The authentication tag, for decrypting with AES-GCM.
    pub tag: Option<Octets>,
}

/// `POST /keys/{name}/{version}/sign`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct SignRequest {
    /// The algorithm's name (RFC 7518 §3).
    pub alg: String,
    /// The digest of what is signed.
    pub value: Octets,
}

/// `POST /keys/{name}/{version}/verify`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct VerifyRequest {
    /// The algorithm's name (RFC 7518 §3).
    pub alg: String,
    /// The digest of what was signed.
    pub digest: Octets,
    /// The signature.
    pub value: Octets,
}

/// `POST /rng`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub struct RandomRequest {
    /// How many bytes.
    pub count: u32,
}

/// `POST /keys/{name}/{version}/release`.
#[derive(Deserialize)]
pub struct ReleaseRequest {
    /// What attests the environment that asks: a signed token.
    pub target: SecretText,
    /// What shall be repeated in the answer.
    pub nonce: Option<String>,
    /// How the key shall be wrapped.
    pub enc: Option<String>,
}

impl ReleaseRequest {
    /// The longest nonce that is repeated.
    pub const NONCE_BYTES_MAX: usize = 1_024;
}

/// What a vendor's tool, or ours, makes of a key for another owner's token: a `.byok` file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TransferBlob {
    /// `1.0.0`.
    pub schema_version: String,
    /// How it was wrapped.
    pub header: TransferHeader,
    /// The wrapped key.
    pub ciphertext: Octets,
    /// Which tool made it; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
}

/// How a key was wrapped for a token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TransferHeader {
    /// The identifier of the key that it was wrapped for.
    pub kid: String,
    /// `dir`.
    pub alg: String,
    /// `CKM_RSA_AES_KEY_WRAP`.
    pub enc: String,
}

/// The longest transfer blob: an RSA key of 4096 bits in PKCS #8, wrapped, in base64, with room to spare.
const TRANSFER_BUDGET: Budget = Budget::new(32 * 1024).with_values_max(64);

impl TransferBlob {
    /// The one version of the format.
    pub const SCHEMA_VERSION: &str = "1.0.0";
    /// The one `alg`: the wrapped key is all there is.
    pub const ALG: &str = "dir";
    /// The one `enc`.
    pub const ENC: &str = "CKM_RSA_AES_KEY_WRAP";

    /// What stands in the member `key_hsm`.
    pub fn to_octets(&self) -> Octets {
        // Texts only: serialisation has nothing that could fail.
        Octets(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what stands in the member `key_hsm`.
    pub fn parse(blob: &SecretOctets) -> Result<Self, BadBody> {
        json::parse(blob.expose(), &TRANSFER_BUDGET)
    }
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
    CreateKeyRequest,
    ImportKeyRequest,
    UpdateKeyRequest,
    OperationRequest,
    SignRequest,
    VerifyRequest,
    RandomRequest,
    ReleaseRequest,
);
