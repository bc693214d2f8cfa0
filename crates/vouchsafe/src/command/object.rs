//! What the commands for the objects of a vault share: names, lists, the way from deletion to recovery or purge, backups,
//! and values that are written for one reader.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::{Value, json};
use vouchsafe_wire::keyvault::Octets;
use zeroize::Zeroizing;

use crate::cli::Format;
use crate::cli::certificate::Certificate;
use crate::cli::key::Key;
use crate::cli::object::{Noun, Object, Which};
use crate::cli::secret::Secret;
use crate::client::Client;
use crate::output;

/// What every request says; the answer is the same for any.
pub(super) const VERSION: &str = "api-version=7.4";
/// A sealed backup of as many versions as there can be.
const BACKUP_BYTES_MAX: u64 = 32 * 1024 * 1024;
const PASSWORD_BYTES_MAX: u64 = 4 * 1024;

/// One kind of object, in the words of paths, answers and commands.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    noun: &'static str,
    collection: &'static str,
    deleted: &'static str,
    /// The member of an answer that holds the identifier, where it is in a list and where in a single answer.
    identifier: &'static str,
    single: &'static str,
    /// The last column of a list, and the member that it shows.
    detail: (&'static str, &'static str),
}

pub(super) const SECRETS: Kind = Kind {
    noun: Secret::WORD,
    collection: "secrets",
    deleted: "deletedsecrets",
    identifier: "/id",
    single: "/id",
    detail: ("CONTENT TYPE", "/contentType"),
};
pub(super) const KEYS: Kind = Kind {
    noun: Key::WORD,
    collection: "keys",
    deleted: "deletedkeys",
    identifier: "/kid",
    single: "/key/kid",
    detail: ("OF A CERTIFICATE", "/managed"),
};
pub(super) const CERTIFICATES: Kind = Kind {
    noun: Certificate::WORD,
    collection: "certificates",
    deleted: "deletedcertificates",
    identifier: "/id",
    single: "/id",
    detail: ("SUBJECT", "/subject"),
};

impl Kind {
    /// The commands that are the same for every kind.
    pub(super) async fn run<N: Noun>(
        self,
        client: &Client,
        format: Format,
        command: &Object<N>,
    ) -> Result<()> {
        match command {
            Object::List { vault, deleted } => self.list(client, format, &vault.vault, *deleted).await,
            Object::Versions(named) => self.versions(client, format, &named.vault.vault, &named.name).await,
            Object::Backup { named, file } => {
                self.backup(client, format, &named.vault.vault, &named.name, file).await
            }
            Object::Restore { vault, file } => self.restore(client, format, &vault.vault, file).await,
            Object::Delete(named) => self.delete(client, format, &named.vault.vault, &named.name).await,
            Object::Recover(named) => self.recover(client, format, &named.vault.vault, &named.name).await,
            Object::Purge(named) => self.purge(client, format, &named.vault.vault, &named.name).await,
        }
    }

    /// The host of a version's vault, and the path of what is done with the version.
    pub(super) async fn place<N: Noun>(
        self,
        client: &Client,
        which: &Which<N>,
        operation: &str,
    ) -> Result<(String, String)> {
        let host = client.vault_host(&which.named.vault.vault).await?;
        let version = which.version.as_deref().map(checked).transpose()?.unwrap_or_default();
        let name = checked(&which.named.name)?;
        Ok((host, format!("/{}/{name}/{version}{operation}?{VERSION}", self.collection)))
    }

    async fn list(self, client: &Client, format: Format, vault: &str, is_deleted: bool) -> Result<()> {
        let collection = if is_deleted { self.deleted } else { self.collection };
        let host = client.vault_host(vault).await?;
        self.print(format, &all_pages(client, &host, &format!("/{collection}?{VERSION}")).await?)
    }

    async fn versions(self, client: &Client, format: Format, vault: &str, name: &str) -> Result<()> {
        let path = format!("/{}/{}/versions?{VERSION}", self.collection, checked(name)?);
        let items = all_pages(client, &client.vault_host(vault).await?, &path).await?;
        self.print(format, &items)
    }

    async fn delete(self, client: &Client, format: Format, vault: &str, name: &str) -> Result<()> {
        let path = format!("/{}/{}?{VERSION}", self.collection, checked(name)?);
        let host = client.vault_host(vault).await?;
        let deleted: Value = client.json(Method::DELETE, &host, &path, None).await?;
        output::print(format, &deleted, |_| {
            format!("deleted {name}; `vouchsafe {} recover` brings it back", self.noun)
        })
    }

    async fn recover(self, client: &Client, format: Format, vault: &str, name: &str) -> Result<()> {
        let path = format!("/{}/{}/recover?{VERSION}", self.deleted, checked(name)?);
        let host = client.vault_host(vault).await?;
        let recovered: Value = client.json(Method::POST, &host, &path, None).await?;
        output::print(format, &recovered, |_| format!("recovered {name}"))
    }

