//! What the rest of the machine learns of a running server from the kernel (A10): no image of its memory, nothing
//! through its command line, its environment or its children; and who reads the audit log is in it (A13).

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use data_encoding::HEXLOWER;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use vouchsafe_testkit::running::{Client, Installation, RunningServer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");
const SECRET: &str = "a value that is in no argument and no variable";

/// What makes root a user like others: the kernel lets nobody look into a process that may more than he may.
const UNPRIVILEGED: [&str; 5] = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"];

/// A program run by the user of the server, with no more rights than the server has.
fn as_same_user(arguments: &[&str]) -> Command {
    let words = [&UNPRIVILEGED[..], arguments].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    command
}

/// The first byte that a file of a process has for its own user.
fn peek(pid: &str, file: &str) -> Output {
    let path = format!("/proc/{pid}/{file}");
    as_same_user(&["head", "-c", "1", &path]).output().expect("setpriv of util-linux")
}

async fn furnish(server: &RunningServer) -> String {
    let state = json!({ "state": { "vaults": [{ "name": "app" }] } }).to_string();
    let mut admin = server.admin();
    let applied = admin
        .request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(state.as_bytes()))
        .await
        .unwrap();
    assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
    let (token, host) = (server.token("https://vault.azure.net").await, server.vault_host("app"));
    let body = json!({ "value": SECRET }).to_string();
    let set = server
        .https()
        .request(Method::PUT, &host, "/secrets/s", Some(&token), Some(body.as_bytes()))
        .await
        .unwrap();
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    token
}

#[tokio::test]
async fn nobody_dumps_a_server_or_looks_into_it_with_its_own_users_rights() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("vouchsafe");
    let script = format!("#!/bin/sh\nexec {} {PROGRAM} \"$@\"\n", UNPRIVILEGED.join(" "));
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let installation = Installation::empty(&program);
    let server = installation.dev(&[], &[]).await;
    furnish(&server).await;
    let pid = server.pid().to_string();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let core: Vec<&str> = core.trim_start_matches("Max core file size").split_whitespace().collect();
    assert_eq!(core[..2], ["0", "0"], "a crash would leave an image of the memory");

    let mut ordinary = as_same_user(&["sleep", "60"]).spawn().unwrap();
    let twin = ordinary.id().to_string();
    // It is an ordinary process once it runs its program.
    let comm = || std::fs::read_to_string(format!("/proc/{twin}/comm")).unwrap_or_default();
    while comm().trim() != "sleep" {
        tokio::task::yield_now().await;
    }
    for file in ["environ", "maps", "auxv"] {
        let read = peek(&twin, file);
        assert_eq!(read.stdout.len(), 1, "the twin: {file} of an ordinary process is read: {read:?}");
        let read = peek(&pid, file);
        assert!(read.stdout.is_empty() && !read.status.success(), "{file} of the server is read: {read:?}");
    }
    let attach = |pid: &str| {
        let image = installation.scratch().join("image");
        let image = image.to_str().unwrap();
        let tried = as_same_user(&["gcore", "-o", image, pid]).output();
        (tried.is_ok(), std::path::Path::new(&format!("{image}.{pid}")).exists())
    };
    let (ran, imaged) = attach(&twin);
    if ran && imaged {
        assert!(!attach(&pid).1, "a debugger was attached to the server and made an image of it");
    } else {
        println!("no debugger was tried: this machine has none, or lets nobody attach");
    }
    ordinary.kill().unwrap();
    ordinary.wait().unwrap();
}

#[tokio::test]
async fn neither_arguments_nor_variables_nor_children_of_a_server_have_a_secret() {
    let installation = Installation::empty(PROGRAM);
    let server = installation.dev(&[], &[]).await;
    let token = furnish(&server).await;
    let pid = server.pid();
    let key = std::fs::read_to_string(installation.data().join("root.key")).unwrap();
    let key = key.split_whitespace().nth(1).unwrap().to_owned();
    let raw = HEXLOWER.decode(key.as_bytes()).unwrap();
    let needles = [SECRET.as_bytes(), token.as_bytes(), key.as_bytes(), &raw];
    let children = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flat_map(|task| {
        let children = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    });
    let mut looked = 0;
    for process in children.chain([pid.to_string()]) {
        for file in ["cmdline", "environ"] {
            let Ok(bytes) = std::fs::read(format!("/proc/{process}/{file}")) else { continue };
            looked += usize::from(!bytes.is_empty());
            for needle in needles {
                let found = bytes.windows(needle.len()).any(|window| window == needle);
                assert!(!found, "a secret is in {file} of {process}");
            }
        }
    }
    assert!(looked > 0, "nothing was looked at");
}

async fn audit(admin: &mut Client, from: u64) -> Vec<Value> {
    let path = format!("/admin/v1/audit?limit=1000&from={from}");
    let answer = admin.request(Method::GET, "vouchsafe", &path, None, None).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["entries"].as_array().cloned().unwrap_or_default()
}

fn readings(entries: &[Value]) -> usize {
    entries.iter().filter(|entry| entry["action"] == "vouchsafe/auditLog/read").count()
}

#[tokio::test]
async fn who_reads_the_audit_log_is_in_it_and_following_it_does_not_fill_it() {
    let installation = Installation::init(PROGRAM);
    let server = installation.serve(&[]).await;
    let token = furnish(&server).await;
    let mut admin = server.admin();
    let first = audit(&mut admin, 0).await;
    assert!(!first.is_empty() && readings(&first) == 0, "{first:?}");
    let second = audit(&mut admin, first.len() as u64).await;
    // Outcomes are appended a little later than they are answered.
    assert_eq!(readings(&second), 1, "{second:?}");
    let uid = rustix::process::geteuid().as_raw();
    let from = second.last().unwrap()["from"].as_str().unwrap();
    assert!(from.contains(&format!("uid {uid} ")), "the entry does not say who: {from}");
    // Whoever goes on reads of that reading, perhaps, and at last of nothing: the log comes to rest.
    let mut end = (first.len() + second.len()) as u64;
    let mut rounds = 0;
    loop {
        let more = audit(&mut admin, end).await;
        if more.is_empty() {
            break;
        }
        end += more.len() as u64;
        rounds += 1;
        assert!(rounds < 5, "each reading makes something to read: {more:?}");
    }
    audit(&mut admin, 0).await;
    assert_eq!(
        readings(&audit(&mut admin, end).await),
        1,
        "reading it again from the beginning is a reading"
    );

    // Through the network nobody reads it, whatever their token.
    let mut https = server.https();
    for host in [server.host().to_owned(), server.vault_host("app")] {
        let path = "/admin/v1/audit?limit=10";
        let answer = https.request(Method::GET, &host, path, Some(&token), None).await.unwrap();
        assert!(answer.status.is_client_error(), "{host}: {}", answer.text());
        assert!(!answer.text().contains("auditLog"), "{host}: {}", answer.text());
    }
}
