//! Certificates whose keys a token holds: only in vaults that have one, never exportable, known while they wait, and
//! not left in the token when nothing refers to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_crypto::pki::write_pem;
use vouchsafe_domain::resource::{Sku, VaultToPut};
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::{PendingStatus, PolicyPatch};
use vouchsafe_testkit::counting_token::CountingToken;
use vouchsafe_testkit::faulty_store::CommitFault;

use crate::import::{bundle, import};
use crate::support::{DAY, House, by, itself, renews_at, unknown};

fn held(policy: PolicyPatch) -> PolicyPatch {
    PolicyPatch { key_type: Some((KeyFamily::Ec, true)), ..policy }
}

async fn premium(seed: u64) -> (House, Arc<CountingToken>) {
    let mut house = House::new(seed).await;
    let token = Arc::new(CountingToken::default());
    house.memory.token = Some(token.clone());
    house.restart().await;
    let wanted = VaultToPut { sku: Some(Sku::Premium), ..VaultToPut::default() };
    house.vault = house.opened.put_vault(house.memory.home, "app", &wanted).await;
    (house, token)
}

#[tokio::test]
async fn a_key_in_a_token_stays_there_and_the_secret_has_the_chain_only() {
    let (house, _) = premium(90).await;
    let made = house.make("web", held(itself())).await;
    assert!(!made.exportable);
    let secret = String::from_utf8(house.secret("web", None).await.expect("a secret")).expect("text");
    assert!(secret.starts_with("-----BEGIN CERTIFICATE-----") && !secret.contains("PRIVATE"));
    let policy = PolicyPatch { exportable: Some(true), ..held(itself()) };
    assert!(matches!(house.begin("open", policy).await, Err(Error::BadParameter(_))));
}

#[tokio::test]
async fn a_standard_vault_and_a_server_without_a_token_refuse_such_keys() {
    let house = House::new(91).await;
    assert!(matches!(house.begin("web", held(itself())).await, Err(Error::BadParameter(_))));
}

#[tokio::test]
async fn keys_of_operations_and_authorities_are_no_orphans_and_go_with_what_they_are_for() {
    let (house, token) = premium(92).await;
    let handles = || async { house.platform().token_handles().await.expect("handles").len() };
    house.begin("web", held(unknown())).await.expect("an operation");
    assert_eq!((handles().await, token.count()), (1, 1));
    house.set_authority("ours", "example.test").await.expect("an issuer");
    assert_eq!((handles().await, token.count()), (2, 2));
    let made = house.make("issued", held(by("ours"))).await;
    assert_eq!((handles().await, token.count()), (3, 3));
    assert!(made.authority.is_some());
    house.delete("web").await.expect("deleted");
    assert_eq!((handles().await, token.count()), (3, 3), "it can be recovered");
    house.purge("web").await.expect("purged");
    assert_eq!((handles().await, token.count()), (2, 2));
    assert_eq!(house.poll("issued").await.expect("an operation").status, PendingStatus::Completed);
    // The key of a renewal that goes on is beside that of the version.
    house.begin("issued", held(unknown())).await.expect("an operation");
    assert_eq!((handles().await, token.count()), (3, 3));
    house.delete("issued").await.expect("deleted");
    house.purge("issued").await.expect("purged");
    assert_eq!((handles().await, token.count()), (1, 1));
}

#[tokio::test]
async fn a_key_that_all_versions_of_a_certificate_have_goes_with_them() {
    let (house, token) = premium(93).await;
    let policy = PolicyPatch { reuse_key: Some(true), lifetime_actions: renews_at(50), ..held(itself()) };
    house.make("web", policy).await;
    for _ in 0..2 {
        house.forward(200 * DAY);
        assert_eq!((house.jobs().await.renewed, house.jobs().await.ended), (1, 1));
    }
    assert_eq!((house.platform().token_handles().await.expect("handles").len(), token.count()), (3, 1));
    house.delete("web").await.expect("deleted");
    house.purge("web").await.expect("purged");
    assert_eq!((token.count(), token.destroyed()), (0, 1));
}

#[tokio::test]
async fn whoever_loses_a_race_for_a_name_leaves_no_key_in_the_token() {
    let (house, token) = premium(94).await;
    // Both make a key; the second hears that an operation goes on when its commit was refused.
    token.slow(4);
    let (first, second) =
        tokio::join!(house.begin("web", held(unknown())), house.begin("web", held(unknown())));
    assert!(first.is_ok() && second.is_err(), "{first:?} {second:?}");
    assert_eq!(token.count(), 1);
    let pem = write_pem(&bundle(KeySpec::P256));
    let policy = PolicyPatch {
        key_type: Some((KeyFamily::Ec, true)),
        exportable: Some(false),
        ..PolicyPatch::default()
    };
    let (begun, imported) = tokio::join!(
        house.begin("api", held(unknown())),
        import(&house, "api", &pem, None, Some(policy.clone()))
    );
    assert!(begun.is_ok() && imported.is_err(), "{begun:?} {imported:?}");
    assert_eq!(token.count(), 2);
    import(&house, "good", &pem, None, Some(policy)).await.expect("a certificate");
    assert_eq!(token.count(), 3);
}

#[tokio::test]
async fn an_authority_that_was_not_founded_leaves_no_key_in_the_token() {
    let (house, token) = premium(95).await;
    token.mute.store(true, Ordering::SeqCst);
    assert!(house.set_authority("ours", "example.test").await.is_err());
    assert_eq!(token.count(), 0);
    token.mute.store(false, Ordering::SeqCst);
    // Somebody was faster, once: the key that was made is used by the second attempt.
    house.opened.store.fail_commit(0, CommitFault::Conflict);
    house.set_authority("ours", "example.test").await.expect("an issuer");
    assert_eq!(token.count(), 1);
    house.make("web", by("ours")).await;
    // Always: it is destroyed.
    for ahead in 0..64 {
        house.opened.store.fail_commit(ahead, CommitFault::Conflict);
    }
    assert!(house.set_authority("theirs", "example.test").await.is_err());
    assert_eq!(token.count(), 1);
}

#[tokio::test]
async fn an_authority_of_which_nobody_knows_whether_it_was_founded_keeps_its_key() {
    for (seed, fault, stored) in
        [(96, CommitFault::NotApplied, 0), (97, CommitFault::AppliedNotAcknowledged, 1)]
    {
        let (house, token) = premium(seed).await;
        house.opened.store.fail_commit(0, fault);
        assert!(house.set_authority("ours", "example.test").await.is_err());
        assert_eq!(token.count(), 1);
        assert_eq!(house.platform().token_handles().await.expect("handles").len(), stored);
    }
}
