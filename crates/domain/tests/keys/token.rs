//! Keys in a token that can be slow to answer, lose its keys or not be there: what is made and not stored is destroyed,
//! what is purged is gone from the token, and nothing is ever done in software instead.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vouchsafe_crypto::keys::{KeySpec, PrivateKey, SignatureAlgorithm};
use vouchsafe_domain::Fault;
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::audit::{Outcome, Phase};
use vouchsafe_domain::ports::Log;
use vouchsafe_domain::ports::hsm::{ByokBlob, Exportable, WrappedKind};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::resource::{self, Sku, VaultToPut};
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::{
    Error, KeyAttributes, KeyOperation, KeyToCreate, KeyToImport, KeyUpdate, ReleasePolicy, WrappedKey,
};
use vouchsafe_testkit::counting_token::CountingToken;
use vouchsafe_testkit::faulty_store::CommitFault;
use vouchsafe_testkit::world::{InMemory, KEY_VAULT};

use super::{App, object, to_create, vault_name};

pub async fn with_token(seed: u64) -> (App, Arc<CountingToken>) {
    let token = Arc::new(CountingToken::default());
    let mut memory = InMemory::found(seed).await;
    memory.token = Some(token.clone());
    (App::over(memory).await, token)
}

pub fn in_token() -> KeyToCreate {
    KeyToCreate { in_token: true, ..to_create(KeySpec::P256) }
}

impl App {
    async fn sign_with(&self, name: &str) -> Result<Vec<u8>, Error> {
        let (context, vault, algorithm) =
            (self.opened.context(), &self.vault.name, SignatureAlgorithm::Es256);
        let signed = self
            .platform()
            .sign(&context, &self.caller, vault, &object(name), None, algorithm, &[7; 32])
            .await;
        signed.map(|used| used.into_result())
    }
}

#[tokio::test]
async fn a_key_of_a_token_is_used_there_and_never_in_software() {
    let (app, token) = with_token(10).await;
    let head = app.create("held", &in_token()).await.expect("a key");
    assert!(head.current.in_token);
    let signature = app.sign_with("held").await.expect("a signature");
    let public = head.current.public.expect("a public half");
    assert_eq!(public.verify(SignatureAlgorithm::Es256, &[7; 32], &signature), Ok(true));
    for broken in [&token.away, &token.locked] {
        broken.store(true, Ordering::SeqCst);
        assert!(matches!(app.sign_with("held").await, Err(Error::Fault(fault)) if fault.is_unavailable()));
        let made = app.create("another", &in_token()).await;
        assert!(matches!(made, Err(Error::Fault(fault)) if fault.is_unavailable()));
        // What the public half can do goes on, and so does software.
        let (context, vault, name) = (app.opened.context(), &app.vault.name, object("held"));
        let verified = app
            .platform()
            .verify(
                &context,
                &app.caller,
                vault,
                &name,
                None,
                SignatureAlgorithm::Es256,
                &[7; 32],
                &signature,
            )
            .await;
        assert!(verified.expect("an answer").into_result());
        broken.store(false, Ordering::SeqCst);
    }
    app.create("soft", &to_create(KeySpec::P256)).await.expect("a key");
    // Somebody else's token: the key is not in it, and nothing answers in its place.
    token.clear();
    assert!(matches!(app.sign_with("held").await, Err(Error::Fault(Fault::Broken(_)))));
    // A server without the token: the same.
    let mut memory = app.memory;
    memory.token = None;
    let app = App { opened: memory.open().await, memory, caller: app.caller, vault: app.vault };
    assert!(matches!(app.sign_with("held").await, Err(Error::Fault(fault)) if fault.is_unavailable()));
    assert!(matches!(app.create("another", &in_token()).await, Err(Error::BadParameter(_))));
    app.sign_with("soft").await.expect("a signature");
}

