//! Keys on their way out: an exportable key opens for its recipient as the key that it is, and no other key does.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use vouchsafe_crypto::keys::{
    CiphertextParts, DecryptError, EncryptionAlgorithm, KeyFamily, KeySpec, PrivateKey, SignatureAlgorithm,
    TransportAlgorithm,
};
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::Hsm;
use vouchsafe_domain::ports::hsm::{Exportable, HeldKey, HsmError};

use super::{Keys, Reopen, is_refused, public, text, wrapped};

/// What the recipient has in the end: the layout of `CKM_RSA_AES_KEY_WRAP`, opened with what knows nothing of the holder.
fn opened(
    recipient: &PrivateKey,
    algorithm: TransportAlgorithm,
    blob: &[u8],
) -> Result<SecretBytes, DecryptError> {
    let oaep = match algorithm {
        TransportAlgorithm::CkmRsaAesKeyWrap => EncryptionAlgorithm::RsaOaep,
        _ => EncryptionAlgorithm::RsaOaep256,
    };
    let (outer, inner) = blob.split_at(recipient.spec().bytes());
    let aes = recipient.decrypt(oaep, &CiphertextParts::of(outer))?;
    let kek = AesKek::new(&AES_256, aes.expose(Reason::Test)).expect("an AES-256 key");
    let mut clear = vec![0; inner.len()];
    let clear = kek.unwrap_with_padding(inner, &mut clear).map_err(|_| DecryptError::Refused)?;
    Ok(SecretBytes::new(clear.to_vec()))
}

/// Both transports that the recipients of these tests can open: their own OAEP takes SHA-1 and SHA-256.
const TRANSPORTS: [TransportAlgorithm; 2] =
    [TransportAlgorithm::CkmRsaAesKeyWrap, TransportAlgorithm::RsaAesKeyWrap256];

pub(super) async fn an_exportable_key_opens_for_its_recipient_as_the_key_that_it_is(hsm: &dyn Hsm) {
    let (recipient, stranger) =
        (PrivateKey::generate(KeySpec::Rsa3072), PrivateKey::generate(KeySpec::Rsa3072));
    let to = recipient.public().expect("a public half");
    for spec in KeySpec::ALL.into_iter().filter(|spec| hsm.releases(*spec)) {
        let held = hsm.generate(spec, Exportable::OnRelease).await;
        let held = held.unwrap_or_else(|error| panic!("{spec:?}: {error:?}"));
        let key = held.reference(spec);
        let mut blobs = Vec::new();
        for algorithm in TRANSPORTS {
            let context = format!("{spec:?} {algorithm:?}");
            let blob = hsm.wrap_for_release(&key, &to, algorithm).await.expect(&context);
            assert!(opened(&stranger, algorithm, &blob).is_err(), "{context}: for somebody else");
            let clear = opened(&recipient, algorithm, &blob).expect(&context);
            is_the_key(hsm, spec, &held, &clear).await;
            blobs.push(blob);
        }
        let again = hsm.wrap_for_release(&key, &to, TRANSPORTS[0]).await.expect("wrapped");
        assert!(again != blobs[0], "{spec:?}: no AES key wraps twice");
        let longest = hsm.wrap_for_release(&key, &to, TransportAlgorithm::RsaAesKeyWrap384).await;
        assert_eq!(longest.map(|blob| blob.len()), Ok(blobs[0].len()), "{spec:?}");
        // It does everything else as any key does, and a restored one is as exportable as it was.
        let restored = hsm.restore(spec, &hsm.backup(&key).await.expect("a backup")).await.expect("restored");
        let blob = hsm.wrap_for_release(&restored.reference(spec), &to, TRANSPORTS[0]).await;
        is_the_key(
            hsm,
            spec,
            &held,
            &opened(&recipient, TRANSPORTS[0], &blob.expect("wrapped")).expect("opened"),
        )
        .await;
        let curve = PrivateKey::generate(KeySpec::P256).public().expect("a public half");
        is_refused(hsm.wrap_for_release(&key, &curve, TRANSPORTS[0]).await, "nothing opens that");
        hsm.destroy(&key).await.expect("destroyed");
    }
}

