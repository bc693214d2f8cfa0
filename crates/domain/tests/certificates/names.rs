//! The name of a certificate is also that of its key and its secret: nothing else gets there, and what got there all the
//! same stays with whom it belongs to.

use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_domain::ports::Store as _;
use vouchsafe_domain::ports::store::{Commit, Expect, Housekeeping, Key, Kind};
use vouchsafe_domain::vault::certificate::PendingStatus;
use vouchsafe_domain::vault::{Error, KeyAttributes, KeyToCreate, ObjectKind};

use crate::support::{House, itself, object, to_set, unknown};

fn key_to_create() -> KeyToCreate {
    KeyToCreate {
        spec: KeySpec::P256,
        in_token: false,
        operations: None,
        attributes: KeyAttributes::default(),
        release_policy: None,
    }
}

async fn set(house: &House, name: &str) -> Result<(), Error> {
    let (context, name) = (house.opened.context(), object(name));
    house.platform().set_secret(&context, &house.caller, house.at(), &name, &to_set("v")).await.map(drop)
}

async fn create_key(house: &House, name: &str) -> Result<(), Error> {
    let (context, name) = (house.opened.context(), object(name));
    let wanted = key_to_create();
    house.platform().create_key(&context, &house.caller, house.at(), &name, &wanted).await.map(drop)
}

/// A commit that puts a secret under a name, as a writer does that knows nothing of certificates.
async fn smuggled(house: &House, name: &str) -> Commit {
    let other = "smuggled";
    let (context, place) = (house.opened.context(), house.partition());
    set(house, other).await.expect("a secret");
    let read = house.platform().get_secret(&context, &house.caller, house.at(), &object(other), None).await;
    let version = read.expect("a secret").version.version.to_string();
    let mut commit = Commit::housekeeping(Housekeeping::Initialise);
    for (from, to) in [
        (Key::new(place, Kind::Secret, other), Key::new(place, Kind::Secret, name)),
        (
            Key::nested(place, Kind::SecretVersion, other, &version),
            Key::nested(place, Kind::SecretVersion, name, &version),
        ),
        (
            Key::nested(place, Kind::SecretValue, other, &version),
            Key::nested(place, Kind::SecretValue, name, &version),
        ),
    ] {
        let found = house.opened.store.get(&from).await.expect("a store").expect("a record");
        commit = commit.put(to, Expect::Absent, found.value);
    }
    commit
}

#[tokio::test]
async fn a_certificate_takes_no_secret_with_it_that_is_not_its_own() {
    let house = House::new(100).await;
    house.begin("web", unknown()).await.expect("an operation");
    house.opened.store.commit(smuggled(&house, "web").await).await.expect("a commit");
    let (context, name) = (house.opened.context(), object("web"));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    house.delete("web").await.expect("deleted");
    assert_eq!(house.secret("web", None).await.expect("the secret"), b"v");
    platform.delete_secret(&context, caller, at, &name).await.expect("deleted");
    house.recover("web").await.expect("recovered");
    assert!(house.secret("web", None).await.is_err(), "it came back with the certificate");
    house.delete("web").await.expect("deleted");
    house.purge("web").await.expect("purged");
    platform.recover_secret(&context, caller, at, &name).await.expect("recovered");
    assert_eq!(house.secret("web", None).await.expect("the secret"), b"v");
}

