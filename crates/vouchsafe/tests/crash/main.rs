//! The whole server is killed again and again while clients change things, and afterwards everything that was
//! acknowledged is there, nothing is there by half, and the audit log knows every answer that a client saw.
//!
//! One deployment, one `vouchsafe serve` after the other. In every round clients work over TLS until a random number of
//! changes was acknowledged; then the process gets SIGKILL in the middle of whatever it does. Each client keeps a model
//! of what only it changes, so that after the next start there are exactly two possible truths: with or without the
//! request that had no answer. What is due while the server dies - a rotation, a renewal, a revocation list - the next
//! one does, once. `VOUCHSAFE_KILLS` says how many kills (200), `VOUCHSAFE_SEED` which random numbers.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod asking;
mod certificates;
mod due;
mod keys;
mod rekeying;
mod roles;
mod secrets;
mod trail;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;
use vouchsafe_crypto::pki::Validity;
use vouchsafe_testkit::elsewhere::Elsewhere;
use vouchsafe_testkit::running::{Client, Installation, RunningServer};

use certificates::{AUTHORITY, Registrar};
use due::Planner;
use keys::Keeper;
use roles::Operator;
use secrets::Worker;
use trail::Trail;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");
const WORKERS: usize = 4;
/// How often everything that was ever acknowledged is read again, and the log proved offline.
const INVENTORY_EVERY: u64 = 20;

/// A small generator of numbers that a seed repeats (SplitMix64, Steele et al. 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }
}

/// What clients need to know of the server of one round.
struct Round {
    number: u64,
    vault: String,
    arm: String,
    vault_token: String,
    arm_token: String,
    /// Tells the executioner that a change was acknowledged.
    acknowledged: mpsc::UnboundedSender<()>,
}

/// An answer that a client saw: what the log must know about it.
struct Seen {
    request: String,
    what: String,
    /// Whether it said that something was changed.
    changed: bool,
}

impl Seen {
    fn of(answer: &vouchsafe_testkit::running::Answer, what: String, changed: bool) -> Self {
        let request = answer.request_id().expect("every answer names its request").to_owned();
        Self { request, what, changed }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var_os(variable)?.to_str()?.parse().ok()
}

async fn round(server: &RunningServer, number: u64, acknowledged: mpsc::UnboundedSender<()>) -> Arc<Round> {
    Arc::new(Round {
        number,
        vault: server.vault_host("app"),
        arm: server.host().to_owned(),
        vault_token: server.token("https://vault.azure.net").await,
        arm_token: server.token("https://management.azure.com").await,
        acknowledged,
    })
}

async fn furnish(server: &RunningServer) -> (String, String) {
    let state = json!({ "state": { "vaults": [{ "name": "app" }], "identities": [{ "name": "reader" }] } })
        .to_string();
    let mut admin = server.admin();
    let applied =
        admin.request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes())).await;
    assert_eq!(applied.unwrap().status, StatusCode::OK);
    let get = async |admin: &mut Client, path: &str, pointer: &str| {
        let answer = admin.request(Method::GET, server.host(), path, None, None).await.unwrap();
        answer.json().pointer(pointer).and_then(|id| id.as_str()).expect(pointer).to_owned()
    };
    let subscription =
        get(&mut admin, "/subscriptions?api-version=2022-12-01", "/value/0/subscriptionId").await;
    let path = format!(
        "/subscriptions/{subscription}/providers/Microsoft.ManagedIdentity/userAssignedIdentities?api-version=2023-01-31"
    );
    let principal = get(&mut admin, &path, "/value/0/properties/principalId").await;
    let token = server.token("https://vault.azure.net").await;
    let issuer = json!({ "provider": "Vouchsafe", "credentials": { "account_id": "example.test" } });
    let (path, body) = (format!("/certificates/issuers/{AUTHORITY}"), issuer.to_string());
    let vault = server.vault_host("app");
    let founded =
        server.https().request(Method::PUT, &vault, &path, Some(&token), Some(body.as_bytes())).await;
    assert_eq!(founded.unwrap().status, StatusCode::OK);
    (subscription, principal)
}

