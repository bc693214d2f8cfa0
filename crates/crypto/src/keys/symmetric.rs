//! AES for symmetric keys: Galois/Counter Mode (NIST SP 800-38D), Cipher Block Chaining (SP 800-38A), and Key Wrap
//! (RFC 3394).
//!
//! SECURITY: Cipher Block Chaining authenticates nothing. With `CBCPAD` the caller learns whether a padding was right,
//! because that is what the operation answers: who may decrypt can be used as a padding oracle by whoever makes him
//! decrypt altered ciphertexts. One error for every padding does not take that away; a MAC around the ciphertext does,
//! or GCM in its place.

use aes_kw::{KeyInit, KwAes192};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::algorithm::Mode;
use super::{CiphertextParts, DecryptError, Encrypted, EncryptionAlgorithm, Misuse};
use crate::secret::{Reason, SecretBytes};

const BLOCK_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Half a block, by which wrapping is counted and lengthens.
const SEMIBLOCK_BYTES: usize = 8;

pub(super) fn encrypt(
    algorithm: EncryptionAlgorithm,
    key: &SecretBytes,
    plaintext: &[u8],
    iv: Option<&[u8]>,
    aad: Option<&[u8]>,
) -> Result<Encrypted, Misuse> {
    match algorithm.mode() {
        Mode::Gcm => seal(key, plaintext, aad),
        Mode::Cbc | Mode::CbcPad => chain(algorithm.mode(), key, plaintext, block_iv(iv)?),
        Mode::KeyWrap => wrap(key, plaintext),
        Mode::Rsa15 | Mode::OaepSha1 | Mode::OaepSha256 => Err(Misuse::Algorithm),
    }
}

pub(super) fn decrypt(
    algorithm: EncryptionAlgorithm,
    key: &SecretBytes,
    parts: &CiphertextParts<'_>,
) -> Result<SecretBytes, DecryptError> {
    match algorithm.mode() {
        Mode::Gcm => open(key, parts),
        Mode::Cbc | Mode::CbcPad => unchain(algorithm.mode(), key, parts.value, block_iv(parts.iv)?),
        Mode::KeyWrap => unwrap(key, parts.value),
        Mode::Rsa15 | Mode::OaepSha1 | Mode::OaepSha256 => Err(Misuse::Algorithm.into()),
    }
}

fn seal(key: &SecretBytes, plaintext: &[u8], aad: Option<&[u8]>) -> Result<Encrypted, Misuse> {
    // SECURITY: a nonce that comes twice gives away the authentication key, so it is never the caller's. Random ones of
    // 96 bits are good for 2^32 messages with one key (NIST SP 800-38D §8.3).
    let mut nonce = [0; NONCE_BYTES];
    SystemRandom::new().fill(&mut nonce).map_err(|_| Misuse::Failed)?;
    let mut value = Zeroizing::new(plaintext.to_vec());
    let tag = gcm_key(key)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad.unwrap_or_default()),
            &mut value,
        )
        .map_err(|_| Misuse::Failed)?;
    Ok(Encrypted {
        value: std::mem::take(&mut *value),
        iv: Some(nonce.to_vec()),
        tag: Some(tag.as_ref().to_vec()),
        aad: aad.map(<[u8]>::to_vec),
    })
}

fn open(key: &SecretBytes, parts: &CiphertextParts<'_>) -> Result<SecretBytes, DecryptError> {
    let iv = parts.iv.ok_or(Misuse::IvMissing)?;
    let tag = parts.tag.ok_or(Misuse::TagMissing)?;
    let nonce =
        Nonce::try_assume_unique_for_key(iv).map_err(|_| Misuse::IvLength { expected: NONCE_BYTES })?;
    // SECURITY: a shortened tag is a tag that can be guessed.
    if tag.len() != TAG_BYTES {
        return Err(Misuse::TagLength { expected: TAG_BYTES }.into());
    }
    let mut plaintext = Zeroizing::new(vec![0; parts.value.len()]);
    gcm_key(key)?
        .open_separate_gather(
            nonce,
            Aad::from(parts.aad.unwrap_or_default()),
            parts.value,
            tag,
            &mut plaintext,
        )
        .map_err(|_| DecryptError::Refused)?;
    Ok(SecretBytes::new(std::mem::take(&mut *plaintext)))
}

