//! Our own administration, on the local socket, where the kernel is the login.

mod apply;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use vouchsafe_crypto::Reason;
use vouchsafe_domain::audit::{Entry, Outcome, Subject};
use vouchsafe_domain::ids::ClientId;
use vouchsafe_domain::ports::log::Position;
use vouchsafe_domain::resource::Error;
use vouchsafe_domain::timekeeping::ClockStanding;
use vouchsafe_wire::admin::{
    AuditEntry, AuditTail, ClientSecret, ClientSecretRequest, ClockConfirmed, ClockStatus, LogStatus, Status,
};
use vouchsafe_wire::form::{Budget as FormBudget, Form};
use vouchsafe_wire::json::{self, Budget};
use vouchsafe_wire::oauth::TokenResponseV1;
use vouchsafe_wire::secret_text::SecretText;

use super::app::App;
use super::problem::{Class, Dialect, Problem};
use super::refusal::{of_fault, of_resource, of_token};
use super::reply::{Reply, Success};
use super::route::{Guard, Plane, Route};
use super::{Handler, Request, answer};
use crate::rekeying::Rekeying;

/// The routes of this plane.
pub fn routes() -> Vec<Route<Handler<App>>> {
    fn route(
        method: Method,
        pattern: &'static str,
        name: &'static str,
        handler: Handler<App>,
    ) -> Route<Handler<App>> {
        Route { plane: Plane::Admin, method, pattern, name, guard: Guard::KernelPeer, handler }
    }
    vec![
        route(Method::GET, "/admin/v1/status", "admin_status", |app, request| answer(status(app, request))),
        route(Method::POST, "/admin/v1/apply", "admin_apply", |app, request| {
            answer(apply::apply(app, request))
        }),
        route(Method::POST, "/admin/v1/token", "admin_token", |app, request| answer(token(app, request))),
        route(Method::GET, "/admin/v1/audit", "admin_audit", |app, request| answer(audit(app, request))),
        route(Method::POST, "/admin/v1/client-secrets", "admin_client_secret", |app, request| {
            answer(client_secret(app, request))
        }),
        route(Method::POST, "/admin/v1/clock/confirm", "admin_clock_confirm", |app, request| {
            answer(confirm_clock(app, request))
        }),
        route(Method::POST, "/admin/v1/rekey", "admin_rekey", |app, request| answer(rekey(app, request))),
        route(Method::GET, "/admin/v1/rekey", "admin_rekey_status", |app, request| {
            answer(rekey_status(app, request))
        }),
    ]
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(Class::Invalid, "invalid_request", message)
}

async fn status(app: Arc<App>, _: Request) -> Result<Reply, Problem> {
    let status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: app.readiness.is_ready(),
        problem: None,
        started_at: app.started_at.clone(),
        endpoints: app.endpoints.clone(),
        log: LogStatus {
            size: app.platform.trail().len(),
            checkpoint_size: app.log.checkpoint_size(),
            verifier: app.log.verifier(),
        },
        clock: clock(&app),
    };
    Ok(Reply::json(Success::Ok, &status))
}

fn clock(app: &App) -> ClockStatus {
    let time = app.platform.time();
    let (standing, by) = named(time.standing());
    ClockStatus { standing: standing.to_owned(), seconds: by.as_secs(), now: time.now().rfc3339() }
}

const fn named(standing: ClockStanding) -> (&'static str, Duration) {
    match standing {
        ClockStanding::Sound => ("sound", Duration::ZERO),
        ClockStanding::Behind(by) => ("behind", by),
        ClockStanding::Ahead(by) => ("ahead", by),
    }
}

/// An administrator says that the wall clock is right.
async fn confirm_clock(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    request.admitted()?;
    let context = app.context(&request.head);
    let before = app.platform.confirm_clock(&context).await;
    let (before, by) = named(before.map_err(|fault| of_fault(Dialect::Ours, &fault))?);
    let (before, seconds) = (before.to_owned(), by.as_secs());
    Ok(Reply::json(Success::Ok, &ClockConfirmed { before, seconds, clock: clock(&app) }))
}

const QUERY: FormBudget = FormBudget { bytes_max: 4 * 1024, fields_max: 8 };
const BODY: Budget = Budget::new(64 * 1024);

/// A token for the local administrator, for programs that speak only the public protocols.
async fn token(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let mut query = Form::parse(request.head.query().unwrap_or_default().as_bytes(), &QUERY)
        .map_err(|error| invalid(error.to_string()))?;
    let resource = query.take_plain("resource").map_err(|error| invalid(error.to_string()))?;
    let resource = resource
        .ok_or_else(|| invalid("say for which resource, as in `?resource=https://vault.azure.net`"))?;
    let context = app.context(&request.head);
    let issued = app.platform.grant_local_administrator(&context, &admitted.tenant, &resource).await;
    let issued = issued.map_err(of_token)?;
    let lifetime = issued.expires.since(context.now()).as_secs();
    let token = SecretText::new(issued.access_token.expose(Reason::Answer).to_owned());
    let json =
        TokenResponseV1::bearer(token, issued.audience.name, issued.not_before.seconds(), lifetime).to_json();
    Ok(Reply::wiped_json(Success::Ok, json))
}

