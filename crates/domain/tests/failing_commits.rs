//! What a store that fails leaves behind: whether a commit was lost, or applied and not acknowledged, after the next
//! start every announced change has exactly one outcome, and it says what the store says. And without a log nothing
//! happens at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_crypto::{Reason, SecretString};
use vouchsafe_domain::Fault;
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::audit::{Entry, Outcome, Phase};
use vouchsafe_domain::directory::{ApplicationToPut, TenantDomain, TenantToFound};
use vouchsafe_domain::ids::{ClientId, IdentityName, ObjectName, ResourceGroupName, TenantId, VaultName};
use vouchsafe_domain::ports::Log;
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::resource::{IdentityToPut, VaultToPut};
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::{
    Attributes, KeyAttributes, KeyToCreate, KeyUpdate, RotationPolicyToSet, SecretToSet, SecretUpdate,
};
use vouchsafe_domain::world::TenantSnapshot;
use vouchsafe_testkit::faulty_store::CommitFault;
use vouchsafe_testkit::world::{GROUP, InMemory, Opened};

/// A platform with something of everything in it.
struct Furnished {
    memory: InMemory,
    opened: Opened,
    caller: Caller,
    client: ClientId,
    blob: Vec<u8>,
    key_blob: Vec<u8>,
}

fn object(name: &str) -> ObjectName {
    ObjectName::parse(name).expect("a name")
}

fn vault(name: &str) -> VaultName {
    VaultName::parse(name).expect("a name")
}

fn group() -> ResourceGroupName {
    ResourceGroupName::parse(GROUP).expect("a name")
}

fn to_set(value: &str) -> SecretToSet {
    SecretToSet { value: SecretString::new(value.to_owned()), attributes: Attributes::default() }
}

fn key_to_create() -> KeyToCreate {
    KeyToCreate {
        spec: KeySpec::P256,
        in_token: false,
        operations: None,
        attributes: KeyAttributes::default(),
        release_policy: None,
    }
}

impl Furnished {
    async fn new(seed: u64) -> Self {
        let memory = InMemory::found(seed).await;
        let opened = memory.open().await;
        let (home, platform) = (memory.home, opened.platform.clone());
        for name in ["app", "spare", "gone"] {
            opened.put_vault(home, name, &VaultToPut::default()).await;
        }
        let identity = opened.put_identity(home, "worker").await;
        let scope = Scope::of_subscription(identity.subscription);
        opened.assign(home, built_in::KEY_VAULT_READER, identity.principal, scope).await;
        let (context, caller) = (opened.context(), opened.administrator(home));
        for name in ["db", "deleted", "carried"] {
            platform
                .set_secret(&context, &caller, &vault("app"), &object(name), &to_set("v"))
                .await
                .expect("a secret");
        }
        platform
            .delete_secret(&context, &caller, &vault("app"), &object("deleted"))
            .await
            .expect("a deleted secret");
        let blob = platform.backup_secret(&context, &caller, &vault("app"), &object("carried")).await;
        let blob = blob.expect("a backup").blob;
        for name in ["signer", "away"] {
            let (name, wanted) = (object(name), key_to_create());
            platform.create_key(&context, &caller, &vault("app"), &name, &wanted).await.expect("a key");
        }
        let key_blob = platform.backup_key(&context, &caller, &vault("app"), &object("signer")).await;
        let key_blob = key_blob.expect("a backup").blob;
        platform.delete_key(&context, &caller, &vault("app"), &object("away")).await.expect("a deleted key");
        let subscription = opened.subscription(home);
        let gone =
            platform.delete_vault(&context, &caller, home, subscription, &group(), &vault("gone")).await;
        gone.expect("a deleted vault");
        let wanted = ApplicationToPut { display_name: "billing".to_owned(), ..ApplicationToPut::default() };
        let client = platform
            .put_application(&context, &caller, home, &wanted)
            .await
            .expect("an application")
            .1
            .client;
        Self { memory, opened, caller, client, blob, key_blob }
    }

    fn home(&self) -> TenantId {
        self.memory.home
    }

    fn snapshot(&self) -> Arc<TenantSnapshot> {
        self.opened.tenant(self.home())
    }
}

/// What a change came to: done, or not with a reason.
type Change = for<'a> fn(&'a Furnished) -> BoxFuture<'a, Result<(), String>>;

