//! Certificates whose keys a token holds: only in vaults that have one, never exportable, and known while they wait.

use std::sync::Arc;

use vouchsafe_crypto::keys::KeyFamily;
use vouchsafe_domain::resource::{Sku, VaultToPut};
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::{PendingStatus, PolicyPatch};

use crate::support::{House, by, itself, unknown};

fn held(policy: PolicyPatch) -> PolicyPatch {
    PolicyPatch { key_type: Some((KeyFamily::Ec, true)), ..policy }
}

async fn premium(seed: u64) -> House {
    let mut house = House::new(seed).await;
    // What stands behind the port does not matter here: the rules are about which holder is asked.
    house.memory.token = Some(Arc::clone(&house.memory.software));
    house.restart().await;
    let wanted = VaultToPut { sku: Some(Sku::Premium), ..VaultToPut::default() };
    house.vault = house.opened.put_vault(house.memory.home, "app", &wanted).await;
    house
}

#[tokio::test]
async fn a_key_in_a_token_stays_there_and_the_secret_has_the_chain_only() {
    let house = premium(90).await;
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
async fn keys_of_operations_and_authorities_are_not_orphans_of_the_token() {
    let house = premium(92).await;
    let handles = || async { house.platform().token_handles().await.expect("handles").len() };
    house.begin("web", held(unknown())).await.expect("an operation");
    assert_eq!(handles().await, 1);
    house.set_authority("ours", "example.test").await.expect("an issuer");
    assert_eq!(handles().await, 2);
    let made = house.make("issued", held(by("ours"))).await;
    assert_eq!(handles().await, 3);
    assert!(made.authority.is_some());
    house.delete("web").await.expect("deleted");
    house.purge("web").await.expect("purged");
    assert_eq!(handles().await, 2);
    assert_eq!(house.poll("issued").await.expect("an operation").status, PendingStatus::Completed);
}
