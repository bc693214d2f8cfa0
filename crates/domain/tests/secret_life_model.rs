//! The vault room agrees with the naive model of `testkit` over random lives of secrets.
//!
//! Three vaults of one subscription, few names in several spellings, jumps of the clock in both directions, scheduled
//! purges, vaults that go and come back, and conflicts that the store invents. A failure prints the seed and the step;
//! `SECRET_MODEL_SEED` starts from another one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vouchsafe_crypto::{Reason, SecretString};
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::ids::{ObjectName, ObjectVersion, TenantId, VaultName};
use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::resource::{self, VaultToPut};
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::{Attributes, Error, SecretToSet, SecretUpdate};
use vouchsafe_testkit::faulty_store::CommitFault;
use vouchsafe_testkit::model::secrets::{Refusal, Secret, Vault, Version};
use vouchsafe_testkit::world::{InMemory, Opened, SeededEntropy};

const STEPS: usize = 20_000;
const DAY: u64 = 86_400;
/// Spellings of four names.
const NAMES: [&str; 7] = ["db", "DB", "Db", "api-key", "API-key", "x", "long-lived"];
const PLAIN: usize = 0;
const PROTECTED: usize = 1;
/// Protected from half of the way on.
const LATE: usize = 2;
const VAULTS: [(&str, u32, bool); 3] = [("plain", 7, false), ("protected", 30, true), ("late", 90, false)];

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::NotFound(..) => Refusal::NotFound,
        Error::Disabled(_) => Refusal::Disabled,
        Error::DeletedButRecoverable(..) => Refusal::Recoverable,
        Error::AlreadyExists(..) => Refusal::Exists,
        Error::PurgeProtected => Refusal::Protected,
        other => panic!("the model knows no {other:?}"),
    }
}

/// Both sides and what happened to them.
struct Life {
    memory: InMemory,
    opened: Opened,
    random: SeededEntropy,
    caller: Caller,
    model: Vec<Vault>,
    backups: Vec<(Vec<u8>, Secret)>,
    /// What a protected vault owes: until this second the deleted secret can be recovered.
    promises: BTreeMap<(usize, String), u64>,
    counts: BTreeMap<String, usize>,
}

fn object(name: &str) -> ObjectName {
    ObjectName::parse(name).expect("a name")
}

fn vault_name(index: usize) -> VaultName {
    VaultName::parse(VAULTS[index].0).expect("a name")
}

