//! Fuzzing without more tools than the compiler: the targets are built with coverage and run for some seconds each.
//!
//! With a nightly toolchain the address sanitizer watches as well; stable can do everything else, so the targets are
//! run in any case.

use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Log, succeeds};
use crate::workspace::Workspace;

/// What tells the fuzzer which branches an input took; the same as `cargo fuzz` gives.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// The targets, built.
pub struct Fuzzer {
    workspace: Workspace,
    binaries: PathBuf,
    /// Whether the address sanitizer watches.
    pub sanitized: bool,
}

impl Fuzzer {
    /// Builds every target.
    pub fn build(workspace: &Workspace, log: &Log) -> Result<Self> {
        let sanitized = succeeds("cargo", &["+nightly", "--version"]);
        let host = host()?;
        let directory = workspace.target.join("fuzz");
        let mut cargo = Command::new("cargo");
        if sanitized {
            cargo.arg("+nightly");
        }
        let sanitizer = if sanitized { " -Zsanitizer=address" } else { "" };
        // With `--target` the flags reach the targets and what they use, and neither build scripts nor macros.
        cargo.args(["build", "--locked", "--bins", "--target", &host, "--manifest-path"]);
        cargo.arg(workspace.path("fuzz/Cargo.toml"));
        cargo.env("RUSTFLAGS", format!("{COVERAGE}{sanitizer}")).env("CARGO_TARGET_DIR", &directory);
        cargo.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env("RUSTUP_AUTO_INSTALL", "0");
        log.must(&mut cargo, Duration::from_secs(30 * 60)).context(
            "if its lock file is behind, `cargo update --workspace --manifest-path fuzz/Cargo.toml` mends it",
        )?;
        Ok(Self { workspace: workspace.clone(), binaries: directory.join(host).join("debug"), sanitized })
    }

    /// Runs each of the targets for `seconds`, as many at once as there are processors, each with a log of its own.
    pub fn run_each(&self, targets: &[String], seconds: u64) -> Result<()> {
        let at_once = thread::available_parallelism().map_or(1, NonZero::get);
        for batch in targets.chunks(at_once) {
            thread::scope(|scope| {
                let run = |target| {
                    let log = Log::create(&self.workspace.logs(), &format!("fuzz-{target}"))?;
                    self.run(&log, target, seconds)
                };
                let running: Vec<_> = batch.iter().map(|target| scope.spawn(move || run(target))).collect();
                let ended =
                    running.into_iter().map(|one| one.join().unwrap_or_else(|_| bail!("a thread panicked")));
                ended.collect::<Result<()>>()
            })?;
        }
        Ok(())
    }

    /// Runs one target for `seconds`; a crash, a hang or too much memory is an error that names the input.
    pub fn run(&self, log: &Log, target: &str, seconds: u64) -> Result<()> {
        let corpus = self.workspace.target.join("fuzz/corpus").join(target);
        let artifacts = self.workspace.target.join("fuzz/artifacts").join(target);
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&artifacts)?;
        let mut command = Command::new(self.binaries.join(target));
        command.arg(&corpus).arg(self.workspace.path("fuzz/seeds").join(target));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.arg(format!("-max_total_time={seconds}"));
        command.args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=20000", "-print_final_stats=1"]);
        if !log.run(&mut command, Duration::from_secs(seconds + 120))? {
            let found = log
                .text()
                .lines()
                .rev()
                .find(|line| line.contains("Test unit written to"))
                .map(str::to_owned);
            bail!("the target `{target}` failed: {}", found.unwrap_or_else(|| log.tail(5)));
        }
        Ok(())
    }
}

/// The names of the targets, as the manifest lists them.
pub fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let text =
        fs::read_to_string(workspace.path("fuzz/Cargo.toml")).context("there is no fuzz/Cargo.toml")?;
    let manifest: toml::Table = text.parse()?;
    let bins =
        manifest.get("bin").and_then(toml::Value::as_array).context("fuzz/Cargo.toml lists no targets")?;
    Ok(bins.iter().filter_map(|bin| Some(bin.get("name")?.as_str()?.to_owned())).collect())
}

/// `cargo xtask fuzz [TARGET] [SECONDS]`.
pub fn command(workspace: &Workspace, target: Option<&str>, seconds: u64) -> Result<()> {
    let log = Log::create(&workspace.logs(), "fuzz")?;
    println!("building; the log is {}", log.path.display());
    let fuzzer = Fuzzer::build(workspace, &log)?;
    let targets = targets(workspace)?;
    if let Some(unknown) = target.filter(|name| !targets.iter().any(|target| target == name)) {
        bail!("no target is called `{unknown}`; there are {}", targets.join(", "));
    }
    for name in targets.iter().filter(|name| target.is_none_or(|wanted| wanted == *name)) {
        println!(
            "{name}: {seconds} s{}",
            if fuzzer.sanitized { "" } else { ", without the address sanitizer" }
        );
        fuzzer.run(&log, name, seconds)?;
    }
    Ok(())
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not say its host")?.to_owned())
}
