//! What happens to those who may not, and what they are told.

use anyhow::{Result, ensure};
use azure_core::error::ErrorKind;
use azure_identity::ManagedIdentityCredential;

use crate::world::{World, client_at, fresh, get, refused, set};

const ACTION: &str = "Microsoft.KeyVault/vaults/secrets/";

pub async fn no_role_names_the_data_action(world: &World) -> Result<()> {
    let stranger = world.identity("stranger")?;
    let action = format!("{ACTION}getSecret/action");
    let said: &[&str] = &[
        "Forbidden",
        "ForbiddenByRbac",
        &action,
        &stranger.client_id,
        &stranger.principal_id,
        &world.vaults[0],
    ];
    let client = world.client(0)?;
    refused(get(&client, &world.seeded_name).await, 403, said)?;
    // A name that is not there says no more than one that is.
    refused(get(&client, &fresh("absent")).await, 403, said)
}

pub async fn reader_cannot_write(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = &world.seeded_name;
    world.reads_the_seeded_secret(&client).await?;
    let action = |operation: &str| format!("{ACTION}{operation}");
    refused(set(&client, name, "other").await, 403, &["ForbiddenByRbac", &action("setSecret/action")])?;
    let delete = client.delete_secret(name, None).await.map_err(Into::into);
    refused(delete, 403, &["ForbiddenByRbac", &action("delete")])?;
    let backup = client.backup_secret(name, None).await.map_err(Into::into);
    refused(backup, 403, &["ForbiddenByRbac", &action("backup/action")])?;
    let purge = client.purge_deleted_secret(name, None).await.map_err(Into::into);
    refused(purge, 403, &["ForbiddenByRbac", &action("purge/action")])?;
    let recover = client.recover_deleted_secret(name, None).await.map_err(Into::into);
    refused(recover, 403, &["ForbiddenByRbac", &action("recover/action")])?;
    world.reads_the_seeded_secret(&client).await
}

pub async fn role_on_one_vault_is_no_role_on_another(world: &World) -> Result<()> {
    world.reads_the_seeded_secret(&world.client(0)?).await?;
    let other = get(&world.client(1)?, &world.seeded_name).await;
    refused(other, 403, &["ForbiddenByRbac", &world.vaults[1]])
}

pub async fn unknown_vault(world: &World) -> Result<()> {
    let url = format!("https://no-such-vault.{}", world.vault_suffix);
    let client = client_at(&url, ManagedIdentityCredential::new(None)?)?;
    let Err(error) = client.get_secret(&world.seeded_name, None).await else {
        anyhow::bail!("a vault that does not exist answered");
    };
    // Real Azure has no such name in DNS; a refusal by the proxy reads the same to the client.
    if let ErrorKind::HttpResponse { status, .. } = error.kind() {
        ensure!(status.is_client_error(), "the caller's mistake was answered with {status}");
    }
    Ok(())
}
