//! Who gets a token, decided by what the kernel says: real processes, real sockets.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::HashSet;
use std::process::Stdio;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use vouchsafe_agent::InheritableSockets;

use support::{
    BASH, PATIENCE, Setup, agent, assert_status, bash, bash_script, is_root, no_identity, own_bash, python,
    raw, says,
};

mod support;

fn real_bash() -> String {
    std::fs::canonicalize(BASH).unwrap().to_str().unwrap().to_owned()
}

fn strict() -> Setup {
    Setup { sockets: InheritableSockets::Refuse, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_is_told_what_the_kernel_says() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    let mut command = bash(BASH.as_ref(), agent.imds());
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id().unwrap();
    let output = child.wait_with_output().await.unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    assert_status(&answer, 200);
    assert!(answer.contains(r#""access_token":"secret""#));
    let asked = agent.platform.asked.lock().unwrap()[0].clone();
    assert_eq!(asked.process.pid, pid);
    assert_eq!(asked.process.uid, rustix::process::geteuid().as_raw());
    assert_eq!(asked.process.gid, rustix::process::getegid().as_raw());
    assert_eq!(asked.process.exe_path, real_bash());
    let file = std::fs::read(BASH).unwrap();
    assert_eq!(asked.process.exe_sha256, HEXLOWER.encode(digest(&SHA256, &file).as_ref()));
    assert_eq!(asked.process.run_identity, None);
    assert_eq!(asked.resource, "https://vault.azure.net");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_uid_with_the_wrong_executable_gets_nothing() {
    let trusted = real_bash();
    let agent = agent(Setup::default(), move |request| {
        if request.process.exe_path == trusted { Ok("secret".to_owned()) } else { Err(no_identity()) }
    })
    .await;
    let impostor = own_bash(agent.directory.path(), "impostor");
    let answer = says(bash(&impostor, agent.imds())).await;
    assert_status(&answer, 400);
    assert!(answer.contains("invalid_request") && !answer.contains("secret"));
    let uid = rustix::process::geteuid().as_raw();
    assert!(
        answer.contains(&format!("uid {uid}")) && answer.contains(impostor.to_str().unwrap()),
        "{answer}"
    );
    // The same program, under its own name.
    assert_status(&says(bash(BASH.as_ref(), agent.imds())).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_execs_after_connecting_gets_nothing() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    // The first answer proves that the connection was attested; then the same process becomes another program,
    // which asks on the same connection. The twin stays what it is.
    let script = |second: &str| {
        format!(
            r#"
s = socket.create_connection(("127.0.0.1", port))
s.sendall(ASK)
print(answer(s).split()[1], flush=True)
{second}
"#
        )
    };
    let execs = script(
        r#"
os.set_inheritable(s.fileno(), True)
ask = ASK.decode().replace("Metadata", "Connection: close\r\nMetadata").replace("\r\n", "\\r\\n")
os.execv("/bin/bash", ["bash", "-c", "printf '" + ask + "' >&$0; while IFS= read -r line <&$0; do echo \"$line\"; done; echo \"$line\"", str(s.fileno())])
"#,
    );
    let stays = script("s.sendall(ASK)\nprint(answer(s))");
    let answer = says(python(agent.imds(), &stays)).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    let answer = says(python(agent.imds(), &execs)).await;
    assert!(answer.starts_with("200\n"), "{answer}");
    assert!(answer.contains("HTTP/1.1 400"), "{answer}");
    assert!(!answer.contains("secret"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_may_have_come_through_an_exec_gets_nothing() {
    let agent = agent(strict(), |_| Ok("secret".to_owned())).await;
    // The exec follows the connect at once: whether the agent has looked by then is left to chance, and must not
    // matter. (An answer that was given before the exec belongs to the old program, which may do with it what it
    // likes; so it is the new one that asks.)
    let script = r#"
s = socket.create_connection(("127.0.0.1", port))
os.set_inheritable(s.fileno(), True)
ask = ASK.decode().replace("Metadata", "Connection: close\r\nMetadata").replace("\r\n", "\\r\\n")
os.execv("/bin/bash", ["bash", "-c", "printf '" + ask + "' >&$0; while IFS= read -r line <&$0; do echo \"$line\"; done; echo \"$line\"", str(s.fileno())])
"#;
    for _ in 0..10 {
        let answer = says(python(agent.imds(), script)).await;
        assert_status(&answer, 400);
        assert!(!answer.contains("secret"), "{answer}");
    }
    // The same client with a socket that closes on exec, as Python makes them.
    let honest = r#"
s = socket.create_connection(("127.0.0.1", port))
s.sendall(ASK)
print(answer(s))
"#;
    assert_status(&says(python(agent.imds(), honest)).await, 200);
    let answer = says(bash(BASH.as_ref(), agent.imds())).await;
    assert!(answer.contains("inheritable"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_with_two_holders_gets_nothing() {
    let agent = agent(strict(), |_| Ok("secret".to_owned())).await;
    // The child is there before the connection is, and stays until the answer has come.
    let script = r#"
s = socket.socket()
r, w = os.pipe()
if os.fork() == 0:
    os.close(w)
    os.read(r, 1)
    os._exit(0)
s.connect(("127.0.0.1", port))
s.sendall(ASK)
print(answer(s))
"#;
    let answer = says(python(agent.imds(), script)).await;
    assert_status(&answer, 400);
    assert!(answer.contains("2 processes"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_was_left_with_the_socket_is_taken_for_itself() {
    let agent = agent(strict(), |_| Ok("secret".to_owned())).await;
    let script = r#"
s = socket.socket()
if os.fork() != 0:
    s.close()
    os.wait()
else:
    s.connect(("127.0.0.1", port))
    s.sendall(ASK)
    print(os.getpid(), answer(s))
"#;
    // The parent may hold the socket for a moment still; the agent looks again.
    let answer = says(python(agent.imds(), script)).await;
    let (pid, answer) = answer.split_once(' ').unwrap();
    assert_status(answer, 200);
    assert_eq!(agent.platform.asked.lock().unwrap()[0].process.pid.to_string(), pid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_opened_by_another_uid_gets_nothing() {
    if !is_root("a_socket_opened_by_another_uid_gets_nothing") {
        return;
    }
    let agent = agent(strict(), |_| Ok("secret".to_owned())).await;
    let script = |change: &str| {
        format!(
            "s = socket.socket()\n{change}\ns.connect(('127.0.0.1', port))\ns.sendall(ASK)\nprint(answer(s))"
        )
    };
    assert_status(&says(python(agent.imds(), &script(""))).await, 200);
    let answer = says(python(agent.imds(), &script("os.seteuid(65534)"))).await;
    assert_status(&answer, 400);
    assert!(answer.contains("opened by uid 0 but is held by uid 65534"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_changes_its_user_after_the_first_answer_gets_no_second() {
    if !is_root("a_process_that_changes_its_user_after_the_first_answer_gets_no_second") {
        return;
    }
    let agent = agent(strict(), |_| Ok("secret".to_owned())).await;
    let script = r#"
s = socket.create_connection(("127.0.0.1", port))
s.sendall(ASK)
assert " 200 " in answer(s)
os.seteuid(65534)
s.sendall(ASK)
print(answer(s))
"#;
    assert_status(&says(python(agent.imds(), script)).await, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_is_another_caller() {
    if !is_root("another_user_is_another_caller") {
        return;
    }
    let agent = agent(Setup::default(), |request| Ok(format!("of-{}", request.process.uid))).await;
    for uid in [0, 65534, 4242] {
        let mut command = bash(BASH.as_ref(), agent.imds());
        command.uid(uid);
        assert!(says(command).await.contains(&format!(r#""of-{uid}""#)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_executable_gets_nothing() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    for deletes in [false, true] {
        let program = own_bash(agent.directory.path(), if deletes { "deleted" } else { "kept" });
        let mut child = Command::new(&program)
            .arg("-c")
            .arg(format!("echo started; read -r go; {}", bash_script(agent.imds())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "started");
        if deletes {
            std::fs::remove_file(&program).unwrap();
        }
        child.stdin.take().unwrap().write_all(b"go\n").await.unwrap();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        assert_status(&first, if deletes { 400 } else { 200 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_in_memory_only_gets_nothing() {
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    let script = format!(
        "fd = os.memfd_create('x', 0)\nos.write(fd, open('/bin/bash','rb').read())\nos.execv(f'/proc/self/fd/{{fd}}', ['bash', '-c', {:?}])",
        bash_script(agent.imds())
    );
    let answer = says(python(agent.imds(), &script)).await;
    assert_status(&answer, 400);
    assert!(answer.contains("memory only"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_namespace_cannot_lend_a_trusted_path() {
    if !is_root("a_mount_namespace_cannot_lend_a_trusted_path") {
        return;
    }
    let agent = agent(Setup::default(), |_| Ok("secret".to_owned())).await;
    let trusted = own_bash(agent.directory.path(), "trusted");
    let evil = own_bash(agent.directory.path(), "evil");
    for (mount, status) in [(":", 200), ("mount --bind \"$1\" \"$2\"", 400)] {
        let mut command = Command::new("unshare");
        command.arg("--mount").arg("sh").arg("-c").arg(format!("{mount} && exec \"$2\" -c \"$3\"")).arg("sh");
        command.arg(&evil).arg(&trusted).arg(bash_script(agent.imds())).stdin(Stdio::null());
        let answer = says(command).await;
        assert_status(&answer, status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_at_once_each_get_their_own() {
    let agent = agent(Setup::default(), |request| Ok(format!("of-{}-", request.process.exe_path))).await;
    let first = own_bash(agent.directory.path(), "caller-0");
    let mut programs = vec![first.clone()];
    for number in 1..100 {
        // One file with a hundred names: the name is a fact, too.
        let path = agent.directory.path().join(format!("caller-{number}"));
        std::fs::hard_link(&first, &path).unwrap();
        programs.push(path);
    }
    let address = agent.imds();
    let callers: Vec<_> = programs
        .into_iter()
        .map(|program| {
            tokio::spawn(async move {
                let answer = says(bash(&program, address)).await;
                assert_status(&answer, 200);
                assert!(answer.contains(&format!("\"of-{}-\"", program.display())), "{answer}");
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let asked = agent.platform.asked.lock().unwrap();
    let pids: HashSet<u32> = asked.iter().map(|request| request.process.pid).collect();
    assert_eq!((asked.len(), pids.len()), (100, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_loopback_is_understood() {
    let connect = |address: &str| {
        format!(
            r#"
s = socket.create_connection(({address:?}, port))
s.sendall(ASK)
print(answer(s))
"#
        )
    };
    let mapped = r#"
s = socket.socket(socket.AF_INET6)
s.connect(("::ffff:127.0.0.1", port))
s.sendall(ASK)
print(answer(s))
"#;
    let v4 = agent(strict(), |_| Ok("secret".to_owned())).await;
    assert_status(&says(python(v4.imds(), &connect("127.0.0.1"))).await, 200);
    assert_status(&says(python(v4.imds(), mapped)).await, 200);
    let other = agent(Setup { listen: "127.0.0.2:0", ..strict() }, |_| Ok("secret".to_owned())).await;
    assert_status(&says(python(other.imds(), &connect("127.0.0.2"))).await, 200);
    if tokio::net::TcpListener::bind("[::1]:0").await.is_ok() {
        let v6 = agent(Setup { listen: "[::1]:0", ..strict() }, |_| Ok("secret".to_owned())).await;
        assert_status(&says(python(v6.imds(), &connect("::1"))).await, 200);
    } else {
        eprintln!("NOT RUN, needs IPv6: every_kind_of_loopback_is_understood, ::1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_does_not_vouch_for_itself() {
    let agent = agent(strict(), |_| Ok("secret".to_owned())).await;
    let ask = support::ASK.replace("\\r\\n", "\r\n");
    let answer = raw(agent.imds(), ask.as_bytes()).await;
    assert_status(&answer, 400);
    assert!(answer.contains("does not vouch for itself"), "{answer}");
    assert!(agent.platform.asked.lock().unwrap().is_empty());
}
