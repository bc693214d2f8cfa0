//! `cargo xtask demo`: the main job, from end to end, with every expectation checked.
//!
//! An unmodified Azure program reads a secret and holds no credential; another identity is refused with a reason;
//! the server is killed without warning and serves the same secret after a restart; the audit log of all that is
//! verified offline, and an edited copy of it is found out.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::prerequisites::{self, Purpose};
use crate::process::{Log, descendants, terminate, wait};
use crate::workspace::Workspace;

/// How long the demo may take once everything is built.
pub const SECONDS_MAX: Duration = Duration::from_secs(60);

const READY: Duration = Duration::from_secs(20);
const PROGRAM: Duration = Duration::from_secs(30);
const VAULT: &str = "app";
const SECRET: &str = "greeting";
const DATA_ACTION: &str = "Microsoft.KeyVault/vaults/secrets/getSecret/action";

/// What would be a credential if it stood in an environment or among arguments.
const CREDENTIAL_VARIABLES: &[&str] = &[
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_PASSWORD",
    "MSI_SECRET",
];

/// Builds unless told that it is `built`, and shows.
pub fn command(workspace: &Workspace, built: bool) -> Result<ExitCode> {
    let log = Log::create(&workspace.logs(), "demo-prepare")?;
    if !built {
        say("building");
        log.must(workspace.cargo().args(["build", "--package", "vouchsafe"]), Duration::from_secs(40 * 60))
            .with_context(|| format!("the log is {}", log.path.display()))?;
    }
    let missing = prerequisites::install(&log, Purpose::Demo)?;
    ensure!(missing.is_empty(), "missing on this machine: {}", missing.join("; "));
    let python = prerequisites::python(workspace, &log)?;
    let started = Instant::now();
    let directory = tempfile::Builder::new().prefix("vouchsafe-demo-").tempdir()?;
    let demo = Demo { workspace, python, directory: directory.path().to_owned() };
    demo.show()?;
    let took = started.elapsed();
    ensure!(took < SECONDS_MAX, "the demo took {} s, more than {} s", took.as_secs(), SECONDS_MAX.as_secs());
    say(&format!("everything held, in {:.1} s", took.as_secs_f64()));
    Ok(ExitCode::SUCCESS)
}

struct Demo<'w> {
    workspace: &'w Workspace,
    python: PathBuf,
    directory: PathBuf,
}

