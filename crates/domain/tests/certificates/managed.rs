//! What belongs to a certificate is used like any other key and secret, as far as the certificate allows, and changed
//! through the certificate only.

use std::collections::BTreeSet;

use vouchsafe_crypto::keys::{EncryptionAlgorithm, KeyFamily, KeySpec, SignatureAlgorithm};
use vouchsafe_crypto::pki::{KeyUsage, ParsedCertificate, parse_csr};
use vouchsafe_domain::vault::certificate::{IssuerChoice, PolicyPatch};
use vouchsafe_domain::vault::{Error, KeyAttributes, KeyOperation, KeyToCreate, KeyUpdate, SecretUpdate};

use crate::support::{House, itself, object, quick, to_set};

#[tokio::test]
async fn key_and_secret_of_a_certificate_are_not_changed_by_themselves() {
    let house = House::new(30).await;
    house.make("web", itself()).await;
    let (context, name) = (house.opened.context(), object("web"));
    let (platform, caller, at) = (house.platform(), &house.caller, house.at());
    let before = house.memory.image().await;
    let key = KeyToCreate {
        spec: KeySpec::P256,
        in_token: false,
        operations: None,
        attributes: KeyAttributes::default(),
        release_policy: None,
    };
    let refused: Vec<(&str, Option<Error>)> = vec![
        ("delete key", platform.delete_key(&context, caller, at, &name).await.err()),
        ("create key", platform.create_key(&context, caller, at, &name, &key).await.err()),
        ("rotate key", platform.rotate_key(&context, caller, at, &name).await.err()),
        ("backup key", platform.backup_key(&context, caller, at, &name).await.err()),
        (
            "update key",
            platform.update_key(&context, caller, at, &name, None, &KeyUpdate::default()).await.err(),
        ),
        ("delete secret", platform.delete_secret(&context, caller, at, &name).await.err()),
        ("set secret", platform.set_secret(&context, caller, at, &name, &to_set("v")).await.err()),
        ("backup secret", platform.backup_secret(&context, caller, at, &name).await.err()),
        (
            "update secret",
            platform.update_secret(&context, caller, at, &name, None, &SecretUpdate::default()).await.err(),
        ),
    ];
    for (what, error) in refused {
        assert!(matches!(error, Some(Error::Managed(..))), "{what}: {error:?}");
    }
    assert_eq!(house.memory.image().await, before);
}

/// What a certificate says, and what its key then does.
#[tokio::test]
async fn a_key_does_what_the_key_usage_of_its_certificate_says_and_nothing_else() {
    use KeyOperation::{Decrypt, Encrypt, Sign, UnwrapKey, Verify, WrapKey};
    let (rsa, ec) = (KeySpec::Rsa2048, KeySpec::P256);
    let cases: [(KeySpec, &[KeyUsage], &[KeyOperation]); 8] = [
        (rsa, &[KeyUsage::DigitalSignature], &[Sign, Verify]),
        (rsa, &[KeyUsage::NonRepudiation], &[Sign, Verify]),
        (rsa, &[KeyUsage::KeyEncipherment], &[Encrypt, Decrypt, WrapKey, UnwrapKey]),
        (rsa, &[KeyUsage::DataEncipherment], &[Encrypt, Decrypt]),
        (
            rsa,
            &[KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment],
            &[Encrypt, Decrypt, Sign, Verify, WrapKey, UnwrapKey],
        ),
        (rsa, &[], &[Encrypt, Decrypt, Sign, Verify, WrapKey, UnwrapKey]),
        (ec, &[KeyUsage::KeyAgreement, KeyUsage::KeyEncipherment], &[]),
        (ec, &[KeyUsage::KeyAgreement], &[]),
    ];
    let house = House::new(31).await;
    for (number, (spec, usage, allowed)) in cases.into_iter().enumerate() {
        let name = format!("used-{number}");
        let policy = PolicyPatch {
            key_type: Some((spec.family(), false)),
            curve: (spec.family() == KeyFamily::Ec).then_some(spec),
            key_usage: Some(usage.iter().copied().collect::<BTreeSet<_>>()),
            ..PolicyPatch { curve: None, ..quick(IssuerChoice::Itself) }
        };
        house.make(&name, policy).await;
        let (context, object) = (house.opened.context(), object(&name));
        let (platform, caller, at) = (house.platform(), &house.caller, house.at());
        let key = platform.get_key(&context, caller, at, &object, None).await.expect("a key").version;
        assert_eq!(key.operations, allowed, "{spec:?} with {usage:?}");
        let algorithm = if spec == rsa { SignatureAlgorithm::Rs256 } else { SignatureAlgorithm::Es256 };
        let signed = platform.sign(&context, caller, at, &object, None, algorithm, &[7; 32]).await;
        assert_eq!(signed.is_ok(), allowed.contains(&Sign), "sign, {spec:?} with {usage:?}");
        if spec == rsa {
            let oaep = EncryptionAlgorithm::RsaOaep256;
            let public = key.public.as_ref().expect("a public half");
            let encrypted = public.encrypt(oaep, b"for the key").expect("a ciphertext");
            let decrypted =
                platform.decrypt(&context, caller, at, &object, None, oaep, &encrypted.parts()).await;
            assert_eq!(decrypted.is_ok(), allowed.contains(&Decrypt), "decrypt with {usage:?}");
            let unwrapped =
                platform.unwrap_key(&context, caller, at, &object, None, oaep, &encrypted.parts()).await;
            assert_eq!(unwrapped.is_ok(), allowed.contains(&UnwrapKey), "unwrap with {usage:?}");
        }
    }
}

/// `az keyvault certificate get-default-policy` asks for the right to certify, in a certificate that is no authority.
#[tokio::test]
async fn the_right_to_certify_is_kept_in_the_policy_and_never_in_a_certificate() {
    let house = House::new(32).await;
    let asked = [
        KeyUsage::CrlSign,
        KeyUsage::DataEncipherment,
        KeyUsage::DigitalSignature,
        KeyUsage::KeyAgreement,
        KeyUsage::KeyCertSign,
        KeyUsage::KeyEncipherment,
    ];
    // Its key is on a curve, to which nothing is enciphered.
    let given = BTreeSet::from([KeyUsage::DigitalSignature, KeyUsage::KeyAgreement]);
    let wanted = |issuer| PolicyPatch { key_usage: Some(asked.into()), ..quick(issuer) };
    house.make("itself", wanted(IssuerChoice::Itself)).await;
    let read = house.get("itself").await.expect("a certificate");
    assert_eq!(read.policy.expect("a policy").x509.key_usage, asked.into());
    let leaf = ParsedCertificate::from_der(read.version.leaf().expect("a certificate")).expect("X.509");
    assert_eq!(leaf.key_usage(), Some(&given));
    assert!(!leaf.is_authority());
    // Who answers a request elsewhere is not asked for it either.
    let begun = house.begin("request", wanted(IssuerChoice::Unknown)).await.expect("an operation");
    assert_eq!(parse_csr(&begun.csr).expect("a request").key_usage(), Some(&given));
}
