//! `vouchsafe byok`: a key is wrapped on its owner's machine for a key of the token, and imported without ever being in
//! the clear outside (Azure's BYOK specification, PKCS#11's `CKM_RSA_AES_KEY_WRAP`).
//!
//! Only the public half of the key-exchange key is asked of a server, and only if no file has it: wrapping needs no
//! network. What is written is the same `.byok` file that `az keyvault key import --byok-file` takes.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use http::Method;
use serde_json::{Value, json};
use vouchsafe_crypto::keys::{KeyFamily, KeySpec, PrivateKey, PublicKey, TransportAlgorithm, wrap_for};
use vouchsafe_crypto::{SecretBytes, SecretString};
use vouchsafe_wire::keyvault::key::{TransferBlob, TransferHeader};
use vouchsafe_wire::keyvault::{Octets, SecretOctets};

use super::key::kty;
use super::object::{VERSION, checked, read, write_value};
use crate::cli::Format;
use crate::cli::byok::{Byok, Wrap};
use crate::cli::key::KeyKind;
use crate::client::Client;
use crate::output;

/// The longest file with a key that is read; RSA with 4096 bits takes about 3.3 KB of PEM.
const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;
/// The longest transfer blob that is read.
const BYOK_FILE_BYTES_MAX: u64 = 32 * 1024;

