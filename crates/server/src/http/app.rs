//! The state that handlers share, and who the caller is.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::token::{BearerRefused, Service};
use vouchsafe_domain::world::TenantSnapshot;
use vouchsafe_domain::{Context, Platform};
use vouchsafe_wire::admin::Endpoints;
use vouchsafe_wire::challenge;

use super::plane::{Address, Names};
use super::problem::{Class, Problem};
use super::reply::Reply;
use super::route::{Guard, Plane};
use super::{Head, Readiness, Request};
use crate::rekeying::Rekeying;
use crate::telemetry::Telemetry;

/// What handlers need.
pub struct App {
    /// What decides.
    pub platform: Arc<Platform>,
    /// What the audit log says of itself.
    pub log: Arc<dyn LogFacts>,
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
    /// Whether balancers should send work.
    pub readiness: Arc<Readiness>,
    /// Where everything is.
    pub endpoints: Endpoints,
    /// The names that are ours.
    pub names: Names,
    /// When the process started, for people.
    pub started_at: String,
    /// New keys for tenants and vaults; absent where the store has none.
    pub rekeying: Option<Arc<Rekeying>>,
}

/// What an operator is told about the audit log.
pub trait LogFacts: Send + Sync {
    /// Entries under the newest signed checkpoint.
    fn checkpoint_size(&self) -> u64;
    /// The public key that verifies checkpoints.
    fn verifier(&self) -> String;
}

/// The caller of a guarded route, and the tenant it acts in.
#[derive(Clone)]
pub struct Admitted {
    /// Who.
    pub caller: Caller,
    /// In which tenant.
    pub tenant: Arc<TenantSnapshot>,
}

impl App {
    /// The request as the audit log sees it.
    pub fn context(&self, head: &Head) -> Context {
        let from = match (&head.connection.peer, &head.connection.remote) {
            (Some(peer), _) => Some(format!("uid {} pid {}", peer.uid, peer.pid.unwrap_or_default())),
            (None, Some(remote)) => Some(remote.ip().to_string()),
            (None, None) => None,
        };
        self.platform.context(head.id, from)
    }

    /// The tenant that a guarded request is about, as far as its address says.
    fn tenant_of(&self, address: &Address) -> Result<Option<Arc<TenantSnapshot>>, Problem> {
        match &address.vault {
            None => Ok(None),
            Some(vault) => match self.platform.world().vault(&vault.name) {
                Some((tenant, _)) => Ok(Some(tenant)),
                None => Err(Problem::new(
                    Class::Absent,
                    "VaultNotFound",
                    format!("there is no vault named `{}`; check the name in the vault's URL", vault.name),
                )),
            },
        }
    }

    /// Key Vault's challenge comes before anything else is looked at: the clients' first request is empty.
    fn challenge(&self, head: &Head) -> Option<Problem> {
        if head.address.plane != Plane::KeyVault || head.connection.peer.is_some() || bearer(head).is_some() {
            return None;
        }
        match self.tenant_of(&head.address) {
            Err(problem) => Some(problem),
            Ok(tenant) => Some(self.unauthorized(
                head,
                tenant.as_deref(),
                "AKV10000: Request is missing a Bearer or PoP token.",
                None,
            )),
        }
    }

    fn unauthorized(
        &self,
        head: &Head,
        tenant: Option<&TenantSnapshot>,
        message: &str,
        error: Option<(&str, &str)>,
    ) -> Problem {
        let home = self.platform.world().default_tenant();
        let tenant = tenant.or(home.as_deref()).map(|tenant| tenant.tenant().id.to_string());
        let authority = format!("{}/{}", head.address.login, tenant.unwrap_or_default());
        let text = match &head.address.vault {
            Some(vault) => challenge::key_vault(&authority, &vault.resource),
            None => challenge::resource_manager(&authority, error),
        };
        Problem::usual(head.address.plane.dialect(), Class::Unauthenticated, message).with_challenge(&text)
    }

