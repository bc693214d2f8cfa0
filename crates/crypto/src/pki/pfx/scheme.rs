//! Password-based encryption and integrity: PBES2 (RFC 8018 §6.2), the schemes of RFC 7292 appendices B and C, PBMAC1
//! (RFC 9579), and what all of it may cost.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{hmac, pbkdf2, rand};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Any, Decode, Encode, Tag};
use pkcs12::kdf::{Pkcs12KeyType, derive_key};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};
use zeroize::Zeroizing;

use super::format::{MacData, OldParameters, Pbes2Parameters, Pbkdf2Parameters};
use super::{PFX_ITERATIONS_MAX, PFX_PASSWORD_BYTES_MAX};
use crate::pki::ReadRefused;
use crate::pki::bundle::BundleRefused;
use crate::secret::{Reason, SecretString};

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBMAC1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.14");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.7");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const HMAC_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.10");
const HMAC_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.11");
const AES_128_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.2");
const AES_192_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.22");
const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
const TRIPLE_DES_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.3.7");
const OLD_3DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
const OLD_2DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.4");
const OLD_RC2_128: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.5");
const OLD_RC2_40: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.6");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

type Secret = Zeroizing<Vec<u8>>;

/// A password in the two encodings that the schemes want.
pub struct Password {
    utf8: Secret,
    /// UTF-16 with a terminator (RFC 7292 appendix B.1), or nothing at all, see [`Self::or_nothing`].
    utf16: Secret,
}

impl Password {
    /// Takes a password that is not absurdly long.
    pub fn new(text: &SecretString) -> Result<Self, BundleRefused> {
        if text.len() > PFX_PASSWORD_BYTES_MAX {
            return Err(ReadRefused::TooLarge("the password").into());
        }
        let text = text.expose(Reason::Cipher);
        let mut utf16 = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
        utf16.extend(text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes));
        Ok(Self { utf8: Zeroizing::new(text.as_bytes().to_vec()), utf16 })
    }

    /// What some writers mean by an empty password: not even the terminator.
    pub fn or_nothing(&self) -> Option<Self> {
        self.utf8.is_empty().then(|| Self { utf8: Secret::default(), utf16: Secret::default() })
    }

    /// Whether it protects nothing.
    pub fn is_empty(&self) -> bool {
        self.utf8.is_empty()
    }
}

/// What is left of the iterations that a file may ask for.
pub struct Budget(u64);

impl Budget {
    /// All of it.
    pub fn new() -> Self {
        Self(PFX_ITERATIONS_MAX)
    }

    /// SECURITY: before any derivation, because the count is whatever the file says.
    fn spend(&mut self, iterations: u32, blocks: u64) -> Result<NonZeroU32, BundleRefused> {
        let count = NonZeroU32::new(iterations).ok_or(ReadRefused::Malformed("a PKCS#12 file"))?;
        let cost = u64::from(iterations).saturating_mul(blocks);
        self.0 = self.0.checked_sub(cost).ok_or(BundleRefused::TooMuchWork)?;
        Ok(count)
    }
}

/// Decrypts what `algorithm` encrypted under the password.
pub fn decrypt(
    algorithm: &AlgorithmIdentifierOwned,
    ciphertext: &[u8],
    password: &Password,
    budget: &mut Budget,
) -> Result<Secret, BundleRefused> {
    let parameters = algorithm.parameters.as_ref().ok_or(MALFORMED)?.to_der().map_err(|_| MALFORMED)?;
    let old = |key_bytes, budget: &mut Budget| old_key(&parameters, key_bytes, password, budget);
    match algorithm.oid {
        PBES2 => pbes2_decrypt(&parameters, ciphertext, password, budget),
        OLD_3DES => old(24, budget).and_then(|(key, iv)| old_decrypt::<des::TdesEde3>(&key, &iv, ciphertext)),
        OLD_2DES => old(16, budget).and_then(|(key, iv)| old_decrypt::<des::TdesEde2>(&key, &iv, ciphertext)),
        OLD_RC2_128 => old(16, budget).and_then(|(key, iv)| old_decrypt::<rc2::Rc2>(&key, &iv, ciphertext)),
        OLD_RC2_40 => old(5, budget).and_then(|(key, iv)| old_decrypt::<rc2::Rc2>(&key, &iv, ciphertext)),
        _ => Err(ReadRefused::Unsupported("the encryption of the PKCS#12 file").into()),
    }
}

