//! Public keys: read from their parts or from SubjectPublicKeyInfo (RFC 5280), to verify and to encrypt with.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey,
    Pkcs1PublicEncryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};

use super::algorithm::Mode;
use super::{
    CHECK_VALUE_BYTES, Encrypted, EncryptionAlgorithm, KeyFamily, KeySpec, Malformed, Misuse,
    SignatureAlgorithm,
};
use crate::digest::sha256;

/// The longest SubjectPublicKeyInfo that is looked at.
const SPKI_BYTES_MAX: usize = 4 * 1024;

pub(super) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(super) const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");

/// A public key. [`PublicKey::rsa`], [`PublicKey::ec`] and [`PublicKey::from_spki_der`] check what they are given; a key
/// that was put together without them is checked again when it is used.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum PublicKey {
    /// RSA.
    Rsa {
        /// The modulus, big-endian, without leading zeros.
        n: Vec<u8>,
        /// The public exponent, big-endian, without leading zeros.
        e: Vec<u8>,
    },
    /// A point on a curve.
    Ec {
        /// The curve.
        curve: KeySpec,
        /// One coordinate, big-endian, as wide as the field.
        x: Vec<u8>,
        /// The other coordinate, big-endian, as wide as the field.
        y: Vec<u8>,
    },
}

