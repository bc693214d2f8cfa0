//! The only place that knows status codes: what a handler or the chassis says becomes an answer here.
//!
//! A [`Reply`] is a success or a [`Problem`]. A problem carries codes and a message in the words of its dialect; how
//! they are wrapped, which headers every answer of a dialect has and which number a [`Class`] is, is decided once,
//! in [`Reply::finish`].

use std::io;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use vouchsafe_domain::time::Timestamp;
use vouchsafe_wire::{arm, keyvault, oauth};

use super::plane::Origin;
use super::problem::{Class, Dialect, Problem};
use crate::limits::CLIENT_REQUEST_ID_BYTES_MAX;

/// The kinds of success.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Success {
    /// Here it is.
    Ok,
    /// It exists from now on.
    Created,
    /// It is being done.
    Accepted,
    /// Done, and there is nothing to say.
    NoContent,
    /// Go there next.
    Found,
}

impl Success {
    const fn status(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Created => StatusCode::CREATED,
            Self::Accepted => StatusCode::ACCEPTED,
            Self::NoContent => StatusCode::NO_CONTENT,
            Self::Found => StatusCode::FOUND,
        }
    }
}

impl Class {
    const fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Absent => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::AddressTooLong => StatusCode::URI_TOO_LONG,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Limited => StatusCode::TOO_MANY_REQUESTS,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Problem {
    fn body(&self, stamp: &Stamp<'_>) -> Zeroizing<Vec<u8>> {
        let (code, message) = (&*self.code, self.message.as_str());
        match stamp.dialect {
            Dialect::Entra => to_json(&self.oauth(stamp)),
            Dialect::KeyVault => to_json(&keyvault::ErrorBody::new(code, message, self.inner.as_deref())),
            Dialect::Arm => to_json(&arm::ErrorBody::new(code, message, self.target.as_deref())),
            Dialect::Node => to_json(&NodeError { code, message }),
            Dialect::Graph => {
                let id = stamp.request_id.to_string();
                let inner = GraphInner {
                    date: stamp.now.rfc3339(),
                    client_request_id: stamp.caller_id().unwrap_or_else(|| id.clone()),
                    request_id: id,
                };
                to_json(&GraphError { error: GraphDetail { code, message, inner } })
            }
            Dialect::Ours => {
                let request_id = stamp.request_id.to_string();
                to_json(&OurError { error: OurDetail { code, message, request_id } })
            }
        }
    }

    /// RFC 6749 §5.2 with Entra's additions.
    fn oauth(&self, stamp: &Stamp<'_>) -> oauth::ErrorResponse {
        let number = self.inner.as_deref().and_then(|inner| inner.parse().ok()).unwrap_or_default();
        let sentence = format!("{}.", self.message.trim_end_matches('.'));
        // `2027-01-15T08:00:00.123Z` is written `2027-01-15 08:00:00Z` here.
        let moment = stamp.now.rfc3339();
        let seconds = moment.split(['.', 'Z']).next().unwrap_or_default().replace('T', " ");
        let id = stamp.request_id.to_string();
        let correlation = stamp.caller_id().unwrap_or_else(|| id.clone());
        oauth::ErrorResponse::new(&self.code, number, &sentence).traced(
            &format!("{seconds}Z"),
            &id,
            &correlation,
        )
    }
}

#[derive(Serialize)]
struct NodeError<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct OurError<'a> {
    error: OurDetail<'a>,
}

#[derive(Serialize)]
struct OurDetail<'a> {
    code: &'a str,
    message: &'a str,
    request_id: String,
}

#[derive(Serialize)]
struct GraphError<'a> {
    error: GraphDetail<'a>,
}

#[derive(Serialize)]
struct GraphDetail<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(rename = "innerError")]
    inner: GraphInner,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct GraphInner {
    date: String,
    request_id: String,
    client_request_id: String,
}

/// What a handler answers.
pub struct Reply(Content);

