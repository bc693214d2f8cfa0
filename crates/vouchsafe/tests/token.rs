//! A server whose HSM keys are in a SoftHSM token: what happens to the processes of the module happens to nothing else.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use http::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use vouchsafe_testkit::processes::{children_of, lives, signal};
use vouchsafe_testkit::running::{Client, Installation, RunningServer, Token};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");
const PATIENCE: Duration = Duration::from_secs(60);

/// One caller of one vault with keys of both kinds.
struct Caller {
    client: Client,
    host: String,
    bearer: String,
}

impl Caller {
    async fn new(server: &RunningServer) -> Self {
        let bearer = server.token("https://vault.azure.net").await;
        Self { client: server.https(), host: server.vault_host("app"), bearer }
    }

    async fn ask(&mut self, method: Method, path: &str, body: Value) -> StatusCode {
        let body = body.to_string().into_bytes();
        let answer = self.client.request(method, &self.host, path, Some(&self.bearer), Some(&body)).await;
        answer.unwrap().status
    }

    async fn sign(&mut self, key: &str) -> StatusCode {
        let body = json!({ "alg": "ES256", "value": BASE64URL_NOPAD.encode(&[7; 32]) });
        self.ask(Method::POST, &format!("/keys/{key}//sign"), body).await
    }

    async fn others_go_on(&mut self) {
        assert_eq!(self.sign("soft").await, StatusCode::OK);
        assert_eq!(self.ask(Method::PUT, "/secrets/s", json!({ "value": "v" })).await, StatusCode::OK);
    }
}

async fn serve(installation: &Installation, token: &Token) -> RunningServer {
    let server = installation.serve(&token.environment()).await;
    let state = json!({ "state": { "vaults": [{ "name": "app", "sku": "premium" }] } }).to_string();
    let mut admin = server.admin();
    let applied =
        admin.request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes())).await;
    assert_eq!(applied.unwrap().status, StatusCode::OK);
    let mut caller = Caller::new(&server).await;
    for (name, kind) in [("soft", "EC"), ("hard", "EC-HSM")] {
        let made = caller.ask(Method::POST, &format!("/keys/{name}/create"), json!({ "kty": kind })).await;
        assert_eq!(made, StatusCode::OK, "{name}");
    }
    server
}

