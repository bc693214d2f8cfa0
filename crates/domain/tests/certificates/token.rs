//! Certificates whose keys a token holds: only in vaults that have one, never exportable, known while they wait, and
//! not left in the token when nothing refers to them.

use std::sync::Arc;

use vouchsafe_crypto::keys::KeyFamily;
use vouchsafe_domain::resource::{Sku, VaultToPut};
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::{PendingStatus, PolicyPatch};
use vouchsafe_testkit::counting_token::CountingToken;

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
