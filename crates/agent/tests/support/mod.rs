//! A running agent with a platform that the test plays, and real processes that ask it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_util::sync::{CancellationToken, DropGuard};
use vouchsafe_agent::{Config, InheritableSockets, ProxyConfig, Running, SourceError, Token, TokenSource};
use vouchsafe_crypto::SecretString;
use vouchsafe_wire::node::{ErrorCode, TokenRequest};

/// Long enough for a busy machine; nothing waits that long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const NOW: u64 = 1_800_000_000;
pub const BASH: &str = "/bin/bash";

type Decide = dyn Fn(&TokenRequest) -> Result<String, SourceError> + Send + Sync;

/// A platform that remembers what it was asked.
pub struct Platform {
    decide: Box<Decide>,
    pub asked: Mutex<Vec<TokenRequest>>,
}

#[async_trait]
impl TokenSource for Platform {
    async fn token(&self, request: &TokenRequest) -> Result<Token, SourceError> {
        self.asked.lock().unwrap().push(request.clone());
        (self.decide)(request).map(|secret| Token {
            secret: SecretString::new(secret),
            expires_on: NOW + 3600,
            not_before: NOW - 300,
            token_type: "Bearer".to_owned(),
            client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
        })
    }
}

pub fn no_identity() -> SourceError {
    SourceError::Refused {
        code: ErrorCode::NoIdentity,
        message: "no identity is bound to this process".to_owned(),
    }
}

pub struct Agent {
    pub running: Running,
    pub platform: Arc<Platform>,
    pub clock: Arc<AtomicU64>,
    pub directory: tempfile::TempDir,
    _end: DropGuard,
}

impl Agent {
    pub fn imds(&self) -> SocketAddr {
        self.running.imds_addr
    }

    pub fn proxy(&self) -> SocketAddr {
        self.running.proxy_addr.unwrap()
    }
}

pub struct Setup {
    pub listen: &'static str,
    pub sockets: InheritableSockets,
    pub server_tls: SocketAddr,
    pub known_hosts: &'static [&'static str],
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0",
            sockets: InheritableSockets::Accept,
            server_tls: "127.0.0.1:1".parse().unwrap(),
            known_hosts: &["login.microsoftonline.com", "*.vault.localhost"],
        }
    }
}

pub async fn agent(
    setup: Setup,
    decide: impl Fn(&TokenRequest) -> Result<String, SourceError> + Send + Sync + 'static,
) -> Agent {
    let platform = Arc::new(Platform { decide: Box::new(decide), asked: Mutex::default() });
    let clock = Arc::new(AtomicU64::new(NOW));
    let directory = tempfile::tempdir().unwrap();
    let shutdown = CancellationToken::new();
    let tells = Arc::clone(&clock);
    let config = Config {
        imds: setup.listen.parse().unwrap(),
        proxy: Some(ProxyConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            known_hosts: setup.known_hosts.iter().map(|name| (*name).to_owned()).collect(),
            server_tls: setup.server_tls,
        }),
        socket: directory.path().join("run/agent.sock"),
        source: Arc::clone(&platform) as Arc<dyn TokenSource>,
        clock: Arc::new(move || tells.load(Ordering::SeqCst)),
        inheritable_sockets: setup.sockets,
        connections_max: 256,
        source_deadline: Duration::from_secs(5),
    };
    let running = vouchsafe_agent::start(config, shutdown.clone()).await.unwrap();
    Agent { running, platform, clock, directory, _end: shutdown.drop_guard() }
}

/// A request head that a real client would send; `{host}` is filled in.
pub const ASK: &str = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nMetadata: true\\r\\nConnection: close\\r\\n\\r\\n";

/// A script for bash that asks with its own builtins only: a forked `cat` would be a second holder of the socket.
pub fn bash_script(address: SocketAddr) -> String {
    format!(
        "exec 3<>/dev/tcp/{}/{}; printf '{ASK}' >&3; while IFS= read -r line <&3; do printf '%s\\n' \"$line\"; done; printf '%s' \"$line\"",
        address.ip(),
        address.port()
    )
}

/// Asks with the program at `shell`, which must be a bash.
pub fn bash(shell: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(shell);
    command.arg("-c").arg(bash_script(address)).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs `command`; gives what it printed.
pub async fn says(mut command: Command) -> String {
    let output: Output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Runs a Python script with the port as its argument, after a few lines that every script wants.
pub fn python(address: SocketAddr, script: &str) -> Command {
    let prelude = r#"
import os, socket, sys
port = int(sys.argv[1])
ASK = (b"GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net HTTP/1.1\r\n"
       b"Host: 127.0.0.1\r\nMetadata: true\r\n\r\n")
def answer(s):
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more: return data.decode()
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length:"))
    while len(body) < length: body += s.recv(65536)
    return (head + b"\n" + body).decode()
"#;
    let mut command = Command::new("python3");
    command.arg("-c").arg(format!("{prelude}\n{script}")).arg(address.port().to_string());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Copies bash to where the test may treat it as it likes.
pub fn own_bash(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    // Another process writes it: a descriptor of ours could be inherited by what a neighbouring test starts, and a
    // file that is open for writing cannot be executed.
    assert!(std::process::Command::new("cp").arg(BASH).arg(&path).status().unwrap().success());
    path
}

/// Sends raw bytes from this very process, and reads until the other side closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses what it has not read may reset the connection; what came before counts.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap()
}

#[track_caller]
pub fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "not {status}: {answer}");
}

/// Whether tests that need other users or mount namespaces can run; says so loudly when not.
pub fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("NOT RUN, needs root: {test}");
    }
    root
}
