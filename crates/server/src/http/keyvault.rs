//! Key Vault's data plane: secrets, for any api-version (wire facts §7).

use std::sync::Arc;

use http::Method;
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_domain::ids::{ObjectName, ObjectVersion, VaultName};
use vouchsafe_domain::limits;
use vouchsafe_domain::ports::store::Cursor;
use vouchsafe_domain::resource::Vault;
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::{
    Attributes, DeletedSecret, Error, SecretHead, SecretPage, SecretToSet, SecretUpdate, SecretVersion,
};
use vouchsafe_wire::json::Budget;
use vouchsafe_wire::keyvault as wire;
use vouchsafe_wire::link::{NextLink, SkipToken};
use vouchsafe_wire::secret_text::SecretText;

use super::app::{Admitted, App};
use super::problem::Problem;
use super::refusal::of_vault;
use super::reply::{Reply, Success};
use super::route::{Guard, Plane, Route};
use super::{Handler, Request, answer};

/// The routes of this plane.
pub fn routes() -> Vec<Route<Handler<App>>> {
    fn route(
        method: Method,
        pattern: &'static str,
        name: &'static str,
        handler: Handler<App>,
    ) -> Route<Handler<App>> {
        Route { plane: Plane::KeyVault, method, pattern, name, guard: Guard::Bearer, handler }
    }
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

/// What every operation knows of its request before it reads a body.
struct Asked {
    admitted: Admitted,
    vault: VaultName,
    origin: String,
}

impl Asked {
    fn of(request: &Request) -> Result<Self, Problem> {
        let admitted = request.admitted()?;
        let address = &request.head.address;
        let vault = address.vault.as_ref().ok_or_else(|| bad("the request names no vault"))?.name.clone();
        Ok(Self { admitted, vault, origin: address.origin.to_string() })
    }
}

fn bad(message: impl Into<String>) -> Problem {
    of_vault(Error::BadParameter(message.into()))
}

fn name(request: &Request) -> Result<ObjectName, Problem> {
    ObjectName::parse(request.params.text("name")).map_err(|error| of_vault(error.into()))
}

fn version(request: &Request) -> Result<Option<ObjectVersion>, Problem> {
    match request.params.text("version") {
        "" => Ok(None),
        raw => ObjectVersion::parse(raw).map(Some).map_err(|error| of_vault(error.into())),
    }
}

fn query(request: &Request) -> Result<wire::Query, Problem> {
    wire::Query::parse(request.head.query()).map_err(|error| bad(error.to_string()))
}

const BODY: Budget = Budget::new(256 * 1024);

async fn set(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let body = request.body_up_to(BODY.bytes_max).await?;
    let body = wire::SetSecretRequest::parse(&body, &BODY).map_err(|error| bad(error.to_string()))?;
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
    Ok(bundle(&asked, &head.name, &head.current, &vault, Some(value)))
}

async fn get(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let context = app.context(&request.head);
    let read = app.platform.get_secret(&context, &asked.admitted.caller, &asked.vault, &name, version).await;
    let read = read.map_err(of_vault)?;
    let (name, version, vault) = (read.name.clone(), read.version.clone(), read.vault.clone());
    let assignment = read.assignment.to_string();
    let value = text_of(read.into_value())?;
    let reply = bundle(&asked, &name, &version, &vault, Some(value));
    Ok(reply.with_header(RBAC_ASSIGNMENT_HEADER, &assignment))
}

const RBAC_ASSIGNMENT_HEADER: http::HeaderName =
    http::HeaderName::from_static("x-ms-keyvault-rbac-assignment-id");

fn text_of(value: SecretBytes) -> Result<SecretText, Problem> {
    let text = SecretString::from_utf8(value).ok_or_else(|| {
        of_vault(vouchsafe_domain::Fault::Broken("a stored secret is not text".to_owned()).into())
    })?;
    Ok(SecretText::new(text.expose(Reason::Answer).to_owned()))
}

async fn update(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    query(&request)?;
    let body = request.body_up_to(BODY.bytes_max).await?;
    let body = wire::UpdateSecretRequest::parse(&body, &BODY).map_err(|error| bad(error.to_string()))?;
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
    Ok(bundle(&asked, &name, &version, &vault, None))
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
    let value = SecretText::new(data_encoding::BASE64URL_NOPAD.encode(&sealed.blob));
    Ok(Reply::wiped_json(Success::Ok, wire::BackupSecretResult { value }.to_json()))
}

async fn restore(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let asked = Asked::of(&request)?;
    let budget = Budget::new(limits::BACKUP_BYTES_MAX * 4 / 3 + 1024);
    let body = request.body_up_to(budget.bytes_max).await?;
    let body = wire::RestoreRequest::parse(&body, &budget).map_err(|error| bad(error.to_string()))?;
    let blob = body.value.expose().trim_end_matches('=').as_bytes();
    let blob = data_encoding::BASE64URL_NOPAD.decode(blob);
    let blob = blob.map_err(|_| bad("the member `value` is not the base64url text that a backup gave"))?;
    let context = app.context(&request.head);
    let restored = app.platform.restore_secret(&context, &asked.admitted.caller, &asked.vault, &blob).await;
    let (head, vault) = restored.map_err(of_vault)?;
    Ok(bundle(&asked, &head.name, &head.current, &vault, None))
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
    Ok(bundle(&asked, &name, &current, &vault, None))
}

struct Paging {
    after: Option<Cursor>,
    items: usize,
}

impl Paging {
    fn of(query: &wire::Query) -> Result<Self, Problem> {
        let items = query.max_results.map_or(Ok(limits::PAGE_ITEMS_MAX), usize::try_from);
        let items = items.map_err(|_| bad("maxresults is out of range"))?;
        Ok(Self { after: query.skip_token.as_ref().map(|token| Cursor(token.place().to_vec())), items })
    }
}

fn paged<T, I: serde::Serialize>(
    asked: &Asked,
    path: &str,
    query: &wire::Query,
    page: &SecretPage<T>,
    show: impl Fn(&T, &Vault) -> I,
) -> Reply {
    let next_link = page.next.as_ref().map(|next| {
        let skip_token = SkipToken::new(next.0.clone());
        NextLink {
            origin: &asked.origin,
            path,
            api_version: query.api_version.as_deref(),
            skip_token: &skip_token,
            max_results: query.max_results,
        }
        .compose()
    });
    let value = page.items.iter().map(|item| show(item, &page.vault)).collect();
    Reply::json(Success::Ok, &wire::Page { value, next_link })
}

/// Azure's dates are whole seconds; one before 1970 or after the year 9999 is a mistake.
fn moment(member: &str, seconds: Option<i64>) -> Result<Option<Timestamp>, Problem> {
    seconds
        .map(|seconds| match u64::try_from(seconds) {
            Ok(seconds) if seconds <= 253_402_300_799 => Ok(Timestamp::from_seconds(seconds)),
            _ => Err(bad(format!("attributes.{member} must be seconds since 1970"))),
        })
        .transpose()
}

fn seconds(moment: Timestamp) -> i64 {
    i64::try_from(moment.seconds()).unwrap_or(i64::MAX)
}

fn attributes(version: &SecretVersion, vault: &Vault) -> wire::SecretAttributes {
    wire::SecretAttributes {
        enabled: !version.attributes.disabled,
        nbf: version.attributes.not_before.map(seconds),
        exp: version.attributes.expires.map(seconds),
        created: seconds(version.created),
        updated: seconds(version.updated),
        recovery_level: recovery_level(vault),
        recoverable_days: vault.retention_days,
    }
}

/// What a deletion can still be undone to, in the words of Key Vault's documentation.
fn recovery_level(vault: &Vault) -> wire::RecoveryLevel {
    match (vault.purge_protection, vault.retention_days >= limits::RETENTION_DAYS_MAX) {
        (false, true) => wire::RecoveryLevel::RecoverablePurgeable,
        (true, true) => wire::RecoveryLevel::Recoverable,
        (false, false) => wire::RecoveryLevel::CustomizedRecoverablePurgeable,
        (true, false) => wire::RecoveryLevel::CustomizedRecoverable,
    }
}

fn tags(version: &SecretVersion) -> Option<std::collections::BTreeMap<String, String>> {
    (!version.attributes.tags.is_empty()).then(|| version.attributes.tags.clone())
}

fn identifier(asked: &Asked, name: &ObjectName, version: Option<ObjectVersion>) -> String {
    wire::identifier(
        &asked.origin,
        "secrets",
        name.as_str(),
        version.map(|version| version.to_string()).as_deref(),
    )
}

fn bundle(
    asked: &Asked,
    name: &ObjectName,
    version: &SecretVersion,
    vault: &Vault,
    value: Option<SecretText>,
) -> Reply {
    let bundle = wire::SecretBundle {
        value,
        id: identifier(asked, name, Some(version.version)),
        content_type: version.attributes.content_type.clone(),
        attributes: attributes(version, vault),
        tags: tags(version),
        kid: None,
        managed: None,
    };
    Reply::wiped_json(Success::Ok, bundle.to_json())
}

fn item(
    asked: &Asked,
    name: &ObjectName,
    shown: Option<ObjectVersion>,
    version: &SecretVersion,
    vault: &Vault,
) -> wire::SecretItem {
    wire::SecretItem {
        id: identifier(asked, name, shown),
        attributes: attributes(version, vault),
        tags: tags(version),
        content_type: version.attributes.content_type.clone(),
        managed: None,
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
        recovery_id: wire::identifier(&asked.origin, "deletedsecrets", name.as_str(), None),
        deleted_date: seconds(deleted.deleted),
        scheduled_purge_date: seconds(deleted.purge_due),
        id: identifier(asked, name, with_version.then_some(current.version)),
        content_type: current.attributes.content_type.clone(),
        attributes: attributes(current, vault),
        tags: tags(current),
        managed: None,
    }
}
