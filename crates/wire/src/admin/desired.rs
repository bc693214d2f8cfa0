//! The desired state: what shall exist, by name, as people write it.
//!
//! Everything has a default that makes the smallest document short. What is wrong in itself - an unknown member, a
//! binding that would match every process, an assignment to nobody - is refused while reading, so that the error can
//! point at the line; whether names exist and are well formed is for the server to say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The resource group of what names none.
pub const DEFAULT_GROUP: &str = "default";

/// What shall exist. Applying it creates and updates; it deletes nothing that it does not mention.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DesiredState {
    /// The tenants; without any, everything belongs to the deployment's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<Tenant>,
    /// The resource groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The vaults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vaults: Vec<Vault>,
    /// The user-assigned identities, with the workloads that have them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Identity>,
    /// The applications, each with its service principal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<Application>,
    /// Attestation services that may vouch for environments to which keys are released.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attestation_issuers: Vec<AttestationIssuer>,
    /// Groups of principals, which roles can be assigned to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub principal_groups: Vec<PrincipalGroup>,
    /// Roles beside the built-in ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom_roles: Vec<CustomRole>,
    /// Who may do what where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub role_assignments: Vec<RoleAssignment>,
}

/// A tenant.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The name for people, and for the `tenant` members in this document.
    pub name: String,
    /// The id; chosen by the server when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Domains that stand for it; the first is the default one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Its subscription; chosen by the server when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
}

/// A tenant's subscription.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Subscription {
    /// The id; chosen by the server when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name for people; the tenant's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A resource group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Names and values of the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The tenant it belongs to, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A vault.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// Its name, unique in the deployment.
    pub name: String,
    /// The group it is in.
    #[serde(default = "default_group")]
    pub resource_group: String,
    /// Whether nobody can purge what is deleted; cannot be taken back.
    #[serde(default)]
    pub purge_protection: bool,
    /// For how many days deleted things can be recovered.
    #[serde(default = "retention_days")]
    pub retention_days: u32,
    /// Whether its keys may live in the server's token; as it is, or standard, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Names and values of the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The tenant it belongs to, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// What a vault offers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sku {
    /// Keys are sealed in the store.
    Standard,
    /// Keys may also live in the server's token.
    Premium,
}

/// A user-assigned identity.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// The group it is in.
    #[serde(default = "default_group")]
    pub resource_group: String,
    /// The workloads that have it; `vouchsafe run` binds one for as long as it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Binding>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Names and values of the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The tenant it belongs to, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// What a process must be to have an identity: everything that is said here, and at least one thing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Selectors", into = "Selectors")]
pub struct Binding {
    /// Its user.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
    /// Its executable.
    pub path: Option<String>,
    /// The SHA-256 of its executable, in hexadecimal.
    pub sha256: Option<String>,
    /// Its systemd unit.
    pub unit: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Selectors {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

impl TryFrom<Selectors> for Binding {
    type Error = &'static str;

    // SECURITY: a binding without a selector would give the identity to every process.
    fn try_from(Selectors { uid, gid, path, sha256, unit }: Selectors) -> Result<Self, &'static str> {
        if uid.is_none() && gid.is_none() && path.is_none() && sha256.is_none() && unit.is_none() {
            return Err("must say at least one of `uid`, `gid`, `path`, `sha256`, `unit`");
        }
        Ok(Self { uid, gid, path, sha256, unit })
    }
}

impl From<Binding> for Selectors {
    fn from(Binding { uid, gid, path, sha256, unit }: Binding) -> Self {
        Self { uid, gid, path, sha256, unit }
    }
}

/// An application and its service principal. Client secrets are not part of any document: ask for one instead.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The name for people, and for the `application` members in this document.
    pub name: String,
    /// The client id; chosen by the server when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Certificates it may sign assertions with, each in PEM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// The tenant it belongs to, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// An attestation service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationIssuer {
    /// What its tokens say in `iss`, exactly.
    pub issuer: String,
    /// The keys that it signs with: a JWK set (RFC 7517 §5). An empty one takes the trust away.
    pub keys: serde_json::Value,
    /// The tenant it belongs to, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A role of the operator's own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CustomRole {
    /// Its name, as assignments say it.
    pub name: String,
    /// Its id; chosen by the server when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Patterns of control-plane operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// Those taken off again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_actions: Vec<String>,
    /// Patterns of data operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_actions: Vec<String>,
    /// Those taken off again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_data_actions: Vec<String>,
    /// The tenant it belongs to, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// Who may do what where.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "RawRoleAssignment", into = "RawRoleAssignment")]
pub struct RoleAssignment {
    /// Who.
    pub principal: Principal,
    /// What: a built-in or custom role, by name or id.
    pub role: String,
    /// Where.
    pub scope: Scope,
    /// The tenant it belongs to, by name or id.
    pub tenant: Option<String>,
}

/// A group of principals; its members are exactly these.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalGroup {
    /// What people call it; it finds the group again.
    pub name: String,
    /// Who is in it. Groups do not nest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// The tenant it belongs to, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// One member of a group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Member {
    /// An identity, by name.
    Identity(String),
    /// An application, by name.
    Application(String),
    /// Anyone, by object id.
    PrincipalId(String),
}

/// Who a role is assigned to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Principal {
    /// A group of principals, by name.
    Group(String),
    /// An identity, by name.
    Identity(String),
    /// An application, by name.
    Application(String),
    /// Anyone, by object id.
    Id(String),
}

/// Where a role holds; always said, because a default would grant more than somebody meant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Scope {
    /// Everywhere in the tenant's subscription.
    Subscription,
    /// In one resource group.
    ResourceGroup(String),
    /// In one vault.
    Vault(String),
    /// On one secret.
    Secret {
        /// The vault it is in.
        vault: String,
        /// Its name.
        name: String,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawRoleAssignment {
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<String>,
    role: String,
    scope: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

impl TryFrom<RawRoleAssignment> for RoleAssignment {
    type Error = &'static str;

    fn try_from(raw: RawRoleAssignment) -> Result<Self, &'static str> {
        let principal = match (raw.identity, raw.application, raw.group, raw.principal_id) {
            (Some(name), None, None, None) => Principal::Identity(name),
            (None, Some(name), None, None) => Principal::Application(name),
            (None, None, Some(name), None) => Principal::Group(name),
            (None, None, None, Some(id)) => Principal::Id(id),
            _ => return Err("must say exactly one of `identity`, `application`, `group`, `principal_id`"),
        };
        Ok(Self { principal, role: raw.role, scope: raw.scope, tenant: raw.tenant })
    }
}

impl From<RoleAssignment> for RawRoleAssignment {
    fn from(RoleAssignment { principal, role, scope, tenant }: RoleAssignment) -> Self {
        let (identity, application, group, principal_id) = match principal {
            Principal::Identity(name) => (Some(name), None, None, None),
            Principal::Application(name) => (None, Some(name), None, None),
            Principal::Group(name) => (None, None, Some(name), None),
            Principal::Id(id) => (None, None, None, Some(id)),
        };
        Self { identity, application, group, principal_id, role, scope, tenant }
    }
}

/// What `vouchsafe apply` sends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// Whether only to say what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// What shall exist.
    pub state: DesiredState,
}

fn default_group() -> String {
    DEFAULT_GROUP.to_owned()
}

fn retention_days() -> u32 {
    90
}
