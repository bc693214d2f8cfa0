//! Keys and certificates that are due: whoever made them waits, and the job has work while it is killed.
//!
//! A key expires within the time before expiry at which its policy rotates it; a certificate that was made elsewhere
//! is within the days before expiry at which its policy renews it. Nobody but the job can do that, and the job does it
//! at the next start. However often that start was cut off, in the end there is exactly one version more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use vouchsafe_crypto::Reason;
use vouchsafe_testkit::elsewhere::Elsewhere;
use vouchsafe_testkit::running::{Answer, Client};

use crate::asking::{get, list};
use crate::certificates::is_whole;
use crate::secrets::Settled;
use crate::{Dice, Round, Seen};

/// How long the job may take after a start. Far more than it needs.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(5);
const DAY_SECONDS: u64 = 86_400;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Key,
    Certificate,
}

impl Kind {
    fn collection(self) -> &'static str {
        match self {
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }
}

/// Something that is due, with its only version.
#[derive(Clone, Debug)]
struct Due {
    kind: Kind,
    name: String,
    version: String,
}

pub struct Planner {
    now_seconds: u64,
    dice: Dice,
    elsewhere: Elsewhere,
    serial: u64,
    due: Vec<Due>,
    /// What may have become due, or not.
    perhaps: Option<(Kind, String)>,
    /// What was done since the last inventory.
    done: Vec<Due>,
    pub seen: Vec<Seen>,
    pub keys: usize,
    pub certificates: usize,
}

fn version_of(body: &Value) -> String {
    let id = body["key"]["kid"].as_str().or_else(|| body["kid"].as_str().filter(|_| body["cer"].is_null()));
    let id = id.or_else(|| body["id"].as_str()).expect("a bundle has an identifier");
    id.rsplit('/').next().unwrap_or_default().to_owned()
}

impl Planner {
    /// `elsewhere` makes certificates that expire within three weeks.
    pub fn new(dice: Dice, elsewhere: Elsewhere, now_seconds: u64) -> Self {
        Self {
            now_seconds,
            dice,
            elsewhere,
            serial: 0,
            due: Vec::new(),
            perhaps: None,
            done: Vec::new(),
            seen: Vec::new(),
            keys: 0,
            certificates: 0,
        }
    }

    /// Makes one or two things that are due from the moment on at which they are there.
    pub async fn work(mut self, mut client: Client, round: Arc<Round>) -> Self {
        for _ in 0..=self.dice.below(2) {
            self.serial += 1;
            let kind = if self.dice.below(2) == 0 { Kind::Key } else { Kind::Certificate };
            let name = format!("due-{}", self.serial);
            self.perhaps = Some((kind, name.clone()));
            let made = match kind {
                Kind::Key => self.key(&mut client, &round, &name).await,
                Kind::Certificate => self.certificate(&mut client, &round, &name).await,
            };
            let Ok(version) = made else { return self };
            self.perhaps = None;
            self.due.push(Due { kind, name, version });
        }
        self
    }

    async fn key(&mut self, client: &mut Client, round: &Round, name: &str) -> std::io::Result<String> {
        let expires = self.now_seconds + DAY_SECONDS;
        let body = json!({ "kty": "EC", "attributes": { "exp": expires } });
        let made = self.ask(client, round, Method::POST, &format!("/keys/{name}/create"), body).await?;
        let action = json!({ "trigger": { "timeBeforeExpiry": "P10D" }, "action": { "type": "Rotate" } });
        let policy = json!({ "lifetimeActions": [action], "attributes": { "expiryTime": "P90D" } });
        self.ask(client, round, Method::PUT, &format!("/keys/{name}/rotationpolicy"), policy).await?;
        let _ = round.acknowledged.send(());
        Ok(version_of(&made.json()))
    }

