//! Who signs the certificates of a vault, and who is told about them.

use anyhow::{Result, bail};
use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::Format;
use crate::cli::certificate::{Contacts, Issuer};
use crate::client::Client;
use crate::command::object::{VERSION, all_pages, checked, date, password, rows};
use crate::output;

pub(super) async fn issuer(client: &Client, format: Format, command: &Issuer) -> Result<()> {
    let (Issuer::List { vault }
    | Issuer::Set { vault, .. }
    | Issuer::Show { vault, .. }
    | Issuer::Remove { vault, .. }) = command;
    let host = client.vault_host(&vault.vault).await?;
    match command {
        Issuer::List { .. } => {
            let path = format!("/certificates/issuers?{VERSION}");
            let issuers = all_pages(client, &host, &path).await?;
            output::print(format, &issuers, |issuers| {
                let rows = issuers.iter().map(|issuer| [name_of(issuer), output::text(issuer, "/provider")]);
                output::table(["NAME", "PROVIDER"], rows)
            })?;
        }
        Issuer::Set { issuer, provider, account, password_file, organization, disabled, .. } => {
            let password = match password_file {
                Some(file) => password(Some(file), "")?,
                None => None,
            };
            let body = IssuerBody {
                provider,
                credentials: Credentials {
                    account_id: account.as_deref(),
                    pwd: password.as_ref().map(|text| text.as_str()),
                },
                org_details: organization.as_deref().map(|id| json!({ "id": id })),
                attributes: json!({ "enabled": !disabled }),
            };
            let mut bytes = Zeroizing::new(Vec::with_capacity(8 * 1024));
            serde_json::to_writer(&mut *bytes, &body)?;
            let path = format!("/certificates/issuers/{}?{VERSION}", checked(issuer)?);
            let answer = client.send(Method::PUT, &host, &path, Some(bytes)).await?.successful()?;
            let set: Value = serde_json::from_slice(&answer.body)?;
            output::print(format, &set, |_| format!("set the issuer {issuer}"))?;
        }
        Issuer::Show { issuer, .. } => {
            let path = format!("/certificates/issuers/{}?{VERSION}", checked(issuer)?);
            let found: Value = client.json(Method::GET, &host, &path, None).await?;
            output::print(format, &found, |issuer| {
                let people = issuer.pointer("/org_details/admin_details").and_then(Value::as_array);
                let mails = people.into_iter().flatten().map(|person| output::text(person, "/email"));
                rows([
                    ("name", name_of(issuer)),
                    ("provider", output::text(issuer, "/provider")),
                    ("account", output::text(issuer, "/credentials/account_id")),
                    ("organization", output::text(issuer, "/org_details/id")),
                    ("administrators", mails.collect::<Vec<_>>().join(", ")),
                    ("enabled", output::text(issuer, "/attributes/enabled")),
                    ("updated", date(issuer, "/attributes/updated")),
                ])
            })?;
        }
        Issuer::Remove { issuer, .. } => {
            let path = format!("/certificates/issuers/{}?{VERSION}", checked(issuer)?);
            let removed: Value = client.json(Method::DELETE, &host, &path, None).await?;
            output::print(format, &removed, |_| {
                format!("removed the issuer {issuer}; what it issued stays valid until it ends or is revoked")
            })?;
        }
    }
    Ok(())
}

/// Written into memory that wipes itself, because of the password.
#[derive(Serialize)]
struct IssuerBody<'a> {
    provider: &'a str,
    credentials: Credentials<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_details: Option<Value>,
    attributes: Value,
}

#[derive(Serialize)]
struct Credentials<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pwd: Option<&'a str>,
}

fn name_of(issuer: &Value) -> String {
    output::text(issuer, "/id").rsplit('/').next().unwrap_or_default().to_owned()
}

pub(super) async fn contacts(client: &Client, format: Format, command: &Contacts) -> Result<()> {
    let (Contacts::List { vault } | Contacts::Set { vault, .. } | Contacts::Remove { vault }) = command;
    let host = client.vault_host(&vault.vault).await?;
    let path = format!("/certificates/contacts?{VERSION}");
    let (method, body) = match command {
        Contacts::List { .. } => (Method::GET, None),
        Contacts::Set { email, .. } => {
            if let Some(empty) = email.iter().find(|email| email.trim().is_empty()) {
                bail!("`{empty}` is no mail address");
            }
            let contacts: Vec<_> = email.iter().map(|email| json!({ "email": email.trim() })).collect();
            (Method::PUT, Some(json!({ "contacts": contacts })))
        }
        Contacts::Remove { .. } => (Method::DELETE, None),
    };
    let answer: Value = client.json(method, &host, &path, body.as_ref()).await?;
    output::print(format, &answer, |answer| match command {
        Contacts::Remove { .. } => "nobody is told any more".to_owned(),
        Contacts::List { .. } | Contacts::Set { .. } => {
            let people = answer["contacts"].as_array().into_iter().flatten();
            let rows =
                people.map(|person| ["/email", "/name", "/phone"].map(|part| output::text(person, part)));
            output::table(["MAIL", "NAME", "PHONE"], rows)
        }
    })
}
