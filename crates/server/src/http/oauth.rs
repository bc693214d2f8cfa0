//! The token service: Entra's endpoints (wire facts §3).

use std::sync::Arc;

use http::{Method, header};
use vouchsafe_crypto::jose::{Algorithm, Jwk};
use vouchsafe_crypto::{Reason, SecretString};
use vouchsafe_domain::token::audience::{BadScope, resource_of_scope};
use vouchsafe_domain::token::issue::issuer;
use vouchsafe_domain::token::{ClientAuthentication, Error, GrantRequest, IssuedToken, KeyState};
use vouchsafe_domain::world::TenantSnapshot;
use vouchsafe_wire::form::{Budget, Form};
use vouchsafe_wire::oauth::{
    BasicCredentials, FORM_BUDGET, InstanceDiscovery, InstanceMetadata, JwkSet, OpenIdConfiguration,
    PublishedKey, TokenRequest, TokenResponse, TokenResponseV1, client_capabilities,
};
use vouchsafe_wire::secret_text::SecretText;

use super::app::App;
use super::plane::{PUBLIC_LOGIN_ALIASES, PUBLIC_LOGIN_HOST};
use super::problem::{Class, Problem};
use super::refusal::of_token;
use super::reply::{Reply, Success};
use super::route::{Guard, Plane, Route};
use super::{Handler, Request, answer};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The routes of this plane.
pub fn routes() -> Vec<Route<Handler<App>>> {
    fn route(
        method: Method,
        pattern: &'static str,
        name: &'static str,
        guard: Guard,
        handler: Handler<App>,
    ) -> Route<Handler<App>> {
        Route { plane: Plane::Entra, method, pattern, name, guard, handler }
    }
    use Guard::{ClientAuthentication, None as Public};
    vec![
        route(
            Method::GET,
            "/{tenant}/v2.0/.well-known/openid-configuration",
            "openid_configuration",
            Public,
            |app, r| answer(configuration(app, r, Version::V2)),
        ),
        route(
            Method::GET,
            "/{tenant}/.well-known/openid-configuration",
            "openid_configuration_v1",
            Public,
            |app, r| answer(configuration(app, r, Version::V1)),
        ),
        route(Method::GET, "/{tenant}/discovery/v2.0/keys", "keys", Public, |app, r| answer(keys(app, r))),
        route(Method::GET, "/{tenant}/discovery/keys", "keys_v1", Public, |app, r| answer(keys(app, r))),
        route(Method::GET, "/common/discovery/instance", "instance_discovery", Public, |app, r| {
            answer(instance(app, r))
        }),
        route(Method::POST, "/{tenant}/oauth2/v2.0/token", "token", ClientAuthentication, |app, r| {
            answer(token(app, r, Version::V2))
        }),
        route(Method::POST, "/{tenant}/oauth2/token", "token_v1", ClientAuthentication, |app, r| {
            answer(token(app, r, Version::V1))
        }),
    ]
}

/// Which generation of the endpoints is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    V1,
    V2,
}

fn tenant(app: &App, request: &Request) -> Result<Arc<TenantSnapshot>, Problem> {
    let named = request.params.text("tenant");
    let found = app.platform.world().tenant_named(named);
    found.ok_or_else(|| of_token(Error::TenantUnknown(named.to_owned())))
}

/// The tenant in addresses: `adfs` stays, because MSAL takes it for the kind of authority; the rest becomes the id.
fn segment(request: &Request, tenant: &TenantSnapshot) -> String {
    match request.params.text("tenant") {
        "adfs" => "adfs".to_owned(),
        _ => tenant.tenant().id.to_string(),
    }
}

async fn configuration(app: Arc<App>, request: Request, version: Version) -> Result<Reply, Problem> {
    let tenant = tenant(&app, &request)?;
    // JS and Go insist that the issuer has the origin they asked, whichever of our names that was.
    let origin = request.head.address.origin.to_string();
    let base = format!("{origin}/{}", segment(&request, &tenant));
    let issuer = issuer(&origin, tenant.tenant().id);
    let algorithms = [Algorithm::Rs256.as_str(), Algorithm::Es256.as_str()];
    let document = match version {
        Version::V2 => OpenIdConfiguration::v2(&base, issuer, &algorithms),
        Version::V1 => OpenIdConfiguration::v1(&base, issuer, &algorithms),
    };
    Ok(Reply::json(Success::Ok, &document).with_header(header::CACHE_CONTROL, "public, max-age=3600"))
}

