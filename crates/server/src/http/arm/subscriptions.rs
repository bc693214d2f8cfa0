//! Tenants, subscriptions, locations, resource groups, generic resources, provider registration.

use std::sync::Arc;

use http::Method;
use vouchsafe_domain::access::action::{ReadIdentity, ReadResourceGroup, ReadSubscription, ReadVault};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::resource::{Put, ResourceGroup, Subscription};
use vouchsafe_domain::world::TenantSnapshot;
use vouchsafe_wire::arm::{self as wire, Property};

use super::{absent, body, group, listed, may, may_see, query, route, subscription};
use crate::http::app::{Admitted, App};
use crate::http::problem::Problem;
use crate::http::refusal::of_resource;
use crate::http::reply::{Reply, Success};
use crate::http::route::Route;
use crate::http::{Handler, Request, answer};

pub(super) fn routes() -> Vec<Route<Handler<App>>> {
    vec![
        route(Method::GET, "/tenants", "tenant_list", |app, r| answer(tenants(app, r))),
        route(Method::GET, "/subscriptions", "subscription_list", |app, r| answer(subscriptions(app, r))),
        route(Method::GET, "/subscriptions/{subscription}", "subscription_get", |app, r| {
            answer(get_subscription(app, r))
        }),
        route(Method::GET, "/subscriptions/{subscription}/locations", "location_list", |app, r| {
            answer(locations(app, r))
        }),
        route(Method::GET, "/subscriptions/{subscription}/resourceGroups", "group_list", |app, r| {
            answer(groups(app, r))
        }),
        route(Method::GET, "/subscriptions/{subscription}/resourceGroups/{group}", "group_get", |app, r| {
            answer(get_group(app, r))
        }),
        route(
            Method::HEAD,
            "/subscriptions/{subscription}/resourceGroups/{group}",
            "group_exists",
            |app, r| answer(group_exists(app, r)),
        ),
        route(Method::PUT, "/subscriptions/{subscription}/resourceGroups/{group}", "group_put", |app, r| {
            answer(put_group(app, r))
        }),
        route(
            Method::DELETE,
            "/subscriptions/{subscription}/resourceGroups/{group}",
            "group_delete",
            |app, r| answer(delete_group(app, r)),
        ),
        route(Method::GET, "/subscriptions/{subscription}/resources", "resource_list", |app, r| {
            answer(resources(app, r))
        }),
        route(
            Method::GET,
            "/subscriptions/{subscription}/providers/{namespace}",
            "provider_get",
            |app, r| answer(provider(app, r)),
        ),
        route(
            Method::POST,
            "/subscriptions/{subscription}/providers/{namespace}/register",
            "provider_register",
            |app, r| answer(provider(app, r)),
        ),
    ]
}

async fn tenants(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    // A token is proof enough to see the tenant that issued it.
    let admitted = request.admitted()?;
    listed::<ReadSubscription>(&app, &request, &admitted, &Scope::root()).await?;
    let tenant = admitted.tenant.tenant();
    let shown = wire::Tenant {
        id: format!("/tenants/{}", tenant.id),
        tenant_id: tenant.id.to_string(),
        display_name: tenant.display_name.clone(),
        default_domain: tenant.domain.to_string(),
        domains: vec![tenant.domain.to_string()],
        tenant_category: "Home".to_owned(),
    };
    Ok(Reply::json(Success::Ok, &wire::List::whole(vec![shown])))
}

fn shown_subscription(subscription: &Subscription) -> wire::Subscription {
    wire::Subscription {
        id: format!("/subscriptions/{}", subscription.id),
        subscription_id: subscription.id.to_string(),
        tenant_id: subscription.tenant.to_string(),
        display_name: subscription.display_name.clone(),
        state: "Enabled".to_owned(),
        authorization_source: "RoleBased".to_owned(),
        managed_by_tenants: Vec::new(),
    }
}

