use http_body_util::BodyExt;
use serde_json::{Value, json};

use vouchsafe_domain::time::Timestamp;

use super::plane::{Door, Host, KernelPeer};
use super::problem::{Class, Dialect};
use super::reply::Success;
use super::route::Route;
use super::*;

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

const ID: &str = "00000000-0000-4000-8000-000000000000";

fn route(
    plane: Plane,
    method: Method,
    pattern: &'static str,
    guard: Guard,
    handler: Handler<()>,
) -> Route<Handler<()>> {
    let name: &'static str = Box::leak(format!("{method} {pattern}").into_boxed_str());
    Route { plane, method, pattern, name, guard, handler }
}

async fn said(_: Arc<()>, mut request: Request) -> Result<Reply, Problem> {
    let body = request.body().await?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let name = request.params.text("name");
    let seen = json!({ "name": name, "body": text, "id": format!("{}/x", request.head.address.origin) });
    Ok(Reply::json(Success::Ok, &seen))
}

pub fn service(limits: Limits) -> Arc<Service<()>> {
    let table = Table::new([
        route(Plane::KeyVault, Method::GET, "/secrets/{name}/{version?}", Guard::None, |a, r| {
            answer(said(a, r))
        }),
        route(Plane::KeyVault, Method::PUT, "/secrets/{name}", Guard::None, |a, r| answer(said(a, r))),
        route(Plane::Entra, Method::POST, "/{tenant}/oauth2/v2.0/token", Guard::None, |a, r| {
            answer(said(a, r))
        }),
        route(Plane::Operations, Method::GET, "/healthz", Guard::None, |a, r| answer(said(a, r))),
        route(Plane::Arm, Method::GET, "/tenants", Guard::None, |_, _| Box::pin(std::future::pending())),
        route(Plane::Arm, Method::HEAD, "/subscriptions/{s}", Guard::None, |_, _| {
            Box::pin(async { Reply::empty(Success::NoContent) })
        }),
        route(Plane::Admin, Method::GET, "/admin/v1/status", Guard::KernelPeer, |a, r| answer(said(a, r))),
        route(Plane::Graph, Method::GET, "/v1.0/me", Guard::None, |_, _| panic!("in a handler")),
    ])
    .unwrap();
    let host = |raw| Host::parse(raw).unwrap();
    Arc::new(Service::new(Parts {
        app: Arc::new(()),
        table,
        names: Names {
            primary: host("localhost"),
            others: vec![host("id.example.org")],
            vault_suffix: host("vault.localhost"),
            capture: false,
        },
        before_route: Some(|_, head| {
            Box::pin(async move {
                let vault = head.address.vault.as_ref()?;
                if head.headers.contains_key("authorization") {
                    return None;
                }
                let challenge = format!(
                    "Bearer authorization=\"{}/T\", resource=\"{}\"",
                    head.address.login, vault.resource
                );
                let problem = Problem::usual(Dialect::KeyVault, Class::Unauthenticated, "AKV10000: no token");
                Some(problem.with_challenge(&challenge).into())
            })
        }),
        before_handler: None,
        limits,
        telemetry: Arc::new(Telemetry::new("0", |_| {})),
        readiness: Arc::default(),
        clock: Arc::new(FixedClock),
        entropy: Arc::new(Zeros),
    }))
}

const TLS: Connection = Connection { door: Door::Tls, remote: None, tls: true, peer: None };

async fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, HeaderMap, Value) {
    ask_of(&service(Limits::default()), TLS, method, url, headers, body).await
}

async fn ask_of(
    service: &Service<()>,
    connection: Connection,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, HeaderMap, Value) {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::copy_from_slice(body)).unwrap();
    let (parts, body) = service.dispatch(connection, request).await.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    (parts.status.as_u16(), parts.headers, value)
}

const AUTHORIZED: (&str, &str) = ("authorization", "Bearer x");

#[tokio::test]
async fn a_vault_challenges_before_it_looks_at_anything_else() {
    for (method, path) in
        [("GET", "/secrets/n"), ("PUT", "/secrets/n"), ("PATCH", "/nothing/here"), ("GET", "/%zz")]
    {
        let url = format!("https://app.vault.localhost:8443{path}");
        let (status, headers, body) = ask(method, &url, &[], b"{").await;
        assert_eq!((status, &body["error"]["code"]), (401, &json!("Unauthorized")), "{method} {path}");
        let challenge =
            "Bearer authorization=\"https://localhost:8443/T\", resource=\"https://vault.localhost:8443\"";
        assert_eq!(headers["www-authenticate"], challenge);
    }
}

