//! Keys that are used on behalf of others: what a key vault does with key material once it is out of the store.
//!
//! RSA, elliptic curves and symmetric keys; made here or imported (RFC 7517, RFC 5208, RFC 5915, RFC 8017), and every
//! algorithm of RFC 7518 that Azure Key Vault names, on digests that the caller computed. There is no store, no policy
//! and no clock here: whether a key *may* be used is decided elsewhere, whether it *can* be is decided here.
//!
//! Errors come in two kinds. [`Misuse`] says what the caller did wrong and depends on public facts only: lengths, names,
//! missing parts. [`DecryptError::Refused`] is everything that depends on secret bytes, and is one value.

mod algorithm;
mod error;
mod import;
mod private;
mod public;
mod rsa;
mod spec;
mod symmetric;
pub mod transport;
mod weakness;

pub use algorithm::{EncryptionAlgorithm, SignatureAlgorithm};
pub use error::{DecryptError, ImportRefused, Malformed, Misuse};
pub use import::ImportedKey;
pub use private::PrivateKey;
pub use public::PublicKey;
pub use spec::{KeyFamily, KeySpec};
pub use transport::{TransportAlgorithm, wrap_for};

/// How many bytes tell a key from another.
pub const CHECK_VALUE_BYTES: usize = 8;

/// What encrypting or wrapping gave: the ciphertext, and what decrypting it needs beside the key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Encrypted {
    /// The ciphertext.
    pub value: Vec<u8>,
    /// The initialization vector, where the algorithm has one.
    pub iv: Option<Vec<u8>>,
    /// The authentication tag, where the algorithm has one.
    pub tag: Option<Vec<u8>>,
    /// The additional data that was authenticated.
    pub aad: Option<Vec<u8>>,
}

impl Encrypted {
    /// Borrows the parts for decrypting them.
    pub fn parts(&self) -> CiphertextParts<'_> {
        CiphertextParts {
            value: &self.value,
            iv: self.iv.as_deref(),
            tag: self.tag.as_deref(),
            aad: self.aad.as_deref(),
        }
    }
}

/// What is to be decrypted or unwrapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CiphertextParts<'a> {
    /// The ciphertext.
    pub value: &'a [u8],
    /// The initialization vector, where the algorithm has one.
    pub iv: Option<&'a [u8]>,
    /// The authentication tag, where the algorithm has one.
    pub tag: Option<&'a [u8]>,
    /// The additional data that was authenticated.
    pub aad: Option<&'a [u8]>,
}

impl<'a> CiphertextParts<'a> {
    /// A ciphertext of an algorithm that needs nothing else.
    pub fn of(value: &'a [u8]) -> Self {
        Self { value, iv: None, tag: None, aad: None }
    }
}
