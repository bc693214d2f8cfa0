//! User-assigned identities (ManagedIdentity.json 2023-01-31; unchanged in the versions that clients ask for).

use serde::{Deserialize, Serialize};

use super::{Resource, Tags};

/// A user-assigned identity.
pub type UserAssignedIdentity = Resource<IdentityProperties>;

/// What is particular to an identity.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProperties {
    /// The tenant that issues its tokens.
    pub tenant_id: String,
    /// What role assignments refer to.
    pub principal_id: String,
    /// What programs name it by.
    pub client_id: String,
}

impl UserAssignedIdentity {
    /// The type in its envelope.
    pub const TYPE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";
}

/// `PUT` and `PATCH …/userAssignedIdentities/{name}`; the location may be left out of a PATCH.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IdentityPut {
    /// Where it shall be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
}
