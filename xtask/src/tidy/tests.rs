//! Each rule is shown a tree that breaks it, and one that does not.

use super::source::{File, Tree};
use super::{Finding, Weight, arrows, files, ladder, pages, words};

const LINTS: &str = "[lints]\nworkspace = true\n";

/// Asserts that `findings` has exactly one for each expected path and part of its message.
fn check(findings: &[Finding], expected: &[(&str, &str)]) {
    let listed: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert_eq!(findings.len(), expected.len(), "{listed:#?}");
    for (path, message) in expected {
        assert!(
            findings.iter().any(|finding| finding.path == *path && finding.message.contains(message)),
            "no `{message}` for `{path}` in {listed:#?}"
        );
    }
}

fn manifest(name: &str, rest: &str) -> String {
    format!("[package]\nname = \"{name}\"\n{LINTS}{rest}")
}

#[test]
fn an_arrow_that_points_up_is_refused() {
    let up = manifest("vouchsafe-domain", "[dependencies]\nvouchsafe-store.workspace = true\n");
    let down = manifest("vouchsafe-store", "[dependencies]\nvouchsafe-domain.workspace = true\n");
    let tree = Tree::of(&[("crates/domain/Cargo.toml", &up), ("crates/store/Cargo.toml", &down)]);
    check(&arrows::check(&tree), &[("crates/domain/Cargo.toml", "`vouchsafe-domain` -> `vouchsafe-store`")]);
}

#[test]
fn an_arrow_hidden_behind_another_name_or_target_is_refused() {
    let text = manifest(
        "vouchsafe-wire",
        "[target.'cfg(unix)'.dependencies]\nbelow = { package = \"vouchsafe-crypto\", path = \"../crypto\" }\n",
    );
    check(
        &arrows::check(&Tree::of(&[("crates/wire/Cargo.toml", &text)])),
        &[("crates/wire/Cargo.toml", "`vouchsafe-wire` -> `vouchsafe-crypto`")],
    );
}

#[test]
fn testkit_is_for_tests_only() {
    let shipped = manifest("vouchsafe-server", "[dependencies]\nvouchsafe-testkit.workspace = true\n");
    let tested = manifest("vouchsafe-store", "[dev-dependencies]\nvouchsafe-testkit.workspace = true\n");
    let tree = Tree::of(&[("crates/server/Cargo.toml", &shipped), ("crates/store/Cargo.toml", &tested)]);
    check(&arrows::check(&tree), &[("crates/server/Cargo.toml", "vouchsafe-testkit")]);
}

#[test]
fn a_package_outside_the_table_is_refused() {
    let text = manifest("vouchsafe-extra", "");
    check(
        &arrows::check(&Tree::of(&[("crates/extra/Cargo.toml", &text)])),
        &[("crates/extra/Cargo.toml", "not in the table of arrows")],
    );
}

#[test]
fn a_package_without_the_common_lints_is_refused() {
    let text = "[package]\nname = \"vouchsafe-wire\"\n";
    check(
        &arrows::check(&Tree::of(&[("crates/wire/Cargo.toml", text)])),
        &[("crates/wire/Cargo.toml", "one set of lints")],
    );
}

#[test]
fn domain_may_not_bring_in_a_runtime() {
    let text =
        manifest("vouchsafe-domain", "[dependencies]\ntokio = \"1\"\n[dev-dependencies]\ntower = \"1\"\n");
    check(
        &arrows::check(&Tree::of(&[("crates/domain/Cargo.toml", &text)])),
        &[("crates/domain/Cargo.toml", "may not depend on `tokio`")],
    );
}

#[test]
fn a_banned_package_and_a_foreign_registry_are_refused() {
    let lock = "[[package]]\nname = \"native-tls\"\nversion = \"0.2.0\"\n\
                source = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
                [[package]]\nname = \"serde\"\nversion = \"1.0.0\"\nsource = \"registry+https://mirror.example/\"\n\
                [[package]]\nname = \"rsa\"\nversion = \"0.10.0\"\n";
    check(
        &arrows::check(&Tree::of(&[("Cargo.lock", lock)])),
        &[("Cargo.lock", "`native-tls`"), ("Cargo.lock", "only crates.io")],
    );
}

#[test]
fn a_room_may_not_look_up() {
    let tree = Tree::of(&[
        ("crates/domain/src/access.rs", "use crate::{ids, vault::{Secret, Name}};\n"),
        ("crates/domain/src/audit/mod.rs", "use super::token::Claims;\n"),
        ("crates/domain/src/audit/entry.rs", "use super::super::token::Claims;\nuse super::token::Local;\n"),
        ("crates/domain/src/vault.rs", "use crate::access::Authorized;\n"),
    ]);
    check(
        &ladder::check(&tree),
        &[
            ("crates/domain/src/access.rs", "`access` looks up to `vault`"),
            ("crates/domain/src/audit/mod.rs", "`audit` looks up to `token`"),
            ("crates/domain/src/audit/entry.rs", "`audit` looks up to `token`"),
        ],
    );
}

