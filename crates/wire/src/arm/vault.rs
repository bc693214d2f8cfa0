//! Vaults and deleted vaults (keyvault.json; the shapes are the same from 2023-02-01 to 2026-05-15).
//!
//! `az` re-PUTs what it read for every change, so whatever a PUT may carry an answer must give back: access policies
//! and network rules round-trip even where they are not acted upon.

use serde::{Deserialize, Serialize};

use super::{Resource, Tags};

/// A vault.
pub type Vault = Resource<VaultProperties>;

/// What is particular to a vault.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultProperties {
    /// The tenant whose tokens it accepts.
    pub tenant_id: String,
    /// What it is.
    pub sku: Sku,
    /// Where its data is reached, with a trailing slash.
    pub vault_uri: String,
    /// The older way to grant; empty when roles decide.
    pub access_policies: Vec<AccessPolicy>,
    /// Whether roles decide.
    pub enable_rbac_authorization: bool,
    /// Whether deleted things can be recovered; always true.
    pub enable_soft_delete: bool,
    /// For how many days.
    pub soft_delete_retention_in_days: u32,
    /// Whether nobody can purge; real vaults leave the member out while it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_purge_protection: Option<bool>,
    /// Whether virtual machines may read certificates from it.
    pub enabled_for_deployment: bool,
    /// Whether disk encryption may use it.
    pub enabled_for_disk_encryption: bool,
    /// Whether templates may read from it.
    pub enabled_for_template_deployment: bool,
    /// Who may reach it by network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_acls: Option<NetworkAcls>,
    /// `Enabled` or `Disabled`.
    pub public_network_access: String,
    /// `Succeeded` ends every waiting client.
    pub provisioning_state: String,
}

impl Vault {
    /// The type in its envelope.
    pub const TYPE: &str = "Microsoft.KeyVault/vaults";
}

/// Family and name of what is sold.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sku {
    /// `A`.
    pub family: String,
    /// `standard` or `premium`.
    pub name: String,
}

/// A grant of the older kind.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicy {
    /// The tenant of the principal.
    pub tenant_id: String,
    /// The principal.
    pub object_id: String,
    /// The application through which alone the principal may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<String>,
    /// What it may do.
    pub permissions: Permissions,
}

/// Names of operations, per kind of object.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Permissions {
    /// On keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
    /// On secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
    /// On certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Vec<String>>,
    /// On storage accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Vec<String>>,
}

/// Who may reach a vault by network.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkAcls {
    /// `AzureServices` or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass: Option<String>,
    /// `Allow` or `Deny`, for who is not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_action: Option<String>,
    /// Address ranges that may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_rules: Option<Vec<IpRule>>,
    /// Subnets that may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_network_rules: Option<Vec<VirtualNetworkRule>>,
}

/// An address range.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IpRule {
    /// An address, or one with a prefix length.
    pub value: String,
}

/// A subnet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualNetworkRule {
    /// Its resource id.
    pub id: String,
    /// Whether to accept one without a service endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_missing_vnet_service_endpoint: Option<bool>,
}

/// `PUT …/vaults/{name}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VaultPut {
    /// Where it shall be.
    pub location: String,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// The rest.
    pub properties: VaultPutProperties,
}

/// What a caller may choose about a vault; absent is left to the service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultPutProperties {
    /// The tenant whose tokens it shall accept.
    pub tenant_id: String,
    /// What it shall be.
    pub sku: Sku,
    /// Grants of the older kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_policies: Option<Vec<AccessPolicy>>,
    /// Whether roles decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_rbac_authorization: Option<bool>,
    /// Whether deleted things can be recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_soft_delete: Option<bool>,
    /// For how many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_delete_retention_in_days: Option<u32>,
    /// Whether nobody can purge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_purge_protection: Option<bool>,
    /// Whether virtual machines may read certificates from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_for_deployment: Option<bool>,
    /// Whether disk encryption may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_for_disk_encryption: Option<bool>,
    /// Whether templates may read from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_for_template_deployment: Option<bool>,
    /// Who may reach it by network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_acls: Option<NetworkAcls>,
    /// `Enabled` or `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_network_access: Option<String>,
    /// `recover` brings a deleted vault back; `default` or absent makes or changes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_mode: Option<String>,
}

/// A vault that can still be recovered.
pub type DeletedVault = Resource<DeletedVaultProperties>;

/// What is particular to a deleted vault.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedVaultProperties {
    /// The resource id it had.
    pub vault_id: String,
    /// Where it was.
    pub location: String,
    /// When it was deleted, RFC 3339.
    pub deletion_date: String,
    /// When it will be purged, RFC 3339.
    pub scheduled_purge_date: String,
    /// The tags it had.
    pub tags: Tags,
    /// Whether nobody can purge it; left out while it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_protection_enabled: Option<bool>,
}

impl DeletedVault {
    /// The type in its envelope.
    pub const TYPE: &str = "Microsoft.KeyVault/deletedVaults";
}

/// `POST …/checkNameAvailability`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NameQuestion {
    /// The name that a vault shall have.
    pub name: String,
    /// `Microsoft.KeyVault/vaults`.
    #[serde(rename = "type")]
    pub resource_type: String,
}

/// Whether a vault may have the name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NameAvailability {
    /// Whether it may.
    pub name_available: bool,
    /// `AlreadyExists` or `AccountNameInvalid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
