//! The key holder port's suite: whatever holds a key, its signatures, ciphertexts and refusals are the same.
//!
//! Everything is checked from outside: signatures with the public half, symmetric keys against a copy that was imported.

mod release;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use vouchsafe_crypto::keys::{
    CiphertextParts, EncryptionAlgorithm, KeyFamily, KeySpec, PrivateKey, PublicKey, SignatureAlgorithm,
};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::Hsm;
use vouchsafe_domain::ports::hsm::{ByokBlob, Exportable, HeldKey, HsmError, KeyRef};

pub use self::release::without_filling;

/// Gives the same holder again each time, as after a restart.
pub trait Reopen {
    /// Opens the holder.
    fn open(&self) -> Arc<dyn Hsm>;

    /// Whether the holder keeps the keys itself, so that it can say that one is gone.
    fn keeps_keys(&self) -> bool;
}

/// Runs every fact over an adapter.
pub async fn all(adapter: &impl Reopen) {
    let hsm = adapter.open();
    let hsm = &*hsm;
    hsm.healthy().await.expect("healthy");
    random_bytes_are_as_many_as_asked_for_and_differ(hsm).await;
    let keys = a_key_of_every_kind_is_made(hsm).await;
    every_signature_verifies_with_the_public_half(hsm, &keys).await;
    what_was_encrypted_with_the_public_half_is_decrypted(hsm, &keys).await;
    symmetric_keys_give_back_what_they_took(hsm, &keys).await;
    what_was_changed_is_refused(hsm, &keys).await;
    a_wrong_pkcs1_padding_shows_nowhere(hsm, &keys).await;
    misuse_is_refused(hsm, &keys).await;
    an_imported_key_agrees_with_the_original(hsm).await;
    a_wrapped_key_is_taken_over(hsm, &keys).await;
    material_of_another_key_is_a_mismatch(hsm, &keys).await;
    a_restored_key_is_the_same_key(hsm, &keys).await;
    release::an_exportable_key_opens_for_its_recipient_as_the_key_that_it_is(hsm).await;
    release::what_was_taken_over_to_be_released_is_released(hsm, &keys).await;
    release::a_key_that_is_not_exportable_stays(adapter, &keys).await;
    what_is_not_a_backup_is_refused(hsm).await;
    many_callers_each_get_their_own_answer(adapter, &keys).await;
    keys_outlive_their_holder(adapter, &keys).await;
    a_destroyed_key_is_gone(adapter, &keys).await;
}

type Keys = BTreeMap<KeySpec, HeldKey>;

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| n.to_le_bytes()[0].wrapping_mul(31)).collect()
}

fn public(key: &HeldKey) -> &PublicKey {
    key.public.as_ref().expect("a public half")
}

fn is_refused<T>(result: Result<T, HsmError>, what: &str) {
    match result {
        Err(HsmError::Refused(_)) => {}
        Err(other) => panic!("{what}: {other:?}"),
        Ok(_) => panic!("{what}: done"),
    }
}

async fn random_bytes_are_as_many_as_asked_for_and_differ(hsm: &dyn Hsm) {
    for bytes in [1, 16, 128] {
        assert_eq!(hsm.random(bytes).await.expect("random").len(), bytes);
    }
    let one = hsm.random(32).await.expect("random");
    assert!(!hsm.random(32).await.expect("random").matches(one.expose(Reason::Test)));
    for bytes in [0, 129, usize::MAX] {
        is_refused(hsm.random(bytes).await, "too many or too few");
    }
}

async fn a_key_of_every_kind_is_made(hsm: &dyn Hsm) -> Keys {
    let mut keys = Keys::new();
    for spec in KeySpec::ALL {
        let made = hsm.generate(spec, Exportable::Never).await;
        if !hsm.holds(spec) {
            assert!(matches!(made, Err(HsmError::Unsupported(_))), "{spec:?}");
            continue;
        }
        let made = made.unwrap_or_else(|error| panic!("{spec:?}: {error:?}"));
        assert_eq!(
            made.public.as_ref().map(PublicKey::spec),
            (spec.family() != KeyFamily::Oct).then_some(spec)
        );
        if let Some(PublicKey::Rsa { n, e }) = &made.public {
            assert_eq!((n.len(), e.as_slice()), (spec.bytes(), [1, 0, 1].as_slice()));
        }
        keys.insert(spec, made);
    }
    let another = hsm.generate(KeySpec::P256, Exportable::Never).await.expect("another");
    assert_ne!(another.public, keys[&KeySpec::P256].public, "no key is made twice");
    hsm.destroy(&another.reference(KeySpec::P256)).await.expect("destroyed");
    keys
}

