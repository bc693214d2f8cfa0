//! Bytes that are almost right: nothing panics, and nothing that was cut or changed is taken for what it was.

use vouchsafe_crypto::keys::{KeySpec, SignatureAlgorithm};
use vouchsafe_crypto::pki::{
    ChainOrder, DistinguishedName, OcspRequest, ParsedCertificate, RevocationList, csr, parse_csr,
    parse_revocation_list, read_pem, read_pfx, revocation_list, self_signed, write_pem, write_pfx,
};
use vouchsafe_crypto::{Reason, SecretString};

use crate::bundles::{bundle, password};
use crate::support::{DAY, Key, OpenSsl, START, authority, profile};

/// Cuts `whole` at every place and appends a byte; `accepts` must refuse all of it.
fn cut(what: &str, whole: &[u8], accepts: impl Fn(&[u8]) -> bool) {
    assert!(accepts(whole), "{what} as it is");
    for length in 0..whole.len() {
        assert!(!accepts(&whole[..length]), "{what} with {length} bytes");
    }
    assert!(!accepts(&[whole, &[0]].concat()), "{what} with something after it");
}

/// Changes bits of every `step`th byte; returns how many of the changes were taken.
fn change(whole: &[u8], step: usize, accepts: impl Fn(&[u8]) -> bool) -> usize {
    let mut taken = 0;
    for place in (0..whole.len()).step_by(step) {
        for mask in [0x01, 0x80, 0xff] {
            let mut changed = whole.to_vec();
            changed[place] ^= mask;
            taken += usize::from(accepts(&changed));
        }
    }
    taken
}

#[test]
fn cut_and_changed_certificates_requests_and_lists_are_refused() {
    let key = Key::p256();
    let wanted = profile("a.contoso.com", &key);
    let certificate = key.finish(&self_signed(&wanted, SignatureAlgorithm::Es256).unwrap());
    cut("a certificate", &certificate, |der| ParsedCertificate::from_der(der).is_ok());
    let verified = |der: &[u8]| ParsedCertificate::from_der(der).is_ok_and(|read| read.is_signed_by(&read));
    assert_eq!(change(&certificate, 1, verified), 0, "a changed certificate verifies");

    let request = key.finish(&csr(&wanted, SignatureAlgorithm::Es256).unwrap());
    cut("a request", &request, |der| parse_csr(der).is_ok());
    assert_eq!(change(&request, 1, |der| parse_csr(der).is_ok()), 0, "a changed request verifies");

    let (root_key, root) = authority("Root");
    let list = RevocationList { number: 1, this_update: START, next_update: START + DAY, revoked: vec![] };
    let list = root_key.finish(&revocation_list(&list, &root, SignatureAlgorithm::Es256).unwrap());
    cut("a list", &list, |der| parse_revocation_list(der, &root).is_ok());
    let changed = change(&list, 1, |der| parse_revocation_list(der, &root).is_ok());
    assert_eq!(changed, 0, "a changed list verifies");
}

#[test]
fn cut_questions_are_refused() {
    let openssl = OpenSsl::new();
    let (_, root) = authority("Root");
    openssl.write_pem("root.pem", &[root.der()]);
    openssl.run("ocsp -issuer root.pem -cert root.pem -serial 1 -serial 2 -nonce -reqout request.der");
    let request = openssl.read("request.der");
    cut("a question", &request, |der| OcspRequest::from_der(der).is_ok());
    change(&request, 1, |der| OcspRequest::from_der(der).is_ok());
    assert!(OcspRequest::from_der(&vec![0x30; 16 * 1024 + 1]).is_err());
}

#[test]
fn cut_and_changed_files_with_keys_are_refused() {
    let made = bundle(KeySpec::P256);
    let file = write_pfx(&made, 0, &password("")).unwrap();
    let file = file.expose(Reason::Test);
    let opens = |file: &[u8]| read_pfx(file, &password(""), ChainOrder::LeafFirst).is_ok();
    cut("a PKCS#12 file", file, opens);
    // Everything is under the MAC but the framing around it.
    change(file, 11, opens);
    let text = write_pem(&made);
    let text = text.expose(Reason::Test);
    let reads = |text: &str| read_pem(&SecretString::new(text.to_owned()), ChainOrder::LeafFirst);
    for length in (0..text.len()).step_by(5) {
        // What is cut off between two blocks is still a file, perhaps with fewer certificates.
        let Ok(read) = reads(&text[..length]) else { continue };
        let whole_blocks = text[..length].matches("-----END CERTIFICATE-----").count();
        assert!(whole_blocks > 0 && read.chain.len() == whole_blocks);
    }
}

#[test]
fn arbitrary_bytes_and_text_are_no_names_and_no_files() {
    // A small generator, so that a failure can be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet: Vec<char> = r#"CN=O,+;"\# ab1.2é<>"#.chars().collect();
    for _ in 0..20_000 {
        let length = usize::try_from(next() % 24).unwrap();
        let text: String =
            (0..length).map(|_| alphabet[usize::try_from(next()).unwrap() % alphabet.len()]).collect();
        if let Ok(name) = DistinguishedName::parse(&text) {
            let printed = name.to_string();
            assert!(DistinguishedName::parse(&printed).is_ok_and(|again| again == name), "{text} {printed}");
        }
        let bytes: Vec<u8> = (0..length).map(|_| next().to_le_bytes()[0]).collect();
        assert!(ParsedCertificate::from_der(&bytes).is_err());
        assert!(read_pfx(&bytes, &password(""), ChainOrder::AsGiven).is_err());
    }
}
