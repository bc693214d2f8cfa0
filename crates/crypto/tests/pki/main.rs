//! Certificates, requests, lists, answers and bundles that other people's programs must accept, and the other way round.
//!
//! The judge is the `openssl` program, which `cargo xtask test` asks for; where it is missing the tests fail. Python's
//! `cryptography` and its collection of other people's files are in `target/venv`; without it those tests say so, and
//! fail where `CI` is set.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bundles;
mod certificates;
mod chains;
mod corpus;
mod hostile;
mod lists;
mod policy;
mod support;
