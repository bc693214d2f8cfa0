//! What the scenarios share: the world they run in, clients for it, and how a refusal is looked at.

use std::collections::HashMap;
use std::sync::Arc;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use azure_core::credentials::TokenCredential;
use azure_core::error::ErrorKind;
use azure_core::time::OffsetDateTime;
use azure_identity::ManagedIdentityCredential;
use azure_security_keyvault_secrets::models::{
    Secret, SecretAttributes, SecretClientGetSecretOptions, SetSecretParameters,
};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use serde::Deserialize;

use crate::recording::recorded;

/// Stands for the vault whose keys may be in a token, besides the two others.
pub const PREMIUM: usize = 2;

/// The file that `conformance/run.py` writes.
#[derive(Deserialize)]
pub struct World {
    pub tenant: String,
    pub authority: String,
    pub vault_suffix: String,
    pub vaults: [String; 2],
    pub premium_vault: String,
    pub transfer_blob: String,
    pub transfer_public_pem: String,
    pub attestation_authority: String,
    pub attestation_token: String,
    pub attestation_token_of_another: String,
    pub environment_pem: String,
    pub seeded_name: String,
    pub seeded_value: String,
    pub seeded_key: String,
    pub identities: HashMap<String, Identity>,
    pub application_client_id: String,
    pub certificate_pkcs12: String,
    pub unregistered_certificate_pkcs12: String,
    pub certificate_password: String,
}

#[derive(Deserialize)]
pub struct Identity {
    pub client_id: String,
    pub principal_id: String,
}

impl World {
    pub fn read() -> Result<Self> {
        let path = env::var("CONFORMANCE_WORLD").context("CONFORMANCE_WORLD names no file")?;
        serde_json::from_slice(&fs::read(&path).with_context(|| path.clone())?).context("not a world")
    }

    pub fn identity(&self, name: &str) -> Result<&Identity> {
        self.identities.get(name).with_context(|| format!("the world has no identity `{name}`"))
    }

    /// The address of a vault by our own suffix.
    pub fn vault_url(&self, vault: usize) -> String {
        let name = if vault == PREMIUM { &self.premium_vault } else { &self.vaults[vault] };
        format!("https://{name}.{}", self.vault_suffix)
    }

    /// The address of a vault that the proxy answers for.
    pub fn public_vault_url(&self, vault: usize) -> String {
        format!("https://{}.vault.azure.net", self.vaults[vault])
    }

    /// A client as an application would write it, with every check that it makes by itself.
    pub fn client(&self, vault: usize) -> Result<SecretClient> {
        client_at(&self.vault_url(vault), ManagedIdentityCredential::new(None)?)
    }

    /// Reads what the runner wrote, and checks it.
    pub async fn reads_the_seeded_secret(&self, client: &SecretClient) -> Result<()> {
        equal(value(client, &self.seeded_name).await?, self.seeded_value.clone())
    }
}

pub fn client_at(url: &str, credential: Arc<dyn TokenCredential>) -> Result<SecretClient> {
    let options = SecretClientOptions { client_options: recorded(), ..Default::default() };
    Ok(SecretClient::new(url, credential, Some(options))?)
}

/// A name that no other scenario uses.
pub fn fresh(prefix: &str) -> String {
    format!("{prefix}-{:x}", OffsetDateTime::now_utc().unix_timestamp_nanos())
}

pub async fn set(client: &SecretClient, name: &str, value: &str) -> Result<Secret> {
    set_with(client, name, value, SecretAttributes::default()).await
}

pub async fn set_with(
    client: &SecretClient,
    name: &str,
    value: &str,
    attributes: SecretAttributes,
) -> Result<Secret> {
    let parameters = SetSecretParameters {
        value: Some(value.to_owned()),
        secret_attributes: Some(attributes),
        ..Default::default()
    };
    Ok(client.set_secret(name, parameters.try_into()?, None).await?.into_model()?)
}

pub async fn get(client: &SecretClient, name: &str) -> Result<Secret> {
    Ok(client.get_secret(name, None).await?.into_model()?)
}

pub async fn get_version(client: &SecretClient, name: &str, version: &str) -> Result<Secret> {
    let options =
        SecretClientGetSecretOptions { secret_version: Some(version.to_owned()), ..Default::default() };
    Ok(client.get_secret(name, Some(options)).await?.into_model()?)
}

pub async fn value(client: &SecretClient, name: &str) -> Result<String> {
    get(client, name).await?.value.context("a secret without a value")
}

/// Fails with both sides shown.
pub fn equal<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<()> {
    ensure!(found == expected, "found {found:?}, expected {expected:?}");
    Ok(())
}

/// Expects a refusal with `status` and a body that says each of `parts`.
pub fn refused<T>(result: Result<T>, status: u16, parts: &[&str]) -> Result<()> {
    let Err(error) = result else { bail!("expected a refusal with {status}, and it was allowed") };
    let Some(found) = error.downcast_ref::<azure_core::Error>() else { return Err(error) };
    let ErrorKind::HttpResponse { status: answered, raw_response, .. } = found.kind() else {
        return Err(error);
    };
    let said = match raw_response {
        Some(response) => response.body().clone().into_string()?,
        None => found.to_string(),
    };
    ensure!(u16::from(*answered) == status, "answered {answered}, expected {status}: {said}");
    for part in parts {
        ensure!(said.contains(part), "`{part}` is not in the refusal: {said}");
    }
    Ok(())
}
