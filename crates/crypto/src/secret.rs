//! Secrets that cannot print.
//!
//! A [`SecretBytes`] or [`SecretString`] has no `Debug`, `Display`, `Clone`, `PartialEq` or `Serialize`, and wipes
//! its memory when it is dropped. The only way out is [`SecretBytes::expose`] with a [`Reason`], so that every
//! exit can be found with one search and read twice.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Why a secret leaves its wrapper; one entry per legitimate kind of exit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The bytes are handed to a cryptographic primitive.
    Cipher,
    /// The bytes are decoded into a record or encoded from one, inside the storage floor.
    Record,
    /// The bytes leave in the answer to a caller who was authorized to have them.
    Answer,
    /// The bytes are written to a file that only its owner can read.
    OwnerOnlyFile,
    /// A test compares what it put in with what came out.
    Test,
}

/// Bytes that wipe themselves and cannot be printed, copied or compared by accident.
///
/// What can be done with them, and beside it what does not compile:
///
/// ```
/// use vouchsafe_crypto::{Reason, SecretBytes};
/// let secret = SecretBytes::new(vec![1, 2, 3]);
/// assert_eq!(secret.expose(Reason::Test), [1, 2, 3]);
/// assert!(secret.matches(&[1, 2, 3]));
/// ```
///
/// ```compile_fail,E0277
/// let secret = vouchsafe_crypto::SecretBytes::new(vec![1, 2, 3]);
/// println!("{secret:?}");
/// ```
///
/// ```compile_fail,E0599
/// let secret = vouchsafe_crypto::SecretBytes::new(vec![1, 2, 3]);
/// let copy = secret.clone();
/// ```
///
/// ```compile_fail,E0369
/// use vouchsafe_crypto::SecretBytes;
/// let leaky = SecretBytes::new(vec![1]) == SecretBytes::new(vec![1]);
/// ```
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of `bytes`; the caller keeps no copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Gives the bytes out for a stated reason.
    pub fn expose(&self, _: Reason) -> &[u8] {
        &self.0
    }

    /// Gives ownership of the bytes to something that wipes them itself.
    pub fn into_exposed(self, _: Reason) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// How many bytes there are, which is not a secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing inside.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in constant time for equal lengths.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.as_slice().ct_eq(other).into()
    }
}

/// Text that wipes itself and cannot be printed, copied or compared by accident.
///
/// ```
/// use vouchsafe_crypto::{Reason, SecretString};
/// let secret = SecretString::new("hunter2".to_owned());
/// assert_eq!(secret.expose(Reason::Test), "hunter2");
/// ```
///
/// ```compile_fail,E0277
/// let secret = vouchsafe_crypto::SecretString::new("hunter2".to_owned());
/// println!("{secret}");
/// ```
///
/// ```compile_fail,E0277
/// let secret = vouchsafe_crypto::SecretString::new("hunter2".to_owned());
/// println!("{secret:?}");
/// ```
///
/// ```compile_fail,E0277
/// let secret = vouchsafe_crypto::SecretString::new("hunter2".to_owned());
/// let leak = serde_json::to_string(&secret);
/// ```
///
/// ```compile_fail,E0599
/// let secret = vouchsafe_crypto::SecretString::new("hunter2".to_owned());
/// let copy = secret.clone();
/// ```
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Takes ownership of `text`; the caller keeps no copy.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Reads UTF-8 out of `bytes`, which are wiped when they are not text.
    pub fn from_utf8(bytes: SecretBytes) -> Option<Self> {
        let mut inner = bytes.0;
        match String::from_utf8(std::mem::take(&mut *inner)) {
            Ok(text) => Some(Self::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        }
    }

    /// Gives the text out for a stated reason.
    pub fn expose(&self, _: Reason) -> &str {
        &self.0
    }

    /// How many bytes the text has, which is not a secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing inside.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Turns the text into bytes without copying.
    pub fn into_bytes(mut self) -> SecretBytes {
        SecretBytes::new(std::mem::take(&mut *self.0).into_bytes())
    }

    /// Compares in constant time for equal lengths.
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl<'de> serde::Deserialize<'de> for SecretString {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
