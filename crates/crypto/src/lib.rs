//! Bytes that must be exactly right.
//!
//! This crate composes primitives of `aws-lc-rs` and implements none. It knows nothing of tenants, vaults, HTTP or
//! disks, and has no clock: whoever verifies a time brings it.

pub mod digest;
pub mod envelope;
pub mod jose;
pub mod keys;
pub mod merkle;
pub mod pki;
pub mod secret;
pub mod x509;

pub use secret::{Reason, SecretBytes, SecretString};
