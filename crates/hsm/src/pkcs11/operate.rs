//! Signing, encrypting and decrypting in a token (PKCS#11 §2.1 for RSA, §2.3 for ECDSA, §2.8 to §2.14 for AES).
//!
//! What is wrong with a request whatever the key is refused before the token is asked, in the words that software keys
//! use. What only the token can find out about a ciphertext is one answer.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use vouchsafe_crypto::keys::{
    CiphertextParts, Encrypted, EncryptionAlgorithm, KeyFamily, KeySpec, Misuse, PublicKey,
    SignatureAlgorithm,
};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::hsm::HsmError;

use super::connection::{Fault, Reply};
use super::token::{TokenConnection, fault};
use crate::words::misuse;

const BLOCK_BYTES: usize = 16;
const GCM_IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const UNDECRYPTED: Fault = Fault::Answer(HsmError::Refused("the ciphertext could not be decrypted"));

/// How an algorithm for symmetric keys works.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Mode {
    Gcm,
    Cbc,
    CbcPad,
    KeyWrap,
}

fn mode(algorithm: EncryptionAlgorithm) -> Option<Mode> {
    use EncryptionAlgorithm as A;
    match algorithm {
        A::Rsa15 | A::RsaOaep | A::RsaOaep256 => None,
        A::A128Gcm | A::A192Gcm | A::A256Gcm => Some(Mode::Gcm),
        A::A128Cbc | A::A192Cbc | A::A256Cbc => Some(Mode::Cbc),
        A::A128CbcPad | A::A192CbcPad | A::A256CbcPad => Some(Mode::CbcPad),
        A::A128Kw | A::A192Kw | A::A256Kw => Some(Mode::KeyWrap),
    }
}

/// Refuses what cannot be encrypted, whatever the key.
pub(super) fn check_to_encrypt(
    spec: KeySpec,
    algorithm: EncryptionAlgorithm,
    plaintext_bytes: usize,
    iv: Option<&[u8]>,
    aad: Option<&[u8]>,
) -> Result<(), HsmError> {
    let Some(mode) = mode(algorithm).filter(|_| algorithm.fits(spec)) else {
        return Err(misuse(Misuse::Algorithm));
    };
    if aad.is_some() && mode != Mode::Gcm {
        return Err(misuse(Misuse::AadNotAllowed));
    }
    match (mode, iv) {
        (Mode::Gcm | Mode::KeyWrap, Some(_)) => return Err(misuse(Misuse::IvNotAllowed)),
        (Mode::Cbc | Mode::CbcPad, None) => return Err(misuse(Misuse::IvMissing)),
        (Mode::Cbc | Mode::CbcPad, Some(iv)) if iv.len() != BLOCK_BYTES => {
            return Err(misuse(Misuse::IvLength { expected: BLOCK_BYTES }));
        }
        _ => {}
    }
    let (min, multiple) = match mode {
        Mode::Gcm | Mode::CbcPad => (0, 1),
        Mode::Cbc => (BLOCK_BYTES, BLOCK_BYTES),
        Mode::KeyWrap => (16, 8),
    };
    if plaintext_bytes < min || !plaintext_bytes.is_multiple_of(multiple) {
        return Err(misuse(Misuse::PlaintextLength { min, multiple }));
    }
    Ok(())
}

/// Refuses what cannot be a ciphertext, whatever the key.
pub(super) fn check_to_decrypt(
    spec: KeySpec,
    algorithm: EncryptionAlgorithm,
    parts: &CiphertextParts<'_>,
) -> Result<(), HsmError> {
    if !algorithm.fits(spec) {
        return Err(misuse(Misuse::Algorithm));
    }
    let mode = mode(algorithm);
    let iv_bytes = match mode {
        Some(Mode::Gcm) => Some(GCM_IV_BYTES),
        Some(Mode::Cbc | Mode::CbcPad) => Some(BLOCK_BYTES),
        Some(Mode::KeyWrap) | None => None,
    };
    match (iv_bytes, parts.iv) {
        (None, Some(_)) => return Err(misuse(Misuse::IvNotAllowed)),
        (Some(_), None) => return Err(misuse(Misuse::IvMissing)),
        (Some(expected), Some(iv)) if iv.len() != expected => {
            return Err(misuse(Misuse::IvLength { expected }));
        }
        _ => {}
    }
    match (mode == Some(Mode::Gcm), parts.tag) {
        (false, Some(_)) => return Err(misuse(Misuse::TagNotAllowed)),
        (true, None) => return Err(misuse(Misuse::TagMissing)),
        (true, Some(tag)) if tag.len() != TAG_BYTES => {
            return Err(misuse(Misuse::TagLength { expected: TAG_BYTES }));
        }
        _ => {}
    }
    if parts.aad.is_some() && mode != Some(Mode::Gcm) {
        return Err(misuse(Misuse::AadNotAllowed));
    }
    let bytes = parts.value.len();
    let possible = match mode {
        None => bytes == spec.bytes(),
        Some(Mode::Gcm) => true,
        Some(Mode::Cbc | Mode::CbcPad) => bytes >= BLOCK_BYTES && bytes.is_multiple_of(BLOCK_BYTES),
        Some(Mode::KeyWrap) => bytes >= 24 && bytes.is_multiple_of(8),
    };
    if possible { Ok(()) } else { Err(misuse(Misuse::CiphertextLength)) }
}