    fn admit(&self, head: &Head) -> Result<Admitted, Problem> {
        let tenant = self.tenant_of(&head.address)?;
        if head.connection.peer.is_some() {
            return self.admit_local(head, tenant);
        }
        let service = match head.address.plane {
            Plane::KeyVault => Service::KeyVault,
            Plane::Graph => Service::Graph,
            _ => Service::ResourceManager,
        };
        let Some(token) = bearer(head) else {
            let message = "the request has no bearer token; ask the authority in the challenge for one";
            return Err(self.unauthorized(
                head,
                tenant.as_deref(),
                message,
                Some(("invalid_token", message)),
            ));
        };
        match self.platform.verify_bearer(tenant.as_ref(), service, token.as_bytes()) {
            Ok((tenant, caller)) => Ok(Admitted { caller, tenant }),
            Err(refused) => {
                let message = match &refused {
                    BearerRefused::Issuer { expected } => {
                        format!("AKV10032: Invalid issuer. Expected one of {expected}.")
                    }
                    BearerRefused::Audience => format!("AKV10022: Invalid audience: {refused}."),
                    BearerRefused::Expired | BearerRefused::Principal | BearerRefused::Invalid => {
                        format!("AKV10046: {refused}.")
                    }
                };
                Err(self.unauthorized(
                    head,
                    tenant.as_deref(),
                    &message,
                    Some(("invalid_token", &refused.to_string())),
                ))
            }
        }
    }

    /// On the admin socket the kernel is the login.
    fn admit_local(&self, head: &Head, tenant: Option<Arc<TenantSnapshot>>) -> Result<Admitted, Problem> {
        let world = self.platform.world();
        let tenant = match (tenant, head.headers.get(TENANT_HEADER)) {
            (Some(tenant), _) => Some(tenant),
            (None, None) => world.default_tenant(),
            (None, Some(named)) => named.to_str().ok().and_then(|named| world.tenant_named(named)),
        };
        let tenant = tenant.ok_or_else(|| {
            Problem::usual(
                head.address.plane.dialect(),
                Class::Absent,
                "there is no such tenant in this deployment",
            )
        })?;
        Ok(Admitted { caller: self.platform.local_administrator(&tenant), tenant })
    }
}

/// On the admin socket: which tenant the administrator acts in; the first one if absent.
pub const TENANT_HEADER: &str = "x-vouchsafe-tenant";

/// The token of the one `Authorization: Bearer` header (RFC 6750 §2.1).
fn bearer(head: &Head) -> Option<&str> {
    let mut values = head.headers.get_all(http::header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}

/// The hook before routing.
pub fn before_route<'a>(app: &'a Arc<App>, head: &'a Head) -> BoxFuture<'a, Option<Reply>> {
    Box::pin(async move { app.challenge(head).map(Reply::from) })
}

/// The hook before the handler.
pub fn before_handler<'a>(
    app: &'a Arc<App>,
    guard: Guard,
    request: &'a mut Request,
) -> BoxFuture<'a, Option<Reply>> {
    Box::pin(async move {
        let needs_caller = match guard {
            Guard::Bearer | Guard::KernelPeer => true,
            Guard::None | Guard::ClientAuthentication => false,
        };
        if !needs_caller {
            return None;
        }
        match app.admit(&request.head) {
            Ok(admitted) => {
                request.extensions.insert(admitted);
                None
            }
            Err(problem) => Some(problem.into()),
        }
    })
}

impl Request {
    /// The caller of a guarded route. The hook put it there before the handler began.
    pub fn admitted(&self) -> Result<Admitted, Problem> {
        self.extensions.get::<Admitted>().cloned().ok_or_else(|| {
            Problem::usual(
                self.head.address.plane.dialect(),
                Class::Broken,
                "the route has no guard; tell the operator",
            )
        })
    }
}
