//! What keys do, through `azure_security_keyvault_keys` as it is; what can be checked elsewhere is, by OpenSSL.

use anyhow::{Context, Result, bail, ensure};
use azure_security_keyvault_keys::ResourceExt;
use azure_security_keyvault_keys::models::{
    CreateKeyParameters, CurveName, EncryptionAlgorithm, JsonWebKey, Key, KeyAttributes,
    KeyClientEncryptOptions, KeyClientSignOptions, KeyClientWrapKeyOptions, KeyOperation,
    KeyOperationParameters, KeyOperationResult, KeyType, SignParameters, SignatureAlgorithm,
    UpdateKeyPropertiesParameters, VerifyParameters,
};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::encrypt::Encrypter;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rand::rand_bytes;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};

use crate::keys::{Keys, days_from_now, ec, enabled, jwk, oct, on, policy, rsa, version_of};
use crate::world::{World, equal, fresh, refused};

pub const TEXT: &[u8] = b"what is signed";
const ACTION: &str = "Microsoft.KeyVault/vaults/keys/";

/// The digest that a signature algorithm is over.
fn digest_of(algorithm: &str) -> Result<MessageDigest> {
    Ok(match algorithm.get(2..5) {
        Some("256") => MessageDigest::sha256(),
        Some("384") => MessageDigest::sha384(),
        Some("512") => MessageDigest::sha512(),
        _ => bail!("`{algorithm}` is over no digest"),
    })
}

fn group(curve: &CurveName) -> Result<(EcGroup, i32)> {
    let (nid, field) = match curve {
        CurveName::P256 => (Nid::X9_62_PRIME256V1, 32),
        CurveName::P384 => (Nid::SECP384R1, 48),
        CurveName::P521 => (Nid::SECP521R1, 66),
        CurveName::P256K => (Nid::SECP256K1, 32),
        other => bail!("no curve is called {other}"),
    };
    Ok((EcGroup::from_curve_name(nid)?, field))
}

/// A key made here, in the shape that is imported.
pub fn own_ec_key(curve: CurveName) -> Result<JsonWebKey> {
    let (group, field) = group(&curve)?;
    let own = EcKey::generate(&group)?;
    let (mut x, mut y, mut context) = (BigNum::new()?, BigNum::new()?, BigNumContext::new()?);
    own.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context)?;
    Ok(JsonWebKey {
        kty: Some(KeyType::Ec),
        crv: Some(curve),
        key_ops: Some(vec!["sign".to_owned()]),
        x: Some(x.to_vec_padded(field)?),
        y: Some(y.to_vec_padded(field)?),
        d: Some(own.private_key().to_vec_padded(field)?),
        ..Default::default()
    })
}

/// The same for RSA.
pub fn own_rsa_key() -> Result<JsonWebKey> {
    let own = Rsa::generate(2048)?;
    Ok(JsonWebKey {
        kty: Some(KeyType::Rsa),
        key_ops: Some(vec!["sign".to_owned(), "verify".to_owned()]),
        n: Some(own.n().to_vec()),
        e: Some(own.e().to_vec()),
        d: Some(own.d().to_vec()),
        p: own.p().map(|part| part.to_vec()),
        q: own.q().map(|part| part.to_vec()),
        dp: own.dmp1().map(|part| part.to_vec()),
        dq: own.dmq1().map(|part| part.to_vec()),
        qi: own.iqmp().map(|part| part.to_vec()),
        ..Default::default()
    })
}

fn number(part: &Option<Vec<u8>>) -> Result<BigNum> {
    Ok(BigNum::from_slice(part.as_ref().context("a part of the key is missing")?)?)
}

fn public_rsa(key: &JsonWebKey) -> Result<PKey<Public>> {
    Ok(PKey::from_rsa(Rsa::from_public_components(number(&key.n)?, number(&key.e)?)?)?)
}

