//! Private and symmetric keys: made, kept as bytes, and used.

use std::sync::OnceLock;

use aws_lc_rs::cmac;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaKeyPair, RsaSignatureEncoding,
};

use super::public::import_digest;
use super::rsa::Decrypting;
use super::{
    CHECK_VALUE_BYTES, CiphertextParts, DecryptError, Encrypted, EncryptionAlgorithm, KeySpec, Malformed,
    Misuse, PublicKey, SignatureAlgorithm, symmetric,
};
use crate::secret::{Reason, SecretBytes};

/// A private or symmetric key in memory. It cannot be printed or copied:
///
/// ```compile_fail,E0277
/// use vouchsafe_crypto::keys::{KeySpec, PrivateKey};
/// println!("{:?}", PrivateKey::generate(KeySpec::P256));
/// ```
///
/// ```compile_fail,E0599
/// use vouchsafe_crypto::keys::{KeySpec, PrivateKey};
/// let copy = PrivateKey::generate(KeySpec::P256).clone();
/// ```
pub struct PrivateKey(pub(super) Held);

pub(super) enum Held {
    Rsa {
        pair: RsaKeyPair,
        public: PublicKey,
        /// The same key in the form that decrypting takes, made when it is needed first.
        decrypting: OnceLock<Box<Decrypting>>,
    },
    Ec {
        pair: EcdsaKeyPair,
        public: PublicKey,
    },
    Oct {
        spec: KeySpec,
        key: SecretBytes,
    },
}

impl PrivateKey {
    /// Makes a key from the system's randomness. RSA takes from a tenth of a second to some seconds of one core.
    pub fn generate(spec: KeySpec) -> Self {
        Self::try_generate(spec).expect("making a key of a supported kind fails only without memory")
    }

    fn try_generate(spec: KeySpec) -> Result<Self, Malformed> {
        let rsa = |size| RsaKeyPair::generate(size).map_err(|_| Malformed).and_then(Self::from_rsa);
        match spec {
            KeySpec::Rsa2048 => rsa(KeySize::Rsa2048),
            KeySpec::Rsa3072 => rsa(KeySize::Rsa3072),
            KeySpec::Rsa4096 => rsa(KeySize::Rsa4096),
            KeySpec::P256 | KeySpec::P384 | KeySpec::P521 | KeySpec::P256K => {
                let signing = ec_signing(spec).ok_or(Malformed)?;
                Self::from_ec(EcdsaKeyPair::generate(signing).map_err(|_| Malformed)?)
            }
            KeySpec::Oct128 | KeySpec::Oct192 | KeySpec::Oct256 => {
                let mut key = vec![0; spec.bytes()];
                SystemRandom::new().fill(&mut key).map_err(|_| Malformed)?;
                Ok(Self(Held::Oct { spec, key: SecretBytes::new(key) }))
            }
        }
    }

