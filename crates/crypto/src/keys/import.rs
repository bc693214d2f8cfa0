//! Keys that others made: read from the parts of a JWK (RFC 7517, RFC 7518 §6), and looked at before they are trusted.

use super::{ImportRefused, KeyFamily, KeySpec, PrivateKey};
use crate::secret::SecretBytes;

/// The parts of a private or symmetric JWK, decoded but not looked at. What is absent is `None`; what the family does not
/// have must be.
pub struct ImportedKey {
    /// What `kty` says.
    pub family: KeyFamily,
    /// What `crv` says.
    pub curve: Option<KeySpec>,
    /// The modulus.
    pub n: Option<Vec<u8>>,
    /// The public exponent.
    pub e: Option<Vec<u8>>,
    /// The private exponent of RSA, or the private number of a key on a curve.
    pub d: Option<SecretBytes>,
    /// The first prime.
    pub p: Option<SecretBytes>,
    /// The second prime.
    pub q: Option<SecretBytes>,
    /// `d mod (p - 1)`.
    pub dp: Option<SecretBytes>,
    /// `d mod (q - 1)`.
    pub dq: Option<SecretBytes>,
    /// The inverse of `q` modulo `p`.
    pub qi: Option<SecretBytes>,
    /// One coordinate.
    pub x: Option<Vec<u8>>,
    /// The other coordinate.
    pub y: Option<Vec<u8>>,
    /// The bytes of a symmetric key.
    pub k: Option<SecretBytes>,
}

impl ImportedKey {
    /// A key of this family that has no parts yet.
    pub fn of(family: KeyFamily) -> Self {
        Self {
            family,
            curve: None,
            n: None,
            e: None,
            d: None,
            p: None,
            q: None,
            dp: None,
            dq: None,
            qi: None,
            x: None,
            y: None,
            k: None,
        }
    }
}

impl PrivateKey {
    /// Takes the parts of a JWK, or says what is wrong with them.
    pub fn from_components(_key: ImportedKey) -> Result<Self, ImportRefused> {
        Err(ImportRefused::Unsupported)
    }

    /// Reads PKCS #8 in DER (RFC 5208, RFC 5958), unencrypted.
    pub fn from_pkcs8(_der: &SecretBytes) -> Result<Self, ImportRefused> {
        Err(ImportRefused::Unsupported)
    }

    /// Reads an `RSAPrivateKey` in DER (RFC 8017 appendix A.1.2), which PEM calls `RSA PRIVATE KEY`.
    pub fn from_pkcs1(_der: &SecretBytes) -> Result<Self, ImportRefused> {
        Err(ImportRefused::Unsupported)
    }

    /// Reads an `ECPrivateKey` in DER (RFC 5915) that names its curve, which PEM calls `EC PRIVATE KEY`.
    pub fn from_sec1(_der: &SecretBytes) -> Result<Self, ImportRefused> {
        Err(ImportRefused::Unsupported)
    }
}
