//! Certificates from the first wish to the purge, with their keys and secrets.

use vouchsafe_crypto::pki::ParsedCertificate;
use vouchsafe_domain::vault::certificate::{
    CertificateToCreate, CertificateUpdate, PendingStatus, PolicyPatch,
};
use vouchsafe_domain::vault::{Error, ObjectKind};

use crate::support::{DAY, House, itself, labelled, object, to_create, to_set, unknown};

#[tokio::test]
async fn what_is_created_is_in_progress_first_and_there_with_the_next_poll() {
    let house = House::new(1).await;
    let wanted = CertificateToCreate { attributes: labelled("web"), ..to_create(itself()) };
    let begun = house.begin_with("web", &wanted).await.expect("an operation");
    assert_eq!(begun.status, PendingStatus::InProgress);
    let wish = house.get("web").await.expect("a wish");
    assert!(wish.version.attributes.disabled && wish.version.chain.is_empty() && wish.has_pending);
    assert_eq!((wish.version.version, wish.version.not_before), (begun.version, None));
    assert!(!house.has_key("web").await, "a key without its certificate is of no use to anybody");
    assert!(house.key_waits("web").await);

    let polled = house.poll("web").await.expect("an operation");
    assert_eq!((polled.status, polled.request), (PendingStatus::Completed, begun.request));
    assert!(!house.key_waits("web").await, "the key is stored once");
    let read = house.get("web").await.expect("a certificate");
    let made = &read.version;
    assert_eq!((made.version, made.previous), (begun.version, None));
    assert_eq!(made.attributes, labelled("web"));
    assert_eq!(made.created.since(made.not_before.expect("a date")).as_secs(), 600);
    let leaf = ParsedCertificate::from_der(made.leaf().expect("a certificate")).expect("X.509");
    assert_eq!(leaf.subject().to_string(), "CN=app.example.test");
    assert!(leaf.is_signed_by(&leaf) && !leaf.is_authority());
    // 2027-01-15 to the same day of the next year.
    assert_eq!(made.expires.expect("a date").rfc3339(), "2028-01-15T08:00:00Z");
    assert!(read.policy.is_some() && read.has_pending);

    let (context, name) = (house.opened.context(), object("web"));
    let key =
        house.platform().get_key(&context, &house.caller, house.at(), &name, None).await.expect("a key");
    assert!(key.version.managed && key.version.version == made.version);
    assert_eq!(key.version.attributes.expires, made.expires);
    let spki = key.version.public.as_ref().expect("a public half").spki_der();
    assert_eq!(spki, leaf.spki_der());
    let secret = house.platform().get_secret(&context, &house.caller, house.at(), &name, None).await;
    let secret = secret.expect("a secret");
    assert!(secret.version.managed && secret.version.version == made.version);
    assert_eq!(secret.version.attributes.content_type.as_deref(), Some("application/x-pem-file"));
}

#[tokio::test]
async fn polling_what_is_over_changes_nothing() {
    let house = House::new(2).await;
    house.make("web", itself()).await;
    let before = house.memory.image().await;
    for _ in 0..3 {
        assert_eq!(house.poll("web").await.expect("an operation").status, PendingStatus::Completed);
    }
    house.jobs().await;
    assert_eq!(house.memory.image().await, before);
}

#[tokio::test]
async fn the_next_version_names_the_one_before_and_both_can_be_read() {
    let house = House::new(3).await;
    let first = house.make("web", itself()).await;
    // Without a policy, the one of before.
    house.begin_with("web", &CertificateToCreate::default()).await.expect("an operation");
    assert_eq!(house.get("web").await.expect("a certificate").version, first, "the old one stays until then");
    house.poll("web").await.expect("an operation");
    let second = house.get("web").await.expect("a certificate").version;
    assert_eq!(second.previous, Some(first.version));
    assert_ne!(second.leaf(), first.leaf());
    let old = house.get_version("web", Some(first.version)).await.expect("a version").version;
    assert_eq!(old, first);
    let (context, name) = (house.opened.context(), object("web"));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    let (_, page) =
        platform.list_certificate_versions(&context, caller, at, &name, None, 25).await.expect("versions");
    assert_eq!(page.items.len(), 2);
    let (_, keys) = platform.list_key_versions(&context, caller, at, &name, None, 25).await.expect("keys");
    assert_eq!(keys.items.len(), 2);
    for version in [first.version, second.version] {
        let secret = platform.get_secret(&context, caller, at, &name, Some(version)).await;
        assert!(secret.is_ok(), "{version}");
    }
}

#[tokio::test]
async fn the_first_version_needs_a_policy_and_a_name_that_is_free() {
    let house = House::new(4).await;
    let nothing = house.begin_with("web", &CertificateToCreate::default()).await;
    assert!(matches!(nothing, Err(Error::BadParameter(_))));
    let nameless = PolicyPatch { issuer: None, ..itself() };
    assert!(matches!(house.begin("web", nameless).await, Err(Error::BadParameter(_))));

    let (context, name) = (house.opened.context(), object("taken"));
    let set = house.platform().set_secret(&context, &house.caller, house.at(), &name, &to_set("v")).await;
    set.expect("a secret");
    let taken = house.begin("taken", itself()).await;
    assert!(matches!(taken, Err(Error::AlreadyExists(ObjectKind::Secret, _))), "{taken:?}");
    house.platform().delete_secret(&context, &house.caller, house.at(), &name).await.expect("deleted");
    let taken = house.begin("taken", itself()).await;
    assert!(matches!(taken, Err(Error::DeletedButRecoverable(ObjectKind::Secret, _))), "{taken:?}");
}