async fn every_signature_verifies_with_the_public_half(hsm: &dyn Hsm, keys: &Keys) {
    let mut signed = 0;
    for (spec, key) in keys {
        for algorithm in SignatureAlgorithm::ALL.iter().copied().filter(|algorithm| algorithm.fits(*spec)) {
            let digest = text(algorithm.digest_bytes());
            let context = format!("{spec:?} {algorithm:?}");
            let signature = hsm.sign(&key.reference(*spec), algorithm, &digest).await;
            if !hsm.signs(*spec, algorithm) {
                assert!(matches!(signature, Err(HsmError::Unsupported(_))), "{context}");
                continue;
            }
            let signature = signature.expect(&context);
            signed += 1;
            let other = text(algorithm.digest_bytes() + 1).split_off(1);
            if algorithm.is_symmetric() {
                let key = key.reference(*spec);
                assert!(hsm.verify(&key, algorithm, &digest, &signature).await.expect(&context));
                assert!(!hsm.verify(&key, algorithm, &other, &signature).await.expect(&context));
                let cut = &signature[..signature.len() - 1];
                assert!(!hsm.verify(&key, algorithm, &digest, cut).await.unwrap_or(false), "{context}");
            } else {
                let public = public(key);
                assert!(public.verify(algorithm, &digest, &signature).expect(&context), "{context}");
                assert!(!public.verify(algorithm, &other, &signature).expect(&context), "{context}");
            }
        }
    }
    assert!(signed >= 3 * 6 + 4, "RSA of three sizes, four curves: {signed}");
}

async fn what_was_encrypted_with_the_public_half_is_decrypted(hsm: &dyn Hsm, keys: &Keys) {
    for (spec, key) in keys.iter().filter(|(spec, _)| spec.family() == KeyFamily::Rsa) {
        for algorithm in EncryptionAlgorithm::ALL.iter().copied().filter(|algorithm| algorithm.fits(*spec)) {
            let padding = match algorithm {
                EncryptionAlgorithm::Rsa15 => 11,
                EncryptionAlgorithm::RsaOaep => 42,
                _ => 66,
            };
            for bytes in [1, 32, spec.bytes() - padding] {
                let context = format!("{spec:?} {algorithm:?} {bytes}");
                let encrypted = public(key).encrypt(algorithm, &text(bytes)).expect(&context);
                let decrypted = hsm.decrypt(&key.reference(*spec), algorithm, &encrypted.parts()).await;
                if hsm.decrypts(*spec, algorithm) {
                    let decrypted = decrypted.expect(&context);
                    assert_eq!(decrypted.expose(Reason::Test), text(bytes), "{context}");
                } else {
                    assert!(matches!(decrypted, Err(HsmError::Unsupported(_))), "{context}");
                }
            }
        }
    }
}

/// Lengths that the algorithm takes.
fn lengths(algorithm: EncryptionAlgorithm) -> &'static [usize] {
    match (algorithm.authenticates(), algorithm.wraps(), algorithm.as_str().ends_with("PAD")) {
        (true, ..) | (_, _, true) => &[0, 1, 16, 33, 1000],
        (_, true, _) => &[16, 24, 32, 64],
        _ => &[16, 48, 1024],
    }
}