    /// Reads what [`PrivateKey::to_material`] wrote. Only for bytes that were sealed by us since: what makes a key weak
    /// is not looked for again.
    pub fn from_material(spec: KeySpec, material: &SecretBytes) -> Result<Self, Malformed> {
        let bytes = material.expose(Reason::Cipher);
        let key = match spec {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
                Self::from_rsa(RsaKeyPair::from_pkcs8(bytes).map_err(|_| Malformed)?)?
            }
            KeySpec::P256 | KeySpec::P384 | KeySpec::P521 | KeySpec::P256K => {
                let signing = ec_signing(spec).ok_or(Malformed)?;
                Self::from_ec(EcdsaKeyPair::from_pkcs8(signing, bytes).map_err(|_| Malformed)?)?
            }
            KeySpec::Oct128 | KeySpec::Oct192 | KeySpec::Oct256 => {
                if bytes.len() != spec.bytes() {
                    return Err(Malformed);
                }
                Self(Held::Oct { spec, key: SecretBytes::new(bytes.to_vec()) })
            }
        };
        if key.spec() == spec { Ok(key) } else { Err(Malformed) }
    }

    /// Gives the key out to be sealed and kept: PKCS #8 (RFC 5208), or the bytes of a symmetric key.
    pub fn to_material(&self) -> SecretBytes {
        match &self.0 {
            Held::Oct { key, .. } => SecretBytes::new(key.expose(Reason::Cipher).to_vec()),
            _ => self.to_pkcs8().expect("every other key has a form in PKCS #8"),
        }
    }

    /// Gives the key out as PKCS #8 (RFC 5208); a symmetric key has no such form.
    pub fn to_pkcs8(&self) -> Option<SecretBytes> {
        let pkcs8 = match &self.0 {
            Held::Rsa { pair, .. } => pair.as_der().map(|der| der.as_ref().to_vec()),
            Held::Ec { pair, .. } => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Held::Oct { .. } => return None,
        };
        Some(SecretBytes::new(pkcs8.expect("encoding a key in memory fails only without memory")))
    }

    /// The kind of key.
    pub fn spec(&self) -> KeySpec {
        match &self.0 {
            Held::Rsa { public, .. } | Held::Ec { public, .. } => public.spec(),
            Held::Oct { spec, .. } => *spec,
        }
    }

    /// The public half; a symmetric key has none.
    pub fn public(&self) -> Option<PublicKey> {
        self.public_ref().cloned()
    }

    fn public_ref(&self) -> Option<&PublicKey> {
        match &self.0 {
            Held::Rsa { public, .. } | Held::Ec { public, .. } => Some(public),
            Held::Oct { .. } => None,
        }
    }

    /// Tells keys apart without showing them: as [`PublicKey::check_value`], or the first bytes of AES-CMAC over one block
    /// of zeros for a symmetric key, which a token can compute as well.
    pub fn check_value(&self) -> [u8; CHECK_VALUE_BYTES] {
        let Held::Oct { key, spec } = &self.0 else {
            return self.public_ref().map_or([0; CHECK_VALUE_BYTES], PublicKey::check_value);
        };
        let algorithm = match spec {
            KeySpec::Oct128 => cmac::AES_128,
            KeySpec::Oct192 => cmac::AES_192,
            _ => cmac::AES_256,
        };
        let tag = cmac::Key::new(algorithm, key.expose(Reason::Cipher))
            .and_then(|key| cmac::sign(&key, &[0; 16]))
            .expect("the key has the length of its kind");
        let mut value = [0; CHECK_VALUE_BYTES];
        value.iter_mut().zip(tag.as_ref()).for_each(|(value, byte)| *value = *byte);
        value
    }

    /// Signs a digest that the caller computed; its length must be the algorithm's. HMAC is over the digest's bytes.
    pub fn sign(&self, algorithm: SignatureAlgorithm, digest: &[u8]) -> Result<Vec<u8>, Misuse> {
        if !algorithm.fits(self.spec()) {
            return Err(Misuse::Algorithm);
        }
        let imported = import_digest(algorithm, digest)?;
        match &self.0 {
            Held::Rsa { pair, .. } => {
                let encoding = rsa_encoding(algorithm).ok_or(Misuse::Algorithm)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(encoding, &imported, &mut signature).map(|()| signature)
            }
            Held::Ec { pair, .. } => pair.sign_digest(&imported).map(|signature| signature.as_ref().to_vec()),
            Held::Oct { key, .. } => {
                Ok(hmac::sign(&hmac_key(algorithm, key).ok_or(Misuse::Algorithm)?, digest).as_ref().to_vec())
            }
        }
        .map_err(|_| Misuse::Failed)
    }

    /// Whether `signature` is the key's over this digest; HMAC is compared in constant time.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, Misuse> {
        let Held::Oct { key, spec } = &self.0 else {
            return self.public_ref().ok_or(Misuse::Operation)?.verify(algorithm, digest, signature);
        };
        if !algorithm.fits(*spec) {
            return Err(Misuse::Algorithm);
        }
        import_digest(algorithm, digest)?;
        let key = hmac_key(algorithm, key).ok_or(Misuse::Algorithm)?;
        Ok(hmac::verify(&key, digest, signature).is_ok())
    }

    /// Encrypts or wraps. GCM makes its own initialization vector and refuses one that is given; CBC takes 16 bytes.
    pub fn encrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
        iv: Option<&[u8]>,
        aad: Option<&[u8]>,
    ) -> Result<Encrypted, Misuse> {
        if !algorithm.fits(self.spec()) {
            return Err(Misuse::Algorithm);
        }
        if iv.is_some() && !algorithm.needs_iv() {
            return Err(Misuse::IvNotAllowed);
        }
        if aad.is_some() && !algorithm.authenticates() {
            return Err(Misuse::AadNotAllowed);
        }
        match &self.0 {
            Held::Oct { key, .. } => symmetric::encrypt(algorithm, key, plaintext, iv, aad),
            Held::Rsa { public, .. } | Held::Ec { public, .. } => public.encrypt(algorithm, plaintext),
        }
    }

    /// Decrypts or unwraps.
    pub fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        parts: &CiphertextParts<'_>,
    ) -> Result<SecretBytes, DecryptError> {
        if !algorithm.fits(self.spec()) {
            return Err(Misuse::Algorithm.into());
        }
        if parts.iv.is_some() && !algorithm.needs_iv() && !algorithm.authenticates() {
            return Err(Misuse::IvNotAllowed.into());
        }
        if parts.tag.is_some() && !algorithm.authenticates() {
            return Err(Misuse::TagNotAllowed.into());
        }
        if parts.aad.is_some() && !algorithm.authenticates() {
            return Err(Misuse::AadNotAllowed.into());
        }
        match &self.0 {
            Held::Oct { key, .. } => symmetric::decrypt(algorithm, key, parts),
            Held::Rsa { .. } => self.decrypting()?.decrypt(algorithm, parts.value),
            Held::Ec { .. } => Err(Misuse::Algorithm.into()),
        }
    }

    /// The RSA key in the form that decrypting takes.
    fn decrypting(&self) -> Result<&Decrypting, Misuse> {
        let Held::Rsa { decrypting, .. } = &self.0 else { return Err(Misuse::Algorithm) };
        if let Some(key) = decrypting.get() {
            return Ok(key);
        }
        let pkcs8 = self.to_pkcs8().ok_or(Misuse::Failed)?;
        let key = Box::new(Decrypting::from_pkcs8(&pkcs8)?);
        Ok(decrypting.get_or_init(|| key))
    }

    pub(super) fn from_rsa(pair: RsaKeyPair) -> Result<Self, Malformed> {
        let public = PublicKey::from_spki_der(pair.public_key().as_der().map_err(|_| Malformed)?.as_ref())?;
        Ok(Self(Held::Rsa { pair, public, decrypting: OnceLock::new() }))
    }

    pub(super) fn from_ec(pair: EcdsaKeyPair) -> Result<Self, Malformed> {
        let public = PublicKey::from_spki_der(pair.public_key().as_der().map_err(|_| Malformed)?.as_ref())?;
        Ok(Self(Held::Ec { pair, public }))
    }
}

