//! A client that makes, imports, renews, revokes, deletes and purges certificates, with a model of what only it changes.
//!
//! A version of a certificate is a version of a key and of a secret, too: a dozen records that one commit writes.
//! Whatever is there must agree - the key signs what the certificate verifies, the secret holds that certificate and
//! that key - and whatever is not there must be gone from all three. An operation that was begun ends after the next
//! start: whoever asks for it makes it go on, and so does the job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use vouchsafe_crypto::digest::sha256;
use vouchsafe_crypto::keys::{PrivateKey, PublicKey, SignatureAlgorithm};
use vouchsafe_crypto::pki::{ChainOrder, ParsedCertificate, read_pem};
use vouchsafe_crypto::{Reason, SecretString};
use vouchsafe_testkit::elsewhere::{Elsewhere, ocsp_request, ocsp_says_good};
use vouchsafe_testkit::running::{Answer, Client};

use crate::asking::{get, list, post};
use crate::secrets::Settled;
use crate::{Dice, Round, Seen};

const NAMES: u64 = 3;
const ROUNDS_PER_GENERATION: u64 = 10;
/// The issuer with a private authority of the vault behind it.
pub const AUTHORITY: &str = "ours";
pub const PEM: &str = "application/x-pem-file";

/// One version.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Version {
    thumbprint: String,
    /// Of a version from the authority of the vault, whether it was taken back.
    revoked: Option<bool>,
}

/// Where the operation that makes the next version stands.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Pending {
    issuer: String,
    status: String,
    gives_up: bool,
}

/// What must be true of one certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Certificate {
    versions: BTreeMap<String, Version>,
    /// Empty until the first version is there.
    current: String,
    pending: Option<Pending>,
    deleted: bool,
}

