//! Words and calls that are kept out, where, and what to write instead.
//!
//! The patterns are written so that they do not match themselves.

use regex_lite::Regex;

use super::Finding;
use super::source::{Tree, line_at};

/// What part of a file a pattern looks at.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    /// Rust without comments and literals.
    Code,
    /// Rust without comments, literals and test modules, outside test files.
    ShippedCode,
    /// Comments in Rust; the whole of every other file.
    Commentary,
    /// Everything, everywhere.
    Text,
}

/// One pattern.
struct Word {
    pattern: &'static str,
    place: Place,
    /// Path prefixes it is looked for under; empty means everywhere.
    under: &'static [&'static str],
    /// Path prefixes that may say it.
    except: &'static [&'static str],
    /// What may stand right before it and make it harmless, in lower case.
    after: &'static [&'static str],
    /// What to do instead.
    remedy: &'static str,
}

const WORDS: &[Word] = &[
    Word {
        pattern: r"\b(todo|unimplemented|dbg)!",
        place: Place::Code,
        under: &[],
        except: &[],
        after: &[],
        remedy: "finish it, or leave it out and say so in the documentation",
    },
    Word {
        pattern: r"#!?\[allow\(",
        place: Place::ShippedCode,
        under: &[],
        except: &[],
        after: &[],
        remedy: "use `#[expect(lint, reason = \"…\")]`, which complains when it is no longer needed",
    },
    Word {
        pattern: r"\b(?:struct|enum|trait|type)\s+\w*(?:Manager|Helper|Utils?)\b",
        place: Place::Code,
        under: &[],
        except: &[],
        after: &[],
        remedy: "name the thing after what it is, in the words of the specification",
    },
    Word {
        pattern: r"\bmod\s+(?:utils?|helpers?|common|misc)\b",
        place: Place::ShippedCode,
        under: &[],
        except: &[],
        after: &[],
        remedy: "name the module after the idea it holds",
    },
    Word {
        pattern: r"(?i)\bsession[s]?\b",
        place: Place::Commentary,
        under: &["crates/", "xtask/", "bench/", "fuzz/", "conformance/", "docs/", "examples/"],
        except: &[],
        after: &["tls ", "tpm "],
        remedy: "say what is meant: a connection, a process, a login, a run (or `TLS session`, `TPM session`)",
    },
    Word {
        pattern: r"(?i)\bissues? #?[0-9]+\b|\bissue #",
        place: Place::Commentary,
        under: &[],
        except: &[],
        after: &[],
        remedy: "describe the thing itself; a number is no reason. A public thread is cited by its address",
    },
    Word {
        pattern: r"(?:^|[^\w.])/(?:wor[k]|roo[t]|hom[e]/[a-z]+)\b",
        place: Place::Text,
        under: &[],
        except: &["crates/testkit/src/vectors", "crates/crypto/tests/vectors"],
        after: &[],
        remedy: "no path of one machine: derive it, take it as an argument, or use a temporary directory",
    },
    Word {
        pattern: r"(?m)^\s*replace-wit[h]\s*=|^\s*\[sourc[e]\.",
        place: Place::Text,
        under: &[],
        except: &[],
        after: &[],
        remedy: "a mirror belongs to a machine's own cargo configuration, not to the repository",
    },
    Word {
        pattern: r"\bStatusCode::",
        place: Place::ShippedCode,
        under: &["crates/server/src/", "crates/domain/src/", "crates/store/src/", "crates/crypto/src/"],
        except: &["crates/server/src/http/reply.rs"],
        after: &[],
        remedy: "status codes are chosen in crates/server/src/http/reply.rs: return the error, let it be matched there",
    },
    Word {
        pattern: r"\b(?:TcpStream|TcpListener|UdpSocket|UnixStream|UnixListener|UnixDatagram)\b|\bstd::(?:fs|process|thread|env)\b|\btokio::",
        place: Place::ShippedCode,
        under: &["crates/domain/src/", "crates/wire/src/"],
        except: &[],
        after: &[],
        remedy: "no sockets, files, processes or threads here: ask a port, or take the bytes as an argument",
    },
    Word {
        pattern: r"\bTcpStream::connect\b|\bTcpSocket\b|\bUdpSocket\b|\blookup_host\b|\bto_socket_addrs\b",
        place: Place::ShippedCode,
        under: &["crates/server/src/"],
        except: &["crates/server/src/outside/egress.rs"],
        after: &[],
        remedy: "only crates/server/src/outside/egress.rs opens connections to the outside: ask it",
    },
    Word {
        pattern: r"\bSystemTime::now\b",
        place: Place::ShippedCode,
        under: &["crates/", "fuzz/"],
        except: &["crates/server/src/adapters.rs"],
        after: &[],
        remedy: "time is an argument; the one clock adapter is in `server`",
    },
    Word {
        pattern: r"danger_accept_invali[d]|verify\s*=\s*Fals[e]|CERT_NON[E]|verify_challenge_resource\s*=\s*Fals[e]|disable_instance_discovery\s*=\s*Tru[e]",
        place: Place::Text,
        under: &["crates/", "conformance/", "examples/", "bench/"],
        except: &[],
        after: &[],
        remedy: "nothing is proven with a check switched off: trust our certificate authority instead",
    },
];

/// Looks for every pattern in every file it is meant for.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for word in WORDS {
        let Ok(pattern) = Regex::new(word.pattern) else {
            findings.push(Finding::refused(
                "xtask/src/tidy/words.rs",
                0,
                format!("bad pattern `{}`", word.pattern),
            ));
            continue;
        };
        for file in &tree.files {
            let within =
                word.under.is_empty() || word.under.iter().any(|prefix| file.path.starts_with(prefix));
            let excepted = word.except.iter().any(|prefix| file.path.starts_with(prefix));
            if !within || excepted || file.path.ends_with("Cargo.lock") {
                continue;
            }
            let looked_at = match word.place {
                Place::Code => file.code.clone(),
                Place::ShippedCode if file.is_test() => String::new(),
                Place::ShippedCode => file.shipped_code(),
                Place::Commentary => file.commentary.clone(),
                Place::Text => file.text.clone(),
            };
            for found in pattern.find_iter(&looked_at) {
                let before = looked_at[..found.start()].to_lowercase();
                if word.after.iter().any(|harmless| before.ends_with(harmless)) {
                    continue;
                }
                let end = found.end();
                let said = found.as_str().trim();
                findings.push(Finding::refused(
                    &file.path,
                    line_at(&looked_at, end.saturating_sub(1)),
                    format!("`{said}`: {}", word.remedy),
                ));
            }
        }
    }
    findings
}
