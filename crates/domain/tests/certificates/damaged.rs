//! Records that cannot be read: what is sound goes on, in the same vault and in all others.

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_domain::ports::Store as _;
use vouchsafe_domain::ports::store::{Commit, Expect, Housekeeping, Key, Kind, Partition};
use vouchsafe_domain::resource::VaultToPut;
use vouchsafe_domain::vault::{
    KeyAttributes, KeyToCreate, LifetimeAction, LifetimeTrigger, RotationAction, RotationPolicyToSet, Span,
};

use crate::support::{DAY, House, itself, object, to_set};

/// Two vaults, each with records of these kinds that cannot be read: whichever comes first, one is in the way.
async fn damaged(seed: u64, kinds: &[Kind]) -> House {
    let house = House::new(seed).await;
    let other = house.opened.put_vault(house.memory.home, "other", &VaultToPut::default()).await;
    for vault in [&house.vault, &other] {
        let partition = Partition::Vault(house.memory.home, vault.id);
        for kind in kinds {
            for name in ["a", "m", "z"] {
                let key = Key::new(partition, *kind, name);
                let bytes = SecretBytes::new(vec![0xff; 8]);
                let commit = Commit::housekeeping(Housekeeping::Initialise);
                let put = house.opened.store.commit(commit.put(key, Expect::Absent, bytes)).await;
                put.expect("a commit");
            }
        }
    }
    house
}

#[tokio::test]
async fn certificates_and_lists_beside_records_that_cannot_be_read_are_looked_after() {
    let house = damaged(110, &[Kind::Certificate, Kind::CertificateAuthority]).await;
    house.set_authority("ours", "example.test").await.expect("an issuer");
    house.forward(4 * DAY);
    house.begin("web", itself()).await.expect("an operation");
    let jobs = house.jobs().await;
    assert_eq!((jobs.ended, jobs.lists, jobs.failed), (1, 1, 12), "{jobs:?}");
    assert!(house.get("web").await.expect("a certificate").version.is_issued());
}

#[tokio::test]
async fn what_is_due_beside_records_that_cannot_be_read_is_purged_and_the_damage_is_reported() {
    let house = damaged(111, &[Kind::DeletedSecret]).await;
    let (context, name) = (house.opened.context(), object("old"));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    platform.set_secret(&context, caller, at, &name, &to_set("v")).await.expect("a secret");
    platform.delete_secret(&context, caller, at, &name).await.expect("deleted");
    house.forward(91 * DAY);
    let later = house.opened.context();
    assert!(platform.purge_due_secrets(&later).await.is_err(), "nobody hears of the damage");
    assert!(platform.get_deleted_secret(&later, caller, at, &name).await.is_err(), "it is still there");
}

#[tokio::test]
async fn keys_beside_policies_that_cannot_be_read_are_rotated() {
    let house = damaged(112, &[Kind::KeyRotationPolicy]).await;
    let (context, name) = (house.opened.context(), object("signer"));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    let wanted = KeyToCreate {
        spec: KeySpec::P256,
        in_token: false,
        operations: None,
        attributes: KeyAttributes::default(),
        release_policy: None,
    };
    platform.create_key(&context, caller, at, &name, &wanted).await.expect("a key");
    let action = LifetimeAction {
        trigger: LifetimeTrigger::AfterCreate(Span::parse("P40D").expect("a span")),
        action: RotationAction::Rotate,
    };
    let policy = RotationPolicyToSet { actions: vec![action], expiry: Span::parse("P1Y") };
    platform.set_rotation_policy(&context, caller, at, &name, &policy).await.expect("a policy");
    house.forward(41 * DAY);
    assert_eq!(platform.rotate_due_keys(&house.opened.context()).await.expect("a tick"), 1);
}
