//! `vouchsafe audit`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::{Value, json};
use vouchsafe_wire::admin::{AuditEntry, AuditTail};

use crate::cli::{Audit, Format};
use crate::client::Client;
use crate::output;

pub async fn audit(client: &Client, format: Format, command: &Audit) -> Result<ExitCode> {
    match command {
        Audit::Verify { directory, key } => verify(format, directory, key),
        Audit::Tail { lines, follow } => tail(client, format, *lines, *follow).await,
    }
}

fn verify(format: Format, directory: &Path, key: &Path) -> Result<ExitCode> {
    let key = std::fs::read_to_string(key).with_context(|| format!("cannot read `{}`", key.display()))?;
    match vouchsafe_store::log::verify::verify(directory, key.trim()) {
        Ok(verified) => {
            let shown = json!({
                "verified": true,
                "entries": verified.entries,
                "checkpoints": verified.checkpoints,
                "signed": verified.signed,
            });
            output::print(format, &shown, |_| {
                format!(
                    "the log is complete and unedited: {} entries, {} under {} signed checkpoints",
                    verified.entries, verified.signed, verified.checkpoints
                )
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(tampered) => {
            let shown =
                json!({ "verified": false, "position": tampered.position, "problem": tampered.to_string() });
            output::print(format, &shown, |_| format!("the log is NOT intact: {tampered}"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn tail(client: &Client, format: Format, lines: u32, follow: bool) -> Result<ExitCode> {
    let mut path = format!("/admin/v1/audit?limit={}", lines.clamp(1, 1_000));
    loop {
        let tail: AuditTail = client.json(Method::GET, "vouchsafe", &path, None).await?;
        for entry in &tail.entries {
            match format {
                Format::Json => output::line(&serde_json::to_string(entry)?),
                Format::Human => output::line(&human(entry)),
            }
        }
        if !follow {
            return Ok(ExitCode::SUCCESS);
        }
        path = format!("/admin/v1/audit?limit=1000&from={}", tail.next);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn human(entry: &AuditEntry) -> String {
    let entry = serde_json::to_value(entry).unwrap_or(Value::Null);
    let text = |pointer| output::text(&entry, pointer);
    let who = match (text("/subject/appid"), text("/subject/oid")) {
        (app, _) if !app.is_empty() => app,
        (_, oid) if !oid.is_empty() => oid,
        _ => text("/subject/by"),
    };
    let outcome = match text("/outcome") {
        outcome if outcome.is_empty() => text("/phase"),
        outcome => outcome,
    };
    let reason = match text("/reason") {
        reason if reason.is_empty() => String::new(),
        reason => format!(" ({reason})"),
    };
    let number = text("/position");
    format!("{number:>8} {} {who} {outcome}{reason} {} {}", text("/time"), text("/action"), text("/resource"))
}