#[tokio::test]
async fn a_handler_gets_parameters_body_and_the_callers_own_origin() {
    let url = "https://app.vault.localhost:8443/secrets/n%2Dm?api%2Dversion=7.4";
    let client = ("x-ms-client-request-id", "9E46F0E0-0000");
    let (status, headers, body) = ask("PUT", url, &[AUTHORIZED, client], b"v").await;
    assert_eq!(status, 200);
    assert_eq!(body, json!({ "name": "n-m", "body": "v", "id": "https://app.vault.localhost:8443/x" }));
    for (name, value) in [
        ("cache-control", "no-cache"),
        ("pragma", "no-cache"),
        ("expires", "-1"),
        ("x-ms-request-id", ID),
        ("x-ms-client-request-id", "9E46F0E0-0000"),
        ("x-ms-keyvault-region", "local"),
        ("x-content-type-options", "nosniff"),
        ("content-type", "application/json; charset=utf-8"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(headers.contains_key("x-ms-keyvault-service-version"));
    assert!(!headers.contains_key("strict-transport-security"), "localhost is shared with other programs");
}

#[tokio::test]
async fn a_clients_id_with_other_characters_or_too_long_is_not_repeated() {
    for id in ["a b", "<x>", "é", "a\"b", &"a".repeat(129)] {
        let url = "https://app.vault.localhost/secrets/n";
        let (_, headers, _) = ask("GET", url, &[("x-ms-client-request-id", id)], b"").await;
        assert!(!headers.contains_key("x-ms-client-request-id"), "{id}");
    }
}

#[tokio::test]
async fn each_plane_refuses_unknown_addresses_in_its_own_words() {
    let (status, _, body) = ask("GET", "https://app.vault.localhost/nothing", &[AUTHORIZED], b"").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("NotFound")));
    let (status, headers, body) =
        ask("DELETE", "https://app.vault.localhost/secrets/n", &[AUTHORIZED], b"").await;
    assert_eq!(
        (status, &body["error"]["code"], &headers["allow"].to_str().unwrap()),
        (405, &json!("MethodNotAllowed"), &"GET, PUT")
    );
    let (status, headers, body) = ask("GET", "https://localhost/subscriptions/s/nothing", &[], b"").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("ResourceNotFound")));
    assert_eq!(headers["x-ms-correlation-request-id"], ID);
    let (status, _, body) = ask("GET", "https://localhost/graph/v1.0/x", &[], b"").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("Request_ResourceNotFound")));
    assert_eq!(body["error"]["innerError"]["request-id"], ID);
    let (status, headers, body) = ask("GET", "https://id.example.org/t/oauth2/v2.0/token", &[], b"").await;
    assert_eq!(
        (status, &body["error"], &body["error_codes"]),
        (405, &json!("invalid_request"), &json!([900_561]))
    );
    assert_eq!(
        body["error_description"],
        format!(
            "AADSTS900561: this address accepts only POST. Trace ID: {ID} Correlation ID: {ID} Timestamp: 2027-01-15 08:00:00Z"
        )
    );
    assert_eq!(
        (headers["cache-control"].to_str().unwrap(), headers["pragma"].to_str().unwrap()),
        ("no-store", "no-cache")
    );
    assert_eq!(headers["strict-transport-security"], "max-age=31536000");
    let (status, _, body) = ask("GET", "https://evil.example/healthz", &[], b"").await;
    assert_eq!(
        (status, &body["error"]["code"], &body["error"]["request_id"]),
        (421, &json!("misdirected_request"), &json!(ID))
    );
    let (status, _, body) = ask("GET", "/healthz", &[], b"").await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("invalid_request")));
    let (status, _, _) = ask("GET", &format!("https://localhost/{}", "a".repeat(2049)), &[], b"").await;
    assert_eq!(status, 414);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let (status, _, body) = ask("HEAD", "https://localhost/subscriptions/s", &[], b"").await;
    assert_eq!((status, body), (204, Value::Null));
    let (status, _, body) = ask("HEAD", "https://localhost/subscriptions/s/x", &[], b"").await;
    assert_eq!((status, body), (404, Value::Null));
}

