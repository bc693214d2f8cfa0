//! Revocation lists and OCSP.

use vouchsafe_crypto::keys::SignatureAlgorithm;
use vouchsafe_crypto::pki::{
    BuildRefused, OcspError, OcspRequest, OcspStatus, OcspTimes, ParsedCertificate, ReadRefused,
    RevocationList, RevocationReason, Revoked, Serial, issue, ocsp_response, parse_revocation_list,
    revocation_list, self_signed,
};

use crate::support::{DAY, Key, NOW, OpenSsl, START, authority, authority_profile, profile};

/// An authority, a certificate of it, and both as files.
struct World {
    openssl: OpenSsl,
    root_key: Key,
    root: ParsedCertificate,
    leaf: ParsedCertificate,
}

fn world() -> World {
    let (root_key, root) = authority("Root");
    let key = Key::p256();
    let leaf = issue(&profile("a.contoso.com", &key), &root, SignatureAlgorithm::Es256).unwrap();
    let leaf = ParsedCertificate::from_der(&root_key.finish(&leaf)).unwrap();
    let openssl = OpenSsl::new();
    openssl.write_pem("root.pem", &[root.der()]);
    openssl.write_pem("leaf.pem", &[leaf.der()]);
    World { openssl, root_key, root, leaf }
}

fn serial_of(certificate: &ParsedCertificate) -> Serial {
    Serial::from_bytes(certificate.serial()).unwrap()
}

fn list(revoked: Vec<Revoked>) -> RevocationList {
    RevocationList { number: 258, this_update: START, next_update: START + 30 * DAY, revoked }
}

#[test]
fn openssl_takes_a_revocation_list_and_refuses_what_is_on_it() {
    let World { openssl, root_key, root, leaf } = world();
    let check = format!("verify -crl_check -attime {NOW} -CAfile root.pem -CRLfile list.pem leaf.pem");
    let since = START + DAY;
    let other =
        Revoked { serial: Serial::from_random([7; 16]), since, reason: RevocationReason::Unspecified };
    let on = Revoked { serial: serial_of(&leaf), since, reason: RevocationReason::KeyCompromise };
    for (entries, revoked) in [(vec![], false), (vec![other.clone()], false), (vec![other, on], true)] {
        let wanted = list(entries.clone());
        let made = root_key.finish(&revocation_list(&wanted, &root, SignatureAlgorithm::Es256).unwrap());
        openssl.write("list.der", &made);
        openssl.run("crl -inform DER -in list.der -out list.pem");
        let said = openssl.run("crl -in list.pem -noout -verify -CAfile root.pem -text");
        assert!(said.contains("verify OK") && said.contains("X509v3 CRL Number"), "{said}");
        assert_eq!(said.contains("Key Compromise"), revoked, "{said}");
        let output = openssl.try_run(&check);
        let said = crate::support::text(&output);
        assert_eq!(output.status.success(), !revoked, "{said}");
        assert_eq!(said.contains("certificate revoked"), revoked, "{said}");
        let read = parse_revocation_list(&made, &root).unwrap();
        assert_eq!((read.number, read.this_update, read.next_update), (258, START, START + 30 * DAY));
        assert_eq!(read.revoked, entries);
    }
}

#[test]
fn a_revocation_list_is_only_read_from_its_issuer() {
    let World { root_key, root, leaf, .. } = world();
    let made = root_key.finish(&revocation_list(&list(vec![]), &root, SignatureAlgorithm::Es256).unwrap());
    let (_, other) = authority("Root");
    for wrong in [&other, &leaf] {
        let refused = parse_revocation_list(&made, wrong).unwrap_err();
        assert_eq!(refused, ReadRefused::Signature("the revocation list"));
    }
    let by_leaf = revocation_list(&list(vec![]), &leaf, SignatureAlgorithm::Es256).unwrap_err();
    assert_eq!(by_leaf, BuildRefused::Issuer("may not sign revocation lists"));
    let mut backwards = list(vec![]);
    backwards.next_update = backwards.this_update;
    let refused = revocation_list(&backwards, &root, SignatureAlgorithm::Es256).unwrap_err();
    assert_eq!(refused, BuildRefused::BadValidity);
}

#[test]
fn a_revocation_list_may_have_thousands_of_entries() {
    let World { openssl, root_key, root, .. } = world();
    let entry = |number: u32| Revoked {
        serial: Serial::from_bytes(&(number + 1).to_be_bytes()).unwrap(),
        since: START,
        reason: RevocationReason::Superseded,
    };
    let wanted = list((0..5_000).map(entry).collect());
    let made = root_key.finish(&revocation_list(&wanted, &root, SignatureAlgorithm::Es256).unwrap());
    openssl.write("list.der", &made);
    openssl.run("crl -inform DER -in list.der -noout -verify -CAfile root.pem");
    assert_eq!(parse_revocation_list(&made, &root).unwrap().revoked, wanted.revoked);
    let too_many = list((0..100_001).map(entry).collect());
    let refused = revocation_list(&too_many, &root, SignatureAlgorithm::Es256).unwrap_err();
    assert_eq!(refused, BuildRefused::TooManyNames);
}

