//! Every operation on secrets, through `azure_security_keyvault_secrets` as it is.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result, ensure};
use azure_core::time::{Duration, OffsetDateTime};
use azure_security_keyvault_secrets::models::{
    RestoreSecretParameters, SecretAttributes, SecretClientListSecretPropertiesOptions,
    SecretClientUpdateSecretPropertiesOptions, SetSecretParameters, UpdateSecretPropertiesParameters,
};
use azure_security_keyvault_secrets::{ResourceExt, SecretClient};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::keys::tags;
use crate::lists::{Listed, each_once, numbered, over_pages};
use crate::world::{World, equal, fresh, get, get_version, refused, set, set_with, value};

const NO_VERSION: &str = "00000000000000000000000000000000";

pub async fn set_and_get(world: &World) -> Result<()> {
    let name = fresh("plain");
    let written = set(&world.client(0)?, &name, "a first value").await?;
    equal(written.value.clone(), Some("a first value".to_owned()))?;
    let id = written.resource_id()?;
    equal(id.name.clone(), name.clone())?;
    // A client that starts with an empty challenge cache.
    let read = get(&world.client(0)?, &name).await?;
    equal(read.value.clone(), written.value.clone())?;
    equal(read.id.clone(), written.id.clone())?;
    equal(read.resource_id()?.vault_url.trim_end_matches('/').to_owned(), world.vault_url(0))?;
    let attributes = read.attributes.context("a secret without attributes")?;
    equal(attributes.enabled, Some(true))?;
    let created = attributes.created.context("a secret without a date")?;
    ensure!((created - OffsetDateTime::now_utc()).abs() < Duration::minutes(5), "created at {created}");
    ensure!(attributes.recovery_level.is_some(), "a vault says how it recovers");
    let days = attributes.recoverable_days.unwrap_or_default();
    ensure!((7..=90).contains(&days), "recoverable for {days} days");
    Ok(())
}