#[derive(Clone, Debug)]
enum Operation {
    Create(&'static str),
    Poll,
    GiveUp,
    Forget,
    Import,
    Revoke,
    Delete,
    Recover,
    Purge,
}

/// A certificate, and how many changes its name has had in all.
type Known = (Option<Certificate>, usize);

pub struct Registrar {
    dice: Dice,
    elsewhere: Elsewhere,
    certificates: BTreeMap<String, Known>,
    unanswered: Option<(String, Operation)>,
    /// A certificate that has a version of which nobody could say the name any more.
    unnamed: Option<String>,
    touched: BTreeSet<String>,
    pub seen: Vec<Seen>,
    pub acknowledged: u64,
    pub ended: u64,
    pub happened: u64,
    pub vanished: u64,
}

fn version_of(bundle: &Value) -> String {
    let id = bundle["id"].as_str().expect("a bundle has an id");
    id.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The version of a key or a secret in a list.
fn companion_of(item: &Value) -> String {
    let id = item["kid"].as_str().or_else(|| item["id"].as_str()).expect("an item has an identifier");
    id.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The policy of every certificate here: a key that is quickly made, a secret that is quickly read.
fn policy(issuer: &str) -> Value {
    json!({
        "issuer": { "name": issuer },
        "key_props": { "kty": "EC", "crv": "P-256" },
        "secret_props": { "contentType": PEM },
        "x509_props": { "subject": "CN=app.example.test", "sans": { "dns_names": ["app.example.test"] } },
    })
}

impl Certificate {
    /// The same after one more step of its operation; with how many changes that took.
    fn after_a_step(mut self, seen: Option<&Self>) -> (Self, usize) {
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.status == "inProgress") else {
            return (self, 0);
        };
        if self.deleted || (pending.issuer == "Unknown" && !pending.gives_up) {
            return (self, 0);
        }
        if pending.gives_up {
            pending.status = "cancelled".to_owned();
            return (self, 1);
        }
        pending.status = "completed".to_owned();
        self.add_what_was_made(seen);
        (self, 1)
    }

    /// What a bundle shows.
    fn shown(bundle: &Value) -> Self {
        let (current, revoked) = (version_of(bundle), None);
        let thumbprint = bundle["x5t"].as_str().unwrap_or_default().to_owned();
        let versions = BTreeMap::from([(current.clone(), Version { thumbprint, revoked })]);
        Self { versions, current, ..Self::default() }
    }

    /// Takes over the version that the operation made.
    fn add_what_was_made(&mut self, seen: Option<&Self>) {
        let from_us = self.pending.as_ref().is_some_and(|pending| pending.issuer == AUTHORITY);
        self.add(seen, from_us.then_some(false));
    }

    /// Takes over the version that is current now.
    fn add(&mut self, seen: Option<&Self>, revoked: Option<bool>) {
        let Some(seen) = seen else { return };
        let Some(version) = seen.versions.get(&seen.current) else { return };
        let thumbprint = version.thumbprint.clone();
        self.versions.insert(seen.current.clone(), Version { thumbprint, revoked });
        self.current.clone_from(&seen.current);
    }

    /// The same after an operation that was done.
    fn after(before: Option<Self>, operation: &Operation, seen: Option<&Self>) -> Option<Self> {
        let mut now = before.unwrap_or_default();
        match operation {
            Operation::Create(issuer) => {
                let (issuer, status) = ((*issuer).to_owned(), "inProgress".to_owned());
                now.pending = Some(Pending { issuer, status, gives_up: false });
            }
            Operation::Import => {
                now.pending = None;
                now.add(seen, None);
            }
            Operation::GiveUp => now.pending.iter_mut().for_each(|pending| pending.gives_up = true),
            Operation::Forget => now.pending = None,
            Operation::Revoke => {
                let current = now.versions.get_mut(&now.current).expect("only what exists is revoked");
                current.revoked = Some(true);
            }
            Operation::Delete => now.deleted = true,
            Operation::Recover => now.deleted = false,
            Operation::Purge => return None,
            Operation::Poll => {}
        }
        Some(now)
    }
}

impl Registrar {
    pub fn new(dice: Dice, elsewhere: Elsewhere) -> Self {
        Self {
            dice,
            elsewhere,
            certificates: BTreeMap::new(),
            unanswered: None,
            unnamed: None,
            touched: BTreeSet::new(),
            seen: Vec::new(),
            acknowledged: 0,
            ended: 0,
            happened: 0,
            vanished: 0,
        }
    }

    /// Works until the server is gone.
    pub async fn work(mut self, mut client: Client, round: Arc<Round>) -> Self {
        self.touched.clear();
        loop {
            let generation = round.number / ROUNDS_PER_GENERATION;
            let name = format!("c-g{generation}-n{}", self.dice.below(NAMES));
            let operation = self.choose(&name);
            self.touched.insert(name.clone());
            self.unanswered = Some((name.clone(), operation.clone()));
            let Ok(answer) = self.ask(&mut client, &round, &name, &operation).await else { return self };
            assert!(answer.status.is_success(), "{name}: {operation:?}: {} {}", answer.status, answer.text());
            let changed = !matches!(operation, Operation::Poll);
            self.seen.push(Seen::of(&answer, format!("{name}: {operation:?}"), changed));
            self.believe(&name, &operation, &answer);
            self.unanswered = None;
            if changed {
                self.acknowledged += 1;
                let _ = round.acknowledged.send(());
            } else if answer.json()["status"] == "completed" {
                let path = format!("/certificates/{name}");
                let token = Some(round.vault_token.as_str());
                let Ok(made) = client.request(Method::GET, &round.vault, &path, token, None).await else {
                    self.unnamed = Some(name);
                    return self;
                };
                assert_eq!(made.status, StatusCode::OK, "{name}: {}", made.text());
                self.name_the_new_version(&name, &made.json());
            }
        }
    }

    fn choose(&mut self, name: &str) -> Operation {
        let create = |dice: &mut Dice| match dice.below(5) {
            0..2 => Operation::Create("Self"),
            2..4 => Operation::Create(AUTHORITY),
            _ => Operation::Create("Unknown"),
        };
        let known = self.certificates.get(name).and_then(|(known, _)| known.as_ref());
        let Some(known) = known else {
            return if self.dice.below(3) == 0 { Operation::Import } else { create(&mut self.dice) };
        };
        if known.deleted {
            return if self.dice.below(3) == 0 { Operation::Purge } else { Operation::Recover };
        }
        match &known.pending {
            Some(Pending { status, issuer, gives_up }) if status == "inProgress" => {
                return match (issuer.as_str(), gives_up, self.dice.below(2)) {
                    ("Unknown", false, 0) => Operation::GiveUp,
                    ("Unknown", false, _) => Operation::Forget,
                    _ => Operation::Poll,
                };
            }
            _ => {}
        }
        let Some(current) = known.versions.get(&known.current) else { return create(&mut self.dice) };
        match self.dice.below(8) {
            0..2 => Operation::Import,
            2..4 => Operation::Delete,
            4..6 if current.revoked == Some(false) => Operation::Revoke,
            _ => create(&mut self.dice),
        }
    }

    async fn ask(
        &self,
        client: &mut Client,
        round: &Round,
        name: &str,
        operation: &Operation,
    ) -> std::io::Result<Answer> {
        let at = format!("/certificates/{name}");
        let (method, path, body) = match operation {
            Operation::Create(issuer) => {
                (Method::POST, format!("{at}/create"), Some(json!({ "policy": policy(issuer) })))
            }
            Operation::Poll => (Method::GET, format!("{at}/pending"), None),
            Operation::GiveUp => {
                (Method::PATCH, format!("{at}/pending"), Some(json!({ "cancellation_requested": true })))
            }
            Operation::Forget => (Method::DELETE, format!("{at}/pending"), None),
            Operation::Import => {
                let value = self.elsewhere.pem();
                let body = json!({ "value": value.expose(Reason::Test) });
                (Method::POST, format!("{at}/import"), Some(body))
            }
            Operation::Revoke => {
                let current = self.certificates[name].0.as_ref().map(|known| known.current.clone());
                let path = format!("{at}/{}/revoke", current.unwrap_or_default());
                (Method::POST, path, Some(json!({ "reason": "superseded" })))
            }
            Operation::Delete => (Method::DELETE, at, None),
            Operation::Recover => (Method::POST, format!("/deletedcertificates/{name}/recover"), None),
            Operation::Purge => (Method::DELETE, format!("/deletedcertificates/{name}"), None),
        };
        let body = body.map(|body| body.to_string().into_bytes());
        client.request(method, &round.vault, &path, Some(&round.vault_token), body.as_deref()).await
    }

    fn name_the_new_version(&mut self, name: &str, bundle: &Value) {
        let known = self.certificates.get_mut(name).and_then(|(known, _)| known.as_mut());
        let known = known.expect("only what exists has a new version");
        let version = version_of(bundle);
        assert!(!known.versions.contains_key(&version), "{name}: the operation made nothing");
        known.add_what_was_made(Some(&Certificate::shown(bundle)));
    }

    /// Takes an answer at its word.
    fn believe(&mut self, name: &str, operation: &Operation, answer: &Answer) {
        let (known, changes) = self.certificates.entry(name.to_owned()).or_default();
        let body = answer.json();
        if let Operation::Poll = operation {
            // What a step made has its name from the next look at it.
            let Some(before) = known.take() else { return };
            assert_ne!(body["status"], "inProgress", "{name}: {body}");
            let (after, steps) = before.after_a_step(None);
            assert_eq!(body["status"].as_str(), after.pending.as_ref().map(|p| p.status.as_str()), "{name}");
            (*known, *changes) = (Some(after), *changes + steps);
            self.ended += 1;
            return;
        }
        let made = matches!(operation, Operation::Import).then(|| Certificate::shown(&body));
        *known = Certificate::after(known.take(), operation, made.as_ref());
        *changes += 1;
    }

    /// Finds out whether the request without an answer happened, and checks everything that was touched.
    pub async fn settle(mut self, mut client: Client, round: Arc<Round>) -> (Self, Vec<Settled>) {
        let unanswered = self.unanswered.take();
        let mut settled = Vec::new();
        for name in std::mem::take(&mut self.touched) {
            let (before, mut changes) = self.certificates.remove(&name).unwrap_or_default();
            let observed = observe(&mut client, &round, &name, before.as_ref()).await;
            let seen = observed.as_ref();
            let unnamed = self.unnamed.take_if(|unnamed| *unnamed == name).is_some();
            let stepped = |state: Option<Certificate>| {
                let Some(mut state) = state else { return (None, 0) };
                if unnamed {
                    state.add_what_was_made(seen);
                }
                let (state, steps) = state.after_a_step(seen);
                (Some(state), steps)
            };
            let operation = unanswered.as_ref().filter(|(asked, _)| *asked == name).map(|(_, what)| what);
            let (without, steps) = stepped(before.clone());
            if observed == without {
                changes += steps;
                self.vanished += u64::from(operation.is_some());
            } else if let Some(operation) = operation {
                let asked = Certificate::after(stepped(before.clone()).0, operation, seen);
                let (with, more) = stepped(asked);
                assert_eq!(
                    observed, with,
                    "{name} is neither as before nor as after {operation:?}: {before:?}"
                );
                changes += steps + 1 + more;
                self.happened += 1;
            } else {
                assert_eq!(observed, without, "{name} is not what was acknowledged");
            }
            settled.push(Settled { collection: "certificates", name: name.clone(), changes });
            self.certificates.insert(name, (observed, changes));
        }
        (self, settled)
    }

    /// Reads every certificate that was ever acknowledged.
    pub async fn take_inventory(self, mut client: Client, round: Arc<Round>) -> Self {
        for (name, (known, _)) in &self.certificates {
            let observed = observe(&mut client, &round, name, known.as_ref()).await;
            assert_eq!(observed.as_ref(), known.as_ref(), "{name}");
        }
        self
    }
}

/// Everything the server says about a certificate, after the next step of its operation. Whatever it has is whole.
async fn observe(
    client: &mut Client,
    round: &Round,
    name: &str,
    known: Option<&Certificate>,
) -> Option<Certificate> {
    let pending = get(client, round, &format!("/certificates/{name}/pending")).await;
    let live = get(client, round, &format!("/certificates/{name}")).await;
    let deleted = get(client, round, &format!("/deletedcertificates/{name}")).await;
    let is_issued = live.as_ref().is_some_and(|live| live["cer"].is_string());
    for collection in ["keys", "secrets"] {
        let there = get(client, round, &format!("/{collection}/{name}")).await;
        assert_eq!(there.is_some(), is_issued, "{name}: the certificate and {collection} are not one");
        let fallen = get(client, round, &format!("/deleted{collection}/{name}")).await;
        assert_eq!(fallen.is_some(), deleted.is_some(), "{name}: {collection} and what was deleted with it");
    }
    let versions_known = known.map(|known| known.versions.clone()).unwrap_or_default();
    let head = match (&live, &deleted) {
        (None, None) => return None,
        (Some(live), None) => live,
        (None, Some(_)) => {
            // The versions of a deleted certificate cannot be listed; they are looked at when it is live again.
            return Some(Certificate { deleted: true, ..known.cloned().unwrap_or_default() });
        }
        (Some(_), Some(_)) => panic!("{name} is live and deleted at once"),
    };
    let pending = pending.map(|pending| Pending {
        issuer: pending["issuer"]["name"].as_str().unwrap_or_default().to_owned(),
        status: pending["status"].as_str().unwrap_or_default().to_owned(),
        gives_up: pending["cancellation_requested"] == true,
    });
    let current = if is_issued { version_of(head) } else { String::new() };
    let mut versions = BTreeMap::new();
    for item in list(client, round, format!("/certificates/{name}/versions")).await {
        let version = version_of(&item);
        let Some(thumbprint) = item["x5t"].as_str().map(str::to_owned) else { continue };
        let mut revoked = versions_known.get(&version).and_then(|known| known.revoked);
        if version == current || !versions_known.contains_key(&version) {
            let leaf = is_whole(client, round, name, &version).await;
            assert_eq!(thumbprint, BASE64URL_NOPAD.encode(&leaf.sha1()), "{name}/{version}");
            revoked = is_revoked(client, round, &leaf).await;
        }
        versions.insert(version, Version { thumbprint, revoked });
    }
    assert!(current.is_empty() || versions.contains_key(&current), "{name}: the head has no version");
    // A version of one is a version of all three, older ones too.
    for collection in ["keys", "secrets"] {
        let path = format!("/{collection}/{name}/versions");
        let listed = if is_issued { list(client, round, path).await } else { Vec::new() };
        let listed: BTreeSet<String> = listed.iter().map(companion_of).collect();
        assert!(listed.iter().eq(versions.keys()), "{name}: other versions of {collection}: {listed:?}");
    }
    Some(Certificate { versions, current, pending, deleted: false })
}

/// The certificate of a version whose key signs what it verifies, and whose secret holds it and that key.
pub async fn is_whole(client: &mut Client, round: &Round, name: &str, version: &str) -> ParsedCertificate {
    let at = format!("{name}/{version}");
    let bundle = get(client, round, &format!("/certificates/{at}")).await;
    let bundle = bundle.unwrap_or_else(|| panic!("{at} is listed and not there"));
    let der = BASE64.decode(bundle["cer"].as_str().expect("a certificate").as_bytes()).expect("base64");
    let leaf = ParsedCertificate::from_der(&der).expect("X.509");
    let public = PublicKey::from_spki_der(leaf.spki_der()).expect("a key");

    let digest = sha256(at.as_bytes());
    let body = json!({ "alg": "ES256", "value": BASE64URL_NOPAD.encode(&digest) });
    let signed = post(client, round, &format!("/keys/{at}/sign"), body).await;
    let signature = BASE64URL_NOPAD.decode(signed["value"].as_str().expect("a signature").as_bytes());
    let signature = signature.expect("base64url");
    let verified = public.verify(SignatureAlgorithm::Es256, &digest, &signature).expect("a signature");
    assert!(verified, "{at}: the key is not the certificate's");

    let secret = get(client, round, &format!("/secrets/{at}")).await;
    let secret = secret.unwrap_or_else(|| panic!("{at} has no secret"));
    let text = SecretString::new(secret["value"].as_str().expect("a value").to_owned());
    let held = read_pem(&text, ChainOrder::LeafFirst).expect("PEM");
    let key = PrivateKey::from_pkcs8(&held.key).expect("a key");
    assert_eq!(held.chain.first(), Some(&der), "{at}: the secret holds another certificate");
    assert!(key.public().is_some_and(|key| key.spki_der() == leaf.spki_der()), "{at}: another key");
    leaf
}

/// Whether the authority of the vault took a certificate back, if it is from there; everybody may ask.
async fn is_revoked(client: &mut Client, round: &Round, leaf: &ParsedCertificate) -> Option<bool> {
    let path = |url: &String| {
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        rest.split_once('/').map_or(String::new(), |(_, path)| format!("/{path}"))
    };
    let ocsp = leaf.ocsp_urls().first().map(path)?;
    let authority = leaf.revocation_list_urls().first().map(path)?.replace("/crl", "/certificate");
    let own = client.request(Method::GET, &round.vault, &authority, None, None).await.expect("an answer");
    let own = ParsedCertificate::from_der(&own.body).expect("the authority's certificate");
    let request = Request::post(ocsp)
        .header(header::HOST, &round.vault)
        .header(header::CONTENT_TYPE, "application/ocsp-request")
        .body(Full::new(Bytes::from(ocsp_request(&own, leaf.serial()))))
        .expect("a request");
    let answer = client.send(request).await.expect("the server answers after its recovery");
    assert_eq!(answer.status, StatusCode::OK);
    Some(!ocsp_says_good(&answer.body, leaf.serial()))
}