/// This update long ago and the next one long from now: `openssl ocsp` looks at the real clock for these.
const TIMES: OcspTimes =
    OcspTimes { produced_at: START, this_update: 1_577_836_800, next_update: 4_102_444_800 };

#[test]
fn openssl_takes_our_answers_to_its_questions() {
    let World { openssl, root_key, root, leaf } = world();
    let revoked = OcspStatus::Revoked { since: START, reason: RevocationReason::CessationOfOperation };
    for hash in ["sha1", "sha256"] {
        for nonce in ["nonce", "no_nonce"] {
            for (status, shown) in
                [(OcspStatus::Good, "good"), (revoked, "revoked"), (OcspStatus::Unknown, "unknown")]
            {
                openssl.run(&format!(
                    "ocsp -{hash} -issuer root.pem -cert leaf.pem -{nonce} -reqout request.der"
                ));
                let request = OcspRequest::from_der(&openssl.read("request.der")).unwrap();
                let [question] = request.questions() else { panic!("one question") };
                assert!(question.is_of(&root) && !question.is_of(&leaf));
                assert_eq!(question.serial(), serial_of(&leaf).as_bytes());
                let answer =
                    ocsp_response(&request, &root, TIMES, SignatureAlgorithm::Es256, |_| status).unwrap();
                openssl.write("answer.der", &root_key.finish(&answer));
                let said = openssl.run(&format!(
                    "ocsp -no_nonce -reqin request.der -respin answer.der -{hash} -issuer root.pem -cert leaf.pem \
                     -CAfile root.pem -attime {NOW}"
                ));
                assert!(said.contains("Response verify OK"), "{said}");
                assert!(said.contains(&format!("leaf.pem: {shown}")), "{said}");
                assert!(!said.to_lowercase().contains("nonce"), "{nonce}: {said}");
            }
        }
    }
}

#[test]
fn another_authoritys_certificates_are_unknown() {
    let World { openssl, root_key, root, .. } = world();
    let (_, other) = authority("Other");
    openssl.write_pem("other.pem", &[other.der()]);
    openssl.run("ocsp -issuer other.pem -cert leaf.pem -no_nonce -reqout request.der");
    let request = OcspRequest::from_der(&openssl.read("request.der")).unwrap();
    let answer =
        ocsp_response(&request, &root, TIMES, SignatureAlgorithm::Es256, |_| OcspStatus::Good).unwrap();
    openssl.write("answer.der", &root_key.finish(&answer));
    let said = openssl.run(&format!(
        "ocsp -respin answer.der -noverify -issuer other.pem -cert leaf.pem -CAfile root.pem -attime {NOW}"
    ));
    assert!(said.contains("leaf.pem: unknown"), "{said}");
}

#[test]
fn an_answer_without_an_answer_is_understood() {
    let openssl = OpenSsl::new();
    for (error, shown) in [
        (OcspError::MalformedRequest, "malformedrequest (1)"),
        (OcspError::InternalError, "internalerror (2)"),
        (OcspError::TryLater, "trylater (3)"),
        (OcspError::Unauthorized, "unauthorized (6)"),
    ] {
        openssl.write("answer.der", &error.to_der());
        let said = crate::support::text(&openssl.try_run("ocsp -respin answer.der -resp_text -noverify"));
        assert!(said.contains(shown), "{said}");
    }
}

#[test]
fn an_rsa_authority_answers_too() {
    let key = Key::for_algorithm(SignatureAlgorithm::Ps256);
    let root = self_signed(&authority_profile("Root", &key), SignatureAlgorithm::Ps256).unwrap();
    let root = ParsedCertificate::from_der(&key.finish(&root)).unwrap();
    let openssl = OpenSsl::new();
    openssl.write_pem("root.pem", &[root.der()]);
    openssl.run("ocsp -issuer root.pem -serial 4660 -reqout request.der");
    let request = OcspRequest::from_der(&openssl.read("request.der")).unwrap();
    let answer = ocsp_response(&request, &root, TIMES, SignatureAlgorithm::Ps256, |id| {
        assert_eq!(id.serial(), [0x12, 0x34]);
        OcspStatus::Good
    });
    openssl.write("answer.der", &key.finish(&answer.unwrap()));
    let said = openssl.run(&format!(
        "ocsp -no_nonce -reqin request.der -respin answer.der -issuer root.pem -serial 4660 -CAfile root.pem -attime {NOW}"
    ));
    assert!(said.contains("Response verify OK") && said.contains("4660: good"), "{said}");
}
