//! What the commands for the objects of a vault share: names, lists, and values that are written for one reader.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::Value;

use crate::cli::Format;
use crate::client::Client;
use crate::output;

/// Names go into a path; whatever could change the path is refused here, the rest by the server.
pub(super) fn checked(name: &str) -> Result<&str> {
    let plausible = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plausible { Ok(name) } else { bail!("`{name}` must be letters, digits or hyphens") }
}

/// Writes a secret into a new file, or to standard output.
pub(super) fn write_value(file: Option<&Path>, value: &[u8]) -> Result<()> {
    match file {
        Some(file) => {
            // A new file only: one that is there may be readable by others, or a link.
            let mut out = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(file)
                .with_context(|| format!("cannot create `{}`", file.display()))?;
            out.write_all(value)?;
        }
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(value)?;
            if std::io::stdout().is_terminal() {
                out.write_all(b"\n")?;
            }
        }
    }
    Ok(())
}

const PAGES_MAX: usize = 100_000;

/// Everything in a list, page after page.
pub(super) async fn all_pages(client: &Client, host: &str, path: &str) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut path = path.to_owned();
    for _ in 0..PAGES_MAX {
        let mut page: Value = client.json(Method::GET, host, &path, None).await?;
        if let Some(Value::Array(mut found)) = page.get_mut("value").map(Value::take) {
            items.append(&mut found);
        }
        let next = page.get("nextLink").and_then(Value::as_str).map(str::to_owned);
        let Some(next) = next.filter(|next| !next.is_empty()) else { return Ok(items) };
        // The link is absolute; the socket wants the path.
        let rest = next.split_once("://").map_or(next.as_str(), |(_, rest)| rest);
        path = rest.find('/').map(|at| rest[at..].to_owned()).context("the server's nextLink has no path")?;
    }
    bail!("the list does not end")
}

/// Prints a list; `identifier` is the member by which its kind of object is known.
pub(super) fn print_items(format: Format, identifier: &str, items: &Vec<Value>) -> Result<()> {
    output::print(format, items, |items| {
        let rows = items.iter().map(|item| {
            let id = output::text(item, &format!("/{identifier}"));
            let name: Vec<&str> = id.splitn(4, '/').nth(3).unwrap_or_default().split('/').skip(1).collect();
            let enabled = output::text(item, "/attributes/enabled");
            let date = |pointer| item.pointer(pointer).and_then(Value::as_u64).map(date).unwrap_or_default();
            [
                name.join("/"),
                enabled,
                date("/attributes/updated"),
                date("/attributes/exp"),
                output::text(item, "/contentType"),
            ]
        });
        output::table(["NAME", "ENABLED", "UPDATED", "EXPIRES", "CONTENT TYPE"], rows)
    })
}

fn date(seconds: u64) -> String {
    vouchsafe_server::adapters::rfc3339(seconds)
}
