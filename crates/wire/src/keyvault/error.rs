//! How a vault says no (common.json, `KeyVaultError`).

use serde::{Deserialize, Serialize};

/// The body of every refusal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// A code for programs and a message for people.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErrorDetail {
    /// Such as `SecretNotFound` or `Forbidden`.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
    /// A second code that tells cases of the first apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub innererror: Option<InnerError>,
}

/// Such as `SecretDisabled`, `ForbiddenByRbac`, `ObjectIsDeletedButRecoverable`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InnerError {
    /// The second code.
    pub code: String,
}

impl ErrorBody {
    /// A refusal, with a second code where there is one.
    pub fn new(code: &str, message: impl Into<String>, inner: Option<&str>) -> Self {
        let innererror = inner.map(|code| InnerError { code: code.to_owned() });
        Self { error: ErrorDetail { code: code.to_owned(), message: message.into(), innererror } }
    }
}
