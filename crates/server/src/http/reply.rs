//! The only place that knows status codes: what a handler or the chassis says becomes an answer here.
//!
//! A [`Reply`] is a success or a [`Problem`]. A problem carries codes and a message in the words of its dialect; how
//! they are wrapped, which headers every answer of a dialect has and which number a [`Class`] is, is decided once,
//! in [`Reply::finish`]. Faults of the chassis itself are a closed enum with an exhaustive table per dialect.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use vouchsafe_domain::time::Timestamp;

use super::path::BadUri;
use super::plane::{BadHost, Origin};
use super::route::Plane;
use crate::limits::CLIENT_REQUEST_ID_BYTES_MAX;

/// Whose words an answer uses.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dialect {
    /// Entra's token service: OAuth errors with AADSTS numbers.
    Entra,
    /// Key Vault's data plane.
    KeyVault,
    /// Azure Resource Manager.
    Arm,
    /// Microsoft Graph.
    Graph,
    /// Our own.
    Ours,
}

impl Plane {
    /// The dialect of a plane's answers.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Entra => Dialect::Entra,
            Self::KeyVault => Dialect::KeyVault,
            Self::Arm => Dialect::Arm,
            Self::Graph => Dialect::Graph,
            Self::Operations | Self::Admin | Self::Node => Dialect::Ours,
        }
    }
}

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

/// The kinds of refusal and failure, by whose fault it is and what to do next.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    /// The request makes no sense; sending it again will not help.
    Invalid,
    /// Say who you are.
    Unauthenticated,
    /// We know who you are, and you may not.
    Denied,
    /// There is no such thing.
    Absent,
    /// The thing exists, but has no such method.
    WrongMethod,
    /// The caller took too long to send its request.
    Slow,
    /// The thing is in another state than the request needs.
    Conflict,
    /// A condition that the caller set does not hold.
    Precondition,
    /// The body is longer than accepted.
    TooLarge,
    /// The address is longer than accepted.
    AddressTooLong,
    /// The body is of another kind than accepted.
    UnsupportedMedia,
    /// Another server was meant.
    Misdirected,
    /// Too often; come again later.
    Limited,
    /// Our mistake.
    Broken,
    /// Not now; come again later.
    Unavailable,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 15] = [
        Self::Invalid,
        Self::Unauthenticated,
        Self::Denied,
        Self::Absent,
        Self::WrongMethod,
        Self::Slow,
        Self::Conflict,
        Self::Precondition,
        Self::TooLarge,
        Self::AddressTooLong,
        Self::UnsupportedMedia,
        Self::Misdirected,
        Self::Limited,
        Self::Broken,
        Self::Unavailable,
    ];

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

    /// The codes for a class that nobody has said anything more precise about.
    const fn codes(self, dialect: Dialect) -> (&'static str, Option<&'static str>) {
        match dialect {
            Dialect::Entra => match self {
                Self::Invalid | Self::Absent | Self::Slow | Self::TooLarge | Self::AddressTooLong => {
                    ("invalid_request", Some("9002313"))
                }
                Self::Conflict | Self::Precondition | Self::UnsupportedMedia => {
                    ("invalid_request", Some("9002313"))
                }
                Self::WrongMethod => ("invalid_request", Some("900561")),
                Self::Unauthenticated => ("invalid_client", Some("7000218")),
                Self::Denied => ("unauthorized_client", Some("50105")),
                Self::Misdirected => ("invalid_instance", Some("50049")),
                Self::Limited => ("temporarily_unavailable", Some("90055")),
                Self::Unavailable => ("temporarily_unavailable", Some("90033")),
                Self::Broken => ("server_error", Some("50000")),
            },
            Dialect::KeyVault | Dialect::Arm => {
                let key_vault = matches!(dialect, Dialect::KeyVault);
                let code = match self {
                    Self::Invalid if key_vault => "BadParameter",
                    Self::Invalid => "BadRequest",
                    Self::Unauthenticated if key_vault => "Unauthorized",
                    Self::Unauthenticated => "AuthenticationFailed",
                    Self::Denied if key_vault => "Forbidden",
                    Self::Denied => "AuthorizationFailed",
                    Self::Absent if key_vault => "NotFound",
                    Self::Absent => "ResourceNotFound",
                    Self::WrongMethod => "MethodNotAllowed",
                    Self::Slow => "RequestTimeout",
                    Self::Conflict => "Conflict",
                    Self::Precondition => "PreconditionFailed",
                    Self::TooLarge => "RequestEntityTooLarge",
                    Self::AddressTooLong => "RequestUriTooLong",
                    Self::UnsupportedMedia => "UnsupportedMediaType",
                    Self::Misdirected => "MisdirectedRequest",
                    Self::Limited if key_vault => "Throttled",
                    Self::Limited => "TooManyRequests",
                    Self::Broken => "InternalServerError",
                    Self::Unavailable => "ServiceUnavailable",
                };
                (code, None)
            }
            Dialect::Graph => {
                let code = match self {
                    Self::Invalid | Self::TooLarge | Self::AddressTooLong | Self::WrongMethod => {
                        "Request_BadRequest"
                    }
                    Self::UnsupportedMedia | Self::Misdirected | Self::Slow => "Request_BadRequest",
                    Self::Unauthenticated => "InvalidAuthenticationToken",
                    Self::Denied => "Authorization_RequestDenied",
                    Self::Absent => "Request_ResourceNotFound",
                    Self::Conflict => "Request_MultipleObjectsWithSameKeyValue",
                    Self::Precondition => "PreconditionFailed",
                    Self::Limited => "TooManyRequests",
                    Self::Broken => "InternalServerError",
                    Self::Unavailable => "ServiceNotAvailable",
                };
                (code, None)
            }
            Dialect::Ours => {
                let code = match self {
                    Self::Invalid => "invalid_request",
                    Self::Unauthenticated => "unauthenticated",
                    Self::Denied => "denied",
                    Self::Absent => "not_found",
                    Self::WrongMethod => "method_not_allowed",
                    Self::Slow => "request_timeout",
                    Self::Conflict => "conflict",
                    Self::Precondition => "precondition_failed",
                    Self::TooLarge => "body_too_large",
                    Self::AddressTooLong => "address_too_long",
                    Self::UnsupportedMedia => "unsupported_media_type",
                    Self::Misdirected => "misdirected_request",
                    Self::Limited => "too_many_requests",
                    Self::Broken => "internal_error",
                    Self::Unavailable => "unavailable",
                };
                (code, None)
            }
        }
    }
}

