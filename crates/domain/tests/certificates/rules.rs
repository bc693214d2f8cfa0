//! What an authority of the vault lets through and what not, where a rule could be read in two ways.

use std::collections::BTreeSet;

use vouchsafe_crypto::pki::{AlternativeNames, ParsedCertificate, RevocationReason};
use vouchsafe_domain::vault::certificate::{
    CertificateVersion, PendingCertificate, PendingStatus, PolicyPatch,
};

use crate::support::{DAY, House, by, object};

async fn with_rules(seed: u64, rules: &str) -> House {
    let house = House::new(seed).await;
    house.set_authority("ours", rules).await.expect("an issuer");
    house
}

async fn ended(house: &House, name: &str, policy: PolicyPatch) -> PendingCertificate {
    house.begin(name, policy).await.expect("an operation");
    house.poll(name).await.expect("an operation")
}

fn failure(pending: &PendingCertificate) -> &str {
    match &pending.status {
        PendingStatus::Failed(failure) => &failure.code,
        other => other.as_str(),
    }
}

fn spki(version: &CertificateVersion) -> Vec<u8> {
    let leaf = ParsedCertificate::from_der(version.leaf().expect("a certificate")).expect("X.509");
    leaf.spki_der().to_vec()
}

async fn revoke(house: &House, name: &str) {
    let (context, name) = (house.opened.context(), object(name));
    let reason = RevocationReason::KeyCompromise;
    let revoked =
        house.platform().revoke_certificate(&context, &house.caller, house.at(), &name, None, reason);
    revoked.await.expect("revoked");
}

#[tokio::test]
async fn the_key_of_a_certificate_that_was_revoked_is_not_certified_again() {
    let house = with_rules(120, "example.test").await;
    let policy = || PolicyPatch { reuse_key: Some(true), ..by("ours") };
    let first = house.make("web", policy()).await;
    let second = house.make("web", policy()).await;
    assert_eq!(spki(&first), spki(&second), "the policy keeps the key");
    house.begin("web", policy()).await.expect("an operation");
    revoke(&house, "web").await;
    let polled = house.poll("web").await.expect("an operation");
    assert_eq!(failure(&polled), "KeyRevoked", "it was begun before the key was revoked");
    let third = house.make("web", policy()).await;
    assert_ne!(spki(&second), spki(&third));
    assert_eq!(spki(&third), spki(&house.make("web", policy()).await), "the new one is kept");
}

fn dns(name: &str) -> PolicyPatch {
    let sans = AlternativeNames { dns: vec![name.to_owned()], ..AlternativeNames::default() };
    PolicyPatch { sans: Some(sans), subject: Some("CN=service".to_owned()), ..by("ours") }
}

#[tokio::test]
async fn wildcards_are_allowed_below_the_domains_whose_rules_say_so_and_nowhere_else() {
    let house = with_rules(121, "prod.corp.test, *.dev.test").await;
    for (name, host, came_to) in [
        ("a", "www.prod.corp.test", "completed"),
        ("b", "*.prod.corp.test", "RequestRefused"),
        ("c", "*.dev.test", "completed"),
        ("d", "*.x.dev.test", "completed"),
        ("e", "www.dev.test", "completed"),
    ] {
        assert_eq!(failure(&ended(&house, name, dns(host)).await), came_to, "{host}");
    }
}

/// A certificate without the extension is good for every purpose (RFC 5280 §4.2.1.12).
#[tokio::test]
async fn a_certificate_without_a_purpose_is_not_issued() {
    let house = with_rules(122, "example.test").await;
    let nothing = PolicyPatch { ekus: Some(Vec::new()), ..by("ours") };
    assert_eq!(failure(&ended(&house, "nothing", nothing).await), "RequestRefused");
    let said = PolicyPatch { ekus: Some(vec!["1.3.6.1.5.5.7.3.2".to_owned()]), ..by("ours") };
    assert_eq!(failure(&ended(&house, "said", said).await), "completed");
    assert_eq!(failure(&ended(&house, "default", by("ours")).await), "completed");
}

#[tokio::test]
async fn a_certificate_for_a_key_on_a_curve_says_nothing_of_enciphering() {
    use vouchsafe_crypto::pki::KeyUsage::{DataEncipherment, DigitalSignature, KeyEncipherment};
    let house = with_rules(124, "example.test").await;
    for (name, issuer) in [("own", "Self"), ("issued", "ours")] {
        let usage = [DigitalSignature, KeyEncipherment, DataEncipherment].into();
        let made = house.make(name, PolicyPatch { key_usage: Some(usage), ..by(issuer) }).await;
        let leaf = ParsedCertificate::from_der(made.leaf().expect("a certificate")).expect("X.509");
        assert_eq!(leaf.key_usage(), Some(&BTreeSet::from([DigitalSignature])), "{name}");
    }
}

#[tokio::test]
async fn months_are_cut_to_the_days_of_the_rule_in_every_season() {
    for (seed, days, months, season, came_to) in [
        // Three months are 89 to 92 days.
        (130, 90, 3, 0, "completed"),
        (131, 90, 3, 150, "completed"),
        (132, 90, 4, 0, "RequestRefused"),
        (133, 90, 4, 20, "RequestRefused"),
        (134, 365, 12, 0, "completed"),
        (135, 365, 12, 360, "completed"),
        (136, 365, 13, 0, "RequestRefused"),
        (137, 3_650, 120, 0, "completed"),
        // Nobody can ask for less than a month.
        (138, 10, 1, 0, "completed"),
        (139, 10, 2, 0, "RequestRefused"),
    ] {
        let case = format!("{months} months under days:{days}, {season} days into the year");
        let house = with_rules(seed, &format!("example.test days:{days}")).await;
        house.forward(season * DAY);
        let policy = PolicyPatch { validity_months: Some(months), ..by("ours") };
        assert_eq!(failure(&ended(&house, "web", policy).await), came_to, "{case}");
        if came_to == "completed" {
            let made = house.get("web").await.expect("a certificate").version;
            let life = made.expires.expect("a date").since(made.not_before.expect("a date"));
            assert!(life <= days * DAY && life > (days - 2) * DAY, "{case}: {life:?}");
        }
    }
}