fn attributes(version: &Version) -> Attributes {
    let content_type = version.content_type.clone();
    Attributes { disabled: !version.enabled, content_type, ..Attributes::default() }
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let memory = InMemory::found(seed).await;
        let opened = memory.open().await;
        let mut model = Vec::new();
        for (name, retention_days, protected) in VAULTS {
            let wanted = VaultToPut {
                retention_days: Some(retention_days),
                purge_protection: Some(protected),
                ..VaultToPut::default()
            };
            opened.put_vault(memory.home, name, &wanted).await;
            model.push(Vault { retention: u64::from(retention_days) * DAY, protected, ..Vault::default() });
        }
        let caller = opened.administrator(memory.home);
        let random = SeededEntropy::new(seed ^ 0x5eed);
        let (backups, promises, counts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { memory, opened, random, caller, model, backups, promises, counts }
    }

    fn home(&self) -> TenantId {
        self.memory.home
    }

    fn now(&self) -> u64 {
        self.opened.platform.time().now().seconds()
    }

    fn one_in(&self, count: usize) -> bool {
        self.random.below(count) == 0
    }

    /// A version that exists, or none, or one that never was.
    fn some_version(&self, vault: usize, name: &str) -> Option<String> {
        let known: Vec<String> = self.model[vault]
            .live
            .get(&name.to_lowercase())
            .map(|secret| secret.versions.iter().map(|version| version.id.clone()).collect())
            .unwrap_or_default();
        match self.random.below(6) {
            0 => Some("0".repeat(32)),
            1..=2 => None,
            _ => (!known.is_empty()).then(|| self.random.pick(&known).clone()),
        }
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

    async fn set(&mut self, vault: usize, name: &str) {
        let wanted = Version {
            id: String::new(),
            value: format!("value {}", self.random.next()),
            enabled: !self.one_in(5),
            content_type: self.one_in(2).then(|| "text".to_owned()),
        };
        let value = SecretString::new(wanted.value.clone());
        let to_set = SecretToSet { value, attributes: attributes(&wanted) };
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours =
            platform.set_secret(&context, &self.caller, &vault_name(vault), &object(name), &to_set).await;
        let id = ours.as_ref().map(|(head, _)| head.current.version.to_string()).unwrap_or_default();
        let models = self.model[vault].set(name, Version { id, ..wanted });
        self.agree("set", ours, models);
    }

    async fn get(&mut self, vault: usize, name: &str, version: Option<String>) {
        let id = version.as_deref().map(|id| ObjectVersion::parse(id).expect("an id"));
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform.get_secret(&context, &self.caller, &vault_name(vault), &object(name), id).await;
        let models = self.model[vault].get(name, version.as_deref()).cloned();
        if let Some((read, wanted)) = self.agree("get", ours, models) {
            assert_eq!(read.version.version.to_string(), wanted.id);
            assert_eq!(read.version.attributes, attributes(&wanted));
            assert_eq!(read.into_value().expose(Reason::Test), wanted.value.as_bytes());
        }
    }

    async fn update(&mut self, vault: usize, name: &str, version: Option<String>) {
        let id = version.as_deref().map(|id| ObjectVersion::parse(id).expect("an id"));
        let enabled = (!self.one_in(3)).then(|| self.one_in(2));
        let content_type = self.one_in(2).then(|| format!("text {}", self.random.below(9)));
        let update = SecretUpdate {
            disabled: enabled.map(|enabled| !enabled),
            content_type: content_type.clone(),
            ..SecretUpdate::default()
        };
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform
            .update_secret(&context, &self.caller, &vault_name(vault), &object(name), id, &update)
            .await;
        let models = self.model[vault].update(name, version.as_deref(), enabled, content_type.as_deref());
        self.agree("update", ours, models);
    }

    async fn delete(&mut self, vault: usize, name: &str) {
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform.delete_secret(&context, &self.caller, &vault_name(vault), &object(name)).await;
        let now = self.now();
        let models = self.model[vault].delete(name, now);
        if let Some(((deleted, _), due)) = self.agree("delete", ours, models) {
            assert_eq!(deleted.purge_due.seconds(), due);
            self.promises.insert((vault, name.to_lowercase()), due);
        }
    }

    async fn recover(&mut self, vault: usize, name: &str) {
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform.recover_secret(&context, &self.caller, &vault_name(vault), &object(name)).await;
        let models = self.model[vault].recover(name);
        if self.agree("recover", ours, models).is_some() {
            self.promises.remove(&(vault, name.to_lowercase()));
        }
    }

    async fn purge(&mut self, vault: usize, name: &str) {
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform.purge_secret(&context, &self.caller, &vault_name(vault), &object(name)).await;
        let models = self.model[vault].purge(name);
        self.agree("purge", ours, models);
    }

    async fn backup(&mut self, vault: usize, name: &str) {
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform.backup_secret(&context, &self.caller, &vault_name(vault), &object(name)).await;
        let models = self.model[vault].backup(name);
        if let Some((sealed, secret)) = self.agree("backup", ours, models) {
            if self.backups.len() == 20 {
                self.backups.remove(0);
            }
            self.backups.push((sealed.blob, secret));
        }
    }

    async fn restore(&mut self, vault: usize) {
        if self.backups.is_empty() {
            return;
        }
        let (blob, secret) = self.random.pick(&self.backups).clone();
        let (context, platform) = (self.opened.context(), self.opened.platform.clone());
        let ours = platform.restore_secret(&context, &self.caller, &vault_name(vault), &blob).await;
        let models = self.model[vault].restore(&secret);
        self.agree("restore", ours, models);
    }

    async fn purge_due(&mut self) {
        let now = self.now();
        let mut ours = 0;
        // A secret whose purge met a conflict waits for the next tick; at most one conflict is planned.
        for _ in 0..2 {
            ours += self.opened.platform.purge_due_secrets(&self.opened.context()).await.expect("a tick");
        }
        let models: usize = self.model.iter_mut().map(|vault| vault.purge_due(now)).sum();
        assert_eq!(ours, models, "purged because they were due");
        *self.counts.entry("purged when due".to_owned()).or_default() += ours;
        self.promises.retain(|_, due| *due > now);
    }

    fn jump(&mut self) {
        let step = match self.random.below(12) {
            0 => 100 * DAY,
            1..=2 => u64::try_from(self.random.below(12)).expect("small") * DAY,
            3..=5 => u64::try_from(self.random.below(100_000)).expect("small"),
            _ => 1,
        };
        // Clocks are also set back, which makes nothing younger.
        let back = self.one_in(4);
        if back {
            let shown = self.opened.clock.now().seconds();
            self.opened.clock.set(Timestamp::from_seconds(shown.saturating_sub(step)));
        } else {
            self.opened.clock.forward(Duration::from_secs(step));
        }
        *self.counts.entry(if back { "clock back" } else { "clock on" }.to_owned()).or_default() += 1;
    }

    /// A whole vault goes and comes back; while it is away, nothing of it is there and nothing of it is purged.
    async fn vault_away(&mut self, index: usize) {
        let (opened, home, name) = (&self.opened, self.home(), vault_name(index));
        let (platform, subscription) = (&opened.platform, opened.subscription(home));
        let group = platform.world().vault(&name).expect("a vault").1.group.clone();
        let context = opened.context();
        let gone = platform.delete_vault(&context, &self.caller, home, subscription, &group, &name).await;
        gone.expect("a deleted vault");
        let any = platform.get_secret(&context, &self.caller, &name, &object("db"), None).await;
        assert!(matches!(any, Err(Error::VaultNotFound(_))));
        let again = VaultToPut { purge_protection: Some(false), ..VaultToPut::default() };
        let again =
            platform.put_vault(&context, &self.caller, home, subscription, &group, &name, &again).await;
        assert!(matches!(again, Err(resource::Error::VaultNameTaken(_))));
        if self.model[index].protected {
            let purged = platform.purge_vault(&context, &self.caller, home, subscription, &name).await;
            assert!(matches!(purged, Err(resource::Error::PurgeProtected(_))));
        }
        let recover = VaultToPut { recover: true, ..VaultToPut::default() };
        let back =
            platform.put_vault(&context, &self.caller, home, subscription, &group, &name, &recover).await;
        back.expect("a recovered vault");
        if self.model[index].protected {
            let off = VaultToPut { purge_protection: Some(false), ..VaultToPut::default() };
            let off =
                platform.put_vault(&context, &self.caller, home, subscription, &group, &name, &off).await;
            assert!(matches!(off, Err(resource::Error::Conflict(_))), "protection was switched off");
        }
        *self.counts.entry("vault away and back".to_owned()).or_default() += 1;
    }

    async fn step(&mut self) {
        let vault = self.random.below(VAULTS.len());
        let name = *self.random.pick(&NAMES);
        if self.one_in(50) {
            self.opened.store.fail_commit(0, CommitFault::Conflict);
        }
        match self.random.below(100) {
            0..25 => self.set(vault, name).await,
            25..42 => self.get(vault, name, self.some_version(vault, name)).await,
            42..52 => self.update(vault, name, self.some_version(vault, name)).await,
            52..66 => self.delete(vault, name).await,
            66..75 => self.recover(vault, name).await,
            75..83 => self.purge(vault, name).await,
            83..87 => self.backup(vault, name).await,
            87..92 => self.restore(vault).await,
            92..95 => self.purge_due().await,
            95 if self.one_in(4) => self.vault_away(vault).await,
            _ => self.jump(),
        }
    }

    /// Everything that can be listed, against everything that the model has.
    async fn compare_all(&self) {
        for (index, model) in self.model.iter().enumerate() {
            let (context, platform, vault) =
                (self.opened.context(), &self.opened.platform, vault_name(index));
            let page = platform.list_secrets(&context, &self.caller, &vault, None, 25).await.expect("a page");
            let ours: BTreeSet<_> = page
                .items
                .iter()
                .map(|head| {
                    (
                        head.name.to_string(),
                        head.current.version.to_string(),
                        head.current.attributes.disabled,
                    )
                })
                .collect();
            let models = model.live.values().map(|secret| {
                let current = secret.versions.last().expect("a version");
                (secret.name.clone(), current.id.clone(), !current.enabled)
            });
            assert_eq!(ours, models.collect());
            let page = platform
                .list_deleted_secrets(&context, &self.caller, &vault, None, 25)
                .await
                .expect("a page");
            let ours =
                page.items.iter().map(|deleted| (deleted.head.name.to_string(), deleted.purge_due.seconds()));
            let models = model.deleted.values().map(|(secret, due)| (secret.name.clone(), *due));
            assert_eq!(ours.collect::<BTreeSet<_>>(), models.collect());
            for secret in model.live.values() {
                let (mut ours, mut after) = (BTreeSet::new(), None);
                loop {
                    let name = object(&secret.name);
                    let page = platform
                        .list_secret_versions(&context, &self.caller, &vault, &name, after.as_ref(), 7)
                        .await;
                    let (_, page) = page.expect("a page");
                    ours.extend(page.items.iter().map(|version| version.version.to_string()));
                    let Some(next) = page.next else { break };
                    after = Some(next);
                }
                assert_eq!(ours, secret.versions.iter().map(|version| version.id.clone()).collect());
            }
        }
    }

    /// A deleted secret of a protected vault is there until its time, whatever happened since.
    async fn promises_are_kept(&self) {
        for ((vault, name), due) in &self.promises {
            if self.model[*vault].protected && *due > self.now() {
                let shown = self
                    .opened
                    .platform
                    .get_deleted_secret(
                        &self.opened.context(),
                        &self.caller,
                        &vault_name(*vault),
                        &object(name),
                    )
                    .await;
                assert!(shown.is_ok(), "{name} was removed before {due}");
            }
        }
    }

    async fn protect_the_late_vault(&mut self) {
        let wanted = VaultToPut { purge_protection: Some(true), ..VaultToPut::default() };
        self.opened.put_vault(self.home(), VAULTS[LATE].0, &wanted).await;
        self.model[LATE].protected = true;
        // What was purged before protection began was never promised.
        let deleted = &self.model[LATE].deleted;
        self.promises.retain(|(vault, name), _| *vault != LATE || deleted.contains_key(name));
    }
}

#[tokio::test]
async fn random_lives_of_secrets_agree_with_the_model_and_nothing_protected_goes_early() {
    let seed = std::env::var_os("SECRET_MODEL_SEED")
        .and_then(|value| value.to_str().and_then(|value| value.parse().ok()))
        .unwrap_or(20_261_122);
    println!("seed {seed}, {STEPS} steps");
    let mut life = Life::begin(seed).await;
    for step in 0..STEPS {
        if step == STEPS / 2 {
            life.protect_the_late_vault().await;
        }
        life.step().await;
        if step % 20 == 0 {
            life.promises_are_kept().await;
        }
        if step % 500 == 0 {
            life.compare_all().await;
        }
        if step % 5_000 == 4_999 {
            // A start in between changes nothing.
            life.opened = life.memory.open().await;
        }
    }
    life.compare_all().await;
    for (what, count) in &life.counts {
        println!("{count:>6} {what}");
    }
    for needed in [
        "purge Protected",
        "purge done",
        "set Recoverable",
        "restore Exists",
        "restore Recoverable",
        "restore done",
        "get Disabled",
        "recover done",
        "purged when due",
        "vault away and back",
    ] {
        assert!(life.counts.get(needed).is_some_and(|count| *count > 20), "hardly any `{needed}`");
    }
    assert!(VAULTS[PROTECTED].2 && !VAULTS[PLAIN].2);
}
