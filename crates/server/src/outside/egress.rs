//! HTTPS to somewhere else: https only, nothing followed, every size and time bounded, and only to addresses that may be
//! reached.
//!
//! SECURITY: the name is resolved here, all its addresses are judged, and the connection goes to one that was judged: a
//! name that answers differently the second time gains nothing. A redirect is an error, not a place to go.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::OutsideError;
use super::network::{Network, is_public};
use crate::limits;

/// Why there is no answer from outside. The texts are for the operator's log.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Only https is spoken.
    #[error("`{0}` is not an https address with a host")]
    NotHttps(String),
    /// The name has no address.
    #[error("`{host}` could not be resolved: {source}")]
    Unresolved {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// An address that the server does not connect to.
    #[error("`{host}` is at {address}, which is not a public address; list its network to allow it")]
    Forbidden {
        /// The host.
        host: String,
        /// The address.
        address: std::net::IpAddr,
    },
    /// Nobody listens, or TLS failed.
    #[error("`{host}` could not be connected to: {source}")]
    Unreachable {
        /// The host.
        host: String,
        /// What happened.
        source: io::Error,
    },
    /// It took too long.
    #[error("`{0}` did not answer in time")]
    Slow(String),
    /// The answer is no HTTP.
    #[error("the answer of `{host}` could not be read: {source}")]
    Unreadable {
        /// The host.
        host: String,
        /// What hyper said.
        source: hyper::Error,
    },
    /// The answer is longer than the bound.
    #[error("the answer of `{0}` is longer than {max} bytes", max = limits::EGRESS_ANSWER_BYTES_MAX)]
    TooLong(String),
    /// The answer points elsewhere.
    #[error("`{0}` answered with a redirect, and none is followed")]
    Redirect(String),
    /// Enough is being asked already.
    #[error("{max} requests to the outside are under way already", max = limits::EGRESS_CONCURRENT_MAX)]
    Busy,
}

/// The way out.
pub struct Egress {
    connector: TlsConnector,
    allowed: Vec<Network>,
    permits: Semaphore,
}

impl Egress {
    /// A way out that trusts the system's roots and those in a file, and reaches public addresses and those listed.
    pub fn new(roots: Option<&Path>, allowed: Vec<Network>) -> Result<Self, OutsideError> {
        let mut trusted = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "some of the system's root certificates cannot be read");
        }
        trusted.add_parsable_certificates(system.certs);
        if let Some(path) = roots {
            for root in read_roots(path)? {
                let added = trusted.add(root);
                added.map_err(|error| unusable(path, error.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(trusted).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            allowed,
            permits: Semaphore::new(limits::EGRESS_CONCURRENT_MAX),
        })
    }

    /// Sends one request to an absolute address and reads the whole answer.
    pub async fn fetch(&self, request: Request<Bytes>) -> Result<Response<Bytes>, EgressError> {
        let _permit = self.permits.try_acquire().map_err(|_| EgressError::Busy)?;
        let (host, port) = destination(request.uri())?;
        let exchange = self.exchange(&host, port, request);
        match timeout(limits::EGRESS_TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(EgressError::Slow(host)),
        }
    }

    async fn exchange(
        &self,
        host: &str,
        port: u16,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, EgressError> {
        let unreachable = |source| EgressError::Unreachable { host: host.to_owned(), source };
        let unreadable = |source| EgressError::Unreadable { host: host.to_owned(), source };
        let addresses = self.resolve(host, port).await?;
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| EgressError::NotHttps(request.uri().to_string()))?;
        let connecting = async {
            let stream = connect(&addresses).await?;
            self.connector.connect(name, stream).await
        };
        let connected = timeout(limits::EGRESS_CONNECT_TIMEOUT, connecting).await;
        let stream = connected.map_err(|_| EgressError::Slow(host.to_owned()))?.map_err(unreachable)?;

        let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        let authority = authority.and_then(|authority| HeaderValue::from_str(&authority).ok());
        let authority = authority.ok_or_else(|| EgressError::NotHttps(host.to_owned()))?;
        request.headers_mut().insert(header::HOST, authority);
        let mut builder = http1::Builder::new();
        builder.max_buf_size(limits::EGRESS_HEAD_BYTES_MAX).max_headers(limits::EGRESS_HEADERS_MAX);
        let shaken = builder.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(unreadable)?;
        let answering = async {
            let answer = sender.send_request(request.map(Full::new)).await.map_err(unreadable)?;
            if answer.status().is_redirection() {
                return Err(EgressError::Redirect(host.to_owned()));
            }
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, limits::EGRESS_ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => unreadable(*error),
                Err(error) => {
                    debug_assert!(error.is::<LengthLimitError>());
                    EgressError::TooLong(host.to_owned())
                }
            })?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        // The connection lives only as long as this future: nothing is left behind when it is dropped.
        let (mut answering, mut connection) = (pin!(answering), pin!(connection));
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                answer = &mut answering => return answer,
                _ = &mut connection, if open => open = false,
            }
        }
    }

    /// All addresses of a host, none of which is forbidden.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let unresolved = |source| EgressError::Unresolved { host: host.to_owned(), source };
        let looked_up = timeout(limits::EGRESS_CONNECT_TIMEOUT, lookup_host((host, port))).await;
        let looked_up = looked_up.map_err(|_| EgressError::Slow(host.to_owned()))?.map_err(unresolved)?;
        let addresses: Vec<SocketAddr> = looked_up.take(limits::EGRESS_ADDRESSES_MAX).collect();
        let may_be_reached = |address: &SocketAddr| {
            is_public(address.ip()) || self.allowed.iter().any(|network| network.contains(address.ip()))
        };
        match addresses.iter().find(|address| !may_be_reached(address)) {
            Some(forbidden) => Err(EgressError::Forbidden { host: host.to_owned(), address: forbidden.ip() }),
            None => Ok(addresses),
        }
    }
}

/// The first address that somebody listens at.
async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let share = limits::EGRESS_CONNECT_TIMEOUT / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    for address in addresses {
        match timeout(share.max(Duration::from_millis(100)), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Host and port of an address that the server would connect to.
pub(super) fn destination(uri: &Uri) -> Result<(String, u16), EgressError> {
    let refused = || EgressError::NotHttps(uri.to_string());
    let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTPS)).ok_or_else(refused)?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(refused());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_ascii_lowercase(), authority.port_u16().unwrap_or(443)))
}

fn unusable(path: &Path, problem: String) -> OutsideError {
    OutsideError::Roots { path: path.display().to_string(), problem }
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, OutsideError> {
    let refused = |error: &dyn std::fmt::Display| unusable(path, error.to_string());
    let size = std::fs::metadata(path).map_err(|error| refused(&error))?.len();
    if size > limits::CERTIFICATE_FILE_BYTES_MAX {
        return Err(refused(&format!("it is longer than {} bytes", limits::CERTIFICATE_FILE_BYTES_MAX)));
    }
    let read = CertificateDer::pem_file_iter(path).map_err(|error| refused(&error))?;
    let roots: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| refused(&error))?;
    if roots.is_empty() {
        return Err(refused(&"there is none in it"));
    }
    Ok(roots)
}