/// Encrypts by PBES2 with fresh salt and vector; returns how, and the ciphertext.
pub fn encrypt(
    plaintext: Secret,
    password: &Password,
    iterations: NonZeroU32,
) -> Option<(AlgorithmIdentifierOwned, Vec<u8>)> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, &password.utf8, key.as_mut_slice());
    let key = UnboundCipherKey::new(&AES_256, key.as_slice()).ok()?;
    let mut bytes = plaintext.to_vec();
    let context = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?.encrypt(&mut bytes).ok()?;
    let DecryptionContext::Iv128(iv) = context else { return None };
    let iv: [u8; 16] = *iv.as_ref();
    let null = Some(Any::null());
    let derivation = Pbkdf2Parameters {
        salt: OctetStringRef::new(&salt).ok()?,
        iterations: iterations.get(),
        key_bytes: None,
        function: Some(AlgorithmIdentifierOwned { oid: HMAC_SHA256, parameters: null }),
    };
    let parameters = Pbes2Parameters {
        derivation: AlgorithmIdentifierOwned {
            oid: PBKDF2,
            parameters: Some(Any::encode_from(&derivation).ok()?),
        },
        cipher: AlgorithmIdentifierOwned {
            oid: AES_256_CBC,
            parameters: Some(Any::new(Tag::OctetString, iv).ok()?),
        },
    };
    let parameters = Some(Any::encode_from(&parameters).ok()?);
    Some((AlgorithmIdentifierOwned { oid: PBES2, parameters }, bytes))
}

/// Whether the MAC over `content` is right under the password.
pub fn mac_is_right(
    mac: &MacData<'_>,
    content: &[u8],
    password: &Password,
    budget: &mut Budget,
) -> Result<bool, BundleRefused> {
    let (function, key) = match mac.mac.algorithm.oid {
        PBMAC1 => pbmac1_key(&mac.mac.algorithm, password, budget)?,
        oid => {
            let function =
                mac_function(oid).ok_or(ReadRefused::Unsupported("the MAC of the PKCS#12 file"))?;
            let count = budget.spend(mac.iterations, 1)?;
            (function, mac_key(oid, password, mac.salt.as_bytes(), count).ok_or(MALFORMED)?)
        }
    };
    let key = hmac::Key::new(function, &key);
    Ok(hmac::verify(&key, content, mac.mac.value.as_bytes()).is_ok())
}

/// A MAC over SHA-256 with a fresh salt: the salt and the MAC.
pub fn mac(content: &[u8], password: &Password, iterations: NonZeroU32) -> Option<([u8; 16], Vec<u8>)> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).ok()?;
    let key = mac_key(SHA256, password, &salt, iterations)?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), content);
    Some((salt, tag.as_ref().to_vec()))
}

/// How the MAC of [`mac`] is named.
pub fn mac_algorithm() -> AlgorithmIdentifierRef<'static> {
    AlgorithmIdentifierRef { oid: SHA256, parameters: Some(AnyRef::NULL) }
}

const MALFORMED: BundleRefused = BundleRefused::Read(ReadRefused::Malformed("a PKCS#12 file"));

