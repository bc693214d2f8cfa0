//! Certificates and requests.

use std::net::IpAddr;

use vouchsafe_crypto::keys::SignatureAlgorithm;
use vouchsafe_crypto::pki::{
    AlternativeNames, BuildRefused, DistinguishedName, KeyUsage, ParsedCertificate, ReadRefused, Validity,
    csr, issue, parse_csr, self_signed,
};

use crate::support::{ALGORITHMS, DAY, Key, NOW, OpenSsl, START, authority, authority_profile, profile};

#[test]
fn openssl_accepts_self_signed_certificates_of_every_algorithm() {
    let openssl = OpenSsl::new();
    for algorithm in ALGORITHMS {
        let key = Key::for_algorithm(algorithm);
        let wanted = self_signed(&profile("a.contoso.com", &key), algorithm).unwrap();
        let made = key.finish(&wanted);
        openssl.write_pem("made.pem", &[&made]);
        let said = openssl.run(&format!("verify -check_ss_sig -attime {NOW} -CAfile made.pem made.pem"));
        assert!(said.contains("made.pem: OK"), "{algorithm:?}: {said}");
        let read = ParsedCertificate::from_der(&made).unwrap();
        assert!(read.is_self_issued() && read.is_signed_by(&read), "{algorithm:?}");
        assert_eq!(read.spki_der(), key.spki());
    }
}

#[test]
fn openssl_accepts_requests_of_every_algorithm_and_so_do_we() {
    let openssl = OpenSsl::new();
    for algorithm in ALGORITHMS {
        let key = Key::for_algorithm(algorithm);
        let made = key.finish(&csr(&profile("a.contoso.com", &key), algorithm).unwrap());
        openssl.write("made.der", &made);
        let said = openssl.run("req -verify -noout -text -inform DER -in made.der");
        assert!(said.contains("verify OK"), "{algorithm:?}: {said}");
        for shown in ["DNS:a.contoso.com", "TLS Web Server Authentication", "Digital Signature"] {
            assert!(said.contains(shown), "{shown} in {said}");
        }
        let read = parse_csr(&made).unwrap();
        assert_eq!(read.spki_der(), key.spki());
        assert_eq!(read.alternative_names().dns, ["a.contoso.com"]);
        assert_eq!(read.subject().to_string(), "CN=a.contoso.com, O=Contoso, C=US");
    }
}

#[test]
fn a_request_that_was_changed_or_signed_by_another_key_is_refused() {
    let (key, other) = (Key::p256(), Key::p256());
    let wanted = csr(&profile("a.contoso.com", &key), SignatureAlgorithm::Es256).unwrap();
    assert_eq!(wanted.assemble(&other.sign(&wanted)).unwrap_err(), BuildRefused::Signature);
    let made = key.finish(&wanted);
    let place = made.windows(9).position(|part| part == b"a.contoso").unwrap();
    let mut changed = made.clone();
    changed[place] = b'b';
    assert_eq!(parse_csr(&changed).unwrap_err(), ReadRefused::Signature("the certificate request"));
}

