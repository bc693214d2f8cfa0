//! What a private authority refuses to certify.

use std::collections::BTreeSet;

use vouchsafe_crypto::keys::SignatureAlgorithm;
use vouchsafe_crypto::pki::constraints::{AuthorityPolicy, NotAllowed};
use vouchsafe_crypto::pki::{
    AlternativeNames, BasicConstraints, CertificateProfile, DistinguishedName, KeyUsage, csr, issue,
    parse_csr,
};

use crate::support::{DAY, Key, OpenSsl, authority, profile};

fn policy() -> AuthorityPolicy {
    let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
    AuthorityPolicy {
        dns_suffixes: set(&["contoso.com", ".svc.cluster.local"]),
        wildcard_suffixes: BTreeSet::new(),
        networks: vec![("10.1.0.0".parse().unwrap(), 16), ("2001:db8::".parse().unwrap(), 32)],
        mail_domains: set(&["contoso.com"]),
        uri_prefixes: set(&["spiffe://contoso.com/", "https://contoso.com/exact"]),
        purposes: set(&["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]),
        lifetime_seconds_max: 365 * DAY,
    }
}

/// Checks a change to an allowed profile both as a profile and as a request.
fn check(policy: &AuthorityPolicy, change: impl FnOnce(&mut CertificateProfile)) -> Result<(), NotAllowed> {
    let key = Key::p256();
    let mut wanted = profile("a.contoso.com", &key);
    change(&mut wanted);
    let request = key.finish(&csr(&wanted, SignatureAlgorithm::Es256).unwrap());
    let by_request = policy.check_csr(&parse_csr(&request).unwrap());
    let by_profile = policy.check_profile(&wanted);
    assert_eq!(by_request, by_profile);
    by_profile
}

#[test]
fn names_inside_are_certified_and_all_others_are_not() {
    let policy = policy();
    let dns = |name: &str| check(&policy, |wanted| wanted.alternative_names.dns = vec![name.to_owned()]);
    for name in ["contoso.com", "a.b.contoso.com", "A.CONTOSO.COM", "x.svc.cluster.local"] {
        assert_eq!(dns(name), Ok(()), "{name}");
    }
    for name in
        ["contoso.com.evil.com", "evilcontoso.com", "com", "evil.com", "*.contoso.com", "cluster.local"]
    {
        assert_eq!(dns(name), Err(NotAllowed::Name(name.to_owned())), "{name}");
    }
    let subject =
        |text: &str| check(&policy, |wanted| wanted.subject = DistinguishedName::parse(text).unwrap());
    for text in [
        "CN=billing",
        "CN=Billing Team",
        "CN=b.contoso.com, O=Anything",
        "CN=10.1.2.3",
        "E=a@contoso.com",
        "",
    ] {
        assert_eq!(subject(text), Ok(()), "{text}");
    }
    for text in [
        "CN=evil.com",
        "CN=a.contoso.com, CN=evil.com",
        "CN=10.2.0.1",
        "CN=*.contoso.com",
        "CN=2001:db9::1",
        "CN=a@evil.com",
        "E=a@evil.com",
        r"CN=evil.com\00.contoso.com",
        "CN=*",
    ] {
        assert!(matches!(subject(text), Err(NotAllowed::Name(_))), "{text}");
    }
    // A BMPString hides what it says.
    assert_eq!(subject("CN=#1e0400650076"), Err(NotAllowed::NameKind));
    let with = |names: AlternativeNames| check(&policy, |wanted| wanted.alternative_names = names);
    let mail =
        |text: &str| with(AlternativeNames { emails: vec![text.to_owned()], ..AlternativeNames::default() });
    let upn =
        |text: &str| with(AlternativeNames { upns: vec![text.to_owned()], ..AlternativeNames::default() });
    let uri =
        |text: &str| with(AlternativeNames { uris: vec![text.to_owned()], ..AlternativeNames::default() });
    let ip = |text: &str| {
        with(AlternativeNames { addresses: vec![text.parse().unwrap()], ..AlternativeNames::default() })
    };
    for (allowed, refused) in [
        (mail("a@contoso.com"), mail("a@evil.com")),
        (mail("a@Contoso.com"), mail("a@b.contoso.com")),
        (upn("ü@contoso.com"), upn("a@evil.com@contoso.com")),
        (uri("spiffe://contoso.com/a/b"), uri("spiffe://contoso.com.evil.com/a")),
        (uri("https://contoso.com/exact"), uri("https://contoso.com/exactly")),
        (uri("spiffe://contoso.com/x"), uri("spiffe://contoso.com/../x")),
        (ip("10.1.255.255"), ip("10.2.0.0")),
        (ip("2001:db8:ffff::1"), ip("2001:db9::1")),
        (ip("10.1.0.0"), ip("::ffff:10.1.0.0")),
    ] {
        assert_eq!(allowed, Ok(()));
        assert!(matches!(refused, Err(NotAllowed::Name(_))), "{refused:?}");
    }
}

#[test]
fn wildcards_are_a_choice_for_each_domain() {
    let wildcard_suffixes = ["dev.contoso.com".to_owned(), "other.test".to_owned()].into();
    let policy = AuthorityPolicy { wildcard_suffixes, ..policy() };
    let dns = |name: &str| check(&policy, |wanted| wanted.alternative_names.dns = vec![name.to_owned()]);
    for name in ["*.dev.contoso.com", "*.A.DEV.contoso.com", "*.other.test", "x.contoso.com"] {
        assert_eq!(dns(name), Ok(()), "{name}");
    }
    for name in ["*.com", "*.contoso.com", "*.prod.contoso.com", "*.notdev.contoso.com", "x.other.test"] {
        assert_eq!(dns(name), Err(NotAllowed::Name(name.to_owned())), "{name}");
    }
}

#[test]
fn an_authority_is_never_certified() {
    let policy = policy();
    for constraints in [(true, None), (true, Some(0))] {
        let constraints = BasicConstraints { is_authority: constraints.0, path_length: constraints.1 };
        let refused = check(&policy, |wanted| wanted.basic_constraints = Some(constraints));
        assert_eq!(refused, Err(NotAllowed::Authority));
    }
    for usage in [KeyUsage::KeyCertSign, KeyUsage::CrlSign] {
        let refused = check(&policy, |wanted| {
            wanted.key_usage.insert(usage);
        });
        assert_eq!(refused, Err(NotAllowed::Authority));
    }
}

#[test]
fn purposes_and_lifetimes_are_bounded() {
    let policy = policy();
    let signing = "1.3.6.1.5.5.7.3.3".to_owned();
    let refused = check(&policy, |wanted| wanted.purposes.push(signing.clone()));
    assert_eq!(refused, Err(NotAllowed::Purpose(signing)));
    // No purpose is every purpose.
    assert_eq!(check(&policy, |wanted| wanted.purposes.clear()), Err(NotAllowed::NoPurpose));
    let for_nothing = AuthorityPolicy { purposes: BTreeSet::new(), ..self::policy() };
    assert_eq!(check(&for_nothing, |wanted| wanted.purposes.clear()), Ok(()));
    let mut long = profile("a.contoso.com", &Key::p256());
    assert_eq!(policy.check_profile(&long), Ok(()));
    long.validity.not_after += 1;
    assert_eq!(policy.check_profile(&long), Err(NotAllowed::Lifetime(365 * DAY)));
    assert!(AuthorityPolicy::default().check_profile(&profile("a.contoso.com", &Key::p256())).is_err());
}

#[test]
fn the_key_must_be_one_of_ours() {
    let policy = policy();
    let mut wanted = profile("a.contoso.com", &Key::p256());
    let last = wanted.public_key.len() - 1;
    wanted.public_key[last] ^= 1;
    assert_eq!(policy.check_profile(&wanted), Err(NotAllowed::Key));
    let openssl = OpenSsl::new();
    openssl
        .run("req -new -newkey rsa:1024 -nodes -keyout key.pem -subj /CN=billing -outform DER -out weak.der");
    // A signature by such a key is not even looked at.
    assert!(parse_csr(&openssl.read("weak.der")).is_err());
}

#[test]
fn a_request_with_something_critical_that_is_unknown_is_refused() {
    let openssl = OpenSsl::new();
    for (line, refused) in [
        ("1.2.3.4 = critical,ASN1:UTF8String:x", Some(NotAllowed::CriticalExtension("1.2.3.4".to_owned()))),
        ("1.2.3.4 = ASN1:UTF8String:x", None),
        ("basicConstraints = critical,CA:TRUE", Some(NotAllowed::Authority)),
        ("subjectAltName = DNS:evil.com", Some(NotAllowed::Name("evil.com".to_owned()))),
        ("subjectAltName = RID:1.2.3.4", Some(NotAllowed::NameKind)),
        ("subjectAltName = IP:192.0.2.1", Some(NotAllowed::Name("192.0.2.1".to_owned()))),
        (
            "nameConstraints = critical,permitted;DNS:x",
            Some(NotAllowed::CriticalExtension("2.5.29.30".to_owned())),
        ),
    ] {
        let text = format!("[req]\ndistinguished_name = dn\nreq_extensions = v3\n[dn]\n[v3]\n{line}\n");
        openssl.write("req.conf", text.as_bytes());
        openssl.run(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -subj /CN=billing \
             -config req.conf -outform DER -out made.der",
        );
        let request = parse_csr(&openssl.read("made.der")).unwrap();
        // These requests name no purposes.
        let policy = AuthorityPolicy { purposes: BTreeSet::new(), ..policy() };
        assert_eq!(policy.check_csr(&request).err(), refused, "{line}");
    }
}

#[test]
fn a_finished_certificate_is_held_to_the_same_rule() {
    let (root_key, root) = authority("Root");
    let key = Key::p256();
    for (name, allowed) in [("a.contoso.com", true), ("evil.com", false)] {
        let made = root_key.finish(&issue(&profile(name, &key), &root, SignatureAlgorithm::Es256).unwrap());
        let made = vouchsafe_crypto::pki::ParsedCertificate::from_der(&made).unwrap();
        assert_eq!(policy().check_certificate(&made).is_ok(), allowed);
    }
    assert_eq!(policy().check_certificate(&root), Err(NotAllowed::Authority));
}
