//! A client that makes, uses, rotates and deletes keys, with a model of what only it changes.
//!
//! A version of a key is several records: attributes with the public half, and the private half. Whatever is listed must
//! sign, and what was signed before a kill must verify after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use vouchsafe_testkit::running::{Answer, Client};

use crate::asking::{get, list, post};
use crate::secrets::Settled;
use crate::{Dice, Round, Seen};

const NAMES: u64 = 3;
const ROUNDS_PER_GENERATION: u64 = 10;

/// What must be true of one key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Key {
    /// By version: the public point.
    versions: BTreeMap<String, String>,
    current: String,
    deleted: bool,
}

/// A signature that was acknowledged, and over what.
struct Signed {
    name: String,
    version: String,
    digest: String,
    signature: String,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Create,
    Rotate,
    Sign,
    Delete,
    Recover,
}

pub struct Keeper {
    dice: Dice,
    keys: BTreeMap<String, (Key, usize)>,
    unanswered: Option<(String, Operation)>,
    touched: Vec<String>,
    signed: Vec<Signed>,
    pub seen: Vec<Seen>,
    pub acknowledged: u64,
    pub signatures: u64,
    pub happened: u64,
    pub vanished: u64,
}

fn version_of(body: &Value) -> String {
    let kid = body["key"]["kid"].as_str().or_else(|| body["kid"].as_str());
    kid.and_then(|kid| kid.rsplit('/').next()).expect("a bundle has an identifier").to_owned()
}

fn point_of(body: &Value) -> String {
    format!("{} {}", body["key"]["x"], body["key"]["y"])
}

impl Keeper {
    pub fn new(dice: Dice) -> Self {
        Self {
            dice,
            keys: BTreeMap::new(),
            unanswered: None,
            touched: Vec::new(),
            signed: Vec::new(),
            seen: Vec::new(),
            acknowledged: 0,
            signatures: 0,
            happened: 0,
            vanished: 0,
        }
    }

    /// Works until the server is gone.
    pub async fn work(mut self, mut client: Client, round: Arc<Round>) -> Self {
        self.touched.clear();
        loop {
            let name = format!("k-g{}-n{}", round.number / ROUNDS_PER_GENERATION, self.dice.below(NAMES));
            let operation = match self.keys.get(&name) {
                None => Operation::Create,
                Some((key, _)) if key.deleted => Operation::Recover,
                Some(_) => match self.dice.below(10) {
                    0..1 => Operation::Create,
                    1..3 => Operation::Rotate,
                    3..4 => Operation::Delete,
                    _ => Operation::Sign,
                },
            };
            self.touched.push(name.clone());
            self.unanswered = Some((name.clone(), operation));
            let digest = self.digest();
            let Ok(answer) = ask(&mut client, &round, &name, operation, &digest).await else { return self };
            self.unanswered = None;
            self.believe(&round, &name, operation, digest, &answer);
        }
    }

