//! Which process trees were given an identity by `vouchsafe run` and `vouchsafe env`.
//!
//! `POST /agent/v1/bindings` on the agent's own Unix socket binds an identity to a process and its descendants. With
//! `until` = `disconnect` the binding lives as long as the connection (and the root process); with `exit` as long as
//! the root process. The kernel says who registers: the agent's own user or root, and only for their own processes.
//!
//! A caller belongs to the nearest bound ancestor, found by parent ids with start times checked at each step. A
//! process whose parents have all ended hangs below init and has left the tree.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::limits::{BINDING_BODY_BYTES_MAX, BINDINGS_MAX, IDENTITY_NAME_BYTES_MAX};
use crate::peer::Birth;
use crate::peer::ProcessPin;

/// The path of the registration call.
pub const BINDINGS_PATH: &str = "/agent/v1/bindings";
/// How long a client waits for the agent.
const REGISTER_DEADLINE: Duration = Duration::from_secs(5);

/// How long a binding lives.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// Until the connection that made it ends, or the root process.
    #[default]
    Disconnect,
    /// Until the root process ends.
    Exit,
}

/// The body of `POST /agent/v1/bindings`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BindingRequest {
    /// The name of the identity.
    pub identity: String,
    /// The process at the root of the tree.
    pub root_pid: u32,
    /// How long the binding lives.
    #[serde(default)]
    pub until: Until,
}

#[derive(Deserialize, Serialize)]
struct Said {
    message: String,
}

struct Binding {
    identity: String,
    root: Birth,
}

/// The bindings that are in force.
#[derive(Default)]
pub(crate) struct Bindings {
    active: Mutex<HashMap<u64, Binding>>,
    next: AtomicU64,
}

impl Bindings {
    /// The identity of the nearest bound ancestor of `process`, or of itself.
    pub(crate) fn identity_of(&self, process: &ProcessPin) -> Option<String> {
        if self.with(|active| active.is_empty()) {
            return None;
        }
        let lineage = process.lineage();
        self.with(|active| {
            lineage.iter().find_map(|birth| {
                // Of two bindings of one root, the later one counts.
                let of_root = active.iter().filter(|(_, binding)| binding.root == *birth);
                of_root.max_by_key(|(number, _)| **number).map(|(_, binding)| binding.identity.clone())
            })
        })
    }

    fn add(self: &Arc<Self>, identity: String, root: Birth) -> Option<Bound> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.with(|active| {
            if active.len() >= BINDINGS_MAX {
                return None;
            }
            tracing::info!(identity, root_pid = root.pid, "a process tree is bound");
            active.insert(number, Binding { identity, root });
            Some(())
        })?;
        Some(Bound { bindings: Arc::clone(self), number })
    }

    fn with<T>(&self, use_active: impl FnOnce(&mut HashMap<u64, Binding>) -> T) -> T {
        use_active(&mut self.active.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A binding in force; dropping it ends it.
struct Bound {
    bindings: Arc<Bindings>,
    number: u64,
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(binding) = self.bindings.with(|active| active.remove(&self.number)) {
            tracing::info!(
                identity = binding.identity,
                root_pid = binding.root.pid,
                "a process tree is no longer bound"
            );
        }
    }
}

/// An answer that says one thing and then stays open, until the root process ends or the client goes.
pub(crate) struct HeldBody {
    first: Option<Bytes>,
    ended: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match &mut self.ended {
            None => Poll::Ready(None),
            Some(ended) => ended.as_mut().poll(context).map(|()| {
                self.ended = None;
                None
            }),
        }
    }
}

type Answer = Response<http_body_util::Either<Full<Bytes>, HeldBody>>;

/// Answers one request on the agent's own socket; `uid` is the kernel's word for who sent it.
pub(crate) async fn answer(
    request: Request<Incoming>,
    uid: u32,
    bindings: Arc<Bindings>,
    shutdown: CancellationToken,
) -> Result<Answer, Infallible> {
    Ok(match register(request, uid, bindings, shutdown).await {
        Ok(answer) => answer,
        Err((status, message)) => say(status, &message),
    })
}

