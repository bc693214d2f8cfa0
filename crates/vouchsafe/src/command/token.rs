//! `vouchsafe token`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use http::Method;
use vouchsafe_wire::admin::ClientSecretRequest;
use vouchsafe_wire::secret_text::SecretText;
use zeroize::Zeroizing;

use crate::cli::{Format, Token};
use crate::client::Client;
use crate::output;

pub async fn token(client: &Client, format: Format, command: &Token) -> Result<ExitCode> {
    match command {
        Token::Get { resource } => {
            let escaped = percent_encoding::utf8_percent_encode(resource, percent_encoding::NON_ALPHANUMERIC);
            let path = format!("/admin/v1/token?resource={escaped}");
            let answer = client.send(Method::POST, "vouchsafe", &path, None).await?.successful()?;
            match format {
                Format::Json => output::line(std::str::from_utf8(&answer.body)?),
                Format::Human => {
                    #[derive(serde::Deserialize)]
                    struct Answer {
                        access_token: SecretText,
                    }
                    let answer: Answer =
                        serde_json::from_slice(&answer.body).context("the answer has no token")?;
                    output::line(answer.access_token.expose());
                }
            }
        }
        Token::ClientSecret { application, lifetime_days } => {
            let request = ClientSecretRequest {
                application: application.clone(),
                display_name: None,
                lifetime_days: *lifetime_days,
                tenant: None,
            };
            let body = Zeroizing::new(serde_json::to_vec(&request)?);
            let answer =
                client.send(Method::POST, "vouchsafe", "/admin/v1/client-secrets", Some(body)).await?;
            // Shown once, here: nobody can ask for it again.
            output::line(std::str::from_utf8(&answer.successful()?.body)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
