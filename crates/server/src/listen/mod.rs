//! The doors: accept loops for TLS over TCP and for the administrators' socket, and how they close.
//!
//! Every connection is bounded before it is trusted: how many there are, how long a handshake, the head of a request
//! and silence may take, how large a head and how many streams there may be. Closing is orderly: first balancers are
//! told, then nothing new is accepted, then what is in flight may finish.

mod admin;
mod plain;
mod watch;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::Service;
use crate::http::plane::{Connection, Door};
use crate::telemetry::ConnectionRefused;
use watch::{Verdict, Watch, Watched};

pub use admin::{AdminSocket, SocketError};
pub use plain::serve_plain_http;

/// How long a listener rests when the system cannot give it a connection, as when files have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection that was asked to end may take when nothing is in flight.
const CLOSING: Duration = Duration::from_secs(5);

/// The server's open doors.
pub struct Doors<A> {
    service: Arc<Service<A>>,
    /// No new connections.
    closed: CancellationToken,
    /// Open connections end after what is in flight.
    draining: CancellationToken,
    connections: TaskTracker,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Connections that had not finished in time and were cut.
    pub cut: usize,
}

impl<A: Send + Sync + 'static> Doors<A> {
    /// Doors of a service; none is open yet.
    pub fn new(service: Arc<Service<A>>) -> Self {
        Self {
            service,
            closed: CancellationToken::new(),
            draining: CancellationToken::new(),
            connections: TaskTracker::new(),
        }
    }

    /// Accepts TLS on a bound listener from now on.
    pub fn open_tls(&self, listener: TcpListener, config: Arc<ServerConfig>) {
        let door = self.door(Door::Tls);
        let acceptor = TlsAcceptor::from(config);
        tokio::spawn(async move {
            while let Some(permit) = door.permit().await {
                let Some((stream, remote)) = door.accept(listener.accept()).await else { continue };
                let connection = Connection { door: Door::Tls, remote: Some(remote), tls: true, peer: None };
                let (own, acceptor) = (door.clone(), acceptor.clone());
                door.connections.spawn(own.tls(stream, acceptor, connection, permit));
            }
        });
    }

    /// Accepts local administrators on a bound socket from now on.
    pub fn open_admin(&self, socket: AdminSocket) {
        let door = self.door(Door::AdminSocket);
        tokio::spawn(async move {
            while let Some(permit) = door.permit().await {
                let Some((stream, _)) = door.accept(socket.listener().accept()).await else { continue };
                let Some(peer) = socket.admit(&stream) else {
                    door.service.parts().telemetry.refused(Door::AdminSocket, ConnectionRefused::ForeignUser);
                    continue;
                };
                let connection =
                    Connection { door: Door::AdminSocket, remote: None, tls: false, peer: Some(peer) };
                door.connections.spawn(door.clone().serve(stream, connection, false, permit));
            }
        });
    }

    /// Closes in order: says not ready, serves on for `announce` so that balancers notice, stops accepting, and lets
    /// what is in flight finish within the limit.
    pub async fn drain(self, announce: Duration) -> Drained {
        self.service.parts().readiness.not_ready();
        tokio::time::sleep(announce).await;
        self.closed.cancel();
        self.draining.cancel();
        self.connections.close();
        let limit = self.service.parts().limits.drain_timeout;
        let cut = match timeout(limit, self.connections.wait()).await {
            Ok(()) => 0,
            Err(_) => self.connections.len(),
        };
        if cut > 0 {
            tracing::warn!(cut, "connections had not finished when the time for draining was over");
        }
        Drained { cut }
    }

    fn door(&self, door: Door) -> OneDoor<A> {
        let limits = &self.service.parts().limits;
        OneDoor {
            door,
            service: self.service.clone(),
            closed: self.closed.clone(),
            draining: self.draining.clone(),
            connections: self.connections.clone(),
            slots: Arc::new(Semaphore::new(limits.connections_max)),
        }
    }
}

/// What an accept loop and its connections share.
struct OneDoor<A> {
    door: Door,
    service: Arc<Service<A>>,
    closed: CancellationToken,
    draining: CancellationToken,
    connections: TaskTracker,
    slots: Arc<Semaphore>,
}

impl<A> Clone for OneDoor<A> {
    fn clone(&self) -> Self {
        Self {
            door: self.door,
            service: self.service.clone(),
            closed: self.closed.clone(),
            draining: self.draining.clone(),
            connections: self.connections.clone(),
            slots: self.slots.clone(),
        }
    }
}

