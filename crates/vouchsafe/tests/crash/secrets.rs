//! Clients of the vault, each with a model of the secrets that only it changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use vouchsafe_testkit::running::{Answer, Client};

use crate::asking::{get, list};
use crate::{Dice, Round, Seen};

/// Names per client and generation; a generation keeps lists of versions short.
const NAMES: u64 = 3;
const ROUNDS_PER_GENERATION: u64 = 10;

#[derive(Clone, Debug, Eq, PartialEq)]
struct Version {
    value: String,
    content_type: String,
}

/// What must be true of one secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Secret {
    versions: BTreeMap<String, Version>,
    current: String,
    deleted: bool,
}

#[derive(Clone, Debug)]
enum Operation {
    Set(Version),
    Update(String),
    Delete,
    Recover,
    Read,
}

/// What a request without an answer turned out to have done, for comparison with the log.
#[derive(Debug)]
pub struct Settled {
    pub collection: &'static str,
    pub name: String,
    /// How many changes the object has had in all.
    pub changes: usize,
}

pub struct Worker {
    id: usize,
    dice: Dice,
    serial: u64,
    secrets: BTreeMap<String, (Secret, usize)>,
    unanswered: Option<(String, Operation)>,
    touched: Vec<String>,
    pub seen: Vec<Seen>,
    pub acknowledged: u64,
    pub read: u64,
    pub happened: u64,
    pub vanished: u64,
}

/// The version at the end of an identifier.
fn version_of(body: &Value) -> String {
    body["id"].as_str().and_then(|id| id.rsplit('/').next()).expect("a bundle has an id").to_owned()
}

impl Worker {
    pub fn new(id: usize, dice: Dice) -> Self {
        Self {
            id,
            dice,
            serial: 0,
            secrets: BTreeMap::new(),
            unanswered: None,
            touched: Vec::new(),
            seen: Vec::new(),
            acknowledged: 0,
            read: 0,
            happened: 0,
            vanished: 0,
        }
    }

    /// Works until the server is gone.
    pub async fn work(mut self, mut client: Client, round: Arc<Round>) -> Self {
        self.touched.clear();
        loop {
            let generation = round.number / ROUNDS_PER_GENERATION;
            let name = format!("w{}-g{generation}-n{}", self.id, self.dice.below(NAMES));
            let operation = self.choose(&name);
            self.touched.push(name.clone());
            self.unanswered = Some((name.clone(), operation.clone()));
            match self.ask(&mut client, &round, &name, &operation).await {
                Ok(answer) => {
                    self.unanswered = None;
                    self.believe(&name, &operation, &answer);
                    if !matches!(operation, Operation::Read) {
                        self.acknowledged += 1;
                        let _ = round.acknowledged.send(());
                    }
                }
                // No answer, or half of one: nothing was acknowledged.
                Err(_) => return self,
            }
        }
    }

    fn choose(&mut self, name: &str) -> Operation {
        self.serial += 1;
        let text = |what: &str| format!("{what} {} of worker {}", self.serial, self.id);
        let set = || {
            // Some values are longer than one page of the store.
            let value = text("value").repeat(if self.serial.is_multiple_of(7) { 500 } else { 1 });
            Operation::Set(Version { value, content_type: text("type") })
        };
        match self.secrets.get(name) {
            None => set(),
            Some((secret, _)) if secret.deleted => Operation::Recover,
            Some(_) => match self.dice.below(10) {
                0..4 => set(),
                4..6 => Operation::Update(text("changed type")),
                6..7 => Operation::Delete,
                _ => Operation::Read,
            },
        }
    }

    async fn ask(
        &self,
        client: &mut Client,
        round: &Round,
        name: &str,
        operation: &Operation,
    ) -> std::io::Result<Answer> {
        let (method, path, body) = match operation {
            Operation::Set(Version { value, content_type }) => (
                Method::PUT,
                format!("/secrets/{name}"),
                Some(json!({ "value": value, "contentType": content_type })),
            ),
            Operation::Update(content_type) => {
                let current = &self.secrets[name].0.current;
                let body = json!({ "contentType": content_type });
                (Method::PATCH, format!("/secrets/{name}/{current}"), Some(body))
            }
            Operation::Delete => (Method::DELETE, format!("/secrets/{name}"), None),
            Operation::Recover => (Method::POST, format!("/deletedsecrets/{name}/recover"), None),
            Operation::Read => (Method::GET, format!("/secrets/{name}"), None),
        };
        let body = body.map(|body| body.to_string().into_bytes());
        client.request(method, &round.vault, &path, Some(&round.vault_token), body.as_deref()).await
    }

    /// Takes an answer at its word.
    fn believe(&mut self, name: &str, operation: &Operation, answer: &Answer) {
        assert_eq!(answer.status, StatusCode::OK, "{name}: {operation:?}: {}", answer.text());
        let changed = !matches!(operation, Operation::Read);
        self.seen.push(Seen::of(answer, format!("{name}: {operation:?}"), changed));
        let body = answer.json();
        if !changed {
            let (secret, _) = &self.secrets[name];
            assert_eq!(version_of(&body), secret.current, "{name}");
            assert_eq!(body["value"], secret.versions[&secret.current].value, "{name}");
            self.read += 1;
            return;
        }
        self.apply(name, operation, &version_of(&body));
    }

