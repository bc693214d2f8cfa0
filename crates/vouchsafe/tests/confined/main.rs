//! Nothing that a caller sends becomes a path, a command or an address (V29): a real server is watched by `strace` while
//! every string that it takes - in bodies, addresses, queries, heads and forms - is a path, a command or a URL in turn.
//!
//! From when it opens its doors to its end, every file that the process names is the deployment's or one of the few
//! that the runtime reads, it starts no program, and it connects to nobody.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod requests;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use vouchsafe_testkit::processes::children_of;
use vouchsafe_testkit::running::Installation;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vouchsafe");

/// What the process may name besides its own deployment: files of the system's and the runtime's, none of which a caller
/// has a word in.
const BESIDES: &[&str] = &[
    "/etc/ld.so.",
    "/lib/",
    "/lib64/",
    "/usr/lib/",
    "/usr/lib64/",
    "/proc/self/",
    "/sys/fs/cgroup/",
    "/dev/",
];

/// Where the callers point to, and what would be there if one of them were followed.
struct Bait {
    directory: PathBuf,
}

impl Bait {
    fn lay(scratch: &Path) -> Self {
        let directory = scratch.join("bait");
        std::fs::create_dir(&directory).unwrap();
        for file in ["key.pem", "module.so", "script"] {
            std::fs::write(directory.join(file), "#!/bin/sh\ntouch \"$(dirname \"$0\")/made\"\n").unwrap();
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(directory.join(file), mode).unwrap();
        }
        Self { directory }
    }

    /// Paths, commands and addresses as they are written where somebody might take them for one.
    fn values(&self, port: u16) -> Vec<String> {
        let (at, script) = (self.directory.display(), self.directory.join("script"));
        let script = script.display();
        vec![
            format!("{at}/key.pem"),
            format!("../../../../../../../..{at}/key.pem"),
            format!("file://{at}/key.pem"),
            format!("file:{at}/key.pem"),
            format!("@{at}/key.pem"),
            format!("%2e%2e%2f%2e%2e%2f{at}/key.pem"),
            format!("{at}/made"),
            format!("pkcs11:module-path={at}/module.so"),
            format!("$({script})"),
            format!("`{script}`"),
            format!("; {script} #"),
            format!("| {script}"),
            format!("x\n{script}\n"),
            format!("--config={at}/key.pem"),
            format!("http://127.0.0.1:{port}/bait"),
            format!("https://localhost:{port}/bait"),
            format!("\\\\127.0.0.1@{port}\\bait"),
        ]
    }

    fn is_untouched(&self) {
        let names: BTreeSet<_> = std::fs::read_dir(&self.directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["key.pem", "module.so", "script"]);
    }
}