/// A refusal or failure in the words of a dialect.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Whose fault it is and what to do next.
    pub class: Class,
    /// `error` in OAuth, `error.code` elsewhere.
    pub code: Cow<'static, str>,
    /// The digits after `AADSTS` in Entra's dialect, `innererror.code` in Key Vault's.
    pub inner: Option<Cow<'static, str>>,
    /// What the caller is told; never a secret, never more than the caller may know.
    pub message: String,
    headers: HeaderMap,
}

impl Problem {
    /// A problem with a code of its own.
    pub fn new(class: Class, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { class, code: code.into(), inner: None, message: message.into(), headers: HeaderMap::new() }
    }

    /// A problem with the usual codes of its class.
    pub fn usual(dialect: Dialect, class: Class, message: impl Into<String>) -> Self {
        let (code, inner) = class.codes(dialect);
        let problem = Self::new(class, code, message);
        match inner {
            Some(inner) => problem.with_inner(inner),
            None => problem,
        }
    }

    /// A problem of the token service: the OAuth code, the AADSTS number and one sentence.
    pub fn entra(class: Class, error: &'static str, aadsts: u32, sentence: impl Into<String>) -> Self {
        Self::new(class, error, sentence).with_inner(aadsts.to_string())
    }

    /// Adds the second code.
    pub fn with_inner(mut self, inner: impl Into<Cow<'static, str>>) -> Self {
        self.inner = Some(inner.into());
        self
    }

    /// Adds a challenge; text that is no header value is left out and logged.
    pub fn with_challenge(mut self, challenge: &str) -> Self {
        match HeaderValue::from_str(challenge) {
            Ok(value) => drop(self.headers.append(header::WWW_AUTHENTICATE, value)),
            Err(_) => tracing::error!("a challenge is not a header value and was left out"),
        }
        self
    }

    /// Adds when to come again, in whole seconds, at least one (RFC 9110 §10.2.3).
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        self
    }

    /// Adds which methods there are (RFC 9110 §10.2.1).
    pub fn with_allow(mut self, methods: &[Method]) -> Self {
        let text = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        if let Ok(value) = HeaderValue::from_str(&text) {
            self.headers.insert(header::ALLOW, value);
        }
        self
    }

    fn body(&self, stamp: &Stamp<'_>) -> Zeroizing<Vec<u8>> {
        let id = stamp.request_id.to_string();
        match stamp.dialect {
            Dialect::Entra => to_json(&self.oauth(stamp, &id)),
            Dialect::KeyVault => {
                let innererror = self.inner.as_deref().map(|code| Inner { code });
                to_json(&Envelope { error: Detail { innererror, ..self.detail() } })
            }
            Dialect::Arm => to_json(&Envelope { error: self.detail() }),
            Dialect::Graph => {
                let inner_error = Some(GraphInner {
                    date: stamp.now.rfc3339(),
                    request_id: &id,
                    client_request_id: stamp.client_request_id.and_then(|id| id.to_str().ok()).unwrap_or(&id),
                });
                to_json(&Envelope { error: Detail { inner_error, ..self.detail() } })
            }
            Dialect::Ours => to_json(&Envelope { error: Detail { request_id: Some(&id), ..self.detail() } }),
        }
    }

    fn detail(&self) -> Detail<'_> {
        let (code, message) = (&*self.code, self.message.as_str());
        Detail { code, message, innererror: None, inner_error: None, request_id: None }
    }

    /// RFC 6749 §5.2 with Entra's additions, in one line that needs no escape: the Rust SDK borrows it as it stands.
    fn oauth<'a>(&'a self, stamp: &Stamp<'_>, id: &'a str) -> OAuthError<'a> {
        let number = self.inner.as_deref().and_then(|inner| inner.parse::<u64>().ok());
        let correlation = stamp.client_request_id.and_then(|id| id.to_str().ok()).unwrap_or(id).to_owned();
        let seconds = stamp.now.rfc3339();
        let seconds = seconds.split(['.', 'Z']).next().unwrap_or_default().replace('T', " ");
        let timestamp = format!("{seconds}Z");
        let prefix = number.map(|number| format!("AADSTS{number}: ")).unwrap_or_default();
        let sentence = self.message.trim_end_matches('.');
        let description = format!(
            "{prefix}{sentence}. Trace ID: {id} Correlation ID: {correlation} Timestamp: {timestamp}"
        );
        let harmless = |c: char| match c {
            '"' => '\'',
            '\\' => '/',
            c if c.is_control() => ' ',
            c => c,
        };
        OAuthError {
            error: &self.code,
            error_description: description.chars().map(harmless).collect(),
            error_codes: number.into_iter().collect(),
            timestamp,
            trace_id: id,
            correlation_id: correlation,
        }
    }
}

