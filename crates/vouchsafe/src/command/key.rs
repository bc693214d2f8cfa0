//! `vouchsafe key`: Key Vault's own operations, over the administrators' socket.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::{Value, json};
use vouchsafe_crypto::digest;
use vouchsafe_crypto::keys::SignatureAlgorithm;
use vouchsafe_wire::keyvault::{Octets, SecretOctets};
use zeroize::Zeroizing;

use super::object::{all_pages, checked, print_items, write_value};
use crate::cli::Format;
use crate::cli::key::{Key, KeyInput, KeyKind, WhichKey};
use crate::client::Client;
use crate::output;

/// What is signed may be long; only its digest travels.
const SIGNED_BYTES_MAX: u64 = 1 << 30;
/// What is encrypted travels, and is short.
const ENCRYPTED_BYTES_MAX: u64 = 128 * 1024;
pub(super) const VERSION: &str = "api-version=7.4";

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
        Key::List { vault, deleted } => {
            let host = client.vault_host(&vault.vault).await?;
            let collection = if *deleted { "deletedkeys" } else { "keys" };
            let items = all_pages(client, &host, &format!("/{collection}?{VERSION}")).await?;
            print_items(format, "kid", &items)?;
        }
        Key::Versions { name, vault } => {
            let host = client.vault_host(&vault.vault).await?;
            let path = format!("/keys/{}/versions?{VERSION}", checked(name)?);
            print_items(format, "kid", &all_pages(client, &host, &path).await?)?;
        }
        Key::Show { key } => {
            let (host, path) = place(client, key, "").await?;
            let found: Value = client.json(Method::GET, &host, &path, None).await?;
            output::print(format, &found, shown)?;
        }
        Key::Rotate { name, vault } => {
            let host = client.vault_host(&vault.vault).await?;
            let path = format!("/keys/{}/rotate?{VERSION}", checked(name)?);
            let made: Value = client.json(Method::POST, &host, &path, None).await?;
            output::print(format, &made, |made| format!("rotated to {}", output::text(made, "/key/kid")))?;
        }
        Key::Sign { .. } | Key::Verify { .. } | Key::Encrypt { .. } | Key::Decrypt { .. } => {
            return operate(client, format, command).await;
        }
        Key::Delete { name, vault } => {
            let host = client.vault_host(&vault.vault).await?;
            let path = format!("/keys/{}?{VERSION}", checked(name)?);
            let deleted: Value = client.json(Method::DELETE, &host, &path, None).await?;
            output::print(format, &deleted, |_| {
                format!("deleted {name}; `vouchsafe key recover` brings it back")
            })?;
        }
        Key::Recover { name, vault } => {
            let host = client.vault_host(&vault.vault).await?;
            let path = format!("/deletedkeys/{}/recover?{VERSION}", checked(name)?);
            let recovered: Value = client.json(Method::POST, &host, &path, None).await?;
            output::print(format, &recovered, |_| format!("recovered {name}"))?;
        }
        Key::Purge { name, vault } => {
            let host = client.vault_host(&vault.vault).await?;
            let path = format!("/deletedkeys/{}?{VERSION}", checked(name)?);
            client.send(Method::DELETE, &host, &path, None).await?.successful()?;
            if format == Format::Human {
                output::line(&format!(
                    "purged {name}: its records are deleted here; old disk pages and backups are not overwritten"
                ));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The commands that use a key. A signature that is not good is exit code 1, so that scripts can ask.
async fn operate(client: &Client, format: Format, command: &Key) -> Result<ExitCode> {
    match command {
        Key::Sign { key, input } => {
            let body = json!({ "alg": input.algorithm, "value": Octets(digest_of(input)?) });
            let (host, path) = place(client, key, "/sign").await?;
            let signed: Value = client.json(Method::POST, &host, &path, Some(&body)).await?;
            output::print(format, &signed, |signed| output::text(signed, "/value"))?;
        }
        Key::Verify { key, input, signature_file } => {
            let signature = read(signature_file, ENCRYPTED_BYTES_MAX)?;
            let signature = std::str::from_utf8(&signature).context("the signature is not text")?.trim();
            let body =
                json!({ "alg": input.algorithm, "digest": Octets(digest_of(input)?), "value": signature });
            let (host, path) = place(client, key, "/verify").await?;
            let verified: Value = client.json(Method::POST, &host, &path, Some(&body)).await?;
            let good = verified["value"] == true;
            output::print(format, &verified, |_| if good { "good" } else { "not good" }.to_owned())?;
            return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Key::Encrypt { key, input } => {
            let value = SecretOctets::from(read(&input.file, ENCRYPTED_BYTES_MAX)?);
            let body = OperationBody::json(&input.algorithm, &value);
            let (host, path) = place(client, key, "/encrypt").await?;
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
            let (host, path) = place(client, key, "/decrypt").await?;
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

/// The host of the key's vault, and the path of what is done with the key.
async fn place(client: &Client, key: &WhichKey, operation: &str) -> Result<(String, String)> {
    let host = client.vault_host(&key.vault.vault).await?;
    let version = key.version.as_deref().map(checked).transpose()?.unwrap_or_default();
    Ok((host, format!("/keys/{}/{version}{operation}?{VERSION}", checked(&key.name)?)))
}

fn shown(key: &Value) -> String {
    let date = |pointer| {
        let seconds = key.pointer(pointer).and_then(Value::as_u64);
        seconds.map(vouchsafe_server::adapters::rfc3339).unwrap_or_default()
    };
    let operations = key["key"]["key_ops"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let rows = [
        ["id".to_owned(), output::text(key, "/key/kid")],
        ["kind".to_owned(), output::text(key, "/key/kty")],
        ["curve".to_owned(), output::text(key, "/key/crv")],
        ["operations".to_owned(), operations.collect::<Vec<_>>().join(",")],
        ["enabled".to_owned(), output::text(key, "/attributes/enabled")],
        ["created".to_owned(), date("/attributes/created")],
        ["expires".to_owned(), date("/attributes/exp")],
    ];
    output::table(["", ""], rows.into_iter().filter(|[_, value]| !value.is_empty()))
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

/// A file, or standard input; never the command line, where everybody can read it.
pub(super) fn read(file: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>> {
    let context = || format!("cannot read `{}`", file.display());
    let mut bytes = Zeroizing::new(Vec::new());
    if file == Path::new("-") {
        std::io::stdin().take(bytes_max + 1).read_to_end(&mut bytes).with_context(context)?;
    } else {
        let file = std::fs::File::open(file).with_context(context)?;
        file.take(bytes_max + 1).read_to_end(&mut bytes).with_context(context)?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        bail!("the input is longer than {bytes_max} bytes");
    }
    Ok(bytes)
}
