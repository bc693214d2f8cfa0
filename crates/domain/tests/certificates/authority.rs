//! Private authorities: what they certify, what they refuse, what they take back, and who hears of it.

use vouchsafe_crypto::pki::{
    AlternativeNames, OcspError, ParsedCertificate, RevocationReason, parse_revocation_list,
};
use vouchsafe_domain::Context;
use vouchsafe_domain::vault::Error;
use vouchsafe_domain::vault::certificate::{
    AuthorityId, AuthorityRules, CertificateVersion, IssuerPatch, PendingStatus, PolicyPatch,
};

use crate::support::{DAY, House, by, issuer_name, itself, object};

const RULES: &str = "example.test, *.apps.test 10.0.0.0/8, @example.test, spiffe://example.test/";

async fn with_authority(seed: u64) -> House {
    let house = House::new(seed).await;
    house.set_authority("ours", RULES).await.expect("an issuer");
    house
}

fn named(names: AlternativeNames) -> PolicyPatch {
    PolicyPatch { sans: Some(names), subject: Some("CN=service".to_owned()), ..by("ours") }
}

fn dns(names: &[&str]) -> AlternativeNames {
    let dns = names.iter().map(|name| (*name).to_owned()).collect();
    AlternativeNames { dns, ..AlternativeNames::default() }
}

async fn authority_of(house: &House, version: &CertificateVersion) -> (AuthorityId, ParsedCertificate) {
    let id = version.authority.expect("an authority");
    let der = house.platform().authority_certificate(house.at(), id).await.expect("a certificate");
    (id, ParsedCertificate::from_der(&der).expect("X.509"))
}

#[tokio::test]
async fn an_authority_certifies_with_a_chain_and_says_where_it_takes_back() {
    let house = with_authority(60).await;
    let made = house.make("web", PolicyPatch { sans: Some(dns(&["web.example.test"])), ..by("ours") }).await;
    let (id, own) = authority_of(&house, &made).await;
    assert_eq!(made.chain.len(), 2);
    assert_eq!(made.chain[1], own.der());
    let leaf = ParsedCertificate::from_der(&made.chain[0]).expect("X.509");
    assert!(leaf.is_signed_by(&own) && own.is_signed_by(&own) && own.is_authority() && !leaf.is_authority());
    let base = format!("https://app.vault.localhost:8443/pki/{id}");
    assert_eq!(leaf.revocation_list_urls(), [format!("{base}/crl")]);
    assert_eq!(leaf.ocsp_urls(), [format!("{base}/ocsp")]);
    vouchsafe_crypto::pki::chain::verify_path(
        &leaf,
        &[],
        &[own],
        house.opened.context().now().seconds(),
        None,
    )
    .expect("a path");
    let again = house.make("web", by("ours")).await;
    let other = ParsedCertificate::from_der(&again.chain[0]).expect("X.509");
    assert_ne!(leaf.serial(), other.serial());
}

#[tokio::test]
async fn an_authority_refuses_the_names_that_its_rules_do_not_say() {
    let house = with_authority(61).await;
    let names = AlternativeNames::default;
    let cases = [
        (true, named(dns(&["example.test", "a.b.example.test"]))),
        (true, named(dns(&["*.apps.test"]))),
        (
            true,
            named(AlternativeNames { addresses: vec!["10.1.2.3".parse().expect("an address")], ..names() }),
        ),
        (true, named(AlternativeNames { emails: vec!["a@example.test".to_owned()], ..names() })),
        (true, named(AlternativeNames { uris: vec!["spiffe://example.test/web".to_owned()], ..names() })),
        (false, named(dns(&["example.com"]))),
        (false, named(dns(&["badexample.test"]))),
        (false, named(dns(&["example.test.evil.com"]))),
        (false, named(dns(&["example.test", "example.com"]))),
        (
            false,
            named(AlternativeNames { addresses: vec!["11.1.2.3".parse().expect("an address")], ..names() }),
        ),
        (false, named(AlternativeNames { emails: vec!["a@evil.test".to_owned()], ..names() })),
        (false, named(AlternativeNames { uris: vec!["spiffe://evil.test/web".to_owned()], ..names() })),
        (false, PolicyPatch { subject: Some("CN=www.example.com".to_owned()), ..by("ours") }),
        (false, PolicyPatch { ekus: Some(vec!["1.3.6.1.5.5.7.3.9".to_owned()]), ..by("ours") }),
        (false, PolicyPatch { validity_months: Some(24), ..by("ours") }),
    ];
    for (number, (allowed, policy)) in cases.into_iter().enumerate() {
        let name = format!("case-{number}");
        house.begin(&name, policy).await.expect("an operation");
        let polled = house.poll(&name).await.expect("an operation");
        if allowed {
            assert_eq!(polled.status, PendingStatus::Completed, "{name}");
        } else {
            assert!(
                matches!(&polled.status, PendingStatus::Failed(failure) if failure.code == "RequestRefused"),
                "{name}: {polled:?}"
            );
            assert!(!house.has_key(&name).await, "{name}");
        }
    }
}