/// A key as long as its DER says. SoftHSM 2.6 fills a key up to whole blocks before it wraps it, so that up to seven zeros
/// are wrapped with it.
pub fn without_filling(clear: &SecretBytes) -> SecretBytes {
    let clear = clear.expose(Reason::Test);
    let [0x30, first, rest @ ..] = clear else { panic!("no sequence") };
    let lengths = usize::from(first.checked_sub(0x80).unwrap_or(0));
    let content = rest[..lengths].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let bytes = 2 + lengths + if lengths == 0 { usize::from(*first) } else { content };
    let (key, filling) = clear.split_at(bytes);
    assert!(filling.len() < 8 && filling.iter().all(|byte| *byte == 0), "{} more bytes", filling.len());
    SecretBytes::new(key.to_vec())
}

/// Whether what came out is what is held: its public half is, or it decrypts what was encrypted there.
async fn is_the_key(hsm: &dyn Hsm, spec: KeySpec, held: &HeldKey, clear: &SecretBytes) {
    let key = held.reference(spec);
    if spec.family() != KeyFamily::Oct {
        let released = PrivateKey::from_pkcs8(&without_filling(clear));
        let released = released.unwrap_or_else(|error| panic!("{spec:?}: {error:?}"));
        assert_eq!(released.public(), held.public, "{spec:?}");
        let algorithm = SignatureAlgorithm::ALL.iter().copied().find(|algorithm| algorithm.fits(spec));
        let algorithm = algorithm.expect("an algorithm");
        let digest = text(algorithm.digest_bytes());
        let signature = released.sign(algorithm, &digest).expect("signed");
        assert!(public(held).verify(algorithm, &digest, &signature).expect("verified"), "{spec:?}");
        let signature = hsm.sign(&key, algorithm, &digest).await.expect("signed");
        assert!(public(held).verify(algorithm, &digest, &signature).expect("verified"), "{spec:?}");
        return;
    }
    let released = PrivateKey::from_material(spec, clear).expect("a symmetric key");
    let algorithm = EncryptionAlgorithm::ALL.iter().copied();
    let algorithm = algorithm.filter(|algorithm| algorithm.fits(spec)).find(|algorithm| algorithm.wraps());
    let algorithm = algorithm.expect("an algorithm");
    let there = hsm.encrypt(&key, algorithm, &text(32), None, None).await.expect("encrypted");
    let here = released.decrypt(algorithm, &there.parts()).expect("decrypted");
    assert_eq!(here.expose(Reason::Test), text(32), "{spec:?}");
}

pub(super) async fn what_was_taken_over_to_be_released_is_released(hsm: &dyn Hsm, keys: &Keys) {
    let (recipient, exchange) = (PrivateKey::generate(KeySpec::Rsa2048), &keys[&KeySpec::Rsa2048]);
    let to = recipient.public().expect("a public half");
    for spec in [KeySpec::Rsa2048, KeySpec::P256, KeySpec::Oct256] {
        if !hsm.releases(spec) {
            continue;
        }
        let original = PrivateKey::generate(spec);
        let clear = original.to_pkcs8().unwrap_or_else(|| original.to_material());
        let blob = wrapped(public(exchange), &clear);
        let with = exchange.reference(KeySpec::Rsa2048);
        let brought = match hsm.import_wrapped(&with, &blob, spec, Exportable::OnRelease).await {
            Err(HsmError::Unsupported(_)) if spec.family() == KeyFamily::Ec => None,
            brought => Some(brought.unwrap_or_else(|error| panic!("{spec:?}: {error:?}"))),
        };
        let imported = hsm.import(original, Exportable::OnRelease).await.expect("imported");
        for held in brought.into_iter().chain([imported]) {
            let key = held.reference(spec);
            let blob = hsm.wrap_for_release(&key, &to, TRANSPORTS[0]).await.expect("wrapped");
            is_the_key(hsm, spec, &held, &opened(&recipient, TRANSPORTS[0], &blob).expect("opened")).await;
            hsm.destroy(&key).await.expect("destroyed");
        }
    }
}

pub(super) async fn a_key_that_is_not_exportable_stays(adapter: &impl Reopen, keys: &Keys) {
    // A holder whose keys are with the caller cannot know; who asks decides there.
    if !adapter.keeps_keys() {
        return;
    }
    let hsm = adapter.open();
    let to = PrivateKey::generate(KeySpec::Rsa2048).public().expect("a public half");
    for (spec, key) in keys {
        for algorithm in TransportAlgorithm::ALL {
            let wrapped = hsm.wrap_for_release(&key.reference(*spec), &to, algorithm).await;
            assert_eq!(wrapped, Err(HsmError::Refused("the key is not exportable")), "{spec:?}");
        }
    }
}