#[derive(Serialize)]
struct OAuthError<'a> {
    error: &'a str,
    error_description: String,
    error_codes: Vec<u64>,
    timestamp: String,
    trace_id: &'a str,
    correlation_id: String,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    innererror: Option<Inner<'a>>,
    #[serde(rename = "innerError", skip_serializing_if = "Option::is_none")]
    inner_error: Option<GraphInner<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'a str,
}

#[derive(Serialize)]
struct GraphInner<'a> {
    date: String,
    #[serde(rename = "request-id")]
    request_id: &'a str,
    #[serde(rename = "client-request-id")]
    client_request_id: &'a str,
}

/// What goes wrong before and around handlers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The request addresses no service of ours.
    Host(BadHost),
    /// The path cannot be read.
    Uri(BadUri),
    /// No route has this path.
    NoRoute,
    /// The path has other methods.
    WrongMethod(Vec<Method>),
    /// The route is only for local processes.
    NotLocal,
    /// The body is longer than accepted here.
    BodyTooLarge(usize),
    /// The body did not arrive in time.
    BodySlow,
    /// The body broke off.
    BodyBroken,
    /// The answer was not ready in time.
    Deadline,
    /// Too many requests are being answered.
    Overloaded,
    /// A handler panicked.
    Panicked,
}

impl Fault {
    /// The fault in the words of a dialect.
    pub fn problem(&self, dialect: Dialect) -> Problem {
        let usual = |class, message: String| Problem::usual(dialect, class, message);
        match self {
            Self::Host(BadHost::Absent | BadHost::Garbled) => usual(Class::Invalid, self.host_message()),
            Self::Host(BadHost::Foreign | BadHost::VaultName) => {
                usual(Class::Misdirected, self.host_message())
            }
            Self::Uri(error @ BadUri::PathTooLong) => usual(Class::AddressTooLong, error.to_string()),
            Self::Uri(
                error @ (BadUri::NotAbsolute
                | BadUri::Escape
                | BadUri::Utf8
                | BadUri::Character
                | BadUri::DotSegment),
            ) => usual(Class::Invalid, error.to_string()),
            Self::NoRoute => usual(Class::Absent, "there is nothing at this address; check the path".into()),
            Self::WrongMethod(allow) => {
                let methods = allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                usual(Class::WrongMethod, format!("this address accepts only {methods}")).with_allow(allow)
            }
            Self::NotLocal => {
                usual(Class::Denied, "this address is only for processes on the server's machine".into())
            }
            Self::BodyTooLarge(max) => {
                usual(Class::TooLarge, format!("the request body is too large: at most {max} bytes"))
            }
            Self::BodySlow => usual(Class::Slow, "the request body did not arrive in time".into()),
            Self::BodyBroken => usual(Class::Invalid, "the request body broke off".into()),
            Self::Deadline => usual(Class::Unavailable, "the answer was not ready in time; try again".into())
                .with_retry_after(1),
            Self::Overloaded => {
                usual(Class::Unavailable, "the server is busy; try again".into()).with_retry_after(1)
            }
            Self::Panicked => usual(
                Class::Broken,
                "the server made a mistake; its log has the details under this request id".into(),
            ),
        }
    }

    fn host_message(&self) -> String {
        match self {
            Self::Host(error) => error.to_string(),
            _ => String::new(),
        }
    }
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
            Content::Problem(problem) => &mut problem.headers,
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
                let mut headers = problem.headers;
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
            Dialect::Ours => usual(header::CACHE_CONTROL, fixed("no-store")),
        }
        if let Some(id) = self.client_request_id {
            let name = match self.dialect {
                Dialect::Graph | Dialect::Entra => HeaderName::from_static("client-request-id"),
                Dialect::KeyVault | Dialect::Arm | Dialect::Ours => X_MS_CLIENT_REQUEST_ID.clone(),
            };
            usual(name, id.clone());
        }
        usual(X_MS_REQUEST_ID.clone(), request_id);
    }
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
