//! The whole server in process: every route, the real platform in memory, no socket.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod tenants;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use vouchsafe_server::assemble::routes;
use vouchsafe_server::http::app::{App, LogFacts, before_handler, before_route};
pub use vouchsafe_server::http::plane::Connection;
use vouchsafe_server::http::plane::{Door, Host, KernelPeer, Names};
use vouchsafe_server::http::route::{Resolution, Table};
use vouchsafe_server::http::{Parts, Readiness, Service};
use vouchsafe_server::limits::Limits;
use vouchsafe_server::telemetry::Telemetry;
use vouchsafe_testkit::world::{InMemory, KEY_VAULT, ORIGIN, Opened};
use vouchsafe_wire::admin::Endpoints;

/// How clients on the network arrive.
pub const TLS: Connection = Connection { door: Door::Tls, remote: None, tls: true, peer: None };
/// How an administrator on this machine arrives.
pub const SOCKET: Connection = Connection {
    door: Door::AdminSocket,
    remote: None,
    tls: false,
    peer: Some(KernelPeer { uid: 0, gid: 0, pid: Some(1) }),
};
/// The host of the token service and of Resource Manager.
pub const HOST: &str = "localhost:8443";

/// A server over a platform in memory.
pub struct InProcess {
    /// What survives.
    pub memory: InMemory,
    /// The platform.
    pub opened: Opened,
    /// The server.
    pub service: Arc<Service<App>>,
}

struct NoFacts;

impl LogFacts for NoFacts {
    fn checkpoint_size(&self) -> u64 {
        0
    }

    fn verifier(&self) -> String {
        String::new()
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: String,
    /// The host.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// A body that is no text.
    pub bytes: Option<Vec<u8>>,
}

impl Ask {
    /// A request without headers and body.
    pub fn new(method: impl ToString, host: &str, path: &str) -> Self {
        let (host, path) = (host.to_owned(), path.to_owned());
        Self { method: method.to_string(), host, path, headers: Vec::new(), body: String::new(), bytes: None }
    }

    /// With a header.
    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// With a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With a body.
    pub fn body(mut self, body: impl ToString) -> Self {
        self.body = body.to_string();
        self
    }

    /// With every text replaced, wherever it stands.
    pub fn renamed(&self, names: &[(String, String)]) -> Self {
        let all = |text: &str| names.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let headers = self.headers.iter().map(|(name, value)| (*name, all(value))).collect();
        let (host, path, body) = (all(&self.host), all(&self.path), all(&self.body));
        Self { method: self.method.clone(), host, path, headers, body, bytes: self.bytes.clone() }
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
    /// The body.
    pub bytes: Bytes,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The challenge.
    pub fn challenge(&self) -> Option<&str> {
        self.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok())
    }
}

impl InProcess {
    /// A new deployment with one tenant.
    pub async fn found(seed: u64) -> Self {
        Self::over(InMemory::found(seed).await).await
    }

    /// A server over what there is in memory.
    pub async fn over(memory: InMemory) -> Self {
        let opened = memory.open().await;
        let service = service_over(&memory, &opened);
        Self { memory, opened, service }
    }

    /// Sends a request through a door.
    pub async fn ask(&self, connection: Connection, ask: &Ask) -> Answer {
        let mut request = http::Request::builder().method(ask.method.as_str()).uri(&ask.path);
        request = request.header(header::HOST, &ask.host);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let body = ask.bytes.as_deref().unwrap_or(ask.body.as_bytes());
        let request = request.body(Bytes::copy_from_slice(body)).expect("a request");
        let (parts, body) = self.service.dispatch(connection, request).await.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, bytes }
    }

    /// The name of the route that a request over TLS leads to.
    pub fn route(&self, ask: &Ask) -> Option<&'static str> {
        let uri: http::Uri = ask.path.parse().expect("a path");
        let host = header::HeaderValue::from_str(&ask.host).expect("a host");
        let headers = HeaderMap::from_iter([(header::HOST, host)]);
        let parts = self.service.parts();
        let address = parts.names.address(Door::Tls, &uri, &headers).ok()?;
        let method = ask.method.parse().expect("a method");
        match parts.table.resolve(address.plane, &method, uri.path()) {
            Ok(Resolution::Found(route, _)) => Some(route.name),
            _ => None,
        }
    }
}

/// The server over a platform that was opened.
pub fn service_over(memory: &InMemory, opened: &Opened) -> Arc<Service<App>> {
    let (telemetry, readiness) = (Arc::new(Telemetry::new("0", |_| {})), Arc::new(Readiness::default()));
    let endpoints = Endpoints {
        authority: ORIGIN.to_owned(),
        tenant: memory.home.to_string(),
        arm: ORIGIN.to_owned(),
        graph: format!("{ORIGIN}/graph"),
        vault_suffix: KEY_VAULT.trim_start_matches("https://").to_owned(),
        imds: None,
        proxy: None,
        ca_file: String::new(),
        ca_bundle: String::new(),
        admin_socket: String::new(),
        data: String::new(),
    };
    let host = |raw| Host::parse(raw).expect("a host");
    let names = Names {
        primary: host("localhost"),
        others: vec![host("127.0.0.1")],
        vault_suffix: host("vault.localhost"),
        capture: false,
    };
    let app = Arc::new(App {
        platform: opened.platform.clone(),
        log: Arc::new(NoFacts),
        telemetry: telemetry.clone(),
        readiness: readiness.clone(),
        endpoints,
        names: names.clone(),
        started_at: String::new(),
        rekeying: None,
    });
    Arc::new(Service::new(Parts {
        app,
        table: Table::new(routes()).expect("a table"),
        names,
        before_route: Some(before_route),
        before_handler: Some(before_handler),
        limits: Limits::default(),
        telemetry,
        readiness,
        clock: opened.clock.clone(),
        entropy: opened.entropy.clone(),
    }))
}