/// Fails unless OpenSSL takes the signature for one of this public key over the text.
pub fn verified_elsewhere(key: &JsonWebKey, algorithm: &str, signature: &[u8]) -> Result<()> {
    let digest = digest_of(algorithm)?;
    let holds = if algorithm.starts_with("ES") {
        let (group, _) = group(key.crv.as_ref().context("a key without a curve")?)?;
        let public = EcKey::from_public_key_affine_coordinates(&group, &*number(&key.x)?, &*number(&key.y)?)?;
        let (r, s) = signature.split_at(signature.len() / 2);
        let pair = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
        pair.verify(&hash(digest, TEXT)?, &public)?
    } else {
        let public = public_rsa(key)?;
        let mut verifier = Verifier::new(digest, &public)?;
        if algorithm.starts_with("PS") {
            verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
            verifier.set_rsa_mgf1_md(digest)?;
            verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
        }
        verifier.update(TEXT)?;
        verifier.verify(signature)?
    };
    ensure!(holds, "OpenSSL does not take the {algorithm} signature");
    Ok(())
}

/// Signs the text with this version of a key.
pub async fn sign(keys: &Keys, key: &Key, algorithm: &str) -> Result<Vec<u8>> {
    let digest = hash(digest_of(algorithm)?, TEXT)?;
    sign_digest(keys, key, algorithm, &digest).await
}

async fn sign_digest(keys: &Keys, key: &Key, algorithm: &str, digest: &[u8]) -> Result<Vec<u8>> {
    let id = key.resource_id()?;
    let options = KeyClientSignOptions { key_version: id.version, ..Default::default() };
    let wanted = SignParameters { algorithm: Some(algorithm.parse()?), value: Some(digest.to_vec()) };
    let signed = keys.0.sign(&id.name, wanted.try_into()?, Some(options)).await?.into_model()?;
    equal(&signed.kid, &jwk(key)?.kid)?;
    signed.result.context("no signature")
}

async fn verify(keys: &Keys, key: &Key, algorithm: &str, signature: &[u8]) -> Result<bool> {
    let wanted = VerifyParameters {
        algorithm: Some(algorithm.parse::<SignatureAlgorithm>()?),
        digest: Some(hash(digest_of(algorithm)?, TEXT)?.to_vec()),
        signature: Some(signature.to_vec()),
    };
    let name = key.resource_id()?.name;
    let answer = keys.0.verify(&name, &version_of(key)?, wanted.try_into()?, None).await?.into_model()?;
    answer.value.context("no verdict")
}

/// Signs and verifies in the vault, and takes a changed signature for none.
pub async fn signs(keys: &Keys, key: &Key, algorithm: &str) -> Result<Vec<u8>> {
    let signature = sign(keys, key, algorithm).await?;
    ensure!(verify(keys, key, algorithm, &signature).await?, "{algorithm} is not verified");
    let mut wrong = signature.clone();
    wrong[0] ^= 1;
    ensure!(!verify(keys, key, algorithm, &wrong).await?, "{algorithm} of another text");
    Ok(signature)
}

pub fn sealing(algorithm: &str, value: &[u8]) -> Result<KeyOperationParameters> {
    let algorithm: EncryptionAlgorithm = algorithm.parse()?;
    Ok(KeyOperationParameters {
        algorithm: Some(algorithm),
        value: Some(value.to_vec()),
        ..Default::default()
    })
}

pub async fn encrypt(keys: &Keys, key: &Key, wanted: KeyOperationParameters) -> Result<KeyOperationResult> {
    let id = key.resource_id()?;
    let options = KeyClientEncryptOptions { key_version: id.version, ..Default::default() };
    Ok(keys.0.encrypt(&id.name, wanted.try_into()?, Some(options)).await?.into_model()?)
}

pub async fn decrypt(keys: &Keys, key: &Key, wanted: KeyOperationParameters) -> Result<Vec<u8>> {
    let name = key.resource_id()?.name;
    let opened = keys.0.decrypt(&name, &version_of(key)?, wanted.try_into()?, None).await?.into_model()?;
    opened.result.context("no plaintext")
}