/// A subscription is shown to whoever has any role in it, as Azure does: `az login` needs it.
fn has_a_role_in(admitted: &Admitted, subscription: &Subscription) -> bool {
    let scope = Scope::of_subscription(subscription.id);
    may_see::<ReadSubscription>(admitted, &scope)
        || admitted
            .tenant
            .facts()
            .held_by(admitted.caller.principal())
            .any(|assignment| assignment.scope.contains(&scope) || scope.contains(&assignment.scope))
}

async fn subscriptions(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    listed::<ReadSubscription>(&app, &request, &admitted, &Scope::root()).await?;
    let mut shown: Vec<_> = admitted
        .tenant
        .subscriptions()
        .filter(|subscription| has_a_role_in(&admitted, subscription))
        .map(|subscription| shown_subscription(subscription))
        .collect();
    shown.sort_by(|a, b| a.subscription_id.cmp(&b.subscription_id));
    Ok(Reply::json(Success::Ok, &wire::List::whole(shown)))
}

async fn get_subscription(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let id = subscription(&request, &admitted)?;
    listed::<ReadSubscription>(&app, &request, &admitted, &Scope::of_subscription(id)).await?;
    let found =
        admitted.tenant.subscription(id).filter(|subscription| has_a_role_in(&admitted, subscription));
    let found = found.ok_or_else(|| absent("subscription", id))?;
    Ok(Reply::json(Success::Ok, &shown_subscription(&found)))
}

async fn locations(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let id = subscription(&request, &admitted)?;
    let name = app.platform.settings().location.clone();
    let location = wire::Location {
        id: format!("/subscriptions/{id}/locations/{name}"),
        display_name: name.clone(),
        regional_display_name: name.clone(),
        name,
    };
    Ok(Reply::json(Success::Ok, &wire::List::whole(vec![location])))
}

fn shown_group(group: &ResourceGroup) -> wire::ResourceGroup {
    wire::Resource {
        id: Scope::of_group(group.subscription, &group.name).as_str().to_owned(),
        name: group.name.to_string(),
        resource_type: wire::ResourceGroup::TYPE.to_owned(),
        location: Some(group.location.clone()),
        tags: Some(group.tags.clone()),
        properties: wire::ResourceGroupProperties { provisioning_state: "Succeeded".to_owned() },
    }
}

async fn found_group(
    app: &App,
    request: &Request,
    admitted: &Admitted,
) -> Result<Arc<ResourceGroup>, Problem> {
    let (id, name) = (subscription(request, admitted)?, group(request)?);
    may::<ReadResourceGroup>(app, request, admitted, &Scope::of_group(id, &name)).await?;
    let missing = || of_resource(vouchsafe_domain::resource::Error::GroupNotFound(name.to_string()));
    admitted.tenant.group(id, &name).ok_or_else(missing)
}

async fn groups(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let id = subscription(&request, &admitted)?;
    listed::<ReadResourceGroup>(&app, &request, &admitted, &Scope::of_subscription(id)).await?;
    let mut shown: Vec<_> = admitted
        .tenant
        .groups()
        .filter(|group| group.subscription == id)
        .filter(|group| may_see::<ReadResourceGroup>(&admitted, &Scope::of_group(id, &group.name)))
        .map(|group| shown_group(group))
        .collect();
    shown.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Reply::json(Success::Ok, &wire::List::whole(shown)))
}

async fn get_group(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    Ok(Reply::json(Success::Ok, &shown_group(&*found_group(&app, &request, &admitted).await?)))
}

async fn group_exists(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    // 204, not 200: `az group exists` takes anything else for an error.
    found_group(&app, &request, &request.admitted()?).await.map(|_| Reply::empty(Success::NoContent))
}