impl<A: Send + Sync + 'static> OneDoor<A> {
    /// Waits for room for one more connection; `None` once the door is closed. Until then the kernel queues.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            permit = self.slots.clone().acquire_owned() => permit.ok(),
        }
    }

    async fn accept<S>(&self, accepting: impl Future<Output = std::io::Result<S>>) -> Option<S> {
        let accepted = tokio::select! {
            biased;
            () = self.closed.cancelled() => return None,
            accepted = accepting => accepted,
        };
        match accepted {
            Ok(stream) => Some(stream),
            Err(error) => {
                // A connection that was reset while it waited is nobody's fault; running out of files needs a pause.
                if error.kind() != std::io::ErrorKind::ConnectionAborted {
                    tracing::warn!(door = self.door.as_str(), %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None
            }
        }
    }

    async fn tls(
        self,
        stream: TcpStream,
        acceptor: TlsAcceptor,
        connection: Connection,
        permit: OwnedSemaphorePermit,
    ) {
        let limits = &self.service.parts().limits;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small answers may be delayed");
        }
        let handshake = timeout(limits.handshake_timeout, acceptor.accept(stream));
        let shaken = tokio::select! {
            () = self.draining.cancelled() => return,
            shaken = handshake => shaken,
        };
        let telemetry = &self.service.parts().telemetry;
        match shaken {
            Ok(Ok(stream)) => {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.serve(stream, connection, h2, permit).await;
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                telemetry.refused(self.door, ConnectionRefused::Handshake);
            }
            Err(_) => telemetry.refused(self.door, ConnectionRefused::HandshakeSlow),
        }
    }

    /// Serves one connection until it ends, is silent for too long, is too slow, or the door drains.
    async fn serve<S>(self, stream: S, connection: Connection, h2: bool, _permit: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = &self.service.parts().limits;
        let _counted = self.service.parts().telemetry.connection(self.door);
        let watch = Arc::new(Watch::new(h2, limits));
        let service = service_fn(|request: http::Request<Incoming>| {
            let (service, in_flight) = (self.service.clone(), watch.clone().request());
            async move {
                let response = service.dispatch(connection, request).await;
                drop(in_flight);
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let builder = self.builder(h2);
        let io = TokioIo::new(Watched::new(stream, watch.clone()));
        let mut serving = pin!(builder.serve_connection(io, service));
        let mut ending: Option<Instant> = None;
        loop {
            let wake = ending.unwrap_or_else(|| watch.next_look());
            tokio::select! {
                result = poll_fn(|context| serving.as_mut().poll(context)) => {
                    if let Err(error) = result {
                        tracing::debug!(%error, door = self.door.as_str(), "a connection ended early");
                    }
                    return;
                }
                () = self.draining.cancelled(), if ending.is_none() => {
                    serving.as_mut().graceful_shutdown();
                    // The drain as a whole has its own limit.
                    ending = Some(Instant::now() + limits.drain_timeout);
                }
                () = sleep_until(wake) => {
                    if ending.is_some() {
                        return;
                    }
                    match watch.verdict() {
                        Verdict::Fine => {}
                        Verdict::Silent => {
                            serving.as_mut().graceful_shutdown();
                            let _ = timeout_at(Instant::now() + CLOSING, serving.as_mut()).await;
                            return;
                        }
                        Verdict::SlowHead => {
                            self.service.parts().telemetry.refused(self.door, ConnectionRefused::HeaderSlow);
                            return;
                        }
                    }
                }
            }
        }
    }

    fn builder(&self, h2: bool) -> auto::Builder<TokioExecutor> {
        let limits = &self.service.parts().limits;
        let builder = auto::Builder::new(TokioExecutor::new());
        // ALPN has decided, so nothing needs to be guessed from the first bytes.
        let mut builder = if h2 { builder.http2_only() } else { builder.http1_only() };
        builder
            .http1()
            .timer(TokioTimer::new())
            // Silence between requests is measured by `watch`, which tells it from a slow head; this is the backstop.
            .header_read_timeout(limits.idle_timeout + limits.header_timeout)
            // Flushing lazily for pipelined requests is left off: a refused head stays in the buffer, so hyper would
            // take it for the next request and never send the refusal.
            .max_buf_size(limits.header_bytes_max);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_max)
            .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            // A client that opens and resets streams all the time is cut off (CVE-2023-44487).
            .max_pending_accept_reset_streams(usize::try_from(limits.streams_max).unwrap_or(usize::MAX))
            .max_local_error_reset_streams(usize::try_from(limits.streams_max).unwrap_or(usize::MAX))
            .keep_alive_interval(limits.idle_timeout)
            .keep_alive_timeout(limits.header_timeout);
        builder
    }
}
