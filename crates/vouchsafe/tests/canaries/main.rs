//! Secrets leave by the one answer that was asked for, and by nothing else: not by logs at their most talkative, not
//! by metrics, errors or the audit log, and not by any file that the server keeps.
//!
//! Random canaries go wherever a caller can put something secret, on ways that succeed and ways that fail; then
//! everything the process wrote and keeps is searched for each, in every spelling of `scanner.rs`. Names of secrets
//! are identifiers: they may stand in answers and in the audit log, but nowhere in the store. Labels and content types
//! belong to their secret: they may stand in its answers, and nowhere else.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod certificates;
mod clients;
mod journey;
mod keys;
mod known_keys;
mod memory;
mod mistakes;
mod scanner;
mod secrets;

use std::path::Path;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use vouchsafe_testkit::running::{Answer, Client, Installation, RunningServer, Token};

use journey::Journey;
use scanner::{Scanner, canary};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");
const VAULT_RESOURCE: &str = "https://vault.azure.net";

struct Stage<'a> {
    installation: &'a Installation,
    server: &'a RunningServer,
    journey: Journey,
    client: Client,
    vault: String,
    host: String,
    token: String,
}

impl Stage<'_> {
    async fn vault(&mut self, method: Method, path: &str, body: Option<Value>) -> std::io::Result<Answer> {
        let body = body.map(|body| body.to_string().into_bytes());
        self.client.request(method, &self.vault, path, Some(&self.token), body.as_deref()).await
    }
}

async fn post(client: &mut Client, path: &str, body: &Value) -> std::io::Result<Answer> {
    client.request(Method::POST, "vouchsafe", path, None, Some(body.to_string().as_bytes())).await
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[expect(
    clippy::disallowed_methods,
    reason = "an assertion says until when it is good, and this is a client"
)]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn the_scanner_finds_a_planted_canary_in_every_spelling_and_place() {
    let (planted, other) = (canary(), canary());
    let mut scanner = Scanner::default();
    scanner.watch("planted", &planted);
    scanner.watch("other", &other);
    for before in ["", "a", "ab", "abc", "{\"value\":\""] {
        let surrounded = format!("{before}{planted}\"}}");
        let mut url = String::new();
        url.extend(percent_encoding::utf8_percent_encode(&surrounded, percent_encoding::NON_ALPHANUMERIC));
        let places = [
            surrounded.clone().into_bytes(),
            BASE64.encode(surrounded.as_bytes()).into_bytes(),
            BASE64URL_NOPAD.encode(surrounded.as_bytes()).into_bytes(),
            data_encoding::HEXLOWER.encode(surrounded.as_bytes()).into_bytes(),
            data_encoding::HEXUPPER.encode(surrounded.as_bytes()).into_bytes(),
            url.into_bytes(),
            form(&[("k", &surrounded)]).into_bytes(),
            format!("{:?}", surrounded.as_bytes()).into_bytes(),
            serde_json::to_vec(surrounded.as_bytes()).unwrap(),
        ];
        for place in places {
            let found = scanner.find(&place);
            assert!(!found.is_empty(), "`{}` hides the canary", String::from_utf8_lossy(&place));
            assert!(found.iter().all(|what| what.starts_with("planted")), "{found:?}");
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("deep")).unwrap();
            std::fs::write(directory.path().join("deep/file"), [vec![0xff; 5000], place].concat()).unwrap();
            assert!(!scanner.find_in_files(directory.path(), &[]).0.is_empty());
        }
    }
    assert!(scanner.find(&planted.as_bytes()[..20]).is_empty(), "half a canary is none");
}

