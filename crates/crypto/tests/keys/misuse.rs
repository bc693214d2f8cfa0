//! Requests that do not fit: each gets the answer that says what to do instead, and none gets a result.

use vouchsafe_crypto::keys::{
    CiphertextParts, DecryptError, EncryptionAlgorithm, KeySpec, Misuse, PublicKey, SignatureAlgorithm,
};

use crate::{KEYS, key};

#[test]
fn a_digest_must_have_exactly_the_length_of_its_algorithm() {
    for (spec, key) in KEYS.iter() {
        for algorithm in SignatureAlgorithm::ALL.iter().filter(|algorithm| algorithm.fits(*spec)) {
            let expected = algorithm.digest_bytes();
            for length in [0, 1, 20, 32, 48, 64, 65, 1 << 16] {
                let digest = vec![1; length];
                let wrong = (length != expected).then_some(Misuse::DigestLength { expected });
                assert_eq!(key.sign(*algorithm, &digest).err(), wrong, "{algorithm:?} {length}");
                assert_eq!(key.verify(*algorithm, &digest, &[0; 64]).err(), wrong);
                if let Some(public) = key.public() {
                    assert_eq!(public.verify(*algorithm, &digest, &[0; 64]).err(), wrong);
                }
            }
        }
    }
}

#[test]
fn an_algorithm_of_another_key_is_refused() {
    for (spec, key) in KEYS.iter() {
        for algorithm in SignatureAlgorithm::ALL.iter().filter(|algorithm| !algorithm.fits(*spec)) {
            let digest = vec![1; algorithm.digest_bytes()];
            assert_eq!(key.sign(*algorithm, &digest), Err(Misuse::Algorithm));
            assert_eq!(key.verify(*algorithm, &digest, &[0; 64]), Err(Misuse::Algorithm));
            if let Some(public) = key.public() {
                assert_eq!(public.verify(*algorithm, &digest, &[0; 64]), Err(Misuse::Algorithm));
            }
        }
        for algorithm in EncryptionAlgorithm::ALL.iter().filter(|algorithm| !algorithm.fits(*spec)) {
            assert_eq!(key.encrypt(*algorithm, &[1; 16], None, None), Err(Misuse::Algorithm));
            let opened = key.decrypt(*algorithm, &CiphertextParts::of(&[1; 32]));
            assert_eq!(opened.err(), Some(Misuse::Algorithm.into()));
            if let Some(public) = key.public() {
                assert_eq!(public.encrypt(*algorithm, &[1; 16]), Err(Misuse::Algorithm));
            }
        }
    }
}

#[test]
fn rsa_says_how_much_plaintext_fits() {
    for spec in [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096] {
        for (algorithm, padding) in [
            (EncryptionAlgorithm::Rsa15, 11),
            (EncryptionAlgorithm::RsaOaep, 42),
            (EncryptionAlgorithm::RsaOaep256, 66),
        ] {
            let max = spec.bytes() - padding;
            let key = key(spec);
            assert!(key.encrypt(algorithm, &vec![1; max], None, None).is_ok(), "{algorithm:?}");
            let long = key.encrypt(algorithm, &vec![1; max + 1], None, None);
            assert_eq!(long, Err(Misuse::PlaintextTooLong { max }));
        }
    }
}

#[test]
fn block_algorithms_say_which_lengths_they_take() {
    let key = key(KeySpec::Oct256);
    let iv = Some(&[9; 16][..]);
    for length in [1, 15, 17, 31] {
        let result = key.encrypt(EncryptionAlgorithm::A256Cbc, &vec![1; length], iv, None);
        assert_eq!(result, Err(Misuse::PlaintextLength { min: 0, multiple: 16 }));
        assert!(key.encrypt(EncryptionAlgorithm::A256CbcPad, &vec![1; length], iv, None).is_ok());
    }
    for spec in [KeySpec::Oct128, KeySpec::Oct192, KeySpec::Oct256] {
        let algorithm = *EncryptionAlgorithm::ALL
            .iter()
            .find(|algorithm| algorithm.fits(spec) && algorithm.wraps())
            .unwrap();
        for length in [0, 1, 8, 15, 17, 20, 31, 33] {
            let result = crate::key(spec).encrypt(algorithm, &vec![1; length], None, None);
            assert_eq!(
                result,
                Err(Misuse::PlaintextLength { min: 16, multiple: 8 }),
                "{algorithm:?} {length}"
            );
        }
        for length in [16, 24, 32, 40, 64] {
            assert!(crate::key(spec).encrypt(algorithm, &vec![1; length], None, None).is_ok());
        }
    }
}

