//! Vaults and soft-deleted vaults (`Microsoft.KeyVault`).

use std::sync::Arc;

use http::Method;
use vouchsafe_domain::access::action::{ReadDeletedVault, ReadVault};
use vouchsafe_domain::ids::{SubscriptionId, VaultName};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::resource::{Put, Sku, Vault, VaultToPut};
use vouchsafe_wire::arm as wire;

use super::{absent, body, group, listed, may, may_see, route, subscription, vault};
use crate::http::app::{Admitted, App};
use crate::http::problem::{Class, Problem};
use crate::http::refusal::of_resource;
use crate::http::reply::{Reply, Success};
use crate::http::route::Route;
use crate::http::{Handler, Request, answer};

const ONE: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{vault}";
const IN_GROUP: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults";
const IN_SUBSCRIPTION: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/vaults";
const DELETED: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedVaults";
const DELETED_ONE: &str =
    "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault}";
const PURGE: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault}/purge";
const CHECK: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/checkNameAvailability";
const HSMS: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/managedHSMs";
const DELETED_HSMS: &str = "/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedManagedHSMs";

pub(super) fn routes() -> Vec<Route<Handler<App>>> {
    vec![
        route(Method::PUT, ONE, "vault_put", |app, r| answer(put(app, r))),
        route(Method::GET, ONE, "vault_get", |app, r| answer(get(app, r))),
        route(Method::DELETE, ONE, "vault_delete", |app, r| answer(delete(app, r))),
        route(Method::GET, IN_GROUP, "vault_list_in_group", |app, r| answer(list(app, r))),
        route(Method::GET, IN_SUBSCRIPTION, "vault_list", |app, r| answer(list(app, r))),
        route(Method::GET, DELETED, "deleted_vault_list", |app, r| answer(list_deleted(app, r))),
        route(Method::GET, DELETED_ONE, "deleted_vault_get", |app, r| answer(get_deleted(app, r))),
        route(Method::POST, PURGE, "vault_purge", |app, r| answer(purge(app, r))),
        route(Method::POST, CHECK, "vault_name_check", |app, r| answer(check_name(app, r))),
        route(Method::GET, HSMS, "managed_hsm_list", |app, r| answer(no_hsms(app, r))),
        route(Method::GET, DELETED_HSMS, "deleted_managed_hsm_list", |app, r| answer(no_hsms(app, r))),
    ]
}

fn shown(app: &App, admitted: &Admitted, request: &Request, vault: &Vault) -> wire::Vault {
    let suffix = match request.head.address.captured {
        true => crate::http::plane::PUBLIC_VAULT_SUFFIX,
        false => app.endpoints.vault_suffix.as_str(),
    };
    wire::Resource {
        id: Scope::vault(vault.subscription, &vault.group, &vault.name).as_str().to_owned(),
        name: vault.name.to_string(),
        resource_type: wire::Vault::TYPE.to_owned(),
        location: Some(vault.location.clone()),
        tags: Some(vault.tags.clone()),
        properties: wire::VaultProperties {
            tenant_id: admitted.tenant.tenant().id.to_string(),
            sku: wire::Sku { family: "A".to_owned(), name: said(vault.sku).to_owned() },
            vault_uri: format!("https://{}.{suffix}/", vault.name.canonical()),
            access_policies: Vec::new(),
            enable_rbac_authorization: true,
            enable_soft_delete: true,
            soft_delete_retention_in_days: vault.retention_days,
            // Azure shows this member only when it is true.
            enable_purge_protection: vault.purge_protection.then_some(true),
            enabled_for_deployment: false,
            enabled_for_disk_encryption: false,
            enabled_for_template_deployment: false,
            network_acls: None,
            public_network_access: "Enabled".to_owned(),
            provisioning_state: "Succeeded".to_owned(),
        },
    }
}

const fn said(sku: Sku) -> &'static str {
    match sku {
        Sku::Standard => "standard",
        Sku::Premium => "premium",
    }
}