impl Demo<'_> {
    fn show(&self) -> Result<()> {
        let yaml = self.workspace.path("examples/demo.yaml");
        let server = self.start("first", Some(&yaml))?;

        let value = random_value()?;
        let fingerprint = fingerprint(&value)?;
        self.set_secret(&server, &value)?;
        say(&format!("stored the secret `{SECRET}`, whose fingerprint is {fingerprint}"));

        let seen = self.run_program(&server, "reader")?;
        ensure!(seen.success, "the program failed as `reader`:\n{}", seen.errors);
        ensure!(seen.output.contains(&fingerprint), "the program read something else: {}", seen.output);
        say(&format!("examples/app.py, run as `reader`, read it: {}", seen.output.trim()));
        seen.held_no_credential(&value)?;

        let seen = self.run_program(&server, "stranger")?;
        ensure!(!seen.success, "the program was not refused as `stranger`: {}", seen.output);
        ensure!(!seen.output.contains(&fingerprint), "the refused program read the secret");
        for part in ["Forbidden", DATA_ACTION] {
            ensure!(seen.errors.contains(part), "the refusal does not say `{part}`:\n{}", seen.errors);
        }
        say("the same program, run as `stranger`, was refused:");
        for line in seen
            .errors
            .lines()
            .filter(|line| line.contains("Forbidden") || line.contains(DATA_ACTION))
            .take(4)
        {
            say(&format!("    {}", line.trim()));
        }

        server.kill()?;
        say("killed the server with SIGKILL");
        let server = self.start("second", None)?;
        let seen = self.run_program(&server, "reader")?;
        ensure!(
            seen.success && seen.output.contains(&fingerprint),
            "after the restart: {}{}",
            seen.output,
            seen.errors
        );
        say(&format!("after the restart, `reader` read it again: {}", seen.output.trim()));
        server.stop()?;

        self.verify_the_audit_log()
    }

    fn start(&self, name: &str, apply: Option<&Path>) -> Result<Server> {
        let started = Instant::now();
        let log = Log::create(&self.workspace.logs(), &format!("demo-server-{name}"))?;
        let mut command = Command::new(self.workspace.binary());
        command.arg("dev").arg("--data").arg(self.data()).args(["--port", "0", "--json"]);
        if let Some(file) = apply {
            command.arg("--apply").arg(file);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.output()?);
        let mut child = command.spawn().context("the server cannot be started; is it built?")?;
        let output = child.stdout.take().context("the server has no output")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(output).read_line(&mut line);
            sender.send(read.map(|_| line)).ok();
        });
        let mut server = Server { child, facts: Value::Null };
        let line = match receiver.recv_timeout(READY) {
            Ok(line) => line?,
            Err(_) => String::new(),
        };
        server.facts = serde_json::from_str(&line)
            .with_context(|| format!("the server did not become ready; it says:\n{}", log.tail(30)))?;
        let milliseconds = started.elapsed().as_millis();
        say(&format!("server ready after {milliseconds} ms: {}", server.fact("authority")?));
        Ok(server)
    }

    /// The value goes in through standard input: nothing on the command line, nothing in a file.
    fn set_secret(&self, server: &Server, value: &str) -> Result<()> {
        let mut command = self.cli(server)?;
        command.args(["secret", "set", SECRET, "--vault", VAULT, "--value-file", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        child.stdin.take().context("no standard input")?.write_all(value.as_bytes())?;
        let done = child.wait_with_output()?;
        ensure!(
            done.status.success(),
            "the secret was not stored: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    /// Runs the program under `vouchsafe run` and looks into the process while it runs.
    fn run_program(&self, server: &Server, identity: &str) -> Result<Seen> {
        let mut command = self.cli(server)?;
        command.args(["run", "--identity", identity, "--"]).arg(&self.python);
        command.arg(self.workspace.path("examples/app.py"));
        command.env("VAULT_URL", format!("https://{VAULT}.{}", server.fact("vault_suffix")?));
        command.env("SECRET_NAME", SECRET);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (id, output, errors) = (child.id(), child.stdout.take(), child.stderr.take());
        let (output, errors) = (read_in_background(output), read_in_background(errors));
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(wait(child, PROGRAM)));
        let mut program = None;
        let status = loop {
            program = program.or_else(|| look_into(id));
            match ended.recv_timeout(Duration::from_millis(2)) {
                Ok(status) => break status?,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(error) => bail!(error),
            }
        };
        let status =
            status.with_context(|| format!("the program did not end within {} s", PROGRAM.as_secs()))?;
        Ok(Seen {
            success: status.success(),
            output: output.join().unwrap_or_default(),
            errors: errors.join().unwrap_or_default(),
            program: program.context("the program was never seen running")?,
        })
    }

    fn verify_the_audit_log(&self) -> Result<()> {
        let log = self.data().join("audit");
        let key = log.join("key.pub");
        let verify = |directory: &Path| -> Result<(bool, String)> {
            let mut command = Command::new(self.workspace.binary());
            command.args(["audit", "verify"]).arg(directory).arg("--key").arg(&key);
            let done = command.stdin(Stdio::null()).output()?;
            let text = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
            Ok((done.status.success(), text.trim().to_owned()))
        };
        let (sound, said) = verify(&log)?;
        ensure!(sound, "the audit log does not verify:\n{said}");
        say(&format!("the audit log verifies offline: {}", said.replace('\n', "; ")));

        let edited = self.directory.join("edited");
        copy(&log, &edited)?;
        let segment = largest_file(&edited.join("segment"))?;
        let mut bytes = fs::read(&segment)?;
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
        fs::write(&segment, bytes)?;
        let (sound, said) = verify(&edited)?;
        ensure!(!sound, "a copy with one bit flipped in the middle verifies as well");
        say(&format!("a copy with one bit flipped does not: {}", said.replace('\n', "; ")));
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn cli(&self, server: &Server) -> Result<Command> {
        let mut command = Command::new(self.workspace.binary());
        // What this shell may know about Azure is not what the demo is about.
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            if upper.starts_with("AZURE_") || upper.starts_with("IDENTITY_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command.arg("--socket").arg(server.fact("admin_socket")?);
        Ok(command)
    }
}

/// A running `vouchsafe dev`; killed when it goes out of scope.
struct Server {
    child: Child,
    facts: Value,
}

impl Server {
    fn fact(&self, name: &str) -> Result<&str> {
        self.facts[name].as_str().with_context(|| format!("the server did not say its `{name}`"))
    }

    fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        terminate(self.child.id());
        let started = Instant::now();
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status} after SIGTERM");
        ensure!(
            started.elapsed() < Duration::from_secs(15),
            "the server took {:?} to end",
            started.elapsed()
        );
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What was seen of a program.
struct Seen {
    success: bool,
    output: String,
    errors: String,
    program: Program,
}

/// A process as the kernel shows it.
struct Program {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Seen {
    /// Checks the environment and the arguments that the program really had, and prints what was not there.
    fn held_no_credential(&self, value: &str) -> Result<()> {
        let Program { arguments, environment } = &self.program;
        for word in arguments.iter().chain(environment.iter().map(|(_, word)| word)) {
            ensure!(
                !word.contains(value),
                "the secret's value was in the program's environment or arguments"
            );
            ensure!(!word.contains("eyJ"), "a token was in the program's environment or arguments: {word}");
            ensure!(!word.contains("PRIVATE KEY"), "a private key was in the program's environment");
        }
        for name in CREDENTIAL_VARIABLES {
            ensure!(
                environment.iter().all(|(held, _)| held != name),
                "the program's environment held `{name}`"
            );
        }
        // The one variable that looks like a secret is the same in every process, and the server never reads it.
        let header = environment.iter().find(|(name, _)| name == "IDENTITY_HEADER");
        ensure!(
            header.is_none_or(|(_, held)| held == "attested-by-the-kernel"),
            "IDENTITY_HEADER looks like a credential"
        );
        say("while it ran, its process held no credential:");
        say(&format!("    arguments      {}", arguments.join(" ")));
        say(&format!(
            "    environment    {} variables; no value, no token, no key, none of {}",
            environment.len(),
            CREDENTIAL_VARIABLES.join(", ")
        ));
        for (name, held) in environment.iter().filter(|(name, _)| is_about_identity(name)) {
            say(&format!("    {name}={held}"));
        }
        Ok(())
    }
}

fn is_about_identity(name: &str) -> bool {
    let prefixes = ["AZURE_", "IDENTITY_", "MSI_", "VAULT_URL", "SECRET_NAME"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) || name == "HTTPS_PROXY"
}

/// The Python process below `id`, once it is Python.
fn look_into(id: u32) -> Option<Program> {
    let words = |process: u32, file: &str| -> Option<Vec<String>> {
        let bytes = fs::read(format!("/proc/{process}/{file}")).ok()?;
        let words = bytes.split(|&byte| byte == 0).filter(|word| !word.is_empty());
        Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    };
    // `vouchsafe run` may become the program or start it.
    let mut below = descendants(id);
    below.push(id);
    below.into_iter().find_map(|process| {
        let arguments = words(process, "cmdline")?;
        if arguments.first()?.ends_with("vouchsafe") || !arguments.last()?.ends_with("app.py") {
            return None;
        }
        let environment = words(process, "environ")?;
        let pairs = environment.iter().filter_map(|pair| pair.split_once('='));
        Some(Program {
            arguments,
            environment: pairs.map(|(name, held)| (name.into(), held.into())).collect(),
        })
    })
}

fn read_in_background(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn random_value() -> Result<String> {
    let mut bytes = [0u8; 24];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The first 16 digits of the value's SHA-256, as the program prints it.
fn fingerprint(value: &str) -> Result<String> {
    let mut command = Command::new("sha256sum");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(value.as_bytes())?;
    let output = String::from_utf8(child.wait_with_output()?.stdout)?;
    Ok(output.get(..16).context("sha256sum said nothing")?.to_owned())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("there is no `{}`", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn largest_file(directory: &Path) -> Result<PathBuf> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(directory).with_context(|| format!("there is no `{}`", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        files.push((entry.metadata()?.len(), entry.path()));
    }
    let (_, path) = files.into_iter().max().context("the audit log has no segment")?;
    Ok(path)
}

fn say(line: &str) {
    println!("{line}");
}
