//! What authorities in vaults publish, for whoever asks: their certificates, revocation lists (RFC 5280 §4.2.1.13) and
//! answers about single certificates (RFC 6960 appendix A). Certificates say these addresses; nobody who checks one has
//! a token.

use std::sync::Arc;

use data_encoding::BASE64;
use http::{Method, header};
use percent_encoding::percent_decode_str;
use uuid::Uuid;
use vouchsafe_crypto::pki::OcspError;
use vouchsafe_crypto::pki::ocsp::OCSP_REQUEST_BYTES_MAX;
use vouchsafe_domain::ids::VaultName;
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::AuthorityId;

use super::app::App;
use super::problem::{Class, Dialect, Problem};
use super::refusal::of_fault;
use super::reply::{Reply, Success};
use super::route::{Guard, Plane, Route};
use super::{Handler, Request, answer};
use crate::limits::PKI_CACHE_SECONDS_MAX;

/// The routes of this plane.
pub fn routes() -> Vec<Route<Handler<App>>> {
    fn route(
        method: Method,
        pattern: &'static str,
        name: &'static str,
        handler: Handler<App>,
    ) -> Route<Handler<App>> {
        Route { plane: Plane::Pki, method, pattern, name, guard: Guard::None, handler }
    }
    vec![
        route(Method::GET, "/pki/{authority}/certificate", "authority_certificate", |app, request| {
            answer(certificate(app, request))
        }),
        route(Method::GET, "/pki/{authority}/crl", "authority_revocation_list", |app, request| {
            answer(revocation_list(app, request))
        }),
        route(Method::POST, "/pki/{authority}/ocsp", "authority_ocsp", |app, request| {
            answer(ocsp(app, request))
        }),
        route(Method::GET, "/pki/{authority}/ocsp", "authority_ocsp_get", |app, request| {
            answer(ocsp_in_path(app, request))
        }),
    ]
}

/// What comes before an OCSP request that is part of the path, and the request as it was written.
///
/// It is base64, whose slashes are data, escaped or not (RFC 6960 appendix A.1): it is taken off before the path is
/// read in segments, where an escaped slash is refused.
fn split(path: &str) -> (&str, &str) {
    let middle = "/ocsp";
    match path.split_once("/ocsp/") {
        Some((before, asked)) => (path.get(..before.len() + middle.len()).unwrap_or(path), asked),
        None => (path, ""),
    }
}

/// The part of a path on this plane that the route table resolves.
pub(super) fn routed(path: &str) -> &str {
    split(path).0
}

/// Which authority the address names. There is one spelling of an id, as certificates say it.
fn authority(request: &Request) -> Result<(VaultName, AuthorityId), Problem> {
    let vault = request.head.address.vault.as_ref().ok_or_else(absent)?.name.clone();
    let raw = request.params.text("authority");
    let id = Uuid::try_parse(raw).ok().filter(|id| id.to_string() == raw);
    Ok((vault, AuthorityId(id.ok_or_else(absent)?)))
}

fn absent() -> Problem {
    Problem::usual(Dialect::Ours, Class::Absent, "there is no certificate authority at this address")
}

/// Whether it is the vault or the authority that does not exist is nobody's business here.
fn refused(error: Error) -> Problem {
    match error {
        Error::Fault(fault) => of_fault(Dialect::Ours, &fault),
        _ => absent(),
    }
}

async fn certificate(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (vault, id) = authority(&request)?;
    let found = app.platform.authority_certificate(&vault, id).await.map_err(refused)?;
    Ok(kept(Reply::binary(Success::Ok, "application/pkix-cert", found), PKI_CACHE_SECONDS_MAX))
}

async fn revocation_list(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (vault, id) = authority(&request)?;
    let found = app.platform.authority_revocation_list(&vault, id).await.map_err(refused)?;
    let (list, next_update) = found;
    let left = next_update.since(app.platform.time().now()).as_secs();
    Ok(kept(Reply::binary(Success::Ok, "application/pkix-crl", list), left.min(PKI_CACHE_SECONDS_MAX)))
}

async fn ocsp(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (vault, id) = authority(&request)?;
    let body = request.body_up_to(OCSP_REQUEST_BYTES_MAX).await?;
    let context = app.context(&request.head);
    let said = app.platform.authority_ocsp_answer(&context, &vault, id, &body).await;
    // RFC 9111 §4: what was asked by POST is not remembered.
    Ok(Reply::binary(Success::Ok, OCSP_RESPONSE, said))
}

async fn ocsp_in_path(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (vault, id) = authority(&request)?;
    let (_, asked) = split(request.head.uri.path());
    let asked: Vec<u8> = percent_decode_str(asked).collect();
    let Ok(asked) = BASE64.decode(&asked) else {
        return Ok(Reply::binary(Success::Ok, OCSP_RESPONSE, OcspError::MalformedRequest.to_der()));
    };
    let context = app.context(&request.head);
    let said = app.platform.authority_ocsp_answer(&context, &vault, id, &asked).await;
    // What says that there is no answer has five bytes, and may be another one a moment later.
    let is_answer = said.len() > OcspError::TryLater.to_der().len();
    let reply = Reply::binary(Success::Ok, OCSP_RESPONSE, said);
    Ok(if is_answer { kept(reply, PKI_CACHE_SECONDS_MAX) } else { reply })
}

const OCSP_RESPONSE: &str = "application/ocsp-response";

/// RFC 5019 §6.2: it may be remembered by everybody, and not for longer than this.
fn kept(reply: Reply, seconds: u64) -> Reply {
    let rule = format!("public, max-age={seconds}, no-transform, must-revalidate");
    reply.with_header(header::CACHE_CONTROL, &rule)
}