    async fn purge(self, client: &Client, format: Format, vault: &str, name: &str) -> Result<()> {
        let path = format!("/{}/{}?{VERSION}", self.deleted, checked(name)?);
        let host = client.vault_host(vault).await?;
        client.send(Method::DELETE, &host, &path, None).await?.successful()?;
        if format == Format::Human {
            output::line(&format!(
                "purged {name}: its records are deleted here; old disk pages and backups are not overwritten"
            ));
        }
        Ok(())
    }

    /// The bytes that `az` writes, too.
    async fn backup(
        self,
        client: &Client,
        format: Format,
        vault: &str,
        name: &str,
        file: &Path,
    ) -> Result<()> {
        let path = format!("/{}/{}/backup?{VERSION}", self.collection, checked(name)?);
        let host = client.vault_host(vault).await?;
        let backup: Backup = client.json(Method::POST, &host, &path, None).await?;
        write_value(Some(file), backup.value.as_slice())?;
        if format == Format::Human {
            output::line(&format!(
                "the backup of {name} is in {}; only vaults of this subscription can open it",
                file.display()
            ));
        }
        Ok(())
    }

    async fn restore(self, client: &Client, format: Format, vault: &str, file: &Path) -> Result<()> {
        let backup = Octets(read(file, BACKUP_BYTES_MAX)?.to_vec());
        let path = format!("/{}/restore?{VERSION}", self.collection);
        let host = client.vault_host(vault).await?;
        let body = json!({ "value": backup });
        let restored: Value = client.json(Method::POST, &host, &path, Some(&body)).await?;
        output::print(format, &restored, |restored| {
            format!("restored {}", output::text(restored, self.single))
        })
    }

    fn print(self, format: Format, items: &Vec<Value>) -> Result<()> {
        output::print(format, items, |items| {
            let rows = items.iter().map(|item| {
                let id = output::text(item, self.identifier);
                let name: Vec<&str> =
                    id.splitn(4, '/').nth(3).unwrap_or_default().split('/').skip(1).collect();
                [
                    name.join("/"),
                    output::text(item, "/attributes/enabled"),
                    date(item, "/attributes/updated"),
                    date(item, "/attributes/exp"),
                    output::text(item, self.detail.1),
                ]
            });
            output::table(["NAME", "ENABLED", "UPDATED", "EXPIRES", self.detail.0], rows)
        })
    }
}

#[derive(serde::Deserialize)]
struct Backup {
    value: Octets,
}

/// Names go into a path; whatever could change the path is refused here, the rest by the server.
pub(super) fn checked(name: &str) -> Result<&str> {
    let plausible = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plausible { Ok(name) } else { bail!("`{name}` must be letters, digits or hyphens") }
}

/// A file, or standard input; never the command line, where everybody can read it.
pub(super) fn read(file: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>> {
    let context = || format!("cannot read `{}`", file.display());
    let mut bytes = Zeroizing::new(Vec::new());
    if file == Path::new("-") {
        std::io::stdin().take(bytes_max + 1).read_to_end(&mut bytes).with_context(context)?;
    } else {
        let file = std::fs::File::open(file).with_context(context)?;
        file.take(bytes_max + 1).read_to_end(&mut bytes).with_context(context)?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        bail!("the input is longer than {bytes_max} bytes");
    }
    Ok(bytes)
}

/// A password from a file, without the line break at its end, or from a prompt if there is a terminal to ask at.
pub(super) fn password(file: Option<&Path>, prompt: &str) -> Result<Option<Zeroizing<String>>> {
    if let Some(file) = file {
        let bytes = read(file, PASSWORD_BYTES_MAX)?;
        let text = std::str::from_utf8(&bytes).context("the password is not text")?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        return Ok(Some(Zeroizing::new(text.to_owned())));
    }
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let typed = Zeroizing::new(rpassword::prompt_password(prompt).context("cannot read the password")?);
    Ok(Some(typed).filter(|typed| !typed.is_empty()))
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
            if std::io::stdout().is_terminal() && !value.ends_with(b"\n") {
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

/// The date in a member of an answer, or nothing.
pub(super) fn date(item: &Value, pointer: &str) -> String {
    let seconds = item.pointer(pointer).and_then(Value::as_u64);
    seconds.map(vouchsafe_server::adapters::rfc3339).unwrap_or_default()
}

/// Rows of a name and what there is, without those of which there is nothing.
pub(super) fn rows<const ROWS: usize>(rows: [(&str, String); ROWS]) -> String {
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    output::table(["", ""], rows.map(|(name, value)| [name.to_owned(), value]))
}