#[test]
fn ciphertexts_of_impossible_lengths_are_told_apart_from_wrong_ones() {
    let wrong = Some(DecryptError::Misuse(Misuse::CiphertextLength));
    for (spec, algorithm, lengths) in [
        (KeySpec::Rsa2048, EncryptionAlgorithm::Rsa15, [0, 1, 255, 257, 512]),
        (KeySpec::Rsa2048, EncryptionAlgorithm::RsaOaep, [0, 1, 255, 257, 512]),
        (KeySpec::Rsa3072, EncryptionAlgorithm::RsaOaep256, [0, 1, 256, 383, 385]),
        (KeySpec::Oct256, EncryptionAlgorithm::A256Cbc, [1, 15, 17, 31, 33]),
        (KeySpec::Oct256, EncryptionAlgorithm::A256CbcPad, [0, 1, 15, 17, 33]),
        (KeySpec::Oct128, EncryptionAlgorithm::A128Kw, [0, 8, 16, 23, 25]),
        (KeySpec::Oct192, EncryptionAlgorithm::A192Kw, [0, 8, 16, 23, 25]),
        (KeySpec::Oct256, EncryptionAlgorithm::A256Kw, [0, 8, 16, 23, 25]),
    ] {
        for length in lengths {
            let value = vec![1; length];
            let iv = algorithm.needs_iv().then_some(&[9; 16][..]);
            let parts = CiphertextParts { iv, ..CiphertextParts::of(&value) };
            assert_eq!(key(spec).decrypt(algorithm, &parts).err(), wrong, "{algorithm:?} {length}");
        }
    }
}

#[test]
fn initialization_vectors_tags_and_additional_data_go_where_they_belong() {
    let aes = key(KeySpec::Oct256);
    let encrypt = |algorithm, iv, aad| aes.encrypt(algorithm, &[1; 16], iv, aad).err();
    for algorithm in [EncryptionAlgorithm::A256Cbc, EncryptionAlgorithm::A256CbcPad] {
        assert_eq!(encrypt(algorithm, None, None), Some(Misuse::IvMissing));
        for length in [0, 8, 12, 15, 17, 32] {
            let wrong = Some(Misuse::IvLength { expected: 16 });
            assert_eq!(encrypt(algorithm, Some(&[9; 32][..length]), None), wrong);
        }
        assert_eq!(encrypt(algorithm, Some(&[9; 16]), Some(b"aad")), Some(Misuse::AadNotAllowed));
    }
    // SECURITY: a caller who chooses the nonce of GCM can make it repeat.
    assert_eq!(encrypt(EncryptionAlgorithm::A256Gcm, Some(&[9; 12]), None), Some(Misuse::IvNotAllowed));
    assert_eq!(encrypt(EncryptionAlgorithm::A256Kw, Some(&[9; 8]), None), Some(Misuse::IvNotAllowed));
    assert_eq!(encrypt(EncryptionAlgorithm::A256Kw, None, Some(b"aad")), Some(Misuse::AadNotAllowed));
    let rsa = key(KeySpec::Rsa2048);
    let oaep = EncryptionAlgorithm::RsaOaep;
    assert_eq!(rsa.encrypt(oaep, &[1], Some(&[9; 16]), None), Err(Misuse::IvNotAllowed));
    assert_eq!(rsa.encrypt(oaep, &[1], None, Some(b"aad")), Err(Misuse::AadNotAllowed));

    let whole =
        CiphertextParts { value: &[1; 32], iv: Some(&[9; 12]), tag: Some(&[2; 16]), aad: Some(b"aad") };
    for (algorithm, parts, misuse) in [
        (EncryptionAlgorithm::A256Gcm, CiphertextParts { iv: None, ..whole }, Misuse::IvMissing),
        (EncryptionAlgorithm::A256Gcm, CiphertextParts { tag: None, ..whole }, Misuse::TagMissing),
        (
            EncryptionAlgorithm::A256Gcm,
            CiphertextParts { iv: Some(&[9; 16]), ..whole },
            Misuse::IvLength { expected: 12 },
        ),
        (
            EncryptionAlgorithm::A256Gcm,
            CiphertextParts { tag: Some(&[2; 12]), ..whole },
            Misuse::TagLength { expected: 16 },
        ),
        (EncryptionAlgorithm::A256Cbc, CiphertextParts { aad: None, ..whole }, Misuse::TagNotAllowed),
        (EncryptionAlgorithm::A256Cbc, CiphertextParts { tag: None, ..whole }, Misuse::AadNotAllowed),
        (EncryptionAlgorithm::A256CbcPad, CiphertextParts::of(&[1; 32]), Misuse::IvMissing),
        (EncryptionAlgorithm::A256Kw, whole, Misuse::IvNotAllowed),
        (EncryptionAlgorithm::A256Kw, CiphertextParts { iv: None, ..whole }, Misuse::TagNotAllowed),
    ] {
        assert_eq!(aes.decrypt(algorithm, &parts).err(), Some(misuse.into()), "{algorithm:?} {misuse:?}");
    }
    assert_eq!(rsa.decrypt(oaep, &whole).err(), Some(Misuse::IvNotAllowed.into()));
}

