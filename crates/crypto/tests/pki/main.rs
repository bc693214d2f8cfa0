//! Certificates, requests, lists, answers and bundles that other people's programs must accept, and the other way round.
//!
//! The judge is the `openssl` program, which `cargo xtask test` asks for; where it is missing the tests fail.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot go on says where")]

mod certificates;
mod support;
