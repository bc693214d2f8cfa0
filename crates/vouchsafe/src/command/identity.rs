//! `vouchsafe identity`: ARM's own operations, over the administrators' socket.

use std::process::ExitCode;

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};

use super::vault::{ensure_group, escaped, group_of, location, named};
use crate::cli::Format;
use crate::cli::resource::Identity;
use crate::client::Client;
use crate::output;

const API: &str = "api-version=2024-11-30";

pub async fn identity(client: &Client, format: Format, command: &Identity) -> Result<ExitCode> {
    let (subscription, host) = client.subscription().await?;
    let list = format!(
        "/subscriptions/{subscription}/providers/Microsoft.ManagedIdentity/userAssignedIdentities?{API}"
    );
    match command {
        Identity::Create { name, resource_group } => {
            ensure_group(client, &host, &subscription, resource_group).await?;
            let path = format!(
                "/subscriptions/{subscription}/resourceGroups/{}/providers/Microsoft.ManagedIdentity/\
                 userAssignedIdentities/{}?{API}",
                escaped(resource_group),
                escaped(name)
            );
            let body = json!({ "location": location(client, &host, &subscription).await? });
            let made: Value = client.json(Method::PUT, &host, &path, Some(&body)).await?;
            output::print(format, &made, |made| {
                format!("identity {name} with client id {}", output::text(made, "/properties/clientId"))
            })?;
        }
        Identity::List => {
            let identities: Value = client.json(Method::GET, &host, &list, None).await?;
            output::print(format, &identities["value"], |identities| {
                let rows = identities.as_array().into_iter().flatten().map(|identity| {
                    let id = |member: &str| output::text(identity, &format!("/properties/{member}"));
                    [output::text(identity, "/name"), group_of(identity), id("clientId"), id("principalId")]
                });
                output::table(["NAME", "RESOURCE GROUP", "CLIENT ID", "OBJECT ID"], rows)
            })?;
        }
        Identity::Show { name } => {
            let found = named(client, &host, &list, name).await?;
            output::print(format, &found, |identity| {
                let row = |name: &str, pointer| [name.to_owned(), output::text(identity, pointer)];
                let rows = [
                    row("id", "/id"),
                    row("client id", "/properties/clientId"),
                    row("object id", "/properties/principalId"),
                ];
                output::table(["", ""], rows)
            })?;
        }
        Identity::Delete { name } => {
            let id = output::text(&named(client, &host, &list, name).await?, "/id");
            client.send(Method::DELETE, &host, &format!("{id}?{API}"), None).await?.successful()?;
            output::line(&format!("deleted identity {name} and its role assignments"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