fn told<T>(result: Result<T, impl std::fmt::Display>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

/// Every use case that commits.
const CHANGES: [(&str, Change); 28] = [
    ("set a secret", |f| {
        Box::pin(async move {
            let context = f.opened.context();
            told(
                f.opened
                    .platform
                    .set_secret(&context, &f.caller, &vault("app"), &object("new"), &to_set("n"))
                    .await,
            )
        })
    }),
    ("set a version", |f| {
        Box::pin(async move {
            let context = f.opened.context();
            told(
                f.opened
                    .platform
                    .set_secret(&context, &f.caller, &vault("app"), &object("db"), &to_set("n"))
                    .await,
            )
        })
    }),
    ("update a secret", |f| {
        Box::pin(async move {
            let update = SecretUpdate { disabled: Some(true), ..SecretUpdate::default() };
            let context = f.opened.context();
            told(
                f.opened
                    .platform
                    .update_secret(&context, &f.caller, &vault("app"), &object("db"), None, &update)
                    .await,
            )
        })
    }),
    ("delete a secret", |f| {
        Box::pin(async move {
            told(
                f.opened
                    .platform
                    .delete_secret(&f.opened.context(), &f.caller, &vault("app"), &object("db"))
                    .await,
            )
        })
    }),
    ("recover a secret", |f| {
        Box::pin(async move {
            told(
                f.opened
                    .platform
                    .recover_secret(&f.opened.context(), &f.caller, &vault("app"), &object("deleted"))
                    .await,
            )
        })
    }),
    ("purge a secret", |f| {
        Box::pin(async move {
            told(
                f.opened
                    .platform
                    .purge_secret(&f.opened.context(), &f.caller, &vault("app"), &object("deleted"))
                    .await,
            )
        })
    }),
    ("restore a secret", |f| {
        Box::pin(async move {
            told(
                f.opened
                    .platform
                    .restore_secret(&f.opened.context(), &f.caller, &vault("spare"), &f.blob)
                    .await,
            )
        })
    }),
    ("purge what is due", |f| {
        Box::pin(async move {
            f.opened.clock.forward(std::time::Duration::from_secs(91 * 86_400));
            let context = f.opened.context();
            told(f.opened.platform.purge_due_secrets(&context).await)
        })
    }),
    ("make a key", |f| {
        Box::pin(async move {
            let (context, name, wanted) = (f.opened.context(), object("new"), key_to_create());
            told(f.opened.platform.create_key(&context, &f.caller, &vault("app"), &name, &wanted).await)
        })
    }),
    ("rotate a key", |f| {
        Box::pin(async move {
            let context = f.opened.context();
            told(f.opened.platform.rotate_key(&context, &f.caller, &vault("app"), &object("signer")).await)
        })
    }),
    ("update a key", |f| {
        Box::pin(async move {
            let (context, name) = (f.opened.context(), object("signer"));
            let update = KeyUpdate { disabled: Some(true), ..KeyUpdate::default() };
            told(f.opened.platform.update_key(&context, &f.caller, &vault("app"), &name, None, &update).await)
        })
    }),
    ("set a rotation policy", |f| {
        Box::pin(async move {
            let (context, name, wanted) =
                (f.opened.context(), object("signer"), RotationPolicyToSet::usual());
            told(
                f.opened
                    .platform
                    .set_rotation_policy(&context, &f.caller, &vault("app"), &name, &wanted)
                    .await,
            )
        })
    }),
    ("delete a key", |f| {
        Box::pin(async move {
            let context = f.opened.context();
            told(f.opened.platform.delete_key(&context, &f.caller, &vault("app"), &object("signer")).await)
        })
    }),
    ("recover a key", |f| {
        Box::pin(async move {
            let context = f.opened.context();
            told(f.opened.platform.recover_key(&context, &f.caller, &vault("app"), &object("away")).await)
        })
    }),
    ("purge a key", |f| {
        Box::pin(async move {
            let context = f.opened.context();
            told(f.opened.platform.purge_key(&context, &f.caller, &vault("app"), &object("away")).await)
        })
    }),
    ("restore a key", |f| {
        Box::pin(async move {
            let context = f.opened.context();
            told(f.opened.platform.restore_key(&context, &f.caller, &vault("spare"), &f.key_blob).await)
        })
    }),
    ("make a group", |f| {
        Box::pin(async move {
            let name = ResourceGroupName::parse("new").expect("a name");
            let (context, subscription, tags) =
                (f.opened.context(), f.opened.subscription(f.home()), BTreeMap::new());
            let put = f.opened.platform.put_resource_group(
                &context,
                &f.caller,
                f.home(),
                subscription,
                &name,
                None,
                &tags,
            );
            told(put.await)
        })
    }),
    ("make a vault", |f| {
        Box::pin(async move {
            let (context, subscription, wanted) =
                (f.opened.context(), f.opened.subscription(f.home()), VaultToPut::default());
            let (group, name) = (group(), vault("new"));
            told(
                f.opened
                    .platform
                    .put_vault(&context, &f.caller, f.home(), subscription, &group, &name, &wanted)
                    .await,
            )
        })
    }),
    ("delete a vault", |f| {
        Box::pin(async move {
            let (context, subscription) = (f.opened.context(), f.opened.subscription(f.home()));
            let (group, name) = (group(), vault("spare"));
            told(
                f.opened
                    .platform
                    .delete_vault(&context, &f.caller, f.home(), subscription, &group, &name)
                    .await,
            )
        })
    }),
    ("purge a vault", |f| {
        Box::pin(async move {
            let (context, subscription) = (f.opened.context(), f.opened.subscription(f.home()));
            told(
                f.opened
                    .platform
                    .purge_vault(&context, &f.caller, f.home(), subscription, &vault("gone"))
                    .await,
            )
        })
    }),
    ("make an identity", |f| {
        Box::pin(async move {
            let (context, subscription, wanted) =
                (f.opened.context(), f.opened.subscription(f.home()), IdentityToPut::default());
            let (group, name) = (group(), IdentityName::parse("new").expect("a name"));
            told(
                f.opened
                    .platform
                    .put_identity(&context, &f.caller, f.home(), subscription, &group, &name, &wanted)
                    .await,
            )
        })
    }),
    ("delete an identity", |f| {
        Box::pin(async move {
            let (context, subscription) = (f.opened.context(), f.opened.subscription(f.home()));
            let (group, name) = (group(), IdentityName::parse("worker").expect("a name"));
            told(
                f.opened
                    .platform
                    .delete_identity(&context, &f.caller, f.home(), subscription, &group, &name)
                    .await,
            )
        })
    }),
    ("revoke a role", |f| {
        Box::pin(async move {
            let snapshot = f.snapshot();
            let worker = snapshot.identities().next().ok_or("nobody")?.principal;
            let held =
                snapshot.assignments().find(|assignment| assignment.principal == worker).ok_or("no role")?;
            let context = f.opened.context();
            let (tenant, scope) = (f.home(), &held.scope);
            told(f.opened.platform.delete_role_assignment(&context, &f.caller, tenant, scope, held.id).await)
        })
    }),
    ("make an application", |f| {
        Box::pin(async move {
            let wanted = ApplicationToPut { display_name: "new".to_owned(), ..ApplicationToPut::default() };
            told(f.opened.platform.put_application(&f.opened.context(), &f.caller, f.home(), &wanted).await)
        })
    }),
    ("make a client secret", |f| {
        Box::pin(async move {
            let context = f.opened.context();
            told(
                f.opened.platform.generate_client_secret(&context, &f.caller, f.home(), f.client, None).await,
            )
        })
    }),
    ("make a user group", |f| {
        Box::pin(async move {
            told(
                f.opened.platform.put_group(&f.opened.context(), &f.caller, f.home(), "operators", &[]).await,
            )
        })
    }),
    ("found a tenant", |f| {
        Box::pin(async move {
            let domain = TenantDomain::parse("new.example").expect("a domain");
            let wanted =
                TenantToFound { id: None, display_name: "new".to_owned(), domain, subscription: None };
            told(f.opened.platform.found_tenant(&f.opened.context(), &f.caller, &wanted).await)
        })
    }),
    ("rotate signing keys", |f| {
        Box::pin(async move {
            f.opened.clock.forward(std::time::Duration::from_secs(91 * 86_400));
            let context = f.opened.context();
            told(f.opened.platform.rotate_signing_keys(&context).await)
        })
    }),
];

/// What is known of all tenants, in an order that compares.
fn world(opened: &Opened) -> Vec<String> {
    let mut known = Vec::new();
    for tenant in opened.platform.world().tenants() {
        let id = tenant.tenant().id;
        known.push(format!("{id} at {:?}", tenant.epoch()));
        known.extend(tenant.vaults().map(|vault| format!("{id} vault {}", vault.name)));
        known.extend(tenant.deleted_vaults().map(|vault| format!("{id} deleted vault {}", vault.name)));
        known.extend(tenant.groups().map(|group| format!("{id} group {}", group.name)));
        known.extend(tenant.identities().map(|identity| format!("{id} identity {}", identity.name)));
        known.extend(tenant.assignments().map(|assignment| format!("{id} assignment {}", assignment.id)));
        known.extend(tenant.user_groups().map(|group| format!("{id} user group {}", group.id)));
        known.extend(tenant.signing_keys().map(|key| format!("{id} key {} {:?}", key.kid, key.state)));
        known.extend(tenant.applications().map(|application| {
            format!("{id} application {} {}", application.client, application.secrets.len())
        }));
    }
    known.sort();
    known
}

/// Every intent with its outcomes.
fn outcomes(entries: &[(vouchsafe_domain::ports::log::Position, Entry)]) -> Vec<(String, Vec<Outcome>)> {
    let intents = entries.iter().filter(|(_, entry)| entry.phase == Phase::Intent);
    intents
        .map(|(position, intent)| {
            let of_it = entries.iter().filter(|(_, entry)| {
                entry.phase == Phase::Outcome
                    && entry.intent == Some(position.0)
                    && entry.request == intent.request
            });
            (intent.action.clone(), of_it.filter_map(|(_, entry)| entry.outcome).collect())
        })
        .collect()
}

#[tokio::test]
async fn after_every_failing_commit_the_log_and_the_store_tell_the_same_story() {
    for (number, (what, change)) in (100..).zip(CHANGES) {
        for (fault, applied) in [
            (None, true),
            (Some(CommitFault::NotApplied), false),
            (Some(CommitFault::AppliedNotAcknowledged), true),
            (Some(CommitFault::AppliedNeverAnswered), true),
        ] {
            let furnished = Furnished::new(number).await;
            let (memory, opened) = (&furnished.memory, &furnished.opened);
            let before = memory.image().await;
            memory.log.flush().await.expect("a log");
            let start = memory.log.entries().len();
            fault.iter().for_each(|fault| opened.store.fail_commit(0, *fault));
            let heard = match fault {
                // The request is dropped while it waits.
                Some(CommitFault::AppliedNeverAnswered) => change(&furnished).now_or_never(),
                _ => Some(change(&furnished).await),
            };
            let done = heard.as_ref().is_some_and(|heard| heard.is_ok());
            assert_eq!(done, fault.is_none(), "{what} with {fault:?}: {heard:?}");
            assert_eq!(memory.image().await != before, applied, "{what} with {fault:?}");
            // Who goes on without a start believes what the store holds, one tick later at most.
            opened.platform.catch_up().await.expect("a tick");
            let seen = world(opened);
            memory.log.crash();
            let again = memory.open().await;
            assert_eq!(seen, world(&again), "{what} with {fault:?}: what is held in memory is stale");
            let announced = outcomes(&memory.log.entries()[start..]);
            let wanted = if applied { Outcome::Done } else { Outcome::Lost };
            assert!(!announced.is_empty(), "{what} was not announced");
            for (action, outcomes) in &announced {
                assert_eq!(outcomes, &[wanted], "{what} with {fault:?}: {action}");
            }
            // Another start finds nothing left to do.
            let length = memory.log.len();
            memory.open().await;
            assert_eq!(memory.log.len(), length, "{what} with {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_conflict_is_decided_anew_and_both_attempts_are_in_the_log() {
    for (number, (what, change)) in (200..).zip(CHANGES) {
        let furnished = Furnished::new(number).await;
        let (memory, opened) = (&furnished.memory, &furnished.opened);
        memory.log.flush().await.expect("a log");
        let start = memory.log.entries().len();
        opened.store.fail_commit(0, CommitFault::Conflict);
        let heard = change(&furnished).await;
        memory.log.flush().await.expect("a log");
        let announced = outcomes(&memory.log.entries()[start..]);
        let outcomes: Vec<Outcome> = announced.into_iter().flat_map(|(_, outcomes)| outcomes).collect();
        // Founding a tenant asks its caller to try again, and a job leaves it to its next tick.
        let once = ["found a tenant", "purge what is due", "rotate signing keys"].contains(&what);
        let wanted: &[Outcome] = if once { &[Outcome::Lost] } else { &[Outcome::Lost, Outcome::Done] };
        assert_eq!(outcomes, wanted, "{what}");
        assert_eq!(heard.is_ok(), what != "found a tenant", "{what}: {heard:?}");
        assert_eq!(world(opened), world(&memory.open().await), "{what}");
    }
}

#[tokio::test]
async fn without_a_log_nothing_changes_and_no_value_leaves() {
    let furnished = Furnished::new(300).await;
    let (memory, opened) = (&furnished.memory, &furnished.opened);
    let (before, seen) = (memory.image().await, world(opened));
    memory.log.break_down(true);
    for (what, change) in CHANGES {
        assert!(change(&furnished).await.is_err(), "{what} happened without a log");
    }
    let (context, platform) = (opened.context(), &opened.platform);
    let read = platform.get_secret(&context, &furnished.caller, &vault("app"), &object("db"), None).await;
    assert!(read.is_err());
    assert!(platform.backup_secret(&context, &furnished.caller, &vault("app"), &object("db")).await.is_err());
    let snapshot = furnished.snapshot();
    let resource = vouchsafe_testkit::world::KEY_VAULT;
    assert!(platform.grant_local_administrator(&context, &snapshot, resource).await.is_err());
    assert_eq!(memory.image().await, before);
    assert_eq!(world(opened), seen);
    memory.log.break_down(false);
    let read = platform.get_secret(&context, &furnished.caller, &vault("app"), &object("db"), None).await;
    assert_eq!(read.expect("a secret").into_value().expose(Reason::Test), b"v");
}

#[tokio::test]
async fn a_store_that_cannot_be_read_answers_nothing_and_leaves_nothing_open() {
    let furnished = Furnished::new(301).await;
    let (memory, opened) = (&furnished.memory, &furnished.opened);
    memory.log.flush().await.expect("a log");
    let (before, start) = (memory.image().await, memory.log.entries().len());
    opened.store.fail_reads(true);
    let (context, platform) = (opened.context(), &opened.platform);
    let read = platform.get_secret(&context, &furnished.caller, &vault("app"), &object("db"), None).await;
    assert!(matches!(read, Err(vouchsafe_domain::vault::Error::Fault(Fault::Unavailable(_)))));
    for (what, change) in &CHANGES[..8] {
        assert!(change(&furnished).await.is_err(), "{what} without reading");
    }
    opened.store.fail_reads(false);
    assert_eq!(memory.image().await, before);
    memory.log.crash();
    memory.open().await;
    for (action, outcomes) in outcomes(&memory.log.entries()[start..]) {
        assert_eq!(outcomes, [Outcome::Lost], "{action}");
    }
}

#[tokio::test]
async fn a_purge_of_many_versions_that_stops_half_way_can_only_go_on() {
    const VERSIONS: usize = 1_100;
    let memory = InMemory::found(302).await;
    let opened = memory.open().await;
    let app = opened.put_vault(memory.home, "app", &VaultToPut::default()).await;
    let (context, caller) = (opened.context(), opened.administrator(memory.home));
    let (many, platform) = (object("many"), opened.platform.clone());
    for _ in 0..VERSIONS {
        platform.set_secret(&context, &caller, &app.name, &many, &to_set("v")).await.expect("a version");
    }
    platform.delete_secret(&context, &caller, &app.name, &many).await.expect("a deleted secret");
    let full = memory.image().await.len();
    // The mark is the first commit, then come batches of versions: the second batch is lost.
    opened.store.fail_commit(2, CommitFault::NotApplied);
    assert!(platform.purge_secret(&context, &caller, &app.name, &many).await.is_err());
    let half = memory.image().await.len();
    assert!(half < full - 500 && half > full - 2 * VERSIONS, "{half} of {full}");

    memory.log.crash();
    let opened = memory.open().await;
    let (platform, context) = (opened.platform.clone(), opened.context());
    assert!(platform.recover_secret(&context, &caller, &app.name, &many).await.is_err());
    assert!(platform.get_deleted_secret(&context, &caller, &app.name, &many).await.is_err());
    let again = platform.set_secret(&context, &caller, &app.name, &many, &to_set("v")).await;
    assert!(matches!(again, Err(vouchsafe_domain::vault::Error::BeingDeleted(..))));
    // The job goes on at once: what was begun need not wait for its day.
    assert_eq!(platform.purge_due_secrets(&context).await.expect("a tick"), 1);
    assert!(memory.image().await.len() <= full - 2 * VERSIONS);
    platform.set_secret(&context, &caller, &app.name, &many, &to_set("v")).await.expect("a free name");
    let begun = Timestamp::from_seconds(1_800_000_000);
    assert_eq!(context.now(), begun, "no time passed");
}
