//! `vouchsafe run` and `vouchsafe env`: what a program sees, and what its caller hears of its end.

use std::process::{Command, Stdio};

use vouchsafe_testkit::running::{Installation, RunningServer};

/// A server with one identity, and the commands that are typed beside it.
struct Desk {
    installation: Installation,
    _server: RunningServer,
}

async fn desk() -> Desk {
    let installation = Installation::empty(env!("CARGO_BIN_EXE_vouchsafe"));
    let file = installation.scratch().join("world.yaml");
    std::fs::write(&file, "identities:\n  - name: web\n").expect("a file");
    let server = installation.dev(&["--apply".as_ref(), file.as_os_str()], &[]).await;
    Desk { installation, _server: server }
}

fn program(desk: &Desk) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vouchsafe"));
    command.arg("--socket").arg(desk.installation.data().join("admin/admin.sock")).stdin(Stdio::null());
    command
}

fn run(desk: &Desk, script: &str) -> Command {
    let mut command = program(desk);
    command.args(["run", "--identity", "web", "--", "sh", "-c", script]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_end_is_our_end() {
    let desk = desk().await;
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9)]
    {
        let status = run(&desk, script).status().expect("the program runs");
        assert_eq!(status.code(), Some(code), "{script}");
    }
    let missing = program(&desk).args(["run", "--identity", "web", "--", "/no/such/program"]).output();
    assert_eq!(missing.expect("the program runs").status.code(), Some(127));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_the_program() {
    let desk = desk().await;
    let script = "trap 'echo heard; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = run(&desk, script).stdout(Stdio::piped()).spawn().expect("the program runs");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe")));
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
    assert_eq!(lines.next().expect("a line").expect("text"), "heard");
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_has_the_identity_and_nobody_else() {
    let desk = desk().await;
    let ask = "curl -s -H 'X-IDENTITY-HEADER: x' \"$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=https://vault.azure.net\"";
    let inside = run(&desk, ask).output().expect("the program runs");
    assert!(String::from_utf8_lossy(&inside.stdout).contains("access_token"), "{inside:?}");
    // A process that detaches itself stays in the tree while the program runs.
    let detached = run(
        &desk,
        &format!("( ( {ask} > out.txt; : ) & ) ; while [ ! -s out.txt ]; do sleep 0.05; done; cat out.txt"),
    )
    .current_dir(desk.installation.scratch())
    .output()
    .expect("the program runs");
    assert!(String::from_utf8_lossy(&detached.stdout).contains("access_token"), "{detached:?}");
    let environment = program(&desk).args(["env", "--format", "json"]).output().expect("the program runs");
    let variables: serde_json::Value = serde_json::from_slice(&environment.stdout).expect("JSON");
    let endpoint = variables["IDENTITY_ENDPOINT"].as_str().expect("a URL");
    let url = format!("{endpoint}?api-version=2019-08-01&resource=https://vault.azure.net");
    let outside =
        Command::new("curl").args(["-s", "-H", "X-IDENTITY-HEADER: x", &url]).output().expect("curl runs");
    let said = String::from_utf8_lossy(&outside.stdout);
    assert!(said.contains("invalid_request") && !said.contains("access_token"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_no_credential() {
    let desk = desk().await;
    for format in ["shell", "dotenv", "json"] {
        let printed = program(&desk).args(["env", "--format", format]).output().expect("the program runs");
        let text = String::from_utf8_lossy(&printed.stdout);
        assert!(text.contains("IDENTITY_HEADER") && text.contains("attested-by-the-kernel"), "{text}");
        for name in ["SECRET", "PASSWORD", "TOKEN", "KEY="] {
            assert!(!text.contains(name), "{text}");
        }
    }
}