enum Content {
    Success { success: Success, headers: HeaderMap, bytes: Bytes },
    Problem(Problem),
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        Self(Content::Problem(problem))
    }
}

impl Reply {
    /// A JSON answer; its bytes are wiped after they were sent, because some are secrets.
    pub fn json(success: Success, value: &impl Serialize) -> Self {
        Self::bytes(success, "application/json; charset=utf-8", to_json(value))
    }

    /// An answer of another kind.
    pub fn text(success: Success, content_type: &'static str, text: String) -> Self {
        Self::bytes(success, content_type, Zeroizing::new(text.into_bytes()))
    }

    /// An answer that is no text.
    pub fn binary(success: Success, content_type: &'static str, bytes: Vec<u8>) -> Self {
        Self::bytes(success, content_type, Zeroizing::new(bytes))
    }

    /// A JSON answer that the wire floor wrote into a buffer that wipes itself, because it carries a secret.
    pub fn wiped_json(success: Success, json: Zeroizing<Vec<u8>>) -> Self {
        Self::bytes(success, "application/json; charset=utf-8", json)
    }

    /// An answer without a body.
    pub fn empty(success: Success) -> Self {
        Self(Content::Success { success, headers: HeaderMap::new(), bytes: Bytes::new() })
    }

    fn bytes(success: Success, content_type: &'static str, bytes: Zeroizing<Vec<u8>>) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Self(Content::Success { success, headers, bytes: Bytes::from_owner(bytes) })
    }

    /// Sets a header; it wins over the dialect's usual one. Text that is no header value is left out and logged.
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        let headers = match &mut self.0 {
            Content::Success { headers, .. } => headers,
            Content::Problem(problem) => &mut *problem.headers,
        };
        match HeaderValue::from_str(value) {
            Ok(value) => drop(headers.insert(name, value)),
            Err(_) => tracing::error!(%name, "a header's value cannot be sent and was left out"),
        }
        self
    }

    /// The problem, when it is one.
    pub fn problem(&self) -> Option<&Problem> {
        match &self.0 {
            Content::Success { .. } => None,
            Content::Problem(problem) => Some(problem),
        }
    }

    /// The number that the answer will carry.
    pub fn status(&self) -> StatusCode {
        match &self.0 {
            Content::Success { success, .. } => success.status(),
            Content::Problem(problem) => problem.class.status(),
        }
    }

    /// Turns the reply into the answer of a dialect.
    pub fn finish(self, stamp: &Stamp<'_>) -> Response<Full<Bytes>> {
        let status = self.status();
        let (mut headers, bytes) = match self.0 {
            Content::Success { headers, bytes, .. } => (headers, bytes),
            Content::Problem(problem) => {
                let bytes = Bytes::from_owner(problem.body(stamp));
                let mut headers = *problem.headers;
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json; charset=utf-8"),
                );
                (headers, bytes)
            }
        };
        stamp.add_headers(&mut headers);
        // RFC 9110 §9.3.2: an answer to HEAD has no body.
        let bytes = if stamp.head { Bytes::new() } else { bytes };
        let mut response = Response::new(Full::new(bytes));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// What every answer carries besides its content.
pub struct Stamp<'a> {
    /// Whose words.
    pub dialect: Dialect,
    /// Our id for the request, under which the log knows it.
    pub request_id: Uuid,
    /// The caller's id for the request, when it is one that may be repeated.
    pub client_request_id: Option<&'a HeaderValue>,
    /// The caller's id for a chain of requests, when it is one that may be repeated.
    pub correlation_id: Option<&'a HeaderValue>,
    /// When.
    pub now: Timestamp,
    /// Whether the method was HEAD.
    pub head: bool,
    /// The public origin, when the request came over TLS and named one.
    pub origin: Option<&'a Origin>,
}

static X_MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
static X_MS_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
static X_MS_CORRELATION_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");

/// The version that Key Vault clients are shown: this program's.
const SERVICE_VERSION: HeaderValue = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));