#[tokio::test]
async fn a_panic_is_one_failed_request_with_an_id() {
    let service = service(Limits::default());
    let (status, _, body) = ask_of(&service, TLS, "GET", "https://localhost/v1.0/me", &[], b"").await;
    assert_eq!((status, &body["error"]["code"]), (500, &json!("InternalServerError")));
    assert_eq!(body["error"]["innerError"]["request-id"], ID);
    assert!(!body.to_string().contains("in a handler"));
    assert!(service.parts().telemetry.render().contains("vouchsafe_http_panics_total 1"));
    assert_eq!(ask_of(&service, TLS, "GET", "https://localhost/healthz", &[], b"").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_given_up() {
    let (status, headers, body) = ask("GET", "https://localhost/tenants", &[], b"").await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("ServiceUnavailable")));
    assert_eq!(headers["retry-after"], "1");
}

#[tokio::test]
async fn load_is_shed_but_health_still_answers() {
    let service = service(Limits { requests_in_flight_max: 1, ..Limits::default() });
    let busy = service.clone();
    let hanging =
        tokio::spawn(async move { ask_of(&busy, TLS, "GET", "https://localhost/tenants", &[], b"").await });
    while service.in_flight.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let (status, headers, body) =
        ask_of(&service, TLS, "GET", "https://app.vault.localhost/secrets/n", &[], b"").await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("ServiceUnavailable")));
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(ask_of(&service, TLS, "GET", "https://localhost/healthz", &[], b"").await.0, 200);
    hanging.abort();
    let _ = hanging.await;
    assert_eq!(service.in_flight.available_permits(), 1, "an abandoned request gives its place back");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let service = service(Limits { body_bytes_max: 4, ..Limits::default() });
    let url = "https://app.vault.localhost/secrets/n";
    let (status, _, body) = ask_of(&service, TLS, "PUT", url, &[AUTHORIZED], b"12345").await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("RequestEntityTooLarge")));
    assert_eq!(ask_of(&service, TLS, "PUT", url, &[AUTHORIZED], b"1234").await.0, 200);
}

#[tokio::test]
async fn a_local_route_needs_the_kernels_word() {
    let service = service(Limits::default());
    let socket = Connection { door: Door::AdminSocket, remote: None, tls: false, peer: None };
    assert_eq!(ask_of(&service, socket, "GET", "/admin/v1/status", &[], b"").await.0, 403);
    let known = Connection { peer: Some(KernelPeer { uid: 0, gid: 0, pid: Some(1) }), ..socket };
    assert_eq!(ask_of(&service, known, "GET", "/admin/v1/status", &[], b"").await.0, 200);
    assert_eq!(ask("GET", "https://localhost/admin/v1/status", &[], b"").await.0, 404, "not over TLS at all");
}

#[test]
fn every_class_has_a_code_and_a_status_in_every_dialect() {
    for dialect in
        [Dialect::Entra, Dialect::KeyVault, Dialect::Arm, Dialect::Graph, Dialect::Node, Dialect::Ours]
    {
        for class in Class::ALL {
            let problem = Problem::usual(dialect, class, "x");
            assert!(!problem.code.is_empty());
            assert_eq!(problem.inner.is_some(), dialect == Dialect::Entra);
            let status = Reply::from(problem).status().as_u16();
            let ours = matches!(class, Class::Broken | Class::Unavailable);
            assert_eq!(status >= 500, ours, "{class:?} must not be retried as if it were our fault");
        }
    }
}

#[tokio::test]
async fn an_oauth_description_needs_no_escape_whatever_it_quotes() {
    let problem =
        Problem::entra(Class::Invalid, "invalid_request", 9_002_313, "the value `a\"b\\c\nd` is wrong.");
    let stamp = Stamp {
        dialect: Dialect::Entra,
        request_id: Uuid::nil(),
        client_request_id: None,
        correlation_id: None,
        now: Timestamp::from_seconds(0),
        head: false,
        origin: None,
    };
    let bytes = Reply::from(problem).finish(&stamp).into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(text.contains("AADSTS9002313: the value `a'b/c d` is wrong. Trace ID"), "{text}");
    assert!(!text.contains('\\'));
}

#[test]
fn retry_after_is_at_least_a_second() {
    let reply = Reply::from(Problem::usual(Dialect::Ours, Class::Limited, "x").with_retry_after(0));
    assert!(reply.problem().is_some());
    let stamp = Stamp {
        dialect: Dialect::Ours,
        request_id: Uuid::nil(),
        client_request_id: None,
        correlation_id: None,
        now: Timestamp::from_seconds(0),
        head: false,
        origin: None,
    };
    assert_eq!(reply.finish(&stamp).headers()["retry-after"], "1");
}
