//! Rotation policies are followed: when they say, once, and again after every place at which a job can be killed.

use std::time::Duration;

use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_domain::audit::{Outcome, Phase};
use vouchsafe_domain::ids::ObjectVersion;
use vouchsafe_domain::ports::{Clock, Log};
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::{
    Error, KeyAttributes, KeyToCreate, KeyUpdate, KeyVersion, LifetimeAction, LifetimeTrigger,
    RotationAction, RotationPolicyToSet, Span,
};
use vouchsafe_testkit::faulty_store::CommitFault;

use super::{App, object, to_create};

const DAY: Duration = Duration::from_secs(86_400);

fn span(raw: &str) -> Span {
    Span::parse(raw).expect(raw)
}

fn policy(actions: &[(LifetimeTrigger, RotationAction)], expiry: Option<&str>) -> RotationPolicyToSet {
    let actions =
        actions.iter().map(|(trigger, action)| LifetimeAction { trigger: *trigger, action: *action });
    RotationPolicyToSet { actions: actions.collect(), expiry: expiry.map(span) }
}

pub fn rotate_after(raw: &str) -> RotationPolicyToSet {
    policy(&[(LifetimeTrigger::AfterCreate(span(raw)), RotationAction::Rotate)], Some("P1Y"))
}

impl App {
    pub async fn set_policy(&self, name: &str, wanted: &RotationPolicyToSet) -> Result<(), Error> {
        let (context, vault) = (self.opened.context(), &self.vault.name);
        let set =
            self.platform().set_rotation_policy(&context, &self.caller, vault, &object(name), wanted).await;
        set.map(drop)
    }

    async fn current(&self, name: &str) -> KeyVersion {
        let (context, vault) = (self.opened.context(), &self.vault.name);
        let read = self.platform().get_key(&context, &self.caller, vault, &object(name), None).await;
        read.expect("a key").version
    }

    async fn versions(&self, name: &str) -> Vec<ObjectVersion> {
        let (context, vault, name) = (self.opened.context(), &self.vault.name, object(name));
        let page = self.platform().list_key_versions(&context, &self.caller, vault, &name, None, 25).await;
        page.expect("a page").1.items.iter().map(|version| version.version).collect()
    }

    pub async fn tick(&self) -> usize {
        self.platform().rotate_due_keys(&self.opened.context()).await.expect("a tick")
    }
}

#[tokio::test]
async fn a_key_is_rotated_when_its_policy_says_and_not_before() {
    let app = App::new(20).await;
    let tags = [("owner".to_owned(), "billing".to_owned())].into();
    let attributes = KeyAttributes { tags, ..KeyAttributes::default() };
    let first = app.create("signer", &KeyToCreate { attributes, ..to_create(KeySpec::P384) }).await;
    let first = first.expect("a key").current;
    app.create("left-alone", &to_create(KeySpec::P256)).await.expect("a key");
    app.set_policy("signer", &rotate_after("P30D")).await.expect("a policy");
    app.opened.clock.forward(DAY * 30 - Duration::from_secs(1));
    assert_eq!(app.tick().await, 0);
    app.opened.clock.forward(Duration::from_secs(1));
    assert_eq!((app.tick().await, app.tick().await), (1, 0));
    let second = app.current("signer").await;
    let now = app.opened.clock.now();
    assert_ne!((second.version, &second.public), (first.version, &first.public));
    assert_eq!((second.spec, second.operations.clone()), (first.spec, first.operations));
    assert_eq!(second.attributes.tags, first.attributes.tags);
    assert_eq!(second.attributes.expires, Some(span("P1Y").after(now)));
    assert_eq!((second.created, app.versions("signer").await.len()), (now, 2));
    // What is switched off is left alone, and so is what is deleted.
    let (context, vault, name) = (app.opened.context(), &app.vault.name, object("signer"));
    let off = KeyUpdate { disabled: Some(true), ..KeyUpdate::default() };
    app.platform().update_key(&context, &app.caller, vault, &name, None, &off).await.expect("an update");
    app.opened.clock.forward(DAY * 31);
    assert_eq!(app.tick().await, 0);
    let refused = app.platform().rotate_key(&context, &app.caller, vault, &name).await;
    assert!(matches!(refused, Err(Error::KeyUnusable(..))));
    let on = KeyUpdate { disabled: Some(false), ..KeyUpdate::default() };
    app.platform().update_key(&context, &app.caller, vault, &name, None, &on).await.expect("an update");
    app.platform().delete_key(&context, &app.caller, vault, &name).await.expect("a deleted key");
    assert_eq!(app.tick().await, 0);
    app.platform().recover_key(&context, &app.caller, vault, &name).await.expect("a recovered key");
    assert_eq!(app.tick().await, 1);
    assert_eq!(app.versions("left-alone").await.len(), 1);
}