pub async fn attributes(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = fresh("attributes");
    let tags: HashMap<String, String> = [("owner", "team one"), ("empty", ""), ("ümlaut", "ja")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let parameters = SetSecretParameters {
        value: Some("v".to_owned()),
        content_type: Some("text/plain; charset=utf-8".to_owned()),
        tags: Some(tags.clone()),
        secret_attributes: Some(SecretAttributes {
            enabled: Some(true),
            not_before: Some(seconds_from_now(-86_400)?),
            expires: Some(seconds_from_now(86_400 * 30)?),
            ..Default::default()
        }),
    };
    client.set_secret(&name, parameters.clone().try_into()?, None).await?;
    let read = get(&client, &name).await?;
    equal(read.tags, Some(tags))?;
    equal(read.content_type, parameters.content_type)?;
    let (found, wanted) =
        (read.attributes.context("no attributes")?, parameters.secret_attributes.context("no attributes")?);
    equal(
        (found.enabled, found.not_before, found.expires),
        (wanted.enabled, wanted.not_before, wanted.expires),
    )
}

pub async fn odd_values(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let long = "x".repeat(25_000);
    for odd in
        ["", "two\r\nlines\n", "\"quoted\" \\ and {\"json\": [1]}", "пароль 秘密 🔑", &long, " padded "]
    {
        let name = fresh("odd");
        set(&client, &name, odd).await?;
        equal(value(&client, &name).await?, odd.to_owned())?;
    }
    Ok(())
}

pub async fn too_long_is_refused(world: &World) -> Result<()> {
    refused(set(&world.client(0)?, &fresh("long"), &"x".repeat(25_601)).await, 400, &["BadParameter"])
}

pub async fn versions(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = fresh("versions");
    let mut versions = Vec::new();
    for number in 0..4 {
        let written = set(&client, &name, &format!("value {number}")).await?;
        versions.push(written.resource_id()?.version.context("a secret without a version")?);
    }
    for (number, version) in versions.iter().enumerate() {
        ensure!(
            version.len() == 32 && version.bytes().all(|byte| b"0123456789abcdef".contains(&byte)),
            "{version}"
        );
        equal(get_version(&client, &name, version).await?.value, Some(format!("value {number}")))?;
    }
    equal(get(&client, &name).await?.resource_id()?.version.as_ref(), versions.last())?;
    equal(listed_versions(&client, &name).await?, versions.into_iter().collect())
}

pub async fn update(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = fresh("update");
    let first = set(&client, &name, "kept").await?;
    let tags: HashMap<String, String> = [("b".to_owned(), "2".to_owned())].into();
    let parameters = UpdateSecretPropertiesParameters {
        content_type: Some("x/y".to_owned()),
        tags: Some(tags.clone()),
        ..Default::default()
    };
    let options = SecretClientUpdateSecretPropertiesOptions {
        secret_version: first.resource_id()?.version,
        ..Default::default()
    };
    let changed =
        client.update_secret_properties(&name, parameters.try_into()?, Some(options)).await?.into_model()?;
    equal((changed.tags.as_ref(), changed.content_type.as_deref()), (Some(&tags), Some("x/y")))?;
    let updated = |secret: &azure_security_keyvault_secrets::models::Secret| {
        secret.attributes.as_ref().and_then(|attributes| attributes.updated)
    };
    ensure!(updated(&changed) >= updated(&first), "`updated` went back");
    // Without a version the newest is meant, and what is not said stays.
    enable(&client, &name, true).await?;
    let read = get(&client, &name).await?;
    equal((read.tags, read.value.as_deref()), (Some(tags), Some("kept")))
}

pub async fn list_over_pages(world: &World) -> Result<()> {
    let client = world.client(1)?;
    let prefix = fresh("page");
    let names = numbered(&prefix, 63);
    for (name, number) in &names {
        let (value, tags) = (Some("listed".to_owned()), tags(&[("n", number)]));
        let wanted = SetSecretParameters { value, tags, ..Default::default() };
        client.set_secret(name, wanted.try_into()?, None).await?;
    }
    let listed = over_pages(client.list_secret_properties(None)?.into_pages(), 3, |page| {
        let items = page.into_model()?.value.into_iter().map(|item| {
            let id = item.resource_id()?;
            Ok(Listed { name: id.name, version: id.version, tags: item.tags })
        });
        items.collect()
    });
    each_once(listed.await?, &prefix, &names)?;
    let options = SecretClientListSecretPropertiesOptions { maxresults: Some(7), ..Default::default() };
    let mut pages = client.list_secret_properties(Some(options))?.into_pages();
    let mut total = 0;
    while let Some(page) = pages.try_next().await? {
        let size = page.into_model()?.value.len();
        ensure!(size <= 7, "a page of {size}");
        total += size;
    }
    ensure!(total >= 63, "{total} secrets over small pages");
    Ok(())
}

pub async fn not_found(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = fresh("absent");
    let absent = &["SecretNotFound"];
    refused(get(&client, &name).await, 404, absent)?;
    refused(client.get_deleted_secret(&name, None).await.map_err(Into::into), 404, absent)?;
    refused(client.delete_secret(&name, None).await.map_err(Into::into), 404, absent)?;
    refused(enable(&client, &name, false).await, 404, absent)?;
    set(&client, &name, "now it is").await?;
    refused(get_version(&client, &name, NO_VERSION).await, 404, absent)
}

pub async fn delete_and_recover(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = fresh("recover");
    let first = set(&client, &name, "one").await?.resource_id()?.version.context("no version")?;
    set(&client, &name, "two").await?;
    let deleted = client.delete_secret(&name, None).await?.into_model()?;
    ensure!(deleted.value.is_none(), "a deleted secret shows its value");
    equal(deleted.recovery_id, Some(format!("{}/deletedsecrets/{name}", world.vault_url(0))))?;
    ensure!(deleted.scheduled_purge_date > deleted.deleted_date, "purged before it is deleted");
    refused(get(&client, &name).await, 404, &["SecretNotFound"])?;
    refused(get_version(&client, &name, &first).await, 404, &["SecretNotFound"])?;
    ensure!(!listed(&client).await?.contains(&name), "still listed");
    ensure!(listed_deleted(&client).await?.0.contains(&name), "not listed as deleted");
    equal(client.get_deleted_secret(&name, None).await?.into_model()?.resource_id()?.name, name.clone())?;
    client.recover_deleted_secret(&name, None).await?;
    equal(value(&client, &name).await?, "two".to_owned())?;
    equal(get_version(&client, &name, &first).await?.value, Some("one".to_owned()))?;
    ensure!(!listed_deleted(&client).await?.0.contains(&name), "still listed as deleted");
    Ok(())
}

pub async fn purge(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = fresh("purge");
    let first = set(&client, &name, "gone soon").await?.resource_id()?.version.context("no version")?;
    remove(&client, &name).await?;
    refused(client.get_deleted_secret(&name, None).await.map_err(Into::into), 404, &["SecretNotFound"])?;
    refused(client.purge_deleted_secret(&name, None).await.map_err(Into::into), 404, &["SecretNotFound"])?;
    let again = set(&client, &name, "a new life").await?.resource_id()?.version.context("no version")?;
    ensure!(again != first, "a version came back");
    equal(listed_versions(&client, &name).await?, BTreeSet::from([again]))?;
    refused(get_version(&client, &name, &first).await, 404, &["SecretNotFound"])
}

pub async fn deleted_list_over_pages(world: &World) -> Result<()> {
    let client = world.client(1)?;
    let prefix = fresh("gone");
    let names: BTreeSet<String> = (0..28).map(|number| format!("{prefix}-{number:02}")).collect();
    for name in &names {
        set(&client, name, "x").await?;
        client.delete_secret(name, None).await?;
    }
    let (listed, pages) = listed_deleted(&client).await?;
    ensure!(pages >= 2, "{pages} page");
    equal(listed.into_iter().filter(|name| name.starts_with(&prefix)).collect(), names)
}

pub async fn name_of_a_deleted_one_is_taken(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = fresh("taken");
    set(&client, &name, "first").await?;
    client.delete_secret(&name, None).await?;
    refused(set(&client, &name, "second").await, 409, &["Conflict", "ObjectIsDeletedButRecoverable"])?;
    client.recover_deleted_secret(&name, None).await?;
    equal(value(&client, &name).await?, "first".to_owned())
}

pub async fn backup_and_restore(world: &World) -> Result<()> {
    let (here, there) = (world.client(0)?, world.client(1)?);
    let name = fresh("backup");
    let first = set(&here, &name, "one").await?.resource_id()?.version.context("no version")?;
    let second = set(&here, &name, "two").await?.resource_id()?.version.context("no version")?;
    let backup = backup(&here, &name).await?;
    let shows = |plain: &[u8]| backup.windows(plain.len()).any(|window| window == plain);
    ensure!(!shows(b"one") && !shows(b"two"), "a backup shows its values");
    restore(&there, backup.clone()).await?;
    equal(value(&there, &name).await?, "two".to_owned())?;
    equal(get_version(&there, &name, &first).await?.value, Some("one".to_owned()))?;
    equal(listed_versions(&there, &name).await?, BTreeSet::from([first, second]))?;
    equal(value(&here, &name).await?, "two".to_owned())
}

pub async fn restore_onto_itself_is_refused(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = fresh("again");
    set(&client, &name, "here").await?;
    let backup = backup(&client, &name).await?;
    refused(restore(&client, backup.clone()).await, 409, &["Conflict"])?;
    remove(&client, &name).await?;
    restore(&client, backup).await?;
    equal(value(&client, &name).await?, "here".to_owned())
}

pub async fn damaged_backup_is_refused(world: &World) -> Result<()> {
    let (here, there) = (world.client(0)?, world.client(1)?);
    let name = fresh("damaged");
    set(&here, &name, "whole").await?;
    let mut damaged = backup(&here, &name).await?;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for damaged in [damaged, Vec::new(), b"not a backup at all".to_vec()] {
        refused(restore(&there, damaged).await, 400, &["BadParameter"])?;
    }
    refused(get(&there, &name).await, 404, &["SecretNotFound"])
}

pub async fn disabled_cannot_be_read(world: &World) -> Result<()> {
    let client = world.client(0)?;
    let name = fresh("disabled");
    let attributes = SecretAttributes { enabled: Some(false), ..Default::default() };
    let written = set_with(&client, &name, "hidden", attributes).await?;
    let version = written.resource_id()?.version.context("no version")?;
    refused(get(&client, &name).await, 403, &["Forbidden", "SecretDisabled"])?;
    refused(get_version(&client, &name, &version).await, 403, &["Forbidden", "SecretDisabled"])?;
    ensure!(listed(&client).await?.contains(&name), "a disabled secret is listed");
    enable(&client, &name, true).await?;
    equal(value(&client, &name).await?, "hidden".to_owned())
}

pub async fn outside_its_dates_can_be_read(world: &World) -> Result<()> {
    let client = world.client(0)?;
    for attributes in [
        SecretAttributes { expires: Some(seconds_from_now(-86_400)?), ..Default::default() },
        SecretAttributes { not_before: Some(seconds_from_now(86_400)?), ..Default::default() },
    ] {
        let name = fresh("dates");
        set_with(&client, &name, "still there", attributes).await?;
        equal(value(&client, &name).await?, "still there".to_owned())?;
    }
    Ok(())
}

pub async fn many_at_once(world: &World) -> Result<()> {
    let client = &world.client(0)?;
    let read: Vec<String> = stream::iter(0..100)
        .map(|_| value(client, &world.seeded_name))
        .buffer_unordered(100)
        .try_collect()
        .await?;
    ensure!(read.iter().all(|value| *value == world.seeded_value), "a read answered something else");
    Ok(())
}

fn seconds_from_now(seconds: i64) -> Result<OffsetDateTime> {
    Ok(OffsetDateTime::from_unix_timestamp(OffsetDateTime::now_utc().unix_timestamp() + seconds)?)
}

async fn enable(client: &SecretClient, name: &str, enabled: bool) -> Result<()> {
    let parameters = UpdateSecretPropertiesParameters {
        secret_attributes: Some(SecretAttributes { enabled: Some(enabled), ..Default::default() }),
        ..Default::default()
    };
    client.update_secret_properties(name, parameters.try_into()?, None).await?;
    Ok(())
}

async fn remove(client: &SecretClient, name: &str) -> Result<()> {
    client.delete_secret(name, None).await?;
    client.purge_deleted_secret(name, None).await?;
    Ok(())
}

async fn backup(client: &SecretClient, name: &str) -> Result<Vec<u8>> {
    client.backup_secret(name, None).await?.into_model()?.value.context("a backup without a value")
}

async fn restore(client: &SecretClient, backup: Vec<u8>) -> Result<()> {
    let parameters = RestoreSecretParameters { secret_backup: Some(backup) };
    client.restore_secret(parameters.try_into()?, None).await?;
    Ok(())
}

async fn listed(client: &SecretClient) -> Result<BTreeSet<String>> {
    let mut items = client.list_secret_properties(None)?;
    let mut names = BTreeSet::new();
    while let Some(item) = items.try_next().await? {
        names.insert(item.resource_id()?.name);
    }
    Ok(names)
}

/// The names of the deleted secrets, and over how many pages they came.
async fn listed_deleted(client: &SecretClient) -> Result<(BTreeSet<String>, usize)> {
    let mut pages = client.list_deleted_secret_properties(None)?.into_pages();
    let (mut names, mut count) = (BTreeSet::new(), 0);
    while let Some(page) = pages.try_next().await? {
        count += 1;
        for item in page.into_model()?.value {
            names.insert(item.resource_id()?.name);
        }
    }
    Ok((names, count))
}

async fn listed_versions(client: &SecretClient, name: &str) -> Result<BTreeSet<String>> {
    let mut items = client.list_secret_properties_versions(name, None)?;
    let mut versions = BTreeSet::new();
    while let Some(item) = items.try_next().await? {
        versions.insert(item.resource_id()?.version.context("a listed version without its id")?);
    }
    Ok(versions)
}
