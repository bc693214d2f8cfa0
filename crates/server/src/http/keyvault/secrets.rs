//! Secrets (wire facts §7.1).

use std::sync::Arc;

use http::Method;
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_domain::ids::{ObjectName, ObjectVersion};
use vouchsafe_domain::resource::Vault;
use vouchsafe_domain::vault::{
    Attributes, DeletedSecret, SecretHead, SecretToSet, SecretUpdate, SecretVersion,
};
use vouchsafe_wire::keyvault as wire;
use vouchsafe_wire::secret_text::SecretText;

use super::keys::KEYS;
use super::{
    Asked, BODY, Collection, Life, Paging, RBAC_ASSIGNMENT_HEADER, backed_up, blob_to_restore, body, moment,
    name, paged, query, route, seconds, shown_tags, version,
};
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::{Reply, Success};
use crate::http::route::Route;
use crate::http::{Handler, Request, answer};

pub(super) const SECRETS: Collection = Collection { live: "secrets", deleted: "deletedsecrets" };

pub(super) fn routes() -> Vec<Route<Handler<App>>> {
    vec![
        route(Method::PUT, "/secrets/{name}", "secret_set", |app, request| answer(set(app, request))),
        route(Method::GET, "/secrets/{name}/{version?}", "secret_get", |app, request| {
            answer(get(app, request))
        }),
        route(Method::PATCH, "/secrets/{name}/{version?}", "secret_update", |app, request| {
            answer(update(app, request))
        }),
        route(Method::DELETE, "/secrets/{name}", "secret_delete", |app, request| {
            answer(delete(app, request))
        }),
        route(Method::GET, "/secrets", "secret_list", |app, request| answer(list(app, request))),
        route(Method::GET, "/secrets/{name}/versions", "secret_versions", |app, request| {
            answer(versions(app, request))
        }),
        route(Method::POST, "/secrets/{name}/backup", "secret_backup", |app, request| {
            answer(backup(app, request))
        }),
        route(Method::POST, "/secrets/restore", "secret_restore", |app, request| {
            answer(restore(app, request))
        }),
        route(Method::GET, "/deletedsecrets", "deleted_secret_list", |app, request| {
            answer(list_deleted(app, request))
        }),
        route(Method::GET, "/deletedsecrets/{name}", "deleted_secret_get", |app, request| {
            answer(get_deleted(app, request))
        }),
        route(Method::DELETE, "/deletedsecrets/{name}", "deleted_secret_purge", |app, request| {
            answer(purge(app, request))
        }),
        route(Method::POST, "/deletedsecrets/{name}/recover", "deleted_secret_recover", |app, request| {
            answer(recover(app, request))
        }),
    ]
}

async fn set(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let body = body(&mut request, &BODY, wire::SetSecretRequest::parse).await?;
    let given = body.attributes.unwrap_or_default();
    let attributes = Attributes {
        disabled: given.enabled == Some(false),
        not_before: moment("nbf", given.nbf)?,
        expires: moment("exp", given.exp)?,
        content_type: body.content_type,
        tags: body.tags.unwrap_or_default(),
    };
    let value = SecretString::new(std::mem::take(&mut *body.value.into_exposed()));
    let wanted = SecretToSet { value, attributes };
    let context = app.context(&request.head);
    let set = app.platform.set_secret(&context, &asked.admitted.caller, &asked.vault, &name, &wanted).await;
    let (head, vault) = set.map_err(of_vault)?;
    let value = SecretText::new(wanted.value.expose(Reason::Answer).to_owned());
    Ok(shown(&asked, &head.name, &head.current, &vault, Some(value)))
}

async fn get(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    let form = query(&request)?.out_content_type;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (platform, vault, form) = (&app.platform, &asked.vault, form.as_deref());
    let read = platform.get_secret_as(&context, caller, vault, &name, version, form).await;
    let read = read.map_err(of_vault)?;
    let (name, version, vault) = (read.name.clone(), read.version.clone(), read.vault.clone());
    let (assignment, previous) = (read.assignment.to_string(), read.previous);
    let value = text_of(read.into_value())?;
    let bundle = wire::SecretBundle {
        previous_version: previous.map(|version| version.to_string()),
        ..bundle(&asked, &name, &version, &vault, Some(value))
    };
    let reply = Reply::wiped_json(Success::Ok, bundle.to_json());
    Ok(reply.with_header(RBAC_ASSIGNMENT_HEADER, &assignment))
}

fn text_of(value: SecretBytes) -> Result<SecretText, Problem> {
    let text = SecretString::from_utf8(value).ok_or_else(|| {
        of_vault(vouchsafe_domain::Fault::Broken("a stored secret is not text".to_owned()).into())
    })?;
    Ok(SecretText::new(text.expose(Reason::Answer).to_owned()))
}

async fn update(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let body = body(&mut request, &BODY, wire::UpdateSecretRequest::parse).await?;
    let given = body.attributes.unwrap_or_default();
    let update = SecretUpdate {
        disabled: given.enabled.map(|enabled| !enabled),
        not_before: moment("nbf", given.nbf)?,
        expires: moment("exp", given.exp)?,
        content_type: body.content_type,
        tags: body.tags,
    };
    let context = app.context(&request.head);
    let updated = app
        .platform
        .update_secret(&context, &asked.admitted.caller, &asked.vault, &name, version, &update)
        .await;
    let (name, version, vault) = updated.map_err(of_vault)?;
    Ok(shown(&asked, &name, &version, &vault, None))
}

async fn delete(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let deleted = app.platform.delete_secret(&context, &asked.admitted.caller, &asked.vault, &name).await;
    let (deleted, vault) = deleted.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &deleted_bundle(&asked, &deleted, &vault, true)))
}

