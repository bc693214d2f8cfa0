//! Ceremonies: who can open a deployment is changed by somebody who can, while no server runs (security.md V28).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_domain::ports::{Clock, Entropy};

use super::{Deployment, OpenError, open_with};
use crate::barrier::{Barrier, BarrierError};
use crate::engine::sqlite::Sqlite;
use crate::root::{
    Provider, ProviderKind, Recovery, RootKeyError, RootKeySource, RootKeys, RootRecord, ShareFile,
};

/// An open deployment and the keys that opened it. The lock is held, so no server runs meanwhile.
pub struct Ceremony {
    /// The deployment, for the entry in its log.
    pub deployment: Deployment,
    pub(super) directory: PathBuf,
    pub(super) barrier: Arc<Barrier<Sqlite>>,
    pub(super) record: Option<RootRecord>,
    pub(super) keys: RootKeys,
    pub(super) source: RootKeySource,
}

impl Ceremony {
    /// Opens a deployment with one of its providers.
    pub async fn begin(
        directory: &Path,
        source: &RootKeySource,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        open_with(directory, source, clock).await
    }

    /// Who can open it.
    pub fn providers(&self) -> Vec<Provider> {
        self.record.as_ref().map(RootRecord::providers).unwrap_or_default()
    }

    /// Adds a provider.
    pub fn add(
        &mut self,
        name: &str,
        source: &RootKeySource,
        entropy: &dyn Entropy,
    ) -> Result<(), RootKeyError> {
        let mut record = self.record()?;
        record.add(&self.directory, &self.keys, name, source, entropy)?;
        self.keep(record)
    }

    /// Adds a recovery quorum; `deliver` gets the shares before anything depends on them.
    pub fn add_recovery(
        &mut self,
        recovery: &Recovery,
        entropy: &dyn Entropy,
        deliver: impl FnOnce(&[ShareFile]) -> io::Result<()>,
    ) -> Result<(), RootKeyError> {
        let mut record = self.record()?;
        let name = ProviderKind::Recovery.as_str();
        let files = record.add_recovery(&self.keys, name, recovery, entropy)?;
        delivered(deliver, &files)?;
        self.keep(record)
    }

    /// Removes a provider. Copies of the record from before still open with it: replace the root if they must not.
    pub fn remove(&mut self, name: &str) -> Result<(), RootKeyError> {
        let mut record = self.record()?;
        record.remove(&self.keys, name)?;
        self.keep(record)
    }

    /// Replaces the root key. Every provider is opened with one of `sources` and seals the new one; quorums get new
    /// shares. May be broken off anywhere: the next opening finishes it, or nothing has happened.
    pub async fn replace_root(
        self,
        sources: &[RootKeySource],
        entropy: &dyn Entropy,
        deliver: impl FnOnce(&[ShareFile]) -> io::Result<()>,
    ) -> Result<(), OpenError> {
        let mut record = self.record()?;
        let (keys, files) = record.replace_root(self.keys, sources, entropy)?;
        delivered(deliver, &files)?;
        // From here on the record opens the new root, which knows the one before.
        record.save(&self.directory)?;
        self.barrier.replace_root(&keys).await.map_err(BarrierError::from)?;
        record.settle(&keys)?;
        record.save(&self.directory)?;
        Ok(())
    }

    /// The record; for a deployment of the layout before records a new one, in which its key file or credential is the
    /// first provider.
    fn record(&self) -> Result<RootRecord, RootKeyError> {
        match &self.record {
            Some(record) => Ok(record.clone()),
            None => RootRecord::adopt(&self.directory, self.deployment.id(), &self.keys, &self.source),
        }
    }

    fn keep(&mut self, record: RootRecord) -> Result<(), RootKeyError> {
        record.save(&self.directory)?;
        self.record = Some(record);
        Ok(())
    }
}

fn delivered(
    deliver: impl FnOnce(&[ShareFile]) -> io::Result<()>,
    files: &[ShareFile],
) -> Result<(), RootKeyError> {
    deliver(files).map_err(|error| RootKeyError::Refused(format!("the shares cannot be delivered: {error}")))
}
