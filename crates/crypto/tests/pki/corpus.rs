//! Files by other people: NIST's Public Key Interoperability Test Suite and the collection of `cryptography`, both in the
//! Python package `cryptography_vectors`.
//!
//! The suite says in each name whether the path is valid. Where we say something else, the test is in
//! `pkits_divergences.txt` with the reason; a divergence that is not listed fails, and so does a listed one that is gone.
//! Tests whose result depends on the initial policy set have neither word in their name and are only read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vouchsafe_crypto::keys::PrivateKey;
use vouchsafe_crypto::pki::chain::verify_path;
use vouchsafe_crypto::pki::{
    ChainOrder, OcspRequest, ParsedCertificate, parse_csr, parse_revocation_list, read_certificates_pem,
    read_pfx,
};

use crate::bundles::password;
use crate::support::vectors;

/// 2015-01-01, when all certificates of the suite are valid that are meant to be.
const MOMENT: u64 = 1_420_070_400;
const DIVERGENCES: &str = include_str!("pkits_divergences.txt");

fn files(directory: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|ending| endings.iter().any(|one| ending == *one)))
        .collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn folded(certificate_name: &vouchsafe_crypto::pki::DistinguishedName) -> String {
    certificate_name.to_string().to_lowercase().split_whitespace().collect()
}

/// The certificates that stand between a leaf and the anchor, by name.
fn between(leaf: &ParsedCertificate, all: &[ParsedCertificate]) -> Vec<ParsedCertificate> {
    let mut found: Vec<ParsedCertificate> = Vec::new();
    let mut wanted = vec![folded(leaf.issuer())];
    while let Some(subject) = wanted.pop() {
        for one in all.iter().filter(|one| folded(one.subject()) == subject) {
            if !found.iter().any(|known| known.der() == one.der()) {
                wanted.push(folded(one.issuer()));
                found.push(one.clone());
            }
        }
    }
    found
}

