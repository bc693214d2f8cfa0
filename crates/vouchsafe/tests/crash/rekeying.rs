//! `vouchsafe rekey kek` against a server that is killed in the middle of it, and killed again while it goes on by itself:
//! nothing is lost, what is written meanwhile neither, and at last everything is under new keys.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;
use vouchsafe_testkit::running::{Installation, RunningServer};

use crate::{Dice, PROGRAM, number};

const VAULTS: [&str; 4] = ["first", "second", "third", "fourth"];
const SECRETS: usize = 60;
/// Kills that hit the work in its middle; others do not count.
const KILLS: usize = 4;
const TRIES_MAX: usize = 60;

fn name(secret: usize) -> String {
    format!("/secrets/s{secret}")
}

async fn set(server: &RunningServer, vault: &str, secret: usize, value: &str) {
    let (token, host) = (server.token("https://vault.azure.net").await, server.vault_host(vault));
    let body = json!({ "value": value }).to_string();
    let done = server
        .https()
        .request(Method::PUT, &host, &name(secret), Some(&token), Some(body.as_bytes()))
        .await
        .unwrap();
    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
}

/// A deployment whose rings and records make many commits of it.
async fn fill(server: &RunningServer) {
    let vaults: Vec<_> = VAULTS.iter().map(|name| json!({ "name": name })).collect();
    let state = json!({ "state": { "vaults": vaults } }).to_string();
    let applied = server
        .admin()
        .request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes()))
        .await
        .unwrap();
    assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
    let token = server.token("https://vault.azure.net").await;
    let mut client = server.https();
    for vault in VAULTS {
        let host = server.vault_host(vault);
        for secret in 0..SECRETS {
            let body = json!({ "value": format!("{vault} {secret}") }).to_string();
            let path = name(secret);
            let done = client.request(Method::PUT, &host, &path, Some(&token), Some(body.as_bytes())).await;
            assert_eq!(done.unwrap().status, StatusCode::OK);
        }
    }
}

async fn all_is_there(server: &RunningServer, written: usize) {
    let token = server.token("https://vault.azure.net").await;
    let mut client = server.https();
    for vault in VAULTS {
        let host = server.vault_host(vault);
        for secret in 0..SECRETS + written {
            let read = client.request(Method::GET, &host, &name(secret), Some(&token), None).await.unwrap();
            assert_eq!(read.json()["value"], format!("{vault} {secret}"), "{}", read.text());
        }
    }
}

async fn state(server: &RunningServer) -> (String, u64) {
    let answer =
        server.admin().request(Method::GET, "vouchsafe", "/admin/v1/rekey", None, None).await.unwrap();
    let shown = answer.json();
    (shown["state"].as_str().unwrap().to_owned(), shown["strays"].as_u64().unwrap())
}

async fn begin(server: &RunningServer) {
    let asked = server.admin().request(Method::POST, "vouchsafe", "/admin/v1/rekey", None, None).await;
    assert_eq!(asked.unwrap().status, StatusCode::ACCEPTED);
}

/// The command in a process of its own, as an operator runs it; whether it says that it is done.
fn rekey(installation: &Installation, server: &RunningServer) -> (bool, String) {
    let socket = server.endpoints().admin_socket.clone();
    let (status, said, complained) = installation.run(["rekey", "kek", "-o", "json", "--socket", &socket]);
    (status.success(), said + &complained)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_for_everything_survive_kills_in_their_middle() {
    let seed = number("VOUCHSAFE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("VOUCHSAFE_SEED={seed}");
    let mut dice = Dice(seed);
    let installation = Installation::init(PROGRAM);
    let mut server = installation.serve(&[]).await;
    fill(&server).await;
    // How long it takes when nobody disturbs it, to know where its middle is.
    let begun = Instant::now();
    begin(&server).await;
    while state(&server).await.0 != "done" {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not end:\n{}", server.log());
    }
    let whole = begun.elapsed();

    let (mut in_the_middle, mut tries, mut written) = (0, 0, 0);
    while in_the_middle < KILLS {
        tries += 1;
        assert!(tries <= TRIES_MAX, "{in_the_middle} of {tries} kills hit the middle of {whole:?}");
        // Unfinished, it goes on by itself; else somebody begins it.
        if state(&server).await.0 != "running" {
            begin(&server).await;
        }
        let micros = u64::try_from(whole.as_micros()).unwrap();
        tokio::time::sleep(Duration::from_micros(dice.below(micros))).await;
        server.kill();
        server = installation.serve(&[]).await;
        if server.log().contains("tenants and vaults are getting new keys; going on") {
            in_the_middle += 1;
            // What is written while it goes on is under one key or the other.
            for vault in VAULTS {
                set(&server, vault, SECRETS + written, &format!("{vault} {}", SECRETS + written)).await;
            }
            written += 1;
        }
        all_is_there(&server, written).await;
    }

    // The command waits until it is done.
    let (done, said) = tokio::task::block_in_place(|| rekey(&installation, &server));
    assert!(done, "{said}");
    assert_eq!(state(&server).await, ("done".to_owned(), 0));
    all_is_there(&server, written).await;
    assert!(server.terminate().await.success());
    server = installation.serve(&[]).await;
    assert!(!server.log().contains("are getting new keys"), "it was done, and goes on");
    all_is_there(&server, written).await;
    assert!(server.terminate().await.success());
    println!(
        "{}; {tries} kills, {in_the_middle} in the middle of {whole:?}",
        installation.verify_audit().trim()
    );
}