async fn put_group(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (id, name) = (subscription(&request, &admitted)?, group(&request)?);
    let wanted: wire::ResourceGroupPut = body(&mut request).await?;
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    let tags = wanted.tags.unwrap_or_default();
    let put = app
        .platform
        .put_resource_group(&context, &admitted.caller, tenant, id, &name, Some(&wanted.location), &tags)
        .await;
    let (put, group) = put.map_err(of_resource)?;
    let success = if put == Put::Created { Success::Created } else { Success::Ok };
    Ok(Reply::json(success, &shown_group(&group)))
}

async fn delete_group(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (id, name) = (subscription(&request, &admitted)?, group(&request)?);
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    app.platform
        .delete_resource_group(&context, &admitted.caller, tenant, id, &name)
        .await
        .map_err(of_resource)?;
    Ok(Reply::empty(Success::Ok))
}

/// Everything in a subscription that the caller may read, as generic resources.
fn generic(admitted: &Admitted, tenant: &TenantSnapshot) -> Vec<(String, wire::GenericResource)> {
    let vaults = tenant.vaults().filter_map(|vault| {
        let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
        may_see::<ReadVault>(admitted, &scope).then(|| {
            let resource = wire::GenericResource {
                id: scope.as_str().to_owned(),
                name: vault.name.to_string(),
                resource_type: wire::Vault::TYPE.to_owned(),
                location: vault.location.clone(),
                tags: vault.tags.clone(),
            };
            (vault.group.canonical(), resource)
        })
    });
    let identities = tenant.identities().filter_map(|identity| {
        let scope = TenantSnapshot::identity_scope(identity);
        may_see::<ReadIdentity>(admitted, &scope).then(|| {
            let resource = wire::GenericResource {
                id: scope.as_str().to_owned(),
                name: identity.name.to_string(),
                resource_type: wire::UserAssignedIdentity::TYPE.to_owned(),
                location: identity.location.clone(),
                tags: identity.tags.clone(),
            };
            (identity.group.canonical(), resource)
        })
    });
    vaults.chain(identities).collect()
}

async fn resources(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let id = subscription(&request, &admitted)?;
    let filter = query(&request)?.filter;
    listed::<ReadVault>(&app, &request, &admitted, &Scope::of_subscription(id)).await?;
    let prefix = format!("/subscriptions/{id}/");
    let is = |property, text: &str| {
        filter
            .as_ref()
            .and_then(|filter| filter.wanted(property))
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(text))
    };
    let mut shown: Vec<_> = generic(&admitted, &admitted.tenant)
        .into_iter()
        .filter(|(group, resource)| {
            resource.id.starts_with(&prefix)
                && is(Property::ResourceGroup, group)
                && is(Property::Name, &resource.name)
                && is(Property::ResourceType, &resource.resource_type)
        })
        .map(|(_, resource)| resource)
        .collect();
    shown.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Reply::json(Success::Ok, &wire::List::whole(shown)))
}

/// What this deployment offers: namespace, resource types.
const PROVIDERS: [(&str, &[&str]); 4] = [
    ("Microsoft.Authorization", &["roleAssignments", "roleDefinitions"]),
    ("Microsoft.KeyVault", &["vaults", "deletedVaults"]),
    ("Microsoft.ManagedIdentity", &["userAssignedIdentities"]),
    ("Microsoft.Resources", &["resourceGroups", "subscriptions", "tenants"]),
];

async fn provider(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let id = subscription(&request, &admitted)?;
    let asked = request.params.text("namespace");
    let (namespace, types) = PROVIDERS
        .into_iter()
        .find(|(namespace, _)| namespace.eq_ignore_ascii_case(asked))
        .ok_or_else(|| absent("resource provider", asked))?;
    let location = app.platform.settings().location.as_str();
    let types = types.iter().map(|name| wire::ProviderResourceType {
        resource_type: (*name).to_owned(),
        locations: vec![location.to_owned()],
        api_versions: vec!["2022-12-01".to_owned()],
    });
    Ok(Reply::json(Success::Ok, &wire::Provider::registered(&id.to_string(), namespace, types.collect())))
}