#[test]
fn the_public_test_suite_has_the_results_it_should_or_a_reason() {
    let Some(vectors) = vectors() else { return };
    let mut all = Vec::new();
    let mut leaves = BTreeMap::new();
    let mut unread = BTreeMap::new();
    for path in files(&vectors.join("x509/PKITS_data/certs"), &["crt"]) {
        match ParsedCertificate::from_der(&std::fs::read(&path).unwrap()) {
            Ok(read) if path.to_string_lossy().ends_with("EE.crt") => {
                drop(leaves.insert(name(&path), Ok(read)))
            }
            Ok(read) => all.push(read),
            Err(error) => {
                unread.insert(name(&path), error);
                leaves.insert(name(&path), Err(error));
            }
        }
    }
    let is_anchor = |one: &&ParsedCertificate| one.subject().common_name().as_deref() == Some("Trust Anchor");
    let anchor = all.iter().find(is_anchor).unwrap().clone();
    all.retain(|one| one.der() != anchor.der());
    let mut found = BTreeMap::new();
    let mut judged = 0;
    for (name, leaf) in &leaves {
        let expected = match (name.starts_with("Valid"), name.starts_with("Invalid")) {
            (true, _) => true,
            (_, true) => false,
            _ => continue,
        };
        judged += 1;
        let result = match leaf {
            Ok(leaf) => {
                let path = between(leaf, &all);
                verify_path(leaf, &path, std::slice::from_ref(&anchor), MOMENT, None)
                    .map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match (expected, result) {
            (true, Err(error)) => drop(found.insert(format!("refused {name}"), error)),
            (false, Ok(())) => drop(found.insert(format!("accepted {name}"), String::new())),
            _ => {}
        }
    }
    println!(
        "PKITS: {} certificates read, {} not; {judged} paths judged, {} as the suite says, {} not",
        all.len() + leaves.len() + 1 - unread.len(),
        unread.len(),
        judged - found.len(),
        found.len()
    );
    let lines = DIVERGENCES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut listed: BTreeMap<_, _> = lines.map(|line| line.split_once(": ").unwrap()).collect();
    let unlisted: Vec<_> = found.iter().filter(|(name, _)| listed.remove(name.as_str()).is_none()).collect();
    assert!(unlisted.is_empty(), "not listed: {unlisted:#?}");
    assert!(listed.is_empty(), "listed and gone: {listed:#?}");
    assert!(judged >= 200 && unread.len() <= 4, "{unread:?}");
}

#[test]
fn the_public_test_suites_pkcs12_files_open_in_a_sample() {
    let Some(vectors) = vectors() else { return };
    let mut counted = 0;
    // All of the 405 are made alike, and checking a key of 2048 bits takes its time: every 20th is opened.
    for path in files(&vectors.join("x509/PKITS_data/pkcs12"), &["p12"]).into_iter().step_by(20) {
        let file = std::fs::read(&path).unwrap();
        let read = read_pfx(&file, &password("password"), ChainOrder::LeafFirst);
        // Its certificate begins before 1970, which `x509-cert` has no time for.
        if name(&path).starts_with("Validpre2000UTCnotBeforeDateTest3") {
            assert!(read.is_err());
            continue;
        }
        let Ok(read) = read else { panic!("{}: {:?}", path.display(), read.err()) };
        let key = PrivateKey::from_pkcs8(&read.key).ok().and_then(|key| key.public());
        if let Some(key) = key {
            let leaf = ParsedCertificate::from_der(&read.chain[0]).unwrap();
            assert_eq!(key.spki_der(), leaf.spki_der(), "{}", path.display());
        }
        counted += 1;
    }
    println!("PKITS: {counted} PKCS#12 files opened");
    assert!(counted >= 20);
}

#[test]
fn other_peoples_files_are_read_or_refused_and_nothing_panics() {
    let Some(vectors) = vectors() else { return };
    let mut read = BTreeMap::from([("certificates", 0), ("requests", 0), ("questions", 0), ("bundles", 0)]);
    let mut refused = read.clone();
    let mut count = |what: &'static str, good: bool| {
        *if good { &mut read } else { &mut refused }.entry(what).or_default() += 1;
    };
    let folders = ["", "custom", "custom/ca", "requests", "ocsp", "PKITS_data/crls"];
    let (_, root) = crate::support::authority("Root");
    for folder in folders {
        for path in files(&vectors.join("x509").join(folder), &["pem", "der", "crl"]) {
            let bytes = std::fs::read(&path).unwrap();
            let ders = match std::str::from_utf8(&bytes) {
                Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
                    read_certificates_pem(text).unwrap_or_default()
                }
                Ok(text) if text.contains("-----BEGIN") => {
                    der::pem::decode_vec(text.as_bytes()).map(|(_, der)| vec![der]).unwrap_or_default()
                }
                _ => vec![bytes],
            };
            for der in ders {
                match folder {
                    "requests" => count("requests", parse_csr(&der).is_ok()),
                    "ocsp" => count("questions", OcspRequest::from_der(&der).is_ok()),
                    "PKITS_data/crls" => assert!(parse_revocation_list(&der, &root).is_err()),
                    _ => count("certificates", ParsedCertificate::from_der(&der).is_ok()),
                }
            }
        }
    }
    for path in files(&vectors.join("pkcs12"), &["p12"]) {
        let file = std::fs::read(&path).unwrap();
        let opened = ["", "password", "cryptography"]
            .iter()
            .any(|text| read_pfx(&file, &password(text), ChainOrder::LeafFirst).is_ok());
        count("bundles", opened);
        let has_both = !name(&path).starts_with("no-cert")
            && !name(&path).contains("no-key")
            && name(&path) != "java-truststore";
        assert_eq!(opened, has_both, "{}", path.display());
    }
    println!("cryptography_vectors: read {read:?}, refused {refused:?}");
    assert!(read["certificates"] > 100 && read["requests"] > 3 && read["questions"] > 3, "{read:?}");
}
