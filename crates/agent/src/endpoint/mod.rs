//! The metadata endpoints: IMDS and App Service on one loopback listener.
//!
//! A connection is attested from the moment it is accepted; only an answer that carries a token waits for the
//! result, so that the probes of the SDKs are answered at once. What the caller can change is a 400 with the reason.
//! A 404 would make clients retry for a minute (they read it as "not there yet"), and an unknown identity is a 400
//! for Azure too: it lets a credential chain move on. When the platform is away the answer is 503 with `Retry-After`:
//! there 400 would be wrong, because the chain would move on to a credential that was not meant, and hide an outage.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::OnceCell;
use vouchsafe_crypto::Reason;
use vouchsafe_wire::imds::{
    APP_SERVICE_TOKEN_PATH, ErrorAnswer, IMDS_TOKEN_PATH, IdentityChoice, TokenAnswer, TokenQuery,
};
use vouchsafe_wire::node::{ErrorCode, TokenRequest};

use crate::cache::{Key, TokenCache};
use crate::limits::ANSWER_DEADLINE;
use crate::peer::{Attested, Attestor, Refusal};
use crate::run::Bindings;
use crate::source::{SourceError, Token, TokenSource};
use crate::{Clock, Config};

mod app_service;
mod imds;

/// The answer to a metadata request.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Whoever is at the other end of one connection, found out once.
pub(crate) struct Caller {
    client: SocketAddr,
    server: SocketAddr,
    attested: OnceCell<Result<Attested, Refusal>>,
}

impl Caller {
    pub(crate) fn new(client: SocketAddr, server: SocketAddr) -> Arc<Self> {
        Arc::new(Self { client, server, attested: OnceCell::new() })
    }

    /// The result of attesting the caller; the first to ask does the work.
    pub(crate) async fn attested(&self, attestor: &Attestor) -> Result<&Attested, Refusal> {
        let result = self.attested.get_or_init(|| attestor.attest(self.client, self.server)).await;
        result.as_ref().map_err(Refusal::clone)
    }
}

/// What answers metadata requests, however they came.
pub(crate) struct Endpoint {
    pub(crate) attestor: Attestor,
    pub(crate) bindings: Arc<Bindings>,
    cache: TokenCache,
    source: Arc<dyn TokenSource>,
    source_deadline: Duration,
    clock: Arc<dyn Clock>,
}

/// Which protocol a path belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Protocol {
    Imds,
    AppService,
}

/// Why there is no token.
enum Failure {
    /// The caller can change it.
    Invalid(String),
    /// Only time, or the operator, can.
    Unavailable(String),
}

impl Endpoint {
    pub(crate) fn new(config: &Config, bindings: Arc<Bindings>) -> std::io::Result<Self> {
        Ok(Self {
            attestor: Attestor::new(Arc::clone(&config.clock), config.inheritable_sockets)?,
            bindings,
            cache: TokenCache::new(),
            source: Arc::clone(&config.source),
            source_deadline: config.source_deadline,
            clock: Arc::clone(&config.clock),
        })
    }

