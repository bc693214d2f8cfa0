//! `vouchsafe secret`: Key Vault's own operations, over the administrators' socket.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::Value;
use vouchsafe_wire::admin::SecretWrite;
use vouchsafe_wire::secret_text::SecretText;
use zeroize::{Zeroize as _, Zeroizing};

use super::object::{SECRETS, VERSION, checked, write_value};
use crate::cli::Format;
use crate::cli::secret::Secret;
use crate::client::Client;
use crate::output;

const VALUE_BYTES_MAX: u64 = 25 * 1024;

pub async fn secret(client: &Client, format: Format, command: &Secret) -> Result<ExitCode> {
    match command {
        Secret::Set { name, vault, value_file, content_type } => {
            let host = client.vault_host(&vault.vault).await?;
            let value = value(value_file.as_deref())?;
            let write =
                SecretWrite { value: SecretText::new(value.to_string()), content_type: content_type.clone() };
            let path = format!("/secrets/{}?{VERSION}", checked(name)?);
            let answer = client.send(Method::PUT, &host, &path, Some(write.to_json())).await?.successful()?;
            let shown = without_value(&answer.body)?;
            output::print(format, &shown, |shown| format!("set {}", output::text(shown, "/id")))?;
        }
        Secret::Get { secret, value_file } => {
            let (host, path) = SECRETS.place(client, secret, "").await?;
            let answer = client.send(Method::GET, &host, &path, None).await?.successful()?;
            #[derive(serde::Deserialize)]
            struct Bundle {
                value: SecretText,
            }
            match (value_file, format) {
                (None, Format::Json) => output::line(std::str::from_utf8(&answer.body)?),
                (file, _) => {
                    let bundle: Bundle =
                        serde_json::from_slice(&answer.body).context("the answer has no value")?;
                    write_value(file.as_deref(), bundle.value.expose().as_bytes())?;
                }
            }
        }
        Secret::Object(command) => SECRETS.run(client, format, command).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The value from a file, standard input or a prompt; never from the command line, where everybody can read it.
fn value(file: Option<&Path>) -> Result<Zeroizing<String>> {
    let mut value = Zeroizing::new(String::new());
    match file {
        Some(file) if file != Path::new("-") => {
            let context = || format!("cannot read `{}`", file.display());
            let file = std::fs::File::open(file).with_context(context)?;
            file.take(VALUE_BYTES_MAX + 1).read_to_string(&mut value).with_context(context)?;
        }
        None if std::io::stdin().is_terminal() => {
            let mut typed = rpassword::prompt_password("Value: ").context("cannot read the value")?;
            value.push_str(&typed);
            typed.zeroize();
        }
        _ => {
            std::io::stdin()
                .take(VALUE_BYTES_MAX + 1)
                .read_to_string(&mut value)
                .context("standard input is not text")?;
        }
    }
    if value.len() as u64 > VALUE_BYTES_MAX {
        bail!("the value is longer than {VALUE_BYTES_MAX} bytes");
    }
    Ok(value)
}

fn without_value(body: &[u8]) -> Result<Value> {
    let mut shown: Value = serde_json::from_slice(body).context("the answer cannot be read")?;
    if let Some(members) = shown.as_object_mut()
        && let Some(Value::String(mut value)) = members.remove("value")
    {
        value.zeroize();
    }
    Ok(shown)
}
