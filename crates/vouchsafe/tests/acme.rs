//! A certificate by ACME through the shipped program: ordered over REST, proven to Pebble by the program's own listener, and
//! got although the program was killed in between.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use vouchsafe_testkit::pebble::Pebble;
use vouchsafe_testkit::running::{Client, Installation, RunningServer, free_port};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");

/// Somebody who may do everything in a vault of a running server.
struct Bench {
    client: Client,
    host: String,
    token: String,
}

impl Bench {
    async fn of(server: &RunningServer) -> Self {
        let state = json!({ "state": { "vaults": [{ "name": "app" }] } }).to_string();
        let applied = server
            .admin()
            .request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes()))
            .await;
        assert_eq!(applied.unwrap().status, StatusCode::OK);
        let token = server.token("https://vault.azure.net").await;
        Self { client: server.https(), host: server.vault_host("app"), token }
    }

    async fn ask(&mut self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let body = body.map(|body| body.to_string());
        let body = body.as_deref().map(str::as_bytes);
        let path = format!("{path}?api-version=7.4");
        let answer = self.client.request(method, &self.host, &path, Some(&self.token), body).await.unwrap();
        if path.ends_with("/pending?api-version=7.4") {
            assert!(answer.headers.contains_key("retry-after"));
        }
        (answer.status, answer.json())
    }

    async fn pending(&mut self) -> Value {
        let (status, pending) = self.ask(Method::GET, "/certificates/web/pending", None).await;
        assert_eq!(status, StatusCode::OK, "{pending}");
        pending
    }
}

async fn serve(installation: &Installation, pebble: &Pebble, http_port: u16) -> RunningServer {
    let directory = format!("pebble={}", pebble.url());
    let (listen, ca) = (format!("127.0.0.1:{http_port}"), pebble.ca());
    let arguments: [&std::ffi::OsStr; 10] = [
        "--acme-directory".as_ref(),
        directory.as_ref(),
        "--http-listen".as_ref(),
        listen.as_ref(),
        "--acme-ca".as_ref(),
        Path::new(&ca).as_os_str(),
        "--acme-allow-network".as_ref(),
        "127.0.0.0/8".as_ref(),
        "--acme-allow-network".as_ref(),
        "::1".as_ref(),
    ];
    installation.serve_with(&arguments, &[]).await
}

#[tokio::test]
async fn a_server_killed_between_order_and_answer_gets_the_certificate_after_its_next_start() {
    let http_port = free_port();
    let Some(pebble) = Pebble::start(http_port, false) else { return };
    let installation = Installation::init(PROGRAM);
    let server = serve(&installation, &pebble, http_port).await;
    let mut bench = Bench::of(&server).await;
    let issuer = json!({"provider": "Acme", "credentials": {"account_id": "pebble"}});
    let (status, said) = bench.ask(Method::PUT, "/certificates/issuers/public", Some(issuer)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let policy = json!({"policy": {
        "issuer": {"name": "public"},
        "key_props": {"kty": "EC", "crv": "P-256"},
        "secret_props": {"contentType": "application/x-pem-file"},
        "x509_props": {"subject": "CN=app.example.test", "sans": {"dns_names": ["app.example.test"]}},
    }});
    let wild = json!({"policy": {
        "issuer": {"name": "public"}, "x509_props": {"subject": "CN=*.example.test"},
    }});
    let (status, refused) = bench.ask(Method::POST, "/certificates/wild/create", Some(wild)).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("BadParameter")));
    let (status, begun) = bench.ask(Method::POST, "/certificates/web/create", Some(policy)).await;
    assert_eq!((status, &begun["status"]), (StatusCode::ACCEPTED, &json!("inProgress")), "{begun}");
    while pebble.orders() == 0 {
        assert_eq!(bench.pending().await["status"], "inProgress");
    }
    // The order's address is committed before the answer to the poll that submitted it, which was seen.
    server.kill();

    let server = serve(&installation, &pebble, http_port).await;
    let mut bench = Bench::of(&server).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    let ended = loop {
        let pending = bench.pending().await;
        if pending["status"] != "inProgress" {
            break pending;
        }
        assert!(std::time::Instant::now() < deadline, "{pending}\n{}\n{}", server.log(), pebble.log());
        // The authority says when to come again, and it is another process.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(pebble.orders(), 1, "the same order went on");
    let (_, secret) = bench.ask(Method::GET, "/secrets/web", None).await;
    let pem = secret["value"].as_str().unwrap();
    assert!(pem.contains("PRIVATE KEY") && pem.matches("BEGIN CERTIFICATE").count() >= 2);
    assert!(server.terminate().await.success());
    installation.verify_audit();
}

#[tokio::test]
async fn acme_without_a_listener_or_with_what_is_no_directory_does_not_start() {
    let installation = Installation::init(PROGRAM);
    let data = installation.data().display().to_string();
    let run = |more: &[&str]| {
        let fixed = ["serve", "--data", &data, "--listen", "127.0.0.1:0"];
        installation.run(fixed.iter().chain(more))
    };
    let listen = ["--http-listen", "127.0.0.1:0"];
    for (more, why) in [
        (vec!["--acme-directory", "le=https://ca.example/dir"], "--http-listen"),
        (vec!["--http-port", "80"], "--http-listen"),
        ([&listen[..], &["--acme-directory", "le=http://ca.example/dir"]].concat(), "https"),
        ([&listen[..], &["--acme-directory", "LE=https://ca.example/dir"]].concat(), "lower-case"),
        ([&listen[..], &["--acme-directory", "https://ca.example/dir"]].concat(), "NAME=URL"),
        (
            [&listen[..], &["--acme-directory", "le=https://ca.example/dir", "--acme-ca", "/nowhere"]]
                .concat(),
            "/nowhere",
        ),
        (
            [&listen[..], &["--acme-directory", "a=https://a.example", "--acme-allow-network", "host"]]
                .concat(),
            "network",
        ),
    ] {
        let (status, _, complained) = run(&more);
        assert!(!status.success() && complained.contains(why), "{more:?}: {complained}");
    }
}