    async fn certificate(
        &mut self,
        client: &mut Client,
        round: &Round,
        name: &str,
    ) -> std::io::Result<String> {
        let action =
            json!({ "trigger": { "days_before_expiry": 30 }, "action": { "action_type": "AutoRenew" } });
        let policy = json!({ "issuer": { "name": "Self" }, "lifetime_actions": [action] });
        let value = self.elsewhere.pem();
        let body = json!({ "value": value.expose(Reason::Test), "policy": policy });
        let path = format!("/certificates/{name}/import");
        let made = self.ask(client, round, Method::POST, &path, body).await?;
        let _ = round.acknowledged.send(());
        Ok(version_of(&made.json()))
    }

    async fn ask(
        &mut self,
        client: &mut Client,
        round: &Round,
        method: Method,
        path: &str,
        body: Value,
    ) -> std::io::Result<Answer> {
        let body = body.to_string().into_bytes();
        let token = Some(round.vault_token.as_str());
        let answer = client.request(method, &round.vault, path, token, Some(&body)).await?;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        self.seen.push(Seen::of(&answer, path.to_owned(), true));
        Ok(answer)
    }

    /// Waits until the job has done what is due, and insists that it did so once.
    pub async fn settle(mut self, mut client: Client, round: Arc<Round>) -> (Self, Vec<Settled>) {
        if let Some((kind, name)) = self.perhaps.take()
            && let Some(version) = first_version(&mut client, &round, kind, &name).await
        {
            self.due.push(Due { kind, name, version });
        }
        let mut settled = Vec::new();
        for due in std::mem::take(&mut self.due) {
            due.comes_to_pass(&mut client, &round).await;
            // Both have three changes: made, given a policy, rotated; imported, renewal begun, renewed.
            settled.push(Settled { collection: due.kind.collection(), name: due.name.clone(), changes: 3 });
            match due.kind {
                Kind::Key => self.keys += 1,
                Kind::Certificate => self.certificates += 1,
            }
            self.done.push(due);
        }
        (self, settled)
    }

    /// Nothing that was done was done again since.
    pub async fn take_inventory(mut self, mut client: Client, round: Arc<Round>) -> Self {
        for due in std::mem::take(&mut self.done) {
            assert_eq!(due.versions(&mut client, &round).await.len(), 2, "{due:?}");
        }
        self
    }
}

impl Due {
    async fn versions(&self, client: &mut Client, round: &Round) -> Vec<String> {
        let path = format!("/{}/{}/versions", self.kind.collection(), self.name);
        list(client, round, path).await.iter().map(version_of).collect()
    }

    async fn comes_to_pass(&self, client: &mut Client, round: &Round) {
        let (deadline, name) = (Instant::now() + PATIENCE, &self.name);
        loop {
            // The job begins a renewal; whoever polls makes it go on.
            if self.kind == Kind::Certificate
                && let Some(pending) = get(client, round, &format!("/certificates/{name}/pending")).await
            {
                assert_eq!(pending["status"], "completed", "{name}: {pending}");
            }
            let versions = self.versions(client, round).await;
            assert!(versions.len() <= 2 && versions.contains(&self.version), "{self:?}: {versions:?}");
            if let Some(next) = versions.iter().find(|version| **version != self.version) {
                let current = get(client, round, &format!("/{}/{name}", self.kind.collection())).await;
                assert_eq!(current.map(|current| version_of(&current)).as_ref(), Some(next), "{self:?}");
                if self.kind == Kind::Certificate {
                    is_whole(client, round, name, next).await;
                }
                return;
            }
            assert!(Instant::now() < deadline, "the job did not do what is due: {self:?}");
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// The version that is due, of something that was not acknowledged whole.
async fn first_version(client: &mut Client, round: &Round, kind: Kind, name: &str) -> Option<String> {
    get(client, round, &format!("/{}/{name}", kind.collection())).await?;
    if kind == Kind::Key {
        // Without a policy nothing is due, and the key is as good as any.
        let policy = get(client, round, &format!("/keys/{name}/rotationpolicy")).await?;
        policy["attributes"]["created"].as_i64()?;
    }
    let versions = list(client, round, format!("/{}/{name}/versions", kind.collection())).await;
    // The one that expires first, as the job may have been there already.
    let first = versions.iter().min_by_key(|version| version["attributes"]["exp"].as_i64());
    first.map(version_of)
}