#[tokio::test]
async fn only_premium_vaults_have_keys_in_a_token() {
    let (app, token) = with_token(11).await;
    app.opened.put_vault(app.memory.home, "plain", &VaultToPut::default()).await;
    let (context, plain) = (app.opened.context(), vault_name("plain"));
    let refused =
        app.platform().create_key(&context, &app.caller, &plain, &object("held"), &in_token()).await;
    assert!(matches!(refused, Err(Error::BadParameter(_))));
    assert_eq!(token.count(), 0);
    let unheld = KeyToCreate { spec: KeySpec::P256K, ..in_token() };
    assert!(matches!(app.create("held", &unheld).await, Err(Error::BadParameter(_))));
    // A backup does not carry a token's key into a standard vault either.
    app.create("held", &in_token()).await.expect("a key");
    let blob = app.platform().backup_key(&context, &app.caller, &app.vault.name, &object("held")).await;
    let blob = blob.expect("a backup").blob;
    let restored = app.platform().restore_key(&context, &app.caller, &plain, &blob).await;
    assert!(matches!(restored, Err(Error::BadParameter(_))));
    // And the way back from premium is closed.
    let (home, subscription) = (app.memory.home, app.opened.subscription(app.memory.home));
    let wanted = VaultToPut { sku: Some(Sku::Standard), ..VaultToPut::default() };
    let group = &app.vault.group;
    let back = app
        .platform()
        .put_vault(&context, &app.caller, home, subscription, group, &app.vault.name, &wanted)
        .await;
    assert!(matches!(back, Err(resource::Error::Conflict(_))));
}

#[tokio::test]
async fn a_key_that_did_not_get_into_the_store_is_not_left_in_the_token() {
    let (app, token) = with_token(12).await;
    // Somebody was faster, once: the key that was made is used by the second attempt.
    app.opened.store.fail_commit(0, CommitFault::Conflict);
    app.create("held", &in_token()).await.expect("a key");
    assert_eq!(token.count(), 1);
    // Always: it is destroyed.
    for ahead in 0..64 {
        app.opened.store.fail_commit(ahead, CommitFault::Conflict);
    }
    assert!(matches!(app.create("other", &in_token()).await, Err(Error::Fault(Fault::Contended))));
    assert_eq!(token.count(), 1);
    for (seed, fault, stored) in
        [(13, CommitFault::NotApplied, false), (14, CommitFault::AppliedNotAcknowledged, true)]
    {
        let (app, token) = with_token(seed).await;
        app.opened.store.fail_commit(0, fault);
        assert!(app.create("held", &in_token()).await.is_err());
        // Nobody knows whether it is needed: it stays, and the list says whether anything refers to it.
        assert_eq!(token.count(), 1);
        let handles = app.platform().token_handles().await.expect("a list");
        assert_eq!(handles.len(), usize::from(stored));
        assert_eq!(app.sign_with("held").await.is_ok(), stored);
    }
}

#[tokio::test]
async fn a_purge_destroys_in_the_token_and_goes_on_where_it_was_stopped() {
    for (step, fault) in [
        (None, None),
        (Some(0), Some(CommitFault::NotApplied)),
        (Some(0), Some(CommitFault::AppliedNotAcknowledged)),
        (Some(1), Some(CommitFault::NotApplied)),
        (Some(1), Some(CommitFault::AppliedNotAcknowledged)),
    ] {
        let (app, token) = with_token(15).await;
        for _ in 0..3 {
            app.create("held", &in_token()).await.expect("a key");
        }
        app.create("kept", &in_token()).await.expect("a key");
        let (context, vault, name) = (app.opened.context(), &app.vault.name, object("held"));
        app.platform().delete_key(&context, &app.caller, vault, &name).await.expect("a deleted key");
        if let (Some(step), Some(fault)) = (step, fault) {
            app.opened.store.fail_commit(step, fault);
        }
        let purged = app.platform().purge_key(&context, &app.caller, vault, &name).await;
        assert_eq!(purged.is_ok(), step.is_none());
        // The process dies; the next one finishes what was begun, and only that.
        app.memory.log.crash();
        let App { memory, caller, vault, .. } = app;
        let app = App { opened: memory.open().await, memory, caller, vault };
        let context = app.opened.context();
        let recovered =
            app.platform().recover_key(&context, &app.caller, &app.vault.name, &name).await.is_ok();
        assert_eq!(
            recovered,
            (step, fault) == (Some(0), Some(CommitFault::NotApplied)),
            "{step:?} {fault:?}"
        );
        if recovered {
            app.sign_with("held").await.expect("all its keys are there");
            continue;
        }
        app.platform().purge_due_keys(&context).await.expect("a tick");
        assert_eq!(token.count(), 1, "{step:?} {fault:?}");
        app.sign_with("kept").await.expect("a signature");
        app.create("held", &in_token()).await.expect("a free name");
    }
}