fn gcm_key(key: &SecretBytes) -> Result<LessSafeKey, Misuse> {
    let algorithm = match key.len() {
        16 => &aead::AES_128_GCM,
        24 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    UnboundKey::new(algorithm, key.expose(Reason::Cipher)).map(LessSafeKey::new).map_err(|_| Misuse::Failed)
}

fn chain(
    mode: Mode,
    key: &SecretBytes,
    plaintext: &[u8],
    iv: [u8; BLOCK_BYTES],
) -> Result<Encrypted, Misuse> {
    if mode == Mode::Cbc && !plaintext.len().is_multiple_of(BLOCK_BYTES) {
        return Err(Misuse::PlaintextLength { min: 0, multiple: BLOCK_BYTES });
    }
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    let mut value = Zeroizing::new(Vec::with_capacity(plaintext.len() + BLOCK_BYTES));
    value.extend_from_slice(plaintext);
    let key = cipher_key(key)?;
    if mode == Mode::Cbc {
        EncryptingKey::cbc(key).and_then(|key| key.less_safe_encrypt(&mut value, context))
    } else {
        PaddedBlockEncryptingKey::cbc_pkcs7(key).and_then(|key| key.less_safe_encrypt(&mut *value, context))
    }
    .map_err(|_| Misuse::Failed)?;
    Ok(Encrypted { value: std::mem::take(&mut *value), iv: Some(iv.to_vec()), tag: None, aad: None })
}

fn unchain(
    mode: Mode,
    key: &SecretBytes,
    ciphertext: &[u8],
    iv: [u8; BLOCK_BYTES],
) -> Result<SecretBytes, DecryptError> {
    let least = if mode == Mode::Cbc { 0 } else { BLOCK_BYTES };
    if !ciphertext.len().is_multiple_of(BLOCK_BYTES) || ciphertext.len() < least {
        return Err(Misuse::CiphertextLength.into());
    }
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let key = cipher_key(key)?;
    let bytes = if mode == Mode::Cbc {
        DecryptingKey::cbc(key).and_then(|key| key.decrypt(&mut plaintext, context).map(|plain| plain.len()))
    } else {
        PaddedBlockDecryptingKey::cbc_pkcs7(key)
            .and_then(|key| key.decrypt(&mut plaintext, context).map(|plain| plain.len()))
    }
    .map_err(|_| DecryptError::Refused)?;
    plaintext.truncate(bytes);
    Ok(SecretBytes::new(std::mem::take(&mut *plaintext)))
}

fn cipher_key(key: &SecretBytes) -> Result<UnboundCipherKey, Misuse> {
    let algorithm = match key.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    UnboundCipherKey::new(algorithm, key.expose(Reason::Cipher)).map_err(|_| Misuse::Failed)
}

fn block_iv(iv: Option<&[u8]>) -> Result<[u8; BLOCK_BYTES], Misuse> {
    iv.ok_or(Misuse::IvMissing)?.try_into().map_err(|_| Misuse::IvLength { expected: BLOCK_BYTES })
}

fn wrap(key: &SecretBytes, plaintext: &[u8]) -> Result<Encrypted, Misuse> {
    if plaintext.len() < 2 * SEMIBLOCK_BYTES || !plaintext.len().is_multiple_of(SEMIBLOCK_BYTES) {
        return Err(Misuse::PlaintextLength { min: 2 * SEMIBLOCK_BYTES, multiple: SEMIBLOCK_BYTES });
    }
    let mut value = vec![0; plaintext.len() + SEMIBLOCK_BYTES];
    let bytes = key.expose(Reason::Cipher);
    let written = match key.len() {
        24 => {
            wrapping_192(bytes)?.wrap_key(plaintext, &mut value).map(<[u8]>::len).map_err(|_| Misuse::Failed)
        }
        _ => wrapping(bytes)?
            .wrap(plaintext, &mut value)
            .map(|written| written.len())
            .map_err(|_| Misuse::Failed),
    }?;
    value.truncate(written);
    Ok(Encrypted { value, iv: None, tag: None, aad: None })
}

fn unwrap(key: &SecretBytes, ciphertext: &[u8]) -> Result<SecretBytes, DecryptError> {
    if ciphertext.len() < 3 * SEMIBLOCK_BYTES || !ciphertext.len().is_multiple_of(SEMIBLOCK_BYTES) {
        return Err(Misuse::CiphertextLength.into());
    }
    let mut plaintext = Zeroizing::new(vec![0; ciphertext.len() - SEMIBLOCK_BYTES]);
    let bytes = key.expose(Reason::Cipher);
    match key.len() {
        24 => wrapping_192(bytes)?
            .unwrap_key(ciphertext, &mut plaintext)
            .map(|_| ())
            .map_err(|_| DecryptError::Refused),
        _ => {
            wrapping(bytes)?.unwrap(ciphertext, &mut plaintext).map(|_| ()).map_err(|_| DecryptError::Refused)
        }
    }?;
    Ok(SecretBytes::new(std::mem::take(&mut *plaintext)))
}

fn wrapping(key: &[u8]) -> Result<AesKek, Misuse> {
    let cipher = if key.len() == 16 { &key_wrap::AES_128 } else { &key_wrap::AES_256 };
    AesKek::new(cipher, key).map_err(|_| Misuse::Failed)
}

/// The one size that aws-lc-rs does not wrap with.
fn wrapping_192(key: &[u8]) -> Result<KwAes192, Misuse> {
    KwAes192::new_from_slice(key).map_err(|_| Misuse::Failed)
}
