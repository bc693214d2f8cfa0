//! Keys that others made: read from the parts of a JWK (RFC 7517, RFC 7518 §6) or from the encodings that certificates
//! come with (RFC 5208, RFC 5915, RFC 8017, RFC 7468), and looked at before they are trusted.
//!
//! Numbers are compared by value. RFC 7518 says how long each must be, and the clients in use do not keep to it: some
//! put a zero octet for the sign before a number, some leave leading zeros away, some fill with them. All of these are
//! one number and are kept in one form; a number that is too large for its place is refused. There are no negative
//! numbers in a JWK, and those in DER are refused.

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, RsaKeyPair};
use der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Sequence};
use pkcs8::PrivateKeyInfoRef;
use zeroize::Zeroizing;

use super::private::{Held, ec_signing};
use super::public::{EC_PUBLIC_KEY, RSA_ENCRYPTION, curve_with_oid, exponent_is_sound, minimal, rsa_spec};
use super::weakness;
use super::{ImportRefused, KeyFamily, KeySpec, PrivateKey, PublicKey};
use crate::secret::{Reason, SecretBytes, SecretString};

/// The longest encoding that is looked at. RSA with 4096 bits takes about 2400 bytes.
const ENCODED_BYTES_MAX: usize = 16 * 1024;

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

    /// Whether it has nothing that belongs to other families.
    fn is_pure(&self) -> bool {
        let public = [&self.n, &self.e].map(Option::is_some);
        let primes = [&self.p, &self.q, &self.dp, &self.dq, &self.qi].map(Option::is_some);
        let has_rsa = public.contains(&true) || primes.contains(&true);
        let has_ec = self.curve.is_some() || self.x.is_some() || self.y.is_some();
        match self.family {
            KeyFamily::Rsa => !has_ec && self.k.is_none(),
            KeyFamily::Ec => !has_rsa && self.k.is_none(),
            KeyFamily::Oct => !has_rsa && !has_ec && self.d.is_none(),
        }
    }
}

/// The numbers of an RSA key, borrowed from wherever they were read.
#[derive(Clone, Copy)]
struct RsaParts<'a> {
    n: &'a [u8],
    e: &'a [u8],
    d: &'a [u8],
    p: &'a [u8],
    q: &'a [u8],
    dp: &'a [u8],
    dq: &'a [u8],
    qi: &'a [u8],
}

impl PrivateKey {
    /// Takes the parts of a JWK, or says what is wrong with them.
    pub fn from_components(key: ImportedKey) -> Result<Self, ImportRefused> {
        if !key.is_pure() {
            return Err(ImportRefused::Unexpected);
        }
        let d = || secret(&key.d, "d");
        match key.family {
            KeyFamily::Rsa => Self::from_rsa_parts(RsaParts {
                n: public(&key.n, "n")?,
                e: public(&key.e, "e")?,
                d: d()?,
                p: secret(&key.p, "p")?,
                q: secret(&key.q, "q")?,
                dp: secret(&key.dp, "dp")?,
                dq: secret(&key.dq, "dq")?,
                qi: secret(&key.qi, "qi")?,
            }),
            KeyFamily::Ec => {
                let curve = key.curve.ok_or(ImportRefused::Missing("crv"))?;
                Self::from_ec_parts(curve, public(&key.x, "x")?, public(&key.y, "y")?, d()?)
            }
            KeyFamily::Oct => Self::from_octets(secret(&key.k, "k")?),
        }
    }

    /// Reads PKCS #8 in DER (RFC 5208, RFC 5958), unencrypted.
    pub fn from_pkcs8(der: &SecretBytes) -> Result<Self, ImportRefused> {
        let info = PrivateKeyInfoRef::from_der(bounded(der)?).map_err(|_| ImportRefused::Malformed)?;
        let key = info.private_key.as_bytes();
        if info.algorithm.oid == RSA_ENCRYPTION {
            return Self::from_pkcs1_der(key);
        }
        if info.algorithm.oid != EC_PUBLIC_KEY {
            return Err(ImportRefused::Unsupported);
        }
        let curve = info.algorithm.parameters.ok_or(ImportRefused::Malformed)?;
        let curve = curve.decode_as::<ObjectIdentifier>().map_err(|_| ImportRefused::Malformed)?;
        Self::from_sec1_der(key, Some(curve))
    }

