//! Keys under keys: AES key wrap with padding (RFC 5649), of aws-lc-rs.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::hsm::HsmError;
use zeroize::Zeroizing;

/// Bytes of the wrapping keys used here.
pub const WRAPPING_KEY_BYTES: usize = 32;

/// A fresh wrapping key.
pub fn new_wrapping_key() -> Result<SecretBytes, HsmError> {
    let mut key = Zeroizing::new(vec![0; WRAPPING_KEY_BYTES]);
    aws_lc_rs::rand::fill(&mut key).map_err(|_| HsmError::Broken("no randomness".into()))?;
    Ok(SecretBytes::new(std::mem::take(&mut *key)))
}

/// Wraps `plaintext`.
pub fn wrap(key: &SecretBytes, plaintext: &SecretBytes) -> Result<Vec<u8>, HsmError> {
    let broken = |_| HsmError::Broken("AES key wrap failed".into());
    let key = AesKek::new(&AES_256, key.expose(Reason::Cipher)).map_err(broken)?;
    let mut wrapped = vec![0; plaintext.len().next_multiple_of(8) + 8];
    let length = key.wrap_with_padding(plaintext.expose(Reason::Cipher), &mut wrapped).map_err(broken)?.len();
    wrapped.truncate(length);
    Ok(wrapped)
}

/// Unwraps what came from outside.
pub fn unwrap(key: &SecretBytes, wrapped: &[u8]) -> Result<SecretBytes, HsmError> {
    let refused = |_| HsmError::Refused("the wrapped key could not be unwrapped");
    let key = AesKek::new(&AES_256, key.expose(Reason::Cipher)).map_err(refused)?;
    let mut plaintext = Zeroizing::new(vec![0; wrapped.len()]);
    let length = key.unwrap_with_padding(wrapped, &mut plaintext).map_err(refused)?.len();
    plaintext.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *plaintext)))
}