async fn symmetric_keys_give_back_what_they_took(hsm: &dyn Hsm, keys: &Keys) {
    for (spec, key) in keys.iter().filter(|(spec, _)| spec.family() == KeyFamily::Oct) {
        for algorithm in EncryptionAlgorithm::ALL.iter().copied().filter(|algorithm| algorithm.fits(*spec)) {
            let key = key.reference(*spec);
            let iv = algorithm.needs_iv().then(|| text(16));
            for bytes in lengths(algorithm) {
                for aad in
                    [None, Some(text(20))].into_iter().take(if algorithm.authenticates() { 2 } else { 1 })
                {
                    let context = format!("{spec:?} {algorithm:?} {bytes} {}", aad.is_some());
                    let clear = text(*bytes);
                    let encrypted = hsm.encrypt(&key, algorithm, &clear, iv.as_deref(), aad.as_deref()).await;
                    if !hsm.decrypts(*spec, algorithm) {
                        assert!(matches!(encrypted, Err(HsmError::Unsupported(_))), "{context}");
                        continue;
                    }
                    let encrypted = encrypted.expect(&context);
                    assert!(*bytes < 16 || encrypted.value != clear, "{context}");
                    assert_eq!(encrypted.tag.is_some(), algorithm.authenticates(), "{context}");
                    let decrypted = hsm.decrypt(&key, algorithm, &encrypted.parts()).await.expect(&context);
                    assert_eq!(decrypted.expose(Reason::Test), clear, "{context}");
                    if algorithm.authenticates() {
                        let again = hsm.encrypt(&key, algorithm, &clear, None, aad.as_deref()).await;
                        assert_ne!(again.expect(&context).iv, encrypted.iv, "{context}: no vector twice");
                    }
                }
            }
        }
    }
}

async fn what_was_changed_is_refused(hsm: &dyn Hsm, keys: &Keys) {
    for (spec, algorithm) in [
        (KeySpec::Oct256, EncryptionAlgorithm::A256Gcm),
        (KeySpec::Oct128, EncryptionAlgorithm::A128Gcm),
        (KeySpec::Oct256, EncryptionAlgorithm::A256Kw),
    ] {
        let Some(key) = keys.get(&spec).filter(|_| hsm.decrypts(spec, algorithm)) else { continue };
        let key = key.reference(spec);
        let aad = algorithm.authenticates().then(|| text(5));
        let good = hsm.encrypt(&key, algorithm, &text(24), None, aad.as_deref()).await.expect("encrypted");
        let flip = |bytes: &mut Vec<u8>| bytes[0] ^= 1;
        let mut changed = vec![good.clone()];
        flip(&mut changed[0].value);
        if algorithm.authenticates() {
            for part in 0..3 {
                let mut other = good.clone();
                let parts = [&mut other.iv, &mut other.tag, &mut other.aad];
                flip(parts.into_iter().nth(part).and_then(Option::as_mut).expect("a part"));
                changed.push(other);
            }
            let mut other = good.clone();
            other.aad = None;
            changed.push(other);
        }
        for other in changed {
            is_refused(hsm.decrypt(&key, algorithm, &other.parts()).await, algorithm.as_str());
        }
        assert!(hsm.decrypt(&key, algorithm, &good.parts()).await.is_ok(), "the holder still works");
    }
    let spec = KeySpec::Rsa2048;
    let Some(key) = keys.get(&spec) else { return };
    for algorithm in [EncryptionAlgorithm::RsaOaep, EncryptionAlgorithm::RsaOaep256] {
        if !hsm.decrypts(spec, algorithm) {
            continue;
        }
        let good = public(key).encrypt(algorithm, b"secret").expect("encrypted");
        for place in [0, 100, 255] {
            let mut value = good.value.clone();
            value[place] ^= 1;
            let result = hsm.decrypt(&key.reference(spec), algorithm, &CiphertextParts::of(&value)).await;
            is_refused(result, algorithm.as_str());
        }
        let decrypted = hsm.decrypt(&key.reference(spec), algorithm, &good.parts()).await;
        assert!(decrypted.expect("the holder still works").matches(b"secret"));
    }
}

