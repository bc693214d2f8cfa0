//! Who may depend on whom: between our own crates, and from our crates to the outside.
//!
//! Development dependencies are free, except that nothing ships `testkit`.

use super::Finding;
use super::source::Tree;

/// Each package, where it lives, and which of ours it may use.
const ARROWS: &[(&str, &str, &[&str])] = &[
    ("vouchsafe-crypto", "crates/crypto", &[]),
    ("vouchsafe-wire", "crates/wire", &[]),
    ("vouchsafe-domain", "crates/domain", &["vouchsafe-crypto"]),
    ("vouchsafe-store", "crates/store", &["vouchsafe-domain", "vouchsafe-crypto"]),
    ("vouchsafe-hsm", "crates/hsm", &["vouchsafe-domain", "vouchsafe-crypto"]),
    (
        "vouchsafe-server",
        "crates/server",
        &["vouchsafe-domain", "vouchsafe-wire", "vouchsafe-crypto", "vouchsafe-store", "vouchsafe-hsm"],
    ),
    ("vouchsafe-agent", "crates/agent", &["vouchsafe-wire", "vouchsafe-crypto"]),
    ("vouchsafe", "crates/vouchsafe", FLOORS),
    ("vouchsafe-testkit", "crates/testkit", FLOORS),
    ("vouchsafe-bench", "bench", &["vouchsafe-wire", "vouchsafe-crypto"]),
    ("vouchsafe-fuzz", "fuzz", FLOORS),
    ("vouchsafe-conformance", "conformance/rust", &[]),
    ("customer-managed-key", "examples/customer-managed-key", &[]),
    ("xtask", "xtask", &[]),
];

/// Everything that ships, below the binary.
const FLOORS: &[&str] = &[
    "vouchsafe-crypto",
    "vouchsafe-wire",
    "vouchsafe-domain",
    "vouchsafe-store",
    "vouchsafe-hsm",
    "vouchsafe-server",
    "vouchsafe-agent",
];

/// What a floor may not bring in from outside, and why.
const CLOSED: &[(&str, &[&str], &str)] = &[
    ("vouchsafe-crypto", NETWORK, "`crypto` computes on bytes it is given"),
    ("vouchsafe-wire", NETWORK, "`wire` is shapes; who sends them is decided in `server` and `agent`"),
    ("vouchsafe-domain", NETWORK, "`domain` decides; the outside is reached through a port"),
    ("vouchsafe-store", &["axum", "hyper", "reqwest"], "`store` remembers; it speaks to no one"),
    (
        "vouchsafe-hsm",
        &["axum", "hyper", "reqwest", "rusqlite"],
        "`hsm` computes, or asks a token; it keeps nothing",
    ),
    ("vouchsafe-agent", &["rusqlite", "axum"], "`agent` keeps nothing and serves two small protocols"),
];

const NETWORK: &[&str] = &[
    "axum",
    "clap",
    "hyper",
    "hyper-util",
    "reqwest",
    "rusqlite",
    "rustix",
    "rustls",
    "tokio",
    "tokio-rustls",
    "tower",
];

/// Packages that may not be in a lock file, the lock files that may hold them all the same, and why they are out.
///
/// `ring` is not here: a lock file names it as soon as some crate could use it, built or not. The `deny` step of
/// `cargo xtask test` asks cargo for what is really built.
const BANNED_PACKAGES: &[(&str, &str, &[&str], &str)] = &[
    (
        "openssl-sys",
        "",
        &["conformance/rust/Cargo.lock"],
        "no C TLS in the product; only the foreign client under test needs it",
    ),
    ("native-tls", "", &[], "TLS is rustls with aws-lc-rs"),
    ("rsa", "0.9", &[], "its private-key operations leak timing (RUSTSEC-2023-0071)"),
];

