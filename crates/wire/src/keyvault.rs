//! The data plane of Key Vault (REST API 7.4 to 2026-04-01): secrets here, keys and certificates in modules of their
//! own. The shapes are the same for all versions; later ones only add members.

mod answer;
pub mod certificate;
mod error;
pub mod key;
mod octets;
mod query;
mod request;

pub use answer::{
    Attributes, BackupResult, DeletedSecretBundle, DeletedSecretItem, Page, RecoveryLevel, SecretBundle,
    SecretItem,
};
pub use error::{ErrorBody, ErrorDetail, InnerError};
pub use octets::{Octets, SecretOctets};
pub use query::{QUERY_BUDGET, Query};
pub use request::{AttributesRequest, RestoreRequest, SetSecretRequest, UpdateSecretRequest};

/// An identifier as SDKs take it apart: `scheme://host[:port]/collection/name[/version]`.
pub fn identifier(vault_origin: &str, collection: &str, name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{vault_origin}/{collection}/{name}/{version}"),
        None => format!("{vault_origin}/{collection}/{name}"),
    }
}