    /// Answers a request that was sent to the endpoint itself.
    pub(crate) async fn direct(&self, head: &Parts, has_body: bool, caller: &Caller) -> Answer {
        // SECURITY: a web page can be made to send requests here by a name of its own that resolves to loopback;
        // and a confused proxy can be made to send absolute targets.
        if head.uri.authority().is_some() {
            return invalid("send the path only, not an absolute address");
        }
        let mut hosts = head.headers.get_all(HOST).iter();
        match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
            (Some(host), None) if is_local_name(host) => {}
            _ => return invalid("the Host header must name 169.254.169.254 or a loopback address"),
        }
        self.answer(head, has_body, caller).await
    }

    /// Answers a request whose target was already found to be this endpoint.
    pub(crate) async fn answer(&self, head: &Parts, has_body: bool, caller: &Caller) -> Answer {
        let Some(protocol) = protocol(head.uri.path()) else {
            let text = "no such path; tokens are at /metadata/identity/oauth2/token and /msi/token";
            return refuse(StatusCode::NOT_FOUND, "not_found", text);
        };
        if head.method != Method::GET {
            let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "use GET");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return answer;
        }
        if let Err(text) = check_headers(protocol, &head.headers, has_body) {
            return invalid(text);
        }
        let query = match TokenQuery::parse(head.uri.query().unwrap_or_default()) {
            Ok(query) => query,
            Err(error) => return invalid(&error.to_string()),
        };
        let deadline = tokio::time::timeout(ANSWER_DEADLINE, self.token(&query, caller));
        match deadline.await {
            Ok(Ok(token)) => granted(&token, &query.resource, self.clock.now_seconds()),
            Ok(Err(Failure::Invalid(text))) => {
                tracing::info!(reason = %text, "no token");
                invalid(&text)
            }
            Ok(Err(Failure::Unavailable(text))) => unavailable(&text),
            Err(_) => unavailable("the request took too long"),
        }
    }

    async fn token(&self, query: &TokenQuery, caller: &Caller) -> Result<Arc<Token>, Failure> {
        let refused = |refusal: Refusal| Failure::Invalid(refusal.to_string());
        let attested = caller.attested(&self.attestor).await.map_err(refused)?;
        let run_identity = self.bindings.identity_of(attested.process());
        // SECURITY: `vouchsafe run` binds a tree whatever its programs are, so an exec inside it changes nothing; but an
        // identity asked for by name may be bound to an executable, and that must be the one that asks.
        let by_tree = run_identity.is_some() && matches!(query.identity, IdentityChoice::Bound);
        if attested.opener_is_unknown() && !by_tree {
            return Err(refused(Refusal::Inheritable));
        }
        let process = attested.facts(run_identity).await.map_err(refused)?;
        let (client_id, object_id, resource_id) = match query.identity.clone() {
            IdentityChoice::Bound => (None, None, None),
            IdentityChoice::ClientId(id) => (Some(id), None, None),
            IdentityChoice::ObjectId(id) => (None, Some(id), None),
            IdentityChoice::ResourceId(id) => (None, None, Some(id)),
        };
        let request =
            TokenRequest { process, resource: query.resource.clone(), client_id, object_id, resource_id };
        let now = self.clock.now_seconds();
        let ask = || async {
            match tokio::time::timeout(self.source_deadline, self.source.token(&request)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(SourceError::Unreachable("the server did not answer in time".to_owned())),
            }
        };
        let token = match self.cache.get(Key::of(&request), now, ask).await {
            Ok(token) => token,
            Err(error) => return Err(explain(error, attested)),
        };
        // SECURITY: the platform may have taken a while. The token goes to the process that was attested or nowhere.
        attested.still_same().map_err(refused)?;
        Ok(token)
    }
}

fn explain(error: SourceError, attested: &Attested) -> Failure {
    match error {
        SourceError::Unreachable(reason) => {
            tracing::warn!(%reason, "the server is not reachable");
            Failure::Unavailable(
                "the identity server cannot be reached; is `vouchsafe serve` running?".to_owned(),
            )
        }
        SourceError::Refused { code, message } if code.is_transient() => Failure::Unavailable(message),
        SourceError::Refused { code, message } => {
            let advice = match code {
                ErrorCode::NoIdentity => {
                    "bind an identity to it with `vouchsafe apply`, or start it with `vouchsafe run`"
                }
                ErrorCode::NotAssigned => {
                    "check the id that is asked for, and the selectors of that identity"
                }
                ErrorCode::Ambiguous => "set AZURE_CLIENT_ID to choose one",
                ErrorCode::UnknownResource => "check the scope that the program asks for",
                ErrorCode::InvalidRequest | ErrorCode::Unavailable | ErrorCode::Other => "check the request",
            };
            Failure::Invalid(format!("{message}. Seen: {}. To do: {advice}.", attested.describe()))
        }
    }
}

/// Finds the protocol of a path; one prefix `/w/NAME` and one slash at the end are allowed.
///
/// The prefix lets a configuration tell its workloads apart in what it writes down; it proves nothing and chooses
/// nothing.
fn protocol(path: &str) -> Option<Protocol> {
    let path = match path.strip_prefix("/w/") {
        None => path,
        Some(rest) => {
            let (name, path) = rest.split_at(rest.find('/')?);
            let is_name = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
                return None;
            }
            path
        }
    };
    match path.strip_suffix('/').unwrap_or(path) {
        IMDS_TOKEN_PATH => Some(Protocol::Imds),
        APP_SERVICE_TOKEN_PATH => Some(Protocol::AppService),
        _ => None,
    }
}

fn check_headers(protocol: Protocol, headers: &HeaderMap, has_body: bool) -> Result<(), &'static str> {
    // SECURITY: a request that was forwarded for somebody else, or smuggled by somebody's URL fetcher, is not the
    // workload's own. The fetchers that attackers find can rarely set headers, and proxies give themselves away.
    for name in ["x-forwarded-for", "x-forwarded-host", "forwarded", "via"] {
        if headers.contains_key(name) {
            return Err("the request was forwarded by a proxy; ask from the workload itself, without one");
        }
    }
    if headers.contains_key(UPGRADE) {
        return Err("the protocol cannot be upgraded; use plain HTTP/1.1");
    }
    let announced = headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body || announced || headers.contains_key(TRANSFER_ENCODING) {
        return Err("a GET has no body here");
    }
    match protocol {
        Protocol::Imds => imds::check(headers),
        Protocol::AppService => app_service::check(headers),
    }
}