#[tokio::test]
async fn an_authority_that_may_certify_everything_is_never_a_default() {
    let house = House::new(62).await;
    for rules in ["", " , ", "eku:1.2.3", "days:30"] {
        let refused = house.set_authority("ours", rules).await;
        assert!(matches!(refused, Err(Error::BadParameter(_))), "{rules}");
    }
    for rules in [
        "*",
        "a b.*",
        "10.0.0.0/33",
        "@",
        "days:0 a.test",
        "days:99999 a.test",
        "eku:x a.test",
        "a..b",
        "://x",
    ] {
        assert!(AuthorityRules::parse(rules).is_err(), "{rules}");
    }
    assert!(AuthorityRules::parse(RULES).is_ok());
    assert!(AuthorityRules::parse("2001:db8::/32,192.0.2.1 eku:1.3.6.1.5.5.7.3.3 days:90").is_ok());
    assert!(house.begin("web", by("ours")).await.is_err(), "an issuer that does not exist issues nothing");
}

/// A request for the state of one certificate (RFC 6960 §4.1), as `openssl ocsp` writes it.
fn ocsp_request(issuer: &ParsedCertificate, serial: &[u8]) -> Vec<u8> {
    ocsp_request_with(issuer, &[serial], None)
}

/// The same about several, and with a nonce (RFC 9654 §2.1).
fn ocsp_request_with(issuer: &ParsedCertificate, serials: &[&[u8]], nonce: Option<&[u8]>) -> Vec<u8> {
    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(content.len()).expect("short").to_be_bytes();
        match (high, low) {
            (0, 0..128) => [&[tag, low], content].concat(),
            (0, _) => [&[tag, 0x81, low], content].concat(),
            _ => [&[tag, 0x82, high, low], content].concat(),
        }
    }
    // The key is the BIT STRING at the end of the SubjectPublicKeyInfo: 97 bytes of an uncompressed P-384 point.
    let spki = issuer.spki_der();
    let key = &spki[spki.len() - 97..];
    let name = vouchsafe_crypto::digest::sha256(&issuer.subject().to_der());
    let key = vouchsafe_crypto::digest::sha256(key);
    let sha256 = tlv(0x30, &tlv(0x06, &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]));
    let one = |serial: &&[u8]| {
        let id = [sha256.clone(), tlv(4, &name), tlv(4, &key), tlv(2, serial)].concat();
        tlv(0x30, &tlv(0x30, &id))
    };
    let requests = tlv(0x30, &serials.iter().flat_map(one).collect::<Vec<u8>>());
    let extensions = nonce.map_or_else(Vec::new, |nonce| {
        let oid = tlv(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02]);
        let extension = tlv(0x30, &[oid, tlv(4, &tlv(4, nonce))].concat());
        tlv(0xa2, &tlv(0x30, &extension))
    });
    let body = [requests, extensions].concat();
    tlv(0x30, &tlv(0x30, &body))
}

async fn ocsp(house: &House, id: AuthorityId, request: &[u8]) -> Vec<u8> {
    let context: Context = house.opened.context();
    house.platform().authority_ocsp_answer(&context, house.at(), id, request).await
}

fn says(answer: &[u8], tag: u8) -> bool {
    // CertStatus follows the CertID: [0] good is empty, [1] revoked has a time in it.
    match tag {
        0 => answer.windows(3).any(|window| window == [0x80, 0x00, 0x18]),
        // With a reason beside the time, or without one. Before the time of the answer stands a hash, whose end can be
        // anything else.
        _ => answer.windows(4).any(|window| matches!(window, [0xa1, 0x16 | 0x11, 0x18, 0x0f])),
    }
}

