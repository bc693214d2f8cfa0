//! Keys of the HSM kinds in a premium vault: the token computes with them, and they never leave it.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use azure_security_keyvault_certificates::models::{
    CertificatePolicy, KeyProperties, KeyType as CertificateKeyType,
};
use azure_security_keyvault_keys::ResourceExt;
use azure_security_keyvault_keys::models::{
    CreateKeyParameters, CurveName, ImportKeyParameters, JsonWebKey, Key, KeyAttestation,
    KeyClientGetKeyAttestationOptions, KeyOperation, KeyOperationParameters, KeyType,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::rsa::Rsa;
use openssl::sign::Verifier;
use openssl::x509::X509;
use serde_json::Value;

use crate::certificates::{Certificates, PEM, kept_as, opened, policy, signs_itself};
use crate::cryptography::{
    TEXT, decrypt, encrypt, for_only, own_ec_key, random, sealing, sign, signs, unwrap, verified_elsewhere,
    wrap,
};
use crate::key_release::parsed;
use crate::keys::{Keys, ec, jwk, oct, on, rsa, version_of};
use crate::world::{PREMIUM, World, equal, fresh, refused, value};

/// What is wanted, of the kind that is held in a token.
fn in_token(like: CreateKeyParameters) -> Result<CreateKeyParameters> {
    let kty = match like.kty {
        Some(KeyType::Rsa) => KeyType::RsaHsm,
        Some(KeyType::Ec) => KeyType::EcHsm,
        Some(KeyType::Oct) => KeyType::OctHsm,
        other => bail!("no token holds {other:?}"),
    };
    Ok(CreateKeyParameters { kty: Some(kty), ..like })
}

async fn create(keys: &Keys, like: CreateKeyParameters) -> Result<Key> {
    let wanted = in_token(like)?;
    let made = keys.create(&fresh("hsm"), wanted.clone()).await?;
    let shown = jwk(&made)?;
    equal(&shown.kty, &wanted.kty)?;
    ensure!(shown.d.is_none() && shown.p.is_none() && shown.k.is_none(), "a private part is shown");
    Ok(made)
}

async fn signs_as_itself(keys: &Keys, key: &Key) -> Result<()> {
    verified_elsewhere(jwk(key)?, "ES256", &sign(keys, key, "ES256").await?)
}

pub async fn create_keys(world: &World) -> Result<()> {
    let keys = Keys::of(world, PREMIUM)?;
    for bits in [2048, 3072] {
        let made = create(&keys, rsa(bits)).await?;
        equal(jwk(&made)?.n.as_ref().map(|n| n.len() as i32 * 8), Some(bits))?;
        equal(&jwk(&keys.get(&made.resource_id()?.name, None).await?)?.n, &jwk(&made)?.n)?;
    }
    for (curve, field) in
        [(CurveName::P256, 32), (CurveName::P384, 48), (CurveName::P521, 66), (CurveName::P256K, 32)]
    {
        let made = create(&keys, on(curve)).await?;
        let lengths = [&jwk(&made)?.x, &jwk(&made)?.y].map(|part| part.as_ref().map(Vec::len));
        equal(lengths, [Some(field); 2])?;
    }
    for bits in [128, 192, 256] {
        create(&keys, oct(bits)).await?;
    }
    // A premium vault holds keys in software as well.
    equal(&jwk(&keys.ec(&fresh("soft")).await?)?.kty, &Some(KeyType::Ec))
}

pub async fn sign_with(world: &World) -> Result<()> {
    let keys = Keys::of(world, PREMIUM)?;
    let key = create(&keys, rsa(2048)).await?;
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        verified_elsewhere(jwk(&key)?, algorithm, &signs(&keys, &key, algorithm).await?)?;
    }
    for (curve, algorithm) in [
        (CurveName::P256, "ES256"),
        (CurveName::P384, "ES384"),
        (CurveName::P521, "ES512"),
        (CurveName::P256K, "ES256K"),
    ] {
        let key = create(&keys, on(curve)).await?;
        verified_elsewhere(jwk(&key)?, algorithm, &signs(&keys, &key, algorithm).await?)?;
    }
    Ok(())
}

pub async fn encrypt_and_wrap(world: &World) -> Result<()> {
    let (keys, other) = (Keys::of(world, PREMIUM)?, random::<32>()?);
    let key = create(&keys, rsa(2048)).await?;
    for algorithm in ["RSA-OAEP", "RSA-OAEP-256"] {
        let sealed = encrypt(&keys, &key, sealing(algorithm, TEXT)?).await?.result.context("nothing")?;
        equal(decrypt(&keys, &key, sealing(algorithm, &sealed)?).await?, TEXT.to_vec())?;
        let wrapped = wrap(&keys, &key, algorithm, &other).await?;
        equal(unwrap(&keys, &key, algorithm, &wrapped).await?, other.to_vec())?;
    }
    let answer = decrypt(&keys, &key, sealing("RSA-OAEP", &random::<256>()?)?).await;
    refused(answer, 400, &["BadParameter"])
}

