//! What a key makes, it takes back; what anybody else made, or altered, it does not.

use vouchsafe_crypto::keys::{
    CiphertextParts, DecryptError, EncryptionAlgorithm, KeyFamily, KeySpec, Malformed, PrivateKey, PublicKey,
    SignatureAlgorithm,
};
use vouchsafe_crypto::{Reason, SecretBytes};

use crate::{KEYS, key};

#[test]
fn every_name_and_number_is_read_back() {
    for algorithm in SignatureAlgorithm::ALL {
        assert_eq!(SignatureAlgorithm::parse(algorithm.as_str()), Some(*algorithm));
        assert_eq!(SignatureAlgorithm::parse(&algorithm.as_str().to_lowercase()), None);
    }
    for algorithm in EncryptionAlgorithm::ALL {
        assert_eq!(EncryptionAlgorithm::parse(algorithm.as_str()), Some(*algorithm));
        assert!(algorithm.wraps() || algorithm.encrypts());
    }
    for spec in KeySpec::ALL {
        assert_eq!(KeySpec::from_code(spec.code()), Some(spec));
    }
    assert_eq!(KeySpec::from_code(0), None);
    assert_eq!(SignatureAlgorithm::parse("none"), None);
}

#[test]
fn every_key_signs_with_every_algorithm_that_fits_and_with_no_other() {
    let mut signed = 0;
    for (spec, key) in KEYS.iter() {
        for algorithm in SignatureAlgorithm::ALL {
            let digest: Vec<u8> = (0..algorithm.digest_bytes() as u8).collect();
            let signature = key.sign(*algorithm, &digest);
            assert_eq!(signature.is_ok(), algorithm.fits(*spec), "{spec:?} {algorithm:?}");
            let Ok(signature) = signature else { continue };
            signed += 1;
            let expected = match spec.family() {
                KeyFamily::Rsa => spec.bytes(),
                KeyFamily::Ec => 2 * spec.bytes(),
                KeyFamily::Oct => algorithm.digest_bytes(),
            };
            assert_eq!(signature.len(), expected);
            let judge = |digest: &[u8], signature: &[u8]| {
                let judged = key.verify(*algorithm, digest, signature).unwrap();
                if let Some(public) = key.public() {
                    assert_eq!(public.verify(*algorithm, digest, signature), Ok(judged));
                }
                judged
            };
            assert!(judge(&digest, &signature), "{spec:?} {algorithm:?}");
            let mut other = digest.clone();
            other[0] ^= 1;
            assert!(!judge(&other, &signature));
            for at in [0, signature.len() / 2, signature.len() - 1] {
                let mut other = signature.clone();
                other[at] ^= 1;
                assert!(!judge(&digest, &other));
            }
            assert!(!judge(&digest, &signature[1..]));
            assert!(!judge(&digest, &[signature.as_slice(), &[0]].concat()));
            assert!(!judge(&digest, &[]));
        }
    }
    // Six with each of three RSA keys, one with each of four curves, three with one symmetric key.
    assert_eq!(signed, 6 * 3 + 4 + 3);
}

#[test]
fn every_key_encrypts_with_every_algorithm_that_fits_and_with_no_other() {
    let mut encrypted = 0;
    for (spec, key) in KEYS.iter() {
        for algorithm in EncryptionAlgorithm::ALL {
            let iv = algorithm.needs_iv().then_some(&[9; 16][..]);
            let aad = algorithm.authenticates().then_some(&b"additional"[..]);
            let result = key.encrypt(*algorithm, &[5; 32], iv, aad);
            assert_eq!(result.is_ok(), algorithm.fits(*spec), "{spec:?} {algorithm:?}");
            let Ok(sealed) = result else { continue };
            encrypted += 1;
            assert_eq!(
                sealed.iv.as_ref().map(Vec::len),
                match (algorithm.needs_iv(), algorithm.authenticates()) {
                    (true, _) => Some(16),
                    (_, true) => Some(12),
                    _ => None,
                }
            );
            assert_eq!((sealed.tag.is_some(), sealed.aad.is_some()), (aad.is_some(), aad.is_some()));
            let plaintext = key.decrypt(*algorithm, &sealed.parts()).ok().unwrap();
            assert_eq!(plaintext.expose(Reason::Test), [5; 32], "{spec:?} {algorithm:?}");
        }
    }
    // Three with each of three RSA keys, four with each of three symmetric ones.
    assert_eq!(encrypted, 3 * 3 + 4 * 3);
}

