//! Where things are: the repository's root and the directory that builds go to.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The repository and the place where everything that can be thrown away is put.
#[derive(Clone)]
pub struct Workspace {
    pub root: PathBuf,
    pub target: PathBuf,
}

impl Workspace {
    /// Finds the repository from where `cargo` says this package is, else upwards from the current directory.
    pub fn find() -> Result<Self> {
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(directory) => PathBuf::from(directory),
            None => env::current_dir().context("the current directory cannot be read")?,
        };
        let Some(root) = start.ancestors().find(|directory| is_root(directory)) else {
            bail!("no workspace around `{}`: run this inside the repository", start.display());
        };
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(directory) => root.join(directory),
            None => root.join("target"),
        };
        Ok(Self { root: root.to_owned(), target })
    }

    /// The path of a file or directory given relative to the root.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Where the logs of steps are put.
    pub fn logs(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// The binary, as a development build leaves it.
    pub fn binary(&self) -> PathBuf {
        self.target.join("debug/vouchsafe")
    }

    /// This program itself, run once more. Not by `current_exe`: a step may have built it anew in the meantime.
    pub fn xtask(&self) -> Command {
        let mut xtask = Command::new(self.target.join("debug/xtask"));
        xtask.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        xtask
    }

    /// A `cargo` that works on this repository and builds where we look for the results.
    pub fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        if env::var_os("CI").is_some() {
            // What is built once and thrown away gains nothing from notes for the next time.
            cargo.env("CARGO_INCREMENTAL", "0");
        }
        cargo
    }
}

fn is_root(directory: &Path) -> bool {
    directory.join("Cargo.lock").is_file() && directory.join("xtask").is_dir()
}