/// The program under `strace`, which is no parent of it, so that it has the id that is waited for.
fn traced(scratch: &Path) -> Option<(PathBuf, PathBuf)> {
    let (program, trace) = (scratch.join("traced"), scratch.join("trace"));
    let script = format!(
        "#!/bin/sh\nexec strace -D -f -qq --signal=none --seccomp-bpf -s 4096 -e trace=%file,%process,connect,sendto \
         -o {} {PROGRAM} \"$@\"\n",
        trace.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    // Whoever made itself not to be dumped shows its arguments to root's tracer only.
    (rustix::process::geteuid().is_root() && works.is_ok_and(|status| status.success()))
        .then_some((program, trace))
}

/// What a line of the trace says was done that nobody may do here.
fn forbidden(line: &str, own: &[&Path]) -> Option<String> {
    let (_, call) = line.split_once(' ')?;
    let call = call.trim_start();
    let (name, arguments) = call.split_once('(')?;
    match name {
        "execve" | "execveat" | "fork" | "vfork" => Some(format!("a program is started: {call}")),
        "clone" | "clone3" if !arguments.contains("CLONE_THREAD") => {
            Some(format!("a process is started: {call}"))
        }
        // To a socket that is connected already nothing is sent by an address: a runtime wakes itself like that.
        "connect" | "sendto" if arguments.contains("sa_family") => {
            Some(format!("somebody is connected to: {call}"))
        }
        _ => {
            let named = texts(arguments);
            let elsewhere = |path: &&String| {
                path.starts_with('/')
                    && !own.iter().any(|own| Path::new(path).starts_with(own))
                    && !own.iter().any(|own| own.starts_with(path))
                    && !BESIDES.iter().any(|known| path.starts_with(known))
            };
            named.iter().find(elsewhere).map(|path| format!("`{path}` is named: {call}"))
        }
    }
}

/// The texts among the arguments of a call.
fn texts(arguments: &str) -> Vec<String> {
    let (mut found, mut text, mut escaped) = (Vec::new(), None::<String>, false);
    for letter in arguments.chars() {
        match (&mut text, letter, escaped) {
            (None, '"', _) => text = Some(String::new()),
            (None, ..) => {}
            (Some(inside), '"', false) => {
                found.push(std::mem::take(inside));
                text = None;
            }
            (Some(_), '\\', false) => escaped = true,
            (Some(inside), letter, _) => {
                inside.push(letter);
                escaped = false;
            }
        }
    }
    found
}

#[tokio::test]
async fn no_value_that_a_caller_sends_is_a_path_a_command_or_an_address() {
    let scratch = tempfile::tempdir().unwrap();
    let bait = Bait::lay(scratch.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let trace = traced(scratch.path());
    if trace.is_none() {
        assert!(std::env::var_os("CI").is_none(), "strace cannot be run, or not by root");
        eprintln!("without strace, or without root: only what the server left behind is looked at");
    }
    let program = trace.as_ref().map_or(PathBuf::from(PROGRAM), |(program, _)| program.clone());
    let installation = Installation::init(&program);
    let mut server = installation.serve(&[]).await;
    let state = json!({ "state": { "vaults": [{ "name": "app" }], "identities": [{ "name": "reader" }] } });
    let body = state.to_string().into_bytes();
    let applied =
        server.admin().request(Method::POST, "vouchsafe", "/admin/v1/apply", None, Some(&body)).await;
    assert_eq!(applied.unwrap().status, StatusCode::OK);

    let values = bait.values(port);
    let sent = requests::send_all(&server, &values).await;
    println!("{} requests with a path, a command or an address; {} were done", sent.all, sent.done);
    assert!(sent.wrong.is_empty(), "{}", sent.wrong.join("\n"));
    assert!(sent.done > values.len(), "values are kept as what they are: {}", sent.done);

    assert!(server.is_alive(), "the server is gone:\n{}", server.log());
    assert_eq!(children_of(server.pid()), Vec::<u32>::new(), "the server has started something");
    bait.is_untouched();
    let called = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(called.is_err(), "the server called: {called:?}");
    assert!(server.terminate().await.success());

    let Some((_, trace)) = trace else { return };
    let text = tokio::task::spawn_blocking(move || whole(&trace)).await.unwrap();
    let data = installation.data();
    let started = text.lines().next().unwrap_or_default();
    assert!(started.contains("execve(") && started.contains("\"serve\""), "{started}");
    // Before that the loader looks for libraries and the server for the authorities that the system trusts.
    let served: Vec<&str> = text.lines().skip_while(|line| !line.contains("/admin/admin.sock")).collect();
    let opened = served.iter().filter(|line| line.contains("store.sqlite")).count();
    assert!(opened > 0, "the trace does not even have the store:\n{text}");
    let found: BTreeSet<String> =
        served.iter().filter_map(|line| forbidden(line, &[data.as_path()])).collect();
    assert!(found.is_empty(), "{found:#?}");
    let baited = text.lines().skip(1).find(|line| line.contains("/bait"));
    assert_eq!(baited, None, "a value of a caller is in a call of the kernel");
}

/// The trace, once `strace` has written its end; it ends a little after the server.
fn whole(trace: &Path) -> String {
    let begun = std::time::Instant::now();
    loop {
        let text = std::fs::read_to_string(trace).unwrap_or_default();
        // What follows are ends of threads.
        if text.contains("exit_group(") {
            return text;
        }
        assert!(begun.elapsed().as_secs() < 60, "strace did not end:\n{text}");
        std::thread::yield_now();
    }
}

#[test]
fn a_trace_is_judged_by_what_is_done_in_it() {
    let own = [Path::new("/data")];
    for line in [
        r#"7 openat(AT_FDCWD, "/data/store.sqlite-wal", O_RDWR|O_CREAT, 0600) = 9"#,
        r#"7 clone3({flags=CLONE_VM|CLONE_THREAD, child_tid=0x7f, parent_tid=0x7f}, 88) = 12"#,
        r#"7 stat("/proc/self/cgroup", {st_mode=S_IFREG|0444, ...}) = 0"#,
        "7 exit_group(0) = ?",
        "7 newfstatat(9, \"\", {st_mode=S_IFREG|0600, st_size=4096, ...}, AT_EMPTY_PATH) = 0",
    ] {
        assert_eq!(forbidden(line, &own), None, "{line}");
    }
    for line in [
        r#"7 openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3"#,
        r#"7 openat(AT_FDCWD, "/database", O_RDONLY) = -1 ENOENT (No such file or directory)"#,
        r#"7 rename("/data/a", "/tmp/b") = 0"#,
        r#"7 execve("/bin/sh", ["sh"], 0x7 /* 1 var */) = 0"#,
        r#"7 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 8"#,
        r#"7 vfork() = 8"#,
        r#"7 connect(9, {sa_family=AF_INET, sin_port=htons(80)}, 16) = 0"#,
    ] {
        assert!(forbidden(line, &own).is_some(), "{line}");
    }
}
