//! `vouchsafe key`: Key Vault's own operations, over the administrators' socket.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::{Value, json};
use vouchsafe_crypto::digest;
use vouchsafe_crypto::keys::SignatureAlgorithm;
use vouchsafe_wire::keyvault::{Octets, SecretOctets};
use zeroize::Zeroizing;

use super::object::{KEYS, VERSION, checked, date, read, rows, write_value};
use crate::cli::Format;
use crate::cli::key::{Key, KeyInput, KeyKind};
use crate::cli::object::Named;
use crate::client::Client;
use crate::output;

/// What is signed may be long; only its digest travels.
const SIGNED_BYTES_MAX: u64 = 1 << 30;
/// What is encrypted travels, and is short.
const ENCRYPTED_BYTES_MAX: u64 = 128 * 1024;

pub async fn key(client: &Client, format: Format, command: &Key) -> Result<ExitCode> {
    match command {
        Key::Create { name, vault, kind, size, curve, hsm, operations } => {
            let host = client.vault_host(&vault.vault).await?;
            let path = format!("/keys/{}/create?{VERSION}", checked(name)?);
            let body = json!({
                "kty": kty(*kind, *hsm), "key_size": size, "crv": curve, "key_ops": operations,
            });
            let made: Value = client.json(Method::POST, &host, &path, Some(&body)).await?;
            output::print(format, &made, |made| format!("made {}", output::text(made, "/key/kid")))?;
        }
        Key::Show { key } => {
            let (host, path) = KEYS.place(client, key, "").await?;
            let found: Value = client.json(Method::GET, &host, &path, None).await?;
            output::print(format, &found, shown)?;
        }
        Key::Rotate(Named { name, vault, .. }) => {
            let host = client.vault_host(&vault.vault).await?;
            let path = format!("/keys/{}/rotate?{VERSION}", checked(name)?);
            let made: Value = client.json(Method::POST, &host, &path, None).await?;
            output::print(format, &made, |made| format!("rotated to {}", output::text(made, "/key/kid")))?;
        }
        Key::Sign { .. } | Key::Verify { .. } | Key::Encrypt { .. } | Key::Decrypt { .. } => {
            return operate(client, format, command).await;
        }
        Key::Object(command) => KEYS.run(client, format, command).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The commands that use a key. A signature that is not good is exit code 1, so that scripts can ask.
async fn operate(client: &Client, format: Format, command: &Key) -> Result<ExitCode> {
    match command {
        Key::Sign { key, input } => {
            let body = json!({ "alg": input.algorithm, "value": Octets(digest_of(input)?) });
            let (host, path) = KEYS.place(client, key, "/sign").await?;
            let signed: Value = client.json(Method::POST, &host, &path, Some(&body)).await?;
            output::print(format, &signed, |signed| output::text(signed, "/value"))?;
        }
        Key::Verify { key, input, signature_file } => {
            let signature = read(signature_file, ENCRYPTED_BYTES_MAX)?;
            let signature = std::str::from_utf8(&signature).ok().map(|text| Value::from(text.trim()));
            let signature = signature.and_then(|text| serde_json::from_value::<Octets>(text).ok());
            let signature = signature.with_context(|| {
                format!("`{}` holds no signature as `vouchsafe key sign` prints it", signature_file.display())
            })?;
            let body =
                json!({ "alg": input.algorithm, "digest": Octets(digest_of(input)?), "value": signature });
            let (host, path) = KEYS.place(client, key, "/verify").await?;
            let verified: Value = client.json(Method::POST, &host, &path, Some(&body)).await?;
            let good = verified["value"] == true;
            output::print(format, &verified, |_| if good { "good" } else { "not good" }.to_owned())?;
            return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Key::Encrypt { key, input } => {
            if input.algorithm.contains("CBC") {
                // The vault makes the nonces of GCM and no vectors for CBC (keys.json, `KeyOperationsParameters`).
                bail!(
                    "`{}` does not notice when a ciphertext was changed, so it is not for this command; use A128GCM, \
                     A192GCM or A256GCM",
                    input.algorithm
                );
            }
            let value = SecretOctets::from(read(&input.file, ENCRYPTED_BYTES_MAX)?);
            let body = OperationBody::json(&input.algorithm, &value);
            let (host, path) = KEYS.place(client, key, "/encrypt").await?;
            let answer = client.send(Method::POST, &host, &path, Some(body)).await?.successful()?;
            let mut encrypted: Value = serde_json::from_slice(&answer.body)?;
            // What decrypting needs besides the key, in one piece.
            encrypted["alg"] = json!(input.algorithm);
            output::line(&serde_json::to_string(&encrypted)?);
        }
        Key::Decrypt { key, input, value_file } => {
            let encrypted = read(&input.file, ENCRYPTED_BYTES_MAX * 2)?;
            let mut body: Value = serde_json::from_slice(&encrypted)
                .context("the file is not what `vouchsafe key encrypt` printed")?;
            body["alg"] = json!(input.algorithm);
            let (host, path) = KEYS.place(client, key, "/decrypt").await?;
            let body = Zeroizing::new(serde_json::to_vec(&body)?);
            let answer = client.send(Method::POST, &host, &path, Some(body)).await?.successful()?;
            #[derive(serde::Deserialize)]
            struct Decrypted {
                value: SecretOctets,
            }
            let decrypted: Decrypted =
                serde_json::from_slice(&answer.body).context("the answer has no value")?;
            write_value(value_file.as_deref(), decrypted.value.expose())?;
        }
        _ => bail!("not an operation with a key"),
    }
    Ok(ExitCode::SUCCESS)
}

/// A body that carries a plaintext; written into memory that wipes itself.
#[derive(serde::Serialize)]
struct OperationBody<'a> {
    alg: &'a str,
    value: &'a str,
}

impl OperationBody<'_> {
    fn json(algorithm: &str, plaintext: &SecretOctets) -> Zeroizing<Vec<u8>> {
        let text = plaintext.encode();
        let mut body = Zeroizing::new(Vec::with_capacity(text.len() + algorithm.len() + 64));
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut *body, &OperationBody { alg: algorithm, value: &text });
        body
    }
}

