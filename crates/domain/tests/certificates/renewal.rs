//! What the job does as time goes by: renews, keeps keys or not, tells, tries again.

use vouchsafe_domain::audit::{Outcome, Phase};
use vouchsafe_domain::vault::certificate::{
    CertificateJobs, CertificateUpdate, IssuerPatch, LifetimeAction, LifetimeActionType, PendingStatus,
    PolicyPatch, Trigger,
};

use crate::support::{DAY, House, by, issuer_name, itself, object, renews_at, unknown};

const QUIET: CertificateJobs = CertificateJobs { ended: 0, renewed: 0, told: 0, lists: 0, failed: 0 };

fn told_events(house: &House) -> usize {
    let entries = house.memory.log.entries();
    let told = entries.iter().filter(|(_, entry)| {
        entry.action == "Microsoft.KeyVault.CertificateNearExpiry" && entry.outcome == Some(Outcome::Done)
    });
    told.count()
}

#[tokio::test]
async fn a_certificate_is_renewed_when_its_share_of_life_is_over_and_not_before() {
    let house = House::new(50).await;
    let first = house.make("web", PolicyPatch { lifetime_actions: renews_at(80), ..itself() }).await;
    let (not_before, expires) = (first.not_before.expect("a date"), first.expires.expect("a date"));
    let due = not_before.plus(expires.since(not_before) * 4 / 5);
    house.opened.clock.forward_to(vouchsafe_domain::time::Timestamp::from_millis(due.millis() - 1));
    assert_eq!(house.jobs().await, QUIET);
    house.opened.clock.forward_to(due);
    assert_eq!(house.jobs().await, CertificateJobs { renewed: 1, ..QUIET });
    assert_eq!(house.get("web").await.expect("a certificate").version, first);
    assert_eq!(house.jobs().await, CertificateJobs { ended: 1, ..QUIET });
    let second = house.get("web").await.expect("a certificate").version;
    assert_eq!((second.previous, second.created), (Some(first.version), due));
    assert!(second.expires > first.expires);
    assert_eq!(house.jobs().await, QUIET, "what was renewed is not due");
    assert!(house.poll("web").await.expect("an operation").renewal);
}

#[tokio::test]
async fn a_renewal_keeps_the_key_when_the_policy_says_so_and_makes_one_otherwise() {
    let house = House::new(51).await;
    for (name, reuse_key) in [("kept", true), ("fresh", false)] {
        let days = Trigger::DaysBeforeExpiry(30);
        let action = LifetimeAction { trigger: days, action: LifetimeActionType::AutoRenew };
        let policy =
            PolicyPatch { reuse_key: Some(reuse_key), lifetime_actions: Some(vec![action]), ..itself() };
        house.make(name, policy).await;
    }
    let (context, platform) = (house.opened.context(), house.platform());
    let public = |name: &'static str| {
        let (context, caller, at) = (&context, &house.caller, house.at());
        async move {
            let key =
                platform.get_key(context, caller, at, &object(name), None).await.expect("a key").version;
            (key.version, key.public)
        }
    };
    let before = (public("kept").await, public("fresh").await);
    house.forward(340 * DAY);
    assert_eq!(house.jobs().await.renewed, 2);
    assert_eq!(house.jobs().await.ended, 2);
    let after = (public("kept").await, public("fresh").await);
    assert_ne!(before.0.0, after.0.0);
    assert_eq!(before.0.1, after.0.1, "the key was kept");
    assert_ne!(before.1.1, after.1.1, "the key was made anew");
}

#[tokio::test]
async fn contacts_are_told_once_and_also_when_nobody_here_can_renew() {
    let house = House::new(52).await;
    let notify = LifetimeAction {
        trigger: Trigger::LifetimePercentage(50),
        action: LifetimeActionType::EmailContacts,
    };
    house.make("told", PolicyPatch { lifetime_actions: Some(vec![notify]), ..itself() }).await;
    let elsewhere = crate::pending::Elsewhere::new();
    let begun = house.begin("outside", PolicyPatch { lifetime_actions: renews_at(50), ..unknown() }).await;
    let wanted = vouchsafe_domain::vault::certificate::CertificateToMerge {
        chain: vec![elsewhere.issue(&begun.expect("an operation").csr)],
        ..Default::default()
    };
    let (context, name) = (house.opened.context(), object("outside"));
    house
        .platform()
        .merge_certificate(&context, &house.caller, house.at(), &name, &wanted)
        .await
        .expect("merged");
    assert_eq!(house.jobs().await, QUIET);
    house.forward(200 * DAY);
    assert_eq!(house.jobs().await, CertificateJobs { told: 2, ..QUIET });
    assert_eq!(house.jobs().await, QUIET);
    vouchsafe_domain::ports::Log::flush(&*house.memory.log).await.expect("a log");
    assert_eq!(told_events(&house), 2);
    let open = house.memory.log.entries();
    assert!(open.iter().all(|(_, entry)| entry.phase != Phase::Event || entry.outcome.is_some()));
    assert!(house.get("told").await.expect("a certificate").version.notified);
}

