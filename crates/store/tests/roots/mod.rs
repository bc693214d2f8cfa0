//! Root key providers: each opens what it sealed and nothing else, and several open one deployment.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod ceremonies;
mod golden;
mod providers;
#[cfg(feature = "tpm")]
mod tpm;

use std::path::Path;
use std::sync::Arc;

use vouchsafe_crypto::envelope::{AssociatedData, Kek, open, seal};
use vouchsafe_crypto::{Reason, SecretBytes, SecretString};
use vouchsafe_store::Deployment;
use vouchsafe_store::deployment::{EngineKind, OpenError, initialise, open as open_deployment};
use vouchsafe_store::root::{Cost, Passphrase, RootKeySource, RootRecord, RootWrapper, WrapError};

use crate::support::{Counting, Standing, root};

/// The least that Argon2id computes: what it costs is not what is tested.
const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };

fn passphrase(text: &'static str) -> RootKeySource {
    RootKeySource::Passphrase(
        Passphrase::new(move || Ok(SecretString::new(text.to_owned()))).with_cost(CHEAP),
    )
}

const RIGHT: &str = "correct horse battery staple";

/// A token of one key, in memory.
struct Token(Kek, &'static str);

impl Token {
    fn source(byte: u8) -> RootKeySource {
        RootKeySource::Token(Arc::new(Self(root(byte), "test token")))
    }
}

impl RootWrapper for Token {
    fn describe(&self) -> String {
        self.1.to_owned()
    }

    fn wrap(&self, key: &SecretBytes, context: &[u8]) -> Result<Vec<u8>, WrapError> {
        Ok(seal(&self.0, &AssociatedData::new("token").field(context), key.expose(Reason::Test)))
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<SecretBytes, WrapError> {
        open(&self.0, &AssociatedData::new("token").field(context), wrapped).map_err(|_| WrapError::NotOurs)
    }
}

/// A deployment in a directory of its own, made with one source.
fn made(directory: &Path, source: &RootKeySource) -> std::path::PathBuf {
    let data = directory.join("data");
    initialise(&data, source, EngineKind::Sqlite, &Counting::default()).unwrap();
    data
}

async fn opened(data: &Path, source: &RootKeySource) -> Result<Deployment, OpenError> {
    open_deployment(data, source, Arc::new(Standing::default())).await
}

fn record(data: &Path) -> RootRecord {
    RootRecord::load(data).unwrap().unwrap()
}