#[tokio::test]
async fn the_name_of_a_certificate_without_a_version_or_deleted_takes_no_key_and_no_secret() {
    let house = House::new(101).await;
    let (context, name) = (house.opened.context(), object("web"));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    set(&house, "web").await.expect("a secret");
    create_key(&house, "web").await.expect("a key");
    let secret = platform.backup_secret(&context, caller, at, &name).await.expect("a backup").blob;
    let key = platform.backup_key(&context, caller, at, &name).await.expect("a backup").blob;
    platform.delete_secret(&context, caller, at, &name).await.expect("deleted");
    platform.purge_secret(&context, caller, at, &name).await.expect("purged");
    platform.delete_key(&context, caller, at, &name).await.expect("deleted");
    platform.purge_key(&context, caller, at, &name).await.expect("purged");

    house.begin("web", unknown()).await.expect("an operation");
    let restored = async || {
        let secret = platform.restore_secret(&context, caller, at, &secret).await.map(drop);
        let key = platform.restore_key(&context, caller, at, &key).await.map(drop);
        [secret, key]
    };
    assert!(matches!(set(&house, "WEB").await, Err(Error::Managed(ObjectKind::Secret, "set"))));
    assert!(matches!(create_key(&house, "web").await, Err(Error::Managed(ObjectKind::Key, "create"))));
    for refused in restored().await {
        assert!(matches!(refused, Err(Error::AlreadyExists(ObjectKind::Certificate, _))), "{refused:?}");
    }
    house.delete("web").await.expect("deleted");
    for refused in [set(&house, "web").await, create_key(&house, "web").await] {
        let kind = ObjectKind::Certificate;
        assert!(matches!(refused, Err(Error::DeletedButRecoverable(of, _)) if of == kind), "{refused:?}");
    }
    for refused in restored().await {
        let kind = ObjectKind::Certificate;
        assert!(matches!(refused, Err(Error::DeletedButRecoverable(of, _)) if of == kind), "{refused:?}");
    }
    house.purge("web").await.expect("purged");
    for done in restored().await {
        done.expect("the name is free");
    }
    create_key(&house, "web").await.expect("the name is free");
    set(&house, "web").await.expect("the name is free");
}

/// What is decided is held to by the commit: whoever comes between the two is seen.
#[tokio::test]
async fn a_name_is_reserved_also_from_those_who_asked_just_before() {
    let house = House::new(102).await;
    house.begin("other", unknown()).await.expect("an operation");
    let at = |kind, name| Key::new(house.partition(), kind, name);
    let head = house.opened.store.get(&at(Kind::Certificate, "other")).await.expect("a store");
    let head = head.expect("a certificate").value;
    let begun = |name| {
        let head = vouchsafe_crypto::SecretBytes::new(head.expose(vouchsafe_crypto::Reason::Test).to_vec());
        Commit::housekeeping(Housekeeping::Initialise).put(at(Kind::Certificate, name), Expect::Absent, head)
    };
    house.opened.store.overtake(at(Kind::DeletedCertificate, "secret"), begun("secret"));
    assert!(matches!(set(&house, "secret").await, Err(Error::Managed(ObjectKind::Secret, _))));
    house.opened.store.overtake(at(Kind::DeletedCertificate, "key"), begun("key"));
    assert!(matches!(create_key(&house, "key").await, Err(Error::Managed(ObjectKind::Key, _))));

    let commit = smuggled(&house, "web").await;
    house.opened.store.overtake(at(Kind::DeletedSecret, "web"), commit);
    let begun = house.begin("web", unknown()).await;
    assert!(matches!(begun, Err(Error::AlreadyExists(ObjectKind::Secret, _))), "{begun:?}");
}

#[tokio::test]
async fn a_store_that_fails_while_the_name_is_looked_at_fails_no_operation() {
    let house = House::new(103).await;
    house.begin("web", itself()).await.expect("an operation");
    house.opened.store.fail_read(Key::new(house.partition(), Kind::DeletedSecret, "web"));
    let polled = house.poll("web").await.expect("an operation");
    assert_eq!(polled.status, PendingStatus::InProgress);
    assert_eq!(house.poll("web").await.expect("an operation").status, PendingStatus::Completed);
}

#[tokio::test]
async fn a_secret_that_comes_between_the_look_at_its_name_and_the_commit_is_not_overwritten() {
    let house = House::new(104).await;
    house.begin("web", itself()).await.expect("an operation");
    let commit = smuggled(&house, "web").await;
    house.opened.store.overtake(Key::new(house.partition(), Kind::DeletedSecret, "web"), commit);
    let polled = house.poll("web").await.expect("an operation");
    assert!(
        matches!(&polled.status, PendingStatus::Failed(failure) if failure.code == "NameTaken"),
        "{polled:?}"
    );
    assert_eq!(house.secret("web", None).await.expect("the secret"), b"v");
}
