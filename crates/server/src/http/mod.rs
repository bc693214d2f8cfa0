//! From a request to its handler and back: addresses, the route table, dialects.
//!
//! [`Service::dispatch`] keeps the order that everything else relies on: address, hook before routing (where Key
//! Vault's challenge comes from, before anything else is looked at), route, guard, hook before the handler (where
//! tokens are verified), handler. Around all of it stand the deadline, the shedding of load and the isolation of
//! panics. It knows nothing about what handlers do: their state is a type parameter.

pub mod admin;
pub mod app;
pub mod arm;
pub mod body;
pub mod keyvault;
pub mod node;
pub mod oauth;
pub mod operations;
pub mod pki;
pub mod plane;
pub mod problem;
pub mod refusal;
pub mod reply;
pub mod route;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Response, Uri, header};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;
use zeroize::Zeroizing;

use vouchsafe_domain::ports::{Clock, Entropy};

use crate::limits::Limits;
use crate::telemetry::Telemetry;
use body::{BodyKind, RequestBody};
use plane::{Address, Connection, Names};
use problem::{Fault, Problem};
use reply::{Reply, Stamp, repeatable_id};
use route::{Guard, Params, Plane, Resolution, Table};

/// What answers a route. A row of the table gives it as `|app, request| answer(secret_get(app, request))`.
pub type Handler<A> = fn(Arc<A>, Request) -> BoxFuture<'static, Reply>;

/// Looks at a request's head before it is routed; a reply ends the request.
pub type BeforeRoute<A> = for<'a> fn(&'a Arc<A>, &'a Head) -> BoxFuture<'a, Option<Reply>>;

/// Looks at a routed request and its guard before the handler; a reply ends the request. What it learns about the
/// caller goes into [`Request::extensions`].
pub type BeforeHandler<A> = for<'a> fn(&'a Arc<A>, Guard, &'a mut Request) -> BoxFuture<'a, Option<Reply>>;

/// Turns an asynchronous function that may fail into what a [`Handler`] returns.
pub fn answer<F, R>(future: F) -> BoxFuture<'static, Reply>
where
    F: Future<Output = Result<R, Problem>> + Send + 'static,
    R: Into<Reply>,
{
    Box::pin(future.map(|result| match result {
        Ok(reply) => reply.into(),
        Err(problem) => problem.into(),
    }))
}

/// A request before its body.
pub struct Head {
    /// Our id for it; the caller sees it, and the log has it.
    pub id: Uuid,
    /// The method.
    pub method: Method,
    /// The raw target; what handlers need of the path is in [`Request::params`].
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// What it addresses, and by which public name.
    pub address: Address,
    /// How it arrived.
    pub connection: Connection,
}

impl Head {
    /// The raw query string, for the wire floor to read.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// Says something is wrong with the request in the dialect of its plane.
    pub fn fault(&self, fault: &Fault) -> Problem {
        fault.problem(self.address.plane.dialect())
    }
}

/// A routed request.
pub struct Request {
    /// Everything before the body.
    pub head: Head,
    /// The row's name.
    pub route: &'static str,
    /// What the pattern's parameters matched.
    pub params: Params,
    /// What the hook before the handler found out.
    pub extensions: http::Extensions,
    body: Option<RequestBody>,
    limits: (usize, std::time::Duration),
}

impl Request {
    /// Reads the body within the server's usual limits.
    pub async fn body(&mut self) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let (bytes_max, _) = self.limits;
        self.body_up_to(bytes_max).await
    }

    /// Reads the body within a smaller or larger size than usual. A second call finds nothing.
    pub async fn body_up_to(&mut self, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let (_, timeout) = self.limits;
        let kind = BodyKind::of(self.head.address.plane);
        // SECURITY: two programs that read a body by different rules could be told different things by it; and a form
        // is what any web page can make a browser send, without being asked first.
        if !self.head.headers.get_all(header::CONTENT_TYPE).iter().all(|stated| kind.is_stated_by(stated)) {
            return Err(self.head.fault(&Fault::BodyKind(kind.as_str())));
        }
        match self.body.take() {
            None => Ok(Zeroizing::default()),
            Some(body) => body.read(bytes_max, timeout).await.map_err(|fault| self.head.fault(&fault)),
        }
    }
}

/// Whether the server wants new work; `GET /readyz` tells balancers.
#[derive(Debug, Default)]
pub struct Readiness(AtomicBool);