async fn keys(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    let tenant = tenant(&app, &request)?;
    let mut published: Vec<_> = tenant.signing_keys().collect();
    // RS256 first: libraries that take the first key they understand then take that one; current before next.
    published
        .sort_by_key(|key| (key.algorithm != Algorithm::Rs256, key.state != KeyState::Current, key.since));
    let issuer = issuer(&request.head.address.origin.to_string(), tenant.tenant().id);
    let keys = published.into_iter().map(|key| PublishedKey::<Jwk> {
        kid: key.kid.clone(),
        intended_use: "sig".to_owned(),
        alg: Some(key.algorithm.as_str().to_owned()),
        issuer: Some(issuer.clone()),
        key: key.key.public().to_jwk(),
    });
    let set = JwkSet { keys: keys.collect() };
    Ok(Reply::json(Success::Ok, &set).with_header(header::CACHE_CONTROL, "public, max-age=3600"))
}

async fn instance(app: Arc<App>, request: Request) -> Result<Reply, Problem> {
    const QUERY: Budget = Budget { bytes_max: 8 * 1024, fields_max: 16 };
    let malformed = |error: vouchsafe_wire::form::BadForm| {
        Problem::entra(Class::Invalid, "invalid_request", 900_144, error.to_string())
    };
    let mut query =
        Form::parse(request.head.query().unwrap_or_default().as_bytes(), &QUERY).map_err(malformed)?;
    let endpoint = query.take_plain("authorization_endpoint").map_err(malformed)?;
    let endpoint = endpoint.ok_or_else(|| {
        Problem::entra(
            Class::Invalid,
            "invalid_request",
            900_144,
            "the parameter authorization_endpoint is missing",
        )
    })?;
    let invalid =
        || Problem::entra(Class::Invalid, "invalid_instance", 50_049, "unknown or invalid instance");
    let rest = endpoint.strip_prefix("https://").ok_or_else(invalid)?;
    let (host, path) = rest.split_once('/').ok_or_else(invalid)?;
    let own = app.platform.settings().origins.iter().filter_map(|origin| origin.strip_prefix("https://"));
    let public = std::iter::once(PUBLIC_LOGIN_HOST).chain(PUBLIC_LOGIN_ALIASES);
    let is_public =
        request.head.address.captured && public.clone().any(|name| name.eq_ignore_ascii_case(host));
    let is_own = own.clone().any(|name| name.eq_ignore_ascii_case(host));
    if !is_public && !is_own {
        return Err(invalid());
    }
    let named = path.split('/').next().unwrap_or_default();
    let aliases: Vec<String> =
        if is_public { public.map(str::to_owned).collect() } else { own.map(str::to_owned).collect() };
    let discovery = InstanceDiscovery {
        tenant_discovery_endpoint: format!("https://{host}/{named}/v2.0/.well-known/openid-configuration"),
        api_version: "1.1".to_owned(),
        metadata: vec![InstanceMetadata {
            preferred_network: if is_public { PUBLIC_LOGIN_HOST.to_owned() } else { host.to_owned() },
            preferred_cache: if is_public { PUBLIC_LOGIN_ALIASES[0].to_owned() } else { host.to_owned() },
            aliases,
        }],
    };
    Ok(Reply::json(Success::Ok, &discovery))
}

fn invalid_request(number: u32, sentence: impl Into<String>) -> Problem {
    Problem::entra(Class::Invalid, "invalid_request", number, sentence)
}