async fn a_wrong_pkcs1_padding_shows_nowhere(hsm: &dyn Hsm, keys: &Keys) {
    let (spec, algorithm) = (KeySpec::Rsa2048, EncryptionAlgorithm::Rsa15);
    if !hsm.decrypts(spec, algorithm) {
        return;
    }
    let key = keys[&spec].reference(spec);
    let good = public(&keys[&spec]).encrypt(algorithm, b"secret").expect("encrypted");
    let mut made_up = Vec::new();
    for place in [10, 100, 255] {
        let mut value = good.value.clone();
        value[place] ^= 1;
        for _ in 0..2 {
            let plaintext =
                hsm.decrypt(&key, algorithm, &CiphertextParts::of(&value)).await.expect("something");
            assert!(plaintext.len() <= spec.bytes() - 11);
            made_up.push(plaintext);
        }
    }
    for pair in made_up.chunks(2) {
        assert!(pair[0].matches(pair[1].expose(Reason::Test)), "the same for the same ciphertext");
        assert!(!pair[0].matches(b"secret"));
    }
    let same = |other: usize| made_up[0].matches(made_up[other].expose(Reason::Test));
    assert!(!(same(2) && same(4)), "another for another one");
    let decrypted = hsm.decrypt(&key, algorithm, &good.parts()).await.expect("decrypted");
    assert!(decrypted.matches(b"secret"));
}

async fn misuse_is_refused(hsm: &dyn Hsm, keys: &Keys) {
    use EncryptionAlgorithm as E;
    use SignatureAlgorithm as S;
    let key = |spec: KeySpec| keys[&spec].reference(spec);
    for (spec, algorithm, bytes) in [
        (KeySpec::P256, S::Es384, 48),
        (KeySpec::P256, S::Es256k, 32),
        (KeySpec::P256, S::Rs256, 32),
        (KeySpec::P256, S::Es256, 31),
        (KeySpec::P256, S::Es256, 0),
        (KeySpec::Rsa2048, S::Ps256, 48),
        (KeySpec::Rsa2048, S::Rs512, 32),
        (KeySpec::Rsa2048, S::Es256, 32),
        (KeySpec::Oct128, S::Hs256, 32),
        (KeySpec::Oct256, S::Rs256, 32),
    ] {
        is_refused(
            hsm.sign(&key(spec), algorithm, &text(bytes)).await,
            &format!("{spec:?} {algorithm:?} {bytes}"),
        );
    }
    let verified = hsm.verify(&key(KeySpec::P256), S::Es256, &text(32), &text(64)).await;
    is_refused(verified, "verifying is for the public half");
    let (iv12, iv16) = (text(12), text(16));
    for (spec, algorithm, bytes, iv, aad) in [
        (KeySpec::Oct256, E::A128Gcm, 16, None, None),
        (KeySpec::Oct256, E::A256Gcm, 16, Some(&iv12), None),
        (KeySpec::Oct256, E::A256Cbc, 16, None, None),
        (KeySpec::Oct256, E::A256Cbc, 16, Some(&iv12), None),
        (KeySpec::Oct256, E::A256Cbc, 17, Some(&iv16), None),
        (KeySpec::Oct256, E::A256Cbc, 16, Some(&iv16), Some(&iv12)),
        (KeySpec::Oct256, E::A256Kw, 15, None, None),
        (KeySpec::Oct256, E::A256Kw, 8, None, None),
        (KeySpec::Oct256, E::A256Kw, 16, Some(&iv16), None),
        (KeySpec::Oct256, E::RsaOaep, 16, None, None),
        (KeySpec::Rsa2048, E::RsaOaep, 16, None, None),
        (KeySpec::P256, E::RsaOaep, 16, None, None),
    ] {
        let aad = aad.map(Vec::as_slice);
        let result = hsm.encrypt(&key(spec), algorithm, &text(bytes), iv.map(Vec::as_slice), aad).await;
        is_refused(result, &format!("{spec:?} {algorithm:?} {bytes}"));
    }
    let value = text(256);
    let parts = |value, iv, tag, aad| CiphertextParts { value, iv, tag, aad };
    let (none, iv12, iv16) = (None, Some(iv12.as_slice()), Some(iv16.as_slice()));
    for (spec, algorithm, parts) in [
        (KeySpec::P256, E::RsaOaep, parts(&value, none, none, none)),
        (KeySpec::Rsa2048, E::RsaOaep, parts(&value[1..], none, none, none)),
        (KeySpec::Rsa2048, E::RsaOaep, parts(&value, iv16, none, none)),
        (KeySpec::Rsa3072, E::RsaOaep, parts(&value, none, none, none)),
        (KeySpec::Oct256, E::A256Gcm, parts(&value, none, iv16, none)),
        (KeySpec::Oct256, E::A256Gcm, parts(&value, iv12, none, none)),
        (KeySpec::Oct256, E::A256Gcm, parts(&value, iv12, iv12, none)),
        (KeySpec::Oct256, E::A256Gcm, parts(&value, iv16, iv16, none)),
        (KeySpec::Oct256, E::A256Cbc, parts(&value[1..], iv16, none, none)),
        (KeySpec::Oct256, E::A256Cbc, parts(&value, iv16, iv16, none)),
        (KeySpec::Oct256, E::A256Kw, parts(&value[1..], none, none, none)),
        (KeySpec::Oct256, E::A256Kw, parts(&value[..16], none, none, none)),
        (KeySpec::Oct256, E::A256Kw, parts(&value, none, none, none)),
    ] {
        is_refused(hsm.decrypt(&key(spec), algorithm, &parts).await, &format!("{spec:?} {algorithm:?}"));
    }
}