#[tokio::test]
async fn what_is_disabled_deleted_or_in_progress_is_not_renewed() {
    let house = House::new(53).await;
    for name in ["disabled", "deleted", "busy", "switched-off"] {
        house.make(name, PolicyPatch { lifetime_actions: renews_at(50), ..itself() }).await;
    }
    let (context, platform) = (house.opened.context(), house.platform());
    let update = CertificateUpdate { disabled: Some(true), ..CertificateUpdate::default() };
    platform
        .update_certificate(&context, &house.caller, house.at(), &object("disabled"), None, &update)
        .await
        .expect("disabled");
    let off = PolicyPatch { disabled: Some(true), ..PolicyPatch::default() };
    platform
        .update_certificate_policy(&context, &house.caller, house.at(), &object("switched-off"), &off)
        .await
        .expect("switched off");
    house.delete("deleted").await.expect("deleted");
    let busy = PolicyPatch { lifetime_actions: renews_at(99), ..unknown() };
    house.begin("busy", busy).await.expect("an operation");
    house.forward(300 * DAY);
    assert_eq!(house.jobs().await, QUIET);
}

#[tokio::test]
async fn a_renewal_that_failed_is_tried_again_hours_later() {
    let house = House::new(54).await;
    house.set_authority("ours", "example.test").await.expect("an issuer");
    house.make("web", PolicyPatch { lifetime_actions: renews_at(50), ..by("ours") }).await;
    house.forward(250 * DAY);
    let jobs = house.jobs().await;
    assert_eq!((jobs.renewed, jobs.lists), (1, 1), "the list ran out, too");
    let (context, platform) = (house.opened.context(), house.platform());
    let rules = IssuerPatch { account: Some("other.test".to_owned()), ..IssuerPatch::default() };
    platform
        .update_certificate_issuer(&context, &house.caller, house.at(), &issuer_name("ours"), &rules)
        .await
        .expect("changed");
    assert_eq!(house.jobs().await.ended, 1);
    let failed = house.poll("web").await.expect("an operation");
    assert!(matches!(&failed.status, PendingStatus::Failed(failure) if failure.code == "RequestRefused"));
    assert_eq!(house.jobs().await, QUIET);
    let rules = IssuerPatch { account: Some("example.test".to_owned()), ..IssuerPatch::default() };
    platform
        .update_certificate_issuer(&context, &house.caller, house.at(), &issuer_name("ours"), &rules)
        .await
        .expect("changed back");
    house.forward(std::time::Duration::from_secs(6 * 3_600));
    assert_eq!(house.jobs().await.renewed, 1);
    assert_eq!(house.jobs().await.ended, 1);
    assert_eq!(house.poll("web").await.expect("an operation").status, PendingStatus::Completed);
}

#[tokio::test]
async fn certificates_that_rest_cost_the_job_nothing_until_they_are_due_changed_or_reviewed() {
    const MANY: u64 = 120;
    let house = House::new(56).await;
    let tick = async || {
        let before = house.opened.store.reads();
        let jobs = house.jobs().await;
        (jobs, house.opened.store.reads() - before)
    };
    tick().await;
    let (_, empty) = tick().await;
    for number in 0..MANY {
        house
            .make(&format!("idle-{number}"), PolicyPatch { lifetime_actions: renews_at(80), ..itself() })
            .await;
    }
    let (_, changed) = tick().await;
    assert!(changed > MANY, "what was made is looked at: {changed} reads");
    let (jobs, rest) = tick().await;
    assert_eq!((jobs, rest), (QUIET, empty), "{MANY} certificates at rest are read");
    house.forward(vouchsafe_domain::limits::CERTIFICATE_REVIEW / 2);
    assert_eq!(tick().await, (QUIET, empty));

    let (context, platform) = (house.opened.context(), house.platform());
    let update = CertificateUpdate { disabled: Some(true), ..CertificateUpdate::default() };
    let name = object("idle-7");
    platform
        .update_certificate(&context, &house.caller, house.at(), &name, None, &update)
        .await
        .expect("disabled");
    let (jobs, one) = tick().await;
    assert!(jobs == QUIET && one > empty && one < empty + 8, "one was changed: {one} reads");
    assert_eq!(tick().await, (QUIET, empty));

    house.forward(vouchsafe_domain::limits::CERTIFICATE_REVIEW / 2);
    let (jobs, review) = tick().await;
    assert!(jobs == QUIET && review > 2 * MANY, "everything is looked at now and then: {review} reads");
    assert_eq!(tick().await, (QUIET, empty));
    println!(
        "{MANY} certificates: {review} reads in a review, {rest} in a tick, {empty} without certificates"
    );

    // By the calendar, too, everything is renewed that is due, and nothing else.
    house.forward(295 * DAY);
    let renewed = tick().await.0.renewed as u64;
    assert_eq!(renewed, MANY - 1, "all but the one that is disabled");
    assert_eq!(tick().await.0.ended as u64, MANY - 1);
    assert_eq!(tick().await.0, QUIET);
    assert_eq!(tick().await, (QUIET, empty));
}