impl PublicKey {
    /// An RSA key with a modulus of a supported size and an odd exponent from 65537 up to 32 bits. Leading zeros are
    /// dropped.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, Malformed> {
        let (n, e) = (minimal(n), minimal(e));
        if rsa_spec(n).is_none() || !exponent_is_sound(e) {
            return Err(Malformed);
        }
        // SECURITY: an even modulus has a factor that everyone knows.
        if n.last().is_none_or(|last| last & 1 == 0) {
            return Err(Malformed);
        }
        Ok(Self::Rsa { n: n.to_vec(), e: e.to_vec() })
    }

    /// A point that is on the curve, with coordinates as wide as the field.
    pub fn ec(curve: KeySpec, x: &[u8], y: &[u8]) -> Result<Self, Malformed> {
        let key = Self::Ec { curve, x: x.to_vec(), y: y.to_vec() };
        key.parsed_ec().map_err(|_| Malformed)?;
        Ok(key)
    }

    /// Reads a SubjectPublicKeyInfo in DER; points must be uncompressed.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, Malformed> {
        if spki.len() > SPKI_BYTES_MAX {
            return Err(Malformed);
        }
        let spki = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| Malformed)?;
        let key = spki.subject_public_key.as_bytes().ok_or(Malformed)?;
        if spki.algorithm.oid == RSA_ENCRYPTION {
            let key = RsaPublicKey::from_der(key).map_err(|_| Malformed)?;
            return Self::rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes());
        }
        if spki.algorithm.oid != EC_PUBLIC_KEY {
            return Err(Malformed);
        }
        let curve = spki.algorithm.parameters.and_then(curve_of).ok_or(Malformed)?;
        match key.split_first() {
            Some((4, xy)) => {
                let (x, y) = xy.split_at_checked(curve.bytes()).ok_or(Malformed)?;
                Self::ec(curve, x, y)
            }
            _ => Err(Malformed),
        }
    }

    /// Reads one block of PEM (RFC 7468): `PUBLIC KEY`.
    pub fn from_pem(pem: &str) -> Result<Self, Malformed> {
        if pem.len() > 2 * SPKI_BYTES_MAX {
            return Err(Malformed);
        }
        match der::pem::decode_vec(pem.trim().as_bytes()) {
            Ok(("PUBLIC KEY", der)) => Self::from_spki_der(&der),
            _ => Err(Malformed),
        }
    }

    /// Writes a SubjectPublicKeyInfo in DER.
    pub fn spki_der(&self) -> Vec<u8> {
        let curve;
        let (oid, parameters, key) = match self {
            Self::Rsa { n, e } => (RSA_ENCRYPTION, Some(AnyRef::NULL), rsa_public_key_der(n, e)),
            Self::Ec { curve: named, .. } => {
                curve = curve_oid(*named);
                (EC_PUBLIC_KEY, curve.as_ref().map(AnyRef::from), Ok(self.point()))
            }
        };
        key.and_then(|key| {
            let subject_public_key = BitStringRef::from_bytes(&key)?;
            let algorithm = AlgorithmIdentifier { oid, parameters };
            SubjectPublicKeyInfo { algorithm, subject_public_key }.to_der()
        })
        .expect("two numbers of a key are far below the lengths that DER can write")
    }

    /// Tells keys apart where a whole key is too long to show: the first bytes of SHA-256 over SubjectPublicKeyInfo.
    pub fn check_value(&self) -> [u8; CHECK_VALUE_BYTES] {
        let mut value = [0; CHECK_VALUE_BYTES];
        value.iter_mut().zip(sha256(&self.spki_der())).for_each(|(value, byte)| *value = byte);
        value
    }

    /// The kind of key. A modulus of another size counts as the kind below which it does not fit; using it is refused.
    pub fn spec(&self) -> KeySpec {
        match self {
            Self::Rsa { n, .. } if n.len() <= KeySpec::Rsa2048.bytes() => KeySpec::Rsa2048,
            Self::Rsa { n, .. } if n.len() <= KeySpec::Rsa3072.bytes() => KeySpec::Rsa3072,
            Self::Rsa { .. } => KeySpec::Rsa4096,
            Self::Ec { curve, .. } => *curve,
        }
    }

    /// Whether `signature` is the key's over the message with this digest.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, Misuse> {
        if !algorithm.fits(self.spec()) {
            return Err(Misuse::Algorithm);
        }
        let digest = import_digest(algorithm, digest)?;
        let key = match self {
            Self::Rsa { n, e } => {
                self.check_rsa()?;
                let parameters = rsa_parameters(algorithm).ok_or(Misuse::Algorithm)?;
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| Misuse::Key)?
            }
            Self::Ec { .. } => self.parsed_ec()?,
        };
        Ok(key.verify_digest_sig(&digest, signature).is_ok())
    }

    /// Encrypts with RSA.
    pub fn encrypt(&self, algorithm: EncryptionAlgorithm, plaintext: &[u8]) -> Result<Encrypted, Misuse> {
        let Self::Rsa { n, e } = self else { return Err(Misuse::Algorithm) };
        if !algorithm.fits(self.spec()) {
            return Err(Misuse::Algorithm);
        }
        self.check_rsa()?;
        let key: PublicEncryptingKey = RsaPublicKeyComponents { n, e }.try_into().map_err(|_| Misuse::Key)?;
        let max = n.len() - minimum_padding_bytes(algorithm).ok_or(Misuse::Algorithm)?;
        if plaintext.len() > max {
            return Err(Misuse::PlaintextTooLong { max });
        }
        let mut value = vec![0; n.len()];
        let written = match oaep(algorithm) {
            Some(oaep) => OaepPublicEncryptingKey::new(key)
                .and_then(|key| key.encrypt(oaep, plaintext, &mut value, None).map(|written| written.len())),
            None => Pkcs1PublicEncryptingKey::new(key)
                .and_then(|key| key.encrypt(plaintext, &mut value).map(|written| written.len())),
        }
        .map_err(|_| Misuse::Failed)?;
        value.truncate(written);
        Ok(Encrypted { value, iv: None, tag: None, aad: None })
    }

    /// Encrypts a key that is to be used once with RSA-OAEP and a hash that the caller names.
    pub(super) fn encrypt_oaep(
        &self,
        algorithm: &'static OaepAlgorithm,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Misuse> {
        let Self::Rsa { n, e } = self else { return Err(Misuse::Algorithm) };
        self.check_rsa()?;
        let key: PublicEncryptingKey = RsaPublicKeyComponents { n, e }.try_into().map_err(|_| Misuse::Key)?;
        let mut value = vec![0; n.len()];
        let written = OaepPublicEncryptingKey::new(key)
            .and_then(|key| key.encrypt(algorithm, plaintext, &mut value, None).map(|written| written.len()));
        value.truncate(written.map_err(|_| Misuse::Failed)?);
        Ok(value)
    }

    /// SEC 1 §2.3.3, uncompressed; nothing for RSA.
    fn point(&self) -> Vec<u8> {
        match self {
            Self::Ec { x, y, .. } => [&[4], x.as_slice(), y].concat(),
            Self::Rsa { .. } => Vec::new(),
        }
    }

    fn check_rsa(&self) -> Result<(), Misuse> {
        match self {
            Self::Rsa { n, e } if rsa_spec(n).is_some() && exponent_is_sound(e) => Ok(()),
            _ => Err(Misuse::Key),
        }
    }

    /// Parses the point, which is where it is checked to be on the curve.
    fn parsed_ec(&self) -> Result<ParsedPublicKey, Misuse> {
        let Self::Ec { curve, x, y } = self else { return Err(Misuse::Key) };
        let verifying = ec_parameters(*curve).ok_or(Misuse::Key)?;
        if x.len() != curve.bytes() || y.len() != curve.bytes() {
            return Err(Misuse::Key);
        }
        UnparsedPublicKey::new(verifying, self.point()).parse().map_err(|_| Misuse::Key)
    }
}

