//! Files nobody reads, files that say nothing about themselves, and files that grew too long.

use std::collections::BTreeSet;

use regex_lite::Regex;

use super::Finding;
use super::source::{File, Tree};

/// Past this many lines, look for two ideas.
const LINES_WARNED: usize = 600;
/// Past this many lines there are two.
const LINES_MAX: usize = 900;

/// Folders whose files are data.
const DATA: &[&str] = &["golden", "vectors", "snapshots", "seeds"];

/// Checks lengths, opening paragraphs and that every Rust file is part of a crate.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let data = file.path.split('/').any(|part| DATA.contains(&part));
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !data {
            let message =
                format!("{lines} lines, more than {LINES_MAX}: split it where its second idea begins");
            findings.push(Finding::refused(&file.path, 0, message));
        } else if lines > LINES_WARNED && !data {
            findings.push(Finding::warned(&file.path, 0, format!("{lines} lines: look for a second idea")));
        }
        if !data
            && !file.path.ends_with("tests.rs")
            && !file.text.trim_start_matches("#![no_main]").trim_start().starts_with("//!")
        {
            let message =
                "open the file with one `//!` paragraph: what it is for, which specification it follows";
            findings.push(Finding::refused(&file.path, 1, message));
        }
    }
    let reached = reached(tree);
    for file in tree.rust().filter(|file| !reached.contains(file.path.as_str())) {
        let message = "no `mod` leads here, so it is neither compiled nor tested: declare it in its parent, or delete it";
        findings.push(Finding::refused(&file.path, 0, message));
    }
    findings
}

/// The paths of every Rust file that a crate root leads to.
fn reached(tree: &Tree) -> BTreeSet<&str> {
    let mut reached = BTreeSet::new();
    let mut pending: Vec<&File> = tree.rust().filter(|file| is_root(tree, &file.path)).collect();
    while let Some(file) = pending.pop() {
        if !reached.insert(file.path.as_str()) {
            continue;
        }
        pending.extend(children(tree, file));
    }
    reached
}

/// Whether cargo starts compiling at `path`.
fn is_root(tree: &Tree, path: &str) -> bool {
    let Some(package) = path
        .match_indices('/')
        .map(|(at, _)| &path[..at])
        .rfind(|directory| tree.file(&format!("{directory}/Cargo.toml")).is_some())
    else {
        return false;
    };
    let inside = &path[package.len() + 1..];
    let parts: Vec<&str> = inside.split('/').collect();
    let declared = tree
        .file(&format!("{package}/Cargo.toml"))
        .is_some_and(|manifest| manifest.text.contains(&format!("path = \"{inside}\"")));
    declared
        || matches!(
            parts.as_slice(),
            ["build.rs"]
                | ["src", "lib.rs" | "main.rs"]
                | ["src", "bin", _]
                | ["src", "bin", _, "main.rs"]
                | ["tests" | "benches" | "examples", _]
                | ["tests" | "benches" | "examples", _, "main.rs"]
        )
}

/// The files that the `mod name;` lines of `file` lead to.
fn children<'t>(tree: &'t Tree, file: &File) -> Vec<&'t File> {
    let (directory, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let stem = name.trim_end_matches(".rs");
    let own = if stem == "mod" || is_root(tree, &file.path) {
        directory.to_owned()
    } else {
        format!("{directory}/{stem}")
    };
    let mut found = Vec::new();
    if let Ok(pattern) = Regex::new(r"\bmod\s+(?:r#)?(\w+)\s*;") {
        for captures in pattern.captures_iter(&file.code) {
            let Some(module) = captures.get(1) else { continue };
            let module = module.as_str();
            let places = [format!("{own}/{module}.rs"), format!("{own}/{module}/mod.rs")];
            found.extend(places.iter().filter_map(|path| tree.file(path)));
        }
    }
    // A path given in an attribute or an `include!` is a literal, so it is looked for in the text.
    if let Ok(pattern) = Regex::new(r#"(?:#\[path\s*=\s*|include!\()\s*"([^"]+)""#) {
        for captures in pattern.captures_iter(&file.text) {
            let Some(path) = captures.get(1) else { continue };
            found.extend(tree.file(&resolve(directory, path.as_str())));
            found.extend(tree.file(&resolve(&own, path.as_str())));
        }
    }
    found
}

/// `relative` seen from `directory`, with `..` taken away.
pub fn resolve(directory: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
