//! `cargo xtask test`: everything that proves it, in order, each step timed and with a log of its own.
//!
//! A step that fails does not stop the others, unless they need what it makes. What could not be run is listed loudly
//! at the end, and counts as a failure where nobody would read that list. Steps that mostly wait for answers run two at
//! a time ([`lanes`]).

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::lanes::{self, Pace};
use crate::process::{Log, succeeds};
use crate::workspace::Workspace;
use crate::{demo, fuzz, prerequisites};

/// How a step ended.
#[derive(Clone)]
enum Outcome {
    Passed,
    /// Passed, with something that should be known.
    Noted(String),
    Failed(String),
    NotRun(String),
}

/// One step.
struct Step {
    name: &'static str,
    what: &'static str,
    /// The step whose product this one needs.
    after: Option<&'static str>,
    pace: Pace,
    run: fn(&Workspace, &Log) -> Result<Outcome>,
}

const STEPS: &[Step] = &[
    Step {
        name: "prerequisites",
        what: "what the machine must have is there",
        after: None,
        pace: Pace::Alone,
        run: prepare,
    },
    Step { name: "fmt", what: "every crate is formatted", after: None, pace: Pace::Alone, run: fmt },
    Step {
        name: "tidy",
        what: "arrows, rooms, words, orphans and pages are in order",
        after: None,
        pace: Pace::Alone,
        run: tidy,
    },
    Step {
        name: "clippy",
        what: "no lint, warnings included, in any target",
        after: None,
        pace: Pace::Alone,
        run: clippy,
    },
    Step { name: "unit", what: "every test of every crate", after: None, pace: Pace::Alone, run: unit },
    Step {
        name: "build",
        what: "the binary that the next steps drive",
        after: None,
        pace: Pace::Alone,
        run: build,
    },
    Step {
        name: "demo",
        what: "the main job from end to end",
        after: Some("build"),
        pace: Pace::Alone,
        run: show,
    },
    Step {
        name: "python",
        what: "Python's Azure SDK, unmodified",
        after: Some("build"),
        pace: Pace::Beside,
        run: python,
    },
    Step {
        name: "az",
        what: "the `az` command line, unmodified",
        after: Some("build"),
        pace: Pace::Beside,
        run: az,
    },
    Step {
        name: "rust",
        what: "Rust's Azure SDK, unmodified",
        after: Some("build"),
        pace: Pace::Beside,
        run: rust,
    },
    Step {
        name: "example",
        what: "rows in PostgreSQL under a customer-managed key",
        after: Some("rust"),
        pace: Pace::Beside,
        run: example,
    },
    Step {
        name: "js",
        what: "JavaScript's Azure SDK, unmodified",
        after: Some("build"),
        pace: Pace::Beside,
        run: js,
    },
    Step {
        name: "go",
        what: "Go's Azure SDK, unmodified",
        after: Some("build"),
        pace: Pace::Beside,
        run: go,
    },
    Step {
        name: "java",
        what: "Java's Azure SDK, unmodified",
        after: Some("build"),
        pace: Pace::Beside,
        run: java,
    },
    Step {
        name: "deny",
        what: "licences, bans and sources of every dependency",
        after: None,
        pace: Pace::Beside,
        run: deny,
    },
    Step {
        name: "advisories",
        what: "no dependency has a known hole",
        after: Some("deny"),
        pace: Pace::Beside,
        run: advisories,
    },
    Step {
        name: "fuzz",
        what: "some seconds of hostile bytes for every parser",
        after: None,
        pace: Pace::Alone,
        run: hostile,
    },
];

const MINUTE: Duration = Duration::from_secs(60);
/// What all fuzz targets share: with more of them each gets less, and the step stays as long as it is.
const FUZZ_SECONDS_ALL: u64 = 200;

/// Prints the steps.
pub fn list() {
    for step in STEPS {
        println!("{:16}{}", step.name, step.what);
    }
}

