//! What the store needs of a token: an AES key inside it that wraps and unwraps a few bytes. Who speaks to the token is
//! the business of whoever puts the program together.

use vouchsafe_crypto::SecretBytes;

/// A key that never leaves a token. Calls may block: they happen while a deployment is opened or a ceremony is held.
pub trait RootWrapper: Send + Sync {
    /// Which key of which token, for people: a label and an id, never a PIN.
    fn describe(&self) -> String;

    /// Wraps `key`, bound to `context`. What comes back is opaque and opens with the same key and context only.
    fn wrap(&self, key: &SecretBytes, context: &[u8]) -> Result<Vec<u8>, WrapError>;

    /// Unwraps what [`RootWrapper::wrap`] made.
    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<SecretBytes, WrapError>;
}

/// Why a token did not wrap or unwrap.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WrapError {
    /// It was not wrapped by this key for this context.
    #[error("what is stored was not wrapped by this token's key")]
    NotOurs,
    /// The token, the key in it or its PIN is not there.
    #[error("{0}")]
    Unavailable(String),
}