pub async fn wrap(keys: &Keys, key: &Key, algorithm: &str, value: &[u8]) -> Result<Vec<u8>> {
    let id = key.resource_id()?;
    let options = KeyClientWrapKeyOptions { key_version: id.version, ..Default::default() };
    let wanted = sealing(algorithm, value)?.try_into()?;
    let wrapped = keys.0.wrap_key(&id.name, wanted, Some(options)).await?.into_model()?;
    wrapped.result.context("nothing wrapped")
}

pub async fn unwrap(keys: &Keys, key: &Key, algorithm: &str, value: &[u8]) -> Result<Vec<u8>> {
    let name = key.resource_id()?.name;
    let wanted = sealing(algorithm, value)?.try_into()?;
    let opened = keys.0.unwrap_key(&name, &version_of(key)?, wanted, None).await?.into_model()?;
    opened.result.context("nothing unwrapped")
}

pub fn for_only(like: CreateKeyParameters, operations: &[KeyOperation]) -> CreateKeyParameters {
    CreateKeyParameters { key_ops: Some(operations.to_vec()), ..like }
}

pub fn random<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    rand_bytes(&mut bytes)?;
    Ok(bytes)
}

pub async fn sign_rsa(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    let key = keys.create(&fresh("sign"), rsa(2048)).await?;
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        verified_elsewhere(jwk(&key)?, algorithm, &signs(&keys, &key, algorithm).await?)?;
    }
    Ok(())
}

pub async fn sign_ec(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    for (curve, algorithm) in [
        (CurveName::P256, "ES256"),
        (CurveName::P384, "ES384"),
        (CurveName::P521, "ES512"),
        (CurveName::P256K, "ES256K"),
    ] {
        let key = keys.create(&fresh("sign"), on(curve)).await?;
        verified_elsewhere(jwk(&key)?, algorithm, &signs(&keys, &key, algorithm).await?)?;
    }
    Ok(())
}

pub async fn sign_hmac(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    let wanted = for_only(oct(256), &[KeyOperation::Sign, KeyOperation::Verify]);
    let key = keys.create(&fresh("sign"), wanted).await?;
    for algorithm in ["HS256", "HS384", "HS512"] {
        signs(&keys, &key, algorithm).await?;
    }
    Ok(())
}

pub async fn sign_with_the_wrong_algorithm_is_refused(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    let key = keys.ec(&fresh("wrong")).await?;
    for (algorithm, bytes) in [("RS256", 32), ("ES384", 48), ("ES256", 48)] {
        let answer = sign_digest(&keys, &key, algorithm, &vec![1; bytes]).await;
        refused(answer, 400, &["BadParameter"])?;
    }
    Ok(())
}

pub async fn encrypt_rsa(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    let key = keys.create(&fresh("encrypt"), rsa(2048)).await?;
    for algorithm in ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"] {
        let sealed = encrypt(&keys, &key, sealing(algorithm, TEXT)?).await?.result.context("nothing")?;
        equal(decrypt(&keys, &key, sealing(algorithm, &sealed)?).await?, TEXT.to_vec())?;
    }
    for algorithm in ["RSA-OAEP", "RSA-OAEP-256"] {
        let answer = decrypt(&keys, &key, sealing(algorithm, &random::<256>()?)?).await;
        refused(answer, 400, &["BadParameter"])?;
    }
    Ok(())
}

pub async fn encrypt_aes_gcm(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    for bits in [128, 192, 256] {
        let wanted = for_only(oct(bits), &[KeyOperation::Encrypt, KeyOperation::Decrypt]);
        let key = keys.create(&fresh("gcm"), wanted).await?;
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
        ensure!(parts.authentication_tag.is_some() && parts.iv.is_some(), "parts are missing");
        equal(decrypt(&keys, &key, beside(b"beside", parts.clone())).await?, TEXT.to_vec())?;
        refused(decrypt(&keys, &key, beside(b"other", parts)).await, 400, &["BadParameter"])?;
    }
    Ok(())
}

