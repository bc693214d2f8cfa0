//! For whom a token is meant.
//!
//! One service is known under several names: ours, and Azure's public ones when the proxy brings clients that were not
//! configured at all (wire facts §12). Names are compared without a trailing slash; the token carries the name exactly
//! as it was asked for, because some clients compare it as text.

use crate::ids::ClientId;
use crate::world::TenantSnapshot;

/// Who reads the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// The vaults' data plane.
    KeyVault,
    /// The resource manager.
    ResourceManager,
    /// Microsoft Graph.
    Graph,
    /// An application of the tenant.
    Application(ClientId),
}

/// The names of our own services in this deployment.
#[derive(Clone, Debug, Default)]
pub struct ServiceNames {
    /// Names of the vault service, without trailing slash.
    pub key_vault: Vec<String>,
    /// Names of the resource manager.
    pub resource_manager: Vec<String>,
    /// Names of Graph.
    pub graph: Vec<String>,
}

/// An audience that exists in the tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Audience {
    /// Who reads the token.
    pub service: Service,
    /// The text of the `aud` claim.
    pub name: String,
}

fn without_slash(name: &str) -> &str {
    name.strip_suffix('/').unwrap_or(name)
}

impl ServiceNames {
    /// Which of our own services goes by this name.
    pub fn service(&self, name: &str) -> Option<Service> {
        let name = without_slash(name);
        let has = |names: &[String]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if has(&self.key_vault) {
            Some(Service::KeyVault)
        } else if has(&self.resource_manager) {
            Some(Service::ResourceManager)
        } else if has(&self.graph) {
            Some(Service::Graph)
        } else {
            None
        }
    }

    /// Finds the audience that `resource` names, among our services and the tenant's applications.
    pub fn resolve(&self, tenant: &TenantSnapshot, resource: &str) -> Option<Audience> {
        let name = resource.to_owned();
        if let Some(service) = self.service(resource) {
            return Some(Audience { service, name });
        }
        let wanted = without_slash(resource);
        let application = tenant.applications().find(|application| {
            application.identifier_uris.iter().any(|uri| without_slash(uri) == wanted)
                || application.client.to_string().eq_ignore_ascii_case(wanted)
                || wanted
                    .strip_prefix("api://")
                    .is_some_and(|id| application.client.to_string().eq_ignore_ascii_case(id))
        })?;
        Some(Audience { service: Service::Application(application.client), name })
    }
}

/// The resource that a v2.0 `scope` parameter asks for: exactly one `…/.default`.
pub fn resource_of_scope(scope: &str) -> Result<&str, BadScope> {
    let mut resources = scope
        .split(' ')
        .filter(|part| !part.is_empty() && !matches!(*part, "openid" | "profile" | "offline_access"));
    let (Some(only), None) = (resources.next(), resources.next()) else { return Err(BadScope) };
    match only.strip_suffix("/.default") {
        Some(resource) if !resource.is_empty() => Ok(resource),
        _ => Err(BadScope),
    }
}

/// A scope that does not name one resource with `/.default`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadScope;
