//! The pages that must exist, the links between them, and the tests that they name.

use regex_lite::Regex;

use super::Finding;
use super::files::resolve;
use super::source::{Tree, line_at};

/// The pages at the root, and what each is for.
const PAGES: &[(&str, &str)] = &[
    ("README.md", "what this is and the two commands"),
    ("ARCHITECTURE.md", "the picture, the code map, the invariants and what enforces each"),
    ("CONTRIBUTING.md", "the commands and the checklists"),
    ("SECURITY.md", "what is defended, and how to report a hole"),
    ("CHANGELOG.md", "what changed for those who run it"),
    ("LICENSE", "Apache-2.0"),
];

/// Where decisions are kept; its README lists every one.
const DECISIONS: &str = "docs/decisions/";

/// Checks that pages exist, that each crate and each decision is listed, and that local links lead somewhere.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (page, purpose) in PAGES {
        if tree.file(page).is_none() {
            findings.push(Finding::refused(page, 0, format!("the page is missing: {purpose}")));
        }
    }
    if let Some(architecture) = tree.file("ARCHITECTURE.md") {
        for file in &tree.files {
            let Some(name) =
                file.path.strip_prefix("crates/").and_then(|inside| inside.strip_suffix("/Cargo.toml"))
            else {
                continue;
            };
            if !architecture.text.contains(&format!("{name}/"))
                && !architecture.text.contains(&format!("`{name}`"))
            {
                let message = format!("the code map does not name `crates/{name}`: say what lives there");
                findings.push(Finding::refused("ARCHITECTURE.md", 0, message));
            }
        }
    }
    let index = tree.file(&format!("{DECISIONS}README.md"));
    for file in &tree.files {
        let Some(name) = file.path.strip_prefix(DECISIONS).filter(|name| *name != "README.md") else {
            continue;
        };
        if !index.is_some_and(|index| index.text.contains(name)) {
            let message = format!("list `{name}` in {DECISIONS}README.md with one line on what was decided");
            findings.push(Finding::refused(&file.path, 0, message));
        }
    }
    findings.extend(dead_links(tree));
    findings.extend(lost_evidence(tree));
    findings
}

fn dead_links(tree: &Tree) -> Vec<Finding> {
    let Ok(pattern) = Regex::new(r"\]\(([^)\s]+)\)") else { return Vec::new() };
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for captures in pattern.captures_iter(&file.text) {
            let Some(link) = captures.get(1) else { continue };
            let path = link.as_str().split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            let place = resolve(directory, path);
            let exists = tree.file(&place).is_some()
                || tree.files.iter().any(|file| file.path.starts_with(&format!("{place}/")));
            if !exists {
                let message = format!("the link `{path}` leads nowhere: mend it or write the page");
                findings.push(Finding::refused(&file.path, line_at(&file.text, link.start()), message));
            }
        }
    }
    findings
}

/// Pages that say by which test something is shown; a test that is gone shows nothing.
const EVIDENCE: &[&str] = &["SECURITY.md", "ARCHITECTURE.md", "docs/reference/attacks.md"];

/// A name of a test is a sentence; a shorter word in code may be anything.
const TEST_NAME_WORDS_MIN: usize = 5;

fn lost_evidence(tree: &Tree) -> Vec<Finding> {
    let Ok(pattern) = Regex::new(r"`([a-z0-9_]+)`") else { return Vec::new() };
    let mut findings = Vec::new();
    for page in EVIDENCE {
        let Some(file) = tree.file(page) else { continue };
        for captures in pattern.captures_iter(&file.text) {
            let Some(name) = captures.get(1) else { continue };
            if name.as_str().split('_').count() < TEST_NAME_WORDS_MIN {
                continue;
            }
            let function = format!("fn {}(", name.as_str());
            if !tree.files.iter().any(|source| source.code.contains(&function)) {
                let message = format!(
                    "no test is called `{}`: name the one that shows it, or take the promise back",
                    name.as_str()
                );
                findings.push(Finding::refused(page, line_at(&file.text, name.start()), message));
            }
        }
    }
    findings
}