#[tokio::test]
async fn a_name_is_not_taken_by_others_while_the_operation_goes_on() {
    let house = House::new(5).await;
    house.begin("web", itself()).await.expect("an operation");
    let (context, name) = (house.opened.context(), object("web"));
    let set = house.platform().set_secret(&context, &house.caller, house.at(), &name, &to_set("v")).await;
    assert!(matches!(set, Err(Error::Managed(ObjectKind::Secret, "set"))), "{set:?}");
    let polled = house.poll("web").await.expect("an operation");
    assert_eq!(polled.status, PendingStatus::Completed);
    assert!(house.get("web").await.expect("a certificate").version.is_issued());
}

#[tokio::test]
async fn key_and_secret_are_deleted_recovered_and_purged_with_their_certificate() {
    let house = House::new(6).await;
    house.make("web", itself()).await;
    let clean = house.memory.image().await.len();
    house.delete("web").await.expect("deleted");
    let (context, name) = (house.opened.context(), object("web"));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    assert!(house.get("web").await.is_err() && house.poll("web").await.is_err());
    assert!(!house.has_key("web").await && house.secret("web", None).await.is_err());
    assert!(platform.get_deleted_key(&context, caller, at, &name).await.is_ok());
    assert!(platform.get_deleted_secret(&context, caller, at, &name).await.is_ok());
    let (deleted, policy, _) =
        platform.get_deleted_certificate(&context, caller, at, &name).await.expect("a deleted certificate");
    assert!(deleted.head.current.is_issued() && policy.is_some());
    assert!(matches!(
        house.begin("web", itself()).await,
        Err(Error::DeletedButRecoverable(ObjectKind::Certificate, _))
    ));
    // Key and secret alone neither come back nor go.
    assert!(matches!(platform.recover_key(&context, caller, at, &name).await, Err(Error::Managed(..))));
    assert!(matches!(platform.purge_key(&context, caller, at, &name).await, Err(Error::Managed(..))));
    assert!(matches!(platform.recover_secret(&context, caller, at, &name).await, Err(Error::Managed(..))));
    assert!(matches!(platform.purge_secret(&context, caller, at, &name).await, Err(Error::Managed(..))));

    house.recover("web").await.expect("recovered");
    assert!(house.has_key("web").await && house.secret("web", None).await.is_ok());
    assert_eq!(house.memory.image().await.len(), clean);
    house.delete("web").await.expect("deleted");
    house.purge("web").await.expect("purged");
    assert!(platform.get_deleted_key(&context, caller, at, &name).await.is_err());
    assert!(house.recover("web").await.is_err());
    house.make("web", itself()).await;
}

#[tokio::test]
async fn a_purge_leaves_no_record_behind_whatever_was_pending() {
    let house = House::new(7).await;
    // One certificate makes the vault's key ring; what comes after is counted.
    house.make("first", itself()).await;
    let clean = house.memory.image().await.len();
    house.make("web", itself()).await;
    house.begin("web", unknown()).await.expect("an operation");
    house.begin("never", unknown()).await.expect("an operation");
    for name in ["web", "never"] {
        house.delete(name).await.expect("deleted");
    }
    house.purge("web").await.expect("purged");
    house.forward(91 * DAY);
    let context = house.opened.context();
    assert_eq!(house.platform().purge_due_certificates(&context).await.expect("a tick"), 1);
    assert_eq!(house.memory.image().await.len(), clean);
}

#[tokio::test]
async fn disabling_a_certificate_disables_its_key_and_its_secret() {
    let house = House::new(8).await;
    let made = house.make("web", itself()).await;
    let (context, name) = (house.opened.context(), object("web"));
    let update = CertificateUpdate { disabled: Some(true), ..CertificateUpdate::default() };
    let updated =
        house.platform().update_certificate(&context, &house.caller, house.at(), &name, None, &update).await;
    assert!(updated.expect("a certificate").version.attributes.disabled);
    assert!(matches!(house.secret("web", None).await, Err(Error::Disabled(ObjectKind::Secret))));
    let key = house.platform().get_key(&context, &house.caller, house.at(), &name, None).await;
    assert!(key.expect("a key").version.attributes.disabled);
    let update = CertificateUpdate {
        disabled: Some(false),
        tags: Some(labelled("again").tags),
        ..CertificateUpdate::default()
    };
    let back = house
        .platform()
        .update_certificate(&context, &house.caller, house.at(), &name, Some(made.version), &update)
        .await;
    assert_eq!(back.expect("a certificate").version.attributes, labelled("again"));
    assert!(house.secret("web", None).await.is_ok());
}

#[tokio::test]
async fn a_backup_brings_certificate_key_secret_and_policy_back() {
    let house = House::new(9).await;
    let made = house.make("web", itself()).await;
    let secret = house.secret("web", None).await.expect("a secret");
    let (context, name) = (house.opened.context(), object("web"));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    let blob = platform.backup_certificate(&context, caller, at, &name).await.expect("a backup").blob;
    house.delete("web").await.expect("deleted");
    let restored = platform.restore_certificate(&context, caller, at, &blob).await;
    assert!(matches!(restored, Err(Error::DeletedButRecoverable(..))));
    house.purge("web").await.expect("purged");
    let (head, policy, _) =
        platform.restore_certificate(&context, caller, at, &blob).await.expect("restored");
    assert_eq!((head.current, policy.is_some()), (made, true));
    assert_eq!(house.secret("web", None).await.expect("a secret"), secret);
    assert!(house.has_key("web").await);
    house.begin("wish", itself()).await.expect("an operation");
    let wish = platform.backup_certificate(&context, caller, at, &object("wish")).await;
    assert!(matches!(wish, Err(Error::BadParameter(_))));
}
