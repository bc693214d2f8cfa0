//! What is purged is gone from the token, also when somebody purges or restores the same key in that moment. What jobs
//! need a token for waits until it is well.

use std::sync::atomic::Ordering;
use std::time::Duration;

use vouchsafe_crypto::keys::{KeySpec, SignatureAlgorithm};
use vouchsafe_domain::ids::VaultName;
use vouchsafe_domain::ports::Log;
use vouchsafe_domain::resource::{Sku, VaultToPut};
use vouchsafe_domain::vault::Error;

use super::rotation::rotate_after;
use super::token::{in_token, with_token};
use super::{App, object, to_create, vault_name};

const DAY: Duration = Duration::from_secs(86_400);

impl App {
    /// The key `held` in the token, and its backup; and another vault that may have it, too.
    async fn backed_up(&self) -> (Vec<u8>, VaultName) {
        let premium = VaultToPut { sku: Some(Sku::Premium), ..VaultToPut::default() };
        self.opened.put_vault(self.memory.home, "other", &premium).await;
        self.create("held", &in_token()).await.expect("a key");
        let (context, vault, name) = (self.opened.context(), &self.vault.name, object("held"));
        let backup = self.platform().backup_key(&context, &self.caller, vault, &name).await;
        (backup.expect("a backup").blob, vault_name("other"))
    }

    async fn restore_in(&self, vault: &VaultName, blob: &[u8]) -> Result<(), Error> {
        let context = self.opened.context();
        self.platform().restore_key(&context, &self.caller, vault, blob).await.map(drop)
    }

    async fn delete_in(&self, vault: &VaultName, name: &str) {
        let (context, name) = (self.opened.context(), object(name));
        self.platform().delete_key(&context, &self.caller, vault, &name).await.expect("a deleted key");
    }

    async fn purge_in(&self, vault: &VaultName, name: &str) -> Result<(), Error> {
        let (context, name) = (self.opened.context(), object(name));
        self.platform().purge_key(&context, &self.caller, vault, &name).await
    }
}

#[tokio::test]
async fn a_key_that_two_vaults_purge_at_once_does_not_stay_in_the_token() {
    let (app, token) = with_token(40).await;
    let (blob, other) = app.backed_up().await;
    app.restore_in(&other, &blob).await.expect("a restored key");
    for vault in [&app.vault.name, &other] {
        app.delete_in(vault, "held").await;
    }
    app.opened.store.take_turns(true);
    let (here, there) = tokio::join!(app.purge_in(&app.vault.name, "held"), app.purge_in(&other, "held"));
    here.and(there).expect("two purges");
    assert_eq!((token.count(), token.destroyed()), (0, 1));
}

#[tokio::test]
async fn a_key_is_not_restored_while_a_purge_destroys_it() {
    let (app, token) = with_token(41).await;
    let (blob, other) = app.backed_up().await;
    app.delete_in(&app.vault.name, "held").await;
    token.slow(64);
    let (purged, restored) =
        tokio::join!(app.purge_in(&app.vault.name, "held"), app.restore_in(&other, &blob));
    purged.expect("a purge");
    assert!(matches!(restored, Err(Error::BadParameter(_))), "what was restored has no key: {restored:?}");
    assert_eq!(token.count(), 0);
    // A purge that begins while a key is restored finds it.
    let (app, token) = with_token(42).await;
    let (blob, other) = app.backed_up().await;
    app.delete_in(&app.vault.name, "held").await;
    app.opened.store.take_turns(true);
    let (restored, purged) =
        tokio::join!(app.restore_in(&other, &blob), app.purge_in(&app.vault.name, "held"));
    restored.and(purged).expect("both");
    assert_eq!(token.count(), 1);
    let (context, name) = (app.opened.context(), object("held"));
    let signed = app
        .platform()
        .sign(&context, &app.caller, &other, &name, None, SignatureAlgorithm::Es256, &[7; 32])
        .await;
    assert!(signed.is_ok(), "the copy lost its key");
}

#[tokio::test]
async fn a_purge_looks_for_other_copies_once_and_not_once_for_each_version() {
    const VERSIONS: u64 = 40;
    let (app, token) = with_token(43).await;
    for _ in 0..VERSIONS {
        app.create("held", &in_token()).await.expect("a key");
    }
    app.delete_in(&app.vault.name, "held").await;
    let before = app.opened.store.reads();
    app.purge_in(&app.vault.name, "held").await.expect("a purge");
    let reads = app.opened.store.reads() - before;
    assert!(reads < 10 * VERSIONS, "{reads} reads");
    assert_eq!((token.count(), token.destroyed()), (0, VERSIONS));
}

#[tokio::test]
async fn what_needs_a_token_that_is_away_waits_without_a_word_in_the_log() {
    let (app, token) = with_token(44).await;
    for (held, soft) in [("held", "soft"), ("gone", "soft-gone")] {
        app.create(held, &in_token()).await.expect("a key");
        app.create(soft, &to_create(KeySpec::P256)).await.expect("a key");
    }
    app.create("held-2", &in_token()).await.expect("a key");
    for name in ["held", "held-2", "soft"] {
        app.set_policy(name, &rotate_after("P30D")).await.expect("a policy");
    }
    for name in ["gone", "soft-gone"] {
        app.delete_in(&app.vault.name, name).await;
    }
    app.opened.clock.forward(DAY * 100);
    for (broken, done) in [(&token.away, (1, 1)), (&token.locked, (0, 0))] {
        broken.store(true, Ordering::SeqCst);
        app.memory.log.flush().await.expect("a log");
        let (start, asked) = (app.memory.log.entries().len(), token.asked());
        let rotated = app.tick().await;
        assert_eq!(token.asked() - asked, 1, "once a tick, however many keys wait");
        let purged = app.platform().purge_due_keys(&app.opened.context()).await.expect("a tick");
        assert_eq!(token.asked() - asked, 2);
        // What is in software does not wait.
        assert_eq!((rotated, purged), done);
        app.memory.log.flush().await.expect("a log");
        let entries = app.memory.log.entries();
        let soft = |resource: &str| resource.ends_with("/keys/soft") || resource.ends_with("/keys/soft-gone");
        let told = entries[start..].iter().filter(|(_, entry)| !soft(&entry.resource));
        assert_eq!(told.count(), 0);
        broken.store(false, Ordering::SeqCst);
    }
    assert_eq!((app.tick().await, app.tick().await), (2, 0));
    assert_eq!(app.platform().purge_due_keys(&app.opened.context()).await.expect("a tick"), 1);
    // Nobody is asked when nothing needs the token.
    let asked = token.asked();
    app.tick().await;
    assert_eq!(token.asked(), asked);
    assert_eq!(token.count(), 4);
}