#[tokio::test]
async fn what_is_revoked_is_in_the_list_and_in_the_answers() {
    let house = with_authority(63).await;
    let made = house.make("web", by("ours")).await;
    let other = house.make("other", by("ours")).await;
    let (id, own) = authority_of(&house, &made).await;
    let serial = |version: &CertificateVersion| {
        ParsedCertificate::from_der(&version.chain[0]).expect("X.509").serial().to_vec()
    };
    let list = |der: Vec<u8>| parse_revocation_list(&der, &own).expect("a list");
    let platform = house.platform();
    let (first, _) = platform.authority_revocation_list(house.at(), id).await.expect("a list");
    let first = list(first);
    assert!(first.revoked.is_empty() && first.number == 1);
    let request = ocsp_request(&own, &serial(&made));
    let good = ocsp(&house, id, &request).await;
    assert!(says(&good, 0) && !says(&good, 1));
    assert_eq!(ocsp(&house, id, &request).await, good, "an answer is good for a while");

    let context = house.opened.context();
    let reason = RevocationReason::KeyCompromise;
    let (_, revoked, _) = platform
        .revoke_certificate(&context, &house.caller, house.at(), &object("web"), None, reason)
        .await
        .expect("revoked");
    assert_eq!(revoked.revoked, Some(context.now()));
    let (second, _) = platform.authority_revocation_list(house.at(), id).await.expect("a list");
    let second = list(second);
    assert_eq!((second.number, second.revoked.len()), (2, 1));
    assert_eq!((second.revoked[0].reason, second.revoked[0].since), (reason, context.now().seconds()));
    assert!(says(&ocsp(&house, id, &request).await, 1));
    assert!(says(&ocsp(&house, id, &ocsp_request(&own, &serial(&other))).await, 0));

    // A second time changes neither the date nor the reason.
    house.forward(DAY);
    let again = RevocationReason::Superseded;
    platform
        .revoke_certificate(&house.opened.context(), &house.caller, house.at(), &object("web"), None, again)
        .await
        .expect("still revoked");
    let (third, _) = platform.authority_revocation_list(house.at(), id).await.expect("a list");
    assert_eq!(list(third).revoked, second.revoked);

    let unknown = ocsp_request(&own, &[1, 2, 3]);
    assert_eq!(ocsp(&house, id, &unknown).await, OcspError::Unauthorized.to_der());
    assert_eq!(ocsp(&house, id, b"nothing").await, OcspError::MalformedRequest.to_der());
    let nobody = AuthorityId(context.request);
    assert_eq!(ocsp(&house, nobody, &request).await, OcspError::Unauthorized.to_der());
    assert!(platform.authority_revocation_list(house.at(), nobody).await.is_err());
}

#[tokio::test]
async fn lists_are_signed_anew_before_they_run_out_even_when_the_issuer_is_gone() {
    let house = with_authority(64).await;
    let made = house.make("web", by("ours")).await;
    let (id, own) = authority_of(&house, &made).await;
    let (context, platform) = (house.opened.context(), house.platform());
    platform
        .delete_certificate_issuer(&context, &house.caller, house.at(), &issuer_name("ours"))
        .await
        .expect("deleted");
    assert!(matches!(house.begin("web", by("ours")).await, Err(Error::BadParameter(_))));
    for _ in 0..3 {
        let (_, until) = platform.authority_revocation_list(house.at(), id).await.expect("a list");
        house.forward(4 * DAY);
        assert!(house.opened.context().now() < until, "a list always is the newest");
        assert_eq!(house.jobs().await.lists, 1);
        assert_eq!(house.jobs().await.lists, 0);
    }
    let (der, _) = platform.authority_revocation_list(house.at(), id).await.expect("a list");
    assert_eq!(parse_revocation_list(&der, &own).expect("a list").number, 4);
}

#[tokio::test]
async fn what_was_not_issued_here_is_not_revoked_here() {
    let house = with_authority(65).await;
    house.make("own", itself()).await;
    let context = house.opened.context();
    let reason = RevocationReason::Unspecified;
    let refused = house
        .platform()
        .revoke_certificate(&context, &house.caller, house.at(), &object("own"), None, reason)
        .await;
    assert!(matches!(refused, Err(Error::BadParameter(_))));
}