impl TokenConnection {
    /// Signs a digest of the right length.
    pub(super) fn sign(
        &self,
        handle: ObjectHandle,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        use SignatureAlgorithm as A;
        let pss = |hash_alg, mgf| {
            let s_len = digest.len().try_into().map_err(fault)?;
            Ok(Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len }))
        };
        let (mechanism, prefix) = match algorithm {
            A::Rs256 => (Mechanism::RsaPkcs, DIGEST_INFO_SHA256),
            A::Rs384 => (Mechanism::RsaPkcs, DIGEST_INFO_SHA384),
            A::Rs512 => (Mechanism::RsaPkcs, DIGEST_INFO_SHA512),
            A::Ps256 => (pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256)?, NOTHING),
            A::Ps384 => (pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384)?, NOTHING),
            A::Ps512 => (pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512)?, NOTHING),
            A::Es256 | A::Es384 | A::Es512 | A::Es256k => (Mechanism::Ecdsa, NOTHING),
            A::Hs256 | A::Hs384 | A::Hs512 => {
                return Err(Fault::Answer(HsmError::Unsupported(
                    "an AES key of a token does not compute HMACs",
                )));
            }
        };
        self.session.sign(&mechanism, handle, &[prefix, digest].concat()).map_err(fault)
    }

    /// Encrypts with a symmetric key what [`check_to_encrypt`] let through.
    pub(super) fn encrypt(
        &self,
        handle: ObjectHandle,
        algorithm: EncryptionAlgorithm,
        plaintext: &SecretBytes,
        iv: Option<&[u8]>,
        aad: Option<&[u8]>,
    ) -> Result<Encrypted, Fault> {
        let mode = mode(algorithm).ok_or(Fault::Answer(misuse(Misuse::Algorithm)))?;
        let clear = plaintext.expose(Reason::Cipher);
        if mode == Mode::KeyWrap {
            let value = self.wrap_bytes(handle, clear)?;
            return Ok(Encrypted { value, iv: None, tag: None, aad: None });
        }
        if mode != Mode::Gcm {
            let value = self.session.encrypt(&chained(mode, iv)?, handle, clear).map_err(fault)?;
            return Ok(Encrypted { value, iv: iv.map(<[u8]>::to_vec), tag: None, aad: None });
        }
        let mut iv = self.random_bytes(GCM_IV_BYTES)?;
        let authenticated = aad.unwrap_or_default();
        let parameters = gcm(&mut iv, authenticated)?;
        let mut value = self.session.encrypt(&Mechanism::AesGcm(parameters), handle, clear).map_err(fault)?;
        let short = || Fault::Failed("the token gave a ciphertext without a tag".into());
        let tag = value.split_off(value.len().checked_sub(TAG_BYTES).ok_or_else(short)?);
        // A token may have put an initialization vector of its own in the place of ours: it is read after the call.
        Ok(Encrypted { value, iv: Some(iv), tag: Some(tag), aad: aad.map(<[u8]>::to_vec) })
    }

    /// Decrypts what [`check_to_decrypt`] let through.
    pub(super) fn decrypt(
        &mut self,
        spec: KeySpec,
        handle: ObjectHandle,
        algorithm: EncryptionAlgorithm,
        encrypted: &Encrypted,
        bridge: Option<&PublicKey>,
    ) -> Result<Reply, Fault> {
        let value = encrypted.value.as_slice();
        let opened = match mode(algorithm) {
            None if spec.family() == KeyFamily::Rsa => {
                return self.decrypt_rsa(spec, handle, algorithm, value, bridge);
            }
            None => Err(Fault::Answer(misuse(Misuse::Algorithm))),
            Some(Mode::KeyWrap) => self.unwrap_bytes(handle, value),
            Some(mode @ (Mode::Cbc | Mode::CbcPad)) => {
                self.open(&chained(mode, encrypted.iv.as_deref())?, handle, value)
            }
            Some(Mode::Gcm) => {
                let mut iv = encrypted.iv.clone().unwrap_or_default();
                let parameters = gcm(&mut iv, encrypted.aad.as_deref().unwrap_or_default())?;
                let tag = encrypted.tag.as_deref().unwrap_or_default();
                self.open(&Mechanism::AesGcm(parameters), handle, &[value, tag].concat())
            }
        };
        opened.map(Reply::Secret)
    }

    fn decrypt_rsa(
        &mut self,
        spec: KeySpec,
        handle: ObjectHandle,
        algorithm: EncryptionAlgorithm,
        value: &[u8],
        bridge: Option<&PublicKey>,
    ) -> Result<Reply, Fault> {
        let opened = match algorithm {
            EncryptionAlgorithm::Rsa15 => self.decrypt_pkcs1(spec, handle, value),
            EncryptionAlgorithm::RsaOaep => self.open(&oaep_sha1(), handle, value),
            _ => match self.session.decrypt(&oaep_sha256(), handle, value) {
                // SoftHSM up to 2.6 takes no other hash than SHA-1.
                Err(Error::Pkcs11(
                    RvError::ArgumentsBad | RvError::MechanismParamInvalid | RvError::MechanismInvalid,
                    _,
                )) => return self.decrypt_oaep_sha256_raw(spec, handle, value, bridge),
                other => self.judge(other),
            },
        };
        opened.map(Reply::Secret)
    }

    /// Decrypts in the token.
    fn open(
        &self,
        mechanism: &Mechanism<'_>,
        handle: ObjectHandle,
        value: &[u8],
    ) -> Result<SecretBytes, Fault> {
        self.judge(self.session.decrypt(mechanism, handle, value))
    }

    /// Tells a bad ciphertext from a bad token: tokens report both as a general error.
    pub(super) fn judge(&self, result: Result<Vec<u8>, Error>) -> Result<SecretBytes, Fault> {
        match result {
            Ok(plaintext) => Ok(SecretBytes::new(plaintext)),
            Err(error) => Err(self.judge_error(error)),
        }
    }

    /// What an error means that the input of a caller may have caused.
    pub(super) fn judge_error(&self, error: Error) -> Fault {
        let about_the_input = matches!(
            error,
            Error::Pkcs11(
                RvError::GeneralError
                    | RvError::FunctionFailed
                    | RvError::ArgumentsBad
                    | RvError::DataInvalid
                    | RvError::DataLenRange
                    | RvError::EncryptedDataInvalid
                    | RvError::EncryptedDataLenRange
                    | RvError::WrappedKeyInvalid
                    | RvError::WrappedKeyLenRange
                    | RvError::KeySizeRange
                    | RvError::TemplateInconsistent
                    | RvError::AttributeValueInvalid,
                _
            )
        );
        if about_the_input && self.serial().is_ok() { UNDECRYPTED } else { fault(error) }
    }

    /// AES key wrap works on keys only: the bytes become one for as long as it takes.
    fn wrap_bytes(&self, handle: ObjectHandle, clear: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut template = passing_template();
        template.push(Attribute::Value(clear.to_vec()));
        let passing = self.session.create_object(&template).map_err(fault)?;
        let wrapped = self.session.wrap_key(&Mechanism::AesKeyWrap, handle, passing).map_err(fault);
        self.discard(passing);
        wrapped
    }

    fn unwrap_bytes(&self, handle: ObjectHandle, value: &[u8]) -> Result<SecretBytes, Fault> {
        let passing = self
            .session
            .unwrap_key(&Mechanism::AesKeyWrap, handle, value, &passing_template())
            .map_err(|error| self.judge_error(error))?;
        let read = self.session.get_attributes(passing, &[AttributeType::Value]).map_err(fault);
        self.discard(passing);
        match read?.into_iter().next() {
            Some(Attribute::Value(clear)) => Ok(SecretBytes::new(clear)),
            _ => Err(Fault::Answer(HsmError::Unsupported("the token keeps unwrapped bytes to itself"))),
        }
    }
}