#[tokio::test]
async fn canaries_are_nowhere_but_in_the_answers_that_are_for_them() {
    let installation = Installation::empty(PROGRAM);
    let token = Token::make(installation.scratch());
    let mut environment = vec![("VOUCHSAFE_LOG", "trace")];
    environment.extend(token.iter().flat_map(Token::environment));
    let server = installation.dev(&[], &environment).await;
    let vaults = json!([{ "name": "app" }, { "name": "sealed", "sku": "premium" }]);
    let state = json!({ "state": { "vaults": vaults } });
    assert_eq!(post(&mut server.admin(), "/admin/v1/apply", &state).await.unwrap().status, StatusCode::OK);
    let mut stage = Stage {
        installation: &installation,
        server: &server,
        journey: Journey::default(),
        client: server.https(),
        vault: server.vault_host("app"),
        host: server.host().to_owned(),
        token: server.token(VAULT_RESOURCE).await,
    };
    let bearer = stage.token.clone();
    stage.keep_token("of the administrator", &bearer);
    stage.secrets_come_and_go().await;
    stage.clients_log_in().await;
    stage.callers_err().await;
    stage.keys_come_and_go(false).await;
    stage.callers_err_with_keys().await;
    if token.is_some() {
        stage.vault = server.vault_host("sealed");
        stage.keys_come_and_go(true).await;
    }
    stage.vault = server.vault_host("app");
    stage.certificates_come_and_go().await;
    stage.the_agent_is_asked().await;
    let (mut client, host) = (stage.client, stage.host);
    let mut journey = stage.journey;
    let metrics = client.request(Method::GET, &host, "/metrics", None, None).await;
    let metrics = Journey::granted(&mut journey.others, metrics, "metrics").text();
    assert!(metrics.contains("vouchsafe_http_panics_total 0"), "{metrics}");
    assert!(server.log().contains("\"level\":\"TRACE\""), "the log is not at its most talkative");

    let (mut all, mut secrets, mut names) = (Scanner::default(), Scanner::default(), Scanner::default());
    let mut identifiers = Scanner::default();
    for identifier in &journey.identifiers {
        identifiers.watch("an identifier that is none", identifier);
    }
    for (what, secret) in &journey.secrets {
        all.watch(what, secret);
        secrets.watch(what, secret);
    }
    for (what, bytes) in &journey.material {
        all.watch_bytes(what, bytes);
        secrets.watch_bytes(what, bytes);
    }
    for (what, label) in &journey.labels {
        all.watch(what, label);
    }
    for name in &journey.names {
        names.watch("a secret's name", name);
    }

    let mut found: Vec<String> = Vec::new();
    let mut look = |scanner: &Scanner, answers: &[Vec<u8>], what: &str| {
        for answer in answers {
            let text = String::from_utf8_lossy(answer).into_owned();
            found
                .extend(scanner.find(answer).into_iter().map(|leaked| format!("{leaked} in {what}: {text}")));
        }
    };
    look(&all, &journey.others, "an answer");
    look(&secrets, &journey.about, "an answer without a value");
    assert!(
        journey.by_right.iter().all(|answer| !secrets.find(answer).is_empty()),
        "an answer lacks its secret"
    );

    // What lies on the disk: while it runs, with the write-ahead log full; after a crash; after an orderly end.
    let data = installation.data();
    let program = installation.scratch().join("vouchsafe");
    let input = installation.scratch().join("value.input");
    let skip: [&Path; 2] = [&program, &input];
    let wal = std::fs::metadata(data.join("store.sqlite-wal")).map_or(0, |wal| wal.len());
    assert!(wal > 0, "there is no write-ahead log to look into");
    let mut bytes = 0;
    let mut search = || {
        let (leaked, read) = all.find_in_files(installation.scratch(), &skip);
        found.extend(leaked);
        found.extend(identifiers.find_in_files(installation.scratch(), &skip).0);
        bytes += read;
        for entry in std::fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("store.sqlite")) {
                let content = std::fs::read(&path).unwrap_or_default();
                found.extend(
                    names.find(&content).into_iter().map(|what| format!("{what} in {}", path.display())),
                );
            }
        }
    };
    search();
    server.kill();
    search();
    let server = installation.dev(&[], &environment).await;
    assert!(server.terminate().await.success());
    search();
    // The audit log is written in the clear: what may be there is found there, so what is not found is not there.
    let (named, _) = names.find_in_files(&data.join("audit"), &[]);
    assert!(!named.is_empty(), "not even the names of secrets are found in the audit log");
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
    println!(
        "{} secrets, {} numbers and plaintexts, and {} labels in {} spellings were looked for in {bytes} bytes of files and {} answers, {} of them \
         refusals",
        journey.secrets.len(),
        journey.material.len(),
        journey.labels.len(),
        scanner::spellings(b"canary").len(),
        journey.others.len() + journey.about.len(),
        journey.refusals,
    );
}
