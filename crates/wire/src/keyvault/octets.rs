//! Bytes as the data plane writes them: base64url without padding (RFC 7515 §2), for keys, digests and signatures.
//!
//! Reading is strict: no padding, no white space, no other alphabet and no bits left over, so that one run of bytes
//! has one spelling. Bytes that may be secret have a type of their own, which wipes itself and does not print.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// What an error says was expected; the text itself is never quoted.
const EXPECTED: &str = "must be base64url text without padding";

/// Bytes that anybody may see.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Octets(pub Vec<u8>);

impl Octets {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        URL_SAFE_NO_PAD.decode(text.as_bytes()).map(Self).map_err(|_| D::Error::custom(EXPECTED))
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

/// Bytes that may be a private key or a plaintext: neither printed nor copied nor serialized by accident.
pub struct SecretOctets(Zeroizing<Vec<u8>>);

impl SecretOctets {
    /// Takes ownership of `bytes`; the caller keeps no copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Shows the bytes; each use is an exit that reviewers read twice.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Gives the bytes away, still wiping themselves.
    pub fn into_exposed(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// The bytes as base64url text that wipes itself, for a body that carries them.
    pub fn encode(&self) -> Zeroizing<String> {
        // A string that grew would leave pieces behind: it is made at its full length.
        let mut text = Zeroizing::new(String::with_capacity(self.len() / 3 * 4 + 4));
        URL_SAFE_NO_PAD.encode_string(self.expose(), &mut text);
        text
    }

    /// How many there are, which is not a secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretOctets {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl<'de> Deserialize<'de> for SecretOctets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let mut bytes = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
        let written = URL_SAFE_NO_PAD.decode_slice(text.as_bytes(), &mut bytes);
        bytes.truncate(written.map_err(|_| D::Error::custom(EXPECTED))?);
        Ok(Self(bytes))
    }
}

/// Writes secret bytes into an answer whose buffer wipes itself.
pub(super) fn write_exposed<S: Serializer>(bytes: &SecretOctets, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bytes.encode())
}
