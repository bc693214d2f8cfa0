//! The server's only way out: what it asks others, of its own accord, because the operator configured it.
//!
//! Everything outbound goes through [`egress`], which speaks HTTPS to addresses that [`network`] allows, follows nothing
//! and bounds everything. Without a configured directory nothing here is made, and the server opens no connection.

pub mod acme;
pub mod egress;
pub mod network;

pub use acme::{Acme, AcmeSettings, CHALLENGES, ChallengeAnswers};
pub use egress::{Egress, EgressError};
pub use network::Network;

/// Why what the operator configured cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// A directory has no usable name or address.
    #[error("the ACME directory `{name}` {problem}")]
    Directory {
        /// What it was called.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file with further roots.
    #[error("`{path}` has no certificates to trust: {problem}")]
    Roots {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// rustls refused the configuration.
    #[error("TLS could not be configured: {0}")]
    Tls(#[from] rustls::Error),
}
