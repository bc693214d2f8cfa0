//! User-assigned identities (`Microsoft.ManagedIdentity`).

use std::sync::Arc;

use http::Method;
use vouchsafe_domain::access::action::ReadIdentity;
use vouchsafe_domain::identity::ManagedIdentity;
use vouchsafe_domain::resource::{IdentityToPut, Put};
use vouchsafe_domain::world::TenantSnapshot;
use vouchsafe_wire::arm as wire;

use super::{absent, body, group, identity, listed, may, may_see, route, subscription};
use crate::http::app::{Admitted, App};
use crate::http::problem::Problem;
use crate::http::refusal::of_resource;
use crate::http::reply::{Reply, Success};
use crate::http::route::Route;
use crate::http::{Handler, Request, answer};
use vouchsafe_domain::resource::scope::Scope;

const ONE: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}";
const IN_GROUP: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities";
const IN_SUBSCRIPTION: &str =
    "/subscriptions/{subscription}/providers/Microsoft.ManagedIdentity/userAssignedIdentities";

pub(super) fn routes() -> Vec<Route<Handler<App>>> {
    vec![
        route(Method::PUT, ONE, "identity_put", |app, r| answer(put(app, r))),
        route(Method::PATCH, ONE, "identity_update", |app, r| answer(put(app, r))),
        route(Method::GET, ONE, "identity_get", |app, r| answer(get(app, r))),
        route(Method::DELETE, ONE, "identity_delete", |app, r| answer(delete(app, r))),
        route(Method::GET, IN_GROUP, "identity_list_in_group", |app, r| answer(list(app, r))),
        route(Method::GET, IN_SUBSCRIPTION, "identity_list", |app, r| answer(list(app, r))),
    ]
}

fn shown(admitted: &Admitted, identity: &ManagedIdentity) -> wire::UserAssignedIdentity {
    wire::Resource {
        id: TenantSnapshot::identity_scope(identity).as_str().to_owned(),
        name: identity.name.to_string(),
        resource_type: wire::UserAssignedIdentity::TYPE.to_owned(),
        location: Some(identity.location.clone()),
        tags: Some(identity.tags.clone()),
        properties: wire::IdentityProperties {
            tenant_id: admitted.tenant.tenant().id.to_string(),
            principal_id: identity.principal.to_string(),
            client_id: identity.client.to_string(),
        },
    }
}

async fn put(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (id, group, name) = (subscription(&request, &admitted)?, group(&request)?, identity(&request)?);
    let given: wire::IdentityPut = body(&mut request).await?;
    let before = admitted.tenant.identity(id, &group, &name);
    if before.is_none() && request.head.method == Method::PATCH {
        may::<ReadIdentity>(&app, &request, &admitted, &Scope::identity(id, &group, &name)).await?;
        return Err(absent("identity", &name));
    }
    // PATCH leaves the tags alone when it does not mention them.
    let kept = before.filter(|_| request.head.method == Method::PATCH).map(|identity| identity.tags.clone());
    let wanted = IdentityToPut {
        location: given.location,
        tags: given.tags.or(kept).unwrap_or_default(),
        bindings: None,
    };
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    let put = app.platform.put_identity(&context, &admitted.caller, tenant, id, &group, &name, &wanted).await;
    let (put, identity) = put.map_err(of_resource)?;
    let success = if put == Put::Created { Success::Created } else { Success::Ok };
    Ok(Reply::json(success, &shown(&admitted, &identity)))
}

async fn get(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (id, group, name) = (subscription(&request, &admitted)?, group(&request)?, identity(&request)?);
    may::<ReadIdentity>(&app, &request, &admitted, &Scope::identity(id, &group, &name)).await?;
    let found = admitted.tenant.identity(id, &group, &name).ok_or_else(|| absent("identity", &name))?;
    Ok(Reply::json(Success::Ok, &shown(&admitted, &found)))
}

async fn delete(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (id, group, name) = (subscription(&request, &admitted)?, group(&request)?, identity(&request)?);
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    app.platform
        .delete_identity(&context, &admitted.caller, tenant, id, &group, &name)
        .await
        .map_err(of_resource)?;
    Ok(Reply::empty(Success::Ok))
}

async fn list(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let id = subscription(&request, &admitted)?;
    let group = match request.params.text("group") {
        "" => None,
        _ => Some(group(&request)?),
    };
    listed::<ReadIdentity>(&app, &request, &admitted, &Scope::of_subscription(id)).await?;
    let mut identities: Vec<_> = admitted
        .tenant
        .identities()
        .filter(|identity| {
            identity.subscription == id && group.as_ref().is_none_or(|group| identity.group == *group)
        })
        .filter(|identity| may_see::<ReadIdentity>(&admitted, &TenantSnapshot::identity_scope(identity)))
        .map(|identity| shown(&admitted, identity))
        .collect();
    identities.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Reply::json(Success::Ok, &wire::List::whole(identities)))
}