async fn register(
    request: Request<Incoming>,
    uid: u32,
    bindings: Arc<Bindings>,
    shutdown: CancellationToken,
) -> Result<Answer, (StatusCode, String)> {
    let invalid = |message: String| (StatusCode::BAD_REQUEST, message);
    if request.uri().path() != BINDINGS_PATH {
        return Err((StatusCode::NOT_FOUND, format!("no such path; there is `{BINDINGS_PATH}`")));
    }
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "use POST".to_owned()));
    }
    let body = Limited::new(request.into_body(), BINDING_BODY_BYTES_MAX).collect();
    let body = tokio::time::timeout(REGISTER_DEADLINE, body).await;
    let body = body.map_err(|_| invalid("the body did not arrive in time".to_owned()))?;
    let body = body.map_err(|error| invalid(format!("the body cannot be read: {error}")))?.to_bytes();
    let wanted: BindingRequest = serde_json::from_slice(&body)
        .map_err(|error| invalid(format!("the body is not a binding: {error}")))?;
    let identity = wanted.identity;
    if identity.is_empty()
        || identity.len() > IDENTITY_NAME_BYTES_MAX
        || identity.chars().any(char::is_control)
    {
        return Err(invalid("the identity must have a name of 1 to 128 printable bytes".to_owned()));
    }
    let gone = |error| invalid(format!("there is no process {}: {error}", wanted.root_pid));
    let root = ProcessPin::open(wanted.root_pid).map_err(gone)?;
    let owner = root.ids().map_err(|refusal| invalid(refusal.to_string()))?.uid;
    if uid != 0 && uid != owner {
        return Err((
            StatusCode::FORBIDDEN,
            format!("process {} belongs to uid {owner}, not to you", wanted.root_pid),
        ));
    }
    let birth = root.birth().map_err(gone)?;
    let exit = root.exit_handle().and_then(watch);
    let exit = exit
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot watch the process: {error}")))?;
    let full = || (StatusCode::SERVICE_UNAVAILABLE, "too many process trees are bound".to_owned());
    let bound = bindings.add(identity, birth).ok_or_else(full)?;
    let ended = async move {
        tokio::select! {
            _ = exit.readable() => {}
            () = shutdown.cancelled() => {}
        }
        drop(bound);
    };
    match wanted.until {
        Until::Exit => {
            tokio::spawn(ended);
            Ok(say(StatusCode::CREATED, "bound until the process ends"))
        }
        Until::Disconnect => {
            let body =
                HeldBody { first: Some(said("bound until you disconnect")), ended: Some(Box::pin(ended)) };
            let mut answer = Response::new(http_body_util::Either::Right(body));
            *answer.status_mut() = StatusCode::CREATED;
            Ok(answer)
        }
    }
}

/// Makes a handle that can be awaited.
#[expect(
    deprecated,
    reason = "its successor is unsafe, for types that may change their descriptor; an `OwnedFd` cannot"
)]
fn watch(exit: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(exit)
}

fn said(message: &str) -> Bytes {
    let mut text = serde_json::json!({ "message": message }).to_string();
    text.push('\n');
    Bytes::from(text)
}

fn say(status: StatusCode, message: &str) -> Answer {
    let mut answer = Response::new(http_body_util::Either::Left(Full::new(said(message))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Why a binding could not be made.
#[derive(Debug, Error)]
pub enum BindError {
    /// The agent's socket does not answer.
    #[error(
        "cannot reach the agent at `{socket}`: {reason}; is `vouchsafe agent` or `vouchsafe dev` running?"
    )]
    Unreachable {
        /// The socket.
        socket: String,
        /// What went wrong.
        reason: String,
    },
    /// The agent said no.
    #[error("the agent refused: {0}")]
    Refused(String),
}

/// A binding that the caller made; with [`Until::Disconnect`], dropping it ends it.
pub struct HeldBinding {
    _connection: tokio::task::JoinHandle<()>,
    _end: tokio_util::sync::DropGuard,
}

/// Asks the agent behind `socket` for a binding.
pub async fn bind(socket: &Path, wanted: &BindingRequest) -> Result<HeldBinding, BindError> {
    let unreachable =
        |reason: String| BindError::Unreachable { socket: socket.display().to_string(), reason };
    let asked = tokio::time::timeout(REGISTER_DEADLINE, ask(socket, wanted)).await;
    asked.map_err(|_| unreachable("it does not answer".to_owned()))?.map_err(|error| match error {
        AskError::Transport(reason) => unreachable(reason),
        AskError::Refused(message) => BindError::Refused(message),
    })
}

enum AskError {
    Transport(String),
    Refused(String),
}

async fn ask(socket: &Path, wanted: &BindingRequest) -> Result<HeldBinding, AskError> {
    let transport = |error: &dyn std::error::Error| AskError::Transport(error.to_string());
    let stream = UnixStream::connect(socket).await.map_err(|error| transport(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| transport(&error))?;
    let end = CancellationToken::new();
    let ended = end.clone();
    let connection = tokio::spawn(async move {
        tokio::select! {
            _ = connection => {}
            () = ended.cancelled() => {}
        }
    });
    let end = end.drop_guard();
    let body = serde_json::to_vec(wanted).map_err(|error| transport(&error))?;
    let request =
        Request::post(BINDINGS_PATH).header(http::header::HOST, "agent").body(Full::new(Bytes::from(body)));
    let response = sender.send_request(request.map_err(|error| transport(&error))?).await;
    let response = response.map_err(|error| transport(&error))?;
    let status = response.status();
    let mut body = Limited::new(response.into_body(), BINDING_BODY_BYTES_MAX);
    // The first frame says everything; the answer itself may never end.
    let first =
        body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok()).unwrap_or_default();
    if status != StatusCode::CREATED {
        let said = serde_json::from_slice::<Said>(&first).map(|said| said.message);
        return Err(AskError::Refused(said.unwrap_or_else(|_| format!("status {status}"))));
    }
    // The connection reads on only while somebody wants the body.
    let connection = tokio::spawn(async move {
        while let Some(Ok(_)) = body.frame().await {}
        drop(sender);
        let _ = connection.await;
    });
    Ok(HeldBinding { _connection: connection, _end: end })
}