#[test]
fn openssl_verifies_a_path_of_three_in_which_algorithms_differ() {
    let openssl = OpenSsl::new();
    let root_key = Key::for_algorithm(SignatureAlgorithm::Ps256);
    let root = self_signed(&authority_profile("Root", &root_key), SignatureAlgorithm::Ps256).unwrap();
    let root = ParsedCertificate::from_der(&root_key.finish(&root)).unwrap();
    for algorithm in [SignatureAlgorithm::Es512, SignatureAlgorithm::Es256k] {
        let middle_key = Key::for_algorithm(algorithm);
        let middle =
            issue(&authority_profile("Middle", &middle_key), &root, SignatureAlgorithm::Ps384).unwrap();
        let middle = ParsedCertificate::from_der(&root_key.finish(&middle)).unwrap();
        let leaf_key = Key::p256();
        let mut wanted = profile("leaf.contoso.com", &leaf_key);
        wanted.ocsp_url = Some("http://ca.contoso.com/ocsp".to_owned());
        wanted.issuer_url = Some("http://ca.contoso.com/ca.crt".to_owned());
        wanted.revocation_list_url = Some("http://ca.contoso.com/ca.crl".to_owned());
        let leaf = middle_key.finish(&issue(&wanted, &middle, algorithm).unwrap());
        openssl.write_pem("root.pem", &[root.der()]);
        openssl.write_pem("middle.pem", &[middle.der()]);
        openssl.write_pem("leaf.pem", &[&leaf]);
        openssl.run(&format!(
            "verify -x509_strict -purpose sslserver -attime {NOW} -CAfile root.pem -untrusted middle.pem leaf.pem"
        ));
        let shown = openssl.run("x509 -noout -text -in leaf.pem");
        for line in ["URI:http://ca.contoso.com/ca.crl", "OCSP - URI:http://ca.contoso.com/ocsp", "CA:FALSE"]
        {
            assert!(shown.contains(line), "{line} in {shown}");
        }
        let leaf = ParsedCertificate::from_der(&leaf).unwrap();
        assert!(leaf.is_signed_by(&middle) && !leaf.is_signed_by(&root));
        assert_eq!(leaf.authority_key_identifier(), middle.subject_key_identifier());
        assert_eq!(leaf.ocsp_urls(), ["http://ca.contoso.com/ocsp"]);
        assert_eq!(leaf.revocation_list_urls(), ["http://ca.contoso.com/ca.crl"]);
        assert!(!leaf.is_authority() && middle.is_authority());
    }
}

