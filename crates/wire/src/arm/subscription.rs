//! Tenants, subscriptions, resource groups, providers and the generic list of resources (subscriptions.json 2022-12-01,
//! resources.json 2022-09-01).

use serde::{Deserialize, Serialize};

use super::{Resource, Tags};

/// A tenant that the caller can see.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// `/tenants/` and the id.
    pub id: String,
    /// The id.
    pub tenant_id: String,
    /// The name for people.
    pub display_name: String,
    /// The domain that stands for it.
    pub default_domain: String,
    /// All its domains.
    pub domains: Vec<String>,
    /// `Home` for the caller's own.
    pub tenant_category: String,
}

/// A subscription that the caller can see.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// `/subscriptions/` and the id.
    pub id: String,
    /// The id.
    pub subscription_id: String,
    /// The tenant it belongs to.
    pub tenant_id: String,
    /// The name for people.
    pub display_name: String,
    /// `Enabled`.
    pub state: String,
    /// `RoleBased`.
    pub authorization_source: String,
    /// Tenants that manage it from outside; `az` reads the member, so it is always there.
    pub managed_by_tenants: Vec<ManagedByTenant>,
}

/// A tenant that manages a subscription from outside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedByTenant {
    /// Its id.
    pub tenant_id: String,
}

/// A place for resources.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// `/subscriptions/S/locations/NAME`.
    pub id: String,
    /// The name that requests use.
    pub name: String,
    /// The name for people.
    pub display_name: String,
    /// The name for people, with its part of the world.
    pub regional_display_name: String,
}

/// A resource group.
pub type ResourceGroup = Resource<ResourceGroupProperties>;

/// What is particular to a resource group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceGroupProperties {
    /// `Succeeded` ends every waiting client.
    pub provisioning_state: String,
}

impl ResourceGroup {
    /// The type in its envelope.
    pub const TYPE: &str = "Microsoft.Resources/resourceGroups";
}

/// `PUT …/resourcegroups/{name}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ResourceGroupPut {
    /// Where it shall be.
    pub location: String,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
}

/// Any resource, in the list of all of them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GenericResource {
    /// The whole path.
    pub id: String,
    /// The last name of it.
    pub name: String,
    /// Namespace and type.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Where it is.
    pub location: String,
    /// The caller's own names and values.
    pub tags: Tags,
}

/// A namespace of resource types; the answer to GET and to `register`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// `/subscriptions/S/providers/NAMESPACE`.
    pub id: String,
    /// Such as `Microsoft.KeyVault`.
    pub namespace: String,
    /// `Registered`.
    pub registration_state: String,
    /// `RegistrationFree`.
    pub registration_policy: String,
    /// What there is in it.
    pub resource_types: Vec<ProviderResourceType>,
}

/// One resource type of a namespace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderResourceType {
    /// Such as `vaults`.
    pub resource_type: String,
    /// Where it can be, by display name.
    pub locations: Vec<String>,
    /// The versions it can be asked for with.
    pub api_versions: Vec<String>,
}

impl Provider {
    /// A namespace that needs no registration, which is all of ours.
    pub fn registered(
        subscription_id: &str,
        namespace: &str,
        resource_types: Vec<ProviderResourceType>,
    ) -> Self {
        Self {
            id: format!("/subscriptions/{subscription_id}/providers/{namespace}"),
            namespace: namespace.to_owned(),
            registration_state: "Registered".to_owned(),
            registration_policy: "RegistrationFree".to_owned(),
            resource_types,
        }
    }
}
