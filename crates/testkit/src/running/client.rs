//! A plain HTTP/1.1 client that keeps its connections: over TLS to one port whatever the name, or over a Unix socket.
//! It follows nothing, retries nothing and hides nothing.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// How long an answer may take before it counts as none.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The request's id, as the audit log names it.
    pub fn request_id(&self) -> Option<&str> {
        self.headers.get("x-ms-request-id")?.to_str().ok()
    }
}

#[derive(Clone)]
pub(super) enum Way {
    Tls { port: u16, connector: TlsConnector },
    Tcp(u16),
    Unix(PathBuf),
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Way {
    /// Opens a connection; over TLS the name goes into the handshake and is verified.
    pub(super) async fn connect(&self, host: &str) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tls { port, connector } => {
                let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
                let name = ServerName::try_from(name).map_err(io::Error::other)?;
                let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await?;
                tcp.set_nodelay(true)?;
                Ok(Box::new(connector.connect(name, tcp).await?))
            }
            Self::Tcp(port) => Ok(Box::new(TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await?)),
            Self::Unix(socket) => Ok(Box::new(UnixStream::connect(socket).await?)),
        }
    }
}

/// A client of one server. One request at a time; a connection for each host.
pub struct Client {
    pub(super) way: Way,
    open: HashMap<String, SendRequest<Full<Bytes>>>,
}

/// A client of the same server with no connections yet.
impl Clone for Client {
    fn clone(&self) -> Self {
        Self { way: self.way.clone(), open: HashMap::new() }
    }
}

impl Client {
    pub(super) fn tls(port: u16, ca_file: &Path) -> io::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca_file).map_err(io::Error::other)? {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
        let way = Way::Tls { port, connector: TlsConnector::from(Arc::new(config)) };
        Ok(Self { way, open: HashMap::new() })
    }

    /// A client of a port on this machine, which trusts the certificates in a file.
    pub fn trusting(port: u16, ca_file: &Path) -> io::Result<Self> {
        Self::tls(port, ca_file)
    }

    /// A client without encryption of a port on this machine, such as the agent's.
    pub fn tcp(port: u16) -> Self {
        Self { way: Way::Tcp(port), open: HashMap::new() }
    }

    pub(super) fn unix(socket: &Path) -> Self {
        Self { way: Way::Unix(socket.to_owned()), open: HashMap::new() }
    }

    /// Sends a request whose body, if there is one, is JSON.
    pub async fn request(
        &mut self,
        method: Method,
        host: &str,
        path: &str,
        bearer: Option<&str>,
        body: Option<&[u8]>,
    ) -> io::Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        if let Some(token) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Bytes::copy_from_slice).unwrap_or_default();
        self.send(request.body(Full::new(body)).map_err(io::Error::other)?).await
    }

    /// Sends a form, as clients of the token endpoint do.
    pub async fn form(&mut self, host: &str, path: &str, form: &str) -> io::Result<Answer> {
        let request = Request::post(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = Full::new(Bytes::copy_from_slice(form.as_bytes()));
        self.send(request.body(body).map_err(io::Error::other)?).await
    }

    /// Sends any request; its `Host` header says by which name the server is addressed.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> io::Result<Answer> {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or("localhost").to_owned();
        tokio::time::timeout(DEADLINE, self.exchange(host, request)).await?
    }

    /// Sends a request as HTTP/2, over a connection of its own. The target must be whole: `https://HOST/PATH`.
    pub async fn send_http2(&self, request: Request<Full<Bytes>>) -> io::Result<Answer> {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let mut way = self.way.clone();
        if let Way::Tls { connector, .. } = &mut way {
            let mut config = connector.config().as_ref().clone();
            config.alpn_protocols = vec![b"h2".to_vec()];
            *connector = TlsConnector::from(Arc::new(config));
        }
        let exchange = async {
            let stream = TokioIo::new(way.connect(&host).await?);
            let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
            let (mut sender, connection) = shaken.map_err(io::Error::other)?;
            tokio::spawn(connection);
            answer(sender.send_request(request).await).await
        };
        tokio::time::timeout(DEADLINE, exchange).await?
    }

    async fn exchange(&mut self, host: String, request: Request<Full<Bytes>>) -> io::Result<Answer> {
        let kept = self.open.remove(&host).filter(|sender| !sender.is_closed());
        let mut sender = match kept {
            Some(sender) => sender,
            None => {
                let stream = self.way.connect(&host).await?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
                tokio::spawn(connection);
                sender
            }
        };
        sender.ready().await.map_err(io::Error::other)?;
        let answer = answer(sender.send_request(request).await).await?;
        self.open.insert(host, sender);
        Ok(answer)
    }
}

async fn answer(response: hyper::Result<Response<Incoming>>) -> io::Result<Answer> {
    let (parts, body) = response.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}