pub(super) const fn kty(kind: KeyKind, hsm: bool) -> &'static str {
    match (kind, hsm) {
        (KeyKind::Rsa, false) => "RSA",
        (KeyKind::Rsa, true) => "RSA-HSM",
        (KeyKind::Ec, false) => "EC",
        (KeyKind::Ec, true) => "EC-HSM",
        (KeyKind::Oct, false) => "oct",
        (KeyKind::Oct, true) => "oct-HSM",
    }
}

fn shown(key: &Value) -> String {
    let operations = key["key"]["key_ops"].as_array().into_iter().flatten().filter_map(Value::as_str);
    rows([
        ("id", output::text(key, "/key/kid")),
        ("kind", output::text(key, "/key/kty")),
        ("curve", output::text(key, "/key/crv")),
        ("operations", operations.collect::<Vec<_>>().join(",")),
        ("enabled", output::text(key, "/attributes/enabled")),
        ("created", date(key, "/attributes/created")),
        ("not before", date(key, "/attributes/nbf")),
        ("expires", date(key, "/attributes/exp")),
        ("of a certificate", output::text(key, "/managed")),
    ])
}

/// The digest that the algorithm signs, of what is in a file or comes from standard input.
fn digest_of(input: &KeyInput) -> Result<Vec<u8>> {
    let algorithm = SignatureAlgorithm::parse(&input.algorithm).with_context(|| {
        let known = SignatureAlgorithm::ALL.iter().map(|algorithm| algorithm.as_str());
        format!("the algorithm must be one of {}", known.collect::<Vec<_>>().join(", "))
    })?;
    let signed = read(&input.file, SIGNED_BYTES_MAX)?;
    Ok(match algorithm.digest_bytes() {
        32 => digest::sha256(&signed).to_vec(),
        48 => digest::sha384(&signed).to_vec(),
        64 => digest::sha512(&signed).to_vec(),
        other => bail!("there is no digest of {other} bytes here"),
    })
}