pub(super) fn ec_signing(curve: KeySpec) -> Option<&'static EcdsaSigningAlgorithm> {
    match curve {
        KeySpec::P256 => Some(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        KeySpec::P384 => Some(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        KeySpec::P521 => Some(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
        KeySpec::P256K => Some(&signature::ECDSA_P256K1_SHA256_FIXED_SIGNING),
        _ => None,
    }
}

fn rsa_encoding(algorithm: SignatureAlgorithm) -> Option<&'static RsaSignatureEncoding> {
    match algorithm {
        SignatureAlgorithm::Rs256 => Some(&signature::RSA_PKCS1_SHA256),
        SignatureAlgorithm::Rs384 => Some(&signature::RSA_PKCS1_SHA384),
        SignatureAlgorithm::Rs512 => Some(&signature::RSA_PKCS1_SHA512),
        SignatureAlgorithm::Ps256 => Some(&signature::RSA_PSS_SHA256),
        SignatureAlgorithm::Ps384 => Some(&signature::RSA_PSS_SHA384),
        SignatureAlgorithm::Ps512 => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}

fn hmac_key(algorithm: SignatureAlgorithm, key: &SecretBytes) -> Option<hmac::Key> {
    let hash = match algorithm {
        SignatureAlgorithm::Hs256 => hmac::HMAC_SHA256,
        SignatureAlgorithm::Hs384 => hmac::HMAC_SHA384,
        SignatureAlgorithm::Hs512 => hmac::HMAC_SHA512,
        _ => return None,
    };
    Some(hmac::Key::new(hash, key.expose(Reason::Cipher)))
}
