//! The vault room agrees with the naive model of `testkit` over random lives of keys: two vaults, few names in several
//! spellings, jumps of the clock in both directions, scheduled purges, rotations, and conflicts that the store invents.
//! A failure prints the seed; `KEY_MODEL_SEED` starts from another one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vouchsafe_crypto::keys::{KeySpec, SignatureAlgorithm};
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::ids::{ObjectVersion, VaultName};
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::{
    Error, KeyAttributes, KeyOperation, KeyToCreate, KeyUnusable, KeyUpdate, KeyVersion, ReleasePolicy,
    RotationPolicyToSet, Span,
};
use vouchsafe_testkit::faulty_store::CommitFault;
use vouchsafe_testkit::model::keys::{Key, Refusal, Vault, Version, usable};
use vouchsafe_testkit::world::{InMemory, Opened, SeededEntropy};

use super::{App, object, to_create, vault_name};

const STEPS: usize = 6_000;
const DAY: u64 = 86_400;
const NAMES: [&str; 5] = ["signer", "Signer", "SIGNER", "other", "x"];
const VAULTS: [(&str, u32, bool); 2] = [("plain", 7, false), ("protected", 30, true)];

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::NotFound(..) => Refusal::NotFound,
        Error::KeyUnusable(KeyUnusable::Disabled, _) => Refusal::Disabled,
        Error::KeyUnusable(KeyUnusable::Operation, _) => Refusal::Operation,
        Error::KeyUnusable(KeyUnusable::NotYetValid, _) => Refusal::NotYetValid,
        Error::KeyUnusable(KeyUnusable::Expired, _) => Refusal::Expired,
        Error::DeletedButRecoverable(..) => Refusal::Recoverable,
        Error::AlreadyExists(..) => Refusal::Exists,
        Error::PurgeProtected => Refusal::Protected,
        other => panic!("the model knows no {other:?}"),
    }
}

fn seen(version: &KeyVersion) -> Version {
    Version {
        id: version.version.to_string(),
        public: format!("{:?}", version.public),
        enabled: !version.attributes.disabled,
        operations: version.operations.iter().map(|operation| operation.as_str()).collect(),
        not_before: version.attributes.not_before.map(Timestamp::seconds),
        expires: version.attributes.expires.map(Timestamp::seconds),
    }
}

