//! What attestation services say of environments: no input panics, and nothing is believed that was not signed as said.
//!
//! An input with a line break is a header and a payload, which are signed, so that the fuzzer gets past the signature
//! and into the claims; any other input is the token itself.
#![no_main]

use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vouchsafe_crypto::jose::attestation::{ExpectedAttestation, verify};
use vouchsafe_crypto::jose::{Algorithm, JwkSet, KeyKind, SigningKey};

const NOW: u64 = 1_800_000_000;
const SKEW: u64 = 60;
const LIFETIME: u64 = 86_400;
const ISSUER: &str = "https://attest.example";

fuzz_target!(|data: &[u8]| {
    static KEY: OnceLock<(SigningKey, JwkSet)> = OnceLock::new();
    let (key, keys) = KEY.get_or_init(|| {
        let key = SigningKey::generate(KeyKind::P256);
        let mut keys = JwkSet::new();
        assert!(keys.insert("k1", key.public().clone(), Algorithm::Es256));
        (key, keys)
    });
    let parts = data.iter().position(|&byte| byte == b'\n').map(|at| (&data[..at], &data[at + 1..]));
    let token = match parts {
        Some((header, payload)) => {
            let input = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
            let signature = key.sign(Algorithm::Es256, input.as_bytes()).expect("a P-256 key signs ES256");
            format!("{input}.{}", BASE64.encode(signature)).into_bytes()
        }
        None => data.to_vec(),
    };
    let expected = ExpectedAttestation {
        issuer: ISSUER,
        now_seconds: NOW,
        skew_seconds: SKEW,
        lifetime_max_seconds: LIFETIME,
    };
    let Ok(said) = verify(&token, keys, &expected) else { return };
    let (header, payload) = parts.expect("only what was signed is believed");
    let header: Value = serde_json::from_slice(header).expect("a believed header is JSON");
    let payload: Value = serde_json::from_slice(payload).expect("believed claims are JSON");
    assert_eq!((&header["alg"], &header["kid"]), (&Value::from("ES256"), &Value::from("k1")));
    assert_eq!(payload["iss"], ISSUER);
    let expires = payload["exp"].as_u64().expect("a believed token expires");
    assert!(expires + SKEW > NOW, "an expired token was believed");
    let began = [&payload["nbf"], &payload["iat"]].into_iter().filter_map(Value::as_u64);
    let began = began.min().expect("a believed token has a beginning");
    assert!(began <= NOW + SKEW && expires.saturating_sub(began) <= LIFETIME);
    // A claim is found under its own path only.
    for (name, value) in payload.as_object().expect("claims") {
        if !name.contains('.') {
            assert_eq!(said.claim(name), Some(value));
        }
    }
    let Ok(recipient) = said.recipient() else { return };
    let named = payload["x-ms-runtime"]["keys"].as_array().expect("keys");
    assert!(named.iter().any(|key| key["kid"] == recipient.kid.as_str()), "a key out of nowhere");
});
