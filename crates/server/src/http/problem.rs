//! What can be wrong with a request, in the words of each dialect; the numbers and the wrapping are [`super::reply`]'s.
//!
//! Handlers make a [`Problem`] with the codes that their dialect has for the case. What the chassis itself refuses is
//! the closed enum [`Fault`], whose table per dialect is exhaustive.

use std::borrow::Cow;

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method};
use vouchsafe_wire::path::BadUri;

use super::plane::BadHost;
use super::route::Plane;

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
    /// What we say to node agents.
    Node,
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
            Self::Node => Dialect::Node,
            Self::Operations | Self::Admin | Self::Pki => Dialect::Ours,
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
            Dialect::Node => match self {
                Self::Limited | Self::Broken | Self::Unavailable => ("unavailable", None),
                Self::Denied => ("no_identity", None),
                Self::Invalid
                | Self::Unauthenticated
                | Self::Absent
                | Self::WrongMethod
                | Self::Slow
                | Self::Conflict
                | Self::Precondition
                | Self::TooLarge
                | Self::AddressTooLong
                | Self::UnsupportedMedia
                | Self::Misdirected => ("invalid_request", None),
            },
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
    /// The member or parameter at fault, in Resource Manager's dialect.
    pub target: Option<String>,
    /// What the caller is told; never a secret, never more than the caller may know.
    pub message: String,
    pub(super) headers: Box<HeaderMap>,
}

impl Problem {
    /// A problem with a code of its own.
    pub fn new(class: Class, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            class,
            code: code.into(),
            inner: None,
            target: None,
            message: message.into(),
            headers: Box::default(),
        }
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

    /// Adds the member or parameter at fault.
    pub fn with_target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
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
    /// The body says it is of another kind than is read here.
    BodyKind(&'static str),
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
            Self::Host(BadHost::Foreign | BadHost::OnlyHttps | BadHost::VaultName) => {
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
            Self::BodyKind(read) => usual(
                Class::UnsupportedMedia,
                format!("the request body must be sent as Content-Type: {read}"),
            ),
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
