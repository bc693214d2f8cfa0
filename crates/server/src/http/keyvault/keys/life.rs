//! Keys in lists, their deletion and their return.

use std::sync::Arc;

use super::{KEYS, deleted_bundle, deleted_item, item, shown};
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
    let page = app.platform.list_keys(&context, caller, &asked.vault, after, paging.items).await;
    Ok(paged(&asked, &format!("/{}", KEYS.live), &query, &page.map_err(of_vault)?, |head, vault| {
        item(&asked, &head.name, None, &head.current, vault)
    }))
}

pub(super) async fn versions(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name, query) = (Asked::of(&request)?, name(&request)?, query(&request)?);
    let (context, paging) = (app.context(&request.head), Paging::of(&query)?);
    let (caller, after) = (&asked.admitted.caller, paging.after.as_ref());
    let found =
        app.platform.list_key_versions(&context, caller, &asked.vault, &name, after, paging.items).await;
    let (name, page) = found.map_err(of_vault)?;
    Ok(paged(&asked, &format!("/{}/{name}/versions", KEYS.live), &query, &page, |version, vault| {
        item(&asked, &name, Some(version.version), version, vault)
    }))
}

pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let deleted = app.platform.delete_key(&context, &asked.admitted.caller, &asked.vault, &name).await;
    let (deleted, vault) = deleted.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &deleted_bundle(&asked, &deleted, &vault)))
}

pub(super) async fn list_deleted(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, query) = (Asked::of(&request)?, query(&request)?);
    let (context, paging) = (app.context(&request.head), Paging::of(&query)?);
    let (caller, after) = (&asked.admitted.caller, paging.after.as_ref());
    let page = app.platform.list_deleted_keys(&context, caller, &asked.vault, after, paging.items).await;
    Ok(paged(&asked, &format!("/{}", KEYS.deleted), &query, &page.map_err(of_vault)?, |deleted, vault| {
        deleted_item(&asked, deleted, vault)
    }))
}

pub(super) async fn get_deleted(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let found = app.platform.get_deleted_key(&context, &asked.admitted.caller, &asked.vault, &name).await;
    let (deleted, vault) = found.map_err(of_vault)?;
    Ok(Reply::json(Success::Ok, &deleted_bundle(&asked, &deleted, &vault)))
}

pub(super) async fn purge(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let purged = app.platform.purge_key(&context, &asked.admitted.caller, &asked.vault, &name).await;
    purged.map_err(of_vault)?;
    Ok(Reply::empty(Success::NoContent))
}

pub(super) async fn recover(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let recovered = app.platform.recover_key(&context, &asked.admitted.caller, &asked.vault, &name).await;
    let (head, vault) = recovered.map_err(of_vault)?;
    Ok(shown(&asked, &head, &vault))
}

pub(super) async fn backup(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    let context = app.context(&request.head);
    let sealed = app.platform.backup_key(&context, &asked.admitted.caller, &asked.vault, &name).await;
    Ok(backed_up(&sealed.map_err(of_vault)?.blob))
}

pub(super) async fn restore(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let asked = Asked::of(&request)?;
    let blob = blob_to_restore(&mut request).await?;
    let context = app.context(&request.head);
    let restored = app.platform.restore_key(&context, &asked.admitted.caller, &asked.vault, &blob).await;
    let (head, vault) = restored.map_err(of_vault)?;
    Ok(shown(&asked, &head, &vault))
}