pub async fn encrypt_aes_cbc(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    for bits in [128, 192, 256] {
        let wanted = for_only(oct(bits), &[KeyOperation::Encrypt, KeyOperation::Decrypt]);
        let key = keys.create(&fresh("cbc"), wanted).await?;
        for (suffix, text) in [("CBC", [7; 32].as_slice()), ("CBCPAD", TEXT)] {
            let (algorithm, iv) = (format!("A{bits}{suffix}"), Some(random::<16>()?.to_vec()));
            let with_iv = |parameters| KeyOperationParameters { iv: iv.clone(), ..parameters };
            let sealed = encrypt(&keys, &key, with_iv(sealing(&algorithm, text)?)).await?;
            let sealed = with_iv(sealing(&algorithm, &sealed.result.context("nothing")?)?);
            equal(decrypt(&keys, &key, sealed).await?, text.to_vec())?;
        }
    }
    Ok(())
}

pub async fn wrap_rsa(world: &World) -> Result<()> {
    let (keys, other) = (Keys::of(world, 0)?, random::<32>()?);
    let key = keys.create(&fresh("wrap"), rsa(2048)).await?;
    for algorithm in ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"] {
        let wrapped = wrap(&keys, &key, algorithm, &other).await?;
        equal(unwrap(&keys, &key, algorithm, &wrapped).await?, other.to_vec())?;
    }
    Ok(())
}

pub async fn wrap_aes(world: &World) -> Result<()> {
    let (keys, other) = (Keys::of(world, 0)?, random::<32>()?);
    for bits in [128, 192, 256] {
        let wanted = for_only(oct(bits), &[KeyOperation::WrapKey, KeyOperation::UnwrapKey]);
        let key = keys.create(&fresh("wrap"), wanted).await?;
        let algorithm = format!("A{bits}KW");
        let wrapped = wrap(&keys, &key, &algorithm, &other).await?;
        equal((wrapped.len(), unwrap(&keys, &key, &algorithm, &wrapped).await?), (40, other.to_vec()))?;
        refused(unwrap(&keys, &key, &algorithm, &[0; 40]).await, 400, &["BadParameter"])?;
    }
    Ok(())
}

pub async fn operations_are_enforced(world: &World) -> Result<()> {
    let (keys, said) = (Keys::of(world, 0)?, &["Forbidden", "KeyOperationForbidden"]);
    let signer = keys.create(&fresh("only"), for_only(rsa(2048), &[KeyOperation::Sign])).await?;
    let signature = sign(&keys, &signer, "RS256").await?;
    refused(verify(&keys, &signer, "RS256", &signature).await, 403, said)?;
    refused(encrypt(&keys, &signer, sealing("RSA-OAEP", TEXT)?).await, 403, said)?;
    refused(decrypt(&keys, &signer, sealing("RSA-OAEP", &[0; 256])?).await, 403, said)?;
    refused(wrap(&keys, &signer, "RSA-OAEP", &[0; 16]).await, 403, said)?;
    refused(unwrap(&keys, &signer, "RSA-OAEP", &[0; 256]).await, 403, said)?;
    let opener = keys.create(&fresh("only"), for_only(rsa(2048), &[KeyOperation::Decrypt])).await?;
    refused(sign(&keys, &opener, "RS256").await, 403, said)
}

pub async fn disabled_cannot_be_used(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("disabled"));
    let key = keys.ec(&name).await?;
    sign(&keys, &key, "ES256").await?;
    keys.update(&name, None, enabled(false)).await?;
    refused(sign(&keys, &key, "ES256").await, 403, &["Forbidden", "KeyDisabled"])?;
    keys.update(&name, None, enabled(true)).await?;
    sign(&keys, &key, "ES256").await?;
    Ok(())
}

pub async fn outside_its_dates_cannot_be_used(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    let expired = KeyAttributes { expires: Some(days_from_now(-1)?), ..Default::default() };
    let to_come = KeyAttributes { not_before: Some(days_from_now(1)?), ..Default::default() };
    for (dates, said) in [(expired, "KeyExpired"), (to_come, "KeyNotYetValid")] {
        let name = fresh("dates");
        let key = keys.ec(&name).await?;
        let wanted = UpdateKeyPropertiesParameters { key_attributes: Some(dates), ..Default::default() };
        keys.update(&name, None, wanted).await?;
        refused(sign(&keys, &key, "ES256").await, 403, &["Forbidden", said])?;
    }
    Ok(())
}

