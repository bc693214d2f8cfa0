//! Role assignments and role definitions (authorization-RoleAssignmentsCalls.json 2022-04-01,
//! authorization-RoleDefinitionsCalls.json 2022-05-01-preview).

use serde::{Deserialize, Serialize};

use super::Resource;

/// A role assignment.
pub type RoleAssignment = Resource<RoleAssignmentProperties>;

/// What is particular to a role assignment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignmentProperties {
    /// Where it holds, and below.
    pub scope: String,
    /// The role, by resource id.
    pub role_definition_id: String,
    /// Who has it.
    pub principal_id: String,
    /// `ServicePrincipal`, `User` or `Group`.
    pub principal_type: String,
    /// Why, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_on: Option<String>,
    /// When it was last changed, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_on: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
}

impl RoleAssignment {
    /// The type in its envelope.
    pub const TYPE: &str = "Microsoft.Authorization/roleAssignments";
}

/// `PUT {scope}/…/roleAssignments/{guid}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RoleAssignmentPut {
    /// The assignment.
    pub properties: RoleAssignmentPutProperties,
}

/// What a caller chooses about a role assignment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignmentPutProperties {
    /// The role, by resource id with or without a scope in front.
    pub role_definition_id: String,
    /// Who shall have it.
    pub principal_id: String,
    /// What the caller believes the principal to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_type: Option<String>,
    /// Why, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// An expression that narrows the grant. It must not be ignored: that would widen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The version of the expression's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition_version: Option<String>,
}

/// A role definition.
pub type RoleDefinition = Resource<RoleDefinitionProperties>;

/// What is particular to a role definition.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleDefinitionProperties {
    /// The name that people and `az` use.
    pub role_name: String,
    /// `BuiltInRole` or `CustomRole`.
    #[serde(rename = "type")]
    pub role_type: String,
    /// What it is for.
    pub description: String,
    /// Where it may be assigned.
    pub assignable_scopes: Vec<String>,
    /// What it allows.
    pub permissions: Vec<Permission>,
}

impl RoleDefinition {
    /// The type in its envelope.
    pub const TYPE: &str = "Microsoft.Authorization/roleDefinitions";
}

/// Patterns of operations; what the `not` lists match is taken off what the others match.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Permission {
    /// Control-plane operations.
    pub actions: Vec<String>,
    /// Control-plane operations taken off.
    pub not_actions: Vec<String>,
    /// Data operations.
    pub data_actions: Vec<String>,
    /// Data operations taken off.
    pub not_data_actions: Vec<String>,
}

/// `PUT {scope}/…/roleDefinitions/{guid}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RoleDefinitionPut {
    /// The definition.
    pub properties: RoleDefinitionPutProperties,
}

/// What a caller chooses about a role definition.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleDefinitionPutProperties {
    /// The name that people and `az` will use.
    pub role_name: String,
    /// `CustomRole`, when it is said.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub role_type: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it may be assigned.
    pub assignable_scopes: Vec<String>,
    /// What it allows.
    pub permissions: Vec<Permission>,
}