fn sku(given: &wire::Sku) -> Result<Sku, Problem> {
    let known = [Sku::Standard, Sku::Premium];
    let found = known.into_iter().find(|sku| given.name.eq_ignore_ascii_case(said(*sku)));
    found.filter(|_| given.family.eq_ignore_ascii_case("A")).ok_or_else(|| {
        let message = "properties.sku must be of the family `A` and be named `standard` or `premium`";
        Problem::new(Class::Invalid, "InvalidParameter", message)
    })
}

/// What of a vault's body we cannot keep must not be dropped in silence: a firewall that is not there is worse than
/// an error.
fn refuse_unsupported(properties: &wire::VaultPutProperties) -> Result<(), Problem> {
    let refuse = |message: &str| Err(Problem::new(Class::Invalid, "NotSupported", message));
    if properties.enable_rbac_authorization == Some(false) {
        return refuse("vaults here use role assignments; leave enableRbacAuthorization true");
    }
    if properties.access_policies.as_ref().is_some_and(|policies| !policies.is_empty()) {
        return refuse("access policies are not supported; use role assignments");
    }
    if properties.enable_soft_delete == Some(false) {
        return refuse("soft delete cannot be switched off");
    }
    let denies = properties.network_acls.as_ref().is_some_and(|acls| {
        acls.default_action.as_deref().is_some_and(|action| !action.eq_ignore_ascii_case("Allow"))
    });
    let closed = properties
        .public_network_access
        .as_deref()
        .is_some_and(|access| !access.eq_ignore_ascii_case("Enabled"));
    if denies || closed {
        return refuse("vault firewalls are not supported; restrict the listener's address instead");
    }
    Ok(())
}

async fn put(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (id, group, name) = (subscription(&request, &admitted)?, group(&request)?, vault(&request)?);
    let given: wire::VaultPut = body(&mut request).await?;
    let tenant = admitted.tenant.tenant().id;
    if !given.properties.tenant_id.eq_ignore_ascii_case(&tenant.to_string()) {
        let message = "properties.tenantId must be the tenant of the subscription";
        return Err(Problem::new(Class::Invalid, "InvalidTenantId", message));
    }
    refuse_unsupported(&given.properties)?;
    let recover =
        given.properties.create_mode.as_deref().is_some_and(|mode| mode.eq_ignore_ascii_case("recover"));
    let wanted = VaultToPut {
        location: Some(given.location),
        tags: given.tags.unwrap_or_default(),
        retention_days: given.properties.soft_delete_retention_in_days,
        purge_protection: given.properties.enable_purge_protection,
        sku: Some(sku(&given.properties.sku)?),
        recover,
    };
    let context = app.context(&request.head);
    let put = app.platform.put_vault(&context, &admitted.caller, tenant, id, &group, &name, &wanted).await;
    let (put, vault) = put.map_err(of_resource)?;
    let success = if put == Put::Created { Success::Created } else { Success::Ok };
    Ok(Reply::json(success, &shown(&app, &admitted, &request, &vault)))
}

async fn found(app: &App, request: &Request, admitted: &Admitted) -> Result<Arc<Vault>, Problem> {
    let (id, group, name) = (subscription(request, admitted)?, group(request)?, vault(request)?);
    may::<ReadVault>(app, request, admitted, &Scope::vault(id, &group, &name)).await?;
    let found = admitted.tenant.vault(&name).filter(|vault| vault.subscription == id && vault.group == group);
    found.ok_or_else(|| absent("vault", &name))
}

async fn get(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let vault = found(&app, &request, &admitted).await?;
    Ok(Reply::json(Success::Ok, &shown(&app, &admitted, &request, &vault)))
}

