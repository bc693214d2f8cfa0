//! The tolerant profile of client assertions: it forgives forms, and never a signature, a subject or a date.
//!
//! An input with a line break is a header and a payload, which are signed with the registered key; the header may name
//! the certificate by `x5t`, `x5t#S256` or `kid`. Any other input is the assertion itself.
#![no_main]

use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use vouchsafe_crypto::jose::azure_assertion::{Credential, ExpectedAssertion, verify};
use vouchsafe_crypto::jose::{Algorithm, KeyKind, SigningKey};

const NOW: u64 = 1_800_000_000;
const SKEW: u64 = 300;
const LIFETIME: u64 = 3_600;

fuzz_target!(|data: &[u8]| {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    let key = KEY.get_or_init(|| SigningKey::generate(KeyKind::P256));
    let parts = data.iter().position(|&byte| byte == b'\n').map(|at| (&data[..at], &data[at + 1..]));
    let assertion = match parts {
        Some((header, payload)) => {
            // Half of the inputs are padded, as one client does it.
            let base64 = if payload.len() % 2 == 0 { &BASE64_URL_SAFE } else { &BASE64_URL_SAFE_NO_PAD };
            let input = format!("{}.{}", base64.encode(header), base64.encode(payload));
            let signature = key.sign(Algorithm::Es256, input.as_bytes()).expect("a P-256 key signs ES256");
            format!("{input}.{}\n", base64.encode(signature)).into_bytes()
        }
        None => data.to_vec(),
    };
    let credentials = [Credential { sha1: [0; 20], sha256: [0; 32], key: key.public() }];
    let expected = ExpectedAssertion {
        client_id: "client",
        audience: &|audience| audience == "https://login.example/t/oauth2/v2.0/token",
        now_seconds: NOW,
        skew_seconds: SKEW,
        lifetime_max_seconds: LIFETIME,
    };
    let Ok(assertion) = verify(&assertion, &credentials, &expected) else { return };
    let (header, payload) = parts.expect("only what was signed is believed");
    let header: serde_json::Value = serde_json::from_slice(header).expect("a believed header is JSON");
    let payload: serde_json::Value = serde_json::from_slice(payload).expect("a believed payload is JSON");
    assert_eq!(header["alg"], "ES256");
    // A client id is a GUID, so its letters' case says nothing.
    for claim in ["iss", "sub"] {
        let text = payload[claim].as_str().expect("a believed claim is a text");
        assert!(text.eq_ignore_ascii_case("client"), "an assertion was believed for another client");
    }
    assert_eq!(assertion.credential_sha256(), [0; 32]);
    assert!(assertion.expires() > NOW - SKEW, "an expired assertion was believed");
    assert!(assertion.expires() <= NOW + LIFETIME + SKEW, "an assertion was believed for too long");
});
