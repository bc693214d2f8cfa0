//! The few functions through which tokens and plaintext leave are called from the few places that may: the sibling
//! path that forgets a check cannot come to be unnoticed. Types hold most of this; what they cannot hold is read here
//! from the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What may be named where, below `crates/`. The place that defines it counts.
const RULES: [(&str, &[&str], &str); 18] = [
    (
        "sign_jwt",
        &["crypto/src/jose/key.rs", "crypto/src/jose/mod.rs", "domain/src/token/issue.rs"],
        "tokens are signed by `token::issue::issue` alone, which asks for evidence and a durable entry",
    ),
    (
        "issue(",
        &["domain/src/token/grant.rs", "server/src/tls/mod.rs", "domain/src/vault/certificate/authority.rs"],
        "grants go through `issue_recorded`; the certificates of authorities are no tokens",
    ),
    ("Evidence::by_", &["domain/src/token/grant.rs"], "evidence is made where the credential was checked"),
    (
        "Caller::from_verified",
        &["domain/src/token/grant.rs", "domain/src/token/verify.rs"],
        "a caller is who a verified token or the kernel names",
    ),
    (
        "Kind::SecretValue",
        &["domain/src/vault/secret/mod.rs"],
        "the place of a value is told by `Place::material`",
    ),
    (
        "material(",
        &[
            "domain/src/vault/life/removal.rs",
            "domain/src/vault/load.rs",
            "domain/src/vault/object.rs",
            "server/src/root_token.rs",
        ],
        "new versions write there, purge deletes there, `load_material` alone reads to give out, and of a key in a token \
         it is a reference",
    ),
    (
        "load_material(",
        &[
            "domain/src/vault/certificate/managed.rs",
            "domain/src/vault/key/attest.rs",
            "domain/src/vault/key/change.rs",
            "domain/src/vault/key/operate.rs",
            "domain/src/vault/key/release.rs",
            "domain/src/vault/life/backup.rs",
            "domain/src/vault/secret/read.rs",
        ],
        "what is secret is loaded by get, backup, attestation and the use of a key, with a proof, and leaves after its entry",
    ),
    (
        "carry_material(",
        &["domain/src/vault/certificate/advance.rs", "domain/src/vault/certificate/create.rs"],
        "a renewal may keep its key; nothing that was carried is given out",
    ),
    (
        "managed_value(",
        &["domain/src/vault/secret/read.rs"],
        "the key of a certificate leaves through the reading of its secret only",
    ),
    (
        "to_pkcs8(",
        &[
            "crypto/src/keys/private.rs",
            "crypto/src/keys/transport.rs",
            "domain/src/token/signing.rs",
            "domain/src/vault/certificate/managed.rs",
        ],
        "private keys leave the store's form for the next start and for the secret of an exportable certificate",
    ),
    (
        "Kind::KeyMaterial",
        &[
            "domain/src/vault/certificate/mod.rs",
            "domain/src/vault/key/holder.rs",
            "domain/src/vault/key/mod.rs",
        ],
        "as for values",
    ),
    ("into_value(", &["server/src/http/keyvault/secrets.rs"], "one answer has a value in it"),
    (
        "wrap_for(",
        &["vouchsafe/src/command/byok.rs"],
        "whole keys are wrapped for others by their holder, and by whoever brings one's own",
    ),
    (
        "wrap_for_release(",
        &["domain/src/vault/key/release.rs"],
        "a holder gives a key away after release has decided, and for no other reason",
    ),
    (
        "sign_statement(",
        &["crypto/src/jose/attestation.rs", "domain/src/vault/key/signatory.rs"],
        "what is said of keys is signed in one place, with the key that the tenant publishes",
    ),
    (
        "signatory(",
        &["domain/src/vault/key/attest.rs", "domain/src/vault/key/release.rs"],
        "what is released or attested is signed where it was decided, and recorded there",
    ),
    (
        "into_jws(",
        &["server/src/http/keyvault/keys/release.rs"],
        "one answer has a released key in it, and it exists with its entry only",
    ),
    (
        "into_result(",
        &["server/src/http/keyvault/keys/operate.rs"],
        "what a key gave is answered where keys are used",
    ),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file: without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether `needle` is used, not only defined, and not as the end of a longer name.
fn uses(code: &str, needle: &str) -> bool {
    code.match_indices(needle).any(|(at, _)| {
        let before = &code[..at];
        let inside = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        !inside && !before.ends_with("fn ")
    })
}

#[test]
fn tokens_and_plaintext_leave_only_where_they_may() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates").to_path_buf();
    let mut files = Vec::new();
    for shipped in ["agent", "crypto", "domain", "server", "store", "vouchsafe", "wire"] {
        sources(&crates.join(shipped).join("src"), &mut files);
    }
    assert!(files.len() > 100, "the sources are not where this test looks");
    let read = files.iter().map(|file| {
        let name = file.strip_prefix(&crates).expect("below").to_string_lossy().into_owned();
        (name, code(&std::fs::read_to_string(file).expect("a source")))
    });
    let read: Vec<_> = read.filter(|(name, _)| !name.ends_with("/tests.rs")).collect();
    for (needle, allowed, why) in RULES {
        let found: BTreeSet<&str> =
            read.iter().filter(|(_, code)| uses(code, needle)).map(|(name, _)| name.as_str()).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let strange: Vec<_> = found.difference(&allowed).collect();
        assert!(strange.is_empty(), "`{needle}` is used in {strange:?}; {why}");
        let unused: Vec<_> = allowed.difference(&found).filter(|name| !name.starts_with("crypto/")).collect();
        assert!(unused.is_empty(), "`{needle}` is not used in {unused:?} any more: shorten the rule");
    }
}

#[test]
fn the_reader_of_sources_sees_uses_and_nothing_else() {
    for (text, needle, used) in [
        ("let x = sign_jwt(key);", "sign_jwt", true),
        ("// sign_jwt\n/// sign_jwt", "sign_jwt", false),
        ("pub fn sign_jwt() {}", "sign_jwt", false),
        ("resign_jwt()", "sign_jwt", false),
        ("fn a() {}\n#[cfg(test)]\nmod tests { fn b() { sign_jwt() } }", "sign_jwt", false),
        ("self.load_value(place)", "load_value(", true),
    ] {
        assert_eq!(uses(&code(text), needle), used, "{text}");
    }
}
