//! The data plane of Key Vault, secrets (REST API 7.4 to 2026-04-01; the shapes are the same for all of them).

mod answer;
mod error;
mod query;
mod request;

pub use answer::{
    BackupSecretResult, DeletedSecretBundle, DeletedSecretItem, Page, RecoveryLevel, SecretAttributes,
    SecretBundle, SecretItem,
};
pub use error::{ErrorBody, ErrorDetail, InnerError};
pub use query::{QUERY_BUDGET, Query};
pub use request::{RestoreRequest, SecretAttributesRequest, SetSecretRequest, UpdateSecretRequest};

/// An identifier as SDKs take it apart: `scheme://host[:port]/collection/name[/version]`.
pub fn identifier(vault_origin: &str, collection: &str, name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{vault_origin}/{collection}/{name}/{version}"),
        None => format!("{vault_origin}/{collection}/{name}"),
    }
}
