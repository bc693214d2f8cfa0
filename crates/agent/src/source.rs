//! Where tokens come from: the platform, reached over its admin Unix socket.
//!
//! The trait is the agent's only door to the platform, so that a test can put a faulty one in its place.

use async_trait::async_trait;
use thiserror::Error;
use vouchsafe_crypto::SecretString;
use vouchsafe_wire::node::{ErrorCode, TokenRequest};

/// A token as the agent holds it.
pub struct Token {
    /// The bearer token.
    pub secret: SecretString,
    /// When it expires, in seconds since 1970.
    pub expires_on: u64,
    /// When it becomes valid, in seconds since 1970.
    pub not_before: u64,
    /// `Bearer`.
    pub token_type: String,
    /// The client id of the identity that was used.
    pub client_id: String,
}

/// Why there is no token.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SourceError {
    /// The platform answered, and the answer is no.
    #[error("{message}")]
    Refused {
        /// The platform's word for it.
        code: ErrorCode,
        /// The platform's sentence for it; may be shown to the caller.
        message: String,
    },
    /// The platform did not answer; asking later may help.
    #[error("{0}")]
    Unreachable(String),
}

/// Issues a token for an attested process, or says why not.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// Asks once; deadlines are the implementation's duty.
    async fn token(&self, request: &TokenRequest) -> Result<Token, SourceError>;
}