async fn an_imported_key_agrees_with_the_original(hsm: &dyn Hsm) {
    let specs = [KeySpec::Rsa2048, KeySpec::P256, KeySpec::P384, KeySpec::P521, KeySpec::P256K];
    for spec in specs.into_iter().chain([KeySpec::Oct128, KeySpec::Oct192, KeySpec::Oct256]) {
        let original = PrivateKey::generate(spec);
        let copy = PrivateKey::from_material(spec, &original.to_material()).expect("a copy");
        let held =
            hsm.import(copy, Exportable::Never).await.unwrap_or_else(|error| panic!("{spec:?}: {error:?}"));
        assert_eq!(held.public, original.public(), "{spec:?}");
        let key = held.reference(spec);
        for algorithm in
            SignatureAlgorithm::ALL.iter().copied().filter(|algorithm| hsm.signs(spec, *algorithm))
        {
            let digest = text(algorithm.digest_bytes());
            let signature = hsm.sign(&key, algorithm, &digest).await.expect("signed");
            assert!(
                original.verify(algorithm, &digest, &signature).expect("verified"),
                "{spec:?} {algorithm:?}"
            );
        }
        for algorithm in
            EncryptionAlgorithm::ALL.iter().copied().filter(|algorithm| hsm.decrypts(spec, *algorithm))
        {
            let iv = algorithm.needs_iv().then(|| text(16));
            let there = original.encrypt(algorithm, &text(32), iv.as_deref(), None).expect("encrypted");
            let here = hsm.decrypt(&key, algorithm, &there.parts()).await.expect("decrypted");
            assert_eq!(here.expose(Reason::Test), text(32), "{spec:?} {algorithm:?}");
            if spec.family() == KeyFamily::Oct {
                let here =
                    hsm.encrypt(&key, algorithm, &text(32), iv.as_deref(), None).await.expect("encrypted");
                let there = original.decrypt(algorithm, &here.parts()).expect("decrypted");
                assert_eq!(there.expose(Reason::Test), text(32), "{spec:?} {algorithm:?}");
            }
        }
        hsm.destroy(&key).await.expect("destroyed");
    }
}

/// The layout of `CKM_RSA_AES_KEY_WRAP`, as whoever brings a key makes it.
fn wrapped(exchange: &PublicKey, key: &SecretBytes) -> ByokBlob {
    let aes = text(32);
    let outer = exchange.encrypt(EncryptionAlgorithm::RsaOaep, &aes).expect("encrypted").value;
    let kek = AesKek::new(&AES_256, &aes).expect("an AES key");
    let mut inner = vec![0; key.len() + 16];
    let inner = kek.wrap_with_padding(key.expose(Reason::Test), &mut inner).expect("wrapped");
    ByokBlob::new([outer.as_slice(), inner].concat()).expect("short enough")
}

