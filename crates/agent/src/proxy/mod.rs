//! The forward proxy, for clients that are not configured at all (`HTTPS_PROXY`, `HTTP_PROXY`).
//!
//! `CONNECT` to a name of ours leads to our own TLS address; to any other name, untouched, to the real one. We never
//! speak TLS here, so what is not ours cannot be read or impersonated. A plain request for the metadata service is
//! answered by the metadata endpoint, for the process that holds the client's end of *this* connection; any other
//! plain request is forwarded (RFC 9110 §7.6).
//!
//! SECURITY: what connects on the caller's behalf is the agent, so addresses where that would lend the caller the
//! agent's own standing are refused: the agent's listeners, and link-local metadata services of a real cloud.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, VIA};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::endpoint::{Caller, Endpoint, METADATA_ADDRESS, is_local_name};
use crate::limits::{CONNECT_DEADLINE, FORWARD_DEADLINE, TUNNEL_IDLE, TUNNELS_MAX};

mod names;
mod relay;

pub(crate) use names::KnownHosts;

type ProxyBody = BoxBody<Bytes, hyper::Error>;
type Answer = Response<ProxyBody>;

/// What answers proxy requests.
pub(crate) struct Proxy {
    endpoint: Arc<Endpoint>,
    known: KnownHosts,
    server_tls: SocketAddr,
    /// The agent's own listeners, which are never connected to.
    own: [SocketAddr; 2],
    tunnels: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// A refusal: its status and a sentence.
struct Refused(StatusCode, String);

impl Proxy {
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        known: KnownHosts,
        server_tls: SocketAddr,
        own: [SocketAddr; 2],
        shutdown: CancellationToken,
    ) -> Self {
        Self { endpoint, known, server_tls, own, tunnels: Arc::new(Semaphore::new(TUNNELS_MAX)), shutdown }
    }

