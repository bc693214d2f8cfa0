//! What the metadata endpoints answer, and to what shape of request.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use support::{NOW, Setup, agent, assert_status, no_identity, python, raw, says};
use vouchsafe_agent::SourceError;

mod support;

/// A script that asks with the given head, and prints the answer.
fn asks(head: &str) -> String {
    format!(
        "s = socket.create_connection(('127.0.0.1', port))\ns.sendall({head:?}.encode())\nprint(answer(s))"
    )
}

fn body(answer: &str) -> serde_json::Value {
    let start = answer.find('{').unwrap_or_else(|| panic!("no body: {answer}"));
    serde_json::from_str(answer[start..].trim()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_of_every_sdk_are_granted() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    let query = "api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";
    for head in [
        format!(
            "GET /metadata/identity/oauth2/token?{query} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n\r\n"
        ),
        format!(
            "GET /metadata/identity/oauth2/token/?{query} HTTP/1.1\r\nHost: localhost:1\r\nMetadata: true\r\n\r\n"
        ),
        format!(
            "GET /w/foo/metadata/identity/oauth2/token?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nmetadata: true\r\n\r\n"
        ),
        format!("GET /msi/token?{query} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-IDENTITY-HEADER: any\r\n\r\n"),
        format!(
            "GET /w/foo/msi/token?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Identity-Header: any\r\nMetadata: true\r\n\r\n"
        ),
    ] {
        let answer = says(python(agent.imds(), &asks(&head))).await;
        assert_status(&answer, 200);
        assert!(answer.to_ascii_lowercase().contains("cache-control: no-store"), "{answer}");
        let body = body(&answer);
        assert_eq!(body["access_token"], "secret");
        assert_eq!(body["expires_in"], "3600");
        assert_eq!(body["ext_expires_in"], "3600");
        assert_eq!(body["expires_on"], (NOW + 3600).to_string());
        assert_eq!(body["not_before"], (NOW - 300).to_string());
        assert_eq!(body["resource"], "https://vault.azure.net");
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["client_id"], "11111111-2222-3333-4444-555555555555");
    }
    assert_eq!(agent.platform.asked.lock().unwrap().len(), 1, "all but the first come from memory");
    agent.clock.store(NOW + 3000, Ordering::SeqCst);
    let head =
        format!("GET /msi/token?{query} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nX-IDENTITY-HEADER: any\r\n\r\n");
    assert_eq!(body(&says(python(agent.imds(), &asks(&head))).await)["expires_in"], "600");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_identity_that_is_asked_for_reaches_the_platform() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    for name in ["client_id", "clientid", "object_id", "principal_id", "msi_res_id", "mi_res_id"] {
        let head = format!(
            "GET /msi/token?api-version=1&resource=r&{name}=X HTTP/1.1\r\nHost: localhost\r\nX-IDENTITY-HEADER: a\r\n\r\n"
        );
        assert_status(&says(python(agent.imds(), &asks(&head))).await, 200);
    }
    let asked = agent.platform.asked.lock().unwrap();
    let chosen: Vec<_> = asked
        .iter()
        .map(|r| (r.client_id.is_some(), r.object_id.is_some(), r.resource_id.is_some()))
        .collect();
    assert_eq!(chosen, [(true, false, false), (false, true, false), (false, false, true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_probes_are_answered_400_at_once() {
    let agent = agent(Setup::default(), |_| Err(no_identity())).await;
    let python_probe = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n";
    let js_probe =
        "GET /metadata/identity/oauth2/token HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n";
    for probe in [python_probe, js_probe] {
        let began = Instant::now();
        let answer = raw(agent.imds(), probe.as_bytes()).await;
        // The clients wait one second; a busy test machine is given half of that.
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
        assert_status(&answer, 400);
        assert_eq!(body(&answer)["error"], "invalid_request");
    }
    assert!(agent.platform.asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_a_workload_would_not_make_get_no_token() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    const PATH: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r";
    let get = |headers: &str| format!("GET {PATH} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    let local = |headers: &str| get(&format!("Host: 127.0.0.1\r\n{headers}"));
    let long = "a".repeat(40_000);
    for (status, request) in [
        (400, local("Metadata: false\r\n")),
        (400, local("Metadata: true\r\nMetadata: true\r\n")),
        (400, local("Metadata: true\r\nX-Forwarded-For: 10.0.0.1\r\n")),
        (400, local("Metadata: true\r\nForwarded: for=10.0.0.1\r\n")),
        (400, local("Metadata: true\r\nVia: 1.1 x\r\n")),
        (400, local("Metadata: true\r\nUpgrade: h2c\r\n")),
        (400, local("Metadata: true\r\nContent-Length: 1\r\n\r\nx")),
        (400, get("Metadata: true\r\n")),
        (400, get("Host: evil.example\r\nMetadata: true\r\n")),
        (400, get("Host: 127.0.0.1\r\nHost: 127.0.0.1\r\nMetadata: true\r\n")),
        (
            400,
            format!(
                "GET http://169.254.169.254{PATH} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\nConnection: close\r\n\r\n"
            ),
        ),
        (405, local("Metadata: true\r\n").replace("GET", "POST")),
        (405, local("Metadata: true\r\n").replace("GET", "PUT")),
        (405, local("Metadata: true\r\n").replace("GET", "HEAD")),
        (404, local("Metadata: true\r\n").replace(PATH, "/metadata/instance")),
        (404, local("Metadata: true\r\n").replace(PATH, "/")),
        (404, local("Metadata: true\r\n").replace(PATH, "/metadata/identity/getplatformmetadata")),
        (400, local("Metadata: true\r\n").replace("&resource=r", "")),
        (400, local("Metadata: true\r\n").replace("api-version=2018-02-01&", "")),
        (400, local("Metadata: true\r\n").replace("resource=r", "resource=%ff%fe")),
        (400, local("Metadata: true\r\n").replace("resource=r", "resource=r&client_id=a&object_id=b")),
        (400, local("Metadata: true\r\n").replace("resource=r", &format!("resource={}", &long[..5000]))),
        (431, local(&format!("Metadata: true\r\nX: {long}\r\n"))),
        (431, local(&format!("Metadata: true\r\n{}", "X: y\r\n".repeat(100)))),
    ] {
        let answer = raw(agent.imds(), request.as_bytes()).await;
        assert_status(&answer, status);
        assert!(!answer.contains("secret"));
    }
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET /msi/token\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\0\0\0\r\n\r\n",
    ] {
        let answer = raw(agent.imds(), garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(agent.platform.asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_text_can_be_cut_apart_by_any_client() {
    let agent = agent(Setup::default(), |_| {
        Err(SourceError::Refused {
            code: vouchsafe_wire::node::ErrorCode::NotAssigned,
            message: "the \"identity\" is\r\nnot \\ assigned".to_owned(),
        })
    })
    .await;
    let head = "GET /msi/token?api-version=1&resource=r&client_id=X HTTP/1.1\r\nHost: localhost\r\nX-IDENTITY-HEADER: a\r\n\r\n";
    let answer = says(python(agent.imds(), &asks(head))).await;
    assert_status(&answer, 400);
    let body = body(&answer);
    let text = body["error_description"].as_str().unwrap();
    assert!(text.starts_with("the `identity` is  not / assigned. Seen: pid "), "{text}");
    assert!(!text.contains(['"', '\'', '\\', '\n', '\r']), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_platform_is_503_and_a_token_in_memory_outlives_it() {
    let is_away = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let away = std::sync::Arc::clone(&is_away);
    let agent = agent(Setup::default(), move |_| {
        if away.load(Ordering::SeqCst) {
            Err(SourceError::Unreachable("away".to_owned()))
        } else {
            Ok("secret".to_owned())
        }
    })
    .await;
    let head =
        "GET /msi/token?api-version=1&resource=r HTTP/1.1\r\nHost: localhost\r\nX-IDENTITY-HEADER: a\r\n\r\n";
    let answer = says(python(agent.imds(), &asks(head))).await;
    assert_status(&answer, 503);
    assert!(answer.to_ascii_lowercase().contains("retry-after: "), "{answer}");
    is_away.store(false, Ordering::SeqCst);
    assert_status(&says(python(agent.imds(), &asks(head))).await, 200);
    is_away.store(true, Ordering::SeqCst);
    agent.clock.store(NOW + 3599, Ordering::SeqCst);
    assert_status(&says(python(agent.imds(), &asks(head))).await, 200);
    agent.clock.store(NOW + 3600, Ordering::SeqCst);
    assert_status(&says(python(agent.imds(), &asks(head))).await, 503);
}