    /// Reads an `RSAPrivateKey` in DER (RFC 8017 appendix A.1.2), which PEM calls `RSA PRIVATE KEY`.
    pub fn from_pkcs1(der: &SecretBytes) -> Result<Self, ImportRefused> {
        Self::from_pkcs1_der(bounded(der)?)
    }

    /// Reads an `ECPrivateKey` in DER (RFC 5915) that names its curve, which PEM calls `EC PRIVATE KEY`.
    pub fn from_sec1(der: &SecretBytes) -> Result<Self, ImportRefused> {
        Self::from_sec1_der(bounded(der)?, None)
    }

    /// Reads one block of PEM (RFC 7468): `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`.
    pub fn from_pem(pem: &SecretString) -> Result<Self, ImportRefused> {
        let pem = pem.expose(Reason::Cipher).trim();
        if pem.len() > 2 * ENCODED_BYTES_MAX {
            return Err(ImportRefused::Malformed);
        }
        let (label, der) = der::pem::decode_vec(pem.as_bytes()).map_err(|_| ImportRefused::Malformed)?;
        let der = SecretBytes::new(der);
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(&der),
            "RSA PRIVATE KEY" => Self::from_pkcs1(&der),
            "EC PRIVATE KEY" => Self::from_sec1(&der),
            "ENCRYPTED PRIVATE KEY" => Err(ImportRefused::EncryptedKey),
            _ => Err(ImportRefused::Unsupported),
        }
    }

    fn from_pkcs1_der(der: &[u8]) -> Result<Self, ImportRefused> {
        let key = RsaPrivateKey::from_der(der).map_err(|_| ImportRefused::Malformed)?;
        if key.version != 0 {
            return Err(ImportRefused::Unsupported);
        }
        Self::from_rsa_parts(RsaParts {
            n: key.modulus.as_bytes(),
            e: key.public_exponent.as_bytes(),
            d: key.private_exponent.as_bytes(),
            p: key.prime1.as_bytes(),
            q: key.prime2.as_bytes(),
            dp: key.exponent1.as_bytes(),
            dq: key.exponent2.as_bytes(),
            qi: key.coefficient.as_bytes(),
        })
    }

    fn from_sec1_der(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<Self, ImportRefused> {
        let key = EcPrivateKey::from_der(der).map_err(|_| ImportRefused::Malformed)?;
        if key.version != 1 {
            return Err(ImportRefused::Malformed);
        }
        let curve = match (curve, key.parameters) {
            (Some(outer), Some(inner)) if outer != inner => return Err(ImportRefused::Inconsistent),
            (Some(curve), _) | (None, Some(curve)) => curve,
            (None, None) => return Err(ImportRefused::Malformed),
        };
        let curve = curve_with_oid(curve).ok_or(ImportRefused::Unsupported)?;
        let d = widened(key.private_key.as_bytes(), curve.bytes(), "d")?;
        if let Some(point) = key.public_key {
            let point = point.as_bytes().ok_or(ImportRefused::Malformed)?;
            let (x, y) = match point.split_first() {
                Some((4, xy)) => xy.split_at_checked(curve.bytes()).ok_or(ImportRefused::Malformed)?,
                _ => return Err(ImportRefused::Malformed),
            };
            return Self::from_ec_parts(curve, x, y, &d);
        }
        // The point may be left out, and is then computed.
        check_scalar(&d)?;
        let signing = ec_signing(curve).ok_or(ImportRefused::Unsupported)?;
        let pair = EcdsaKeyPair::from_private_key_der(signing, der).map_err(|_| ImportRefused::Scalar)?;
        Self::from_ec(pair).map_err(|_| ImportRefused::Inconsistent)
    }

    /// SECURITY: what the library checks is that the numbers belong together (`n = p·q`, `d·e = 1` and the rest). What it
    /// does not check comes before or after: sizes, the exponent, and everything that lets others factor the modulus.
    fn from_rsa_parts(parts: RsaParts<'_>) -> Result<Self, ImportRefused> {
        let (n, e) = (minimal(parts.n), minimal(parts.e));
        let bytes = rsa_spec(n).ok_or(ImportRefused::Unsupported)?.bytes();
        if !exponent_is_sound(e) {
            return Err(ImportRefused::Exponent);
        }
        let [p, q] = [number(parts.p, bytes / 2, "p")?, number(parts.q, bytes / 2, "q")?];
        for (prime, name) in [(p, "p"), (q, "q")] {
            // Two halves of a full modulus are full themselves.
            if prime.len() != bytes / 2 || prime.first().is_none_or(|first| *first < 0x80) {
                return Err(ImportRefused::Length(name));
            }
        }
        if weakness::has_infineon_mark(n) {
            return Err(ImportRefused::WeakGenerator);
        }
        if weakness::are_too_close(p, q) {
            return Err(ImportRefused::PrimesTooClose);
        }
        let pair = RsaKeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n, e },
            d: number(parts.d, bytes, "d")?,
            p,
            q,
            dP: number(parts.dp, bytes / 2, "dp")?,
            dQ: number(parts.dq, bytes / 2, "dq")?,
            qInv: number(parts.qi, bytes / 2, "qi")?,
        })
        .map_err(|_| ImportRefused::Inconsistent)?;
        if !weakness::is_prime(p) || !weakness::is_prime(q) {
            return Err(ImportRefused::NotPrime);
        }
        Self::from_rsa(pair).map_err(|_| ImportRefused::Inconsistent)
    }

    fn from_ec_parts(curve: KeySpec, x: &[u8], y: &[u8], d: &[u8]) -> Result<Self, ImportRefused> {
        let signing = ec_signing(curve).ok_or(ImportRefused::Unsupported)?;
        let x = widened(x, curve.bytes(), "x")?;
        let y = widened(y, curve.bytes(), "y")?;
        let d = widened(d, curve.bytes(), "d")?;
        PublicKey::ec(curve, &x, &y).map_err(|_| ImportRefused::Point)?;
        check_scalar(&d)?;
        let point = [&[4], x.as_slice(), &y].concat();
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(signing, &d, &point).map_err(|rejected| {
                match rejected.description_() {
                    "InconsistentComponents" => ImportRefused::Inconsistent,
                    _ => ImportRefused::Scalar,
                }
            })?;
        Self::from_ec(pair).map_err(|_| ImportRefused::Inconsistent)
    }

    fn from_octets(k: &[u8]) -> Result<Self, ImportRefused> {
        let spec = KeySpec::ALL
            .into_iter()
            .find(|spec| spec.family() == KeyFamily::Oct && spec.bytes() == k.len())
            .ok_or(ImportRefused::Unsupported)?;
        Ok(Self(Held::Oct { spec, key: SecretBytes::new(k.to_vec()) }))
    }
}