#[test]
fn encrypting_twice_gives_two_ciphertexts_where_the_algorithm_has_randomness() {
    for (spec, algorithm) in [
        (KeySpec::Rsa2048, EncryptionAlgorithm::Rsa15),
        (KeySpec::Rsa2048, EncryptionAlgorithm::RsaOaep),
        (KeySpec::Rsa2048, EncryptionAlgorithm::RsaOaep256),
        (KeySpec::Oct256, EncryptionAlgorithm::A256Gcm),
    ] {
        let [one, other] = [(); 2].map(|()| key(spec).encrypt(algorithm, b"same", None, None).unwrap());
        assert_ne!(one.value, other.value);
        assert!(one.iv.is_none() || one.iv != other.iv);
    }
}

#[test]
fn altered_ciphertexts_are_refused_with_one_error() {
    for (spec, algorithm) in [
        (KeySpec::Rsa2048, EncryptionAlgorithm::RsaOaep),
        (KeySpec::Rsa2048, EncryptionAlgorithm::RsaOaep256),
        (KeySpec::Oct128, EncryptionAlgorithm::A128Gcm),
        (KeySpec::Oct192, EncryptionAlgorithm::A192Gcm),
        (KeySpec::Oct256, EncryptionAlgorithm::A256Gcm),
        (KeySpec::Oct128, EncryptionAlgorithm::A128Kw),
        (KeySpec::Oct192, EncryptionAlgorithm::A192Kw),
        (KeySpec::Oct256, EncryptionAlgorithm::A256Kw),
    ] {
        let aad = algorithm.authenticates().then_some(&b"additional"[..]);
        let sealed = key(spec).encrypt(algorithm, &[5; 32], None, aad).unwrap();
        let refused = |parts: CiphertextParts<'_>| {
            assert_eq!(
                key(spec).decrypt(algorithm, &parts).err(),
                Some(DecryptError::Refused),
                "{algorithm:?}"
            );
        };
        for at in [0, 8, sealed.value.len() - 1] {
            let mut other = sealed.value.clone();
            other[at] ^= 1;
            refused(CiphertextParts { value: &other, ..sealed.parts() });
        }
        let zeros = vec![0; sealed.value.len()];
        refused(CiphertextParts { value: &zeros, ..sealed.parts() });
        if algorithm.authenticates() {
            refused(CiphertextParts { iv: Some(&[0; 12]), ..sealed.parts() });
            refused(CiphertextParts { tag: Some(&[0; 16]), ..sealed.parts() });
            refused(CiphertextParts { aad: Some(b"other"), ..sealed.parts() });
            refused(CiphertextParts { aad: None, ..sealed.parts() });
        }
        let stranger = PrivateKey::generate(spec);
        assert_eq!(stranger.decrypt(algorithm, &sealed.parts()).err(), Some(DecryptError::Refused));
    }
}

/// The last block decrypts to noise, whose padding is nearly always wrong; when it is, there is one answer.
#[test]
fn wrong_cbc_paddings_are_all_the_same_error() {
    let key = key(KeySpec::Oct256);
    let sealed = key.encrypt(EncryptionAlgorithm::A256CbcPad, &[5; 20], Some(&[9; 16]), None).unwrap();
    let mut refused = 0;
    for bit in 0..128 {
        let mut other = sealed.value.clone();
        let block = other.len() - 32;
        other[block + bit / 8] ^= 1 << (bit % 8);
        let parts = CiphertextParts { value: &other, ..sealed.parts() };
        match key.decrypt(EncryptionAlgorithm::A256CbcPad, &parts) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, DecryptError::Refused);
                refused += 1;
            }
        }
    }
    // Twelve octets of padding: each of their bits is seen, those of the message before them are not.
    assert_eq!(refused, 96);
}