#[test]
fn use_cases_may_see_every_room_but_the_platform_may_not_see_what_is_above() {
    let tree = Tree::of(&[
        (
            "crates/domain/src/resource/manage.rs",
            "use crate::platform::Platform;\nuse crate::token::Claims;\n",
        ),
        ("crates/domain/src/resource/error.rs", "use crate::access::Denial;\n"),
        ("crates/domain/src/world/mod.rs", "use crate::platform::Platform;\nuse crate::token::Key;\n"),
    ]);
    check(&ladder::check(&tree), &[("crates/domain/src/world/mod.rs", "`world` looks up to `platform`")]);
}

#[test]
fn two_rooms_of_one_rung_may_not_look_at_each_other() {
    let tree = Tree::of(&[
        ("crates/domain/src/directory.rs", "use crate::identity::Identity;\n"),
        ("crates/domain/src/identity.rs", "use crate::directory::Tenant;\n"),
    ]);
    check(&ladder::check(&tree), &[("crates/domain/src/identity.rs", "look at each other")]);
}

#[test]
fn tests_comments_and_strings_may_name_any_room() {
    let text = "//! See crate::token.\nconst A: &str = \"crate::apply\";\n\
                #[cfg(test)]\nmod tests {\n    use crate::token::Claims;\n}\n";
    check(&ladder::check(&Tree::of(&[("crates/domain/src/access.rs", text)])), &[]);
}

#[test]
fn a_room_off_the_ladder_is_refused() {
    check(
        &ladder::check(&Tree::of(&[("crates/domain/src/cellar/mod.rs", "//! Deep.\n")])),
        &[("crates/domain/src/cellar/mod.rs", "not on the ladder")],
    );
}

#[test]
fn kept_out_words_are_found_where_they_are_meant() {
    let cases = [
        ("crates/wire/src/a.rs", format!("fn a() {{ {}!() }}", "todo"), "finish it"),
        ("crates/wire/src/a.rs", format!("#[{}(dead_code)]\nfn a() {{}}", "allow"), "expect"),
        ("crates/wire/src/a.rs", format!("struct Token{};", "Manager"), "name the thing"),
        ("crates/wire/src/a.rs", format!("mod {};", "utils"), "after the idea"),
        ("docs/a.md", format!("In this {} we saw", "session"), "say what is meant"),
        ("README.md", format!("as {} #7 says", "issue"), "describe the thing"),
        ("README.md", format!("run /{}/bin/x", "root"), "no path of one machine"),
        (".cargo/config.toml", format!("[{}.crates-io]\n", "source"), "mirror"),
        ("crates/server/src/http/arm.rs", "StatusCode::OK;".to_owned(), "reply.rs"),
        ("crates/domain/src/ids.rs", "use std::net::TcpStream;".to_owned(), "ask a port"),
        ("crates/store/src/a.rs", "let now = SystemTime::now();".to_owned(), "time is an argument"),
        ("conformance/python/a.py", format!("Client(verify={})", "False"), "checks switched off"),
    ];
    for (path, text, message) in cases {
        let findings = words::check(&Tree::of(&[(path, &text)]));
        assert_eq!(findings.len(), 1, "`{text}` gave {findings:?}");
        let wanted = message.replace("checks switched", "check switched");
        assert!(findings[0].message.contains(&wanted), "{findings:?}");
    }
}

#[test]
fn harmless_uses_of_those_words_pass() {
    let cases = [
        ("crates/wire/src/a.rs", format!("// not {}!() here\nconst A: &str = \"{0}!()\";", "todo")),
        ("crates/server/src/a.rs", format!("// A TLS {} is resumed.", "session")),
        ("crates/server/src/http/reply.rs", "StatusCode::OK;".to_owned()),
        ("crates/server/src/a.rs", "#[cfg(test)]\nmod tests { fn a() { StatusCode::OK; } }".to_owned()),
        ("crates/server/tests/a.rs", "StatusCode::OK;".to_owned()),
        ("docs/a.md", "https://example/work and the work of others".to_owned()),
    ];
    for (path, text) in cases {
        check(&words::check(&Tree::of(&[(path, &text)])), &[]);
    }
}

