//! How a program proves who it is, with the credentials of `azure_identity` as they are.

use std::env;
use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use azure_core::credentials::{Secret, SecretBytes, TokenCredential};
use azure_identity::{
    ClientCertificateCredential, ClientCertificateCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::world::{World, client_at, equal};

const VAULT_SCOPE: &str = "https://vault.azure.net/.default";

pub async fn app_service(world: &World) -> Result<()> {
    ensure!(env::var_os("IDENTITY_ENDPOINT").is_some(), "the App Service variables are not set");
    world.reads_the_seeded_secret(&world.client(0)?).await
}

pub async fn proxy_only(world: &World) -> Result<()> {
    for name in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"] {
        ensure!(env::var_os(name).is_none(), "`{name}` is set");
    }
    let client = client_at(&world.public_vault_url(0), ManagedIdentityCredential::new(None)?)?;
    world.reads_the_seeded_secret(&client).await
}

pub async fn by_client_id(world: &World) -> Result<()> {
    let reader = world.identity("reader")?;
    // The client sends a resource id to App Service in no form that exists, and says so itself.
    for id in [
        UserAssignedId::ClientId(reader.client_id.clone()),
        UserAssignedId::ObjectId(reader.principal_id.clone()),
    ] {
        world.reads_the_seeded_secret(&client_at(&world.vault_url(0), user_assigned(id)?)?).await?;
    }
    Ok(())
}

pub async fn of_another_is_refused(world: &World) -> Result<()> {
    let officer = world.identity("officer")?.client_id.clone();
    gets_no_token(user_assigned(UserAssignedId::ClientId(officer))?).await
}

pub async fn unattested_process_gets_no_token() -> Result<()> {
    ensure!(env::var_os("IDENTITY_ENDPOINT").is_some(), "the App Service variables are not set");
    gets_no_token(ManagedIdentityCredential::new(None)?).await
}

pub async fn token_for_another_audience(world: &World) -> Result<()> {
    let reader = world.identity("reader")?;
    let credential = ManagedIdentityCredential::new(None)?;
    for (scope, audience) in [
        (VAULT_SCOPE, "https://vault.azure.net"),
        ("https://management.azure.com/.default", "https://management.azure.com"),
    ] {
        let token = credential.get_token(&[scope], None).await?;
        let body = token.token.secret().split('.').nth(1).context("not a JWT")?;
        let claims: serde_json::Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(body)?)?;
        let claim = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
        equal(claim("aud").trim_end_matches('/'), audience)?;
        equal(claim("tid"), world.tenant.clone())?;
        equal(claim("oid"), reader.principal_id.clone())?;
    }
    Ok(())
}

pub async fn certificate_credential(world: &World) -> Result<()> {
    ensure!(env::var_os("AZURE_AUTHORITY_HOST").is_none(), "AZURE_AUTHORITY_HOST is set");
    let credential = certificate(world, &world.certificate_pkcs12)?;
    world.reads_the_seeded_secret(&client_at(&world.public_vault_url(0), credential)?).await
}

pub async fn certificate_credential_own_authority(world: &World) -> Result<()> {
    equal(env::var("AZURE_AUTHORITY_HOST").unwrap_or_default(), world.authority.clone())?;
    let credential = certificate(world, &world.certificate_pkcs12)?;
    world.reads_the_seeded_secret(&client_at(&world.vault_url(0), credential)?).await
}

pub async fn unregistered_certificate_is_refused(world: &World) -> Result<()> {
    let credential = certificate(world, &world.unregistered_certificate_pkcs12)?;
    let Err(error) = credential.get_token(&[VAULT_SCOPE], None).await else {
        bail!("a token for a certificate that nobody registered");
    };
    ensure!(format!("{error:?}").contains("AADSTS700027"), "the refusal does not say why: {error:?}");
    Ok(())
}

fn certificate(world: &World, path: &str) -> Result<Arc<ClientCertificateCredential>> {
    let options = ClientCertificateCredentialOptions {
        password: Some(Secret::new(world.certificate_password.clone())),
        ..Default::default()
    };
    let bundle = SecretBytes::new(fs::read(path).with_context(|| path.to_owned())?);
    let (tenant, client_id) = (world.tenant.clone(), world.application_client_id.clone());
    Ok(ClientCertificateCredential::new(tenant, client_id, bundle, Some(options))?)
}

fn user_assigned(id: UserAssignedId) -> Result<Arc<ManagedIdentityCredential>> {
    let options = ManagedIdentityCredentialOptions { user_assigned_id: Some(id), ..Default::default() };
    Ok(ManagedIdentityCredential::new(Some(options))?)
}

async fn gets_no_token(credential: Arc<dyn TokenCredential>) -> Result<()> {
    match credential.get_token(&[VAULT_SCOPE], None).await {
        Ok(_) => bail!("a token that nobody vouches for"),
        Err(error) => {
            println!("refused: {error}");
            Ok(())
        }
    }
}
