//! What holds private keys: the adapters of [`vouchsafe_domain::ports::Hsm`].
//!
//! [`SoftwareKeys`] computes in this process with keys that the store seals. [`Pkcs11Hsm`] asks a token through its
//! PKCS#11 module (version 2.40 and later), and its keys never leave the token in the clear. Both pass one suite, and
//! neither ever stands in for the other: a token that does not answer makes its own keys unavailable, and nothing else.

pub mod breaker;
pub mod limits;
pub mod pkcs11;
pub mod pool;
mod recent;
pub mod software;
mod words;
mod wrapped;

pub use pkcs11::{Pkcs11Hsm, TokenSettings};
pub use pool::KeyPool;
pub use software::SoftwareKeys;
