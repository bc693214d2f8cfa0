//! Keys on their way to another holder: the layout of `CKM_RSA_AES_KEY_WRAP` (PKCS#11 §2.1.21), an AES-256 key under
//! RSA-OAEP and after it the key under AES key wrap with padding (RFC 5649) with that AES key.
//!
//! Keys come to a token like this ("bring your own key"), and leave to an attested environment ("secure key release").

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OaepAlgorithm};
use zeroize::Zeroizing;

use super::{DecryptError, Misuse, PrivateKey, PublicKey};
use crate::secret::{Reason, SecretBytes};

/// Bytes of the AES keys in the middle.
const WRAPPING_KEY_BYTES: usize = 32;

/// How the AES key is wrapped, in Azure's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransportAlgorithm {
    /// RSA-OAEP with SHA-1, as PKCS#11 has it.
    CkmRsaAesKeyWrap,
    /// RSA-OAEP with SHA-256.
    RsaAesKeyWrap256,
    /// RSA-OAEP with SHA-384.
    RsaAesKeyWrap384,
}

impl TransportAlgorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CkmRsaAesKeyWrap, Self::RsaAesKeyWrap256, Self::RsaAesKeyWrap384];

    /// The name in `enc`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CkmRsaAesKeyWrap => "CKM_RSA_AES_KEY_WRAP",
            Self::RsaAesKeyWrap256 => "RSA_AES_KEY_WRAP_256",
            Self::RsaAesKeyWrap384 => "RSA_AES_KEY_WRAP_384",
        }
    }

    /// Reads a name of `enc`.
    pub fn parse(raw: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == raw)
    }

    fn oaep(self) -> &'static OaepAlgorithm {
        match self {
            Self::CkmRsaAesKeyWrap => &OAEP_SHA1_MGF1SHA1,
            Self::RsaAesKeyWrap256 => &OAEP_SHA256_MGF1SHA256,
            Self::RsaAesKeyWrap384 => &OAEP_SHA384_MGF1SHA384,
        }
    }
}

impl PrivateKey {
    /// The key in the form in which it travels: PKCS #8, or the bytes of a symmetric key.
    ///
    /// SECURITY: for [`wrap_for`] only, which is where a key may go from here.
    fn in_the_clear(&self) -> SecretBytes {
        self.to_pkcs8().unwrap_or_else(|| self.to_material())
    }
}

/// Wraps a key for whoever has the private half of an RSA key.
pub fn wrap_for(
    recipient: &PublicKey,
    algorithm: TransportAlgorithm,
    key: &PrivateKey,
) -> Result<Vec<u8>, Misuse> {
    let (wrapping_key, mut blob) = wrapping_key_for(recipient, algorithm)?;
    blob.extend(wrap_key(&wrapping_key, &key.in_the_clear())?);
    Ok(blob)
}

/// A fresh AES-256 key, and the same under an RSA key: with what the first wraps after it, the second is the layout. For
/// holders whose keys are wrapped where they are.
pub fn wrapping_key_for(
    recipient: &PublicKey,
    algorithm: TransportAlgorithm,
) -> Result<(SecretBytes, Vec<u8>), Misuse> {
    let wrapping_key = new_wrapping_key()?;
    let outer = recipient.encrypt_oaep(algorithm.oaep(), wrapping_key.expose(Reason::Cipher))?;
    Ok((wrapping_key, outer))
}

/// A fresh AES-256 key that wraps one other.
pub fn new_wrapping_key() -> Result<SecretBytes, Misuse> {
    let mut key = Zeroizing::new(vec![0; WRAPPING_KEY_BYTES]);
    rand::fill(&mut key).map_err(|_| Misuse::Failed)?;
    Ok(SecretBytes::new(std::mem::take(&mut *key)))
}

/// Wraps bytes with an AES-256 key (RFC 5649).
pub fn wrap_key(wrapping_key: &SecretBytes, clear: &SecretBytes) -> Result<Vec<u8>, Misuse> {
    let key = AesKek::new(&AES_256, wrapping_key.expose(Reason::Cipher)).map_err(|_| Misuse::Key)?;
    let mut wrapped = vec![0; clear.len().next_multiple_of(8) + 8];
    let length = key.wrap_with_padding(clear.expose(Reason::Cipher), &mut wrapped);
    let length = length.map_err(|_| Misuse::Failed)?.len();
    wrapped.truncate(length);
    Ok(wrapped)
}

/// Unwraps what came from outside.
pub fn unwrap_key(wrapping_key: &SecretBytes, wrapped: &[u8]) -> Result<SecretBytes, DecryptError> {
    let key =
        AesKek::new(&AES_256, wrapping_key.expose(Reason::Cipher)).map_err(|_| DecryptError::Refused)?;
    let mut clear = Zeroizing::new(vec![0; wrapped.len()]);
    let length = key.unwrap_with_padding(wrapped, &mut clear).map_err(|_| DecryptError::Refused)?.len();
    clear.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *clear)))
}
