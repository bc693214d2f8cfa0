//! The strict profile of our own tokens: no input panics, and nothing is believed that was not signed as said.
//!
//! An input with a line break is a header and a payload, which are signed, so that the fuzzer gets past the signature
//! and into the claims; any other input is the token itself.
#![no_main]

use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use libfuzzer_sys::fuzz_target;
use vouchsafe_crypto::jose::{Algorithm, Expected, KeyKind, SigningKey, verify};

const NOW: u64 = 1_800_000_000;
const SKEW: u64 = 60;

fuzz_target!(|data: &[u8]| {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    let key = KEY.get_or_init(|| SigningKey::generate(KeyKind::P256));
    let parts = data.iter().position(|&byte| byte == b'\n').map(|at| (&data[..at], &data[at + 1..]));
    let token = match parts {
        Some((header, payload)) => {
            let input = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
            let signature = key.sign(Algorithm::Es256, input.as_bytes()).expect("a P-256 key signs ES256");
            format!("{input}.{}", BASE64.encode(signature)).into_bytes()
        }
        None => data.to_vec(),
    };
    let keys = |kid: &str| (kid == "k1").then_some((key.public(), Algorithm::Es256));
    let expected = Expected {
        issuer: &|issuer| issuer == "https://issuer.example/t",
        audience: &|audience| audience == "https://vault.example",
        now_seconds: NOW,
        skew_seconds: SKEW,
    };
    let Ok(token) = verify(&token, &keys, &expected) else { return };
    let (header, payload) = parts.expect("only what was signed is believed");
    let header: serde_json::Value = serde_json::from_slice(header).expect("a believed header is JSON");
    let payload: serde_json::Value = serde_json::from_slice(payload).expect("believed claims are JSON");
    assert_eq!(header["alg"], "ES256");
    assert_eq!(header["typ"], "JWT");
    assert_eq!(header.as_object().map(serde_json::Map::len), Some(3));
    assert_eq!(token.kid(), "k1");
    assert_eq!(payload["iss"], token.issuer());
    assert_eq!(payload["aud"], token.audience());
    assert_eq!(payload["exp"].as_u64(), Some(token.expires()));
    assert!(token.expires() > NOW - SKEW && token.issued_at() <= NOW + SKEW);
});