/// A public key can be put together without its constructors, by a record for example; it is looked at before it is used.
#[test]
fn a_public_key_that_is_none_is_refused_when_it_is_used() {
    let Some(PublicKey::Rsa { n, e }) = key(KeySpec::Rsa2048).public() else { panic!("not RSA") };
    let Some(PublicKey::Ec { curve, x, y }) = key(KeySpec::P256).public() else { panic!("not on a curve") };
    for broken in [
        PublicKey::Rsa { n: Vec::new(), e: e.clone() },
        PublicKey::Rsa { n: n.clone(), e: Vec::new() },
        PublicKey::Rsa { n: n.clone(), e: vec![3] },
        PublicKey::Rsa { n: n.clone(), e: vec![0, 0, 3] },
        PublicKey::Rsa { n: n[..200].to_vec(), e: e.clone() },
        PublicKey::Rsa { n: vec![0xff; 8192], e },
        PublicKey::Ec { curve, x: y.clone(), y: x.clone() },
        PublicKey::Ec { curve, x: x[1..].to_vec(), y: y.clone() },
        PublicKey::Ec { curve, x: Vec::new(), y: Vec::new() },
    ] {
        let algorithm = if matches!(broken, PublicKey::Rsa { .. }) {
            SignatureAlgorithm::Rs256
        } else {
            SignatureAlgorithm::Es256
        };
        assert_eq!(broken.verify(algorithm, &[1; 32], &[1; 64]), Err(Misuse::Key));
        if matches!(broken, PublicKey::Rsa { .. }) {
            assert_eq!(broken.encrypt(EncryptionAlgorithm::RsaOaep, &[1]), Err(Misuse::Key));
        }
        // Writing it is possible, and what is written is not read.
        assert!(PublicKey::from_spki_der(&broken.spki_der()).is_err());
    }
    for curve in [KeySpec::Rsa2048, KeySpec::Oct256] {
        let broken = PublicKey::Ec { curve, x: x.clone(), y: y.clone() };
        assert!(broken.verify(SignatureAlgorithm::Es256, &[1; 32], &[1; 64]).is_err());
        assert!(broken.encrypt(EncryptionAlgorithm::RsaOaep, &[1]).is_err());
        assert!(PublicKey::from_spki_der(&broken.spki_der()).is_err());
    }
}