fn renews_before(days: u32) -> Option<Vec<LifetimeAction>> {
    let trigger = Trigger::DaysBeforeExpiry(days);
    Some(vec![LifetimeAction { trigger, action: LifetimeActionType::AutoRenew }])
}

/// So many days after its authority was founded, which lives 120 months: 3653 days.
async fn with_an_old_authority(seed: u64, days: u32) -> House {
    let house = House::new(seed).await;
    house.set_authority("ours", "example.test").await.expect("an issuer");
    house.forward(days * DAY);
    house
}

/// What `az`'s default policy asks for is twelve months, and a renewal 90 days before their end.
#[tokio::test]
async fn what_was_issued_for_less_than_the_policy_asked_is_renewed_after_two_thirds_of_its_life() {
    let house = with_an_old_authority(57, 3_593).await;
    let made = house.make("web", PolicyPatch { lifetime_actions: renews_before(90), ..by("ours") }).await;
    let (not_before, expires) = (made.not_before.expect("a date"), made.expires.expect("a date"));
    let life = expires.since(not_before);
    assert!(life < 61 * DAY);
    let due = not_before.plus(life * 2 / 3);
    assert_eq!(house.jobs().await.renewed, 0, "what was just made is not due");
    house.opened.clock.forward_to(vouchsafe_domain::time::Timestamp::from_millis(due.millis() - 1));
    assert_eq!(house.jobs().await.renewed, 0);
    house.opened.clock.forward_to(due);
    assert_eq!(house.jobs().await.renewed, 1);
    assert_eq!(house.jobs().await.ended, 1);
    assert_eq!(house.jobs().await.renewed, 0);
    assert_eq!(house.get("web").await.expect("a certificate").version.previous, Some(made.version));
}

#[tokio::test]
async fn a_version_that_followed_another_is_not_renewed_before_a_failed_renewal_would_be_tried_again() {
    let house = with_an_old_authority(58, 3_652).await;
    for _ in 0..2 {
        house.make("web", PolicyPatch { lifetime_actions: renews_at(1), ..by("ours") }).await;
    }
    let second = std::time::Duration::from_secs(1);
    house.forward(vouchsafe_domain::limits::RENEWAL_RETRY - second);
    assert_eq!(house.jobs().await.renewed, 0);
    house.forward(second);
    assert_eq!(house.jobs().await.renewed, 1);
}

#[tokio::test]
async fn an_authority_at_its_end_fails_the_operation() {
    let house = with_an_old_authority(59, 3_653).await;
    for name in ["at-once", "days-later"] {
        house.begin(name, by("ours")).await.expect("an operation");
        let polled = house.poll(name).await.expect("an operation");
        let PendingStatus::Failed(failure) = polled.status else { panic!("{:?}", polled.status) };
        assert!(failure.code == "RequestRefused" && failure.message.contains("ended"), "{failure:?}");
        house.forward(DAY);
    }
}

#[tokio::test]
async fn what_is_disabled_while_it_is_renewed_stays_disabled() {
    let house = House::new(46).await;
    house.make("web", PolicyPatch { lifetime_actions: renews_at(50), ..itself() }).await;
    house.forward(200 * DAY);
    assert_eq!(house.jobs().await.renewed, 1);
    let update = CertificateUpdate { disabled: Some(true), ..CertificateUpdate::default() };
    let (context, name) = (house.opened.context(), object("web"));
    house
        .platform()
        .update_certificate(&context, &house.caller, house.at(), &name, None, &update)
        .await
        .expect("disabled");
    assert_eq!(house.jobs().await.ended, 1);
    let renewed = house.get("web").await.expect("a certificate").version;
    assert!(renewed.previous.is_some() && renewed.attributes.disabled);
    assert!(house.secret("web", None).await.is_err());
}

