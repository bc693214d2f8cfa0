//! Secure key release (wire facts §7.1): the answer is a signed statement with the key inside, wrapped for the environment.

use std::sync::Arc;

use vouchsafe_crypto::keys::TransportAlgorithm;
use vouchsafe_domain::vault::{KeyOnRelease, KeyReleaseRequest};
use vouchsafe_wire::keyvault::Octets;
use vouchsafe_wire::keyvault::key as wire;

use super::operate::counted;
use super::{attributes, shown_policy, web_key};
use crate::http::Request;
use crate::http::app::App;
use crate::http::keyvault::{Asked, BODY, RBAC_ASSIGNMENT_HEADER, bad, body, name, query, version};
use crate::http::problem::Problem;
use crate::http::reply::{Reply, Success};

pub(super) async fn release(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let (asked, name, version) = (Asked::of(&request)?, name(&request)?, version(&request)?);
    let api_version = query(&request)?.api_version;
    let given = body(&mut request, &BODY, wire::ReleaseRequest::parse).await?;
    if given.nonce.as_ref().is_some_and(|nonce| nonce.len() > wire::ReleaseRequest::NONCE_BYTES_MAX) {
        return Err(bad(format!(
            "the nonce must have at most {} bytes",
            wire::ReleaseRequest::NONCE_BYTES_MAX
        )));
    }
    let algorithm = algorithm(given.enc.as_deref())?;
    let wanted =
        KeyReleaseRequest { target: given.target.expose(), nonce: given.nonce.as_deref(), algorithm };
    let write = |leaving: &KeyOnRelease| {
        let mut key = web_key(&asked, &leaving.name, &leaving.version);
        let kid = key.kid.clone();
        let wrapped = wire::TransferBlob {
            schema_version: wire::ReleasePayload::SCHEMA_VERSION.to_owned(),
            header: wire::TransferHeader {
                kid: leaving.recipient.clone(),
                alg: wire::TransferBlob::ALG.to_owned(),
                enc: algorithm.as_str().to_owned(),
            },
            ciphertext: Octets(leaving.ciphertext.clone()),
            generator: None,
        };
        key.key_hsm = Some(wrapped.to_octets());
        let payload = wire::ReleasePayload {
            request: wire::ReleasePayloadRequest {
                api_version: api_version.clone(),
                enc: algorithm.as_str().to_owned(),
                kid,
                nonce: given.nonce.clone(),
            },
            response: wire::ReleasePayloadResponse {
                key: wire::ReleasePayloadKey {
                    key,
                    attributes: attributes(&leaving.version, &leaving.vault),
                    release_policy: leaving.version.release_policy.as_ref().map(shown_policy),
                },
            },
        };
        payload.to_json()
    };
    let (context, caller) = (app.context(&request.head), &asked.admitted.caller);
    let released =
        app.platform.release_key(&context, caller, &asked.vault, &name, version, &wanted, &write).await;
    let released = counted(&app, "release", algorithm.as_str(), released)?;
    let assignment = released.assignment.to_string();
    let reply = Reply::json(Success::Ok, &wire::ReleaseResult { value: released.into_jws() });
    Ok(reply.with_header(RBAC_ASSIGNMENT_HEADER, &assignment))
}

/// PKCS#11's own layout if nothing is said, as with Azure.
fn algorithm(enc: Option<&str>) -> Result<TransportAlgorithm, Problem> {
    let Some(enc) = enc else { return Ok(TransportAlgorithm::CkmRsaAesKeyWrap) };
    TransportAlgorithm::parse(enc).ok_or_else(|| {
        let known = TransportAlgorithm::ALL.map(TransportAlgorithm::as_str);
        bad(format!("the member `enc` must be one of {}", known.join(", ")))
    })
}
