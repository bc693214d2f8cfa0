//! What was sent and what was answered, and where which of it may be seen again.

use std::collections::BTreeMap;

use vouchsafe_testkit::running::Answer;

use crate::scanner::{canary, name_canary};

/// Everything that was sent and answered.
#[derive(Default)]
pub struct Journey {
    /// Must be nowhere but in the answers that are for them.
    pub secrets: BTreeMap<String, String>,
    /// Private numbers of keys, plaintexts and random bytes: the same as secrets, but bytes.
    pub material: Vec<(String, Vec<u8>)>,
    /// Must be nowhere but in answers about their secret.
    pub labels: BTreeMap<String, String>,
    /// May be named to the caller who sent them, and nowhere else.
    pub identifiers: Vec<String>,
    /// Must not be in the store; the audit log and answers may name them.
    pub names: Vec<String>,
    /// Answers that hold a value by right.
    pub by_right: Vec<Vec<u8>>,
    /// Answers about a secret without its value.
    pub about: Vec<Vec<u8>>,
    /// Everything else that was answered, refusals first of all.
    pub others: Vec<Vec<u8>>,
    pub refusals: usize,
}

impl Journey {
    pub fn secret(&mut self, what: &str) -> String {
        let canary = canary();
        self.secrets.insert(what.to_owned(), canary.clone());
        canary
    }

    pub fn label(&mut self, what: &str) -> String {
        let canary = canary();
        self.labels.insert(what.to_owned(), canary.clone());
        canary
    }

    pub fn identifier(&mut self) -> String {
        let canary = canary();
        self.identifiers.push(canary.clone());
        canary
    }

    pub fn name(&mut self) -> String {
        let canary = name_canary();
        self.names.push(canary.clone());
        canary
    }

    pub fn bytes(answer: &Answer) -> Vec<u8> {
        let mut bytes = answer.body.to_vec();
        for (name, value) in &answer.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes
    }

    /// An answer that was to be a refusal.
    pub fn refused(&mut self, answer: std::io::Result<Answer>, what: &str) {
        let answer = answer.unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
        assert!(answer.status.is_client_error(), "{what}: {} {}", answer.status, answer.text());
        self.others.push(Self::bytes(&answer));
        self.refusals += 1;
    }

    /// An answer that was to be a success, of which only `kept` may hold what.
    pub fn granted(kept: &mut Vec<Vec<u8>>, answer: std::io::Result<Answer>, what: &str) -> Answer {
        let answer = answer.unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
        assert!(answer.status.is_success(), "{what}: {} {}", answer.status, answer.text());
        kept.push(Self::bytes(&answer));
        answer
    }
}