struct Life {
    memory: InMemory,
    opened: Opened,
    random: SeededEntropy,
    caller: Caller,
    model: Vec<Vault>,
    backups: Vec<(Vec<u8>, Key)>,
    counts: BTreeMap<String, usize>,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let memory = InMemory::found(seed).await;
        let opened = memory.open().await;
        let mut model = Vec::new();
        for (name, days, protected) in VAULTS {
            let (retention_days, purge_protection) = (Some(days), Some(protected));
            let wanted = VaultToPut { retention_days, purge_protection, ..VaultToPut::default() };
            opened.put_vault(memory.home, name, &wanted).await;
            model.push(Vault { retention: u64::from(days) * DAY, protected, ..Vault::default() });
        }
        let caller = opened.administrator(memory.home);
        let random = SeededEntropy::new(seed ^ 0x5eed);
        Self { memory, opened, random, caller, model, backups: Vec::new(), counts: BTreeMap::new() }
    }

    fn now(&self) -> u64 {
        self.opened.platform.time().now().seconds()
    }

    fn one_in(&self, count: usize) -> bool {
        self.random.below(count) == 0
    }

    fn some_version(&self, vault: usize, name: &str) -> Option<ObjectVersion> {
        let known = self.model[vault].live.get(&name.to_lowercase())?;
        let id = match self.random.below(8) {
            0 => "0".repeat(32),
            1..=4 => return None,
            _ => self.random.pick(&known.versions).id.clone(),
        };
        Some(ObjectVersion::parse(&id).expect("an id"))
    }

    fn agree<A, B>(
        &mut self,
        what: &str,
        ours: Result<A, Error>,
        models: Result<B, Refusal>,
    ) -> Option<(A, B)> {
        let outcome = match (&ours, &models) {
            (Ok(_), Ok(_)) => "done".to_owned(),
            (Err(ours), Err(models)) if refusal(ours) == *models => format!("{models:?}"),
            (ours, models) => {
                panic!("{what}: we say {:?}, the model {:?}", ours.as_ref().err(), models.as_ref().err())
            }
        };
        *self.counts.entry(format!("{what} {outcome}")).or_default() += 1;
        Some((ours.ok()?, models.ok()?))
    }

    fn some_time(&self) -> Option<Timestamp> {
        let now = self.now();
        match self.random.below(6) {
            0 => Some(Timestamp::from_seconds(now + DAY)),
            1 => Some(Timestamp::from_seconds(now - DAY)),
            _ => None,
        }
    }

    async fn create(&mut self, vault: &VaultName, index: usize, name: &str) {
        // Never later than `exp`, which would be refused.
        let not_before = self.some_time();
        let expires = self.some_time().filter(|expires| not_before.is_none_or(|from| from <= *expires));
        let disabled = self.one_in(6);
        let operations = self.one_in(4).then(|| vec![KeyOperation::Verify]);
        let attributes = KeyAttributes { disabled, not_before, expires, ..KeyAttributes::default() };
        let wanted = KeyToCreate { attributes, operations, ..to_create(KeySpec::P256) };
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform.create_key(&context, &self.caller, vault, &object(name), &wanted).await;
        let version = ours.as_ref().map(|(head, _)| seen(&head.current)).unwrap_or_else(|_| Version {
            id: String::new(),
            public: String::new(),
            enabled: true,
            operations: vec![],
            not_before: None,
            expires: None,
        });
        let models = self.model[index].create(name, version);
        if let Some(((head, _), ())) = self.agree("create", ours, models) {
            assert_eq!(head.current.attributes, wanted.attributes);
        }
    }

    async fn get(&mut self, vault: &VaultName, index: usize, name: &str) {
        let version = self.some_version(index, name);
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform.get_key(&context, &self.caller, vault, &object(name), version).await;
        let models = self.model[index].get(name, version.map(|id| id.to_string()).as_deref()).cloned();
        if let Some((read, wanted)) = self.agree("get", ours, models) {
            assert_eq!(seen(&read.version), wanted);
        }
    }

    async fn update(&mut self, vault: &VaultName, index: usize, name: &str) {
        let version = self.some_version(index, name);
        let enabled = (!self.one_in(3)).then(|| !self.one_in(3));
        let operations = self.one_in(3).then(|| {
            if self.one_in(2) {
                vec![KeyOperation::Sign, KeyOperation::Verify]
            } else {
                vec![KeyOperation::Sign]
            }
        });
        let update = KeyUpdate {
            disabled: enabled.map(|enabled| !enabled),
            operations: operations.clone(),
            ..KeyUpdate::default()
        };
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform.update_key(&context, &self.caller, vault, &object(name), version, &update).await;
        let id = version.map(|id| id.to_string());
        let models = self.model[index].to_update(name, id.as_deref()).map(|found| {
            found.enabled = enabled.unwrap_or(found.enabled);
            if let Some(operations) = operations {
                found.operations = operations.iter().map(|operation| operation.as_str()).collect();
            }
            found.clone()
        });
        if let Some(((_, changed, _), wanted)) = self.agree("update", ours, models) {
            assert_eq!(seen(&changed), wanted);
        }
    }

    async fn rotate(&mut self, vault: &VaultName, index: usize, name: &str) {
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        if self.one_in(3) {
            let days = 28 + u64::try_from(self.random.below(100)).expect("small");
            let expiry = Span::parse(&format!("P{days}D"));
            let wanted = RotationPolicyToSet { actions: Vec::new(), expiry };
            let ours =
                platform.set_rotation_policy(&context, &self.caller, vault, &object(name), &wanted).await;
            let live = self.model[index].live.get_mut(&name.to_lowercase());
            let models = live.map(|key| key.policy_days = Some(days)).ok_or(Refusal::NotFound);
            self.agree("policy", ours, models);
        }
        let now = self.now();
        let ours = platform.rotate_key(&context, &self.caller, vault, &object(name)).await;
        let made = ours.as_ref().map(|(head, _)| seen(&head.current)).ok();
        let (id, public) = made.map(|made| (made.id, made.public)).unwrap_or_default();
        let models = self.model[index].rotate(name, &id, &public, now);
        if let Some(((head, _), ())) = self.agree("rotate", ours, models) {
            let wanted = self.model[index].get(name, None).expect("the newest").clone();
            assert_eq!(seen(&head.current), wanted);
        }
    }

    /// Signs and verifies, which must agree on who may and on the key.
    async fn exercise(&mut self, vault: &VaultName, index: usize, name: &str) {
        let version = self.some_version(index, name);
        let (context, platform, name) = (self.opened.context(), self.opened.platform.clone(), object(name));
        let (algorithm, digest) = (SignatureAlgorithm::Es256, [7; 32]);
        let id = version.map(|id| id.to_string());
        let now = self.now();
        let may = |operation: &str| {
            let found = self.model[index].get(name.as_str(), id.as_deref())?;
            usable(found, operation, now)
        };
        let (may_sign, may_verify) = (may("sign"), may("verify"));
        let ours = platform.sign(&context, &self.caller, vault, &name, version, algorithm, &digest).await;
        let signature = self.agree("sign", ours, may_sign).map(|(used, ())| used.into_result());
        let given = signature.clone().unwrap_or_else(|| vec![1; 64]);
        let ours =
            platform.verify(&context, &self.caller, vault, &name, version, algorithm, &digest, &given).await;
        if let Some((used, ())) = self.agree("verify", ours, may_verify) {
            assert_eq!(used.into_result(), signature.is_some());
        }
    }

    async fn remove(&mut self, vault: &VaultName, index: usize, name: &str) {
        let (context, platform, now) = (self.opened.context(), self.opened.platform.clone(), self.now());
        match self.random.below(10) {
            0..5 => {
                let ours = platform.delete_key(&context, &self.caller, vault, &object(name)).await;
                let models = self.model[index].delete(name, now);
                if let Some(((deleted, _), due)) = self.agree("delete", ours, models) {
                    assert_eq!(deleted.purge_due.seconds(), due);
                }
            }
            5..8 => {
                let ours = platform.recover_key(&context, &self.caller, vault, &object(name)).await;
                let models = self.model[index].recover(name);
                self.agree("recover", ours, models);
            }
            _ => {
                let ours = platform.purge_key(&context, &self.caller, vault, &object(name)).await;
                let models = self.model[index].purge(name);
                self.agree("purge", ours, models);
            }
        }
    }

    async fn carry(&mut self, vault: &VaultName, index: usize, name: &str) {
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        if self.one_in(2) || self.backups.is_empty() {
            let ours = platform.backup_key(&context, &self.caller, vault, &object(name)).await;
            let models = self.model[index].backup(name);
            if let Some((sealed, key)) = self.agree("backup", ours, models) {
                self.backups.push((sealed.blob, key));
                self.backups.truncate(20);
            }
            return;
        }
        let (blob, key) = self.random.pick(&self.backups).clone();
        let ours = platform.restore_key(&context, &self.caller, vault, &blob).await;
        let models = self.model[index].restore(&key);
        self.agree("restore", ours, models);
    }

    async fn purge_due(&mut self) {
        let (now, mut ours) = (self.now(), 0);
        for _ in 0..2 {
            ours += self.opened.platform.purge_due_keys(&self.opened.context()).await.expect("a tick");
        }
        let models: usize = self.model.iter_mut().map(|vault| vault.purge_due(now)).sum();
        assert_eq!(ours, models, "purged because they were due");
        *self.counts.entry("purged when due".to_owned()).or_default() += ours;
    }

    fn jump(&mut self) {
        let step = [1, 1, 3_600, DAY, 9 * DAY][self.random.below(5)];
        let back = self.one_in(4);
        if back {
            let shown = self.opened.clock.now().seconds();
            self.opened.clock.set(Timestamp::from_seconds(shown.saturating_sub(step)));
        } else {
            self.opened.clock.forward(Duration::from_secs(step));
        }
    }

    async fn step(&mut self) {
        let index = self.random.below(VAULTS.len());
        let (vault, name) = (vault_name(VAULTS[index].0), *self.random.pick(&NAMES));
        if self.one_in(50) {
            self.opened.store.fail_commit(0, CommitFault::Conflict);
        }
        match self.random.below(100) {
            0..20 => self.create(&vault, index, name).await,
            20..30 => self.get(&vault, index, name).await,
            30..40 => self.update(&vault, index, name).await,
            40..48 => self.rotate(&vault, index, name).await,
            48..66 => self.exercise(&vault, index, name).await,
            66..85 => self.remove(&vault, index, name).await,
            85..93 => self.carry(&vault, index, name).await,
            93..95 => self.purge_due().await,
            _ => self.jump(),
        }
    }

    async fn compare_all(&self) {
        for (model, (name, ..)) in self.model.iter().zip(VAULTS) {
            let (context, platform, vault) = (self.opened.context(), &self.opened.platform, vault_name(name));
            let page = platform.list_keys(&context, &self.caller, &vault, None, 25).await.expect("a page");
            let ours: BTreeSet<_> = page
                .items
                .iter()
                .map(|head| (head.name.to_string(), head.current.version.to_string()))
                .collect();
            let models = model.live.values();
            let models =
                models.map(|key| (key.name.clone(), key.versions.last().expect("a version").id.clone()));
            assert_eq!(ours, models.collect());
            let page = platform.list_deleted_keys(&context, &self.caller, &vault, None, 25).await;
            let page = page.expect("a page");
            let ours = page.items.iter().map(|key| (key.head.name.to_string(), key.purge_due.seconds()));
            let models = model.deleted.values().map(|(key, due)| (key.name.clone(), *due));
            assert_eq!(ours.collect::<BTreeSet<_>>(), models.collect());
            for key in model.live.values() {
                let (mut ours, mut after) = (BTreeSet::new(), None);
                loop {
                    let name = object(&key.name);
                    let page =
                        platform.list_key_versions(&context, &self.caller, &vault, &name, after.as_ref(), 7);
                    let (_, page) = page.await.expect("a page");
                    ours.extend(page.items.iter().map(|version| version.version.to_string()));
                    let Some(next) = page.next else { break };
                    after = Some(next);
                }
                assert_eq!(ours, key.versions.iter().map(|version| version.id.clone()).collect());
            }
        }
    }
}

