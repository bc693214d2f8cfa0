//! Resource Manager: as much as vaults, identities and role assignments need (wire facts §9).

mod authorization;
mod identities;
mod subscriptions;
mod vaults;

use vouchsafe_domain::access::action::Action;
use vouchsafe_domain::access::authorize::authorize;
use vouchsafe_domain::ids::{IdentityName, Malformed, ResourceGroupName, SubscriptionId, VaultName};
use vouchsafe_domain::resource::Error;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_wire::arm::Query;
use vouchsafe_wire::json::{self, Budget};

use super::app::{Admitted, App};
use super::problem::{Class, Problem};
use super::refusal::of_resource;
use super::route::{Guard, Plane, Route};
use super::{Handler, Request};

/// The routes of this plane.
pub fn routes() -> Vec<Route<Handler<App>>> {
    let rooms = [subscriptions::routes(), vaults::routes(), identities::routes(), authorization::routes()];
    rooms.into_iter().flatten().collect()
}

fn route(
    method: http::Method,
    pattern: &'static str,
    name: &'static str,
    handler: Handler<App>,
) -> Route<Handler<App>> {
    Route { plane: Plane::Arm, method, pattern, name, guard: Guard::Bearer, handler }
}

const BODY: Budget = Budget::new(256 * 1024);

async fn body<T: serde::de::DeserializeOwned>(request: &mut Request) -> Result<T, Problem> {
    let bytes = request.body_up_to(BODY.bytes_max).await?;
    json::parse(&bytes, &BODY)
        .map_err(|error| Problem::new(Class::Invalid, "InvalidRequestContent", error.to_string()))
}

fn query(request: &Request) -> Result<Query, Problem> {
    Query::parse(request.head.query())
        .map_err(|error| Problem::new(Class::Invalid, "InvalidRequestUri", error.to_string()))
}

fn malformed(error: Malformed) -> Problem {
    of_resource(error.into())
}

/// The subscription in the path. One of another tenant is as absent as one that does not exist.
fn subscription(request: &Request, admitted: &Admitted) -> Result<SubscriptionId, Problem> {
    let raw = request.params.text("subscription");
    let id = SubscriptionId::parse(raw).map_err(malformed)?;
    match admitted.tenant.subscription(id) {
        Some(_) => Ok(id),
        None => Err(of_resource(Error::NotFound { kind: "subscription", name: id.to_string() })),
    }
}

fn group(request: &Request) -> Result<ResourceGroupName, Problem> {
    ResourceGroupName::parse(request.params.text("group")).map_err(malformed)
}

fn vault(request: &Request) -> Result<VaultName, Problem> {
    VaultName::parse(request.params.text("vault")).map_err(malformed)
}

fn identity(request: &Request) -> Result<IdentityName, Problem> {
    IdentityName::parse(request.params.text("identity")).map_err(malformed)
}

/// Reads need a proof and an entry too.
async fn may<A: Action>(
    app: &App,
    request: &Request,
    admitted: &Admitted,
    scope: &Scope,
) -> Result<(), Problem> {
    let context = app.context(&request.head);
    let read = app.platform.read_resource::<A>(&context, &admitted.caller, &admitted.tenant, scope).await;
    read.map_err(of_resource)
}

/// Records a list that leaves out what the caller may not read.
async fn listed<A: Action>(
    app: &App,
    request: &Request,
    admitted: &Admitted,
    scope: &Scope,
) -> Result<(), Problem> {
    let context = app.context(&request.head);
    let recorded = app.platform.list_resources::<A>(&context, &admitted.caller, scope).await;
    recorded.map_err(|fault| of_resource(fault.into()))
}

/// In lists, what the caller may not read is left out.
fn may_see<A: Action>(admitted: &Admitted, scope: &Scope) -> bool {
    authorize::<A>(&admitted.caller, scope, admitted.tenant.facts()).is_ok()
}

fn absent(kind: &'static str, name: impl ToString) -> Problem {
    of_resource(Error::NotFound { kind, name: name.to_string() })
}