pub async fn byok(client: &Client, format: Format, command: &Byok) -> Result<ExitCode> {
    match command {
        Byok::Kek { name, vault, pem_file } => {
            let kek = ExchangeKey::asked(client, &vault.vault, name).await?;
            let pem = vouchsafe_crypto::pki::to_pem("PUBLIC KEY", &kek.public.spki_der());
            std::fs::write(pem_file, pem)
                .with_context(|| format!("cannot write `{}`", pem_file.display()))?;
            output::print(format, &json!({ "kid": kek.kid }), |kek| output::text(kek, "/kid"))?;
        }
        Byok::Wrap(arguments) => wrap(client, format, arguments).await?,
        Byok::Import { name, vault, byok_file, kind, curve, operations } => {
            let blob = SecretOctets::from(read(byok_file, BYOK_FILE_BYTES_MAX)?);
            TransferBlob::parse(&blob)
                .map_err(|error| anyhow!("`{}` is no transfer blob: {error}", byok_file.display()))?;
            let host = client.vault_host(&vault.vault).await?;
            let path = format!("/keys/{}?{VERSION}", checked(name)?);
            let key = json!({
                "kty": kty(*kind, true), "crv": curve, "key_ops": operations, "key_hsm": blob.encode().as_str(),
            });
            let body = json!({ "Hsm": true, "key": key });
            let made: Value = client.json(Method::PUT, &host, &path, Some(&body)).await?;
            output::print(format, &made, |made| format!("imported {}", output::text(made, "/key/kid")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn wrap(client: &Client, format: Format, arguments: &Wrap) -> Result<()> {
    let kek = match (&arguments.kek, &arguments.vault, &arguments.kek_file) {
        (Some(name), Some(vault), _) => ExchangeKey::asked(client, vault, name).await?,
        (None, _, Some(file)) => ExchangeKey::in_file(file, arguments.kid.as_deref())?,
        _ => bail!("say which key-exchange key: --kek-file FILE, or --vault NAME --kek NAME"),
    };
    let key = private_key(&arguments.key_file, arguments.oct)?;
    let ciphertext = wrap_for(&kek.public, TransportAlgorithm::CkmRsaAesKeyWrap, &key)
        .map_err(|error| anyhow!("cannot wrap for the key-exchange key: {error}"))?;
    let blob = TransferBlob {
        schema_version: TransferBlob::SCHEMA_VERSION.to_owned(),
        header: TransferHeader {
            kid: kek.kid,
            alg: TransferBlob::ALG.to_owned(),
            enc: TransferBlob::ENC.to_owned(),
        },
        ciphertext: Octets(ciphertext),
        generator: Some(concat!("vouchsafe ", env!("CARGO_PKG_VERSION")).to_owned()),
    };
    write_value(Some(&arguments.byok_file), &serde_json::to_vec_pretty(&blob)?)?;
    let (kind, curve) = kind(key.spec());
    let made = json!({
        "byokFile": arguments.byok_file, "kid": blob.header.kid, "kty": kty(kind, true), "crv": curve,
        "keySize": key.spec().bits(),
    });
    output::print(format, &made, |made| {
        let curve = curve.map(|curve| format!(" --curve {curve}")).unwrap_or_default();
        let file = arguments.byok_file.display();
        let kind = output::text(made, "/kty").trim_end_matches("-HSM").to_ascii_lowercase();
        format!(
            "wrapped for {}\nimport it with `vouchsafe byok import NAME --vault VAULT --kind {kind}{curve} --byok-file \
             {file}`",
            output::text(made, "/kid")
        )
    })
}

/// The key that unwraps, as far as anybody outside knows it.
struct ExchangeKey {
    kid: String,
    public: PublicKey,
}

impl ExchangeKey {
    /// From the server. Wrapping for a key that does something else is refused here, before it is too late.
    async fn asked(client: &Client, vault: &str, name: &str) -> Result<Self> {
        let host = client.vault_host(vault).await?;
        let path = format!("/keys/{}?{VERSION}", checked(name)?);
        let found: Value = client.json(Method::GET, &host, &path, None).await?;
        let key = &found["key"];
        if key["kty"] != "RSA-HSM" || key["key_ops"] != json!(["import"]) {
            bail!(
                "`{name}` is no key-exchange key: make one with `vouchsafe key create NAME --vault {vault} --kind rsa \
                 --hsm --operations import`"
            );
        }
        Self::of_jwk(key, None)
    }

    fn in_file(file: &Path, kid: Option<&str>) -> Result<Self> {
        let text = read(file, KEY_FILE_BYTES_MAX)?;
        let text = std::str::from_utf8(&text).with_context(|| format!("`{}` is not text", file.display()))?;
        if !text.trim_start().starts_with('{') {
            let public = PublicKey::from_pem(text);
            let public = public.map_err(|_| anyhow!("`{}` is no public key in PEM", file.display()))?;
            let kid = kid.context(
                "PEM does not say which key it is: add --kid with the identifier of the key-exchange key",
            )?;
            return Self::of(public, kid.to_owned());
        }
        let found: Value = serde_json::from_str(text)
            .with_context(|| format!("`{}` is neither PEM nor a JWK", file.display()))?;
        Self::of_jwk(found.get("key").unwrap_or(&found), kid)
    }

    fn of_jwk(jwk: &Value, kid: Option<&str>) -> Result<Self> {
        let number = |name: &str| {
            let octets = serde_json::from_value::<Octets>(jwk[name].clone());
            octets.map_err(|_| anyhow!("the key-exchange key has no number `{name}`: is it an RSA key?"))
        };
        let public = PublicKey::rsa(number("n")?.as_slice(), number("e")?.as_slice())
            .map_err(|_| anyhow!("the key-exchange key must be RSA with 2048, 3072 or 4096 bits"))?;
        let kid = kid.or_else(|| jwk["kid"].as_str());
        let kid =
            kid.context("the JWK has no `kid`: add --kid with the identifier of the key-exchange key")?;
        Self::of(public, kid.to_owned())
    }

    fn of(public: PublicKey, kid: String) -> Result<Self> {
        if public.spec().family() != KeyFamily::Rsa {
            bail!("the key-exchange key must be an RSA key");
        }
        Ok(Self { kid, public })
    }
}

/// The key that is to travel, looked at before it does: the token would say only that it cannot be unwrapped.
fn private_key(file: &Path, oct: bool) -> Result<PrivateKey> {
    let bytes = read(file, KEY_FILE_BYTES_MAX)?;
    let said = file.display();
    if oct {
        let spec = [KeySpec::Oct128, KeySpec::Oct192, KeySpec::Oct256];
        let spec = spec.into_iter().find(|spec| spec.bytes() == bytes.len()).with_context(|| {
            format!("`{said}` has {} bytes; a symmetric key has 16, 24 or 32, and no line end", bytes.len())
        })?;
        let key = PrivateKey::from_material(spec, &SecretBytes::new(bytes.to_vec()));
        return key.map_err(|error| anyhow!("`{said}`: {error}"));
    }
    let text = std::str::from_utf8(&bytes).ok().filter(|text| text.contains("-----BEGIN "));
    let text =
        text.with_context(|| format!("`{said}` is not PEM; for the bytes of a symmetric key, add --oct"))?;
    PrivateKey::from_pem(&SecretString::new(text.to_owned())).map_err(|error| {
        anyhow!("`{said}`: {error}; `openssl pkcs8 -topk8 -nocrypt -in KEY` writes a form that is read")
    })
}

const fn kind(spec: KeySpec) -> (KeyKind, Option<&'static str>) {
    match spec {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => (KeyKind::Rsa, None),
        KeySpec::P256 => (KeyKind::Ec, Some("P-256")),
        KeySpec::P384 => (KeyKind::Ec, Some("P-384")),
        KeySpec::P521 => (KeyKind::Ec, Some("P-521")),
        KeySpec::P256K => (KeyKind::Ec, Some("P-256K")),
        KeySpec::Oct128 | KeySpec::Oct192 | KeySpec::Oct256 => (KeyKind::Oct, None),
    }
}
