//! A store that fails at every commit, in every way: what goes on is whole or did not begin, the job finishes what is
//! left, and nothing happens twice.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vouchsafe_crypto::pki::RevocationReason;
use vouchsafe_domain::audit::{Outcome, Phase};
use vouchsafe_domain::vault::certificate::{
    CertificateToMerge, LifetimeAction, LifetimeActionType, PolicyPatch, Trigger,
};
use vouchsafe_testkit::faulty_store::CommitFault;

use crate::pending::Elsewhere;
use crate::support::{DAY, House, by, itself, object, renews_at, unknown};

/// What is interrupted: everything from the first wish to the last step, in one go.
type Story = for<'a> fn(&'a House) -> BoxFuture<'a, Result<(), String>>;

fn told<T>(result: Result<T, vouchsafe_domain::vault::Error>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

const STORIES: [(&str, Story); 7] = [
    ("create and poll", |house| {
        Box::pin(async move {
            told(house.begin("web", itself()).await)?;
            told(house.poll("web").await).map(drop)
        })
    }),
    ("create with a private authority", |house| {
        Box::pin(async move {
            told(house.set_authority("ours", "example.test").await)?;
            told(house.begin("web", by("ours")).await)?;
            told(house.poll("web").await).map(drop)
        })
    }),
    ("merge", |house| {
        Box::pin(async move {
            let begun = told(house.begin("web", unknown()).await)?;
            let chain = vec![Elsewhere::new().issue(&begun.csr)];
            let wanted = CertificateToMerge { chain, ..CertificateToMerge::default() };
            let (context, name) = (house.opened.context(), object("web"));
            let merged =
                house.platform().merge_certificate(&context, &house.caller, house.at(), &name, &wanted).await;
            told(merged).map(drop)
        })
    }),
    ("renew", |house| {
        Box::pin(async move {
            house.forward(300 * DAY);
            for _ in 0..2 {
                told(house.platform().run_certificate_jobs(&house.opened.context()).await)?;
            }
            Ok(())
        })
    }),
    ("tell", |house| {
        Box::pin(async move {
            house.forward(150 * DAY);
            let jobs = told(house.platform().run_certificate_jobs(&house.opened.context()).await)?;
            if jobs.failed == 0 { Ok(()) } else { Err("failed".to_owned()) }
        })
    }),
    ("revoke", |house| {
        Box::pin(async move {
            let (context, name) = (house.opened.context(), object("issued"));
            let reason = RevocationReason::Superseded;
            let revoked = house
                .platform()
                .revoke_certificate(&context, &house.caller, house.at(), &name, None, reason)
                .await;
            told(revoked).map(drop)
        })
    }),
    ("delete, recover, delete, purge", |house| {
        Box::pin(async move {
            told(house.delete("old").await)?;
            told(house.recover("old").await)?;
            told(house.delete("old").await)?;
            told(house.purge("old").await)
        })
    }),
];

/// What the stories are about, and nothing that others are about.
async fn furnished(seed: u64, what: &str) -> House {
    let house = House::new(seed).await;
    match what {
        "tell" => {
            let notify = LifetimeAction {
                trigger: Trigger::LifetimePercentage(40),
                action: LifetimeActionType::EmailContacts,
            };
            house.make("told", PolicyPatch { lifetime_actions: Some(vec![notify]), ..itself() }).await;
        }
        "revoke" => {
            house.set_authority("theirs", "example.test").await.expect("an issuer");
            house.make("issued", PolicyPatch { lifetime_actions: renews_at(99), ..by("theirs") }).await;
        }
        "renew" | "delete, recover, delete, purge" => {
            house.make("old", PolicyPatch { lifetime_actions: renews_at(80), ..itself() }).await;
        }
        _ => {}
    }
    house
}

/// Certificate, key and secret of a name are there together, and in the same versions.
async fn is_whole(house: &House, name: &str) -> bool {
    let (context, object) = (house.opened.context(), object(name));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    let certificate = platform.get_certificate(&context, caller, at, &object, None).await.ok();
    let issued = certificate.filter(|read| read.version.is_issued()).map(|read| read.version.version);
    let key = platform.get_key(&context, caller, at, &object, None).await.ok();
    let secret = platform.get_secret(&context, caller, at, &object, None).await.ok();
    issued == key.map(|key| key.version.version) && issued == secret.map(|secret| secret.version.version)
}

/// Everything that happened has an intent, and each intent one outcome.
fn log_is_whole(house: &House) -> bool {
    let entries = house.memory.log.entries();
    entries.iter().filter(|(_, entry)| entry.phase == Phase::Intent).all(|(position, _)| {
        let of_it = entries.iter().filter(|(_, entry)| entry.intent == Some(position.0));
        of_it.count() == 1
    })
}

fn events(house: &House) -> usize {
    let entries = house.memory.log.entries();
    let wanted = |entry: &vouchsafe_domain::audit::Entry| {
        entry.action.ends_with("NearExpiry") && entry.outcome == Some(Outcome::Done)
    };
    entries.iter().filter(|(_, entry)| wanted(entry)).count()
}

#[tokio::test]
async fn after_every_interruption_the_job_finishes_what_is_left_and_nothing_is_half_there() {
    for (number, (what, story)) in (0_u64..).zip(STORIES) {
        let seed = 9_000 + number;
        let commits = {
            let house = furnished(seed, what).await;
            let before = house.opened.store.commits();
            story(&house).await.expect("nothing is in the way");
            house.opened.store.commits() - before
        };
        assert!(commits > 0, "{what}");
        for step in 0..commits {
            for fault in [
                CommitFault::NotApplied,
                CommitFault::AppliedNotAcknowledged,
                CommitFault::AppliedNeverAnswered,
                CommitFault::Conflict,
            ] {
                if fault == CommitFault::AppliedNeverAnswered && step % 2 == 1 {
                    // It leaves what `AppliedNotAcknowledged` leaves; half of the steps are enough to see it.
                    continue;
                }
                let mut house = furnished(seed, what).await;
                house.opened.store.fail_commit(step, fault);
                match fault {
                    // Whoever waits goes away.
                    CommitFault::AppliedNeverAnswered => drop(story(&house).now_or_never()),
                    _ => drop(story(&house).await),
                }
                house.restart().await;
                let when = format!("{what}, commit {step}, {fault:?}");
                for name in ["web", "told", "old", "issued"] {
                    assert!(is_whole(&house, name).await, "{when}: {name} is in parts");
                }
                // An operation that began ends; what is due is done; then there is nothing left.
                for _ in 0..4 {
                    assert_eq!(house.jobs().await.failed, 0, "{when}");
                }
                assert_eq!(house.jobs().await.total(), 0, "{when}");
                for name in ["web", "told", "old", "issued"] {
                    assert!(is_whole(&house, name).await, "{when}, after the job: {name} is in parts");
                }
                if what == "renew" {
                    let versions = house.get("old").await.expect("a certificate").version;
                    assert!(versions.previous.is_some(), "{when}: not renewed");
                    let first = house.get_version("old", versions.previous).await.expect("a version").version;
                    assert_eq!(first.previous, None, "{when}: renewed twice");
                }
                assert!(events(&house) <= 1, "{when}: told twice");
                house.restart().await;
                assert!(log_is_whole(&house), "{when}");
            }
        }
    }
}