/// RFC 8017 appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

fn rsa_public_key_der(n: &[u8], e: &[u8]) -> der::Result<Vec<u8>> {
    RsaPublicKey { modulus: UintRef::new(n)?, public_exponent: UintRef::new(e)? }.to_der()
}

/// The number without leading zeros.
pub(super) fn minimal(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The kind of RSA key that has this modulus, which has no leading zeros.
pub(super) fn rsa_spec(n: &[u8]) -> Option<KeySpec> {
    let full = n.first().is_some_and(|first| *first >= 0x80);
    KeySpec::ALL.into_iter().find(|spec| full && spec.family() == KeyFamily::Rsa && spec.bytes() == n.len())
}

/// SECURITY: a tiny exponent makes forgeries against sloppy padding easy, a huge one makes verifying slow.
pub(super) fn exponent_is_sound(e: &[u8]) -> bool {
    let value = e.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    (3..=4).contains(&e.len()) && value >= 65_537 && value & 1 == 1
}

/// What RSA padding takes of the modulus (RFC 8017 §7.1.1 and §7.2.1).
pub(super) fn minimum_padding_bytes(algorithm: EncryptionAlgorithm) -> Option<usize> {
    match algorithm.mode() {
        Mode::Rsa15 => Some(11),
        Mode::OaepSha1 => Some(2 * 20 + 2),
        Mode::OaepSha256 => Some(2 * 32 + 2),
        Mode::Gcm | Mode::Cbc | Mode::CbcPad | Mode::KeyWrap => None,
    }
}

pub(super) fn oaep(algorithm: EncryptionAlgorithm) -> Option<&'static OaepAlgorithm> {
    match algorithm.mode() {
        Mode::OaepSha1 => Some(&OAEP_SHA1_MGF1SHA1),
        Mode::OaepSha256 => Some(&OAEP_SHA256_MGF1SHA256),
        Mode::Rsa15 | Mode::Gcm | Mode::Cbc | Mode::CbcPad | Mode::KeyWrap => None,
    }
}

/// Takes a digest that the caller computed; its length must be exact.
pub(super) fn import_digest(algorithm: SignatureAlgorithm, bytes: &[u8]) -> Result<Digest, Misuse> {
    let hash = match algorithm.digest_bytes() {
        32 => &digest::SHA256,
        48 => &digest::SHA384,
        _ => &digest::SHA512,
    };
    Digest::import_less_safe(bytes, hash)
        .map_err(|_| Misuse::DigestLength { expected: algorithm.digest_bytes() })
}

fn rsa_parameters(algorithm: SignatureAlgorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        SignatureAlgorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        SignatureAlgorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        SignatureAlgorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        SignatureAlgorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        SignatureAlgorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        SignatureAlgorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn ec_parameters(curve: KeySpec) -> Option<&'static EcdsaVerificationAlgorithm> {
    match curve {
        KeySpec::P256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        KeySpec::P384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        KeySpec::P521 => Some(&signature::ECDSA_P521_SHA512_FIXED),
        KeySpec::P256K => Some(&signature::ECDSA_P256K1_SHA256_FIXED),
        _ => None,
    }
}

fn curve_oid(curve: KeySpec) -> Option<ObjectIdentifier> {
    match curve {
        KeySpec::P256 => Some(PRIME256V1),
        KeySpec::P384 => Some(SECP384R1),
        KeySpec::P521 => Some(SECP521R1),
        KeySpec::P256K => Some(SECP256K1),
        _ => None,
    }
}

/// The curve that the parameters of an algorithm name (RFC 5480 §2.1.1); curves that are spelled out are not taken.
fn curve_of(parameters: AnyRef<'_>) -> Option<KeySpec> {
    parameters.decode_as().ok().and_then(curve_with_oid)
}

pub(super) fn curve_with_oid(oid: ObjectIdentifier) -> Option<KeySpec> {
    KeySpec::ALL.into_iter().find(|spec| curve_oid(*spec) == Some(oid))
}
