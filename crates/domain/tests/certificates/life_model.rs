//! Random lives of certificates agree with a model of a few lines, and key and secret agree with their certificate.

use std::collections::BTreeMap;

use vouchsafe_domain::vault::certificate::PendingStatus;

use crate::support::{House, itself, object, unknown};

/// What there should be under a name.
#[derive(Clone, Debug, Default)]
struct Model {
    exists: bool,
    deleted: bool,
    versions: usize,
    operation: Option<Operation>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operation {
    Itself,
    Unknown,
    Cancelling,
    Over,
}

impl Model {
    fn is_live(&self) -> bool {
        self.exists && !self.deleted
    }

    fn in_progress(&self) -> bool {
        self.operation.is_some_and(|operation| operation != Operation::Over)
    }
}

async fn step(house: &House, name: &str, model: &mut Model, choice: usize) {
    let (context, object) = (house.opened.context(), object(name));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    let what = format!("{name}: {model:?} and then {choice}");
    match choice {
        0 | 1 => {
            let (policy, operation) =
                if choice == 0 { (itself(), Operation::Itself) } else { (unknown(), Operation::Unknown) };
            let begun = house.begin(name, policy).await;
            let may = !(model.deleted || model.exists && model.in_progress());
            assert_eq!(begun.is_ok(), may, "{what}: {begun:?}");
            if may {
                *model = Model { exists: true, operation: Some(operation), ..model.clone() };
            }
        }
        2 | 3 => {
            let polled = house.poll(name).await;
            assert_eq!(polled.is_ok(), model.is_live() && model.operation.is_some(), "{what}: {polled:?}");
            let Ok(polled) = polled else { return };
            match model.operation {
                Some(Operation::Itself) => {
                    model.versions += 1;
                    assert_eq!(polled.status, PendingStatus::Completed, "{what}");
                }
                Some(Operation::Cancelling) => assert_eq!(polled.status, PendingStatus::Cancelled, "{what}"),
                Some(Operation::Unknown) => return assert!(polled.is_in_progress(), "{what}"),
                _ => return assert!(!polled.is_in_progress(), "{what}"),
            }
            model.operation = Some(Operation::Over);
        }
        4 => {
            let asked = platform.update_pending_certificate(&context, caller, at, &object, true).await;
            let may = model.is_live() && model.in_progress();
            assert_eq!(asked.is_ok(), may, "{what}");
            if may {
                model.operation = Some(Operation::Cancelling);
            }
        }
        5 => {
            let forgotten = platform.delete_pending_certificate(&context, caller, at, &object).await;
            let may = model.is_live() && model.operation.is_some();
            assert_eq!(forgotten.is_ok(), may, "{what}");
            if may {
                model.operation = None;
            }
        }
        6 => {
            let deleted = house.delete(name).await;
            assert_eq!(deleted.is_ok(), model.is_live(), "{what}: {deleted:?}");
            model.deleted |= model.exists;
        }
        7 => {
            let recovered = house.recover(name).await;
            assert_eq!(recovered.is_ok(), model.deleted, "{what}: {recovered:?}");
            model.deleted = false;
        }
        _ => {
            let purged = house.purge(name).await;
            assert_eq!(purged.is_ok(), model.deleted, "{what}: {purged:?}");
            if model.deleted {
                *model = Model::default();
            }
        }
    }
}

async fn agrees(house: &House, name: &str, model: &Model) {
    let (context, object) = (house.opened.context(), object(name));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    let what = format!("{name}: {model:?}");
    let read = house.get(name).await;
    assert_eq!(read.is_ok(), model.is_live(), "{what}");
    assert_eq!(
        read.is_ok_and(|read| read.version.is_issued()),
        model.is_live() && model.versions > 0,
        "{what}"
    );
    let usable = model.is_live() && model.versions > 0;
    assert_eq!(house.has_key(name).await, usable, "{what}: the key");
    assert_eq!(house.secret(name, None).await.is_ok(), usable, "{what}: the secret");
    let fallen = platform.get_deleted_key(&context, caller, at, &object).await.is_ok();
    assert_eq!(fallen, model.deleted && model.versions > 0, "{what}: the deleted key");
    if usable {
        let certificates = platform.list_certificate_versions(&context, caller, at, &object, None, 25).await;
        let keys = platform.list_key_versions(&context, caller, at, &object, None, 25).await;
        let secrets = platform.list_secret_versions(&context, caller, at, &object, None, 25).await;
        let counts = [
            certificates.expect("versions").1.items.len(),
            keys.expect("versions").1.items.len(),
            secrets.expect("versions").1.items.len(),
        ];
        assert_eq!(counts, [model.versions.min(25); 3], "{what}");
    }
}

#[tokio::test]
async fn random_lives_of_certificates_agree_with_the_model() {
    for seed in 0..8 {
        let house = House::new(2_000 + seed).await;
        let mut models: BTreeMap<&str, Model> = BTreeMap::new();
        for _ in 0..50 {
            let name = *house.opened.entropy.pick(&["one", "two"]);
            let choice = house.opened.entropy.below(9);
            let model = models.entry(name).or_default();
            step(&house, name, model, choice).await;
            agrees(&house, name, model).await;
        }
    }
}
