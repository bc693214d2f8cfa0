//! What node agents ask: tokens for processes they attested. Only over the admin socket, where the kernel says who the
//! agent is.

use std::sync::Arc;

use http::Method;
use vouchsafe_crypto::Reason;
use vouchsafe_domain::identity::{Process, Requested};
use vouchsafe_domain::ids::{ClientId, PrincipalId};
use vouchsafe_domain::token::{Error, NodeGrant};
use vouchsafe_wire::json::{self, Budget};
use vouchsafe_wire::node::{AccessToken, BODY_BYTES_MAX, TokenAnswer, TokenRequest};

use super::app::App;
use super::problem::{Class, Dialect, Problem};
use super::refusal::of_fault;
use super::reply::{Reply, Success};
use super::route::{Guard, Plane, Route};
use super::{Handler, Request, answer};

/// The routes of this plane.
pub fn routes() -> Vec<Route<Handler<App>>> {
    vec![Route {
        plane: Plane::Node,
        method: Method::POST,
        pattern: "/node/v1/token",
        name: "node_token",
        guard: Guard::KernelPeer,
        handler: |app, request| answer(token(app, request)),
    }]
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(Class::Invalid, "invalid_request", message)
}

async fn token(app: Arc<App>, mut request: Request) -> Result<Reply, Problem> {
    let body = request.body_up_to(BODY_BYTES_MAX).await?;
    let asked: TokenRequest =
        json::parse(&body, &Budget::new(BODY_BYTES_MAX)).map_err(|error| invalid(error.to_string()))?;
    let sha256 = data_encoding::HEXLOWER_PERMISSIVE.decode(asked.process.exe_sha256.as_bytes()).ok();
    let sha256: [u8; 32] = sha256
        .and_then(|digest| digest.try_into().ok())
        .ok_or_else(|| invalid("process.exe_sha256 must be 64 hexadecimal digits"))?;
    // An id that cannot be one belongs to nobody: the same answer as for an identity that is not there.
    let client = asked.client_id.as_deref().map(ClientId::parse).transpose();
    let principal = asked.object_id.as_deref().map(PrincipalId::parse).transpose();
    let (Ok(client), Ok(principal)) = (client, principal) else {
        return Err(Problem::new(
            Class::Denied,
            "no_identity",
            "the identity asked for is not bound to this process",
        ));
    };
    let grant = NodeGrant {
        process: Process {
            pid: asked.process.pid,
            uid: asked.process.uid,
            gid: asked.process.gid,
            path: asked.process.exe_path,
            sha256,
            unit: asked.process.unit,
            run_identity: asked.process.run_identity,
        },
        requested: Requested { client, principal, resource_id: asked.resource_id },
        resource: asked.resource,
    };
    let context = app.context(&request.head);
    let granted = app.platform.grant_workload(&context, &grant).await.map_err(refused)?;
    let answer = TokenAnswer {
        access_token: AccessToken::new(granted.token.access_token.expose(Reason::Answer).to_owned()),
        expires_on: granted.token.expires.seconds(),
        not_before: granted.token.not_before.seconds(),
        resource: granted.token.audience.name,
        token_type: "Bearer".to_owned(),
        client_id: granted.client.to_string(),
    };
    Ok(Reply::json(Success::Ok, &answer))
}

fn refused(error: Error) -> Problem {
    let message = error.to_string();
    match error {
        Error::NoIdentity { .. } => Problem::new(Class::Denied, "no_identity", message),
        Error::AmbiguousIdentity { .. } => Problem::new(Class::Conflict, "ambiguous", message),
        Error::ResourceUnknown(_) | Error::BadScope(_) => {
            Problem::new(Class::Invalid, "unknown_resource", message)
        }
        Error::Fault(fault) => Problem { code: "unavailable".into(), ..of_fault(Dialect::Node, &fault) },
        Error::TenantUnknown(_)
        | Error::ClientUnknown(_)
        | Error::ClientDisabled(_)
        | Error::BadSecret
        | Error::AssertionSignature { .. }
        | Error::AssertionTime
        | Error::AssertionMalformed(_) => Problem::new(Class::Invalid, "invalid_request", message),
    }
}