/// What comes for a wrong padding: the same for the same ciphertext and key, also after the key was stored; another for
/// another ciphertext and another key; of every length.
#[test]
fn rsa1_5_makes_up_plaintexts_that_cannot_be_told_from_real_ones() {
    let algorithm = EncryptionAlgorithm::Rsa15;
    let key = key(KeySpec::Rsa2048);
    let stored = PrivateKey::from_material(KeySpec::Rsa2048, &key.to_material()).unwrap();
    let open = |key: &PrivateKey, value: &[u8]| {
        key.decrypt(algorithm, &CiphertextParts::of(value)).ok().unwrap().expose(Reason::Test).to_vec()
    };
    let mut lengths = Vec::new();
    let mut answers = std::collections::BTreeSet::new();
    for first in 0..64_u8 {
        let value = [vec![0], vec![first; 255]].concat();
        let answer = open(key, &value);
        assert_eq!(answer, open(&stored, &value));
        assert!(answer.len() <= 245);
        lengths.push(answer.len());
        answers.insert(answer);
    }
    // One of the 64 may be empty by chance, and two empty ones are alike.
    assert!(answers.len() >= 62, "{}", answers.len());
    let mean = lengths.iter().sum::<usize>() / lengths.len();
    assert!((70..=175).contains(&mean), "{mean}");
    assert!(lengths.iter().min() < Some(&60) && lengths.iter().max() > Some(&185), "{lengths:?}");

    let stranger = PrivateKey::generate(KeySpec::Rsa2048);
    let value = [vec![0], vec![7; 255]].concat();
    assert_ne!(open(key, &value), open(&stranger, &value));
    // Above the modulus, which is never a ciphertext.
    assert_eq!(open(key, &[0xff; 256]), open(&stored, &[0xff; 256]));
    // A real one of every length opens, the empty one included.
    for bytes in [0, 1, 16, 32, 244, 245] {
        let sealed = key.public().unwrap().encrypt(algorithm, &vec![3; bytes]).unwrap();
        assert_eq!(open(key, &sealed.value), vec![3; bytes]);
    }
}

#[test]
fn keys_come_back_from_their_material_and_only_as_what_they_are() {
    for (spec, key) in KEYS.iter() {
        let material = key.to_material();
        for other in KeySpec::ALL {
            let read = PrivateKey::from_material(other, &material);
            assert_eq!(read.is_ok(), other == *spec, "{spec:?} as {other:?}");
            let Ok(read) = read else { continue };
            assert_eq!(read.public(), key.public());
            assert_eq!(read.check_value(), key.check_value());
        }
        let bytes = material.expose(Reason::Test);
        for damaged in [&bytes[1..], &bytes[..bytes.len() - 1], &[]] {
            let damaged = SecretBytes::new(damaged.to_vec());
            assert_eq!(PrivateKey::from_material(*spec, &damaged).err(), Some(Malformed), "{spec:?}");
        }
    }
}

#[test]
fn public_keys_come_back_from_their_encoding_and_differ_in_their_check_values() {
    let mut values = std::collections::BTreeSet::new();
    for (spec, key) in KEYS.iter() {
        values.insert(key.check_value());
        let Some(public) = key.public() else { continue };
        assert_eq!(public.spec(), *spec);
        assert_eq!(public.check_value(), key.check_value());
        let spki = public.spki_der();
        assert_eq!(PublicKey::from_spki_der(&spki), Ok(public.clone()));
        let digest = vouchsafe_crypto::digest::sha256(&spki);
        assert_eq!(public.check_value(), digest[..8]);
        for damaged in [&spki[..spki.len() - 1], &[spki.as_slice(), &[0]].concat(), &[]] {
            assert_eq!(PublicKey::from_spki_der(damaged), Err(Malformed));
        }
        match public {
            PublicKey::Rsa { n, e } => {
                let padded = |number: &[u8]| [&[0], number].concat();
                assert_eq!(PublicKey::rsa(&padded(&n), &padded(&e)), PublicKey::rsa(&n, &e));
                assert_eq!(PublicKey::rsa(&n[1..], &e), Err(Malformed));
                let mut even = n.clone();
                *even.last_mut().unwrap() &= 0xfe;
                assert_eq!(PublicKey::rsa(&even, &e), Err(Malformed));
                assert_eq!(PublicKey::rsa(&n, &[3]), Err(Malformed));
                assert_eq!(PublicKey::rsa(&n, &[]), Err(Malformed));
            }
            PublicKey::Ec { curve, x, y } => {
                assert_eq!(PublicKey::ec(curve, &x[1..], &y), Err(Malformed));
                assert_eq!(PublicKey::ec(KeySpec::Rsa2048, &x, &y), Err(Malformed));
                assert_eq!(PublicKey::ec(KeySpec::Oct256, &x, &y), Err(Malformed));
            }
        }
    }
    assert_eq!(values.len(), KeySpec::ALL.len());
}
