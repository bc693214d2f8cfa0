//! Policies: the defaults, what is refused, and that a change is held to what a creation is.

use std::collections::BTreeSet;

use vouchsafe_crypto::keys::{KeyFamily, KeySpec};
use vouchsafe_crypto::pki::{AlternativeNames, KeyUsage};
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::vault::certificate::{
    ContentType, IssuerChoice, LifetimeAction, LifetimeActionType, PolicyPatch, Trigger,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn least() -> PolicyPatch {
    PolicyPatch {
        issuer: Some(IssuerChoice::Itself),
        subject: Some("CN=app.example.test".to_owned()),
        ..PolicyPatch::default()
    }
}

fn usages(usages: &[KeyUsage]) -> BTreeSet<KeyUsage> {
    usages.iter().copied().collect()
}

fn action(trigger: Trigger, action: LifetimeActionType) -> LifetimeAction {
    LifetimeAction { trigger, action }
}

#[test]
fn the_defaults_are_those_of_key_vault() {
    let policy = least().complete(NOW).expect("a policy");
    let key = policy.key;
    assert_eq!(
        (key.spec, key.in_token, key.exportable, key.reuse_key),
        (KeySpec::Rsa2048, false, true, false)
    );
    assert_eq!(policy.content_type, ContentType::Pkcs12);
    assert_eq!(policy.x509.ekus, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    assert_eq!(policy.x509.key_usage, usages(&[KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment]));
    assert_eq!(policy.x509.validity_months, 12);
    assert_eq!(
        policy.lifetime_actions,
        [action(Trigger::LifetimePercentage(80), LifetimeActionType::AutoRenew)]
    );

    let outside = PolicyPatch { issuer: Some(IssuerChoice::Unknown), ..least() }.complete(NOW);
    assert_eq!(
        outside.expect("a policy").lifetime_actions,
        [action(Trigger::LifetimePercentage(80), LifetimeActionType::EmailContacts)],
        "nobody here renews what somebody outside issues"
    );
    let curve = PolicyPatch { key_type: Some((KeyFamily::Ec, false)), ..least() }.complete(NOW);
    let curve = curve.expect("a policy");
    assert_eq!(
        (curve.key.spec, curve.x509.key_usage),
        (KeySpec::P256, usages(&[KeyUsage::DigitalSignature]))
    );
    let held = PolicyPatch { key_type: Some((KeyFamily::Rsa, true)), ..least() }.complete(NOW);
    assert!(!held.expect("a policy").key.exportable, "what a token holds does not leave it");
}

type Wanted = fn(&mut PolicyPatch);

/// What is wrong, and a word of the refusal.
const REFUSED: [(Wanted, &str); 33] = [
    (|p| p.subject = None, "subject"),
    (|p| p.subject = Some("no name at all".to_owned()), "distinguished name"),
    (|p| p.subject = Some("CN=".to_owned()), "value"),
    (|p| p.content_type = Some("text/plain".to_owned()), "content type"),
    (|p| p.key_size = Some(1024), "2048"),
    (|p| p.curve = Some(KeySpec::P256K), ""),
    (|p| p.key_type = Some((KeyFamily::Oct, false)), "RSA or EC"),
    (|p| p.key_type = Some((KeyFamily::Ec, false)), ""),
    (
        |p| {
            p.key_type = Some((KeyFamily::Rsa, false));
            p.curve = Some(KeySpec::P256);
        },
        "no curve",
    ),
    (
        |p| {
            p.curve = Some(KeySpec::P256);
            p.key_size = Some(384);
        },
        "do not agree",
    ),
    (|p| p.curve = Some(KeySpec::Rsa2048), "P-256"),
    (
        |p| {
            p.key_type = Some((KeyFamily::Ec, false));
            p.key_size = Some(512);
        },
        "521",
    ),
    (
        |p| {
            p.key_type = Some((KeyFamily::Rsa, true));
            p.exportable = Some(true);
        },
        "exportable",
    ),
    (|p| p.validity_months = Some(0), "validity_months"),
    (|p| p.validity_months = Some(1_201), "validity_months"),
    (|p| p.is_authority = Some(true), "certify others"),
    (|p| p.key_usage = Some(usages(&[KeyUsage::KeyCertSign])), "certify others"),
    (|p| p.key_usage = Some(usages(&[KeyUsage::CrlSign])), "certify others"),
    (|p| p.ekus = Some(vec!["serverAuth".to_owned()]), "object identifier"),
    (|p| p.ekus = Some(vec!["3.1".to_owned()]), "object identifier"),
    (|p| p.ekus = Some(vec!["1.40.1".to_owned()]), "object identifier"),
    (|p| p.ekus = Some(vec!["1.3.06.1".to_owned()]), "object identifier"),
    (|p| p.ekus = Some(vec!["1.3.6.1".to_owned(); 33]), "more than 32"),
    (|p| p.sans = Some(dns(&["a b"])), "DNS name"),
    (|p| p.sans = Some(dns(&["a.*.example"])), "DNS name"),
    (|p| p.sans = Some(dns(&["-a.example"])), "DNS name"),
    (|p| p.sans = Some(AlternativeNames { emails: vec!["nobody".to_owned()], ..dns(&[]) }), "mail"),
    (|p| p.sans = Some(AlternativeNames { upns: vec!["a@".to_owned()], ..dns(&[]) }), "principal"),
    (|p| p.sans = Some(AlternativeNames { uris: vec!["//x".to_owned()], ..dns(&[]) }), "URI"),
    (|p| p.lifetime_actions = Some(vec![renew(Trigger::LifetimePercentage(0))]), "between 1 and 99"),
    (|p| p.lifetime_actions = Some(vec![renew(Trigger::LifetimePercentage(100))]), "between 1 and 99"),
    (|p| p.lifetime_actions = Some(vec![renew(Trigger::DaysBeforeExpiry(12 * 27 + 1))]), "between 1 and 324"),
    (|p| p.lifetime_actions = Some(vec![renew(Trigger::LifetimePercentage(80)); 2]), "two lifetime actions"),
];

fn dns(names: &[&str]) -> AlternativeNames {
    let dns = names.iter().map(|name| (*name).to_owned()).collect();
    AlternativeNames { dns, ..AlternativeNames::default() }
}

fn renew(trigger: Trigger) -> LifetimeAction {
    action(trigger, LifetimeActionType::AutoRenew)
}

#[test]
fn a_policy_that_could_not_be_issued_is_refused_when_it_is_made_and_when_it_is_changed() {
    let before = least().complete(NOW).expect("a policy");
    for (number, (change, word)) in REFUSED.into_iter().enumerate() {
        let mut wanted = least();
        change(&mut wanted);
        let made = wanted.complete(NOW);
        if word.is_empty() {
            assert!(made.is_ok(), "case {number} is the twin that is accepted: {made:?}");
            continue;
        }
        let refused = made.expect_err("refused");
        assert!(refused.contains(word), "case {number}: {refused}");
        let mut patch = PolicyPatch::default();
        change(&mut patch);
        // What a patch does not mention stays: without a subject it has the one of before.
        if word != "subject" {
            let refused = patch.apply(&before, NOW).expect_err("refused");
            assert!(refused.contains(word), "case {number} as a change: {refused}");
        }
    }
}

#[test]
fn a_change_leaves_what_it_does_not_mention_and_keeps_what_nobody_knows() {
    let made = PolicyPatch { other: [("platformManaged".to_owned(), "true".to_owned())].into(), ..least() };
    let before = made.complete(NOW).expect("a policy");
    let later = Timestamp::from_seconds(1_800_000_100);
    let patch = PolicyPatch { validity_months: Some(24), ..PolicyPatch::default() };
    let after = patch.apply(&before, later).expect("a policy");
    assert_eq!(after.x509.validity_months, 24);
    assert_eq!((after.created, after.updated), (NOW, later));
    let mut same = after.clone();
    same.x509.validity_months = 12;
    same.updated = NOW;
    assert_eq!(same, before);
    assert_eq!(after.other.get("platformManaged").map(String::as_str), Some("true"));
}

#[test]
fn a_lifetime_action_is_due_after_a_share_of_the_life_or_days_before_its_end() {
    let (begin, end) = (Timestamp::from_seconds(0), Timestamp::from_seconds(100 * 86_400));
    for (trigger, day) in [
        (Trigger::LifetimePercentage(1), 1),
        (Trigger::LifetimePercentage(80), 80),
        (Trigger::LifetimePercentage(99), 99),
        (Trigger::DaysBeforeExpiry(1), 99),
        (Trigger::DaysBeforeExpiry(30), 70),
        (Trigger::DaysBeforeExpiry(81), 19),
        (Trigger::DaysBeforeExpiry(99), 1),
    ] {
        assert_eq!(renew(trigger).due(begin, end, 3), Timestamp::from_seconds(day * 86_400), "{trigger:?}");
    }
    // Twelve months were asked for: days that begin in the first half were not counted for what was issued.
    let two_thirds = Timestamp::from_seconds(200 * 86_400 / 3);
    for (days, due) in [
        (30, Timestamp::from_seconds(70 * 86_400)),
        (50, Timestamp::from_seconds(50 * 86_400)),
        (51, two_thirds),
        (200, two_thirds),
    ] {
        assert_eq!(renew(Trigger::DaysBeforeExpiry(days)).due(begin, end, 12), due, "{days} days");
    }
    // Whoever is only told can be told at once.
    let told = action(Trigger::DaysBeforeExpiry(200), LifetimeActionType::EmailContacts);
    assert_eq!(told.due(begin, end, 12), begin);
}

/// RFC 8813 §3: with id-ecPublicKey, keyEncipherment and dataEncipherment MUST NOT be present. `az`'s default policy
/// asks for them whatever the key is.
#[test]
fn nothing_is_enciphered_to_a_key_on_a_curve() {
    let curve = PolicyPatch { key_type: Some((KeyFamily::Ec, false)), ..least() };
    let all = usages(&[
        KeyUsage::DigitalSignature,
        KeyUsage::KeyEncipherment,
        KeyUsage::DataEncipherment,
        KeyUsage::KeyAgreement,
    ]);
    let made = PolicyPatch { key_usage: Some(all.clone()), ..curve.clone() }.complete(NOW).expect("a policy");
    assert_eq!(made.x509.key_usage, all, "what was asked for is kept");
    let said = made.x509.usages(made.key.spec.family());
    assert_eq!(said, usages(&[KeyUsage::DigitalSignature, KeyUsage::KeyAgreement]));
    assert_eq!(made.x509.usages(KeyFamily::Rsa), all);
    let nothing = PolicyPatch { key_usage: Some(usages(&[KeyUsage::KeyEncipherment])), ..curve };
    let refused = nothing.complete(NOW).expect_err("refused");
    assert!(refused.contains("curve"), "{refused}");
}
