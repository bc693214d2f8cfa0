//! The listeners: what is accepted, how much of it at once, and for how long.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use hyper::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::endpoint::{Caller, Endpoint};
use crate::limits::{BINDINGS_MAX, HEAD_BYTES_MAX, HEAD_DEADLINE, HEADERS_MAX};
use crate::proxy::Proxy;
use crate::run::{self, Bindings};

/// What stands behind a loopback listener.
#[derive(Clone)]
pub(crate) enum Door {
    /// The metadata endpoint.
    Metadata,
    /// The forward proxy.
    Proxy(Arc<Proxy>),
}

/// Binds a loopback address.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    if !address.ip().to_canonical().is_loopback() {
        return Err(StartError::NotLoopback(address));
    }
    let failed = |source| StartError::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Accepts until `shutdown`; beyond `connections_max`, clients wait in the kernel's queue.
pub(crate) async fn accept(
    listener: TcpListener,
    endpoint: Arc<Endpoint>,
    door: Door,
    connections_max: usize,
    shutdown: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(connections_max));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        match accepted {
            Ok((stream, client)) => {
                let (endpoint, door, shutdown) = (Arc::clone(&endpoint), door.clone(), shutdown.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection(stream, client, &endpoint, door, Arc::new(permit)) => {}
                        () = shutdown.cancelled() => {}
                    }
                });
            }
            // A client that has gone already, or no free descriptors: the others can still be served.
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
}

async fn connection(
    stream: TcpStream,
    client: SocketAddr,
    endpoint: &Arc<Endpoint>,
    door: Door,
    permit: Arc<OwnedSemaphorePermit>,
) {
    let Ok(server) = stream.local_addr() else { return };
    let caller = Caller::new(client, server);
    // Attesting begins now, and not when a request has been read: the earlier, the less can have happened since.
    let (attesting, of, counted) = (Arc::clone(&caller), Arc::clone(endpoint), Arc::clone(&permit));
    tokio::spawn(async move {
        let _counted = counted;
        // The result stays in `caller`.
        let _ = attesting.attested(&of.attestor).await;
    });
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(stream);
    // A connection that ends badly has nobody left to be told.
    let _ = match door {
        Door::Metadata => {
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
                let caller = Arc::clone(&caller);
                async move {
                    let has_body = !request.body().is_end_stream();
                    let (head, _) = request.into_parts();
                    Ok::<_, Infallible>(endpoint.direct(&head, has_body, &caller).await)
                }
            });
            builder().serve_connection(io, service).await
        }
        Door::Proxy(proxy) => {
            let service = service_fn(|request| {
                let (proxy, caller) = (Arc::clone(&proxy), Arc::clone(&caller));
                async move { proxy.answer(request, &caller).await }
            });
            builder().serve_connection(io, service).with_upgrades().await
        }
    };
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
}

/// Makes the agent's own socket, in a directory that nobody else can enter.
pub(crate) fn own_socket(path: &Path) -> Result<UnixListener, StartError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let problem = |problem: String| StartError::SocketDirectory { directory: directory.to_owned(), problem };
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) => return Err(problem(format!("cannot be made: {error}"))),
    }
    let found = std::fs::symlink_metadata(directory)
        .map_err(|error| problem(format!("cannot be inspected: {error}")))?;
    if !found.is_dir() {
        return Err(problem("is not a directory; remove it".to_owned()));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(problem(format!("belongs to uid {}; choose one of your own", found.uid())));
    }
    if found.permissions().mode() & 0o077 != 0 {
        return Err(problem("is open to others; run `chmod 700` on it".to_owned()));
    }
    let failed = |source| StartError::Listen { address: path.display().to_string(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(there) => {
            use std::os::unix::fs::FileTypeExt;
            // What is left of an agent that was killed is removed; what is alive, or something else, is not ours.
            let dead = there.file_type().is_socket()
                && std::os::unix::net::UnixStream::connect(path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !dead {
                return Err(failed(io::Error::from(io::ErrorKind::AddrInUse)));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Serves the agent's own socket until `shutdown`, then removes it.
pub(crate) async fn accept_own(
    listener: UnixListener,
    path: std::path::PathBuf,
    bindings: Arc<Bindings>,
    shutdown: CancellationToken,
) {
    // One connection per binding that is held, and some to say no.
    let permits = Arc::new(Semaphore::new(BINDINGS_MAX + 16));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let Ok(peer) = stream.peer_cred() else { continue };
        let uid = peer.uid();
        if uid != 0 && uid != rustix::process::geteuid().as_raw() {
            continue;
        }
        let (bindings, shutdown) = (Arc::clone(&bindings), shutdown.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let ending = shutdown.clone();
            let service =
                service_fn(move |request| run::answer(request, uid, Arc::clone(&bindings), shutdown.clone()));
            tokio::select! {
                _ = builder().serve_connection(TokioIo::new(stream), service) => {}
                () = ending.cancelled() => {}
            }
        });
    }
    // It may have been removed with its directory.
    let _ = std::fs::remove_file(path);
}
