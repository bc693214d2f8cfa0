//! Real servers for tests: the shipped program as a process of its own, on free ports, with everything it writes kept.
//!
//! An [`Installation`] is a directory with one deployment and the program that serves it; a [`RunningServer`] is one
//! process over it. The caller says where the program is, because only its own crate knows
//! (`env!("CARGO_BIN_EXE_vouchsafe")`). Everything here panics when it cannot do what it says: a test cannot go on
//! without its server. Only what a client does to a server returns errors, because there they may be the point.

mod client;
mod raw;
mod token;

use std::ffi::OsStr;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use vouchsafe_wire::admin::{Endpoints, Status};

pub use client::{Answer, Client};
pub use raw::Pieces;
pub use token::Token;

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// How long a server may take to get ready or to stop before the test fails. Far more than it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a server that is starting is looked at.
const GLANCE: Duration = Duration::from_millis(2);

/// What the program takes from its environment.
const VARIABLES: [&str; 8] = [
    "VOUCHSAFE_SOCKET",
    "VOUCHSAFE_TENANT",
    "VOUCHSAFE_ROOT_KEY",
    "VOUCHSAFE_LOG",
    "VOUCHSAFE_VAULT",
    "VOUCHSAFE_PKCS11_MODULE",
    "VOUCHSAFE_PKCS11_TOKEN",
    "VOUCHSAFE_PKCS11_PIN_FILE",
];

/// A directory with a deployment, the program, and what its processes wrote.
pub struct Installation {
    directory: tempfile::TempDir,
    program: PathBuf,
    processes: AtomicU32,
}

impl Installation {
    /// A directory without a deployment; `dev` makes one.
    #[track_caller]
    pub fn empty(program: impl AsRef<Path>) -> Self {
        let directory =
            tempfile::Builder::new().prefix("vouchsafe-test-").tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("written")).expect("a directory for what processes write");
        // A name of our own for the file, so that a build during a long test does not change what is tested.
        let kept = directory.path().join("vouchsafe");
        if std::fs::hard_link(program.as_ref(), &kept).is_err() {
            std::fs::copy(program.as_ref(), &kept).expect("the program can be copied");
        }
        Self { directory, program: kept, processes: AtomicU32::new(0) }
    }

    /// A directory with a new deployment.
    #[track_caller]
    pub fn init(program: impl AsRef<Path>) -> Self {
        let installation = Self::empty(program);
        let data = installation.data();
        let made = installation.run([OsStr::new("init"), OsStr::new("--data"), data.as_os_str()]);
        assert!(made.0.success(), "`vouchsafe init` failed: {}", made.2);
        installation
    }

    /// The deployment's directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A place for files of the test itself, which no process writes to.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// What every process so far wrote to standard output and standard error.
    pub fn written(&self) -> PathBuf {
        self.directory.path().join("written")
    }

    /// Runs a command of the program to its end; what it printed comes back.
    #[track_caller]
    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        arguments: I,
    ) -> (ExitStatus, String, String) {
        self.run_with(arguments, &[])
    }

    /// The same with variables of the environment.
    #[track_caller]
    pub fn run_with<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        arguments: I,
        environment: &[(&str, &str)],
    ) -> (ExitStatus, String, String) {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        let output = command.stdin(Stdio::null()).output().expect("the program can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status, text(&output.stdout), text(&output.stderr))
    }

    /// Proves the audit log of the deployment offline, as an auditor would; what was printed comes back.
    #[track_caller]
    pub fn verify_audit(&self) -> String {
        let log = self.data().join("audit");
        let key = log.join("key.pub");
        let arguments =
            ["audit".as_ref(), "verify".as_ref(), log.as_os_str(), "--key".as_ref(), key.as_os_str()];
        let (status, said, complained) = self.run(arguments);
        assert!(status.success(), "`vouchsafe audit verify` failed: {said}{complained}");
        said
    }

    /// Serves the deployment on a free port, with variables of the environment.
    pub async fn serve(&self, environment: &[(&str, &str)]) -> RunningServer {
        self.serve_with(&[], environment).await
    }

    /// Serves the deployment on a free port, with more arguments and variables of the environment.
    pub async fn serve_with(&self, more: &[&OsStr], environment: &[(&str, &str)]) -> RunningServer {
        let served = self.try_to_serve(more, environment).await;
        served.unwrap_or_else(|said| panic!("the server ended before it was ready:\n{said}"))
    }

    /// The same where the deployment may be one that is not opened: then what the program says of it comes back.
    pub async fn serve_or_refuse(&self, environment: &[(&str, &str)]) -> Result<RunningServer, String> {
        self.try_to_serve(&[], environment).await
    }

    async fn try_to_serve(
        &self,
        more: &[&OsStr],
        environment: &[(&str, &str)],
    ) -> Result<RunningServer, String> {
        let data = self.data();
        let (serve, option) = (OsStr::new("serve"), OsStr::new("--data"));
        let fixed = [serve, option, data.as_os_str(), OsStr::new("--listen"), OsStr::new("127.0.0.1:0")];
        let mut process = self.start(fixed.into_iter().chain(more.iter().copied()), environment);
        let socket = data.join("admin/admin.sock");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(_)) = process.child.try_wait() {
                return Err(process.stderr());
            }
            if let Ok(status) = status(&socket).await
                && status.ready
            {
                return Ok(RunningServer { process, endpoints: status.endpoints });
            }
            process.must_hurry(deadline);
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Starts to serve and is killed after a while, ready or not: a crash while recovering from a crash.
    pub async fn serve_and_die(&self, after: Duration) {
        let data = self.data();
        let (serve, option) = (OsStr::new("serve"), OsStr::new("--data"));
        let arguments = [serve, option, data.as_os_str(), OsStr::new("--listen"), OsStr::new("127.0.0.1:0")];
        let mut process = self.start(arguments, &[]);
        tokio::time::sleep(after).await;
        process.kill();
    }

    /// Runs `vouchsafe dev --json` - server, agent and proxy - on free ports, with more arguments and variables.
    pub async fn dev(&self, arguments: &[&OsStr], environment: &[(&str, &str)]) -> RunningServer {
        let data = self.data();
        let fixed = ["dev", "--json", "--port", "0", "--data"].map(OsStr::new);
        let all = fixed.into_iter().chain([data.as_os_str()]).chain(arguments.iter().copied());
        let mut process = self.start(all, environment);
        let deadline = Instant::now() + PATIENCE;
        loop {
            process.must_live();
            let said = std::fs::read_to_string(&process.stdout).unwrap_or_default();
            if let Some((line, _)) = said.split_once('\n') {
                let endpoints = serde_json::from_str(line).expect("`dev --json` prints endpoints");
                return RunningServer { process, endpoints };
            }
            process.must_hurry(deadline);
            tokio::time::sleep(GLANCE).await;
        }
    }

    fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Command {
        let mut command = Command::new(&self.program);
        // What the developer has set for their own server must not reach the one under test.
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.args(arguments);
        command
    }

    fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        arguments: I,
        environment: &[(&str, &str)],
    ) -> Process {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let stdout = self.written().join(format!("{number:04}.stdout"));
        let stderr = self.written().join(format!("{number:04}.stderr"));
        let file = |path: &Path| File::create(path).expect("a file for what the process writes");
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(file(&stdout)).stderr(file(&stderr));
        Process { child: command.spawn().expect("the program can be started"), stdout, stderr }
    }
}

struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    fn must_live(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("the server ended with {status} before it was ready:\n{}", self.stderr());
        }
    }

    fn must_hurry(&self, deadline: Instant) {
        assert!(Instant::now() < deadline, "the server was not ready in {PATIENCE:?}:\n{}", self.stderr());
    }

    fn kill(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server process that is ready; dropped, it is killed.
pub struct RunningServer {
    process: Process,
    endpoints: Endpoints,
}

impl RunningServer {
    /// Where everything is.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The `Host` of the planes that are not vaults: `localhost:PORT`.
    pub fn host(&self) -> &str {
        self.endpoints.authority.strip_prefix("https://").unwrap_or(&self.endpoints.authority)
    }

    /// The `Host` of a vault: `NAME.vault.localhost:PORT`.
    pub fn vault_host(&self, vault: &str) -> String {
        format!("{vault}.{}", self.endpoints.vault_suffix)
    }

    /// The TLS port.
    pub fn port(&self) -> u16 {
        let port = self.host().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.expect("the authority names a port")
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Whether the process lives.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.child.try_wait(), Ok(None))
    }

    /// A client that verifies the server with its own authority, and finds every name at its port.
    #[track_caller]
    pub fn https(&self) -> Client {
        Client::tls(self.port(), Path::new(&self.endpoints.ca_file))
            .expect("the server's authority can be read")
    }

    /// A client on the administrators' socket, where we are the owner.
    pub fn admin(&self) -> Client {
        Client::unix(Path::new(&self.endpoints.admin_socket))
    }

    /// A token of the local administrator for a resource such as `https://vault.azure.net`.
    pub async fn token(&self, resource: &str) -> String {
        let path = format!("/admin/v1/token?resource={resource}");
        let answer = self.admin().request(Method::POST, "vouchsafe", &path, None, None).await;
        let answer = answer.expect("the administrators' socket answers");
        let token =
            answer.json().pointer("/access_token").and_then(|token| token.as_str().map(str::to_owned));
        token.unwrap_or_else(|| panic!("no token for `{resource}`: {}", answer.text()))
    }

    /// Everything the process wrote to standard error so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// SIGKILL, now; what the process had not made durable is gone.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// SIGTERM, and waits until the process has stopped in order.
    pub async fn terminate(mut self) -> ExitStatus {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process has an id");
        kill_process(pid, Signal::TERM).expect("the process can be told to stop");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.child.try_wait().expect("the process can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not stop in {PATIENCE:?}:\n{}", self.log());
            tokio::time::sleep(GLANCE).await;
        }
    }
}

async fn status(socket: &Path) -> std::io::Result<Status> {
    let mut admin = Client::unix(socket);
    let answer = admin.request(Method::GET, "vouchsafe", "/admin/v1/status", None, None).await?;
    serde_json::from_slice(&answer.body).map_err(std::io::Error::other)
}