/// Whether a Host header (or the authority of a target) can only mean this machine's metadata service.
pub(crate) fn is_local_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback() || name == METADATA_ADDRESS,
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

/// The address that clouds serve metadata on.
pub(crate) const METADATA_ADDRESS: &str = "169.254.169.254";

fn granted(token: &Token, resource: &str, now: u64) -> Answer {
    let expires_in = token.expires_on.saturating_sub(now).to_string();
    let answer = TokenAnswer {
        access_token: token.secret.expose(Reason::Answer),
        client_id: &token.client_id,
        ext_expires_in: expires_in.clone(),
        expires_in,
        expires_on: token.expires_on.to_string(),
        not_before: token.not_before.to_string(),
        resource,
        token_type: &token.token_type,
    };
    json(StatusCode::OK, &answer)
}

fn invalid(text: &str) -> Answer {
    refuse(StatusCode::BAD_REQUEST, "invalid_request", text)
}

fn unavailable(text: &str) -> Answer {
    let mut answer = refuse(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", text);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    answer
}

fn refuse(status: StatusCode, error: &str, text: &str) -> Answer {
    json(status, &ErrorAnswer::new(status.as_u16(), error, text))
}

fn json(status: StatusCode, body: &impl serde::Serialize) -> Answer {
    // Strings and numbers only, which always serialise; an empty body is what a reader would make of a failure.
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut answer = Response::new(Full::new(Bytes::from(bytes)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_of_two_with_an_optional_prefix_and_slash() {
        for (path, expected) in [
            ("/metadata/identity/oauth2/token", Some(Protocol::Imds)),
            ("/metadata/identity/oauth2/token/", Some(Protocol::Imds)),
            ("/w/app-1/metadata/identity/oauth2/token", Some(Protocol::Imds)),
            ("/msi/token", Some(Protocol::AppService)),
            ("/w/app/msi/token/", Some(Protocol::AppService)),
            ("/w//msi/token", None),
            ("/w/a/w/b/msi/token", None),
            ("/w/a%2f/msi/token", None),
            ("/msi/token//", None),
            ("/MSI/token", None),
            ("/metadata/instance", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(protocol(path), expected, "{path}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in [
            "169.254.169.254",
            "169.254.169.254:80",
            "127.0.0.1:9",
            "[::1]:9",
            "localhost:9",
            "LOCALHOST",
            "127.8.8.8",
        ] {
            assert!(is_local_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "u@127.0.0.1",
            "10.0.0.1",
            "a b",
        ] {
            assert!(!is_local_name(host), "{host}");
        }
    }

    #[test]
    fn a_request_without_the_right_headers_is_refused() {
        let headers = |lines: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in lines {
                map.append(*name, HeaderValue::from_static(value));
            }
            map
        };
        let check = |protocol, lines: &[_], body| check_headers(protocol, &headers(lines), body).is_ok();
        assert!(check(Protocol::Imds, &[("metadata", "true")], false));
        assert!(check(Protocol::AppService, &[("x-identity-header", "x")], false));
        assert!(check(Protocol::AppService, &[("x-identity-header", "x"), ("metadata", "true")], false));
        assert!(check(Protocol::Imds, &[("metadata", "true"), ("content-length", "0")], false));
        for lines in [
            &[][..],
            &[("metadata", "false")],
            &[("metadata", "")],
            &[("metadata", "true"), ("metadata", "true")],
            &[("metadata", "true, true")],
            &[("x-identity-header", "x")],
            &[("metadata", "true"), ("x-forwarded-for", "10.0.0.1")],
            &[("metadata", "true"), ("forwarded", "for=10.0.0.1")],
            &[("metadata", "true"), ("via", "1.1 proxy")],
            &[("metadata", "true"), ("upgrade", "h2c")],
            &[("metadata", "true"), ("transfer-encoding", "chunked")],
            &[("metadata", "true"), ("content-length", "3")],
        ] {
            assert!(!check(Protocol::Imds, lines, false), "{lines:?}");
        }
        assert!(!check(Protocol::Imds, &[("metadata", "true")], true));
        for lines in
            [&[][..], &[("x-identity-header", "")], &[("x-identity-header", "a"), ("x-identity-header", "a")]]
        {
            assert!(!check(Protocol::AppService, lines, false), "{lines:?}");
        }
    }
}