/// Runs the steps, or only those named in `only`; `strict` makes a step that could not be run a failure.
pub fn run(workspace: &Workspace, only: &[String], strict: bool) -> Result<ExitCode> {
    if let Some(unknown) = only.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        bail!("no step is called `{unknown}`; `cargo xtask test --list` shows them");
    }
    let started = Instant::now();
    let chosen: Vec<&Step> =
        STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect();
    let tasks = chosen.iter().map(|step| lanes::Task { name: step.name, after: step.after, pace: step.pace });
    let ended = lanes::run(&tasks.collect::<Vec<_>>(), |at, outcomes| {
        let begun = Instant::now();
        (chosen[at].take(workspace, outcomes), begun.elapsed())
    });
    let ended: Vec<_> =
        chosen.into_iter().zip(ended).map(|(step, (outcome, took))| (step, outcome, took)).collect();
    Ok(summary(&ended, started.elapsed(), strict))
}

impl Step {
    /// Runs it, unless what it needs did not pass.
    fn take(&self, workspace: &Workspace, needed: Option<&(Outcome, Duration)>) -> Outcome {
        print(&format!("{:16}{} ...", self.name, self.what));
        if let (Some(needed), Some((Outcome::Failed(_) | Outcome::NotRun(_), _))) = (self.after, needed) {
            return Outcome::NotRun(format!("the step `{needed}` did not pass"));
        }
        let log = match Log::create(&workspace.logs(), self.name) {
            Ok(log) => log,
            Err(error) => return Outcome::Failed(format!("{error:#}")),
        };
        let outcome =
            (self.run)(workspace, &log).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        if let Outcome::Failed(reason) = &outcome {
            print(&format!("{}\n{}\n", log.tail(60), reason));
            print(&format!("the whole log is {}", log.path.display()));
        }
        outcome
    }
}

