//! `vouchsafe role`: roles and role assignments, through ARM and `apply`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};
use vouchsafe_wire::admin::ApplyReport;

use super::apply;
use crate::cli::Format;
use crate::cli::resource::Role;
use crate::client::Client;
use crate::output;

const API: &str = "api-version=2022-04-01";

pub async fn role(client: &Client, format: Format, command: &Role) -> Result<ExitCode> {
    let (subscription, host) = client.subscription().await?;
    let base = format!("/subscriptions/{subscription}/providers/Microsoft.Authorization");
    let roles = format!("{base}/roleDefinitions?{API}");
    match command {
        Role::List => {
            let roles: Value = client.json(Method::GET, &host, &roles, None).await?;
            output::print(format, &roles["value"], |roles| {
                let rows = roles.as_array().into_iter().flatten().map(|role| {
                    let kind = output::text(role, "/properties/type");
                    [output::text(role, "/properties/roleName"), kind, output::text(role, "/name")]
                });
                output::table(["ROLE", "KIND", "ID"], rows)
            })?;
        }
        Role::Assignments => {
            let names: BTreeMap<String, String> =
                client.json::<Value>(Method::GET, &host, &roles, None).await?["value"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|role| (output::text(role, "/name"), output::text(role, "/properties/roleName")))
                    .collect();
            let path = format!("{base}/roleAssignments?{API}");
            let assignments: Value = client.json(Method::GET, &host, &path, None).await?;
            output::print(format, &assignments["value"], |assignments| {
                let rows = assignments.as_array().into_iter().flatten().map(|assignment| {
                    let role = output::text(assignment, "/properties/roleDefinitionId");
                    let role = role.rsplit('/').next().unwrap_or_default();
                    let role = names.get(role).cloned().unwrap_or_else(|| role.to_owned());
                    let property = |name: &str| output::text(assignment, &format!("/properties/{name}"));
                    [property("principalId"), role, property("scope"), output::text(assignment, "/id")]
                });
                output::table(["PRINCIPAL", "ROLE", "SCOPE", "ID"], rows)
            })?;
        }
        Role::Assign { role, identity, vault, secret } => {
            let scope = match secret {
                Some(secret) => json!({ "secret": { "vault": vault, "name": secret } }),
                None => json!({ "vault": vault }),
            };
            let assignment = json!({ "identity": identity, "role": role, "scope": scope });
            let request = json!({ "state": { "role_assignments": [assignment] } });
            let report: ApplyReport =
                client.json(Method::POST, "vouchsafe", "/admin/v1/apply", Some(&request)).await?;
            output::print(format, &report, apply::human)?;
        }
        Role::Unassign { id } => {
            client.send(Method::DELETE, &host, &format!("{id}?{API}"), None).await?.successful()?;
            output::line("removed");
        }
    }
    Ok(ExitCode::SUCCESS)
}