#[tokio::test]
async fn before_expiry_a_key_is_rotated_or_somebody_is_told_once() {
    let app = App::new(21).await;
    let expires = app.opened.clock.now().plus(DAY * 100);
    let attributes = KeyAttributes { expires: Some(expires), ..KeyAttributes::default() };
    let wanted = KeyToCreate { attributes, ..to_create(KeySpec::P256) };
    app.create("rotated", &wanted).await.expect("a key");
    app.create("told", &wanted).await.expect("a key");
    app.create("endless", &to_create(KeySpec::P256)).await.expect("a key");
    let before = LifetimeTrigger::BeforeExpiry(span("P20D"));
    let notify = policy(&[(before, RotationAction::Notify)], None);
    app.set_policy("rotated", &policy(&[(before, RotationAction::Rotate)], Some("P60D"))).await.expect("set");
    app.set_policy("told", &notify).await.expect("set");
    app.set_policy("endless", &notify).await.expect("set");
    app.opened.clock.forward(DAY * 79);
    assert_eq!(app.tick().await, 0);
    app.opened.clock.forward(DAY);
    app.memory.log.flush().await.expect("a log");
    let start = app.memory.log.entries().len();
    assert_eq!((app.tick().await, app.tick().await), (2, 0));
    assert_eq!((app.versions("rotated").await.len(), app.versions("told").await.len()), (2, 1));
    let entries = app.memory.log.entries();
    let told = entries[start..].iter().filter(|(_, entry)| entry.action.ends_with("KeyNearExpiry"));
    let told: Vec<_> = told.filter(|(_, entry)| entry.phase == Phase::Intent).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].1.resource.ends_with("/keys/told"), "{}", told[0].1.resource);
    assert_eq!(told[0].1.subject.by, "platform");
    // The next version is told of again, and the rotated one again rotated, forty days on.
    app.opened.clock.forward(DAY * 39);
    assert_eq!(app.tick().await, 0);
    app.opened.clock.forward(DAY);
    assert_eq!((app.tick().await, app.tick().await), (1, 0));
    let (context, vault) = (app.opened.context(), &app.vault.name);
    app.platform().rotate_key(&context, &app.caller, vault, &object("told")).await.expect("a rotation");
    assert_eq!(app.current("told").await.attributes.expires, None, "the policy gives it no end");
}