#[tokio::test]
async fn random_lives_of_keys_agree_with_the_model() {
    let seed = std::env::var_os("KEY_MODEL_SEED")
        .and_then(|value| value.to_str().and_then(|value| value.parse().ok()))
        .unwrap_or(20_261_123);
    println!("seed {seed}, {STEPS} steps");
    let mut life = Life::begin(seed).await;
    for step in 0..STEPS {
        life.step().await;
        if step % 500 == 0 {
            life.compare_all().await;
        }
        if step % 2_000 == 1_999 {
            // A start in between changes nothing.
            life.opened = life.memory.open().await;
        }
    }
    life.compare_all().await;
    for (what, count) in &life.counts {
        println!("{count:>6} {what}");
    }
    for needed in [
        "create Recoverable",
        "get done",
        "update done",
        "rotate done",
        "rotate Disabled",
        "sign done",
        "sign Disabled",
        "sign Operation",
        "sign NotYetValid",
        "sign Expired",
        "verify done",
        "recover done",
        "purge Protected",
        "purge done",
        "restore done",
        "restore Exists",
        "purged when due",
    ] {
        assert!(life.counts.get(needed).is_some_and(|count| *count > 5), "hardly any `{needed}`");
    }
}

#[tokio::test]
async fn a_backup_that_could_not_be_restored_is_refused_when_it_is_made() {
    use vouchsafe_domain::limits::{BACKUP_BYTES_MAX, TAG_NAME_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};
    let app = App::new(47).await;
    let wide = |number: usize, chars: usize| format!("{number:0>2}{}", "\u{1f511}".repeat(chars - 2));
    let tags =
        (0..TAGS_MAX).map(|number| (wide(number, TAG_NAME_CHARS_MAX), wide(number, TAG_VALUE_CHARS_MAX)));
    let claims: Vec<_> = (0..7)
        .map(|number| serde_json::json!({"claim": format!("c{number}"), "equals": "x".repeat(1_000)}))
        .collect();
    let policy = serde_json::json!({
        "version": "1.0.0",
        "anyOf": [{"authority": "https://attest.example.test", "allOf": claims}],
    });
    let wanted = KeyToCreate {
        attributes: KeyAttributes { exportable: true, tags: tags.collect(), ..KeyAttributes::default() },
        release_policy: Some(ReleasePolicy {
            content_type: None,
            data: policy.to_string().into_bytes(),
            immutable: false,
        }),
        ..to_create(KeySpec::P256)
    };
    let (context, vault, name) = (app.opened.context(), &app.vault.name, object("wide"));
    let mut made = 0;
    let refused = loop {
        for _ in 0..60 {
            app.create("wide", &wanted).await.expect("a version");
        }
        made += 60;
        match app.platform().backup_key(&context, &app.caller, vault, &name).await {
            Ok(backup) => assert!(backup.blob.len() <= BACKUP_BYTES_MAX, "{made} versions"),
            Err(error) => break error,
        }
    };
    assert!(made > 60 && made <= 480, "it is the bytes and not the count: {made}");
    assert!(matches!(&refused, Error::BadParameter(problem) if problem.contains("bytes")), "{refused:?}");
}