const TAIL_MAX: u32 = 1_000;
/// The audit entry's action when somebody reads the log.
const READ_AUDIT: &str = "vouchsafe/auditLog/read";

/// Entries from a position on; without one, the newest.
async fn audit(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let malformed = |error: vouchsafe_wire::form::BadForm| invalid(error.to_string());
    let mut query =
        Form::parse(request.head.query().unwrap_or_default().as_bytes(), &QUERY).map_err(malformed)?;
    let limit = query.take_number("limit").map_err(malformed)?.unwrap_or(100).clamp(1, TAIL_MAX);
    let from = match query.take_plain("from").map_err(malformed)? {
        None => app.platform.trail().len().saturating_sub(u64::from(limit)),
        Some(text) => text.parse().map_err(|_| invalid("`from` must be the number of an entry"))?,
    };
    let trail = app.platform.trail();
    let entries = trail.read(Position(from), usize::try_from(limit).unwrap_or(usize::MAX)).await;
    let entries = entries.map_err(|error| of_fault(Dialect::Ours, &error.into()))?;
    // SECURITY: who reads the log is in the log before anybody has it. Whoever learns only that the log was read learns
    // nothing more, and is not recorded again; a reader who follows would read about nothing but himself for ever.
    let tells =
        |(_, bytes): &(_, Vec<u8>)| Entry::decode(bytes).is_none_or(|entry| entry.action != READ_AUDIT);
    if entries.iter().any(tells) {
        let context = app.context(&request.head);
        let subject = Subject { by: "kernel".to_owned(), ..Subject::default() };
        let mut entry = Entry::new(context.request, subject, READ_AUDIT, "/", context.now());
        entry.from.clone_from(&context.from);
        let recorded = trail.record(entry.outcome(Outcome::Done, None)).await;
        recorded.map_err(|fault| of_fault(Dialect::Ours, &fault))?;
    }
    let next = entries.last().map_or(from, |(position, _)| position.0 + 1);
    let entries =
        entries.into_iter().map(|(position, bytes)| shown(position, &bytes)).collect::<Result<_, _>>()?;
    Ok(Reply::json(Success::Ok, &AuditTail { entries, next }))
}

/// The log's own JSON with the position added: the two shapes have the same members.
fn shown(position: Position, bytes: &[u8]) -> Result<AuditEntry, Problem> {
    let broken = || {
        let fault = vouchsafe_domain::Fault::Broken(format!("audit entry {} cannot be read", position.0));
        of_fault(Dialect::Ours, &fault)
    };
    let mut entry: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| broken())?;
    entry.as_object_mut().ok_or_else(broken)?.insert("position".to_owned(), position.0.into());
    serde_json::from_value(entry).map_err(|_| broken())
}

/// New keys for the deployment, every tenant and every vault. Answers when that is begun, not when it is done.
async fn rekey(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    request.admitted()?;
    let rekeying = rekeying(&app)?;
    let context = app.context(&request.head);
    rekeying.begin(&context).await.map_err(|fault| of_fault(Dialect::Ours, &fault))?;
    Ok(Reply::json(Success::Accepted, &rekeying.status()))
}

async fn rekey_status(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    request.admitted()?;
    Ok(Reply::json(Success::Ok, &rekeying(&app)?.status()))
}

fn rekeying(app: &App) -> Result<Arc<Rekeying>, Problem> {
    app.rekeying.clone().ok_or_else(|| invalid("this store has no keys to replace"))
}

async fn client_secret(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let admitted = request.admitted()?;
    let body = request.body_up_to(BODY.bytes_max).await?;
    let asked: ClientSecretRequest = json::parse(&body, &BODY).map_err(|error| invalid(error.to_string()))?;
    let tenant = match &asked.tenant {
        None => admitted.tenant.clone(),
        Some(named) => {
            let found = app
                .platform
                .world()
                .tenants()
                .find(|tenant| {
                    tenant.tenant().display_name == *named || tenant.tenant().id.to_string() == *named
                })
                .cloned();
            found.ok_or_else(|| of_resource(Error::NotFound { kind: "tenant", name: named.clone() }))?
        }
    };
    let client = ClientId::parse(&asked.application).ok();
    let application = tenant
        .applications()
        .find(|application| {
            Some(application.client) == client || application.display_name == asked.application
        })
        .ok_or_else(|| {
            of_resource(Error::NotFound { kind: "application", name: asked.application.clone() })
        })?;
    let lifetime = asked.lifetime_days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
    let context = app.context(&request.head);
    let caller = app.platform.local_administrator(&tenant);
    let generated = app
        .platform
        .generate_client_secret(&context, &caller, tenant.tenant().id, application.client, lifetime)
        .await
        .map_err(of_resource)?;
    let shown = ClientSecret {
        client_id: application.client.to_string(),
        key_id: generated.credential.id.to_string(),
        secret: SecretText::new(generated.value.expose(Reason::Answer).to_owned()),
        expires_at: generated.credential.expires.rfc3339(),
    };
    Ok(Reply::wiped_json(Success::Created, shown.to_json()))
}
