//! The project's own commands: what proves it, what shows it, what keeps it tidy.
//!
//! `cargo xtask test` is the whole proof and the only thing continuous integration runs; `cargo xtask demo` is the
//! main job from end to end. Everything here needs nothing but Rust and Python 3 on a fresh machine.

mod demo;
mod fuzz;
mod lanes;
mod prerequisites;
mod process;
mod steps;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::builder::FalseyValueParser;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything that proves it, and sum it up
    Test {
        /// Run this step only; may be given several times
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
        /// List the steps
        #[arg(long)]
        list: bool,
        /// Fail when a step cannot be run
        #[arg(long = "strict", env = "CI", value_parser = FalseyValueParser::new(), default_value = "false",
              default_missing_value = "true", num_args = 0..=1)]
        strict: bool,
    },
    /// Show the main job from end to end, and check every part of it
    Demo {
        /// The binary is built already
        #[arg(long)]
        built: bool,
    },
    /// Check what the compiler cannot: arrows, rooms, words, orphans, pages
    Tidy,
    /// Measure, and print a table that can be pasted
    Bench {
        /// What the load generator is given; `--help` shows it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Throw hostile bytes at one parser or at all of them
    Fuzz {
        /// The target; all of them if absent
        target: Option<String>,
        /// For how long, each
        #[arg(default_value_t = 60)]
        seconds: u64,
    },
    /// Write the golden files anew; look at the difference before you commit it
    Golden,
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match Arguments::parse().command {
        Command::Test { list: true, .. } => steps::list(),
        Command::Test { only, strict, .. } => return steps::run(&workspace, &only, strict),
        Command::Demo { built } => return demo::command(&workspace, built),
        Command::Tidy => return tidy::command(&workspace),
        Command::Bench { arguments } => return bench(&workspace, &arguments),
        Command::Fuzz { target, seconds } => fuzz::command(&workspace, target.as_deref(), seconds)?,
        Command::Golden => return golden(&workspace),
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the product and the load generator as they ship, and lets the latter measure the former.
fn bench(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    let mut build = workspace.cargo();
    build.args(["build", "--locked", "--release", "--package", "vouchsafe", "--package", "vouchsafe-bench"]);
    if !build.status()?.success() {
        return Ok(ExitCode::FAILURE);
    }
    let release = workspace.target.join("release");
    let mut bench = std::process::Command::new(release.join("vouchsafe-bench"));
    let status = bench.arg("--binary").arg(release.join("vouchsafe")).args(arguments).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests in the mode in which they write what they otherwise compare with.
fn golden(workspace: &Workspace) -> Result<ExitCode> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast", "golden"]).env("UPDATE_GOLDEN", "1");
    cargo.env("INSTA_UPDATE", "always");
    let status = cargo.status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
