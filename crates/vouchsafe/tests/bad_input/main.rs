//! Whatever is sent, by whomever, to whichever door: the answer is a clear refusal in the words of the service that was
//! addressed, never a failure of ours, and nothing has changed.
//!
//! The tables are in `bodies.rs` (what bodies can be), `requests.rs` (what addresses and heads can be) and `tokens.rs`
//! (what tokens can be). Each case is judged by one function, [`Bench::refuses`]; the twins that only lack the fault
//! are answered with success, or their cases would prove nothing.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod bodies;
mod requests;
mod tokens;

use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use vouchsafe_testkit::running::{Answer, Client, Installation, Pieces, RunningServer};
use vouchsafe_wire::admin::{AuditTail, Phase};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");

/// Whose words a refusal must use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Dialect {
    Entra,
    KeyVault,
    Arm,
    Node,
    Ours,
    /// What is no HTTP is refused by the protocol itself, with a status and nothing else.
    Protocol,
}

/// A door, the name by which it is addressed, and who answers there.
#[derive(Clone)]
struct Place {
    dialect: Dialect,
    client: Client,
    host: String,
    /// What a caller with every right shows.
    bearer: Option<String>,
}

impl Place {
    /// A request to this place with the rights of an administrator.
    fn pieces(&self, line: impl AsRef<[u8]>) -> Pieces {
        let pieces = Pieces::new(line, &self.host);
        match &self.bearer {
            Some(token) => pieces.header(format!("Authorization: Bearer {token}")),
            None => pieces,
        }
    }
}

struct Bench {
    installation: Installation,
    server: RunningServer,
    vault: Place,
    arm: Place,
    entra: Place,
    operations: Place,
    admin: Place,
    node: Place,
    tenant: String,
    subscription: String,
    cases: u32,
    wrong: Vec<String>,
}

/// A refusal is what its dialect says a refusal is.
fn wrong_shape(dialect: Dialect, answer: &Answer) -> Option<String> {
    let body = answer.json();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let said = |what: bool, problem: &str| if what { None } else { Some(problem.to_owned()) };
    let json = answer
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if dialect == Dialect::Protocol {
        return said(answer.body.is_empty(), "a refusal by the protocol has a body");
    }
    if !json {
        return Some("the answer is not JSON".to_owned());
    }
    if answer.request_id().is_none() {
        return Some("the answer does not name its request".to_owned());
    }
    match dialect {
        Dialect::Entra => {
            let description = text("/error_description").unwrap_or_default();
            let escapes = answer.text().contains('\\');
            let whole = text("/error").is_some()
                && description.starts_with("AADSTS")
                && body["error_codes"].as_array().is_some_and(|codes| codes.iter().all(Value::is_u64))
                && ["/timestamp", "/trace_id", "/correlation_id"].iter().all(|member| text(member).is_some());
            said(whole && !escapes, "not an error of Entra's")
        }
        Dialect::KeyVault | Dialect::Arm => {
            said(text("/error/code").is_some() && text("/error/message").is_some(), "not an error of Azure's")
        }
        Dialect::Ours => said(
            ["/error/code", "/error/message", "/error/request_id"]
                .iter()
                .all(|member| text(member).is_some()),
            "not an error of ours",
        ),
        Dialect::Node => {
            said(text("/code").is_some() && text("/message").is_some(), "not an error for agents")
        }
        Dialect::Protocol => None,
    }
}