pub async fn encrypt_and_wrap_aes(world: &World) -> Result<()> {
    let (keys, other) = (Keys::of(world, PREMIUM)?, random::<32>()?);
    for bits in [128, 256] {
        let wanted = for_only(oct(bits), &[KeyOperation::Encrypt, KeyOperation::Decrypt]);
        let key = create(&keys, wanted).await?;
        let algorithm = format!("A{bits}GCM");
        let beside = |aad: &[u8], parameters| KeyOperationParameters {
            additional_authenticated_data: Some(aad.to_vec()),
            ..parameters
        };
        let sealed = encrypt(&keys, &key, beside(b"beside", sealing(&algorithm, TEXT)?)).await?;
        let parts = KeyOperationParameters {
            authentication_tag: sealed.authentication_tag,
            iv: sealed.iv,
            ..sealing(&algorithm, &sealed.result.context("nothing")?)?
        };
        equal(decrypt(&keys, &key, beside(b"beside", parts.clone())).await?, TEXT.to_vec())?;
        refused(decrypt(&keys, &key, beside(b"other", parts)).await, 400, &["BadParameter"])?;
        for (suffix, text) in [("CBC", [7; 32].as_slice()), ("CBCPAD", TEXT)] {
            let (algorithm, iv) = (format!("A{bits}{suffix}"), Some(random::<16>()?.to_vec()));
            let with_iv = |parameters| KeyOperationParameters { iv: iv.clone(), ..parameters };
            let sealed = encrypt(&keys, &key, with_iv(sealing(&algorithm, text)?)).await?;
            let sealed = with_iv(sealing(&algorithm, &sealed.result.context("nothing")?)?);
            equal(decrypt(&keys, &key, sealed).await?, text.to_vec())?;
        }
        let wanted = for_only(oct(bits), &[KeyOperation::WrapKey, KeyOperation::UnwrapKey]);
        let (key, algorithm) = (create(&keys, wanted).await?, format!("A{bits}KW"));
        let wrapped = wrap(&keys, &key, &algorithm, &other).await?;
        equal((wrapped.len(), unwrap(&keys, &key, &algorithm, &wrapped).await?), (40, other.to_vec()))?;
        refused(unwrap(&keys, &key, &algorithm, &[0; 40]).await, 400, &["BadParameter"])?;
    }
    Ok(())
}

pub async fn import(world: &World) -> Result<()> {
    let (keys, own) = (Keys::of(world, PREMIUM)?, own_ec_key(CurveName::P256)?);
    let wanted = ImportKeyParameters { hsm: Some(true), key: Some(own.clone()), ..Default::default() };
    let name = fresh("imported");
    let imported = keys.0.import_key(&name, wanted.clone().try_into()?, None).await?.into_model()?;
    equal((&jwk(&imported)?.kty, &jwk(&imported)?.x), (&Some(KeyType::EcHsm), &own.x))?;
    signs_as_itself(&keys, &imported).await?;
    let standard = Keys::of(world, 0)?.0.import_key(&name, wanted.try_into()?, None).await;
    refused(standard.map_err(Into::into), 400, &["BadParameter"])
}

pub async fn import_wrapped(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, PREMIUM)?, fresh("wrapped"));
    let own = Rsa::public_key_from_pem(&fs::read(&world.transfer_public_pem)?)?;
    let wrapped = JsonWebKey {
        kty: Some(KeyType::RsaHsm),
        key_ops: Some(vec!["sign".to_owned(), "verify".to_owned()]),
        t: Some(fs::read(&world.transfer_blob)?),
        ..Default::default()
    };
    let imported = keys.import(&name, wrapped.clone()).await?;
    equal((&jwk(&imported)?.kty, &jwk(&imported)?.n), (&Some(KeyType::RsaHsm), &Some(own.n().to_vec())))?;
    verified_elsewhere(jwk(&imported)?, "PS256", &signs(&keys, &imported, "PS256").await?)?;
    refused(Keys::of(world, 0)?.import(&name, wrapped).await, 400, &["BadParameter"])
}

async fn attested(keys: &Keys, name: &str, key_version: Option<String>) -> Result<Key> {
    let options = KeyClientGetKeyAttestationOptions { key_version, ..Default::default() };
    Ok(keys.0.get_key_attestation(name, Some(options)).await?.into_model()?)
}

fn attestation_in(key: &Key) -> Result<&KeyAttestation> {
    key.attributes.as_ref().and_then(|attributes| attributes.attestation.as_ref()).context("no attestation")
}

/// What is signed in a statement, what it says, and its signature.
fn read(statement: &Option<Vec<u8>>) -> Result<(&str, Value, Vec<u8>)> {
    let statement = std::str::from_utf8(statement.as_deref().context("no statement")?)?;
    let (signed, signature) = statement.rsplit_once('.').context("no signature")?;
    let (_, payload) = signed.split_once('.').context("no payload")?;
    Ok((signed, parsed(payload)?, BASE64_URL_SAFE_NO_PAD.decode(signature)?))
}