#[test]
fn every_kind_of_alternative_name_and_key_usage_comes_back() {
    let key = Key::p256();
    let mut wanted = profile("a.contoso.com", &key);
    wanted.alternative_names = AlternativeNames {
        dns: vec!["a.contoso.com".to_owned(), "*.b.contoso.com".to_owned()],
        emails: vec!["ops@contoso.com".to_owned()],
        upns: vec!["jürgen@contoso.com".to_owned()],
        uris: vec!["spiffe://contoso.com/a".to_owned()],
        addresses: ["192.0.2.7", "2001:db8::7"].map(|text| text.parse::<IpAddr>().unwrap()).to_vec(),
        others: 0,
    };
    wanted.key_usage = KeyUsage::all().collect();
    let made = key.finish(&self_signed(&wanted, SignatureAlgorithm::Es256).unwrap());
    let read = ParsedCertificate::from_der(&made).unwrap();
    assert_eq!(*read.alternative_names(), wanted.alternative_names);
    assert_eq!(read.key_usage(), Some(&wanted.key_usage));
    assert_eq!(read.purposes(), wanted.purposes);
    assert_eq!(read.validity(), wanted.validity);
    assert_eq!(read.serial(), wanted.serial.as_bytes());
    let openssl = OpenSsl::new();
    openssl.write_pem("made.pem", &[&made]);
    let shown = openssl.run("x509 -noout -text -in made.pem");
    for part in [
        "DNS:*.b.contoso.com",
        "email:ops@contoso.com",
        "UPN::j",
        "URI:spiffe://contoso.com/a",
        "IP Address:192.0.2.7",
        "IP Address:2001:DB8:0:0:0:0:0:7",
        "Decipher Only",
        "CRL Sign",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn names_are_read_as_rfc_4514_and_azure_write_them() {
    let good = [
        ("CN=contoso.com", "CN=contoso.com"),
        ("CN=contoso.com, O=Contoso ,C=US", "CN=contoso.com, O=Contoso, C=US"),
        ("cn=a;ou=b", "CN=a, OU=b"),
        (r#"O="Contoso, Ltd.", C=US"#, r"O=Contoso\, Ltd., C=US"),
        (r#"CN="say ""hi""""#, r#"CN=say \"hi\""#),
        (
            r"CN=James \22Jim\22 Smith\, III,DC=example,DC=net",
            r#"CN=James \"Jim\" Smith\, III, DC=example, DC=net"#,
        ),
        (r"CN=ends in a backslash\\,O=x", r"CN=ends in a backslash\\, O=x"),
        (r"CN=\ spaces kept\ ", r"CN=\ spaces kept\ "),
        (r"CN=Lu\C4\8Di\C4\87", "CN=Lučić"),
        ("OU=Sales+CN=J.  Smith,DC=example", "OU=Sales+CN=J.  Smith, DC=example"),
        ("1.3.6.1.4.1.1466.0=#04024869", "1.3.6.1.4.1.1466.0=#04024869"),
        ("2.5.4.3=by number", "CN=by number"),
        ("CN=https://a/b=c", "CN=https://a/b=c"),
        ("E=ops@contoso.com,S=Washington", "E=ops@contoso.com, ST=Washington"),
        ("", ""),
    ];
    for (text, printed) in good {
        let name = DistinguishedName::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(name.to_string(), printed, "{text}");
        assert!(DistinguishedName::parse(printed).unwrap() == name, "{printed} is another name");
    }
    let long = format!("CN={}", "x".repeat(65));
    let many = ["CN=x"; 33].join(",");
    for text in [
        "contoso.com",
        "=a",
        "CN=",
        "CN=a,",
        ",CN=a",
        "CN=a,,O=b",
        "CN=\"a",
        "CN=\"a\"b",
        r"CN=a\",
        r"CN=a\zz",
        "XX=a",
        "C=USA",
        "C=\u{e9}s",
        "E=jürgen@contoso.com",
        r"CN=\ff",
        "CN=#0",
        "CN=#zz",
        "CN=a<b",
        &long,
        &many,
    ] {
        assert!(DistinguishedName::parse(text).is_err(), "{text}");
    }
    let openssl = OpenSsl::new();
    let key = Key::p256();
    let mut wanted = profile("x", &key);
    wanted.subject = DistinguishedName::parse(r#"CN=a, OU=Sales+OU=East, O="Contoso, Ltd.", C=US"#).unwrap();
    openssl.write_pem("made.pem", &[&key.finish(&self_signed(&wanted, SignatureAlgorithm::Es256).unwrap())]);
    let said = openssl.run("x509 -noout -subject -nameopt RFC2253 -in made.pem");
    assert_eq!(said.trim(), r"subject=CN=a,OU=Sales+OU=East,O=Contoso\, Ltd.,C=US");
}

#[test]
fn what_cannot_be_a_certificate_is_refused() {
    let (root_key, root) = authority("Root");
    let key = Key::p256();
    let base = profile("a.contoso.com", &key);
    let refused = |change: &dyn Fn(&mut vouchsafe_crypto::pki::CertificateProfile)| {
        let mut wanted = base.clone();
        change(&mut wanted);
        issue(&wanted, &root, SignatureAlgorithm::Es256).unwrap_err()
    };
    for host in ["", "a b", "a..b", "-a", "*", "a.*.b", "*.*.b", "a/b", "jürgen.de", &"x.".repeat(130)] {
        let error = refused(&|wanted| wanted.alternative_names.dns = vec![host.to_owned()]);
        assert_eq!(error, BuildRefused::BadAlternativeName(host.to_owned()));
    }
    for mail in ["", "a", "@b", "a@", "a b@c", "ü@c"] {
        let error = refused(&|wanted| wanted.alternative_names.emails = vec![mail.to_owned()]);
        assert_eq!(error, BuildRefused::BadAlternativeName(mail.to_owned()));
    }
    let many = vec!["a.contoso.com".to_owned(); 101];
    assert_eq!(refused(&|wanted| wanted.alternative_names.dns = many.clone()), BuildRefused::TooManyNames);
    assert_eq!(
        refused(&|wanted| wanted.purposes = vec!["tls".to_owned()]),
        BuildRefused::BadPurpose("tls".to_owned())
    );
    let ftp = || Some("ftp://x".to_owned());
    assert_eq!(refused(&|wanted| wanted.ocsp_url = ftp()), BuildRefused::BadUrl("ftp://x".to_owned()));
    assert_eq!(refused(&|wanted| wanted.public_key = vec![0x30, 0]), BuildRefused::BadPublicKey);
    let backwards = Validity { not_before: NOW, not_after: NOW - 1 };
    assert_eq!(refused(&|wanted| wanted.validity = backwards), BuildRefused::BadValidity);
    let nameless = refused(&|wanted| {
        wanted.subject = DistinguishedName::default();
        wanted.alternative_names = AlternativeNames::default();
    });
    assert_eq!(nameless, BuildRefused::Nameless);
    let outlives = Validity { not_before: START, not_after: START + 366 * DAY };
    assert!(matches!(refused(&|wanted| wanted.validity = outlives), BuildRefused::Issuer(_)));
    assert!(matches!(refused(&|wanted| wanted.validity.not_before = START - 1), BuildRefused::Issuer(_)));

    let leaf = root_key.finish(&issue(&base, &root, SignatureAlgorithm::Es256).unwrap());
    let leaf = ParsedCertificate::from_der(&leaf).unwrap();
    let from_leaf = issue(&base, &leaf, SignatureAlgorithm::Es256).unwrap_err();
    assert_eq!(from_leaf, BuildRefused::Issuer("is not an authority"));
    for algorithm in [SignatureAlgorithm::Rs256, SignatureAlgorithm::Es384, SignatureAlgorithm::Es256k] {
        assert_eq!(issue(&base, &root, algorithm).unwrap_err(), BuildRefused::Algorithm);
    }
    let mut last = authority_profile("Last", &root_key);
    last.basic_constraints.as_mut().unwrap().path_length = Some(0);
    let last = root_key.finish(&self_signed(&last, SignatureAlgorithm::Es256).unwrap());
    let last = ParsedCertificate::from_der(&last).unwrap();
    assert!(issue(&base, &last, SignatureAlgorithm::Es256).is_ok());
    let below = issue(&authority_profile("Below", &key), &last, SignatureAlgorithm::Es256).unwrap_err();
    assert_eq!(below, BuildRefused::Issuer("may not have authorities below it"));
}

#[test]
fn dates_after_2049_have_four_digits_and_are_read_back() {
    let key = Key::p256();
    let mut wanted = profile("a.contoso.com", &key);
    for not_after in [2_524_607_999, 2_524_608_000, 253_402_300_799] {
        wanted.validity.not_after = not_after;
        let made = key.finish(&self_signed(&wanted, SignatureAlgorithm::Es256).unwrap());
        assert_eq!(ParsedCertificate::from_der(&made).unwrap().validity().not_after, not_after);
        let openssl = OpenSsl::new();
        openssl.write_pem("made.pem", &[&made]);
        openssl.run(&format!("verify -x509_strict -attime {NOW} -CAfile made.pem made.pem"));
    }
    wanted.validity.not_after = 253_402_300_800;
    assert_eq!(self_signed(&wanted, SignatureAlgorithm::Es256).unwrap_err(), BuildRefused::BadValidity);
}

#[test]
fn a_subject_without_a_name_has_critical_alternative_names() {
    let key = Key::p256();
    let mut wanted = profile("a.contoso.com", &key);
    wanted.subject = DistinguishedName::default();
    let openssl = OpenSsl::new();
    openssl.write_pem("made.pem", &[&key.finish(&self_signed(&wanted, SignatureAlgorithm::Es256).unwrap())]);
    let shown = openssl.run("x509 -noout -text -in made.pem");
    assert!(shown.contains("Subject Alternative Name: critical"), "{shown}");
}