impl Bench {
    async fn set_up() -> Self {
        let installation = Installation::init(PROGRAM);
        let server = installation.serve(&[]).await;
        let state = json!({ "state": { "vaults": [{ "name": "app" }], "identities": [{ "name": "reader" }],
            "role_assignments": [{ "identity": "reader", "role": "Key Vault Secrets User", "scope": { "vault": "app" } }] } });
        let state = state.to_string();
        let mut admin = server.admin();
        let applied =
            admin.request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes())).await;
        assert_eq!(applied.unwrap().status, StatusCode::OK);
        let place = |dialect, client: Client, host: String, bearer| Place { dialect, client, host, bearer };
        let (client, host) = (server.https(), server.host().to_owned());
        let key_vault = server.token("https://vault.azure.net").await;
        let manager = server.token("https://management.azure.com").await;
        let list = admin
            .request(Method::GET, &host, "/subscriptions?api-version=2022-12-01", None, None)
            .await
            .unwrap();
        let subscription = list.json()["value"][0]["subscriptionId"].as_str().unwrap().to_owned();
        Self {
            vault: place(Dialect::KeyVault, client.clone(), server.vault_host("app"), Some(key_vault)),
            arm: place(Dialect::Arm, client.clone(), host.clone(), Some(manager)),
            entra: place(Dialect::Entra, client.clone(), host.clone(), None),
            operations: place(Dialect::Ours, client.clone(), host, None),
            admin: place(Dialect::Ours, server.admin(), "vouchsafe".to_owned(), None),
            node: place(Dialect::Node, server.admin(), "vouchsafe".to_owned(), None),
            tenant: server.endpoints().tenant.clone(),
            subscription,
            installation,
            server,
            cases: 0,
            wrong: Vec::new(),
        }
    }

    /// Sends a request; the answer must be a refusal in the words of `dialect`. Wrong ones are collected, so that one
    /// run shows all of them.
    async fn refuses(
        &mut self,
        place: &Place,
        dialect: Dialect,
        what: &str,
        pieces: &Pieces,
    ) -> Option<Answer> {
        self.cases += 1;
        let connect_to =
            if place.host.contains("localhost") { place.host.clone() } else { "localhost".to_owned() };
        let answer = match place.client.raw(&connect_to, pieces).await {
            Ok(answer) => answer,
            Err(error) => {
                self.wrong.push(format!("{what}: no answer: {error}"));
                return None;
            }
        };
        if !answer.status.is_client_error() {
            self.wrong.push(format!("{what}: {} {}", answer.status, answer.text()));
        } else if let Some(problem) = wrong_shape(dialect, &answer) {
            self.wrong.push(format!("{what}: {problem}: {} {}", answer.status, answer.text()));
        }
        Some(answer)
    }

    /// The same with one status that is right.
    async fn refuses_with(
        &mut self,
        place: &Place,
        status: u16,
        what: &str,
        pieces: &Pieces,
    ) -> Option<Answer> {
        let answer = self.refuses(place, place.dialect, what, pieces).await?;
        if answer.status.as_u16() != status {
            self.wrong.push(format!("{what}: {} instead of {status}: {}", answer.status, answer.text()));
        }
        Some(answer)
    }

    fn complain(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// What can be changed, as it is now: announced changes, secrets, control-plane objects.
    async fn state(&self) -> Value {
        let mut admin = self.server.admin();
        let (mut from, mut intents) = (0, 0);
        loop {
            let path = format!("/admin/v1/audit?limit=1000&from={from}");
            let answer = admin.request(Method::GET, "vouchsafe", &path, None, None).await.unwrap();
            let tail: AuditTail = serde_json::from_slice(&answer.body).unwrap();
            intents += tail.entries.iter().filter(|entry| entry.phase == Phase::Intent).count();
            if tail.entries.is_empty() {
                break;
            }
            from = tail.next;
        }
        let below = format!("/subscriptions/{}", self.subscription);
        let mut lists = Vec::new();
        for (host, path) in [
            (&self.vault.host, "/secrets".to_owned()),
            (&self.vault.host, "/deletedsecrets".to_owned()),
            (&self.vault.host, "/secrets/kept/versions".to_owned()),
            (&self.vault.host, "/secrets/kept".to_owned()),
            (&self.vault.host, "/keys".to_owned()),
            (&self.vault.host, "/deletedkeys".to_owned()),
            (&self.vault.host, "/keys/kept/versions".to_owned()),
            (&self.vault.host, "/keys/kept".to_owned()),
            (&self.vault.host, "/keys/kept/rotationpolicy".to_owned()),
            (&self.vault.host, "/certificates?includePending=true".to_owned()),
            (&self.vault.host, "/deletedcertificates?includePending=true".to_owned()),
            (&self.vault.host, "/certificates/kept-tls/".to_owned()),
            (&self.vault.host, "/certificates/kept-tls/versions".to_owned()),
            (&self.vault.host, "/certificates/issuers".to_owned()),
            (&self.arm.host, format!("{below}/resourceGroups?api-version=1")),
            (&self.arm.host, format!("{below}/resources?api-version=1")),
            (
                &self.arm.host,
                format!("{below}/providers/Microsoft.Authorization/roleAssignments?api-version=1"),
            ),
        ] {
            let answer = admin.request(Method::GET, host, &path, None, None).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
            lists.push(answer.json());
        }
        json!({ "intents": intents, "lists": lists })
    }

    async fn set_the_secrets_that_must_survive(&mut self) {
        for name in ["kept", "also-kept"] {
            let pieces =
                self.vault.pieces(format!("PUT /secrets/{name} HTTP/1.1")).body(r#"{"value":"as it was"}"#);
            let answer = self.vault.client.raw(&self.vault.host, &pieces).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            let pieces =
                self.vault.pieces(format!("POST /keys/{name}/create HTTP/1.1")).body(r#"{"kty":"EC"}"#);
            let answer = self.vault.client.raw(&self.vault.host, &pieces).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        }
        let policy = r#"{"policy":{"issuer":{"name":"Self"},"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=kept"}}}"#;
        let create = self.vault.pieces("POST /certificates/kept-tls/create HTTP/1.1").body(policy);
        let poll = self.vault.pieces("GET /certificates/kept-tls/pending HTTP/1.1");
        for (pieces, status) in [(create, StatusCode::ACCEPTED), (poll, StatusCode::OK)] {
            let answer = self.vault.client.raw(&self.vault.host, &pieces).await.unwrap();
            assert_eq!(answer.status, status, "{}", answer.text());
        }
    }

    async fn verdict(mut self, before: &Value) {
        assert!(self.server.is_alive(), "the server is gone:\n{}", self.server.log());
        let metrics =
            self.server.https().request(Method::GET, self.server.host(), "/metrics", None, None).await;
        let metrics = metrics.unwrap().text();
        assert!(metrics.contains("vouchsafe_http_panics_total 0"), "{metrics}");
        let failures: Vec<_> = metrics.lines().filter(|line| line.contains("class=\"5xx\"")).collect();
        assert!(failures.is_empty(), "{failures:?}");
        assert!(
            self.wrong.is_empty(),
            "{} of {} cases:\n{}",
            self.wrong.len(),
            self.cases,
            self.wrong.join("\n")
        );
        assert_eq!(self.state().await, *before, "something was changed");
        println!("{} cases were refused", self.cases);
        assert!(self.server.terminate().await.success());
        self.installation.verify_audit();
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_was_asked_for_is_refused_in_the_right_dialect_and_changes_nothing() {
    let mut bench = Bench::set_up().await;
    bench.set_the_secrets_that_must_survive().await;
    let before = bench.state().await;
    bodies::try_all(&mut bench).await;
    bench.verdict(&before).await;
}

#[tokio::test]
async fn an_address_or_head_that_makes_no_sense_is_refused_in_the_right_dialect_and_changes_nothing() {
    let mut bench = Bench::set_up().await;
    bench.set_the_secrets_that_must_survive().await;
    let before = bench.state().await;
    requests::try_all(&mut bench).await;
    bench.verdict(&before).await;
}

#[tokio::test]
async fn a_token_that_was_touched_is_refused_with_a_challenge_and_changes_nothing() {
    let mut bench = Bench::set_up().await;
    bench.set_the_secrets_that_must_survive().await;
    let before = bench.state().await;
    tokens::try_all(&mut bench).await;
    bench.verdict(&before).await;
}