#[tokio::test]
async fn issuers_and_contacts_are_written_read_changed_and_deleted() {
    use vouchsafe_domain::vault::certificate::{Contact, Contacts, Provider};
    let house = House::new(66).await;
    let (context, platform, caller, at) =
        (house.opened.context(), house.platform(), &house.caller, house.at());
    let name = issuer_name("Test-Issuer");
    let missing = platform.get_certificate_issuer(&context, caller, at, &name).await;
    assert!(matches!(missing, Err(Error::IssuerNotFound(_))));
    let patch = IssuerPatch { account: Some("me".to_owned()), ..IssuerPatch::default() };
    let missing = platform.update_certificate_issuer(&context, caller, at, &name, &patch).await;
    assert!(matches!(missing, Err(Error::IssuerNotFound(_))));
    let wanted = IssuerPatch { provider: Some(Provider::Test), ..IssuerPatch::default() };
    platform.set_certificate_issuer(&context, caller, at, &name, &wanted).await.expect("an issuer");
    let (changed, _) =
        platform.update_certificate_issuer(&context, caller, at, &name, &patch).await.expect("changed");
    assert_eq!((changed.provider, changed.account.as_deref()), (Provider::Test, Some("me")));
    let same = issuer_name("test-issuer");
    assert_eq!(platform.get_certificate_issuer(&context, caller, at, &same).await.expect("it").0, changed);
    let page = platform.list_certificate_issuers(&context, caller, at, None, 25).await.expect("a list");
    assert_eq!(page.items, [changed]);
    let kept = house.begin("web", by("test-issuer")).await;
    assert!(matches!(kept, Err(Error::BadParameter(_))), "a provider that issues nothing here");
    platform.delete_certificate_issuer(&context, caller, at, &name).await.expect("deleted");
    assert!(platform.delete_certificate_issuer(&context, caller, at, &name).await.is_err());
    for reserved in ["Self", "unknown", "", "a/b", "a b"] {
        assert!(vouchsafe_domain::vault::certificate::IssuerName::parse(reserved).is_err(), "{reserved}");
    }

    let none = platform.get_certificate_contacts(&context, caller, at).await;
    assert!(matches!(none, Err(Error::ContactsNotFound)));
    let contact = |email: &str| Contact { email: email.to_owned(), name: None, phone: None };
    for wrong in [Contacts(vec![]), Contacts(vec![contact("nobody")])] {
        assert!(platform.set_certificate_contacts(&context, caller, at, &wrong).await.is_err());
    }
    let contacts = Contacts(vec![contact("a@example.test"), contact("b@example.test")]);
    platform.set_certificate_contacts(&context, caller, at, &contacts).await.expect("contacts");
    assert_eq!(platform.get_certificate_contacts(&context, caller, at).await.expect("contacts").0, contacts);
    let (gone, _) = platform.delete_certificate_contacts(&context, caller, at).await.expect("deleted");
    assert_eq!(gone, contacts);
    assert!(platform.delete_certificate_contacts(&context, caller, at).await.is_err());
}

/// Nobody who asks has a token: asking must not cost a signature and an audit entry each time.
#[tokio::test]
async fn an_answer_is_signed_once_for_a_certificate_whatever_nonce_is_asked_with() {
    let house = with_authority(68).await;
    let made = house.make("web", by("ours")).await;
    let other = house.make("other", by("ours")).await;
    let (id, own) = authority_of(&house, &made).await;
    let serial = |version: &CertificateVersion| {
        ParsedCertificate::from_der(&version.chain[0]).expect("X.509").serial().to_vec()
    };
    let (one, two) = (serial(&made), serial(&other));
    let signed = || {
        let entries = house.memory.log.entries();
        entries.iter().filter(|(_, entry)| entry.reason.as_deref() == Some("ocsp")).count()
    };
    let first = ocsp(&house, id, &ocsp_request(&own, &one)).await;
    assert!(says(&first, 0));
    for nonce in 0..50_u8 {
        assert_eq!(ocsp(&house, id, &ocsp_request_with(&own, &[&one], Some(&[nonce; 16]))).await, first);
    }
    assert_eq!(signed(), 1);
    // Combinations would be without number.
    for serials in [[&one[..], &two[..]], [&two[..], &one[..]], [&one[..], &one[..]]] {
        let answer = ocsp(&house, id, &ocsp_request_with(&own, &serials, None)).await;
        assert_eq!(answer, OcspError::Unauthorized.to_der());
    }
    assert_eq!(signed(), 1);
    // An answer is not given until its end, so that whoever gets it can keep it for a while.
    house.forward(vouchsafe_domain::limits::OCSP_LIFETIME / 2);
    let next = ocsp(&house, id, &ocsp_request(&own, &one)).await;
    assert!(says(&next, 0) && next != first);
    assert_eq!(signed(), 2);
}
