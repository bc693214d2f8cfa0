//! The programs that are measured: started, asked where they are, and ended by their own process id.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::assertions::Applicant;
use crate::echo;
use crate::load::{self, Measured, Ready, Target, Tls};

const VAULT: &str = "bench";
/// The vault that may have keys in a token.
const PREMIUM: &str = "bench-premium";
const IDENTITY: &str = "bencher";

/// A running `vouchsafe dev`.
pub struct Server {
    binary: PathBuf,
    child: Child,
    facts: Value,
}

impl Server {
    /// Starts one on `data`, with `environment` besides, and waits until it is ready.
    pub fn start(
        binary: &Path,
        data: &Path,
        applicants: &[Applicant],
        environment: &[(&str, &OsStr)],
    ) -> Result<Self> {
        fs::create_dir_all(data.parent().context("no directory for data")?)?;
        let desired = data.with_extension("yaml");
        fs::write(&desired, world(applicants))?;
        let mut command = Command::new(binary);
        command
            .arg("dev")
            .arg("--data")
            .arg(data)
            .arg("--apply")
            .arg(&desired)
            .args(["--port", "0", "--json"]);
        let log = fs::File::create(data.with_extension("log"))?;
        command.envs(environment.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut server = Self { binary: binary.to_owned(), child, facts: Value::Null };
        let line = first_line(server.child.stdout.take())?;
        server.facts = serde_json::from_str(&line).with_context(|| {
            let log = fs::read_to_string(data.with_extension("log")).unwrap_or_default();
            format!("the server did not become ready: {line}{log}")
        })?;
        Ok(server)
    }

    /// Ends it as an operator would.
    pub fn stop(mut self) -> Result<()> {
        end(&self.child);
        self.child.wait()?;
        Ok(())
    }

    /// What it occupies.
    pub fn resident_megabytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1_024.0)
    }

    /// A token for the vault, got by a process that the agent attests.
    pub fn token(&self) -> Result<String> {
        let done = self.as_bencher(&["token"])?;
        ensure!(!done.is_empty(), "the agent gave no token");
        Ok(done)
    }

    /// Loads the agent from a process that it attests.
    pub fn agent_load(&self, seconds: u64, connections: usize) -> Result<Measured> {
        let (seconds, connections) = (seconds.to_string(), connections.to_string());
        Measured::from_json(&self.as_bencher(&[
            "--seconds",
            &seconds,
            "--connections",
            &connections,
            "agent",
        ])?)
    }

    /// The vault's host with its port, and how it is reached.
    pub fn vault(&self) -> Result<(String, Target)> {
        self.vault_called(VAULT)
    }

    /// The same of the vault that may have keys in a token.
    pub fn premium_vault(&self) -> Result<(String, Target)> {
        self.vault_called(PREMIUM)
    }

    fn vault_called(&self, name: &str) -> Result<(String, Target)> {
        let host = format!("{name}.{}", self.fact("vault_suffix")?);
        let target = self.target(&host)?;
        Ok((host, target))
    }

    /// The token endpoint's host, its path, and how it is reached.
    pub fn token_endpoint(&self) -> Result<(String, String, Target)> {
        let host = self.fact("authority")?.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let path = format!("/{}/oauth2/v2.0/token", self.fact("tenant")?);
        let target = self.target(&host)?;
        Ok((host, path, target))
    }

    fn target(&self, host: &str) -> Result<Target> {
        let (name, port) = host.rsplit_once(':').context("no port")?;
        let trusted = Tls::trusting(Path::new(self.fact("ca_file")?))?;
        Ok(Target::tls(name, port.parse()?, trusted)?.served_by(self.child.id()))
    }

    /// Runs this program once more, as the identity that may do what is measured.
    fn as_bencher(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.cli();
        command.args(["run", "--identity", IDENTITY, "--"]).arg(env::current_exe()?).args(arguments);
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("as `{IDENTITY}`: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn cli(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--socket").arg(self.facts["admin_socket"].as_str().unwrap_or_default());
        command
    }

    fn fact(&self, name: &str) -> Result<&str> {
        self.facts[name].as_str().with_context(|| format!("the server did not say its `{name}`"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What exists in the measured server. JSON is YAML, and quotes certificates by itself.
fn world(applicants: &[Applicant]) -> String {
    let applications: Vec<Value> = applicants
        .iter()
        .map(|each| {
            serde_json::json!({ "name": each.name, "client_id": each.client_id, "certificates": [each.certificate] })
        })
        .collect();
    serde_json::json!({
        "vaults": [{ "name": VAULT }, { "name": PREMIUM, "sku": "premium" }],
        "identities": [{ "name": IDENTITY }],
        "applications": applications,
        "role_assignments": [
            { "identity": IDENTITY, "role": "Key Vault Secrets Officer", "scope": { "vault": VAULT } },
            { "identity": IDENTITY, "role": "Key Vault Crypto Officer", "scope": { "vault": VAULT } },
            { "identity": IDENTITY, "role": "Key Vault Certificates Officer", "scope": { "vault": VAULT } },
            { "identity": IDENTITY, "role": "Key Vault Crypto Officer", "scope": { "vault": PREMIUM } },
        ],
    })
    .to_string()
}

/// The bare echo, in a process of its own so that it shares the machine as the server does.
pub struct Echo {
    child: Child,
    pub port: u16,
    pub certificate_file: PathBuf,
}

impl Echo {
    pub fn start(directory: &Path) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.arg("echo").current_dir(directory).stdout(Stdio::piped()).spawn()?;
        let line = first_line(child.stdout.take());
        let mut echo = Self { child, port: 0, certificate_file: directory.join(echo::CERTIFICATE_FILE) };
        echo.port = line?.trim().parse().context("the echo did not start")?;
        Ok(echo)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A token for the vault, from the endpoint that this process's environment names.
pub async fn token_from_the_agent() -> Result<String> {
    let answer = load::fetch(&agent_target()?, agent_request("https://vault.azure.net")).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    Ok(answer["access_token"].as_str().context("no token in the agent's answer")?.to_owned())
}

/// Where the agent's App Service endpoint is, as `vouchsafe run` says it.
pub fn agent_target() -> Result<Target> {
    let endpoint = endpoint();
    let port = endpoint.split(':').nth(2).and_then(|rest| rest.split('/').next());
    Ok(Target::plain(port.context("IDENTITY_ENDPOINT names no port")?.parse()?))
}

/// A request to that endpoint.
pub fn agent_request(resource: &str) -> Ready {
    let endpoint = endpoint();
    let path = endpoint.splitn(4, '/').nth(3).unwrap_or_default();
    let mut request =
        load::get("127.0.0.1", &format!("/{path}?api-version=2019-08-01&resource={resource}"), None);
    let header = env::var_os("IDENTITY_HEADER").unwrap_or_default();
    if let Ok(value) = header.to_string_lossy().parse() {
        request.headers_mut().insert("x-identity-header", value);
    }
    request
}

fn endpoint() -> String {
    env::var_os("IDENTITY_ENDPOINT").unwrap_or_default().to_string_lossy().into_owned()
}

/// How many bytes the files below `directory` have.
pub fn directory_bytes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        bytes += if kind.is_dir() { directory_bytes(&entry.path())? } else { kind.len() };
    }
    Ok(bytes)
}

fn first_line(output: Option<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    BufReader::new(output.context("no output")?).read_line(&mut line)?;
    Ok(line)
}

fn end(child: &Child) {
    if let Some(process) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(process, Signal::TERM).ok();
    }
}
