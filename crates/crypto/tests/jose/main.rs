//! How we know that tokens are judged rightly: attack tables for both profiles, published examples, and another
//! implementation in both directions. Every attack differs in one thing from a token that is accepted.

mod assertions;
mod attacks;
mod examples;
mod keys;
mod oracle;

use std::sync::LazyLock;

use vouchsafe_crypto::jose::{
    Algorithm, Expected, KeyKind, PublicKey, Refused, SigningKey, base64url, verify,
};

const NOW: u64 = 1_800_000_000;

static RSA: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(KeyKind::Rsa2048));
static P256: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(KeyKind::P256));

/// The keys of the strict profile's tests: each name is bound to one algorithm.
fn known_key(kid: &str) -> Option<(&'static PublicKey, Algorithm)> {
    match kid {
        "rs" => Some((RSA.public(), Algorithm::Rs256)),
        "ps" => Some((RSA.public(), Algorithm::Ps256)),
        "es" => Some((P256.public(), Algorithm::Es256)),
        _ => None,
    }
}

/// Signs exactly these segments, however odd they are.
fn sign_segments(key: &SigningKey, algorithm: Algorithm, header: &str, payload: &str) -> String {
    let input = format!("{header}.{payload}");
    let signature = key.sign(algorithm, input.as_bytes()).expect("the algorithm fits the key");
    format!("{input}.{}", base64url::encode(&signature))
}

/// Signs exactly these texts, whether they are JSON or not.
fn sign_texts(key: &SigningKey, algorithm: Algorithm, header: &str, payload: &str) -> String {
    let (header, payload) = (base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
    sign_segments(key, algorithm, &header, &payload)
}

fn es256(header: &str, payload: &str) -> String {
    sign_texts(&P256, Algorithm::Es256, header, payload)
}

fn verify_strictly(token: impl AsRef<[u8]>) -> Result<(), Refused> {
    let expected = Expected {
        issuer: &|issuer| issuer == "https://login.example/t1/",
        audience: &|audience| audience == "https://vault.example",
        now_seconds: NOW,
        skew_seconds: 60,
    };
    verify(token.as_ref(), &known_key, &expected).map(|_| ())
}