#[tokio::test]
async fn a_purge_waits_for_its_token_and_a_restored_copy_keeps_the_key() {
    let (app, token) = with_token(16).await;
    let premium = VaultToPut { sku: Some(Sku::Premium), ..VaultToPut::default() };
    app.opened.put_vault(app.memory.home, "other", &premium).await;
    app.create("held", &in_token()).await.expect("a key");
    let (context, vault, name) = (app.opened.context(), &app.vault.name, object("held"));
    let platform = app.platform();
    let blob = platform.backup_key(&context, &app.caller, vault, &name).await.expect("a backup").blob;
    let other = vault_name("other");
    platform.restore_key(&context, &app.caller, &other, &blob).await.expect("a restored key");
    platform.delete_key(&context, &app.caller, vault, &name).await.expect("a deleted key");
    platform.purge_key(&context, &app.caller, vault, &name).await.expect("a purge");
    let sign =
        platform.sign(&context, &app.caller, &other, &name, None, SignatureAlgorithm::Es256, &[7; 32]).await;
    assert!(sign.is_ok(), "the copy lost its key");
    platform.delete_key(&context, &app.caller, &other, &name).await.expect("a deleted key");
    token.away.store(true, Ordering::SeqCst);
    app.memory.log.flush().await.expect("a log");
    let start = app.memory.log.entries().len();
    let purged = platform.purge_key(&context, &app.caller, &other, &name).await;
    assert!(matches!(purged, Err(Error::Fault(fault)) if fault.is_unavailable()));
    app.memory.log.flush().await.expect("a log");
    let outcomes: Vec<_> = app.memory.log.entries()[start..]
        .iter()
        .filter(|(_, entry)| entry.phase == Phase::Outcome)
        .filter_map(|(_, entry)| entry.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::Done, Outcome::Failed], "marked, then not destroyed");
    assert_eq!(token.count(), 1);
    token.away.store(false, Ordering::SeqCst);
    assert_eq!(platform.purge_due_keys(&context).await.expect("a tick"), 1);
    assert_eq!(token.count(), 0);
    // The backup refers to a key that is gone: that is nobody's failure, and asking again does not help.
    let restored = platform.restore_key(&context, &app.caller, vault, &blob).await;
    assert!(matches!(restored, Err(Error::BadParameter(_))), "{restored:?}");
}

#[tokio::test]
async fn a_wrapped_key_is_unwrapped_by_a_key_of_the_token_that_may_do_nothing_else() {
    let (app, token) = with_token(17).await;
    let exchange = exchange_key();
    app.create("exchange", &exchange).await.expect("a key");
    app.create("signer", &in_token()).await.expect("a key");
    let disabled = KeyAttributes { disabled: true, ..KeyAttributes::default() };
    app.create("off", &KeyToCreate { attributes: disabled, ..exchange.clone() }).await.expect("a key");
    let past = Some(Timestamp::from_seconds(1));
    let expired = KeyAttributes { expires: past, ..KeyAttributes::default() };
    app.create("late", &KeyToCreate { attributes: expired, ..exchange }).await.expect("a key");
    let import = async |caller: &Caller, name: &str, with: &str, bytes: usize| {
        let (context, vault, name) = (app.opened.context(), &app.vault.name, object(name));
        let done =
            app.platform().import_wrapped_key(&context, caller, vault, &name, wrapped(with, bytes)).await;
        done.map(|(head, _)| head)
    };
    let mine = async |with: &str, bytes: usize| import(&app.caller, "mine", with, bytes).await;
    assert!(matches!(mine("none", 256 + 40).await, Err(Error::NotFound(..))));
    for unfit in ["signer", "off", "late"] {
        assert!(matches!(mine(unfit, 256 + 40).await, Err(Error::KeyUnusable(..))), "{unfit}");
    }
    for bytes in [0, 255, 256, 256 + 16, 256 + 33, 256 + 48, 256 + 1_240] {
        assert!(matches!(mine("exchange", bytes).await, Err(Error::BadParameter(_))), "{bytes} bytes");
    }
    assert_eq!(token.count(), 4, "something that was refused is left in the token");
    let head = mine("exchange", 256 + 40).await.expect("a key");
    assert!(head.current.in_token);
    assert_eq!(head.current.spec, KeySpec::Oct256);

    // The right to import under one name is no right to use the key that unwraps.
    let (home, vault) = (app.memory.home, &app.vault);
    let identity = app.opened.put_identity(home, "importer").await;
    let assign = async |name: &str| {
        let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
        let scope = scope.object("keys", &object(name));
        app.opened.assign(home, built_in::KEY_VAULT_CRYPTO_OFFICER, identity.principal, scope).await;
        app.caller_of(&app.opened.token(&identity, KEY_VAULT).await)
    };
    let importer = assign("theirs").await;
    let refused = import(&importer, "theirs", "exchange", 256 + 40).await;
    assert!(matches!(refused, Err(Error::Denied(_))));
    let refused = import(&importer, "mine", "exchange", 256 + 40).await;
    assert!(matches!(refused, Err(Error::Denied(_))));
    let importer = assign("exchange").await;
    import(&importer, "theirs", "exchange", 256 + 40).await.expect("a key");
}