#[tokio::test]
async fn a_rotation_that_is_killed_at_any_step_goes_on_with_the_next_tick() {
    const KEYS: usize = 4;
    // One more step than there are commits: the last one is not disturbed.
    for step in 0..=KEYS as u64 {
        for fault in [CommitFault::NotApplied, CommitFault::AppliedNotAcknowledged, CommitFault::Conflict] {
            let app = App::new(22).await;
            let names: Vec<String> = (0..KEYS).map(|number| format!("key-{number}")).collect();
            for name in &names {
                app.create(name, &to_create(KeySpec::P256)).await.expect("a key");
                app.set_policy(name, &rotate_after("P30D")).await.expect("a policy");
            }
            app.opened.clock.forward(DAY * 30);
            app.opened.store.fail_commit(step, fault);
            let first = app.tick().await;
            assert_eq!(first, if step < KEYS as u64 { KEYS - 1 } else { KEYS });
            // The process ends before it can write what became of it.
            app.memory.log.crash();
            let App { memory, caller, vault, .. } = app;
            let app = App { opened: memory.open().await, memory, caller, vault };
            let left = usize::from(step < KEYS as u64 && fault != CommitFault::AppliedNotAcknowledged);
            assert_eq!((app.tick().await, app.tick().await), (left, 0), "step {step} {fault:?}");
            for name in &names {
                assert_eq!(app.versions(name).await.len(), 2, "step {step} {fault:?} {name}");
                let (context, vault) = (app.opened.context(), &app.vault.name);
                let digest = [7; 32];
                let algorithm = vouchsafe_crypto::keys::SignatureAlgorithm::Es256;
                let signed = app
                    .platform()
                    .sign(&context, &app.caller, vault, &object(name), None, algorithm, &digest)
                    .await;
                assert!(signed.is_ok(), "the new version of {name} has no key");
            }
            app.memory.log.flush().await.expect("a log");
            let entries = app.memory.log.entries();
            let rotations = |phase| {
                entries.iter().filter(move |(_, entry)| {
                    entry.phase == phase && entry.action.ends_with("keys/rotate/action")
                })
            };
            assert_eq!(rotations(Phase::Intent).count(), rotations(Phase::Outcome).count());
            let done = rotations(Phase::Outcome).filter(|(_, entry)| entry.outcome == Some(Outcome::Done));
            assert_eq!(done.count(), KEYS, "step {step} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_policy_is_shown_as_it_was_set_and_goes_with_its_key() {
    let app = App::new(23).await;
    let (context, vault, name) = (app.opened.context(), app.vault.name.clone(), object("signer"));
    let platform = app.platform();
    let missing = platform.get_rotation_policy(&context, &app.caller, &vault, &name).await;
    assert!(matches!(missing, Err(Error::NotFound(..))));
    assert!(matches!(app.set_policy("signer", &rotate_after("P30D")).await, Err(Error::NotFound(..))));
    app.create("signer", &to_create(KeySpec::P256)).await.expect("a key");
    let usual = platform.get_rotation_policy(&context, &app.caller, &vault, &name).await.expect("a policy");
    assert_eq!((usual.policy, usual.dates), (RotationPolicyToSet::usual(), None));
    assert!(matches!(app.set_policy("signer", &rotate_after("P6D")).await, Err(Error::BadParameter(_))));
    app.set_policy("signer", &rotate_after("P30D")).await.expect("a policy");
    app.opened.clock.forward(DAY);
    app.set_policy("signer", &rotate_after("P40D")).await.expect("a policy");
    let shown = platform.get_rotation_policy(&context, &app.caller, &vault, &name).await.expect("a policy");
    assert_eq!(shown.policy, rotate_after("P40D"));
    let begun = Timestamp::from_seconds(1_800_000_000);
    assert_eq!(shown.dates, Some((begun, begun.plus(DAY))));
    // A backup carries it; a purge takes it away; a new key of the name has none.
    let blob = platform.backup_key(&context, &app.caller, &vault, &name).await.expect("a backup").blob;
    platform.delete_key(&context, &app.caller, &vault, &name).await.expect("a deleted key");
    platform.purge_key(&context, &app.caller, &vault, &name).await.expect("a purge");
    app.create("signer", &to_create(KeySpec::P256)).await.expect("a key");
    let shown = platform.get_rotation_policy(&context, &app.caller, &vault, &name).await.expect("a policy");
    assert_eq!(shown.policy, RotationPolicyToSet::usual());
    platform.delete_key(&context, &app.caller, &vault, &name).await.expect("a deleted key");
    platform.purge_key(&context, &app.caller, &vault, &name).await.expect("a purge");
    platform.restore_key(&context, &app.caller, &vault, &blob).await.expect("a restored key");
    let shown = platform.get_rotation_policy(&context, &app.caller, &vault, &name).await.expect("a policy");
    assert_eq!(shown.policy, rotate_after("P40D"));
}
