//! The order of chains, and which of them hold.

use vouchsafe_crypto::keys::SignatureAlgorithm;
use vouchsafe_crypto::pki::chain::{ChainRefused, order, verify_issued, verify_path};
use vouchsafe_crypto::pki::{KeyUsage, ParsedCertificate, issue, self_signed};

use crate::support::{DAY, Key, NOW, START, authority, authority_profile, profile};

const ES256: SignatureAlgorithm = SignatureAlgorithm::Es256;
const SERVER: &str = "1.3.6.1.5.5.7.3.1";

/// Leaf, two authorities and a root, in this order.
fn chain(leaf_key: &Key) -> Vec<ParsedCertificate> {
    let (root_key, root) = authority("Root");
    let (one_key, one) = below("One", &root_key, &root);
    let (two_key, two) = below("Two", &one_key, &one);
    let leaf = issue(&profile("a.contoso.com", leaf_key), &two, ES256).unwrap();
    vec![read(&two_key, &leaf), two, one, root]
}

fn below(name: &str, issuer_key: &Key, issuer: &ParsedCertificate) -> (Key, ParsedCertificate) {
    let key = Key::p256();
    let made = issue(&authority_profile(name, &key), issuer, ES256).unwrap();
    (key, read(issuer_key, &made))
}

fn read(key: &Key, wanted: &vouchsafe_crypto::pki::ToBeSigned) -> ParsedCertificate {
    ParsedCertificate::from_der(&key.finish(wanted)).unwrap()
}

fn names(certificates: &[ParsedCertificate]) -> Vec<String> {
    certificates.iter().map(|one| one.subject().common_name().unwrap()).collect()
}

#[test]
fn a_chain_in_any_order_comes_out_leaf_first() {
    let key = Key::p256();
    let sorted = chain(&key);
    let (_, stranger) = authority("Stranger");
    for places in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
        let mut given: Vec<_> = places.map(|place| sorted[place].clone()).to_vec();
        given.insert(1, stranger.clone());
        let ordered = order(given, &key.spki()).unwrap();
        assert_eq!(names(&ordered), ["a.contoso.com", "Two", "One", "Root", "Stranger"]);
    }
    assert_eq!(order(sorted, &Key::p256().spki()).unwrap_err(), ChainRefused::KeyMismatch);
}

#[test]
fn an_issued_chain_is_taken_with_or_without_its_root() {
    let key = Key::p256();
    let mut given = chain(&key);
    given.reverse();
    while !given.is_empty() {
        let taken = verify_issued(given.clone(), &key.spki(), NOW).unwrap();
        assert_eq!(taken.len(), given.len());
        given.remove(0);
    }
}

#[test]
fn a_chain_that_does_not_hold_is_refused() {
    let key = Key::p256();
    let good = chain(&key);
    let refused = |given: Vec<ParsedCertificate>, at| verify_issued(given, &key.spki(), at).unwrap_err();
    let (_, stranger) = authority("Stranger");
    assert_eq!(refused([good.clone(), vec![stranger]].concat(), NOW), ChainRefused::Unrelated);
    assert_eq!(refused(good.clone(), START - 1), ChainRefused::NotYetValid);
    assert_eq!(refused(good.clone(), START + 366 * DAY), ChainRefused::Expired);
    assert_eq!(refused(good[1..].to_vec(), NOW), ChainRefused::KeyMismatch);
    assert_eq!(refused(vec![good[0].clone(); 33], NOW), ChainRefused::TooLong);
    // Without a link in the middle the rest hangs in the air.
    assert_eq!(refused(vec![good[0].clone(), good[2].clone()], NOW), ChainRefused::Unrelated);

    let mut changed = good[0].der().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let changed = ParsedCertificate::from_der(&changed).unwrap();
    assert_eq!(refused(vec![changed, good[1].clone()], NOW), ChainRefused::Signature);
    let mut changed = good[1].der().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let changed = ParsedCertificate::from_der(&changed).unwrap();
    let forged = vec![good[0].clone(), changed, good[2].clone()];
    assert!(matches!(refused(forged, NOW), ChainRefused::Signature | ChainRefused::UnknownIssuer));
}