fn exportable(wanted: KeyToCreate) -> KeyToCreate {
    let data = br#"{"version": "1.0.0", "anyOf": [{"authority": "https://attest.example", "allOf": [
        {"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}]}]}"#;
    let release_policy = Some(ReleasePolicy { content_type: None, data: data.to_vec(), immutable: false });
    KeyToCreate {
        attributes: KeyAttributes { exportable: true, ..KeyAttributes::default() },
        release_policy,
        ..wanted
    }
}

#[tokio::test]
async fn a_token_is_told_of_each_key_whether_it_may_ever_leave() {
    let (app, token) = with_token(19).await;
    let (context, vault) = (app.opened.context(), &app.vault.name);
    let asked = || token.take_exportable();
    app.create("kept", &in_token()).await.expect("a key");
    assert_eq!(asked(), [Exportable::Never]);
    let head = app.create("leaves", &exportable(in_token())).await.expect("a key");
    assert!(head.current.in_token && head.current.attributes.exportable);
    // So is the token of the version that follows, whoever has it made.
    app.platform().rotate_key(&context, &app.caller, vault, &object("leaves")).await.expect("a version");
    app.platform().rotate_key(&context, &app.caller, vault, &object("kept")).await.expect("a version");
    assert_eq!(asked(), [Exportable::OnRelease, Exportable::OnRelease, Exportable::Never]);
    let KeyToCreate { operations, attributes, release_policy, .. } = exportable(in_token());
    let key = PrivateKey::generate(KeySpec::P256);
    let brought = KeyToImport { key, in_token: true, operations, attributes, release_policy };
    let name = object("brought");
    let imported = app.platform().import_key(&context, &app.caller, vault, &name, brought).await;
    assert!(imported.is_ok() && asked() == [Exportable::OnRelease]);
    app.create("exchange", &exchange_key()).await.expect("a key");
    let KeyToCreate { attributes, release_policy, .. } = exportable(in_token());
    for (name, brought, expected) in [
        ("wrapped", wrapped("exchange", 256 + 40), Exportable::Never),
        (
            "wrapped-to-leave",
            WrappedKey { attributes, release_policy, ..wrapped("exchange", 256 + 40) },
            Exportable::OnRelease,
        ),
    ] {
        let name = object(name);
        let done = app.platform().import_wrapped_key(&context, &app.caller, vault, &name, brought).await;
        assert!(done.is_ok(), "{name}");
        assert_eq!(asked().last(), Some(&expected), "{name}");
    }
    // A token that wraps no key makes none that would be told to leave and could not.
    token.wraps_nothing.store(true, Ordering::SeqCst);
    let before = token.count();
    assert!(matches!(app.create("stuck", &exportable(in_token())).await, Err(Error::BadParameter(_))));
    assert_eq!(token.count(), before);
    app.create("stuck", &in_token()).await.expect("a key");
    app.create("soft", &exportable(to_create(KeySpec::P256))).await.expect("a key in software");
}

fn exchange_key() -> KeyToCreate {
    KeyToCreate { spec: KeySpec::Rsa2048, operations: Some(vec![KeyOperation::Import]), ..in_token() }
}

/// A symmetric key that was wrapped, as far as its length goes.
fn wrapped(exchange: &str, bytes: usize) -> WrappedKey {
    WrappedKey {
        exchange: object(exchange),
        version: None,
        kind: WrappedKind::Oct,
        blob: ByokBlob::new(vec![1; bytes]).expect("a blob"),
        operations: None,
        attributes: KeyAttributes::default(),
        release_policy: None,
    }
}

#[tokio::test]
async fn a_key_that_unwraps_others_is_made_in_the_token_and_stays_what_it_is() {
    let (app, token) = with_token(18).await;
    let exchange = exchange_key();
    let imports = vec![KeyOperation::Import];
    let both = Some(vec![KeyOperation::Import, KeyOperation::Decrypt]);
    for (what, wanted) in [
        ("in software", KeyToCreate { in_token: false, ..exchange.clone() }),
        ("of another kind", KeyToCreate { spec: KeySpec::P256, ..exchange.clone() }),
        ("symmetric", KeyToCreate { spec: KeySpec::Oct256, ..exchange.clone() }),
        ("with another operation", KeyToCreate { operations: both.clone(), ..exchange.clone() }),
        ("for whoever it is released to", exportable(exchange.clone())),
    ] {
        let made = app.create("exchange", &wanted).await;
        assert!(matches!(made, Err(Error::BadParameter(_))), "{what}");
    }
    let (context, vault, name) = (app.opened.context(), &app.vault.name, object("exchange"));
    let known = KeyToImport {
        key: PrivateKey::generate(KeySpec::Rsa2048),
        in_token: true,
        operations: Some(imports.clone()),
        attributes: KeyAttributes::default(),
        release_policy: None,
    };
    let brought = app.platform().import_key(&context, &app.caller, vault, &name, known).await;
    assert!(matches!(brought, Err(Error::BadParameter(_))), "whoever brought it has it");
    assert_eq!(token.count(), 0);
    app.create("exchange", &exchange).await.expect("a key");
    let rsa = KeyToCreate { operations: None, ..exchange };
    app.create("usual", &rsa).await.expect("a key");
    for (name, operations, good) in [
        ("exchange", Some(vec![KeyOperation::Decrypt]), false),
        ("exchange", both.clone(), false),
        ("exchange", Some(Vec::new()), false),
        ("exchange", Some(imports.clone()), true),
        ("exchange", None, true),
        ("usual", Some(imports), false),
        ("usual", both, false),
        ("usual", Some(vec![KeyOperation::Decrypt]), true),
    ] {
        let update =
            KeyUpdate { operations: operations.clone(), disabled: Some(true), ..KeyUpdate::default() };
        let done =
            app.platform().update_key(&context, &app.caller, vault, &object(name), None, &update).await;
        assert_eq!(done.is_ok(), good, "{name} {operations:?}");
    }
}

#[tokio::test]
async fn random_bytes_are_the_tokens_where_its_keys_may_be_and_software_s_elsewhere() {
    let (app, token) = with_token(45).await;
    app.opened.put_vault(app.memory.home, "plain", &VaultToPut::default()).await;
    let random = async |vault: &str| {
        let (context, vault) = (app.opened.context(), vault_name(vault));
        let made = app.platform().random_bytes(&context, &app.caller, &vault, 32).await;
        made.map(|made| made.bytes.matches(&[4; 32]))
    };
    assert!(random("app").await.expect("bytes"));
    assert!(!random("plain").await.expect("bytes"));
    token.away.store(true, Ordering::SeqCst);
    assert!(matches!(random("app").await, Err(Error::Fault(fault)) if fault.is_unavailable()));
    assert!(!random("plain").await.expect("bytes"));
}

#[tokio::test]
async fn whoever_imports_a_wrapped_key_is_seen_to_use_the_key_that_unwraps_it() {
    let (app, token) = with_token(46).await;
    app.create("exchange", &exchange_key()).await.expect("a key");
    let import = async |bytes: usize| {
        let (context, vault, name) = (app.opened.context(), &app.vault.name, object("mine"));
        let wrapped = wrapped("exchange", bytes);
        app.memory.log.flush().await.expect("a log");
        let start = app.memory.log.entries().len();
        let done = app.platform().import_wrapped_key(&context, &app.caller, vault, &name, wrapped).await;
        app.memory.log.flush().await.expect("a log");
        let entries = app.memory.log.entries()[start..].to_vec();
        let seen: Vec<_> = entries
            .into_iter()
            .filter(|(_, entry)| entry.action.ends_with("/import/action"))
            .map(|(_, entry)| {
                let name = entry.resource.rsplit('/').next().unwrap_or_default().to_owned();
                (name, entry.phase, entry.outcome)
            })
            .collect();
        (done.is_ok(), seen)
    };
    let entry = |name: &str, phase, outcome| (name.to_owned(), phase, outcome);
    let used = entry("exchange", Phase::Event, Some(Outcome::Done));
    let (announced, done) =
        (entry("mine", Phase::Intent, None), entry("mine", Phase::Outcome, Some(Outcome::Done)));
    assert_eq!(import(256 + 40).await, (true, vec![announced.clone(), used.clone(), done.clone()]));
    // It is used once, however often the commit is tried.
    app.opened.store.fail_commit(0, CommitFault::Conflict);
    let lost = entry("mine", Phase::Outcome, Some(Outcome::Lost));
    let twice = vec![announced.clone(), used.clone(), lost, announced, done];
    assert_eq!(import(256 + 40).await, (true, twice));
    assert_eq!(token.count(), 3);
}
