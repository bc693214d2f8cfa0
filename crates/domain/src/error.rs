//! What can go wrong in every room, and whose fault it is.
//!
//! Each room has its own error enum for what the *caller* did; all of them carry a [`Fault`] for what *we* or our
//! dependencies did. What the caller is told and what the log says are different things: a fault's text goes to the
//! log only.

use crate::ports::log::LogUnavailable;
use crate::ports::store::StoreError;

/// A failure that is not the caller's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// A dependency does not answer; trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// A dependency does not answer, and it is known when trying again is sensible.
    #[error("{why}")]
    UnavailableFor {
        /// What does not answer.
        why: String,
        /// When to try again.
        retry_after_seconds: u32,
    },
    /// Other writers were faster too often; trying again soon will help.
    #[error("too many concurrent changes to the same object")]
    Contended,
    /// Stored bytes or our own assumptions are wrong; trying again will not help.
    #[error("{0}")]
    Broken(String),
}

impl Fault {
    /// Whether a dependency did not answer, so that nobody knows what it did.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::UnavailableFor { .. })
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
            StoreError::Integrity(_) => Self::Broken(error.to_string()),
        }
    }
}

impl From<LogUnavailable> for Fault {
    fn from(error: LogUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}
