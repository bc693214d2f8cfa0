//! Keys under keys (RFC 5649), with what can go wrong in the words of the port.

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::transport;
use vouchsafe_domain::ports::hsm::HsmError;

use crate::words::misuse;

/// A fresh wrapping key.
pub fn new_wrapping_key() -> Result<SecretBytes, HsmError> {
    transport::new_wrapping_key().map_err(misuse)
}

/// Wraps `plaintext`.
pub fn wrap(key: &SecretBytes, plaintext: &SecretBytes) -> Result<Vec<u8>, HsmError> {
    transport::wrap_key(key, plaintext).map_err(misuse)
}

/// Unwraps what came from outside.
pub fn unwrap(key: &SecretBytes, wrapped: &[u8]) -> Result<SecretBytes, HsmError> {
    let unwrapped = transport::unwrap_key(key, wrapped);
    unwrapped.map_err(|_| HsmError::Refused("the wrapped key could not be unwrapped"))
}