    fn apply(&mut self, name: &str, operation: &Operation, version: &str) {
        let (secret, changes) = self.secrets.entry(name.to_owned()).or_default();
        match operation {
            Operation::Set(set) => {
                secret.versions.insert(version.to_owned(), set.clone());
                secret.current = version.to_owned();
            }
            Operation::Update(content_type) => {
                let current = secret.versions.get_mut(&secret.current).expect("only what exists is updated");
                current.content_type.clone_from(content_type);
            }
            Operation::Delete => secret.deleted = true,
            Operation::Recover => secret.deleted = false,
            Operation::Read => return,
        }
        *changes += 1;
    }

    /// Finds out whether the request without an answer happened, and checks everything that was touched.
    pub async fn settle(mut self, mut client: Client, round: Arc<Round>) -> (Self, Vec<Settled>) {
        let unanswered = self.unanswered.take();
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort();
        touched.dedup();
        let mut settled = Vec::new();
        for name in touched {
            let observed = self.observe(&mut client, &round, &name).await;
            if let Some((_, operation)) = unanswered.as_ref().filter(|(asked, _)| *asked == name)
                && !matches!(operation, Operation::Read)
            {
                let before = self.secrets.get(&name).cloned();
                if observed.as_ref() == before.as_ref().map(|(secret, _)| secret) {
                    self.vanished += 1;
                } else {
                    let current = observed.as_ref().map(|secret| secret.current.clone()).unwrap_or_default();
                    self.apply(&name, operation, &current);
                    self.happened += 1;
                }
            }
            let expected = self.secrets.get(&name).map(|(secret, _)| secret);
            assert_eq!(
                observed.as_ref(),
                expected,
                "{name} is neither as before nor as after {unanswered:?}"
            );
            let changes = self.secrets.get(&name).map_or(0, |(_, changes)| *changes);
            settled.push(Settled { collection: "secrets", name, changes });
        }
        (self, settled)
    }

    /// Everything the server says about a secret: the current version with its value, every version in the list, and
    /// whether it is deleted; the values of the other versions are the inventory's.
    async fn observe(&self, client: &mut Client, round: &Round, name: &str) -> Option<Secret> {
        let live = get(client, round, &format!("/secrets/{name}")).await;
        let deleted = get(client, round, &format!("/deletedsecrets/{name}")).await;
        let known = self.secrets.get(name).map(|(secret, _)| secret.versions.clone()).unwrap_or_default();
        let (head, is_deleted) = match (&live, &deleted) {
            (None, None) => return None,
            (Some(live), None) => (live, false),
            (None, Some(deleted)) => (deleted, true),
            (Some(_), Some(_)) => panic!("{name} is live and deleted at once"),
        };
        let current = version_of(head);
        let mut versions = BTreeMap::new();
        if is_deleted {
            // The versions of a deleted secret cannot be listed; they are looked at when it is live again.
            versions.clone_from(&known);
        } else {
            for item in list(client, round, format!("/secrets/{name}/versions")).await {
                let id = version_of(&item);
                let value = match live.as_ref().filter(|_| id == current) {
                    Some(live) => live["value"].as_str().expect("a live secret has a value").to_owned(),
                    // An unknown version stands out by having no value.
                    None => known.get(&id).map(|version| version.value.clone()).unwrap_or_default(),
                };
                let content_type = item["contentType"].as_str().unwrap_or_default().to_owned();
                versions.insert(id, Version { value, content_type });
            }
        }
        // The head and the record of the current version are two records: they must tell the same.
        let listed = versions.get(&current).map(|version| version.content_type.as_str());
        assert_eq!(listed, head["contentType"].as_str(), "{name}: the head and its version differ");
        Some(Secret { versions, current, deleted: is_deleted })
    }

    /// Reads every version of everything that was ever acknowledged.
    pub async fn take_inventory(mut self, mut client: Client, round: Arc<Round>) -> Self {
        let all: Vec<_> =
            self.secrets.iter().map(|(name, (secret, _))| (name.clone(), secret.clone())).collect();
        for (name, secret) in all {
            if secret.deleted {
                let deleted = get(&mut client, &round, &format!("/deletedsecrets/{name}")).await;
                assert_eq!(deleted.map(|deleted| version_of(&deleted)), Some(secret.current), "{name}");
                continue;
            }
            for (version, expected) in &secret.versions {
                let read = get(&mut client, &round, &format!("/secrets/{name}/{version}")).await;
                let read = read.unwrap_or_else(|| panic!("the version {name}/{version} is gone"));
                assert_eq!(read["value"], expected.value, "{name}/{version}");
                assert_eq!(read["contentType"], expected.content_type, "{name}/{version}");
                self.read += 1;
            }
        }
        self
    }
}