fn mac_function(digest: ObjectIdentifier) -> Option<hmac::Algorithm> {
    match digest {
        SHA1 => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        SHA256 => Some(hmac::HMAC_SHA256),
        SHA384 => Some(hmac::HMAC_SHA384),
        SHA512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn mac_key(digest: ObjectIdentifier, password: &Password, salt: &[u8], count: NonZeroU32) -> Option<Secret> {
    let count = i32::try_from(count.get()).ok()?;
    let pass = &password.utf16;
    let key = match digest {
        SHA1 => derive_key::<sha1::Sha1>(pass, salt, Pkcs12KeyType::Mac, count, 20),
        SHA256 => derive_key::<sha2::Sha256>(pass, salt, Pkcs12KeyType::Mac, count, 32),
        SHA384 => derive_key::<sha2::Sha384>(pass, salt, Pkcs12KeyType::Mac, count, 48),
        SHA512 => derive_key::<sha2::Sha512>(pass, salt, Pkcs12KeyType::Mac, count, 64),
        _ => return None,
    };
    Some(Zeroizing::new(key))
}

fn old_key(
    parameters: &[u8],
    key_bytes: usize,
    password: &Password,
    budget: &mut Budget,
) -> Result<(Secret, Secret), BundleRefused> {
    let parameters = OldParameters::from_der(parameters).map_err(|_| MALFORMED)?;
    // Key and vector are derived one after the other, the key perhaps from two digests.
    let count = budget.spend(parameters.iterations, 3)?;
    let count = i32::try_from(count.get()).map_err(|_| BundleRefused::TooMuchWork)?;
    let salt = parameters.salt.as_bytes();
    let derive =
        |kind, length| Zeroizing::new(derive_key::<sha1::Sha1>(&password.utf16, salt, kind, count, length));
    Ok((derive(Pkcs12KeyType::EncryptionKey, key_bytes), derive(Pkcs12KeyType::Iv, 8)))
}

fn old_decrypt<C>(key: &[u8], iv: &[u8], ciphertext: &[u8]) -> Result<Secret, BundleRefused>
where
    C: KeyInit + BlockCipherDecrypt,
{
    let cipher = cbc::Decryptor::<C>::new_from_slices(key, iv).map_err(|_| MALFORMED)?;
    // SECURITY: who sees this error knows the password, so it is no oracle.
    cipher.decrypt_padded_vec::<Pkcs7>(ciphertext).map(Zeroizing::new).map_err(|_| BundleRefused::Password)
}

fn pbes2_decrypt(
    parameters: &[u8],
    ciphertext: &[u8],
    password: &Password,
    budget: &mut Budget,
) -> Result<Secret, BundleRefused> {
    let parameters = Pbes2Parameters::from_der(parameters).map_err(|_| MALFORMED)?;
    let vector = parameters.cipher.parameters.as_ref().ok_or(MALFORMED)?;
    let vector = vector.decode_as::<&OctetStringRef>().map_err(|_| MALFORMED)?.as_bytes();
    let (aes, key_bytes): (Option<&'static Algorithm>, usize) = match parameters.cipher.oid {
        AES_128_CBC => (Some(&AES_128), 16),
        AES_192_CBC => (Some(&AES_192), 24),
        AES_256_CBC => (Some(&AES_256), 32),
        TRIPLE_DES_CBC => (None, 24),
        _ => return Err(ReadRefused::Unsupported("the encryption of the PKCS#12 file").into()),
    };
    let key = pbkdf2_key(&parameters.derivation, key_bytes, password, budget)?;
    let Some(aes) = aes else { return old_decrypt::<des::TdesEde3>(&key, vector, ciphertext) };
    let vector: [u8; 16] = vector.try_into().map_err(|_| MALFORMED)?;
    let key = UnboundCipherKey::new(aes, &key).map_err(|_| MALFORMED)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| MALFORMED)?;
    let mut bytes = Zeroizing::new(ciphertext.to_vec());
    let context = DecryptionContext::Iv128(FixedLength::from(vector));
    let length = key.decrypt(&mut bytes, context).map_err(|_| BundleRefused::Password)?.len();
    bytes.truncate(length);
    Ok(bytes)
}

fn pbkdf2_key(
    derivation: &AlgorithmIdentifierOwned,
    key_bytes: usize,
    password: &Password,
    budget: &mut Budget,
) -> Result<Secret, BundleRefused> {
    if derivation.oid != PBKDF2 {
        return Err(ReadRefused::Unsupported("the key derivation of the PKCS#12 file").into());
    }
    let parameters = derivation.parameters.as_ref().ok_or(MALFORMED)?;
    let parameters = parameters.decode_as::<Pbkdf2Parameters<'_>>().map_err(|_| MALFORMED)?;
    if parameters.key_bytes.is_some_and(|given| usize::from(given) != key_bytes) {
        return Err(MALFORMED);
    }
    let function = match parameters.function.map_or(HMAC_SHA1, |function| function.oid) {
        HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
        HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
        HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
        HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(ReadRefused::Unsupported("the key derivation of the PKCS#12 file").into()),
    };
    // One digest of SHA-1 is shorter than most keys; HMAC digests twice.
    let count = budget.spend(parameters.iterations, 2)?;
    let mut key = Zeroizing::new(vec![0; key_bytes]);
    pbkdf2::derive(function, count, parameters.salt.as_bytes(), &password.utf8, &mut key);
    Ok(key)
}

fn pbmac1_key(
    algorithm: &AlgorithmIdentifierRef<'_>,
    password: &Password,
    budget: &mut Budget,
) -> Result<(hmac::Algorithm, Secret), BundleRefused> {
    // PBMAC1-params has the form of PBES2-params: a derivation and what its key is for.
    let parameters = algorithm.parameters.ok_or(MALFORMED)?;
    let parameters = parameters.decode_as::<Pbes2Parameters>().map_err(|_| MALFORMED)?;
    let (function, bytes) = match parameters.cipher.oid {
        HMAC_SHA256 => (hmac::HMAC_SHA256, 32),
        HMAC_SHA384 => (hmac::HMAC_SHA384, 48),
        HMAC_SHA512 => (hmac::HMAC_SHA512, 64),
        _ => return Err(ReadRefused::Unsupported("the MAC of the PKCS#12 file").into()),
    };
    Ok((function, pbkdf2_key(&parameters.derivation, bytes, password, budget)?))
}