/// An object that holds a caller's bytes for one call, and whose value is the answer.
fn passing_template() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn chained(mode: Mode, iv: Option<&[u8]>) -> Result<Mechanism<'static>, Fault> {
    let iv = iv
        .and_then(|iv| <[u8; BLOCK_BYTES]>::try_from(iv).ok())
        .ok_or(Fault::Answer(misuse(Misuse::IvLength { expected: BLOCK_BYTES })))?;
    Ok(if mode == Mode::Cbc { Mechanism::AesCbc(iv) } else { Mechanism::AesCbcPad(iv) })
}

fn gcm<'a>(iv: &'a mut [u8], aad: &'a [u8]) -> Result<GcmParams<'a>, Fault> {
    let tag_bits = (TAG_BYTES * 8).try_into().map_err(fault)?;
    GcmParams::new(iv, aad, tag_bits).map_err(fault)
}

pub(super) fn oaep_sha1() -> Mechanism<'static> {
    let (hash, mask) = (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1);
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
}

fn oaep_sha256() -> Mechanism<'static> {
    let (hash, mask) = (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256);
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
}

const NOTHING: &[u8] = &[];
/// What PKCS #1 puts before a digest (RFC 8017 §9.2, note 1).
const DIGEST_INFO_SHA256: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0, 0x04,
    0x20,
];
const DIGEST_INFO_SHA384: &[u8] = &[
    0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0, 0x04,
    0x30,
];
const DIGEST_INFO_SHA512: &[u8] = &[
    0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0, 0x04,
    0x40,
];
