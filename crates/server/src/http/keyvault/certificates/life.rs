//! Certificates in lists, their deletion and their return.

use std::sync::Arc;

use super::{CERTIFICATES, bundle, deleted_bundle, deleted_item, item};
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, Paging, backed_up, blob_to_restore, name, paged, query};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::{Reply, Success};

pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, query) = (Asked::of(&request)?, query(&request)?);
    let (context, paging) = (app.context(&request.head), Paging::of(&query)?);
    let (caller, after) = (&asked.admitted.caller, paging.after.as_ref());
    let (platform, pending) = (&app.platform, query.include_pending == Some(true));
    let page = platform.list_certificates(&context, caller, &asked.vault, after, paging.items, pending).await;
    let path = format!("/{}", CERTIFICATES.live);
    Ok(paged(&asked, &path, &query, &page.map_err(of_vault)?, |head, vault| {
        item(&asked, &head.name, None, &head.current, vault)
    }))
}

pub(super) async fn versions(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name, query) = (Asked::of(&request)?, name(&request)?, query(&request)?);
    let (context, paging) = (app.context(&request.head), Paging::of(&query)?);
    let (caller, after, vault) = (&asked.admitted.caller, paging.after.as_ref(), &asked.vault);
    let platform = &app.platform;
    let found = platform.list_certificate_versions(&context, caller, vault, &name, after, paging.items).await;
    let (name, page) = found.map_err(of_vault)?;
    let path = format!("/{}/{name}/versions", CERTIFICATES.live);
    Ok(paged(&asked, &path, &query, &page, |version, vault| {
        item(&asked, &name, Some(version.version), version, vault)
    }))
}

pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let deleted = app.platform.delete_certificate(&context, caller, &asked.vault, &name).await;
    let (deleted, policy, vault) = deleted.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &deleted_bundle(&asked, &deleted, &vault, policy.as_ref())))
}

pub(super) async fn list_deleted(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, query) = (Asked::of(&request)?, query(&request)?);
    let (context, paging) = (app.context(&request.head), Paging::of(&query)?);
    let (caller, after, vault) = (&asked.admitted.caller, paging.after.as_ref(), &asked.vault);
    let (platform, pending) = (&app.platform, query.include_pending == Some(true));
    let page =
        platform.list_deleted_certificates(&context, caller, vault, after, paging.items, pending).await;
    let path = format!("/{}", CERTIFICATES.deleted);
    Ok(paged(&asked, &path, &query, &page.map_err(of_vault)?, |deleted, vault| {
        deleted_item(&asked, deleted, vault)
    }))
}

pub(super) async fn get_deleted(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let found = app.platform.get_deleted_certificate(&context, caller, &asked.vault, &name).await;
    let (deleted, policy, vault) = found.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &deleted_bundle(&asked, &deleted, &vault, policy.as_ref())))
}

pub(super) async fn purge(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let purged = app.platform.purge_certificate(&context, caller, &asked.vault, &name).await;
    purged.map_err(of_vault)?;
    Ok(Reply::empty(Success::NoContent))
}

pub(super) async fn recover(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let recovered = app.platform.recover_certificate(&context, caller, &asked.vault, &name).await;
    let (head, policy, vault) = recovered.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &bundle(&asked, &head.name, &head.current, &vault, policy.as_ref(), false)))
}

pub(super) async fn backup(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let sealed = app.platform.backup_certificate(&context, caller, &asked.vault, &name).await;
    Ok(backed_up(&sealed.map_err(of_vault)?.blob))
}

pub(super) async fn restore(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let asked = Asked::of(&request)?;
    let blob = blob_to_restore(&mut request).await?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let restored = app.platform.restore_certificate(&context, caller, &asked.vault, &blob).await;
    let (head, policy, vault) = restored.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &bundle(&asked, &head.name, &head.current, &vault, policy.as_ref(), false)))
}