/// The region that Key Vault clients are shown: there is only one.
const SERVICE_REGION: HeaderValue = HeaderValue::from_static("local");

impl Stamp<'_> {
    fn caller_id(&self) -> Option<String> {
        self.client_request_id.and_then(|id| id.to_str().ok()).map(str::to_owned)
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        let mut usual = |name: HeaderName, value: HeaderValue| {
            headers.entry(name).or_insert(value);
        };
        let fixed = HeaderValue::from_static;
        usual(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        // SECURITY: browsers remember this for every port and, on `localhost`, for every other program.
        if self.origin.is_some_and(|origin| !origin.host.is_shared_or_numeric()) {
            usual(header::STRICT_TRANSPORT_SECURITY, fixed("max-age=31536000"));
        }
        let request_id = HeaderValue::from_str(&self.request_id.to_string());
        let request_id = request_id.unwrap_or_else(|_| fixed("unknown"));
        match self.dialect {
            Dialect::KeyVault => {
                usual(header::CACHE_CONTROL, fixed("no-cache"));
                usual(header::PRAGMA, fixed("no-cache"));
                usual(header::EXPIRES, fixed("-1"));
                usual(HeaderName::from_static("x-ms-keyvault-service-version"), SERVICE_VERSION);
                usual(HeaderName::from_static("x-ms-keyvault-region"), SERVICE_REGION);
            }
            Dialect::Arm => {
                usual(header::CACHE_CONTROL, fixed("no-cache"));
                usual(header::PRAGMA, fixed("no-cache"));
                usual(header::EXPIRES, fixed("-1"));
                let correlation = self.correlation_id.cloned().unwrap_or_else(|| request_id.clone());
                usual(X_MS_CORRELATION_REQUEST_ID.clone(), correlation);
            }
            Dialect::Entra => {
                usual(header::CACHE_CONTROL, fixed("no-store"));
                usual(header::PRAGMA, fixed("no-cache"));
                usual(header::EXPIRES, fixed("-1"));
            }
            Dialect::Graph => {
                usual(header::CACHE_CONTROL, fixed("no-cache"));
                usual(HeaderName::from_static("request-id"), request_id.clone());
            }
            Dialect::Ours | Dialect::Node => usual(header::CACHE_CONTROL, fixed("no-store")),
        }
        if let Some(id) = self.client_request_id {
            let name = match self.dialect {
                Dialect::Graph | Dialect::Entra => HeaderName::from_static("client-request-id"),
                Dialect::KeyVault | Dialect::Arm | Dialect::Ours | Dialect::Node => {
                    X_MS_CLIENT_REQUEST_ID.clone()
                }
            };
            usual(name, id.clone());
        }
        usual(X_MS_REQUEST_ID.clone(), request_id);
    }
}

/// What the listener for ACME challenges says: the answer to one (RFC 8555 §8.3), or that there is nothing.
pub fn challenge(answer: Option<String>) -> Response<Full<Bytes>> {
    let found = if answer.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::from(answer.unwrap_or_default()));
    *response.status_mut() = found;
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    response
}

/// A caller's id that may be repeated in our headers, bodies and logs.
pub fn repeatable_id<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a HeaderValue> {
    let id = names.iter().find_map(|name| headers.get(*name))?;
    let bytes = id.as_bytes();
    let length = (1..=CLIENT_REQUEST_ID_BYTES_MAX).contains(&bytes.len());
    let plain = bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.{}".contains(b));
    (length && plain).then_some(id)
}

/// Serializes into memory that is wiped, also when it grows.
fn to_json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut sink = Wiped(Zeroizing::new(Vec::with_capacity(1024)));
    if let Err(error) = serde_json::to_writer(&mut sink, value) {
        // Only a type of ours that cannot be JSON gets here; half an object must not leave.
        tracing::error!(line = error.line(), "an answer could not be serialized");
        sink.0 = Zeroizing::new(b"{}".to_vec());
    }
    sink.0
}

struct Wiped(Zeroizing<Vec<u8>>);

impl io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut grown = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