async fn list(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, query) = (Asked::of(&request)?, query(&request)?);
    let (context, paging) = (app.context(&request.head), Paging::of(&query)?);
    let page = app
        .platform
        .list_secrets(&context, &asked.admitted.caller, &asked.vault, paging.after.as_ref(), paging.items)
        .await
        .map_err(of_vault)?;
    Ok(paged(&asked, "/secrets", &query, &page, |head, vault| {
        item(&asked, &head.name, None, &head.current, vault)
    }))
}

async fn versions(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name, query) = (Asked::of(&request)?, name(&request)?, query(&request)?);
    let (context, paging) = (app.context(&request.head), Paging::of(&query)?);
    let (name, page) = app
        .platform
        .list_secret_versions(
            &context,
            &asked.admitted.caller,
            &asked.vault,
            &name,
            paging.after.as_ref(),
            paging.items,
        )
        .await
        .map_err(of_vault)?;
    let path = format!("/secrets/{name}/versions");
    Ok(paged(&asked, &path, &query, &page, |version, vault| {
        item(&asked, &name, Some(version.version), version, vault)
    }))
}

async fn backup(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let sealed = app.platform.backup_secret(&context, &asked.admitted.caller, &asked.vault, &name).await;
    let sealed = sealed.map_err(of_vault)?;
    Ok(backed_up(&sealed.blob))
}

async fn restore(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let asked = Asked::of(&request)?;
    let blob = blob_to_restore(&mut request).await?;
    let context = app.context(&request.head);
    let restored = app.platform.restore_secret(&context, &asked.admitted.caller, &asked.vault, &blob).await;
    let (head, vault) = restored.map_err(of_vault)?;
    Ok(shown(&asked, &head.name, &head.current, &vault, None))
}

async fn list_deleted(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, query) = (Asked::of(&request)?, query(&request)?);
    let (context, paging) = (app.context(&request.head), Paging::of(&query)?);
    let page = app
        .platform
        .list_deleted_secrets(
            &context,
            &asked.admitted.caller,
            &asked.vault,
            paging.after.as_ref(),
            paging.items,
        )
        .await
        .map_err(of_vault)?;
    Ok(paged(&asked, "/deletedsecrets", &query, &page, |deleted, vault| {
        deleted_bundle(&asked, deleted, vault, false)
    }))
}

async fn get_deleted(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let found = app.platform.get_deleted_secret(&context, &asked.admitted.caller, &asked.vault, &name).await;
    let (deleted, vault) = found.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &deleted_bundle(&asked, &deleted, &vault, true)))
}

async fn purge(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let purged = app.platform.purge_secret(&context, &asked.admitted.caller, &asked.vault, &name).await;
    purged.map_err(of_vault)?;
    Ok(Reply::empty(Success::NoContent))
}

async fn recover(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let recovered = app.platform.recover_secret(&context, &asked.admitted.caller, &asked.vault, &name).await;
    let (SecretHead { name, current }, vault) = recovered.map_err(of_vault)?;
    Ok(shown(&asked, &name, &current, &vault, None))
}

fn attributes(version: &SecretVersion, vault: &Vault) -> wire::Attributes {
    let life = Life {
        disabled: version.attributes.disabled,
        not_before: version.attributes.not_before,
        expires: version.attributes.expires,
        created: version.created,
        updated: version.updated,
    };
    life.shown(vault)
}

fn bundle(
    asked: &Asked,
    name: &ObjectName,
    version: &SecretVersion,
    vault: &Vault,
    value: Option<SecretText>,
) -> wire::SecretBundle {
    wire::SecretBundle {
        value,
        id: asked.identifier(SECRETS, name, Some(version.version)),
        content_type: version.attributes.content_type.clone(),
        attributes: attributes(version, vault),
        tags: shown_tags(&version.attributes.tags),
        kid: kid(asked, name, version),
        managed: version.managed.then_some(true),
        previous_version: None,
    }
}

fn shown(
    asked: &Asked,
    name: &ObjectName,
    version: &SecretVersion,
    vault: &Vault,
    value: Option<SecretText>,
) -> Reply {
    Reply::wiped_json(Success::Ok, bundle(asked, name, version, vault, value).to_json())
}

/// The key of the same name and version, where both belong to a certificate.
fn kid(asked: &Asked, name: &ObjectName, version: &SecretVersion) -> Option<String> {
    version.managed.then(|| asked.identifier(KEYS, name, Some(version.version)))
}

fn item(
    asked: &Asked,
    name: &ObjectName,
    shown: Option<ObjectVersion>,
    version: &SecretVersion,
    vault: &Vault,
) -> wire::SecretItem {
    wire::SecretItem {
        id: asked.identifier(SECRETS, name, shown),
        attributes: attributes(version, vault),
        tags: shown_tags(&version.attributes.tags),
        content_type: version.attributes.content_type.clone(),
        managed: version.managed.then_some(true),
    }
}

fn deleted_bundle(
    asked: &Asked,
    deleted: &DeletedSecret,
    vault: &Vault,
    with_version: bool,
) -> wire::DeletedSecretBundle {
    let SecretHead { name, current } = &deleted.head;
    wire::DeletedSecretBundle {
        recovery_id: asked.recovery_id(SECRETS, name),
        deleted_date: seconds(deleted.deleted),
        scheduled_purge_date: seconds(deleted.purge_due),
        id: asked.identifier(SECRETS, name, with_version.then_some(current.version)),
        content_type: current.attributes.content_type.clone(),
        attributes: attributes(current, vault),
        tags: shown_tags(&current.attributes.tags),
        kid: kid(asked, name, current),
        managed: current.managed.then_some(true),
    }
}