fn summary(ended: &[(&Step, Outcome, Duration)], total: Duration, strict: bool) -> ExitCode {
    print("");
    let mut failed = 0;
    let mut not_run = Vec::new();
    for (step, outcome, took) in ended {
        let (word, remark) = match outcome {
            Outcome::Passed => ("ok", ""),
            Outcome::Noted(note) => ("ok", note.as_str()),
            Outcome::Failed(reason) => ("FAILED", reason.lines().next().unwrap_or_default()),
            Outcome::NotRun(reason) => ("NOT RUN", reason.as_str()),
        };
        failed += usize::from(matches!(outcome, Outcome::Failed(_)));
        if let Outcome::NotRun(reason) = outcome {
            not_run.push((step.name, reason));
        }
        print(&format!("{:16}{word:9}{:8.1} s  {remark}", step.name, took.as_secs_f64()));
    }
    print(&format!("{:16}{:9}{:8.1} s", "all", "", total.as_secs_f64()));
    if !not_run.is_empty() {
        print("\nNOT PROVEN, because it could not be run here:");
        for (name, reason) in &not_run {
            print(&format!("  {name}: {reason}"));
        }
    }
    if failed > 0 || strict && !not_run.is_empty() {
        print("\nNOT PROVEN");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn print(line: &str) {
    println!("{line}");
}

fn verdict(passed: bool, failure: &str) -> Outcome {
    if passed { Outcome::Passed } else { Outcome::Failed(failure.to_owned()) }
}

fn prepare(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    let missing = prerequisites::install(log, prerequisites::Purpose::Proof)?;
    if !missing.is_empty() {
        return Ok(Outcome::NotRun(format!(
            "missing here, and not installable by this user: {}",
            missing.join("; ")
        )));
    }
    prerequisites::python(workspace, log)?;
    if !prerequisites::pebble(workspace, log)? {
        let left_out = "there is no Go here: tests with an ACME server are left out, or fail where CI is set";
        return Ok(Outcome::Noted(left_out.to_owned()));
    }
    Ok(Outcome::Passed)
}

fn fmt(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    for manifest in ["Cargo.toml", "conformance/rust/Cargo.toml", "fuzz/Cargo.toml"] {
        let mut cargo = workspace.cargo();
        cargo.args(["fmt", "--all", "--check", "--manifest-path"]).arg(workspace.path(manifest));
        if !log.run(&mut cargo, 5 * MINUTE)? {
            return Ok(Outcome::Failed(format!("run `cargo fmt --all --manifest-path {manifest}`")));
        }
    }
    Ok(Outcome::Passed)
}

fn tidy(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(verdict(
        log.run(command.arg("tidy").current_dir(&workspace.root), 5 * MINUTE)?,
        "tidy has something to say",
    ))
}

/// TPM support where the machine can build and try it; the same everywhere, so that nothing is built twice.
fn features() -> &'static [&'static str] {
    let there = succeeds("pkg-config", &["--exists", "tss2-esys"]) && succeeds("swtpm", &["--version"]);
    if there { &["--features", "vouchsafe/tpm,vouchsafe-store/tpm"] } else { &[] }
}

fn clippy(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    let mut cargo = workspace.cargo();
    cargo.args(["clippy", "--locked", "--workspace", "--all-targets"]).args(features());
    cargo.args(["--", "-D", "warnings"]);
    Ok(verdict(log.run(&mut cargo, 40 * MINUTE)?, "clippy has something to say"))
}

fn unit(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--locked", "--workspace", "--no-fail-fast"]).args(features());
    Ok(verdict(log.run(&mut cargo, 45 * MINUTE)?, "a test failed"))
}

fn build(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    let mut cargo = workspace.cargo();
    // With the tests' features, because what those are switches on in dependencies would be built once more without.
    cargo.args(["build", "--locked", "--workspace", "--bins", "--tests"]).args(features());
    Ok(verdict(log.run(&mut cargo, 40 * MINUTE)?, "the binary does not build"))
}

fn show(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    prerequisites::python(workspace, log)?;
    Ok(verdict(
        log.run(workspace.xtask().args(["demo", "--built"]), demo::SECONDS_MAX * 2)?,
        "the demo did not show what it should",
    ))
}

fn python(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    conformance(workspace, log, "python")
}

fn az(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    prerequisites::az(workspace, log)?;
    conformance(workspace, log, "az")
}

fn rust(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    let mut cargo = workspace.cargo();
    cargo
        .args(["build", "--locked", "--workspace", "--manifest-path"])
        .arg(workspace.path("conformance/rust/Cargo.toml"));
    log.must(&mut cargo, 30 * MINUTE)?;
    conformance(workspace, log, "rust")
}

/// The example's program is built with the Rust scenarios, because it uses the same clients.
fn example(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    let mut command = Command::new(prerequisites::python(workspace, log)?);
    command.arg(workspace.path("conformance/customer_managed_key.py"));
    command.env("CARGO_TARGET_DIR", &workspace.target).current_dir(&workspace.root);
    Ok(verdict(log.run(&mut command, 5 * MINUTE)?, "the example did not do what it says"))
}

fn js(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    if !prerequisites::js(workspace, log)? {
        return Ok(Outcome::NotRun("there is no Node.js 20 with npm here (Debian: nodejs npm)".to_owned()));
    }
    conformance(workspace, log, "js")
}

fn go(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    if !prerequisites::go(workspace, log)? {
        return Ok(Outcome::NotRun("there is no Go 1.25 here (https://go.dev/dl)".to_owned()));
    }
    conformance(workspace, log, "go")
}

fn java(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    if !prerequisites::java(workspace, log)? {
        return Ok(Outcome::NotRun(
            "there is no JDK 17 with Maven here (Debian: openjdk-17-jdk-headless maven)".to_owned(),
        ));
    }
    conformance(workspace, log, "java")
}

/// The scenarios of a language, and what the vaults answered to them held against Microsoft's description.
fn conformance(workspace: &Workspace, log: &Log, language: &str) -> Result<Outcome> {
    let told = scenarios(workspace, log, language)?;
    let Outcome::Noted(scenarios) = told else { return Ok(told) };
    let mut command = Command::new(prerequisites::python(workspace, log)?);
    command.arg(workspace.path("conformance/contract.py")).args(["--language", language]);
    command.arg(workspace.logs().join(format!("conformance-{language}/answers-{language}.jsonl")));
    let kept = log.run(command.current_dir(&workspace.root), 5 * MINUTE)?;
    match log.text().lines().rev().find(|line| line.contains(" kinds of violation")) {
        Some(line) if kept => Ok(Outcome::Noted(format!("{scenarios}; {line}"))),
        line => Ok(Outcome::Failed(
            line.unwrap_or("the answers were not held against their description").to_owned(),
        )),
    }
}

fn scenarios(workspace: &Workspace, log: &Log, language: &str) -> Result<Outcome> {
    let mut command = Command::new(prerequisites::python(workspace, log)?);
    command.arg(workspace.path("conformance/run.py")).args(["--language", language, "--logs"]);
    command.arg(workspace.logs().join(format!("conformance-{language}")));
    command.env("CARGO_TARGET_DIR", &workspace.target).current_dir(&workspace.root);
    let passed = log.run(&mut command, 30 * MINUTE)?;
    let line = log.text().lines().rev().find(|line| line.contains(" scenarios pass")).map(str::to_owned);
    match line {
        Some(line) if passed => Ok(Outcome::Noted(line)),
        line => {
            Ok(Outcome::Failed(line.unwrap_or_else(|| "the scenarios were not run to their end".to_owned())))
        }
    }
}

fn hostile(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    let fuzzer = fuzz::Fuzzer::build(workspace, log)?;
    let targets = fuzz::targets(workspace)?;
    let each = FUZZ_SECONDS_ALL / u64::try_from(targets.len()).unwrap_or(u64::MAX).max(1);
    fuzzer.run_each(&targets, each)?;
    if !fuzzer.sanitized {
        return Ok(Outcome::Noted("without the address sanitizer: there is no nightly toolchain".to_owned()));
    }
    Ok(Outcome::Passed)
}

fn deny(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    // The one ban that a lock file cannot show is checked even where the tool cannot be had.
    let mut tree = workspace.cargo();
    tree.args(["tree", "--locked", "--workspace", "--edges", "normal,build", "--invert", "ring"]);
    let output = tree.output()?;
    if !output.stdout.is_empty() {
        return Ok(Outcome::Failed(format!("ring is built:\n{}", String::from_utf8_lossy(&output.stdout))));
    }
    let Some(mut tool) = deny_tool(workspace, log)? else {
        return Ok(Outcome::NotRun("cargo-deny is not here and could not be installed".to_owned()));
    };
    Ok(verdict(log.run(tool.args(["check", "bans", "licenses", "sources"]), 10 * MINUTE)?, "see deny.toml"))
}

fn advisories(workspace: &Workspace, log: &Log) -> Result<Outcome> {
    let Some(mut tool) = deny_tool(workspace, log)? else {
        return Ok(Outcome::NotRun("cargo-deny is not here".to_owned()));
    };
    if log.run(tool.args(["check", "advisories"]), 10 * MINUTE)? {
        return Ok(Outcome::Passed);
    }
    let text = log.text();
    if text.contains("failed to fetch advisory database") || text.contains("unable to fetch") {
        // The database lives outside; that it cannot be reached says nothing about this commit.
        return Ok(Outcome::Noted(
            "NOT CHECKED: the advisory database cannot be reached from here".to_owned(),
        ));
    }
    Ok(Outcome::Failed("a dependency has an advisory".to_owned()))
}

/// `cargo deny`, installed below the target directory when the machine does not have it.
fn deny_tool(workspace: &Workspace, log: &Log) -> Result<Option<Command>> {
    let mut tool = if succeeds("cargo", &["deny", "--version"]) {
        let mut cargo = workspace.cargo();
        cargo.arg("deny");
        cargo
    } else {
        let tools = workspace.target.join("tools");
        let own = tools.join("bin/cargo-deny");
        if !own.exists() {
            let mut cargo = Command::new("cargo");
            cargo.args(["install", "--locked", "--debug", "cargo-deny", "--version", DENY_VERSION, "--root"]);
            cargo.arg(&tools).env("CARGO_TARGET_DIR", tools.join("build")).env_remove("CARGO");
            // Nobody debugs it, and its debug information takes a good part of the build.
            cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
            if !log.run(&mut cargo, 30 * MINUTE)? {
                return Ok(None);
            }
        }
        Command::new(own)
    };
    tool.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    Ok(Some(tool))
}

/// Pinned, so that a new release cannot fail an old commit.
const DENY_VERSION: &str = "0.20.2";
