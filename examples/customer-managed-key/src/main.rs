//! An application that keeps rows in PostgreSQL, each sealed with a key of its own, and the keys wrapped by a customer's
//! key in a vault.
//!
//! It is an ordinary Azure program: Microsoft's key client, a managed identity, no credential anywhere. The identity
//! has the role Key Vault Crypto Service Encryption User, which may read a key's public part, wrap and unwrap, and
//! nothing else; whoever takes that role away, or disables the key, takes the rows away from the application.
//!
//! `VAULT_URL` and `KEY_NAME` say which key, `DATABASE` is a libpq-style connection text. Then:
//!
//! ```text
//! customer-managed-key put NAME < value     seal a value and store it
//! customer-managed-key get NAME             print a value
//! customer-managed-key rewrap               wrap every row's key with the newest version; no row is sealed again
//! ```

mod sealed;

use std::env;
use std::io::{Read, Write};

use anyhow::{Context, Result, bail, ensure};
use azure_identity::ManagedIdentityCredential;
use azure_security_keyvault_keys::models::{EncryptionAlgorithm, KeyOperationParameters};
use azure_security_keyvault_keys::{KeyClient, ResourceExt, ResourceId};
use sealed::DataKey;
use tokio_postgres::{Client, NoTls};

/// Rows that `rewrap` reads at a time.
const BATCH: i64 = 100;
/// The largest value that is taken from standard input.
const VALUE_BYTES_MAX: u64 = 1 << 20;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let table = Table::open().await?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["put", name] => {
            let mut value = Vec::new();
            std::io::stdin().take(VALUE_BYTES_MAX + 1).read_to_end(&mut value)?;
            ensure!(
                value.len() as u64 <= VALUE_BYTES_MAX,
                "the value is longer than {VALUE_BYTES_MAX} bytes"
            );
            table.put(name, &value).await
        }
        ["get", name] => Ok(std::io::stdout().write_all(&table.get(name).await?)?),
        ["rewrap"] => {
            println!("{} rows wrapped anew", table.rewrap().await?);
            Ok(())
        }
        _ => bail!("usage: customer-managed-key put NAME | get NAME | rewrap"),
    }
}

/// The rows, and the customer's key that their keys are wrapped with.
struct Table {
    database: Client,
    vault: KeyClient,
    key: String,
}

/// A wrapped data key: what the vault gave, and which version of the key gives it back.
struct Wrapped {
    bytes: Vec<u8>,
    version: String,
}

impl Table {
    async fn open() -> Result<Self> {
        let vault = KeyClient::new(&variable("VAULT_URL")?, ManagedIdentityCredential::new(None)?, None)?;
        let (database, connection) = tokio_postgres::connect(&variable("DATABASE")?, NoTls).await?;
        tokio::spawn(connection);
        database
            .batch_execute(
                "create table if not exists sealed_rows (
                     name text primary key,
                     sealed bytea not null,
                     wrapped_key bytea not null,
                     key_version text not null
                 )",
            )
            .await?;
        Ok(Self { database, vault, key: variable("KEY_NAME")? })
    }

    async fn put(&self, name: &str, value: &[u8]) -> Result<()> {
        let key = DataKey::generate()?;
        let sealed = key.seal(name, value)?;
        let wrapped = self.wrap(&key).await?;
        self.database
            .execute(
                "insert into sealed_rows values ($1, $2, $3, $4)
                 on conflict (name) do update set
                     sealed = excluded.sealed, wrapped_key = excluded.wrapped_key, key_version = excluded.key_version",
                &[&name, &sealed, &wrapped.bytes, &wrapped.version],
            )
            .await?;
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Vec<u8>> {
        let row = self
            .database
            .query_opt("select sealed, wrapped_key, key_version from sealed_rows where name = $1", &[&name])
            .await?
            .with_context(|| format!("there is no row `{name}`"))?;
        let key = self.unwrap(&Wrapped { bytes: row.try_get(1)?, version: row.try_get(2)? }).await?;
        key.open(name, row.try_get(0)?)
    }

    /// Goes through the table in the order of names, so that it can be interrupted and simply run again.
    async fn rewrap(&self) -> Result<u64> {
        let newest = self.newest_version().await?;
        let (mut after, mut changed) = (String::new(), 0);
        loop {
            let rows = self
                .database
                .query(
                    "select name, wrapped_key, key_version from sealed_rows
                     where name > $1 and key_version <> $2 order by name limit $3",
                    &[&after, &newest, &BATCH],
                )
                .await?;
            let Some(last) = rows.last() else { return Ok(changed) };
            after = last.try_get(0)?;
            for row in &rows {
                let (name, old): (String, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
                let key = self.unwrap(&Wrapped { bytes: old.clone(), version: row.try_get(2)? }).await?;
                let new = self.wrap(&key).await?;
                // Somebody may have put the row anew meanwhile: then it has a newer key already.
                changed += self
                    .database
                    .execute(
                        "update sealed_rows set wrapped_key = $1, key_version = $2
                         where name = $3 and wrapped_key = $4",
                        &[&new.bytes, &new.version, &name, &old],
                    )
                    .await?;
            }
        }
    }

    async fn newest_version(&self) -> Result<String> {
        let key = self.vault.get_key(&self.key, None).await?.into_model()?;
        key.resource_id()?.version.context("the vault named no version")
    }

    async fn wrap(&self, key: &DataKey) -> Result<Wrapped> {
        let parameters = parameters(key.bytes().to_vec());
        let answer = self.vault.wrap_key(&self.key, parameters.try_into()?, None).await?.into_model()?;
        let ResourceId { version, .. } = answer.resource_id()?;
        Ok(Wrapped {
            bytes: answer.result.context("the vault wrapped nothing")?,
            version: version.context("the vault named no version")?,
        })
    }

    async fn unwrap(&self, wrapped: &Wrapped) -> Result<DataKey> {
        let parameters = parameters(wrapped.bytes.clone());
        let answer = self.vault.unwrap_key(&self.key, &wrapped.version, parameters.try_into()?, None).await?;
        DataKey::from_bytes(answer.into_model()?.result.context("the vault unwrapped nothing")?)
    }
}

fn parameters(value: Vec<u8>) -> KeyOperationParameters {
    KeyOperationParameters {
        algorithm: Some(EncryptionAlgorithm::RsaOaep256),
        value: Some(value),
        ..Default::default()
    }
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}
