//! Certificates, requests, revocation lists, OCSP questions, PKCS#12 and PEM, from whoever sends them: read within their
//! limits, or refused in plain words. The first byte chooses the format.
//!
//! A request and a revocation list are believed only when they are signed, so two of the choices sign the input first,
//! with the key of the seeds.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use vouchsafe_crypto::digest::sha256;
use vouchsafe_crypto::keys::{PrivateKey, SignatureAlgorithm};
use vouchsafe_crypto::pki::{
    ALTERNATIVE_NAMES_MAX, BundleRefused, CERTIFICATE_BYTES_MAX, ChainOrder, DistinguishedName, OcspRequest,
    PURPOSES_MAX, ParsedCertificate, ReadRefused, parse_csr, parse_revocation_list, read_certificates_pem,
    read_pem, read_pfx, write_pem,
};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};

/// The key pair of RFC 7515, Appendix A.3.
const KEY: &[u8] = include_bytes!("../seeds/certificate_input.key.der");
/// Its certificate, as an authority.
const AUTHORITY: &[u8] = include_bytes!("../seeds/certificate_input.authority.der");
const PASSWORD: &str = "hunter2";

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    match kind % 9 {
        0 => drop(certificate(rest)),
        1 => request(rest),
        2 => request(&signed(rest)),
        3 => list(rest),
        4 => list(&signed(rest)),
        5 => question(rest),
        6 => {
            let password = SecretString::new(PASSWORD.to_owned());
            bundle(read_pfx(rest, &password, ChainOrder::LeafFirst));
        }
        7 => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            bundle(read_pem(&SecretString::new(text.to_owned()), ChainOrder::AsGiven));
        }
        _ => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            match read_certificates_pem(text) {
                Ok(found) => found.iter().for_each(|der| drop(certificate(der))),
                Err(refused) => is_plain(&refused.to_string()),
            }
        }
    }
});

fn certificate(der: &[u8]) -> Option<ParsedCertificate> {
    let found = ParsedCertificate::from_der(der).map_err(|refused| is_plain(&refused.to_string())).ok()?;
    assert!(der.len() <= CERTIFICATE_BYTES_MAX);
    assert_eq!(found.der(), der, "not the certificate that was read");
    assert!(
        found.alternative_names().len() <= ALTERNATIVE_NAMES_MAX && found.purposes().len() <= PURPOSES_MAX
    );
    name(found.subject());
    name(found.issuer());
    if found.is_signed_by(authority()) {
        assert_eq!(found.issuer().to_der(), authority().subject().to_der(), "issued under another name");
    }
    Some(found)
}

/// What a name is shown as is not read as another name.
fn name(name: &DistinguishedName) {
    let shown = name.to_string();
    if let Ok(again) = DistinguishedName::parse(&shown) {
        assert_eq!(again.to_string(), shown, "a name is shown differently the second time");
    }
}

fn request(der: &[u8]) {
    match parse_csr(der) {
        Ok(csr) => {
            assert!(der.len() <= CERTIFICATE_BYTES_MAX);
            assert!(
                csr.alternative_names().len() <= ALTERNATIVE_NAMES_MAX
                    && csr.purposes().len() <= PURPOSES_MAX
            );
            name(csr.subject());
        }
        Err(refused) => is_plain(&refused.to_string()),
    }
}

fn list(der: &[u8]) {
    if let Err(refused) = parse_revocation_list(der, authority()) {
        is_plain(&refused.to_string());
    }
}

fn question(der: &[u8]) {
    match OcspRequest::from_der(der) {
        Ok(asked) => {
            assert!(!asked.questions().is_empty(), "an answer about nothing");
            for question in asked.questions() {
                question.is_of(authority());
                question.serial();
            }
        }
        Err(refused) => is_plain(&refused.to_string()),
    }
}

/// What came out of a file goes through PEM and is the same.
fn bundle(read: Result<vouchsafe_crypto::pki::Bundle, BundleRefused>) {
    let bundle = match read {
        Ok(bundle) => bundle,
        Err(refused) => return is_plain(&refused.to_string()),
    };
    assert!(!bundle.chain.is_empty(), "a bundle without a certificate");
    match read_pem(&write_pem(&bundle), ChainOrder::AsGiven) {
        Ok(again) => {
            assert_eq!(again.chain, bundle.chain);
            assert!(again.key.matches(bundle.key.expose(Reason::Test)), "another key came back");
        }
        Err(BundleRefused::Read(ReadRefused::TooLarge(_))) => {}
        Err(refused) => panic!("what we wrote cannot be read: {refused}"),
    }
}

fn is_plain(said: &str) {
    assert!(!said.is_empty() && said.len() < 4_096, "a refusal of {} bytes", said.len());
}

fn authority() -> &'static ParsedCertificate {
    static READ: OnceLock<ParsedCertificate> = OnceLock::new();
    READ.get_or_init(|| ParsedCertificate::from_der(AUTHORITY).expect("the seeds' authority"))
}

/// SEQUENCE { the input, ecdsa-with-SHA256, signature over the input }.
fn signed(body: &[u8]) -> Vec<u8> {
    static READ: OnceLock<PrivateKey> = OnceLock::new();
    let key = READ.get_or_init(|| {
        PrivateKey::from_sec1(&SecretBytes::new(KEY.to_vec())).unwrap_or_else(|refused| panic!("{refused}"))
    });
    let signature = key.sign(SignatureAlgorithm::Es256, &sha256(body)).expect("a P-256 key signs ES256");
    let (r, s) = signature.split_at(32);
    let numbers = element(0x30, &[integer(r), integer(s)].concat());
    let algorithm = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let bits = element(0x03, &[&[0], numbers.as_slice()].concat());
    element(0x30, &[body, &algorithm, &bits].concat())
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    let sign: &[u8] = if bytes.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    element(0x02, &[sign, bytes].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("an input is short").to_be_bytes();
    let mut head = vec![tag];
    match content.len() {
        0..0x80 => head.push(length[3]),
        0x80..0x100 => head.extend([0x81, length[3]]),
        0x100..0x1_0000 => head.extend([0x82, length[2], length[3]]),
        _ => head.extend([0x83, length[1], length[2], length[3]]),
    }
    [head.as_slice(), content].concat()
}
