//! Keys that somebody brings, in every form in which they come: a sound key or a refusal, and a sound key signs what it
//! verifies, is kept, and comes back as the same key. The first byte chooses the form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_crypto::keys::{
    ImportRefused, ImportedKey, KeyFamily, KeySpec, PrivateKey, PublicKey, SignatureAlgorithm,
};
use vouchsafe_crypto::{SecretBytes, SecretString};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    let secret = || SecretBytes::new(rest.to_vec());
    match kind % 7 {
        0 => imported(PrivateKey::from_pkcs8(&secret())),
        1 => imported(PrivateKey::from_pkcs1(&secret())),
        2 => imported(PrivateKey::from_sec1(&secret())),
        3 => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            imported(PrivateKey::from_pem(&SecretString::new(text.to_owned())));
        }
        4 => {
            if let Some(parts) = components(rest) {
                imported(PrivateKey::from_components(parts));
            }
        }
        5 => {
            // What was kept is read again after it was opened and proved; it must not be trusted to be well formed.
            let Some((&spec, rest)) = rest.split_first() else { return };
            let spec = KeySpec::ALL[usize::from(spec) % KeySpec::ALL.len()];
            if let Ok(key) = PrivateKey::from_material(spec, &SecretBytes::new(rest.to_vec())) {
                assert!(key.spec() == spec, "another kind of key than was asked for");
                works(&key);
            }
        }
        _ => {
            let Ok(public) = PublicKey::from_spki_der(rest) else { return };
            let again = PublicKey::from_spki_der(&public.spki_der()).expect("what we wrote can be read");
            assert!(again == public, "another public key came back");
            let digest = [7; 64];
            for algorithm in SignatureAlgorithm::ALL {
                let digest = &digest[..algorithm.digest_bytes()];
                // A forged signature is none, whatever the key: an exponent of 1 would make one.
                assert!(public.verify(*algorithm, digest, digest).ok() != Some(true));
            }
        }
    }
});

/// The parts of a JWK: family and curve, then each part with its length in front; a length of 65535 is no part.
fn components(bytes: &[u8]) -> Option<ImportedKey> {
    let (&[family, curve], mut rest) = bytes.split_first_chunk::<2>()?;
    let family = [KeyFamily::Rsa, KeyFamily::Ec, KeyFamily::Oct][usize::from(family) % 3];
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (part, after) = if length == 65535 { (None, after) } else { split(after, length) };
        rest = after;
        part.map(<[u8]>::to_vec)
    };
    let mut key = ImportedKey::of(family);
    key.curve = KeySpec::from_code(u32::from(curve));
    key.n = part();
    key.e = part();
    key.x = part();
    key.y = part();
    for held in [&mut key.d, &mut key.p, &mut key.q, &mut key.dp, &mut key.dq, &mut key.qi, &mut key.k] {
        *held = part().map(SecretBytes::new);
    }
    Some(key)
}

fn split(bytes: &[u8], length: usize) -> (Option<&[u8]>, &[u8]) {
    let (part, rest) = bytes.split_at(length.min(bytes.len()));
    (Some(part), rest)
}

fn imported(read: Result<PrivateKey, ImportRefused>) {
    match read {
        Ok(key) => works(&key),
        Err(refused) => {
            let said = refused.to_string();
            assert!(!said.is_empty() && said.len() < 4_096, "a refusal of {} bytes", said.len());
        }
    }
}

fn works(key: &PrivateKey) {
    let kept = PrivateKey::from_material(key.spec(), &key.to_material());
    let Ok(kept) = kept else { panic!("a key that was kept does not come back") };
    assert_eq!(kept.check_value(), key.check_value(), "another key came back");
    assert_eq!(kept.public().is_some(), key.to_pkcs8().is_some());
    let algorithm = SignatureAlgorithm::ALL.iter().find(|algorithm| algorithm.fits(key.spec()));
    let Some(&algorithm) = algorithm else { return };
    let digest = vec![7; algorithm.digest_bytes()];
    let signature = key.sign(algorithm, &digest).expect("a sound key signs");
    assert_eq!(kept.verify(algorithm, &digest, &signature), Ok(true), "a key does not verify what it signed");
    if let Some(public) = key.public() {
        assert_eq!(
            public.verify(algorithm, &digest, &signature),
            Ok(true),
            "the public half is another key's"
        );
        let again = PublicKey::from_spki_der(&public.spki_der()).expect("what we wrote can be read");
        assert!(again == public, "another public key came back");
    }
}
