//! PKCS#12 files (RFC 7292), also called PFX: read in the encodings that are about, written in one.
//!
//! Written are PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC, and a MAC over SHA-256, which OpenSSL, Java, Go, Windows
//! since 2019 and Python's `cryptography` open. Key Vault gives such files out with an empty password; what protects
//! them is then the channel only. Read are also the old ones: 3DES and RC2 with SHA-1.
//!
//! The container is our own code over `der`, because the work that a file may ask for has to be counted over all its
//! parts before it is done: `p12-keystore` bounds each key derivation, not their number. Ciphers, PBKDF2 and the MAC are
//! `aws-lc-rs`; the key derivation of RFC 7292 appendix B and the old ciphers are RustCrypto's.
//!
//! Not read: files in BER with indefinite lengths, RC4, nested bags, public-key privacy, and passwords beyond UTF-16.

mod format;
mod read;
mod scheme;
mod write;

pub use read::read_pfx;
pub use write::{write_certificates_pfx, write_pfx};

/// The largest file that is read.
pub const PFX_BYTES_MAX: usize = 256 * 1024;
/// Bags and safes in one file.
pub const PFX_PARTS_MAX: usize = 64;
/// The longest password in bytes.
pub const PFX_PASSWORD_BYTES_MAX: usize = 1024;
/// Iterations of key derivation that all parts of a file may ask for together, which is a second or two.
pub const PFX_ITERATIONS_MAX: u64 = 4_000_000;