/// The hour in which the servers live; they have no other clock than we.
#[expect(clippy::disallowed_methods, reason = "what is due is due by the clock of a real server")]
fn now_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_no_acknowledged_write_leave_none_half_done_and_no_answer_without_an_audit_entry()
 {
    let kills = number("VOUCHSAFE_KILLS").unwrap_or(200);
    let seed = number("VOUCHSAFE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("VOUCHSAFE_SEED={seed} VOUCHSAFE_KILLS={kills}");
    let began = Instant::now();
    let mut dice = Dice(seed);
    let installation = Installation::init(PROGRAM);
    let mut server = installation.serve(&[]).await;
    let (subscription, principal) = furnish(&server).await;
    let mut workers: Vec<Worker> = (0..WORKERS).map(|id| Worker::new(id, Dice(dice.roll()))).collect();
    let mut operator = Operator::new(subscription, principal, Dice(dice.roll()));
    let mut keeper = Keeper::new(Dice(dice.roll()));
    let (now, day) = (now_seconds(), 86_400);
    // Who is young is left alone by the job; who will expire in three weeks is due.
    let young = Elsewhere::during(Validity { not_before: now - day, not_after: now + 365 * day });
    let old = Elsewhere::during(Validity { not_before: now - 300 * day, not_after: now + 20 * day });
    let mut registrar = Registrar::new(Dice(dice.roll()), young);
    let mut planner = Planner::new(Dice(dice.roll()), old, now);
    let mut trail = Trail::default();
    let (mut early, mut on_certificates) = (0, Duration::ZERO);

    for kill in 1..=kills {
        // Work until enough was acknowledged, and die in the middle of the rest.
        let (acknowledged, mut acknowledgements) = mpsc::unbounded_channel();
        let shared = round(&server, kill, acknowledged).await;
        let tasks: Vec<_> = workers
            .drain(..)
            .map(|worker| tokio::spawn(worker.work(server.https(), shared.clone())))
            .collect();
        let operating = tokio::spawn(operator.work(server.https(), server.admin(), shared.clone()));
        let keeping = tokio::spawn(keeper.work(server.https(), shared.clone()));
        let registering = tokio::spawn(registrar.work(server.https(), shared.clone()));
        let planning = tokio::spawn(planner.work(server.https(), shared.clone()));
        drop(shared);
        let enough = 4 + dice.below(28);
        for _ in 0..enough {
            assert!(acknowledgements.recv().await.is_some(), "the clients stopped before the server did");
        }
        // An acknowledgement follows a commit; a little later there are other things to interrupt.
        tokio::time::sleep(Duration::from_micros(dice.below(6_000))).await;
        server.kill();
        for task in tasks {
            workers.push(task.await.expect("a client saw something wrong"));
        }
        operator = operating.await.expect("the operator saw something wrong");
        keeper = keeping.await.expect("the keeper of keys saw something wrong");
        registrar = registering.await.expect("the registrar of certificates saw something wrong");
        planner = planning.await.expect("the planner saw something wrong");

        // Sometimes the recovery is killed too, as early or late as it happens, or the job that does what is due.
        match dice.below(8) {
            0 => {
                early += 1;
                installation.serve_and_die(Duration::from_millis(dice.below(150))).await;
            }
            1 => {
                early += 1;
                let busy = installation.serve(&[]).await;
                tokio::time::sleep(Duration::from_micros(dice.below(15_000))).await;
                busy.kill();
            }
            _ => {}
        }
        if kill.is_multiple_of(INVENTORY_EVERY) {
            installation.verify_audit();
        }

        // What is true now?
        server = installation.serve(&[]).await;
        let (silent, _) = mpsc::unbounded_channel();
        let shared = round(&server, kill, silent).await;
        // First whatever the job still does, so that the log has come to rest.
        let settling = Instant::now();
        let certificates = tokio::spawn(registrar.settle(server.https(), shared.clone()));
        let due = tokio::spawn(planner.settle(server.https(), shared.clone()));
        let (kept, of_certificates) = certificates.await.expect("what the registrar was told is not true");
        registrar = kept;
        let (kept, of_due) = due.await.expect("what the planner was told is not true");
        planner = kept;
        on_certificates += settling.elapsed();
        trail.read_on(&mut server.admin()).await;
        of_certificates.iter().chain(&of_due).for_each(|settled| trail.must_agree(settled));
        let checks: Vec<_> = workers
            .drain(..)
            .map(|worker| tokio::spawn(worker.settle(server.https(), shared.clone())))
            .collect();
        let keys = tokio::spawn(keeper.settle(server.https(), shared.clone()));
        for check in checks {
            let (worker, settled) = check.await.expect("what a client was told is not true");
            for settled in settled {
                trail.must_agree(&settled);
            }
            workers.push(worker);
        }
        operator.settle(&mut server.https(), &shared).await;
        let (kept, settled) = keys.await.expect("what the keeper of keys was told is not true");
        settled.iter().for_each(|settled| trail.must_agree(settled));
        keeper = kept;
        let seen = workers.iter_mut().flat_map(|worker| worker.seen.drain(..));
        let seen = seen.chain(operator.seen.drain(..)).chain(keeper.seen.drain(..));
        for seen in seen.chain(registrar.seen.drain(..)).chain(planner.seen.drain(..)) {
            trail.must_know(&seen);
        }
        if kill.is_multiple_of(INVENTORY_EVERY) || kill == kills {
            let checks: Vec<_> = workers
                .drain(..)
                .map(|worker| tokio::spawn(worker.take_inventory(server.https(), shared.clone())))
                .collect();
            for check in checks {
                workers.push(check.await.expect("something acknowledged earlier is gone"));
            }
            let looking = Instant::now();
            registrar = registrar.take_inventory(server.https(), shared.clone()).await;
            planner = planner.take_inventory(server.https(), shared.clone()).await;
            on_certificates += looking.elapsed();
            println!("{kill} kills after {:?}: {} audit entries", began.elapsed(), trail.entries());
        }
    }

    let metrics = server.https().request(Method::GET, server.host(), "/metrics", None, None).await.unwrap();
    assert!(metrics.text().contains("vouchsafe_http_panics_total 0"), "{}", metrics.text());
    assert!(server.terminate().await.success());
    let verified = installation.verify_audit();
    println!("{}", verified.trim());
    let sum = |count: fn(&Worker) -> u64| workers.iter().map(count).sum::<u64>();
    println!(
        "{kills} kills under load and {early} during recovery in {:?}, of which {on_certificates:?} to look at certificates and what was due: {} changes of secrets, {} of role assignments, {} of \
         keys and {} of certificates acknowledged, {} operations ended, {} values read, {} digests signed, {} keys rotated and {} certificates \
         renewed because they were due, {} answers checked against the log; of the requests without an answer {} had \
         happened and {} had not; {} announcements were recorded as lost, to a kill or to another change",
        began.elapsed(),
        sum(|worker| worker.acknowledged),
        operator.acknowledged,
        keeper.acknowledged,
        registrar.acknowledged,
        registrar.ended,
        sum(|worker| worker.read),
        keeper.signatures,
        planner.keys,
        planner.certificates,
        trail.known(),
        sum(|worker| worker.happened) + operator.happened + keeper.happened + registrar.happened,
        sum(|worker| worker.vanished) + operator.vanished + keeper.vanished + registrar.vanished,
        trail.lost(),
    );
}