async fn delete(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (id, group, name) = (subscription(&request, &admitted)?, group(&request)?, vault(&request)?);
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    app.platform
        .delete_vault(&context, &admitted.caller, tenant, id, &group, &name)
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
    listed::<ReadVault>(&app, &request, &admitted, &Scope::of_subscription(id)).await?;
    let mut vaults: Vec<_> = admitted
        .tenant
        .vaults()
        .filter(|vault| vault.subscription == id && group.as_ref().is_none_or(|group| vault.group == *group))
        .filter(|vault| may_see::<ReadVault>(&admitted, &Scope::vault(id, &vault.group, &vault.name)))
        .map(|vault| shown(&app, &admitted, &request, vault))
        .collect();
    vaults.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Reply::json(Success::Ok, &wire::List::whole(vaults)))
}

fn shown_deleted(vault: &Vault) -> wire::DeletedVault {
    let deleted = vault.deleted.unwrap_or_default();
    let location = &vault.location;
    let subscription = vault.subscription;
    wire::Resource {
        id: format!(
            "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{}",
            vault.name
        ),
        name: vault.name.to_string(),
        resource_type: wire::DeletedVault::TYPE.to_owned(),
        location: None,
        tags: None,
        properties: wire::DeletedVaultProperties {
            vault_id: Scope::vault(subscription, &vault.group, &vault.name).as_str().to_owned(),
            location: location.clone(),
            deletion_date: deleted.rfc3339(),
            scheduled_purge_date: vault.purge_due(deleted).rfc3339(),
            tags: vault.tags.clone(),
            purge_protection_enabled: vault.purge_protection.then_some(true),
        },
    }
}

async fn list_deleted(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let id = subscription(&request, &admitted)?;
    may::<ReadDeletedVault>(&app, &request, &admitted, &Scope::of_subscription(id)).await?;
    let mut deleted: Vec<_> = admitted
        .tenant
        .deleted_vaults()
        .filter(|vault| vault.subscription == id)
        .map(|vault| shown_deleted(vault))
        .collect();
    deleted.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Reply::json(Success::Ok, &wire::List::whole(deleted)))
}

fn found_deleted(admitted: &Admitted, id: SubscriptionId, name: &VaultName) -> Result<Arc<Vault>, Problem> {
    let found = admitted.tenant.deleted_vault(name).filter(|vault| vault.subscription == id);
    found.ok_or_else(|| absent("deleted vault", name))
}

async fn get_deleted(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (id, name) = (subscription(&request, &admitted)?, vault(&request)?);
    may::<ReadDeletedVault>(&app, &request, &admitted, &Scope::of_subscription(id)).await?;
    Ok(Reply::json(Success::Ok, &shown_deleted(&*found_deleted(&admitted, id, &name)?)))
}

async fn purge(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let (id, name) = (subscription(&request, &admitted)?, vault(&request)?);
    let context = app.context(&request.head);
    let tenant = admitted.tenant.tenant().id;
    app.platform.purge_vault(&context, &admitted.caller, tenant, id, &name).await.map_err(of_resource)?;
    Ok(Reply::empty(Success::Ok))
}

async fn check_name(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    subscription(&request, &admitted)?;
    let question: wire::NameQuestion = body(&mut request).await?;
    let answer = match VaultName::parse(&question.name) {
        Err(error) => wire::NameAvailability {
            name_available: false,
            reason: Some("AccountNameInvalid".to_owned()),
            message: Some(error.to_string()),
        },
        Ok(name) => {
            // Names are global, as DNS names are: that one is taken is no secret, by whom is.
            let taken = app
                .platform
                .world()
                .tenants()
                .any(|tenant| tenant.vault(&name).is_some() || tenant.deleted_vault(&name).is_some());
            wire::NameAvailability {
                name_available: !taken,
                reason: taken.then(|| "AlreadyExists".to_owned()),
                message: taken.then(|| format!("The vault name '{name}' is already in use.")),
            }
        }
    };
    Ok(Reply::json(Success::Ok, &answer))
}

/// There are no managed HSMs here; `az keyvault list` asks all the same and needs an empty list.
async fn no_hsms(_: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    subscription(&request, &admitted)?;
    Ok(Reply::json(Success::Ok, &wire::List::<wire::Vault>::whole(Vec::new())))
}