pub async fn attestation(world: &World) -> Result<()> {
    let keys = Keys::of(world, PREMIUM)?;
    let key = create(&keys, rsa(2048)).await?;
    let found = attested(&keys, &key.resource_id()?.name, Some(version_of(&key)?)).await?;
    equal((&jwk(&found)?.kid, &jwk(&found)?.n), (&jwk(&key)?.kid, &jwk(&key)?.n))?;
    let attestation = attestation_in(&found)?;
    let certificate = attestation.certificate_pem_file.as_deref().context("no certificate")?;
    let signer = X509::from_pem(certificate)?.public_key()?;
    for (statement, kind) in [
        (&attestation.private_key_attestation, "CKO_PRIVATE_KEY"),
        (&attestation.public_key_attestation, "CKO_PUBLIC_KEY"),
    ] {
        let (signed, said, signature) = read(statement)?;
        let mut verifier = Verifier::new(MessageDigest::sha256(), &signer)?;
        verifier.update(signed.as_bytes())?;
        ensure!(verifier.verify(&signature)?, "the statement does not verify");
        equal(said["kid"].as_str(), jwk(&key)?.kid.as_deref())?;
        equal(&said["attributes"]["CKA_CLASS"], &Value::from(kind))?;
        equal(&said["attributes"]["CKA_LOCAL"], &Value::from(true))?;
    }
    let own = Some(own_ec_key(CurveName::P256)?);
    let (name, wanted) =
        (fresh("imported"), ImportKeyParameters { hsm: Some(true), key: own, ..Default::default() });
    keys.0.import_key(&name, wanted.try_into()?, None).await?;
    let imported = attested(&keys, &name, None).await?;
    let (_, said, _) = read(&attestation_in(&imported)?.private_key_attestation)?;
    for attribute in ["CKA_EXTRACTABLE", "CKA_LOCAL"] {
        equal(&said["attributes"][attribute], &Value::from(false))?;
    }
    let soft = fresh("soft");
    keys.ec(&soft).await?;
    refused(attested(&keys, &soft, None).await, 400, &["BadParameter"])
}

pub async fn rotate(world: &World) -> Result<()> {
    let keys = Keys::of(world, PREMIUM)?;
    let first = create(&keys, ec()).await?;
    let name = first.resource_id()?.name;
    let second = keys.rotate(&name).await?;
    equal(&jwk(&second)?.kty, &Some(KeyType::EcHsm))?;
    ensure!(jwk(&second)?.x != jwk(&first)?.x, "the same key");
    signs_as_itself(&keys, &first).await?;
    signs_as_itself(&keys, &second).await?;
    equal(keys.versions(&name).await?.len(), 2)
}

pub async fn delete_and_purge(world: &World) -> Result<()> {
    let keys = Keys::of(world, PREMIUM)?;
    let key = create(&keys, ec()).await?;
    let name = key.resource_id()?.name;
    let backup = keys.backup(&name).await?;
    keys.delete(&name).await?;
    refused(sign(&keys, &key, "ES256").await, 404, &["KeyNotFound"])?;
    keys.recover(&name).await?;
    signs_as_itself(&keys, &key).await?;
    keys.delete(&name).await?;
    keys.purge(&name).await?;
    // The backup was a reference to the key in the token, which is gone.
    refused(keys.restore(&backup).await, 400, &["BadParameter"])?;
    refused(keys.get(&name, None).await, 404, &["KeyNotFound"])
}

pub async fn of_a_certificate(world: &World) -> Result<()> {
    let (certificates, name) = (Certificates::of(world, PREMIUM)?, fresh("token"));
    let key = KeyProperties {
        key_type: Some(CertificateKeyType::EcHsm),
        exportable: Some(false),
        ..policy().key_properties.unwrap_or_default()
    };
    let how = CertificatePolicy { key_properties: Some(key), ..kept_as(PEM, policy()) };
    let made = certificates.create(&name, how.clone()).await?;
    signs_itself(&opened(&made)?)?;
    let text = value(&world.client(PREMIUM)?, &name).await?;
    ensure!(!text.contains("PRIVATE"), "a private key is given out");
    equal(X509::from_pem(text.as_bytes())?.to_der()?, made.cer.context("no certificate")?)?;
    let keys = Keys::of(world, PREMIUM)?;
    let key = keys.get(&name, None).await?;
    equal((&jwk(&key)?.kid, &jwk(&key)?.kty), (&made.kid, &Some(KeyType::EcHsm)))?;
    signs_as_itself(&keys, &key).await?;
    refused(Certificates::of(world, 0)?.begin(&fresh("token"), how).await, 400, &["BadParameter"])
}
