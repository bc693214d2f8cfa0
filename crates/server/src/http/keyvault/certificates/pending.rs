//! Certificates that are being made: what clients poll, give up, and complete with what somebody else signed.

use std::sync::Arc;

use http::header;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use vouchsafe_domain::ids::ObjectName;
use vouchsafe_domain::vault::certificate::{
    CertificateToMerge, IssuerChoice, PendingCertificate, PendingStatus,
};
use vouchsafe_wire::keyvault::Query;
use vouchsafe_wire::keyvault::certificate as wire;

use super::{CERTIFICATES, pending_id, policy, shown};
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, BODY, RBAC_ASSIGNMENT_HEADER, body, name, query};
use crate::http::problem::Problem;
use crate::http::refusal::of_vault;
use crate::http::reply::{Reply, Success};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let read = app.platform.get_pending_certificate(&context, caller, &asked.vault, &name).await;
    let read = read.map_err(of_vault)?;
    let reply = operation(Success::Ok, &asked, &read.name, &read.pending);
    Ok(reply.with_header(RBAC_ASSIGNMENT_HEADER, &read.assignment.to_string()))
}

pub(super) async fn update(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::UpdateOperationRequest::parse).await?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let (platform, vault, ends) = (&app.platform, &asked.vault, given.cancellation_requested);
    let updated = platform.update_pending_certificate(&context, caller, vault, &name, ends).await;
    let (name, pending, _) = updated.map_err(of_vault)?;
    Ok(operation(Success::Ok, &asked, &name, &pending))
}

pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let deleted = app.platform.delete_pending_certificate(&context, caller, &asked.vault, &name).await;
    let (name, pending, _) = deleted.map_err(of_vault)?;
    Ok(operation(Success::Ok, &asked, &name, &pending))
}

pub(super) async fn merge(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name) = (Asked::of(&request)?, name(&request)?);
    query(&request)?;
    let given = body(&mut request, &BODY, wire::MergeCertificateRequest::parse).await?;
    let wanted = CertificateToMerge {
        chain: given.x5c.into_iter().map(|certificate| certificate.0).collect(),
        disabled: given.attributes.and_then(|attributes| attributes.enabled).map(|enabled| !enabled),
        tags: given.tags,
    };
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let merged = app.platform.merge_certificate(&context, caller, &asked.vault, &name, &wanted).await;
    Ok(shown(Success::Created, &asked, &merged.map_err(of_vault)?))
}

/// The answer to a create: where to ask how far it is.
pub(super) fn begun(asked: &Asked, query: &Query, name: &ObjectName, pending: &PendingCertificate) -> Reply {
    let version = query.api_version.as_deref().unwrap_or_default();
    let version = match version {
        "" => String::new(),
        version => format!("api-version={}&", utf8_percent_encode(version, RESERVED)),
    };
    let location = format!("{}?{version}request_id={}", pending_id(asked, name), pending.request.as_simple());
    operation(Success::Accepted, asked, name, pending).with_header(header::LOCATION, &location)
}

/// An operation is always answered with when to come again: the pollers of SDKs wait for half a minute otherwise.
fn operation(success: Success, asked: &Asked, name: &ObjectName, pending: &PendingCertificate) -> Reply {
    let seconds = match pending.policy.issuer.name {
        // The next time that somebody asks, it is there.
        IssuerChoice::Itself => "1",
        IssuerChoice::Unknown | IssuerChoice::Named(_) => "10",
    };
    Reply::json(success, &said(asked, name, pending)).with_header(header::RETRY_AFTER, seconds)
}

fn said(asked: &Asked, name: &ObjectName, pending: &PendingCertificate) -> wire::CertificateOperation {
    let error = match &pending.status {
        PendingStatus::Failed(failure) => Some(wire::OperationError {
            code: failure.code.clone(),
            message: failure.message.clone(),
            innererror: None,
        }),
        PendingStatus::InProgress | PendingStatus::Completed | PendingStatus::Cancelled => None,
    };
    let is_completed = pending.status == PendingStatus::Completed;
    wire::CertificateOperation {
        id: pending_id(asked, name),
        issuer: Some(policy::said_issuer(&pending.policy)),
        // A renewal that could not begin has no request.
        csr: (!pending.csr.is_empty()).then(|| wire::Der(pending.csr.clone())),
        cancellation_requested: pending.cancellation_requested,
        status: pending.status.as_str().to_owned(),
        status_details: details(pending).map(str::to_owned),
        error,
        target: is_completed.then(|| asked.identifier(CERTIFICATES, name, None)),
        request_id: pending.request.as_simple().to_string(),
        preserve_cert_order: Some(pending.preserve_order),
    }
}

fn details(pending: &PendingCertificate) -> Option<&'static str> {
    match (&pending.status, &pending.policy.issuer.name) {
        (PendingStatus::InProgress, _) if pending.cancellation_requested => {
            Some("The request is being given up.")
        }
        (PendingStatus::InProgress, IssuerChoice::Unknown) => {
            Some("Have the request (csr) signed by your issuer and merge what it gives you.")
        }
        (PendingStatus::InProgress, _) => Some("The certificate is being made; ask again."),
        _ => None,
    }
}