#[tokio::test]
async fn a_module_that_is_killed_while_its_keys_are_used_harms_nothing_else_and_comes_back() {
    let installation = Installation::init(PROGRAM);
    let Some(token) = Token::make(installation.scratch()) else { return };
    let mut server = serve(&installation, &token).await;
    let mut callers = Vec::new();
    for _ in 0..6 {
        callers.push(Caller::new(&server).await);
    }
    let end = Instant::now() + Duration::from_secs(5);
    let busy: Vec<_> = callers
        .into_iter()
        .map(|mut caller| {
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while Instant::now() < end {
                    answers.push(caller.sign("hard").await);
                }
                answers
            })
        })
        .collect();
    let mut other = Caller::new(&server).await;
    // Not while they log in: SoftHSM then writes the file of its token, and a token with half a file is gone for good.
    let (mut killed, mut seen) = (0, Vec::new());
    while Instant::now() < end {
        for process in std::mem::replace(&mut seen, children_of(server.pid())) {
            killed += u32::from(lives(process) && signal(process, Signal::KILL));
        }
        let pause = Instant::now() + Duration::from_millis(500);
        while Instant::now() < pause {
            other.others_go_on().await;
        }
    }
    let mut answers = Vec::new();
    for caller in busy {
        answers.extend(caller.await.unwrap());
    }
    let fit = |status: &StatusCode| matches!(*status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE);
    assert!(answers.iter().all(fit), "{answers:?}");
    assert!(killed > 0 && answers.contains(&StatusCode::OK), "{killed} killed: {answers:?}");
    let deadline = Instant::now() + PATIENCE;
    while other.sign("hard").await != StatusCode::OK {
        assert!(Instant::now() < deadline, "the keys in the token did not come back: {}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.is_alive());
    other.others_go_on().await;
    let metrics = server.https().request(Method::GET, server.host(), "/metrics", None, None).await.unwrap();
    assert!(metrics.text().contains("vouchsafe_http_panics_total 0"), "{}", metrics.text());
    let number = |metric: &str| {
        let line = metrics.text().lines().find_map(|line| Some(line.strip_prefix(metric)?.trim().to_owned()));
        line.and_then(|number| number.parse::<u32>().ok()).unwrap_or_else(|| panic!("no {metric}"))
    };
    let ended = number("vouchsafe_token_processes_ended_total{reason=\"itself\"}");
    assert!(0 < ended && ended <= killed, "{ended} of {killed}");
    let [started, live] = ["vouchsafe_token_processes_started_total", "vouchsafe_token_processes"]
        .map(|name| number(&format!("{name} ")));
    assert!(live > 0 && started >= live + ended, "{started} started, {live} live, {ended} ended");
    assert_eq!(number("vouchsafe_token_breaker{position=\"closed\"}"), 1);
}

#[tokio::test]
async fn the_processes_of_a_module_finish_with_the_server_and_end_with_it() {
    let installation = Installation::init(PROGRAM);
    let Some(token) = Token::make(installation.scratch()) else { return };
    for killed in [false, true] {
        let server = if killed {
            installation.serve(&token.environment()).await
        } else {
            serve(&installation, &token).await
        };
        let mut caller = Caller::new(&server).await;
        assert_eq!(caller.sign("hard").await, StatusCode::OK);
        let modules = children_of(server.pid());
        assert!(!modules.is_empty());
        // As a service manager does it: everybody at once.
        for module in &modules {
            signal(*module, Signal::TERM);
        }
        assert_eq!(caller.sign("hard").await, StatusCode::OK);
        assert!(modules.iter().all(|module| lives(*module)), "they wait for their server");
        if killed {
            server.kill();
        } else {
            assert!(server.terminate().await.success());
        }
        let deadline = Instant::now() + PATIENCE;
        while modules.iter().any(|module| lives(*module)) {
            assert!(Instant::now() < deadline, "a module outlived its server");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    installation.verify_audit();
}

/// Logins are not ended by the kernel with the server: SoftHSM would leave half a token behind.
#[tokio::test]
async fn a_module_that_hangs_in_its_login_does_not_live_long_after_its_server() {
    let installation = Installation::init(PROGRAM);
    let Some(token) = Token::make(installation.scratch()) else { return };
    assert!(serve(&installation, &token).await.terminate().await.success());
    let server = installation.serve(&token.environment()).await;
    let held = token.hold_logins();
    let mut caller = Caller::new(&server).await;
    let call = tokio::spawn(async move { caller.sign("hard").await });
    let deadline = Instant::now() + PATIENCE;
    let module = loop {
        assert!(Instant::now() < deadline, "no module waits for the lock");
        let waits = |module: &u32| waits_for_a_lock(*module);
        match children_of(server.pid()).into_iter().find(waits) {
            Some(module) => break module,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    call.abort();
    server.kill();
    let deadline = Instant::now() + PATIENCE;
    while lives(module) {
        assert!(Instant::now() < deadline, "a module hangs on without its server");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(held);
    // It was not ended in the middle of what it wrote: the token is whole.
    let server = installation.serve(&token.environment()).await;
    assert_eq!(Caller::new(&server).await.sign("hard").await, StatusCode::OK);
}

/// Whether the kernel lets a process wait for a lock (`proc_locks(5)`).
fn waits_for_a_lock(process: u32) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let waits = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.get(1) == Some(&"->") && words.get(5) == Some(&process.to_string().as_str())
    };
    locks.lines().any(waits)
}

#[tokio::test]
async fn a_refused_pin_is_tried_once_until_the_server_is_told_that_it_was_corrected() {
    let installation = Installation::init(PROGRAM);
    let Some(token) = Token::make(installation.scratch()) else { return };
    let server = serve(&installation, &token).await;
    assert!(server.terminate().await.success());
    token.set_pin(Some("00000000"));
    let mut server = installation.serve(&token.environment()).await;
    let mut caller = Caller::new(&server).await;
    for _ in 0..20 {
        assert_eq!(caller.sign("hard").await, StatusCode::SERVICE_UNAVAILABLE);
        caller.others_go_on().await;
    }
    let refusals = |server: &RunningServer| server.log().matches("the token refused the PIN").count();
    assert_eq!((refusals(&server), children_of(server.pid()).len()), (1, 0));
    token.set_pin(Some(token.pin()));
    assert_eq!(caller.sign("hard").await, StatusCode::SERVICE_UNAVAILABLE, "nobody has looked at it");
    signal(server.pid(), Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    while caller.sign("hard").await != StatusCode::OK {
        assert!(Instant::now() < deadline, "the keys in the token did not come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(server.is_alive() && refusals(&server) == 1);
}

#[test]
fn the_command_for_modules_is_for_the_server_only() {
    let installation = Installation::empty(PROGRAM);
    let (status, out, error) = installation.run(["pkcs11-module"]);
    assert!(!status.success() && out.is_empty(), "{out}");
    assert!(error.contains("is for the server itself"), "{error}");
    let (_, help, _) = installation.run(["--help"]);
    assert!(help.contains("completion") && !help.contains("pkcs11-module"), "{help}");
}
