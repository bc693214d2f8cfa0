//! Signed tokens (RFC 7515, 7517, 7518, 7519, 7638), in the few forms that are spoken here.
//!
//! There are three profiles. [`verify`] is the strict one, for tokens of our own making: what we would not have written
//! is refused. [`azure_assertion`] is the tolerant one, for what Azure's client libraries really send, and
//! [`attestation`] is for what attestation services say of an environment; the tolerances of each are named there and
//! there are no others. All take bytes and give back claims that were verified: no
//! decoder of unverified tokens leaves this module, and the algorithm always follows from the key, never from the
//! token alone. Three algorithms exist, all with a public key; a shared secret has no way in.

mod algorithm;
pub mod attestation;
pub mod azure_assertion;
pub mod base64url;
mod compact;
pub mod json;
mod jwk;
mod jwks;
mod key;
mod token;

pub use algorithm::{Algorithm, KeyKind};
pub use jwk::{Jwk, KeyRefused, PublicKey, SignatureRefused};
pub use jwks::{JwkSet, JwkSetRefused};
pub use key::{SignError, SigningKey, sign_jwt};
pub use token::{Expected, Refused, VerifiedToken, verify};

/// The longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// How deep the JSON inside a token may nest.
pub const TOKEN_DEPTH_MAX: usize = 8;
