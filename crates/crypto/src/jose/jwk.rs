//! Public keys: read from JWK (RFC 7517) or SubjectPublicKeyInfo (RFC 5280), named by thumbprint (RFC 7638).
//!
//! A [`PublicKey`] was checked and parsed once, when it was read. Each kind has one encoding here: RSA with a modulus
//! of 2048, 3072 or 4096 bits and an exponent from 65537 up to 32 bits, P-256 as an uncompressed point on the curve.

use std::sync::Arc;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode, Sequence};
use serde::Serialize;
use serde_json::{Map, Value};
use spki::SubjectPublicKeyInfoRef;

use super::json::parse_object;
use super::{Algorithm, KeyKind, base64url};
use crate::digest::sha256;

/// The longest JWK or SubjectPublicKeyInfo that is looked at.
const KEY_BYTES_MAX: usize = 16 * 1024;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// A public key that was checked and parsed; cloning it is cheap.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    kind: KeyKind,
    jwk: Jwk,
    thumbprint: [u8; 32],
    parsed: Parsed,
}

enum Parsed {
    Rsa { pkcs1: ParsedPublicKey, pss: ParsedPublicKey },
    P256(ParsedPublicKey),
}

impl PublicKey {
    /// Reads a JWK; one that holds private members is refused, members that say how to use it are not looked at.
    pub fn from_jwk(jwk: &[u8]) -> Result<Self, KeyRefused> {
        if jwk.len() > KEY_BYTES_MAX {
            return Err(KeyRefused::Malformed);
        }
        Self::from_members(&parse_object(jwk, super::TOKEN_DEPTH_MAX).map_err(|_| KeyRefused::Malformed)?)
    }

