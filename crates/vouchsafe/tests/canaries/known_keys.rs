//! Private keys that the test knows, number by number, so that it can look for them.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use vouchsafe_crypto::Reason;
use vouchsafe_crypto::keys::{KeySpec, PrivateKey, PublicKey};

/// A key as JSON, and its private numbers.
pub struct KnownKey {
    pub jwk: Value,
    pub numbers: Vec<(&'static str, Vec<u8>)>,
    /// PKCS #8, where the kind of key has that form.
    pub pkcs8: Option<Vec<u8>>,
}

/// A new key of this kind.
pub fn known(spec: KeySpec) -> KnownKey {
    numbers_of(&PrivateKey::generate(spec))
}

/// What is known of a key on P-256, of an RSA key or of a symmetric one.
pub fn numbers_of(key: &PrivateKey) -> KnownKey {
    let pkcs8 = key.to_pkcs8().map(|pkcs8| pkcs8.expose(Reason::Test).to_vec());
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let (jwk, numbers) = match (key.public(), &pkcs8) {
        (Some(PublicKey::Rsa { n, e }), Some(pkcs8)) => {
            // PrivateKeyInfo: version, algorithm, key; RSAPrivateKey: version, n, e, d, p, q, dp, dq, qi.
            let parts = elements(elements(pkcs8)[2]);
            let names = ["d", "p", "q", "dp", "dq", "qi"];
            let numbers: Vec<_> =
                names.into_iter().zip(parts[3..].iter().map(|part| minimal(part))).collect();
            let mut jwk = json!({"kty": "RSA", "n": text(&n), "e": text(&e)});
            for (name, number) in &numbers {
                jwk[*name] = json!(text(number));
            }
            (jwk, numbers)
        }
        (Some(PublicKey::Ec { x, y, .. }), Some(pkcs8)) => {
            // ECPrivateKey: version, private number.
            let number = elements(elements(pkcs8)[2])[1].to_vec();
            let jwk = json!({"kty": "EC", "crv": "P-256", "x": text(&x), "y": text(&y), "d": text(&number)});
            (jwk, vec![("d", number)])
        }
        _ => {
            let bytes = key.to_material().expose(Reason::Test).to_vec();
            (json!({"kty": "oct", "k": text(&bytes)}), vec![("k", bytes)])
        }
    };
    KnownKey { jwk, numbers, pkcs8 }
}

fn minimal(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// The contents of the elements of a SEQUENCE in DER that is well formed.
fn elements(sequence: &[u8]) -> Vec<&[u8]> {
    let (mut rest, _) = element(sequence);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (content, after) = element(rest);
        found.push(content);
        rest = after;
    }
    found
}

fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (head, length) = match usize::from(der[1]) {
        short @ 0..0x80 => (2, short),
        long => {
            let octets = long - 0x80;
            let length = der[2..2 + octets].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (2 + octets, length)
        }
    };
    der[head..].split_at(length)
}
