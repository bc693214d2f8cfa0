//! `vouchsafe apply`: one declarative file.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use http::Method;
use vouchsafe_wire::admin::{Action, ApplyReport, ApplyRequest, DesiredState, Kind};

use crate::cli::{Apply, Format};
use crate::client::Client;
use crate::output;

const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub async fn apply(client: &Client, format: Format, arguments: &Apply) -> Result<ExitCode> {
    let report = apply_file(client, &arguments.file, arguments.dry_run).await?;
    output::print(format, &report, human)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a file and has the server make it so.
pub async fn apply_file(client: &Client, file: &Path, dry_run: bool) -> Result<ApplyReport> {
    let text = read(file)?;
    let state: DesiredState =
        serde_saphyr::from_str(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    let request = serde_json::to_value(ApplyRequest { dry_run, state })?;
    client.json(Method::POST, "vouchsafe", "/admin/v1/apply", Some(&request)).await.with_context(|| {
        format!("{} was not applied to its end; what came before the error stays", file.display())
    })
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let context = || format!("cannot read `{}`", file.display());
    if file == Path::new("-") {
        std::io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    } else {
        let file = std::fs::File::open(file).with_context(context)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).with_context(context)?;
    }
    Ok(text)
}

/// The report as people like it.
pub fn human(report: &ApplyReport) -> String {
    let changed = report.changes.iter().filter(|change| change.action != Action::Unchanged).count();
    let rows = report.changes.iter().map(|change| {
        let action = match change.action {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Unchanged => "unchanged",
        };
        [action.to_owned(), kind(change.kind).to_owned(), change.name.clone(), change.details.join(", ")]
    });
    let table = output::table(["ACTION", "KIND", "NAME", ""], rows);
    let would = if report.dry_run { "would change" } else { "changed" };
    format!("{table}\n{changed} of {} {would}", report.changes.len())
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Tenant => "tenant",
        Kind::ResourceGroup => "resource group",
        Kind::Vault => "vault",
        Kind::Identity => "identity",
        Kind::Application => "application",
        Kind::AttestationIssuer => "attestation issuer",
        Kind::PrincipalGroup => "principal group",
        Kind::CustomRole => "custom role",
        Kind::RoleAssignment => "role assignment",
    }
}
