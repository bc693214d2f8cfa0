//! Private keys, and the tokens that are signed with them.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use serde::Serialize;

use super::{Algorithm, KeyKind, KeyRefused, PublicKey, base64url};
use crate::secret::{Reason, SecretBytes};

/// A private key in memory. It cannot be printed:
///
/// ```compile_fail,E0277
/// use vouchsafe_crypto::jose::{KeyKind, SigningKey};
/// println!("{:?}", SigningKey::generate(KeyKind::P256));
/// ```
///
/// nor serialized:
///
/// ```compile_fail,E0277
/// use vouchsafe_crypto::jose::{KeyKind, SigningKey};
/// serde_json::to_string(&SigningKey::generate(KeyKind::P256)).unwrap();
/// ```
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl SigningKey {
    /// Makes a new key from the system's randomness.
    pub fn generate(kind: KeyKind) -> Self {
        let rsa = |size| RsaKeyPair::generate(size).map(Pair::Rsa);
        let pair = match kind {
            KeyKind::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyKind::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyKind::P256 => {
                EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::P256)
            }
        }
        .expect("making a key of a supported kind fails only without memory");
        Self::new(pair).expect("a fresh key is of a supported kind")
    }

    /// Reads a key of the kind that is expected here from PKCS #8.
    pub fn from_pkcs8(kind: KeyKind, pkcs8: &SecretBytes) -> Result<Self, KeyRefused> {
        let pkcs8 = pkcs8.expose(Reason::Cipher);
        let pair = if kind.is_rsa() {
            RsaKeyPair::from_pkcs8(pkcs8).map(Pair::Rsa)
        } else {
            EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Pair::P256)
        };
        let key = Self::new(pair.map_err(|_| KeyRefused::Malformed)?)?;
        if key.public.kind() == kind { Ok(key) } else { Err(KeyRefused::Unsupported) }
    }

    fn new(pair: Pair) -> Result<Self, KeyRefused> {
        let spki = match &pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::P256(pair) => pair.public_key().as_der(),
        }
        .map_err(|_| KeyRefused::Malformed)?;
        Ok(Self { public: PublicKey::from_spki_der(spki.as_ref())?, pair })
    }

    /// Gives the key out as PKCS #8, to be sealed and kept.
    pub fn to_pkcs8(&self) -> SecretBytes {
        let pkcs8 = match &self.pair {
            Pair::Rsa(pair) => pair.as_der().map(|der| der.as_ref().to_vec()),
            Pair::P256(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
        };
        SecretBytes::new(pkcs8.expect("encoding a key in memory fails only without memory"))
    }

    /// The public half as SubjectPublicKeyInfo in DER, for a certificate.
    pub fn public_spki_der(&self) -> Vec<u8> {
        let spki = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::P256(pair) => pair.public_key().as_der(),
        };
        spki.expect("encoding a key in memory fails only without memory").as_ref().to_vec()
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message` with an algorithm that fits the key.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let rsa = |pair: &RsaKeyPair, padding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &SystemRandom::new(), message, &mut signature).map(|()| signature)
        };
        match (algorithm, &self.pair) {
            (Algorithm::Rs256, Pair::Rsa(pair)) => rsa(pair, &signature::RSA_PKCS1_SHA256),
            (Algorithm::Ps256, Pair::Rsa(pair)) => rsa(pair, &signature::RSA_PSS_SHA256),
            (Algorithm::Es256, Pair::P256(pair)) => {
                pair.sign(&SystemRandom::new(), message).map(|signature| signature.as_ref().to_vec())
            }
            (Algorithm::Rs256 | Algorithm::Ps256, Pair::P256(_)) | (Algorithm::Es256, Pair::Rsa(_)) => {
                return Err(SignError::Algorithm);
            }
        }
        .map_err(|_| SignError::Failed)
    }
}

/// Signs `claims` as a token of our own, with the header that [`super::verify`] expects.
pub fn sign_jwt(
    key: &SigningKey,
    algorithm: Algorithm,
    kid: &str,
    claims: &impl Serialize,
) -> Result<String, SignError> {
    #[derive(Serialize)]
    struct Header<'a> {
        typ: &'a str,
        alg: &'a str,
        kid: &'a str,
    }
    sign_compact(key, algorithm, &Header { typ: "JWT", alg: algorithm.as_str(), kid }, claims)
}

/// Signs any header and any claims; the header is ours, so it says the algorithm that is used.
pub(super) fn sign_compact(
    key: &SigningKey,
    algorithm: Algorithm,
    header: &impl Serialize,
    claims: &impl Serialize,
) -> Result<String, SignError> {
    let claims = serde_json::to_vec(claims).map_err(|_| SignError::Claims)?;
    sign_parts(key, algorithm, header, &claims)
}

/// The same for a payload that is written already.
pub(super) fn sign_parts(
    key: &SigningKey,
    algorithm: Algorithm,
    header: &impl Serialize,
    payload: &[u8],
) -> Result<String, SignError> {
    let header = serde_json::to_vec(header).map_err(|_| SignError::Claims)?;
    let mut token = base64url::encode(&header);
    token.push('.');
    token.push_str(&base64url::encode(payload));
    let signature = key.sign(algorithm, token.as_bytes())?;
    token.push('.');
    token.push_str(&base64url::encode(&signature));
    Ok(token)
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignError {
    /// The key is of a kind that the algorithm does not use.
    #[error("the algorithm does not fit the key")]
    Algorithm,
    /// The claims have no form in JSON.
    #[error("the claims cannot be written as JSON")]
    Claims,
    /// The cryptographic library refused.
    #[error("signing failed")]
    Failed,
}
