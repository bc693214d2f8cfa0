//! The project's own commands: what proves it, what shows it, what keeps it tidy.
//!
//! `cargo xtask test` is the whole proof and the only thing continuous integration runs; `cargo xtask demo` is the
//! main job from end to end. Everything here needs nothing but Rust and Python 3 on a fresh machine.

mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
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
    /// Check what the compiler cannot: arrows, rooms, words, orphans, pages
    Tidy,
}

fn main() -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match Arguments::parse().command {
        Command::Tidy => tidy::command(&workspace),
    }
}