    /// Answers one request of one proxy client.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        caller: &Caller,
    ) -> Result<Answer, Infallible> {
        let answered = if request.method() == Method::CONNECT {
            self.tunnel(request).await
        } else {
            self.plain(request, caller).await
        };
        Ok(answered.unwrap_or_else(|Refused(status, text)| refusal(status, text)))
    }

    async fn tunnel(&self, request: Request<Incoming>) -> Result<Answer, Refused> {
        let authority = request.uri().authority().ok_or_else(|| bad("CONNECT needs HOST:PORT"))?;
        let port =
            authority.port_u16().filter(|port| *port != 0).ok_or_else(|| bad("CONNECT needs HOST:PORT"))?;
        let host = host_of(authority)?;
        let permit = self.permit()?;
        let target = if self.known.contains(&host) {
            within_deadline(TcpStream::connect(self.server_tls), &host).await?
        } else {
            self.connect(&host, port).await?
        };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            let _permit = permit;
            // The client has its answer when the upgrade resolves; if it has gone instead, there is nothing to do.
            let Ok(Ok(client)) = timeout(CONNECT_DEADLINE, hyper::upgrade::on(request)).await else { return };
            tokio::select! {
                () = relay::relay(TokioIo::new(client), target, TUNNEL_IDLE) => {}
                () = shutdown.cancelled() => {}
            }
        });
        Ok(Response::new(empty()))
    }

    async fn plain(&self, request: Request<Incoming>, caller: &Caller) -> Result<Answer, Refused> {
        match request.uri().scheme_str() {
            Some("http") => {}
            Some(scheme) => {
                return Err(bad(&format!(
                    "the proxy does not fetch `{scheme}` addresses; use CONNECT for https"
                )));
            }
            None => return Err(bad("this is a forward proxy; set HTTP_PROXY and HTTPS_PROXY to it")),
        }
        let authority = request.uri().authority().ok_or_else(|| bad("the address has no host"))?.clone();
        let port = authority.port_u16().unwrap_or(80);
        if self.is_metadata(&authority, port) {
            let has_body = !request.body().is_end_stream();
            let (head, _) = request.into_parts();
            let answer = self.endpoint.answer(&head, has_body, caller).await;
            return Ok(answer.map(|body| body.map_err(|never| match never {}).boxed()));
        }
        let host = host_of(&authority)?;
        let permit = self.permit()?;
        let stream = self.connect(&host, port).await?;
        self.forward(request, &authority, stream, permit).await
    }

    fn is_metadata(&self, authority: &Authority, port: u16) -> bool {
        let host = authority.host();
        (host == METADATA_ADDRESS && port == 80)
            || (port == self.own[0].port() && is_local_name(authority.as_str()))
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        authority: &Authority,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
    ) -> Result<Answer, Refused> {
        names::strip_hop_by_hop(request.headers_mut());
        // RFC 9112 §3.2.2: the target decides, whatever the Host header said.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| bad("the address has no host"))?;
        request.headers_mut().insert(HOST, host);
        request.headers_mut().append(VIA, HeaderValue::from_static("1.1 vouchsafe"));
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| bad("the address has no path"))?;

        let gateway = |text: String| Refused(StatusCode::BAD_GATEWAY, text);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| gateway(format!("the host did not accept the request: {error}")))?;
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                _ = connection => {}
                () = shutdown.cancelled() => {}
            }
        });
        let answer = timeout(FORWARD_DEADLINE, sender.send_request(request)).await;
        let late = Refused(StatusCode::GATEWAY_TIMEOUT, "the host did not answer in time".to_owned());
        let mut answer = answer
            .map_err(|_| late)?
            .map_err(|error| gateway(format!("the host did not answer: {error}")))?;
        names::strip_hop_by_hop(answer.headers_mut());
        answer.headers_mut().append(VIA, HeaderValue::from_static("1.1 vouchsafe"));
        Ok(answer.map(BodyExt::boxed))
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Refused> {
        Arc::clone(&self.tunnels).try_acquire_owned().map_err(|_| {
            Refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "the proxy has too many tunnels open; try again".to_owned(),
            )
        })
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Refused> {
        let gateway = |error: std::io::Error| {
            Refused(StatusCode::BAD_GATEWAY, format!("cannot reach `{host}`: {error}"))
        };
        let connecting = async {
            let addresses = tokio::net::lookup_host((host, port)).await.map_err(gateway)?;
            let mut last = Refused(StatusCode::BAD_GATEWAY, format!("`{host}` has no address"));
            for address in addresses {
                // After the lookup, because a name may lead anywhere.
                if let Err(reason) = self.may_connect(address) {
                    last = Refused(
                        StatusCode::FORBIDDEN,
                        format!("the proxy does not connect to `{host}`: {reason}"),
                    );
                    continue;
                }
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = gateway(error),
                }
            }
            Err(last)
        };
        match timeout(CONNECT_DEADLINE, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Refused(StatusCode::GATEWAY_TIMEOUT, format!("`{host}` did not answer in time"))),
        }
    }

    fn may_connect(&self, address: SocketAddr) -> Result<(), &'static str> {
        let ip = address.ip().to_canonical();
        let (link_local, broadcast) = match ip {
            IpAddr::V4(v4) => (v4.is_link_local(), v4.is_broadcast()),
            IpAddr::V6(v6) => (v6.is_unicast_link_local(), false),
        };
        if link_local {
            return Err("link-local addresses are metadata services");
        }
        if ip.is_unspecified() || ip.is_multicast() || broadcast {
            return Err("that is not the address of a host");
        }
        if ip.is_loopback() && self.own.iter().any(|own| own.port() == address.port()) {
            return Err("it is the agent itself");
        }
        Ok(())
    }
}

async fn within_deadline(
    connecting: impl Future<Output = std::io::Result<TcpStream>>,
    host: &str,
) -> Result<TcpStream, Refused> {
    match timeout(CONNECT_DEADLINE, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Refused(
            StatusCode::BAD_GATEWAY,
            format!("`{host}` is ours, but our server does not answer: {error}"),
        )),
        Err(_) => Err(Refused(
            StatusCode::GATEWAY_TIMEOUT,
            format!("`{host}` is ours, but our server does not answer in time"),
        )),
    }
}

/// The host of an authority: lower case, without brackets, user and the dot of the root.
fn host_of(authority: &Authority) -> Result<String, Refused> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if authority.as_str().contains('@') || host.is_empty() || host.len() > names::NAME_BYTES_MAX {
        return Err(bad("the host name makes no sense"));
    }
    Ok(host)
}

fn bad(text: &str) -> Refused {
    Refused(StatusCode::BAD_REQUEST, text.to_owned())
}

fn empty() -> ProxyBody {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed()
}

fn refusal(status: StatusCode, mut text: String) -> Answer {
    text.push('\n');
    let mut answer = Response::new(Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}