    fn digest(&mut self) -> String {
        let bytes: Vec<u8> = (0..4).flat_map(|_| self.dice.roll().to_be_bytes()).collect();
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Takes an answer at its word.
    fn believe(&mut self, round: &Round, name: &str, operation: Operation, digest: String, answer: &Answer) {
        assert_eq!(answer.status, StatusCode::OK, "{name}: {operation:?}: {}", answer.text());
        self.seen.push(Seen::of(answer, format!("{name}: {operation:?}"), true));
        let body = answer.json();
        if let Operation::Sign = operation {
            let (version, signature) = (version_of(&body), body["value"].as_str().unwrap().to_owned());
            assert_eq!(version, self.keys[name].0.current, "{name} signed with another version");
            self.signed.push(Signed { name: name.to_owned(), version, digest, signature });
            self.signatures += 1;
            return;
        }
        self.apply(name, operation, &version_of(&body), &point_of(&body));
        self.acknowledged += 1;
        let _ = round.acknowledged.send(());
    }

    fn apply(&mut self, name: &str, operation: Operation, version: &str, point: &str) {
        let (key, changes) = self.keys.entry(name.to_owned()).or_default();
        match operation {
            Operation::Create | Operation::Rotate => {
                key.versions.insert(version.to_owned(), point.to_owned());
                key.current = version.to_owned();
            }
            Operation::Delete => key.deleted = true,
            Operation::Recover => key.deleted = false,
            Operation::Sign => return,
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
                && !matches!(operation, Operation::Sign)
            {
                let before = self.keys.get(&name).map(|(key, _)| key);
                if observed.as_ref() == before {
                    self.vanished += 1;
                } else {
                    let current = observed.as_ref().map(|key| key.current.clone()).unwrap_or_default();
                    let point = observed.as_ref().and_then(|key| key.versions.get(&current)).cloned();
                    self.apply(&name, *operation, &current, &point.unwrap_or_default());
                    self.happened += 1;
                }
            }
            let expected = self.keys.get(&name).map(|(key, _)| key);
            assert_eq!(
                observed.as_ref(),
                expected,
                "{name} is neither as before nor as after {unanswered:?}"
            );
            let changes = self.keys.get(&name).map_or(0, |(_, changes)| *changes);
            settled.push(Settled { collection: "keys", name, changes });
        }
        self.still_verify(&mut client, &round).await;
        (self, settled)
    }

    /// Everything the server says about a key. The current version of a live one must sign: it is not there by half.
    async fn observe(&self, client: &mut Client, round: &Round, name: &str) -> Option<Key> {
        let live = get(client, round, &format!("/keys/{name}")).await;
        let deleted = get(client, round, &format!("/deletedkeys/{name}")).await;
        let known = self.keys.get(name).map(|(key, _)| key.versions.clone()).unwrap_or_default();
        let (head, is_deleted) = match (&live, &deleted) {
            (None, None) => return None,
            (Some(live), None) => (live, false),
            (None, Some(deleted)) => (deleted, true),
            (Some(_), Some(_)) => panic!("{name} is live and deleted at once"),
        };
        let current = version_of(head);
        if is_deleted {
            return Some(Key { versions: known, current, deleted: true });
        }
        let mut versions = BTreeMap::new();
        for item in list(client, round, format!("/keys/{name}/versions")).await {
            let version = version_of(&item);
            let point = match known.get(&version) {
                Some(point) if version != current => point.clone(),
                _ => {
                    let read = get(client, round, &format!("/keys/{name}/{version}")).await;
                    point_of(&read.unwrap_or_else(|| panic!("{name}/{version} is listed and not there")))
                }
            };
            versions.insert(version, point);
        }
        assert_eq!(versions.get(&current), Some(&point_of(head)), "{name}: the head and its version differ");
        let digest = BASE64URL_NOPAD.encode(&[5; 32]);
        let path = format!("/keys/{name}/{current}/sign");
        let signed = post(client, round, &path, json!({ "alg": "ES256", "value": digest })).await;
        assert!(verifies(client, round, name, &current, &digest, &signed["value"]).await, "{name}/{current}");
        Some(Key { versions, current, deleted: false })
    }

    /// What was signed in this round verifies now, if its key is live.
    async fn still_verify(&mut self, client: &mut Client, round: &Round) {
        for signed in self.signed.drain(..) {
            let Signed { name, version, digest, signature } = signed;
            if self.keys[&name].0.deleted {
                continue;
            }
            let verifies = verifies(client, round, &name, &version, &digest, &json!(signature)).await;
            assert!(verifies, "{name}/{version} does not know its own signature");
        }
    }
}

async fn ask(
    client: &mut Client,
    round: &Round,
    name: &str,
    operation: Operation,
    digest: &str,
) -> std::io::Result<Answer> {
    let (method, path, body) = match operation {
        Operation::Create => (Method::POST, format!("/keys/{name}/create"), Some(json!({ "kty": "EC" }))),
        Operation::Rotate => (Method::POST, format!("/keys/{name}/rotate"), None),
        Operation::Sign => {
            let body = json!({ "alg": "ES256", "value": digest });
            (Method::POST, format!("/keys/{name}//sign"), Some(body))
        }
        Operation::Delete => (Method::DELETE, format!("/keys/{name}"), None),
        Operation::Recover => (Method::POST, format!("/deletedkeys/{name}/recover"), None),
    };
    let body = body.map(|body| body.to_string().into_bytes());
    client.request(method, &round.vault, &path, Some(&round.vault_token), body.as_deref()).await
}

async fn verifies(
    client: &mut Client,
    round: &Round,
    name: &str,
    version: &str,
    digest: &str,
    signature: &Value,
) -> bool {
    let body = json!({ "alg": "ES256", "digest": digest, "value": signature });
    post(client, round, &format!("/keys/{name}/{version}/verify"), body).await["value"] == true
}