async fn a_wrapped_key_is_taken_over(hsm: &dyn Hsm, keys: &Keys) {
    let exchange = &keys[&KeySpec::Rsa2048];
    let with = exchange.reference(KeySpec::Rsa2048);
    for spec in [KeySpec::Rsa2048, KeySpec::Oct256, KeySpec::P256] {
        let original = PrivateKey::generate(spec);
        let clear = original.to_pkcs8().unwrap_or_else(|| original.to_material());
        let blob = wrapped(public(exchange), &clear);
        let held = match hsm.import_wrapped(&with, &blob, spec, Exportable::Never).await {
            // Not every token shows the public half of an EC key that it unwrapped.
            Err(HsmError::Unsupported(_)) if spec.family() == KeyFamily::Ec => continue,
            held => held.unwrap_or_else(|error| panic!("{spec:?}: {error:?}")),
        };
        assert_eq!(held.public, original.public(), "{spec:?}");
        let key = held.reference(spec);
        if spec == KeySpec::Oct256 {
            let there =
                original.encrypt(EncryptionAlgorithm::A256Gcm, b"hello", None, None).expect("encrypted");
            let here =
                hsm.decrypt(&key, EncryptionAlgorithm::A256Gcm, &there.parts()).await.expect("decrypted");
            assert!(here.matches(b"hello"));
        }
        let others = [KeySpec::Oct128, KeySpec::Oct192, KeySpec::Oct256, KeySpec::Rsa2048, KeySpec::Rsa3072];
        for other in others.into_iter().filter(|other| *other != spec) {
            is_refused(
                hsm.import_wrapped(&with, &blob, other, Exportable::Never).await,
                "not what it is said to be",
            );
        }
        hsm.destroy(&key).await.expect("destroyed");
    }
    let rsa = PrivateKey::generate(KeySpec::Rsa2048).to_pkcs8().expect("PKCS #8");
    let stranger = PrivateKey::generate(KeySpec::Rsa2048).public().expect("public");
    let blob = wrapped(&stranger, &rsa);
    is_refused(
        hsm.import_wrapped(&with, &blob, KeySpec::Rsa2048, Exportable::Never).await,
        "wrapped for another key",
    );
    let curve = keys[&KeySpec::P256].reference(KeySpec::P256);
    is_refused(
        hsm.import_wrapped(&curve, &blob, KeySpec::Rsa2048, Exportable::Never).await,
        "no exchange key",
    );
    for blob in [vec![], text(256), text(256 + 20), text(256 + 64)] {
        let blob = ByokBlob::new(blob).expect("short enough");
        is_refused(
            hsm.import_wrapped(&with, &blob, KeySpec::Rsa2048, Exportable::Never).await,
            "not that layout",
        );
    }
    assert!(ByokBlob::new(text(9000)).is_err());
}

async fn material_of_another_key_is_a_mismatch(hsm: &dyn Hsm, keys: &Keys) {
    let digest = text(48);
    let swapped = KeyRef { spec: KeySpec::P384, material: &keys[&KeySpec::P256].material };
    let signed = hsm.sign(&swapped, SignatureAlgorithm::Es384, &digest).await;
    assert_eq!(signed.err(), Some(HsmError::Mismatch), "a key of another kind");
    let whole = keys[&KeySpec::P384].material.expose(Reason::Test);
    for bytes in [0, 1, 17, whole.len() - 1] {
        let material = SecretBytes::new(whole[..bytes].to_vec());
        let cut = KeyRef { spec: KeySpec::P384, material: &material };
        let signed = hsm.sign(&cut, SignatureAlgorithm::Es384, &digest).await;
        assert_eq!(signed.err(), Some(HsmError::Mismatch), "{bytes} bytes of the material");
    }
    let swapped = KeyRef { spec: KeySpec::Oct256, material: &keys[&KeySpec::Rsa2048].material };
    let encrypted = hsm.encrypt(&swapped, EncryptionAlgorithm::A256Gcm, b"x", None, None).await;
    assert_eq!(encrypted.err(), Some(HsmError::Mismatch), "RSA for AES");
}