impl Readiness {
    /// Says yes from now on.
    pub fn ready(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Says no from now on.
    pub fn not_ready(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// The answer.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What the chassis needs to serve an application.
pub struct Parts<A> {
    /// The state that handlers get.
    pub app: Arc<A>,
    /// The routes.
    pub table: Table<Handler<A>>,
    /// The names that are ours.
    pub names: Names,
    /// The hook before routing.
    pub before_route: Option<BeforeRoute<A>>,
    /// The hook before the handler.
    pub before_handler: Option<BeforeHandler<A>>,
    /// The bounds.
    pub limits: Limits,
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
    /// Whether balancers should send work.
    pub readiness: Arc<Readiness>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where request ids come from.
    pub entropy: Arc<dyn Entropy>,
}

/// An application behind its route table.
pub struct Service<A> {
    parts: Parts<A>,
    in_flight: Semaphore,
}

/// The route's name in metrics when there is none.
const NO_ROUTE: &str = "none";

impl<A: Send + Sync + 'static> Service<A> {
    /// Puts the parts together.
    pub fn new(parts: Parts<A>) -> Self {
        let in_flight = Semaphore::new(parts.limits.requests_in_flight_max);
        Self { parts, in_flight }
    }

    /// What the service was made of.
    pub fn parts(&self) -> &Parts<A> {
        &self.parts
    }

    /// Answers one request, whatever happens inside.
    pub async fn dispatch<B: Into<RequestBody>>(
        &self,
        connection: Connection,
        request: http::Request<B>,
    ) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let id = self.parts.entropy.uuid();
        let _counted = self.parts.telemetry.request();
        let (parts, body) = request.into_parts();
        let found = self.parts.names.address(connection.door, &parts.uri, &parts.headers);
        let client_id = ["x-ms-client-request-id", "client-request-id"];
        let client_request_id = repeatable_id(&parts.headers, &client_id).cloned();
        let correlation_id = repeatable_id(&parts.headers, &["x-ms-correlation-request-id"]).cloned();
        let (plane, origin) = match &found {
            Ok(address) => (Some(address.plane), connection.tls.then(|| address.origin.clone())),
            Err(_) => (None, None),
        };
        let mut stamp = Stamp {
            dialect: Plane::Operations.dialect(),
            request_id: id,
            client_request_id: client_request_id.as_ref(),
            correlation_id: correlation_id.as_ref(),
            now: self.parts.clock.now(),
            head: parts.method == Method::HEAD,
            origin: origin.as_ref(),
        };
        let mut route = NO_ROUTE;
        let reply = match found {
            Err(error) => Fault::Host(error).problem(stamp.dialect).into(),
            Ok(address) => {
                stamp.dialect = address.plane.dialect();
                let head = Head {
                    id,
                    method: parts.method,
                    uri: parts.uri,
                    headers: parts.headers,
                    address,
                    connection,
                };
                self.guarded(head, body.into(), &mut route).await
            }
        };
        let status = reply.status();
        let took = started.elapsed();
        self.parts.telemetry.answered(plane, route, status, took);
        let plane = plane.map_or("none", Plane::as_str);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if status.is_server_error() {
            tracing::warn!(%id, plane, route, status = status.as_u16(), micros, "answered");
        } else {
            tracing::debug!(%id, plane, route, status = status.as_u16(), micros, "answered");
        }
        reply.finish(&stamp)
    }

    /// Sheds load, keeps the deadline, survives panics. Cancelling a handler is safe because every change it makes
    /// is one commit.
    async fn guarded(&self, head: Head, body: RequestBody, route: &mut &'static str) -> Reply {
        let plane = head.address.plane;
        let dialect = plane.dialect();
        // Health and the administrators on this machine are answered also when everything else is busy.
        let permit = self.in_flight.try_acquire();
        if permit.is_err() && !matches!(plane, Plane::Operations | Plane::Admin) {
            self.parts.telemetry.shed();
            return Fault::Overloaded.problem(dialect).into();
        }
        let id = head.id;
        let method = head.method.clone();
        let span = tracing::info_span!("request", %id, %method, plane = plane.as_str(), route = tracing::field::Empty);
        let inside = AssertUnwindSafe(self.routed(head, body, route)).catch_unwind().instrument(span);
        match tokio::time::timeout(self.parts.limits.request_timeout, inside).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => {
                // The panic hook has written the message and the place; here is the id that the caller has.
                tracing::error!(%id, plane = plane.as_str(), route, "a handler panicked");
                self.parts.telemetry.panicked();
                Fault::Panicked.problem(dialect).into()
            }
            Err(_) => Fault::Deadline.problem(dialect).into(),
        }
    }

    async fn routed(&self, head: Head, body: RequestBody, name: &mut &'static str) -> Reply {
        let app = &self.parts.app;
        if let Some(hook) = self.parts.before_route
            && let Some(reply) = hook(app, &head).await
        {
            return reply;
        }
        let plane = head.address.plane;
        let path = head.uri.path().strip_prefix(head.address.base_path).unwrap_or_default();
        let path = if plane == Plane::Pki { pki::routed(path) } else { path };
        let (route, params) = match self.parts.table.resolve(plane, &head.method, path) {
            Ok(Resolution::Found(route, params)) => (route, params),
            Ok(Resolution::MethodNotAllowed(allow)) => return head.fault(&Fault::WrongMethod(allow)).into(),
            Ok(Resolution::NotFound) => return head.fault(&Fault::NoRoute).into(),
            Err(error) => return head.fault(&Fault::Uri(error)).into(),
        };
        *name = route.name;
        tracing::Span::current().record("route", route.name);
        // SECURITY: the kernel's word is checked here for every such route; tokens are the hook's.
        if route.guard == Guard::KernelPeer && head.connection.peer.is_none() {
            return head.fault(&Fault::NotLocal).into();
        }
        let limits = (self.parts.limits.body_bytes_max, self.parts.limits.body_timeout);
        let extensions = http::Extensions::new();
        let mut request = Request { head, route: route.name, params, extensions, body: Some(body), limits };
        if let Some(hook) = self.parts.before_handler
            && let Some(reply) = hook(app, route.guard, &mut request).await
        {
            return reply;
        }
        (route.handler)(app.clone(), request).await
    }
}

#[cfg(test)]
pub(crate) mod tests;
