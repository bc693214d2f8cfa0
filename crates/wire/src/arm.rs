//! Azure Resource Manager, as far as `az`, the management SDKs and a walking skeleton need it.
//!
//! Every resource has the same envelope, [`Resource`], around its own properties. What clients send is read like every
//! JSON body; members we do not know are ignored, because each API version adds some.

mod authorization;
mod filter;
mod identity;
mod metadata;
mod query;
mod subscription;
mod vault;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use authorization::{
    Permission, RoleAssignment, RoleAssignmentProperties, RoleAssignmentPut, RoleAssignmentPutProperties,
    RoleDefinition, RoleDefinitionProperties, RoleDefinitionPut, RoleDefinitionPutProperties,
};
pub use filter::{BadFilter, Condition, Filter, Property};
pub use identity::{IdentityProperties, IdentityPut, UserAssignedIdentity};
pub use metadata::{Authentication, CloudMetadata, MetadataAnswer, Suffixes};
pub use query::{BadQuery, QUERY_BUDGET, Query};
pub use subscription::{
    GenericResource, Location, ManagedByTenant, Provider, ProviderResourceType, ResourceGroup,
    ResourceGroupProperties, ResourceGroupPut, Subscription, Tenant,
};
pub use vault::{
    AccessPolicy, DeletedVault, DeletedVaultProperties, IpRule, NameAvailability, NameQuestion, NetworkAcls,
    Permissions, Sku, Vault, VaultProperties, VaultPut, VaultPutProperties, VirtualNetworkRule,
};

/// The caller's own names and values on a resource.
pub type Tags = BTreeMap<String, String>;

/// The envelope of every resource.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Resource<P> {
    /// The whole path, with the names as they were first written.
    pub id: String,
    /// The last name of it.
    pub name: String,
    /// Namespace and type, such as `Microsoft.KeyVault/vaults`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Where it is, for the types that are somewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The caller's own names and values, for the types that have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// What is particular to the type.
    pub properties: P,
}

/// A list, or one page of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// What is on it.
    pub value: Vec<T>,
    /// Where the next page is, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_link: Option<String>,
}

impl<T> List<T> {
    /// A list that fits on one page; also the answer about managed HSMs, of which there are none.
    pub fn whole(value: Vec<T>) -> Self {
        Self { value, next_link: None }
    }
}

/// The body of every refusal (common-types `ErrorResponse`).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// A code for programs and a message for people.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErrorDetail {
    /// Such as `ResourceNotFound` or `AuthorizationFailed`.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
    /// The member or parameter at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl ErrorBody {
    /// A refusal, with the member at fault where there is one.
    pub fn new(code: &str, message: impl Into<String>, target: Option<&str>) -> Self {
        let target = target.map(str::to_owned);
        Self { error: ErrorDetail { code: code.to_owned(), message: message.into(), target } }
    }
}