/// RFC 8017 appendix A.1.2, with two primes.
#[derive(Sequence)]
struct RsaPrivateKey<'a> {
    version: u8,
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    prime1: UintRef<'a>,
    prime2: UintRef<'a>,
    exponent1: UintRef<'a>,
    exponent2: UintRef<'a>,
    coefficient: UintRef<'a>,
}

/// RFC 5915 §3.
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    parameters: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    public_key: Option<BitStringRef<'a>>,
}

fn public<'a>(part: &'a Option<Vec<u8>>, name: &'static str) -> Result<&'a [u8], ImportRefused> {
    part.as_deref().ok_or(ImportRefused::Missing(name))
}

fn secret<'a>(part: &'a Option<SecretBytes>, name: &'static str) -> Result<&'a [u8], ImportRefused> {
    part.as_ref().map(|part| part.expose(Reason::Cipher)).ok_or(ImportRefused::Missing(name))
}

fn bounded(der: &SecretBytes) -> Result<&[u8], ImportRefused> {
    if der.len() > ENCODED_BYTES_MAX { Err(ImportRefused::Malformed) } else { Ok(der.expose(Reason::Cipher)) }
}

/// A number without leading zeros that fits into `bytes`.
fn number<'a>(part: &'a [u8], bytes: usize, name: &'static str) -> Result<&'a [u8], ImportRefused> {
    let number = minimal(part);
    if number.len() > bytes { Err(ImportRefused::Length(name)) } else { Ok(number) }
}

/// A number with as many leading zeros as make it `bytes` long.
fn widened(part: &[u8], bytes: usize, name: &'static str) -> Result<Zeroizing<Vec<u8>>, ImportRefused> {
    let number = number(part, bytes, name)?;
    let mut wide = Zeroizing::new(vec![0; bytes - number.len()]);
    wide.reserve_exact(number.len());
    wide.extend_from_slice(number);
    Ok(wide)
}

fn check_scalar(d: &[u8]) -> Result<(), ImportRefused> {
    if d.iter().all(|byte| *byte == 0) { Err(ImportRefused::Scalar) } else { Ok(()) }
}