async fn a_restored_key_is_the_same_key(hsm: &dyn Hsm, keys: &Keys) {
    for (spec, algorithm) in
        [(KeySpec::P256, SignatureAlgorithm::Es256), (KeySpec::Rsa2048, SignatureAlgorithm::Ps256)]
    {
        let key = &keys[&spec];
        let blob = hsm.backup(&key.reference(spec)).await.expect("a backup");
        let restored = hsm.restore(spec, &blob).await.expect("restored");
        assert_eq!(restored.public, key.public);
        let digest = text(algorithm.digest_bytes());
        let signature = hsm.sign(&restored.reference(spec), algorithm, &digest).await.expect("signed");
        assert!(public(key).verify(algorithm, &digest, &signature).expect("verified"));
        assert!(hsm.restore(KeySpec::P521, &blob).await.is_err(), "as another kind");
    }
}

async fn what_is_not_a_backup_is_refused(hsm: &dyn Hsm) {
    for bytes in [0, 10, 200] {
        let blob = SecretBytes::new(text(bytes));
        is_refused(hsm.restore(KeySpec::P256, &blob).await, "no backup");
    }
}

async fn many_callers_each_get_their_own_answer(adapter: &impl Reopen, keys: &Keys) {
    let hsm = adapter.open();
    let specs = [
        (KeySpec::Rsa2048, SignatureAlgorithm::Rs256),
        (KeySpec::P256, SignatureAlgorithm::Es256),
        (KeySpec::P256K, SignatureAlgorithm::Es256k),
    ];
    let tasks: Vec<_> = (0..30_u8)
        .map(|task| {
            let (spec, algorithm) = specs[usize::from(task) % specs.len()];
            let material = SecretBytes::new(keys[&spec].material.expose(Reason::Test).to_vec());
            let (hsm, public) = (Arc::clone(&hsm), public(&keys[&spec]).clone());
            tokio::spawn(async move {
                for round in 0..4_u8 {
                    let digest = [task.wrapping_mul(7) ^ round.wrapping_mul(61); 32];
                    let key = KeyRef { spec, material: &material };
                    let signature = hsm.sign(&key, algorithm, &digest).await.expect("signed");
                    assert!(
                        public.verify(algorithm, &digest, &signature).expect("verified"),
                        "{task} {round}"
                    );
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
}

async fn keys_outlive_their_holder(adapter: &impl Reopen, keys: &Keys) {
    let hsm = adapter.open();
    for (spec, key) in keys.iter().filter(|(spec, _)| spec.family() == KeyFamily::Ec) {
        let algorithm = SignatureAlgorithm::ALL.iter().copied().find(|algorithm| algorithm.fits(*spec));
        let algorithm = algorithm.expect("an algorithm");
        let digest = text(algorithm.digest_bytes());
        let signature = hsm.sign(&key.reference(*spec), algorithm, &digest).await.expect("signed");
        assert!(public(key).verify(algorithm, &digest, &signature).expect("verified"));
    }
}

async fn a_destroyed_key_is_gone(adapter: &impl Reopen, keys: &Keys) {
    let (hsm, other) = (adapter.open(), adapter.open());
    for (spec, key) in keys {
        let key = key.reference(*spec);
        if adapter.keeps_keys() && spec.family() != KeyFamily::Oct {
            hsm.backup(&key).await.expect("still there");
        }
        hsm.destroy(&key).await.expect("destroyed");
        hsm.destroy(&key).await.expect("destroying twice is no error");
        if !adapter.keeps_keys() {
            continue;
        }
        for holder in [&hsm, &other] {
            assert_eq!(holder.backup(&key).await.err(), Some(HsmError::NotFound), "{spec:?}");
        }
        for algorithm in
            SignatureAlgorithm::ALL.iter().copied().filter(|algorithm| hsm.signs(*spec, *algorithm))
        {
            let signed = hsm.sign(&key, algorithm, &text(algorithm.digest_bytes())).await;
            assert_eq!(signed.err(), Some(HsmError::NotFound), "{spec:?}");
        }
    }
}