#[test]
fn a_self_signed_certificate_is_its_own_chain() {
    let key = Key::p256();
    let own = read(&key, &self_signed(&profile("a.contoso.com", &key), ES256).unwrap());
    assert!(verify_issued(vec![own.clone()], &key.spki(), NOW).is_ok());
    let mut changed = own.der().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let changed = ParsedCertificate::from_der(&changed).unwrap();
    let refused = verify_issued(vec![changed], &key.spki(), NOW).unwrap_err();
    assert_eq!(refused, ChainRefused::Signature);
}

#[test]
fn an_issued_authority_is_taken_by_its_links() {
    let key = Key::p256();
    let (root_key, root) = authority("Root");
    let (one_key, one) = below("One", &root_key, &root);
    let leaf = read(&one_key, &issue(&authority_profile("Leaf", &key), &one, ES256).unwrap());
    let given = vec![root.clone(), one.clone(), leaf.clone()];
    assert_eq!(names(&verify_issued(given, &key.spki(), NOW).unwrap()), ["Leaf", "One", "Root"]);
    let mut changed = leaf.der().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let changed = ParsedCertificate::from_der(&changed).unwrap();
    let refused = verify_issued(vec![changed, one], &key.spki(), NOW).unwrap_err();
    assert_eq!(refused, ChainRefused::Signature);
}

#[test]
fn nobody_issues_who_is_no_authority() {
    // An authority and a leaf with the same name and key: what the first signed is shown with the second.
    let key = Key::p256();
    let (root_key, root) = authority("Root");
    let middle_key = Key::p256();
    let middle = read(&root_key, &issue(&authority_profile("Middle", &middle_key), &root, ES256).unwrap());
    let mut weak = profile("Middle", &middle_key);
    weak.key_usage.insert(KeyUsage::KeyCertSign);
    let weak = read(&root_key, &issue(&weak, &root, ES256).unwrap());
    let leaf = read(&middle_key, &issue(&profile("a.contoso.com", &key), &middle, ES256).unwrap());
    let good = [middle];
    assert_eq!(verify_path(&leaf, &good, std::slice::from_ref(&root), NOW, None), Ok(()));
    let refused = verify_path(&leaf, &[weak], std::slice::from_ref(&root), NOW, None).unwrap_err();
    assert_eq!(refused, ChainRefused::Constraint);
    let mut mute = authority_profile("Middle", &middle_key);
    mute.key_usage.remove(&KeyUsage::KeyCertSign);
    let mute = read(&root_key, &issue(&mute, &root, ES256).unwrap());
    let refused = verify_path(&leaf, &[mute], std::slice::from_ref(&root), NOW, None).unwrap_err();
    assert_eq!(refused, ChainRefused::UnknownIssuer);
    assert_eq!(verify_path(&leaf, &[], &[root], NOW, None), Err(ChainRefused::UnknownIssuer));
}

#[test]
fn a_purpose_must_be_named_where_any_is() {
    let key = Key::p256();
    let (root_key, root) = authority("Root");
    let roots = std::slice::from_ref(&root);
    for (purposes, server, code) in [
        (vec![], Ok(()), Ok(())),
        (vec![SERVER.to_owned()], Ok(()), Err(ChainRefused::Purpose)),
        (vec!["1.3.6.1.5.5.7.3.3".to_owned()], Err(ChainRefused::Purpose), Ok(())),
    ] {
        let mut wanted = profile("a.contoso.com", &key);
        wanted.purposes = purposes;
        let leaf = read(&root_key, &issue(&wanted, &root, ES256).unwrap());
        assert_eq!(verify_path(&leaf, &[], roots, NOW, Some(SERVER)), server);
        assert_eq!(verify_path(&leaf, &[], roots, NOW, Some("1.3.6.1.5.5.7.3.3")), code);
        assert_eq!(verify_path(&leaf, &[], roots, NOW, None), Ok(()));
    }
}

#[test]
fn paths_over_every_algorithm_hold() {
    for algorithm in crate::support::ALGORITHMS {
        let (root_key, key) = (Key::for_algorithm(algorithm), Key::p256());
        let root = read(&root_key, &self_signed(&authority_profile("Root", &root_key), algorithm).unwrap());
        let leaf = read(&root_key, &issue(&profile("a.contoso.com", &key), &root, algorithm).unwrap());
        assert_eq!(
            verify_path(&leaf, &[], std::slice::from_ref(&root), NOW, Some(SERVER)),
            Ok(()),
            "{algorithm:?}"
        );
        assert!(verify_issued(vec![root, leaf], &key.spki(), NOW).is_ok(), "{algorithm:?}");
    }
}
