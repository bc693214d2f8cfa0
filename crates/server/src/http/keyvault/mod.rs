//! Key Vault's data plane, for any api-version (wire facts §7): what is the same for secrets, keys and certificates.

mod certificates;
mod keys;
mod secrets;

use std::collections::BTreeMap;

use http::Method;
use vouchsafe_domain::ids::{ObjectName, ObjectVersion, VaultName};
use vouchsafe_domain::limits;
use vouchsafe_domain::ports::store::Cursor;
use vouchsafe_domain::resource::Vault;
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::{Error, ObjectPage};
use vouchsafe_wire::json::{BadBody, Budget};
use vouchsafe_wire::keyvault as wire;
use vouchsafe_wire::link::{NextLink, SkipToken};
use vouchsafe_wire::secret_text::SecretText;

use super::app::{Admitted, App};
use super::problem::Problem;
use super::refusal::of_vault;
use super::reply::{Reply, Success};
use super::route::{Guard, Plane, Route};
use super::{Handler, Request};

/// The routes of this plane.
pub fn routes() -> Vec<Route<Handler<App>>> {
    let mut routes = secrets::routes();
    routes.extend(keys::routes());
    routes.extend(certificates::routes());
    routes
}

/// A row of this plane; every one of them asks for a token.
fn route(
    method: Method,
    pattern: &'static str,
    name: &'static str,
    handler: Handler<App>,
) -> Route<Handler<App>> {
    Route { plane: Plane::KeyVault, method, pattern, name, guard: Guard::Bearer, handler }
}

/// The kinds of objects, by the words that stand for them in addresses and identifiers.
#[derive(Clone, Copy)]
struct Collection {
    live: &'static str,
    deleted: &'static str,
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

    fn identifier(
        &self,
        collection: Collection,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> String {
        let version = version.map(|version| version.to_string());
        wire::identifier(&self.origin, collection.live, name.as_str(), version.as_deref())
    }

    fn recovery_id(&self, collection: Collection, name: &ObjectName) -> String {
        wire::identifier(&self.origin, collection.deleted, name.as_str(), None)
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

/// How much a body may cost, other than one that carries a backup.
const BODY: Budget = Budget::new(256 * 1024);

/// Reads a body into one of the wire's shapes, within a budget.
async fn body<T>(
    request: &mut Request,
    budget: &Budget,
    parse: fn(&[u8], &Budget) -> Result<T, BadBody>,
) -> Result<T, Problem> {
    let body = request.body_up_to(budget.bytes_max).await?;
    parse(&body, budget).map_err(|error| bad(error.to_string()))
}

const RBAC_ASSIGNMENT_HEADER: http::HeaderName =
    http::HeaderName::from_static("x-ms-keyvault-rbac-assignment-id");

/// Where a page begins, and how long it is.
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
    page: &ObjectPage<T>,
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
            include_pending: query.include_pending,
        }
        .compose()
    });
    let value = page.items.iter().map(|item| show(item, &page.vault)).collect();
    Reply::json(Success::Ok, &wire::Page { value, next_link })
}

/// The one opaque text that a backup is.
fn backed_up(blob: &[u8]) -> Reply {
    let value = SecretText::new(data_encoding::BASE64URL_NOPAD.encode(blob));
    Reply::wiped_json(Success::Ok, wire::BackupResult { value }.to_json())
}

/// The blob that a restore brings back.
async fn blob_to_restore(request: &mut Request) -> Result<Vec<u8>, Problem> {
    let budget = Budget::new(limits::BACKUP_BYTES_MAX * 4 / 3 + 1024);
    let given = body(request, &budget, wire::RestoreRequest::parse).await?;
    let text = given.value.expose().trim_end_matches('=').as_bytes();
    let blob = data_encoding::BASE64URL_NOPAD.decode(text);
    blob.map_err(|_| bad("the member `value` is not the base64url text that a backup gave"))
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

/// The life of a version, as far as all kinds of objects have it.
struct Life {
    disabled: bool,
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
    created: Timestamp,
    updated: Timestamp,
}

impl Life {
    fn shown(&self, vault: &Vault) -> wire::Attributes {
        wire::Attributes {
            enabled: !self.disabled,
            nbf: self.not_before.map(seconds),
            exp: self.expires.map(seconds),
            created: seconds(self.created),
            updated: seconds(self.updated),
            recovery_level: recovery_level(vault),
            recoverable_days: vault.retention_days,
        }
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

/// Real vaults leave the member out while there are none.
fn shown_tags(tags: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!tags.is_empty()).then(|| tags.clone())
}
