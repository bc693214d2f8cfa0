//! `vouchsafe vault`: ARM's own operations, over the administrators' socket.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::{Value, json};

use crate::cli::Format;
use crate::cli::resource::Vault;
use crate::client::Client;
use crate::output;

const API: &str = "api-version=2026-02-01";

pub async fn vault(client: &Client, format: Format, command: &Vault) -> Result<ExitCode> {
    let (subscription, host) = client.subscription().await?;
    let list = format!("/subscriptions/{subscription}/providers/Microsoft.KeyVault/vaults?{API}");
    match command {
        Vault::Create { name, resource_group, retention_days, purge_protection, sku } => {
            ensure_group(client, &host, &subscription, resource_group).await?;
            let tenant = client
                .json::<Value>(
                    Method::GET,
                    &host,
                    &format!("/subscriptions/{subscription}?api-version=2022-12-01"),
                    None,
                )
                .await?;
            let body = json!({
                "location": location(client, &host, &subscription).await?,
                "properties": {
                    "tenantId": output::text(&tenant, "/tenantId"),
                    "sku": { "family": "A", "name": sku.as_str() },
                    "softDeleteRetentionInDays": retention_days,
                    "enablePurgeProtection": if *purge_protection { Value::Bool(true) } else { Value::Null },
                }
            });
            let path = format!(
                "/subscriptions/{subscription}/resourceGroups/{}/providers/Microsoft.KeyVault/vaults/{}?{API}",
                escaped(resource_group),
                escaped(name)
            );
            let made: Value = client.json(Method::PUT, &host, &path, Some(&body)).await?;
            output::print(format, &made, |made| {
                format!("vault {name}: {}", output::text(made, "/properties/vaultUri"))
            })?;
        }
        Vault::List => {
            let vaults: Value = client.json(Method::GET, &host, &list, None).await?;
            output::print(format, &vaults["value"], |vaults| {
                let rows = vaults.as_array().into_iter().flatten().map(|vault| {
                    let purge = output::text(vault, "/properties/enablePurgeProtection");
                    let days = output::text(vault, "/properties/softDeleteRetentionInDays");
                    [
                        output::text(vault, "/name"),
                        group_of(vault),
                        output::text(vault, "/properties/vaultUri"),
                        output::text(vault, "/properties/sku/name"),
                        days,
                        purge,
                    ]
                });
                let header = ["NAME", "RESOURCE GROUP", "URI", "SKU", "RETENTION DAYS", "PURGE PROTECTION"];
                output::table(header, rows)
            })?;
        }
        Vault::Show { name } => {
            let found = named(client, &host, &list, name).await?;
            output::print(format, &found, |vault| {
                let purge = output::text(vault, "/properties/enablePurgeProtection");
                let purge = if purge.is_empty() { "false".to_owned() } else { purge };
                let days = output::text(vault, "/properties/softDeleteRetentionInDays");
                let rows = [
                    ["id".to_owned(), output::text(vault, "/id")],
                    ["uri".to_owned(), output::text(vault, "/properties/vaultUri")],
                    ["sku".to_owned(), output::text(vault, "/properties/sku/name")],
                    ["retention days".to_owned(), days],
                    ["purge protection".to_owned(), purge],
                ];
                output::table(["", ""], rows)
            })?;
        }
        Vault::Delete { name } => {
            let id = output::text(&named(client, &host, &list, name).await?, "/id");
            client.send(Method::DELETE, &host, &format!("{id}?{API}"), None).await?.successful()?;
            output::line(&format!(
                "deleted vault {name}; its name stays taken until it is purged or recovered"
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds a resource by name in an ARM list.
pub(super) async fn named(client: &Client, host: &str, list: &str, name: &str) -> Result<Value> {
    let all: Value = client.json(Method::GET, host, list, None).await?;
    let found = all["value"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|resource| resource["name"].as_str().is_some_and(|found| found.eq_ignore_ascii_case(name)));
    found.cloned().with_context(|| format!("there is nothing named `{name}` here"))
}

/// Makes a resource group that is not there.
pub(super) async fn ensure_group(client: &Client, host: &str, subscription: &str, group: &str) -> Result<()> {
    let path =
        format!("/subscriptions/{subscription}/resourceGroups/{}?api-version=2024-11-01", escaped(group));
    let exists = client.send(Method::HEAD, host, &path, None).await?;
    if !exists.status.is_success() {
        let body = json!({ "location": location(client, host, subscription).await? });
        client.json::<Value>(Method::PUT, host, &path, Some(&body)).await?;
    }
    Ok(())
}

/// Where resources are in this deployment.
pub(super) async fn location(client: &Client, host: &str, subscription: &str) -> Result<String> {
    let path = format!("/subscriptions/{subscription}/locations?api-version=2022-12-01");
    let locations: Value = client.json(Method::GET, host, &path, None).await?;
    Ok(output::text(&locations, "/value/0/name"))
}

/// The resource group in a resource's id.
pub(super) fn group_of(resource: &Value) -> String {
    resource["id"].as_str().and_then(|id| id.split('/').nth(4)).unwrap_or_default().to_owned()
}

/// A name as a path segment.
pub(super) fn escaped(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
}