#[tokio::test]
async fn a_renewal_that_cannot_begin_is_there_to_be_seen_and_tried_again_hours_later() {
    let house = House::new(47).await;
    house.set_authority("ours", "example.test").await.expect("an issuer");
    let made = house.make("web", PolicyPatch { lifetime_actions: renews_at(50), ..by("ours") }).await;
    let (context, platform) = (house.opened.context(), house.platform());
    platform
        .delete_certificate_issuer(&context, &house.caller, house.at(), &issuer_name("ours"))
        .await
        .expect("deleted");
    house.forward(200 * DAY);
    let jobs = house.jobs().await;
    assert_eq!((jobs.renewed, jobs.ended, jobs.failed), (0, 1, 0));
    let failed = house.poll("web").await.expect("an operation");
    let PendingStatus::Failed(failure) = &failed.status else { panic!("{:?}", failed.status) };
    assert!(failure.code == "RenewalRefused" && failure.message.contains("ours"), "{failure:?}");
    assert!(failed.renewal && !house.key_waits("web").await);
    assert_eq!(house.jobs().await, QUIET);
    house.set_authority("ours", "example.test").await.expect("an issuer");
    assert_eq!(house.jobs().await, QUIET, "the next try is hours away");
    house.forward(vouchsafe_domain::limits::RENEWAL_RETRY);
    assert_eq!(house.jobs().await.renewed, 1);
    assert_eq!(house.jobs().await.ended, 1);
    assert_eq!(house.get("web").await.expect("a certificate").version.previous, Some(made.version));
}

#[tokio::test]
async fn an_update_of_a_certificate_does_not_name_an_issuer_that_is_not_there() {
    let house = House::new(48).await;
    house.make("web", itself()).await;
    let (context, name) = (house.opened.context(), object("web"));
    let update = CertificateUpdate { policy: Some(by("nobody")), ..CertificateUpdate::default() };
    let platform = house.platform();
    let refused =
        platform.update_certificate(&context, &house.caller, house.at(), &name, None, &update).await;
    assert!(matches!(refused, Err(vouchsafe_domain::vault::Error::BadParameter(_))));
}

#[tokio::test]
async fn a_renewal_that_was_cancelled_is_begun_again_hours_later_and_not_with_the_next_tick() {
    let house = House::new(49).await;
    house.make("web", PolicyPatch { lifetime_actions: renews_at(50), ..itself() }).await;
    house.forward(200 * DAY);
    assert_eq!(house.jobs().await.renewed, 1);
    let (context, name) = (house.opened.context(), object("web"));
    let platform = house.platform();
    let cancelled =
        platform.update_pending_certificate(&context, &house.caller, house.at(), &name, true).await;
    cancelled.expect("cancelled");
    assert_eq!(house.jobs().await, CertificateJobs { ended: 1, ..QUIET });
    assert_eq!(house.jobs().await, QUIET);
    assert_eq!(house.poll("web").await.expect("an operation").status, PendingStatus::Cancelled);
    house.forward(vouchsafe_domain::limits::RENEWAL_RETRY);
    assert_eq!(house.jobs().await.renewed, 1);
}

#[tokio::test]
async fn an_operation_of_a_user_that_failed_is_there_to_be_seen_before_a_renewal_replaces_it() {
    let house = House::new(45).await;
    house.set_authority("ours", "example.test").await.expect("an issuer");
    house.make("web", PolicyPatch { lifetime_actions: renews_at(50), ..by("ours") }).await;
    house.forward(200 * DAY);
    let wrong = PolicyPatch {
        subject: Some("CN=www.other.test".to_owned()),
        lifetime_actions: renews_at(50),
        ..by("ours")
    };
    let begun = house.begin("web", wrong).await.expect("an operation");
    house.poll("web").await.expect("an operation");
    let jobs = house.jobs().await;
    assert_eq!((jobs.renewed, jobs.ended), (0, 0));
    let seen = house.poll("web").await.expect("an operation");
    assert!(seen.request == begun.request && matches!(seen.status, PendingStatus::Failed(_)));
    house.forward(vouchsafe_domain::limits::RENEWAL_RETRY);
    assert_eq!(house.jobs().await.renewed, 1);
}
