//! The loop itself: connections that ask, wait and ask again, and what they saw.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::processor;

/// What a request carries.
pub type Body = Full<Bytes>;

/// A request that can be sent again.
pub type Ready = Request<Body>;

/// What is trusted, and how.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// TLS 1.3 that trusts the certificates of one PEM file.
    pub fn trusting(file: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file)? {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

/// Where the load goes.
#[derive(Clone)]
pub struct Target {
    address: (&'static str, u16),
    tls: Option<(Tls, ServerName<'static>)>,
    process: Option<u32>,
}

impl Target {
    /// A TLS server on this machine that is called `name`.
    pub fn tls(name: &str, port: u16, tls: Tls) -> Result<Self> {
        Ok(Self {
            address: ("127.0.0.1", port),
            tls: Some((tls, ServerName::try_from(name.to_owned())?)),
            process: None,
        })
    }

    /// A server on this machine without TLS, as metadata endpoints are.
    pub fn plain(port: u16) -> Self {
        Self { address: ("127.0.0.1", port), tls: None, process: None }
    }

    /// The process that serves it, whose processor time is measured, too.
    pub fn served_by(self, process: u32) -> Self {
        Self { process: Some(process), ..self }
    }
}

/// A load: who is asked, by how many, for how long.
pub struct Load {
    pub target: Target,
    pub connections: usize,
    pub duration: Duration,
    /// Any other answer is an error.
    pub expected: &'static [u16],
}

/// What was seen; times in microseconds.
pub struct Measured {
    pub answers: usize,
    pub errors: usize,
    pub seconds: f64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    pub first_error: Option<String>,
    /// Processor time of the server for each answer.
    pub processor_micros: Option<f64>,
}

impl Measured {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.seconds
    }
}

impl Load {
    /// Asks until the time is up; `request` makes the request of a connection's turn.
    pub async fn run(
        &self,
        request: impl Fn(usize, usize) -> Ready + Send + Sync + 'static,
    ) -> Result<Measured> {
        let request = Arc::new(request);
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(connect(&self.target).await?);
        }
        // What the first requests build up (caches, tickets) is not what a steady load meets.
        let warm = Instant::now() + self.duration.min(Duration::from_secs(1));
        let end = warm + self.duration;
        let expected = self.expected;
        let process = self.target.process;
        let processor = tokio::spawn(async move {
            tokio::time::sleep_until(warm.into()).await;
            let before = processor::time_of(process?)?;
            tokio::time::sleep_until(end.into()).await;
            Some(processor::time_of(process?)?.saturating_sub(before))
        });
        let tasks: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(number, mut connection)| {
                let request = Arc::clone(&request);
                tokio::spawn(async move {
                    let mut seen = Seen::default();
                    for turn in 0.. {
                        let started = Instant::now();
                        if started >= end {
                            break;
                        }
                        let answer = ask(&mut connection, request(number, turn)).await;
                        if started < warm {
                            continue;
                        }
                        match answer {
                            Ok((status, _)) if expected.contains(&status) => {
                                seen.micros
                                    .push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX));
                            }
                            Ok((status, body)) => {
                                seen.error(format!("{status}: {}", String::from_utf8_lossy(&body)))
                            }
                            Err(error) => {
                                seen.error(format!("{error:#}"));
                                // A broken connection stays broken; its share of the load is missing from the rate.
                                break;
                            }
                        }
                    }
                    seen
                })
            })
            .collect();
        let mut all = Seen::default();
        for task in tasks {
            let seen = task.await?;
            all.micros.extend(seen.micros);
            all.errors += seen.errors;
            all.first_error = all.first_error.or(seen.first_error);
        }
        all.micros.sort_unstable();
        let at = |part: f64| {
            let index = (all.micros.len() as f64 * part) as usize;
            all.micros.get(index.min(all.micros.len().saturating_sub(1))).copied().map_or(f64::NAN, f64::from)
        };
        Ok(Measured {
            answers: all.micros.len(),
            errors: all.errors,
            seconds: self.duration.as_secs_f64(),
            p50: at(0.50),
            p99: at(0.99),
            max: at(1.0),
            first_error: all.first_error,
            processor_micros: processor
                .await?
                .map(|spent| spent.as_secs_f64() * 1e6 / all.micros.len().max(1) as f64),
        })
    }
}

#[derive(Default)]
struct Seen {
    micros: Vec<u32>,
    errors: usize,
    first_error: Option<String>,
}

impl Seen {
    fn error(&mut self, said: String) {
        self.errors += 1;
        self.first_error.get_or_insert(said);
    }
}

/// Opens one connection.
pub async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(target.address).await.context("nobody listens")?;
    stream.set_nodelay(true)?;
    match &target.tls {
        None => handshake(TokioIo::new(stream)).await,
        Some((Tls(config), name)) => {
            let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await?;
            handshake(TokioIo::new(stream)).await
        }
    }
}

async fn handshake<S>(stream: TokioIo<S>) -> Result<SendRequest<Full<Bytes>>>
where
    TokioIo<S>: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends one request and reads the whole answer.
pub async fn ask(connection: &mut SendRequest<Full<Bytes>>, request: Ready) -> Result<(u16, Bytes)> {
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

/// A GET, with a bearer token if there is one.
pub fn get(host: &str, path: &str, token: Option<&str>) -> Ready {
    let mut request = Request::new(Full::default());
    address(&mut request, Method::GET, host, path);
    if let Some(token) = token {
        authorize(&mut request, token);
    }
    request
}

/// A request with a JSON body and a bearer token.
pub fn json(method: &str, host: &str, path: &str, token: &str, body: Bytes) -> Ready {
    let mut request = Request::new(Full::new(body));
    address(&mut request, method.parse().unwrap_or(Method::POST), host, path);
    authorize(&mut request, token);
    request.headers_mut().insert(CONTENT_TYPE, header("application/json"));
    request
}

/// A form, as token requests are.
pub fn form(host: &str, path: &str, body: String) -> Ready {
    let mut request = Request::new(Full::new(Bytes::from(body)));
    address(&mut request, Method::POST, host, path);
    request.headers_mut().insert(CONTENT_TYPE, header("application/x-www-form-urlencoded"));
    request
}

fn address(request: &mut Ready, method: Method, host: &str, path: &str) {
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(HOST, header(host));
}

fn authorize(request: &mut Ready, token: &str) {
    request.headers_mut().insert(AUTHORIZATION, header(&format!("Bearer {token}")));
}

fn header(text: &str) -> hyper::header::HeaderValue {
    // Host names, tokens and media types are visible ASCII; anything else would be answered with an error and counted.
    text.parse().unwrap_or(hyper::header::HeaderValue::from_static("unprintable"))
}

/// The whole of a small answer, or why there is none.
pub async fn fetch(target: &Target, request: Ready) -> Result<Bytes> {
    let (status, body) = ask(&mut connect(target).await?, request).await?;
    if status != 200 {
        bail!("answered with {status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(body)
}