    pub(super) fn from_members(members: &Map<String, Value>) -> Result<Self, KeyRefused> {
        // RFC 7518 §6.2.2, §6.3.2 and §6.4.1.
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| members.contains_key(*name)) {
            return Err(KeyRefused::Private);
        }
        let text = |name| members.get(name).and_then(Value::as_str);
        let bytes = |name| {
            text(name).and_then(|text| base64url::decode(text.as_bytes())).ok_or(KeyRefused::Malformed)
        };
        match (text("kty"), text("crv")) {
            (Some("RSA"), _) => Self::from_rsa(&bytes("n")?, &bytes("e")?),
            (Some("EC"), Some("P-256")) => Self::from_coordinates(&bytes("x")?, &bytes("y")?),
            (Some(_), _) => Err(KeyRefused::Unsupported),
            (None, _) => Err(KeyRefused::Malformed),
        }
    }

    /// Reads a SubjectPublicKeyInfo in DER.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyRefused> {
        if spki.len() > KEY_BYTES_MAX {
            return Err(KeyRefused::Malformed);
        }
        let spki = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| KeyRefused::Malformed)?;
        let key = spki.subject_public_key.as_bytes().ok_or(KeyRefused::Malformed)?;
        if spki.algorithm.oid == RSA_ENCRYPTION {
            let key = RsaPublicKey::from_der(key).map_err(|_| KeyRefused::Malformed)?;
            return Self::from_rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes());
        }
        let curve = spki.algorithm.parameters.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
        if spki.algorithm.oid == EC_PUBLIC_KEY && curve == Some(PRIME256V1) {
            let (Some(4), Some((x, y))) = (key.first(), key.get(1..).and_then(|xy| xy.split_at_checked(32)))
            else {
                return Err(KeyRefused::Malformed);
            };
            return Self::from_coordinates(x, y);
        }
        Err(KeyRefused::Unsupported)
    }

    fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyRefused> {
        let kind = match (modulus.len(), modulus.first()) {
            (256, Some(0x80..)) => KeyKind::Rsa2048,
            (384, Some(0x80..)) => KeyKind::Rsa3072,
            (512, Some(0x80..)) => KeyKind::Rsa4096,
            (_, Some(0) | None) => return Err(KeyRefused::Malformed),
            _ => return Err(KeyRefused::Unsupported),
        };
        if exponent.first().is_none_or(|first| *first == 0) {
            return Err(KeyRefused::Malformed);
        }
        // SECURITY: a tiny exponent makes forgeries against sloppy padding easy, a huge one makes verifying slow.
        let value =
            exponent.iter().try_fold(0u32, |value, byte| value.checked_mul(256)?.checked_add((*byte).into()));
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if value.is_none_or(|value| value < 65_537) || !odd(exponent) || !odd(modulus) {
            return Err(KeyRefused::Unsupported);
        }
        let components = RsaPublicKeyComponents { n: modulus, e: exponent };
        let parse =
            |parameters| components.to_parsed_public_key(parameters).map_err(|_| KeyRefused::Malformed);
        let parsed = Parsed::Rsa {
            pkcs1: parse(&signature::RSA_PKCS1_2048_8192_SHA256)?,
            pss: parse(&signature::RSA_PSS_2048_8192_SHA256)?,
        };
        let jwk = Jwk::Rsa { e: base64url::encode(exponent), kty: "RSA", n: base64url::encode(modulus) };
        Ok(Self::new(kind, jwk, parsed))
    }

    fn from_coordinates(x: &[u8], y: &[u8]) -> Result<Self, KeyRefused> {
        if x.len() != 32 || y.len() != 32 {
            return Err(KeyRefused::Malformed);
        }
        let point = [&[4], x, y].concat();
        let parsed = ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
            .map_err(|_| KeyRefused::Malformed)?;
        let jwk = Jwk::P256 { crv: "P-256", kty: "EC", x: base64url::encode(x), y: base64url::encode(y) };
        Ok(Self::new(KeyKind::P256, jwk, Parsed::P256(parsed)))
    }

    fn new(kind: KeyKind, jwk: Jwk, parsed: Parsed) -> Self {
        let thumbprint = sha256(jwk.thumbprint_input().as_bytes());
        Self(Arc::new(Inner { kind, jwk, thumbprint, parsed }))
    }

    /// Which kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.0.kind
    }

    /// The key as a JWK, with the members that make up the key and no others.
    pub fn to_jwk(&self) -> Jwk {
        self.0.jwk.clone()
    }

    /// The SHA-256 thumbprint of RFC 7638, which names the key.
    pub fn thumbprint(&self) -> [u8; 32] {
        self.0.thumbprint
    }

    /// Verifies a signature with an algorithm that the caller binds to this key.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureRefused> {
        let key = match (algorithm, &self.0.parsed) {
            (Algorithm::Rs256, Parsed::Rsa { pkcs1, .. }) => pkcs1,
            (Algorithm::Ps256, Parsed::Rsa { pss, .. }) => pss,
            (Algorithm::Es256, Parsed::P256(key)) => key,
            (Algorithm::Rs256 | Algorithm::Ps256, Parsed::P256(_))
            | (Algorithm::Es256, Parsed::Rsa { .. }) => {
                return Err(SignatureRefused);
            }
        };
        key.verify_sig(message, signature).map_err(|_| SignatureRefused)
    }
}

impl Eq for PublicKey {}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.jwk == other.0.jwk
    }
}

/// RFC 8017 §A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// A public key in the form of RFC 7517, ready to be serialized; members are in the order of RFC 7638.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Jwk {
    /// An RSA key.
    Rsa {
        /// The exponent.
        e: String,
        /// Always `RSA`.
        kty: &'static str,
        /// The modulus.
        n: String,
    },
    /// A point on P-256.
    P256 {
        /// Always `P-256`.
        crv: &'static str,
        /// Always `EC`.
        kty: &'static str,
        /// One coordinate.
        x: String,
        /// The other coordinate.
        y: String,
    },
}

impl Jwk {
    /// RFC 7638 §3: no whitespace, members in lexicographic order. The values are base64url and need no escapes.
    fn thumbprint_input(&self) -> String {
        match self {
            Self::Rsa { e, kty, n } => format!(r#"{{"e":"{e}","kty":"{kty}","n":"{n}"}}"#),
            Self::P256 { crv, kty, x, y } => {
                format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#)
            }
        }
    }
}

/// Why a key was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyRefused {
    /// It is not a key in the expected encoding.
    #[error("the key is malformed")]
    Malformed,
    /// It is a private key where a public one belongs.
    #[error("the key is private where a public key is expected")]
    Private,
    /// It is of a kind or size that is not used here.
    #[error("the key is neither RSA with 2048, 3072 or 4096 bits nor on the curve P-256")]
    Unsupported,
}

/// The signature does not belong to the message and the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signature does not match")]
pub struct SignatureRefused;
