//! Process trees that were given an identity, and the agent's own socket.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use support::{Agent, BASH, PATIENCE, Setup, agent, assert_status, bash, is_root, no_identity, says};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use vouchsafe_agent::{BindError, BindingRequest, Config, InheritableSockets, StartError, Until, bind};

mod support;

async fn names_the_tree() -> Agent {
    agent(Setup::default(), |request| request.process.run_identity.clone().ok_or_else(no_identity)).await
}

fn of_this_process(identity: &str, until: Until) -> BindingRequest {
    BindingRequest { identity: identity.to_owned(), root_pid: std::process::id(), until }
}

/// Asks anew until the answer is `status`: the agent hears of an end through the kernel, not from us.
async fn until_status(agent: &Agent, status: u16) {
    let wanted = format!("HTTP/1.1 {status} ");
    let asking = async { while !says(bash(BASH.as_ref(), agent.imds())).await.starts_with(&wanted) {} };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_is_for_the_tree_and_ends_with_the_connection() {
    let agent = names_the_tree().await;
    assert_status(&says(bash(BASH.as_ref(), agent.imds())).await, 400);
    let held = bind(&agent.running.socket, &of_this_process("demo", Until::Disconnect)).await.unwrap();
    let answer = says(bash(BASH.as_ref(), agent.imds())).await;
    assert_status(&answer, 200);
    assert!(answer.contains(r#""access_token":"demo""#), "{answer}");
    // A grandchild belongs to it as well. The shell must not replace itself, or it would be a child.
    let mut command = Command::new(BASH);
    command
        .arg("-c")
        .arg("bash -c \"$0\"; true")
        .arg(support::bash_script(agent.imds()))
        .stdin(Stdio::null());
    assert_status(&says(command).await, 200);
    drop(held);
    until_status(&agent, 400).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_until_exit_outlives_the_connection_and_ends_with_the_root() {
    let agent = names_the_tree().await;
    let mut root = Command::new(BASH)
        .args(["-c", "while read -r line; do eval \"$line\"; done"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let wanted =
        BindingRequest { identity: "shell".to_owned(), root_pid: root.id().unwrap(), until: Until::Exit };
    drop(bind(&agent.running.socket, &wanted).await.unwrap());
    // Not for us, who are outside of the tree.
    assert_status(&says(bash(BASH.as_ref(), agent.imds())).await, 400);
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let mut stdin = root.stdin.take().unwrap();
    let mut lines = BufReader::new(root.stdout.take().unwrap()).lines();
    stdin.write_all(format!("{}\n", support::bash_script(agent.imds())).as_bytes()).await.unwrap();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert_status(&first, 200);
    let second =
        bind(&agent.running.socket, &BindingRequest { until: Until::Disconnect, ..wanted.clone() }).await;
    drop((stdin, lines));
    root.wait().await.unwrap();
    // The end of the root ends both; there is nothing left to bind either.
    drop(second.unwrap());
    assert!(matches!(bind(&agent.running.socket, &wanted).await, Err(BindError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nearest_binding_counts() {
    let agent = names_the_tree().await;
    let _outer = bind(&agent.running.socket, &of_this_process("outer", Until::Disconnect)).await.unwrap();
    // The child says its number, waits until it is bound itself, then asks.
    let mut child = Command::new(BASH)
        .arg("-c")
        .arg(format!("read -r go; {}", support::bash_script(agent.imds())))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let wanted =
        BindingRequest { identity: "inner".to_owned(), root_pid: child.id().unwrap(), until: Until::Exit };
    bind(&agent.running.socket, &wanted).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut child.stdin.take().unwrap(), b"go\n").await.unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(answer.contains(r#""access_token":"inner""#), "{answer}");
    assert!(says(bash(BASH.as_ref(), agent.imds())).await.contains(r#""access_token":"outer""#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_bound_is_refused_with_the_reason() {
    let agent = names_the_tree().await;
    for wanted in [
        of_this_process("", Until::Exit),
        of_this_process(&"x".repeat(129), Until::Exit),
        of_this_process("a\nb", Until::Exit),
        BindingRequest { identity: "x".to_owned(), root_pid: 0, until: Until::Exit },
        BindingRequest { identity: "x".to_owned(), root_pid: u32::MAX, until: Until::Exit },
    ] {
        let refused = bind(&agent.running.socket, &wanted).await;
        assert!(matches!(&refused, Err(BindError::Refused(text)) if !text.is_empty()), "{wanted:?}");
    }
    let nowhere = agent.directory.path().join("nowhere");
    let refused = bind(&nowhere, &of_this_process("x", Until::Exit)).await;
    assert!(matches!(refused, Err(BindError::Unreachable { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_cannot_reach_the_agents_socket() {
    let agent = names_the_tree().await;
    let socket = &agent.running.socket;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    if !is_root("another_user_cannot_reach_the_agents_socket") {
        return;
    }
    // Even with the doors left open, the kernel says who knocks.
    for path in [agent.directory.path(), socket.parent().unwrap(), socket] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let script = "s = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ntry:\n  s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n  print('answered', s.recv(9))\nexcept OSError: print('cut off')";
    for (uid, expected) in [(0, "answered b'HTTP/1.1 '"), (65534, "answered b''")] {
        let mut command = Command::new("python3");
        command
            .args(["-c", &format!("import os, socket, sys\nos.setuid({uid})\n{script}")])
            .arg(socket)
            .stdin(Stdio::null());
        let said = says(command).await;
        assert!(said.trim() == expected || (uid != 0 && said.trim() == "cut off"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_does_not_start_beside_a_socket_that_is_not_its_own() {
    let agent = names_the_tree().await;
    let config = |socket: std::path::PathBuf| Config {
        imds: "127.0.0.1:0".parse().unwrap(),
        proxy: None,
        socket,
        source: Arc::clone(&agent.platform) as _,
        clock: Arc::new(|| 0),
        inheritable_sockets: InheritableSockets::default(),
        connections_max: 1,
        source_deadline: Duration::from_secs(1),
    };
    let start = |socket| vouchsafe_agent::start(config(socket), CancellationToken::new());
    let directory = agent.directory.path();

    let open = directory.join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(start(open.join("s")).await, Err(StartError::SocketDirectory { .. })));

    let private = directory.join("run");
    let link = directory.join("link");
    std::os::unix::fs::symlink(&private, &link).unwrap();
    assert!(matches!(start(link.join("s")).await, Err(StartError::SocketDirectory { .. })));

    std::os::unix::fs::symlink(directory.join("elsewhere"), private.join("s")).unwrap();
    assert!(matches!(start(private.join("s")).await, Err(StartError::Listen { .. })));
    std::fs::write(private.join("file"), b"").unwrap();
    assert!(matches!(start(private.join("file")).await, Err(StartError::Listen { .. })));
    assert!(matches!(start(agent.running.socket.clone()).await, Err(StartError::Listen { .. })));

    // What is left of an agent that was killed does not stand in the way.
    drop(std::os::unix::net::UnixListener::bind(private.join("dead")).unwrap());
    assert!(start(private.join("dead")).await.is_ok());

    let mut elsewhere = config(private.join("t"));
    elsewhere.imds = "0.0.0.0:0".parse().unwrap();
    let refused = vouchsafe_agent::start(elsewhere, CancellationToken::new()).await;
    assert!(matches!(refused, Err(StartError::NotLoopback(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inheritable_socket_gets_what_its_tree_is_bound_to_and_nothing_by_name() {
    let strict = Setup { sockets: InheritableSockets::Refuse, ..Setup::default() };
    let agent = agent(strict, |request| request.process.run_identity.clone().ok_or_else(no_identity)).await;
    assert_status(&says(bash(BASH.as_ref(), agent.imds())).await, 400);
    let _held = bind(&agent.running.socket, &of_this_process("demo", Until::Disconnect)).await.unwrap();
    let answer = says(bash(BASH.as_ref(), agent.imds())).await;
    assert!(answer.contains(r#""access_token":"demo""#), "{answer}");
    let script = support::bash_script(agent.imds()).replace("&resource=", "&client_id=by-name&resource=");
    let mut by_name = Command::new(BASH);
    by_name.arg("-c").arg(script).stdin(Stdio::null()).kill_on_drop(true);
    let answer = says(by_name).await;
    assert_status(&answer, 400);
    assert!(answer.contains("inheritable"), "{answer}");
}