async fn token(app: Arc<App>, mut request: Request, version: Version) -> Result<Reply, Problem> {
    let body = request.body_up_to(FORM_BUDGET.bytes_max).await?;
    let mut form =
        TokenRequest::parse(&body).map_err(|error| invalid_request(9_002_313, error.to_string()))?;
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            let sentence = "the grant type is not supported here; use client_credentials";
            return Err(Problem::entra(Class::Invalid, "unsupported_grant_type", 70_003, sentence));
        }
        None => {
            return Err(invalid_request(900_144, "the request body must contain the parameter grant_type"));
        }
    }
    let resource = match (version, &form.scope, &form.resource) {
        (_, Some(scope), _) => {
            resource_of_scope(scope).map_err(|BadScope| of_token(Error::BadScope(scope.clone())))?.to_owned()
        }
        (Version::V1, None, Some(resource)) => resource.clone(),
        (Version::V2, None, _) => {
            return Err(invalid_request(900_144, "the request body must contain the parameter scope"));
        }
        (Version::V1, None, None) => {
            return Err(invalid_request(900_144, "the request body must contain the parameter resource"));
        }
    };
    let capabilities = form.claims.as_deref().map(client_capabilities).transpose();
    let capabilities =
        capabilities.map_err(|error| invalid_request(50_027, error.to_string()))?.unwrap_or_default();
    let (client_id, authentication) = client(&request, &mut form)?;
    let grant = GrantRequest {
        tenant: request.params.text("tenant").to_owned(),
        client_id,
        authentication,
        resource,
        origin: request.head.address.origin.to_string(),
        client_capability_cp1: capabilities.iter().any(|capability| capability.eq_ignore_ascii_case("cp1")),
    };
    let context = app.context(&request.head);
    let issued = app.platform.grant_client_credentials(&context, &grant).await.map_err(of_token)?;
    Ok(answered(issued, version, context.now()))
}

/// How the client authenticates: exactly one way (RFC 6749 §2.3).
fn client(request: &Request, form: &mut TokenRequest) -> Result<(String, ClientAuthentication), Problem> {
    let basic = match request.head.headers.get(header::AUTHORIZATION) {
        None => None,
        Some(value) => {
            let value = value
                .to_str()
                .map_err(|_| invalid_request(9_002_313, "the Authorization header is not text"))?;
            BasicCredentials::parse(value).map_err(|error| invalid_request(9_002_313, error.to_string()))?
        }
    };
    let secret = |text: SecretText| {
        ClientAuthentication::Secret(SecretString::new(std::mem::take(&mut *text.into_exposed())))
    };
    let named = form.client_id.take();
    match (basic, form.client_secret.take(), form.client_assertion.take()) {
        (Some(basic), None, None) if named.as_ref().is_none_or(|named| *named == basic.client_id) => {
            Ok((basic.client_id, secret(basic.client_secret)))
        }
        (None, Some(given), None) => Ok((required(named)?, secret(given))),
        (None, None, Some(assertion)) => {
            if form.client_assertion_type.as_deref() != Some(ASSERTION_TYPE) {
                let sentence = format!("the parameter client_assertion_type must be {ASSERTION_TYPE}");
                return Err(invalid_request(900_144, sentence));
            }
            let assertion = SecretString::new(std::mem::take(&mut *assertion.into_exposed()));
            Ok((required(named)?, ClientAuthentication::Assertion(assertion)))
        }
        (None, None, None) => {
            let sentence = "the request body must contain client_assertion or client_secret";
            Err(Problem::entra(Class::Unauthenticated, "invalid_client", 7_000_218, sentence))
        }
        _ => {
            Err(invalid_request(50_027, "the client must authenticate in one way only, under one client_id"))
        }
    }
}

fn required(client_id: Option<String>) -> Result<String, Problem> {
    client_id.ok_or_else(|| invalid_request(900_144, "the request body must contain the parameter client_id"))
}

fn answered(issued: IssuedToken, version: Version, now: vouchsafe_domain::time::Timestamp) -> Reply {
    let lifetime = issued.expires.since(now).as_secs();
    let token = SecretText::new(issued.access_token.expose(Reason::Answer).to_owned());
    let json = match version {
        Version::V2 => TokenResponse::bearer(token, lifetime).to_json(),
        Version::V1 => {
            TokenResponseV1::bearer(token, issued.audience.name, issued.not_before.seconds(), lifetime)
                .to_json()
        }
    };
    Reply::wiped_json(Success::Ok, json)
}
