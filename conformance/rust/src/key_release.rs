//! A key that leaves the vault, wrapped for an environment that an attestation service vouches for.

use std::fs;

use anyhow::{Context, Result};
use azure_security_keyvault_keys::models::{
    CreateKeyParameters, KeyAttributes, KeyClientReleaseOptions, KeyReleasePolicy, ReleaseParameters,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openssl::cipher::Cipher;
use openssl::cipher_ctx::{CipherCtx, CipherCtxFlags};
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use serde_json::{Value, json};

use crate::keys::{Keys, ec, jwk, version_of};
use crate::world::{World, equal, fresh, refused};

const NONCE: &str = "asked now";

fn exportable(world: &World) -> Result<CreateKeyParameters> {
    let conditions = json!([{ "claim": "x-ms-attestation-type", "equals": "sevsnpvm" }]);
    let rules = json!({
        "version": "1.0.0",
        "anyOf": [{ "authority": world.attestation_authority, "allOf": conditions }],
    });
    let policy = KeyReleasePolicy { encoded_policy: Some(serde_json::to_vec(&rules)?), ..Default::default() };
    Ok(CreateKeyParameters { release_policy: Some(policy), ..open() })
}

/// May leave, and nothing says for whom.
fn open() -> CreateKeyParameters {
    let attributes = KeyAttributes { exportable: Some(true), ..Default::default() };
    CreateKeyParameters { key_attributes: Some(attributes), ..ec() }
}

pub fn parsed(text: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text)?)?)
}

/// What the environment does: OAEP with its own key, and under that AES key wrap with padding (RFC 5649).
fn unwrapped(world: &World, released: &Value) -> Result<PKey<Private>> {
    let environment = Rsa::private_key_from_pem(&fs::read(&world.environment_pem)?)?;
    let blob = parsed(released["key_hsm"].as_str().context("no key")?)?;
    let ciphertext = BASE64_URL_SAFE_NO_PAD.decode(blob["ciphertext"].as_str().context("no ciphertext")?)?;
    let (outer, inner) = ciphertext.split_at(environment.size() as usize);
    let mut wrapping = vec![0; outer.len()];
    let length = environment.private_decrypt(outer, &mut wrapping, Padding::PKCS1_OAEP)?;
    let mut context = CipherCtx::new()?;
    context.set_flags(CipherCtxFlags::FLAG_WRAP_ALLOW);
    context.decrypt_init(Some(Cipher::aes_256_wrap_pad()), Some(&wrapping[..length]), None)?;
    let mut der = Vec::new();
    context.cipher_update_vec(inner, &mut der)?;
    context.cipher_final_vec(&mut der)?;
    Ok(PKey::private_key_from_pkcs8(&der)?)
}

async fn release(keys: &Keys, name: &str, version: Option<String>, token: &str) -> Result<String> {
    let wanted = ReleaseParameters {
        target_attestation_token: Some(token.to_owned()),
        nonce: version.is_some().then(|| NONCE.to_owned()),
        ..Default::default()
    };
    let options = KeyClientReleaseOptions { key_version: version, ..Default::default() };
    let released = keys.0.release(name, wanted.try_into()?, Some(options)).await?.into_model()?;
    released.value.context("nothing released")
}

pub async fn is_released(world: &World) -> Result<()> {
    let (keys, name) = (Keys::of(world, 0)?, fresh("released"));
    let made = keys.create(&name, exportable(world)?).await?;
    equal(made.attributes.as_ref().and_then(|attributes| attributes.exportable), Some(true))?;
    let answer = release(&keys, &name, Some(version_of(&made)?), &world.attestation_token).await?;
    let payload = parsed(answer.split('.').nth(1).context("no payload")?)?;
    equal(payload["request"]["kid"].as_str(), jwk(&made)?.kid.as_deref())?;
    equal(payload["request"]["nonce"].as_str(), Some(NONCE))?;
    let own = unwrapped(world, &payload["response"]["key"]["key"])?;
    let (x, y) = (jwk(&made)?.x.clone().context("no x")?, jwk(&made)?.y.clone().context("no y")?);
    // The end of what a certificate would say of the key is the point.
    anyhow::ensure!(own.public_key_to_der()?.ends_with(&[x, y].concat()), "another key was released");
    Ok(())
}

pub async fn is_refused(world: &World) -> Result<()> {
    let (keys, name, no) = (Keys::of(world, 0)?, fresh("kept"), &["Forbidden", "KeyReleaseForbidden"]);
    keys.create(&name, exportable(world)?).await?;
    // It is well signed, and says of the environment something else than the policy asks for.
    refused(release(&keys, &name, None, &world.attestation_token_of_another).await, 403, no)?;
    let kept = world.attestation_token.len() - 8;
    let forged = format!("{}AAAAAAAA", &world.attestation_token[..kept]);
    refused(release(&keys, &name, None, &forged).await, 403, no)?;
    let stays = fresh("stays");
    keys.ec(&stays).await?;
    refused(release(&keys, &stays, None, &world.attestation_token).await, 403, &["Forbidden"])?;
    // A key leaves by a policy or not at all.
    refused(keys.create(&fresh("open"), open()).await, 400, &["BadParameter"])
}