#[test]
fn a_file_that_no_module_leads_to_is_refused() {
    let tree = Tree::of(&[
        ("crates/wire/Cargo.toml", ""),
        ("crates/wire/src/lib.rs", "//! Shapes.\nmod a;\nmod b;\n#[path = \"odd.rs\"]\nmod c;\n"),
        ("crates/wire/src/a.rs", "//! A.\nmod deep;\n"),
        ("crates/wire/src/a/deep.rs", "//! Deep.\n"),
        ("crates/wire/src/b/mod.rs", "//! B.\nmod leaf;\n"),
        ("crates/wire/src/b/leaf.rs", "//! Leaf.\n"),
        ("crates/wire/src/odd.rs", "//! Odd.\n"),
        ("crates/wire/src/lost.rs", "//! Lost.\n"),
        ("crates/wire/tests/facts.rs", "//! Facts.\n"),
    ]);
    check(&files::check(&tree), &[("crates/wire/src/lost.rs", "no `mod` leads here")]);
}

#[test]
fn a_long_file_is_warned_of_and_a_very_long_one_refused() {
    let line = "fn a() {}\n";
    let tree = Tree::of(&[
        ("xtask/Cargo.toml", ""),
        ("xtask/src/main.rs", &format!("//! Long.\n{}", line.repeat(700))),
        ("xtask/src/bin/other.rs", &format!("//! Longer.\n{}", line.repeat(1_000))),
        ("xtask/tests/golden/data.rs", &line.repeat(2_000)),
        ("xtask/tests/facts.rs", "//! Facts.\n#[path = \"golden/data.rs\"]\nmod data;\n"),
    ]);
    let findings = files::check(&tree);
    check(&findings, &[("xtask/src/main.rs", "second idea"), ("xtask/src/bin/other.rs", "split it")]);
    assert_eq!(findings[0].weight.max(findings[1].weight), Weight::Warned);
    assert_eq!(findings[0].weight.min(findings[1].weight), Weight::Refused);
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_refused() {
    let tree = Tree::of(&[("xtask/Cargo.toml", ""), ("xtask/src/main.rs", "fn main() {}\n")]);
    check(&files::check(&tree), &[("xtask/src/main.rs", "open the file")]);
}

#[test]
fn missing_pages_unlisted_decisions_and_dead_links_are_refused() {
    let tree = Tree::of(&[
        ("README.md", "[a](docs/a.md) [b](docs/b.md#part) [web](https://example.org/x)\n"),
        ("docs/a.md", "[up](../README.md)\n"),
        ("ARCHITECTURE.md", "crypto/ is for bytes\n"),
        ("CONTRIBUTING.md", ""),
        ("SECURITY.md", ""),
        ("LICENSE", ""),
        ("crates/crypto/Cargo.toml", ""),
        ("crates/wire/Cargo.toml", ""),
        ("docs/decisions/README.md", "- 0001-one.md\n"),
        ("docs/decisions/0001-one.md", ""),
        ("docs/decisions/0002-two.md", ""),
    ]);
    check(
        &pages::check(&tree),
        &[
            ("CHANGELOG.md", "missing"),
            ("ARCHITECTURE.md", "`crates/wire`"),
            ("docs/decisions/0002-two.md", "list `0002-two.md`"),
            ("README.md", "`docs/b.md`"),
        ],
    );
}

#[test]
fn a_page_that_names_a_test_which_is_not_there_is_refused() {
    let tree = Tree::of(&[
        ("README.md", "`a_test_that_is_nowhere_at_all` is not looked for here"),
        ("ARCHITECTURE.md", ""),
        ("CONTRIBUTING.md", ""),
        ("CHANGELOG.md", ""),
        ("LICENSE", ""),
        (
            "SECURITY.md",
            "`a_test_that_is_there` `a_test_that_is_gone_now` `only_a_word` `// a_test_in_a_comment_only`\n",
        ),
        ("xtask/src/a.rs", "//! A.\n// fn a_test_that_is_gone_now() {}\nfn a_test_that_is_there() {}\n"),
    ]);
    check(&pages::check(&tree), &[("SECURITY.md", "`a_test_that_is_gone_now`")]);
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let text = "let a = \"x // y\"; // c1 \"q\"\nlet b = r#\"z \" z\"#; /* c2 /* in */ */ let c = '\"'; let d: &'a str = b\"e\";\n";
    let file = File::new("a.rs".to_owned(), text.to_owned());
    assert_eq!(file.code.len(), text.len());
    assert_eq!(file.commentary.len(), text.len());
    for kept in ["let a =", "let b =", "let c =", "&'a str"] {
        assert!(file.code.contains(kept), "{}", file.code);
    }
    for blanked in ["x // y", "c1", "z", "c2", "in"] {
        assert!(!file.code.contains(blanked), "{}", file.code);
    }
    assert!(file.commentary.contains("// c1 \"q\"") && file.commentary.contains("/* c2 /* in */ */"));
    assert!(!file.commentary.contains("x // y"));
}