pub async fn of_an_older_version_still_opens(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("older"));
    let first = keys.create(&name, rsa(2048)).await?;
    let sealed = encrypt(&keys, &first, sealing("RSA-OAEP-256", TEXT)?).await?.result.context("nothing")?;
    keys.rotate(&name).await?;
    equal(decrypt(&keys, &first, sealing("RSA-OAEP-256", &sealed)?).await?, TEXT.to_vec())
}

pub async fn local_and_remote_agree(world: &World) -> Result<()> {
    let keys = Keys::of(world, 0)?;
    let key = keys.create(&fresh("local"), rsa(2048)).await?;
    // This client does nothing by itself, so that it is OpenSSL that seals.
    let public = public_rsa(jwk(&key)?)?;
    let mut encrypter = Encrypter::new(&public)?;
    encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
    encrypter.set_rsa_oaep_md(MessageDigest::sha256())?;
    encrypter.set_rsa_mgf1_md(MessageDigest::sha256())?;
    let mut sealed = vec![0; encrypter.encrypt_len(TEXT)?];
    let length = encrypter.encrypt(TEXT, &mut sealed)?;
    equal(decrypt(&keys, &key, sealing("RSA-OAEP-256", &sealed[..length])?).await?, TEXT.to_vec())?;
    verified_elsewhere(jwk(&key)?, "PS384", &sign(&keys, &key, "PS384").await?)
}

pub async fn used_without_a_version(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("newest"));
    keys.ec(&name).await?;
    let newest = keys.ec(&name).await?;
    let wanted = SignParameters {
        algorithm: Some(SignatureAlgorithm::Es256),
        value: Some(hash(MessageDigest::sha256(), TEXT)?.to_vec()),
    };
    let signed = keys.0.sign(&name, wanted.try_into()?, None).await?.into_model()?;
    equal(&signed.kid, &jwk(&newest)?.kid)?;
    verified_elsewhere(jwk(&newest)?, "ES256", &signed.result.context("no signature")?)
}

pub async fn user_cannot_change_keys(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, &world.seeded_key);
    let key = keys.get(name, None).await?;
    let signature = sign(&keys, &key, "ES256").await?;
    ensure!(verify(&keys, &key, "ES256", &signature).await?, "not verified");
    let no = |result: Result<()>, action: &str| {
        refused(result, 403, &["ForbiddenByRbac", &format!("{ACTION}{action}")])
    };
    no(keys.create(&fresh("refused"), ec()).await.map(drop), "create/action")?;
    let own = own_ec_key(CurveName::P256)?;
    no(keys.import(&fresh("refused"), own).await.map(drop), "import/action")?;
    no(keys.delete(name).await, "delete")?;
    no(keys.purge(name).await, "purge/action")?;
    no(keys.recover(name).await, "recover/action")?;
    no(keys.rotate(name).await.map(drop), "rotate/action")?;
    let written = keys.0.update_key_rotation_policy(name, policy("P90D").try_into()?, None).await;
    let action = "Microsoft.KeyVault/vaults/keyrotationpolicies/write";
    refused(written.map_err(Into::into), 403, &["ForbiddenByRbac", action])
}

pub async fn without_a_role(world: &World) -> Result<()> {
    let (keys, stranger) = (Keys::of(world, 0)?, world.identity("stranger")?);
    let read = format!("{ACTION}read");
    let said = ["Forbidden", "ForbiddenByRbac", &read, &stranger.client_id, &stranger.principal_id];
    refused(keys.get(&world.seeded_key, None).await, 403, &said)?;
    refused(keys.get(&fresh("absent"), None).await, 403, &said)?;
    let wanted = SignParameters { algorithm: Some(SignatureAlgorithm::Es256), value: Some(vec![0; 32]) };
    let answer = keys.0.sign(&world.seeded_key, wanted.try_into()?, None).await.map_err(Into::into);
    refused(answer, 403, &["ForbiddenByRbac", &format!("{ACTION}sign/action")])
}
