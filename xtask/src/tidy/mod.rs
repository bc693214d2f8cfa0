//! `cargo xtask tidy`: the rules of the house that no compiler knows, each finding with its remedy.
//!
//! The rules are tables: who may depend on whom ([`arrows`]), which room may see which ([`ladder`]), which words
//! and calls are kept out and why ([`words`]), which files nobody reads and which grew too long ([`files`]), and
//! which pages must exist ([`pages`]). A rule looks at a [`Tree`] of texts, so that its own tests can show it a bad one.

mod arrows;
mod files;
mod ladder;
mod pages;
mod source;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

use self::source::Tree;
use crate::workspace::Workspace;

/// Whether a finding stops the build.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Weight {
    Refused,
    Warned,
}

/// One thing that is not as it should be, and what to do about it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    pub weight: Weight,
    pub path: String,
    /// Counted from one; zero where the whole file is meant.
    pub line: usize,
    pub message: String,
}

impl Finding {
    /// A finding that stops the build.
    pub fn refused(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { weight: Weight::Refused, path: path.to_owned(), line, message: message.into() }
    }

    /// A finding that is only shown.
    pub fn warned(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { weight: Weight::Warned, path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.weight {
            Weight::Refused => "",
            Weight::Warned => "warning: ",
        };
        match self.line {
            0 => write!(formatter, "{prefix}{}: {}", self.path, self.message),
            line => write!(formatter, "{prefix}{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Runs every rule over the repository and prints what they found, one line each.
pub fn command(workspace: &Workspace) -> Result<ExitCode> {
    let findings = check(&Tree::read(&workspace.root)?);
    for finding in &findings {
        println!("{finding}");
    }
    let refused = findings.iter().filter(|finding| finding.weight == Weight::Refused).count();
    let warned = findings.len() - refused;
    if refused > 0 {
        println!("\ntidy: {refused} to mend, {warned} to think about");
        return Ok(ExitCode::FAILURE);
    }
    println!("tidy: in order, {warned} to think about");
    Ok(ExitCode::SUCCESS)
}

/// Everything the rules have to say about `tree`, refusals first.
fn check(tree: &Tree) -> Vec<Finding> {
    let rules = [arrows::check, ladder::check, words::check, files::check, pages::check];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings.dedup();
    findings
}
