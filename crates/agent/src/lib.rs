//! Managed identity on a node.
//!
//! The agent answers the metadata protocols that every Azure SDK speaks (IMDS and App Service) on loopback. Who
//! calls is never asked of the caller: the kernel says which process holds the other end of the connection, and the
//! platform decides by that which identity it has. A forward proxy takes the same protocols from clients that are
//! not configured at all. The agent knows nothing of tenants, roles or vaults, and keeps tokens in memory only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

mod cache;
mod endpoint;
mod limits;
mod peer;
mod proxy;
pub mod run;
mod serve;
pub mod source;

use endpoint::Endpoint;
use proxy::{KnownHosts, Proxy};
use run::Bindings;
use serve::Door;

pub use run::{BindError, BindingRequest, HeldBinding, Until, bind};
pub use source::{AdminSocket, SourceError, Token, TokenSource};

/// Tells the agent the time; the binary brings the real one.
pub trait Clock: Send + Sync {
    /// Seconds since 1970.
    fn now_seconds(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync> Clock for F {
    fn now_seconds(&self) -> u64 {
        self()
    }
}

/// What to do with a client socket that is not close-on-exec, when nothing else tells who opened it.
///
/// Such a socket survives `execve`, so the program that holds it now need not be the one that connected. Python,
/// Node, Go, Rust and .NET mark their sockets close-on-exec; Java, `bash` and older `curl` do not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum InheritableSockets {
    /// Refuse to vouch.
    #[default]
    Refuse,
    /// Vouch for whoever holds the socket when it is accepted; an exec after that is still seen.
    Accept,
}

/// How the forward proxy knows our own names.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Where to listen; loopback only. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Names that are ours: exact (`login.microsoftonline.com`) or with one leading wildcard label
    /// (`*.vault.azure.net`).
    pub known_hosts: Vec<String>,
    /// The TLS address of the server that answers for those names.
    pub server_tls: SocketAddr,
}

/// Everything the agent needs to start.
pub struct Config {
    /// Where the metadata endpoints listen; loopback only. Port 0 picks a free one.
    pub imds: SocketAddr,
    /// The forward proxy, if wanted.
    pub proxy: Option<ProxyConfig>,
    /// The agent's own Unix socket, for `vouchsafe run` and `vouchsafe env`. Its directory is created with mode
    /// 0700, or must have it.
    pub socket: PathBuf,
    /// Where tokens come from.
    pub source: Arc<dyn TokenSource>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What to do with sockets that survive an exec.
    pub inheritable_sockets: InheritableSockets,
    /// How many connections are served at once, on each listener.
    pub connections_max: usize,
    /// How long a call of the token source may take.
    pub source_deadline: Duration,
}

/// Where a started agent can be reached.
pub struct Running {
    /// The address of the metadata endpoints.
    pub imds_addr: SocketAddr,
    /// The address of the forward proxy, if it was wanted.
    pub proxy_addr: Option<SocketAddr>,
    /// The agent's own Unix socket.
    pub socket: PathBuf,
}

/// Why the agent did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address to listen on is not loopback.
    #[error("the agent listens on loopback only, `{0}` is not; callers from elsewhere cannot be attested")]
    NotLoopback(SocketAddr),
    /// A name in the proxy's list is not one.
    #[error("`{0}` is not a host name; write `login.example.com` or `*.vault.example.com`")]
    HostName(String),
    /// The thread that reads `/proc` cannot be started.
    #[error("cannot start a thread: {0}")]
    Threads(std::io::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on `{address}`: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The directory of the agent's socket is not private.
    #[error("the directory `{directory}` of the agent's socket {problem}")]
    SocketDirectory {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
}

/// Starts the agent; it serves until `shutdown` is cancelled.
///
/// Everything that can be wrong with the configuration is found before this returns.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Running, StartError> {
    let known = match &config.proxy {
        Some(proxy) => Some(KnownHosts::parse(&proxy.known_hosts).map_err(StartError::HostName)?),
        None => None,
    };
    let (imds, imds_addr) = serve::listen(config.imds).await?;
    let proxy_listener = match &config.proxy {
        Some(proxy) => Some(serve::listen(proxy.listen).await?),
        None => None,
    };
    let socket = serve::own_socket(&config.socket)?;
    let bindings = Arc::new(Bindings::default());
    let endpoint = Arc::new(Endpoint::new(&config, Arc::clone(&bindings)).map_err(StartError::Threads)?);

    tokio::spawn(serve::accept_own(socket, config.socket.clone(), bindings, shutdown.clone()));
    let max = config.connections_max;
    tokio::spawn(serve::accept(imds, Arc::clone(&endpoint), Door::Metadata, max, shutdown.clone()));
    let mut proxy_addr = None;
    if let (Some((listener, address)), Some(known), Some(wanted)) = (proxy_listener, known, config.proxy) {
        let own = [imds_addr, address];
        let proxy = Proxy::new(Arc::clone(&endpoint), known, wanted.server_tls, own, shutdown.clone());
        tokio::spawn(serve::accept(listener, endpoint, Door::Proxy(Arc::new(proxy)), max, shutdown));
        proxy_addr = Some(address);
    }
    Ok(Running { imds_addr, proxy_addr, socket: config.socket })
}
