//! The ladder of rooms inside `domain`: a room sees the rungs below it, and on its own rung only one way.
//!
//! That holds for what a room knows and decides. Its use cases, which bring rooms together, stand on top of the
//! ladder: a file is one of them when it sees `platform` or `world`, or says how they fail (`error.rs`).

use std::collections::BTreeSet;

use regex_lite::Regex;

use super::Finding;
use super::source::{File, Tree, line_at};

/// The rungs, from the ground up.
const LADDER: &[&[&str]] = &[
    &["ids", "time", "limits", "error", "ports", "record"],
    &["resource", "listener", "timekeeping"],
    &["access", "audit"],
    &["directory", "identity", "vault"],
    &["token"],
    &["world"],
    &["platform"],
];

/// Rooms that only use cases see.
const MEETING_PLACES: &[&str] = &["platform", "world"];

const SOURCE: &str = "crates/domain/src/";

/// Looks at every `crate::room` and at every `super::room` that leaves its room.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sideways: BTreeSet<(String, String)> = BTreeSet::new();
    for file in tree.rust() {
        let Some(inside) = file.path.strip_prefix(SOURCE) else { continue };
        if inside == "lib.rs" {
            continue;
        }
        let room = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        let Some(rung) = rung_of(room) else {
            let message =
                format!("the room `{room}` is not on the ladder: place it in xtask/src/tidy/ladder.rs");
            findings.push(Finding::refused(&file.path, 0, message));
            continue;
        };
        if file.is_test() {
            continue;
        }
        let all_seen = rooms_seen(file, inside);
        let brings_together = all_seen.iter().any(|(seen, _)| MEETING_PLACES.contains(&seen.as_str()));
        let use_case = !MEETING_PLACES.contains(&room) && (brings_together || inside.ends_with("/error.rs"));
        if use_case {
            continue;
        }
        for (seen, line) in all_seen {
            let Some(seen_rung) = rung_of(&seen).filter(|_| seen != room) else { continue };
            if seen_rung > rung {
                let message = format!(
                    "`{room}` looks up to `{seen}`: move what both need down a rung, or let the higher room pass it in"
                );
                findings.push(Finding::refused(&file.path, line, message));
            } else if seen_rung == rung && rung > 0 {
                if sideways.contains(&(seen.clone(), room.to_owned())) {
                    let message = format!(
                        "`{room}` and `{seen}` look at each other: they are one room, or what they share belongs below"
                    );
                    findings.push(Finding::refused(&file.path, line, message));
                }
                sideways.insert((room.to_owned(), seen));
            }
        }
    }
    findings
}

fn rung_of(room: &str) -> Option<usize> {
    LADDER.iter().position(|rung| rung.contains(&room))
}

/// The first path segments after the crate's root that the shipped code of `file` names, with their lines.
fn rooms_seen(file: &File, inside: &str) -> Vec<(String, usize)> {
    let depth = inside.trim_end_matches("/mod.rs").matches('/').count() + 1;
    let up = "super::".repeat(depth);
    let pattern = format!(r"\b(?:crate::|{up})(\{{|[a-z_0-9]+)");
    let Ok(pattern) = Regex::new(&pattern) else { return Vec::new() };
    let code = file.shipped_code();
    let mut seen = Vec::new();
    for captures in pattern.captures_iter(&code) {
        let Some(found) = captures.get(1) else { continue };
        let line = line_at(&code, found.start());
        if found.as_str() != "{" {
            seen.push((found.as_str().to_owned(), line));
            continue;
        }
        seen.extend(group(&code[found.end()..]).into_iter().map(|name| (name, line)));
    }
    seen
}

/// The first segments of the entries of a `{a, b::{c, d}}` group whose opening brace was read.
fn group(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0usize;
    let mut name = String::new();
    let mut taken = false;
    for character in code.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ if depth > 0 => {}
            ',' => {
                names.push(std::mem::take(&mut name));
                taken = false;
            }
            ':' => taken = true,
            _ if taken || character.is_whitespace() => {}
            _ => name.push(character),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}