/// Reads every manifest and lock file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        if file.path == "Cargo.toml" {
            continue;
        }
        if let Some(directory) = file.path.strip_suffix("/Cargo.toml") {
            check_manifest(directory, &file.path, &file.text, &mut findings);
        }
        if file.path == "Cargo.lock" || file.path.ends_with("/Cargo.lock") {
            check_lock(&file.path, &file.text, &mut findings);
        }
    }
    findings
}

fn check_manifest(directory: &str, path: &str, text: &str, findings: &mut Vec<Finding>) {
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => {
            findings.push(Finding::refused(path, 0, format!("not TOML: {}", error.message())));
            return;
        }
    };
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str)
        .unwrap_or("");
    let Some((_, _, allowed)) =
        ARROWS.iter().find(|(package, place, _)| *package == name && *place == directory)
    else {
        let message = format!(
            "the package `{name}` is not in the table of arrows: add it to xtask/src/tidy/arrows.rs and to \
             ARCHITECTURE.md, or remove it"
        );
        findings.push(Finding::refused(path, 0, message));
        return;
    };
    if manifest.get("lints").and_then(|lints| lints.get("workspace")).is_none()
        && manifest.get("workspace").is_none()
        && manifest.get("package").and_then(|package| package.get("workspace")).is_none()
    {
        findings.push(Finding::refused(path, 0, "add `[lints] workspace = true`: one set of lints for all"));
    }
    for (dependency, development) in dependencies(&manifest) {
        let line =
            text.lines().position(|line| line.trim_start().starts_with(&dependency)).map_or(0, |at| at + 1);
        if let Some((_, _, reason)) = CLOSED
            .iter()
            .find(|(package, closed, _)| *package == name && closed.contains(&dependency.as_str()))
            .filter(|_| !development)
        {
            let message = format!("`{name}` may not depend on `{dependency}`: {reason}");
            findings.push(Finding::refused(path, line, message));
        }
        let ours = ARROWS.iter().any(|(package, _, _)| *package == dependency);
        if !ours || allowed.contains(&dependency.as_str()) {
            continue;
        }
        if !development || matches!(dependency.as_str(), "xtask" | "vouchsafe-bench") {
            let message = format!(
                "the arrow `{name}` -> `{dependency}` is not allowed: move what is shared down, or have the caller \
                 pass it in; a new arrow is a decision (docs/decisions) and a line in xtask/src/tidy/arrows.rs"
            );
            findings.push(Finding::refused(path, line, message));
        }
    }
}

/// The names of all dependencies, and whether only tests have them.
fn dependencies(manifest: &toml::Table) -> Vec<(String, bool)> {
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let mut names = Vec::new();
    for table in tables {
        for (key, development) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            if let Some(entries) = table.get(key).and_then(toml::Value::as_table) {
                names.extend(entries.iter().map(|(alias, value)| {
                    let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(alias);
                    (package.to_owned(), development)
                }));
            }
        }
    }
    names
}

/// The registry every package comes from, whatever mirror a machine may use.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn check_lock(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let Ok(lock) = text.parse::<toml::Table>() else {
        findings.push(Finding::refused(path, 0, "not TOML: let cargo write it again"));
        return;
    };
    let packages = lock.get("package").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for package in packages {
        let field = |name: &str| package.get(name).and_then(toml::Value::as_str).unwrap_or_default();
        let (name, version) = (field("name"), field("version"));
        for (banned, prefix, exempt, reason) in BANNED_PACKAGES {
            if name == *banned && version.starts_with(prefix) && !exempt.contains(&path) {
                let message = format!(
                    "the package `{name}` {version} is banned: {reason}. `cargo tree --invert {name}` says who brings it"
                );
                findings.push(Finding::refused(path, 0, message));
            }
        }
        let source = field("source");
        if !source.is_empty() && source != REGISTRY {
            let message = format!(
                "the package `{name}` comes from `{source}`: only crates.io; write the lock file without a mirror"
            );
            findings.push(Finding::refused(path, 0, message));
        }
    }
}
