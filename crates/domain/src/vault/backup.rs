//! Backup and restore of one secret with all its versions.
//!
//! A backup is sealed with a key of the deployment and bound to the subscription, as Key Vault binds it: it can be
//! restored into any vault of the same subscription and opens nowhere else.

use std::sync::Arc;

use vouchsafe_crypto::envelope::{self, AssociatedData};
use vouchsafe_crypto::{Reason, SecretBytes};

use super::decide;
use super::error::Error;
use super::load::{Attempt, expect, sealed, until_done};
use super::secret::{SecretHead, SecretVersion, version_from, version_into};
use crate::access::action::{BackupSecret, RestoreSecret};
use crate::access::caller::Caller;
use crate::audit::{Outcome, Recorded};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Commit, Expect};
use crate::record::{self, Decode};
use crate::resource::Vault;
use crate::world::TenantSnapshot;

/// A sealed backup and the proof that taking it is recorded.
pub struct SealedBackup {
    /// The blob.
    pub blob: Vec<u8>,
    _recorded: Recorded,
}

struct Restored {
    head: SecretHead,
    versions: Vec<(SecretVersion, SecretBytes)>,
}

fn binding(tenant: &TenantSnapshot, vault: &Vault) -> AssociatedData {
    AssociatedData::new("secret backup v1")
        .field(tenant.tenant().id.0.as_bytes())
        .field(vault.subscription.0.as_bytes())
}

impl Platform {
    /// Seals a secret with all its versions.
    pub async fn backup_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<SealedBackup, Error> {
        let admitted = self.admit::<BackupSecret>(context, caller, vault, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(name);
        let collected = async {
            let head = self.load_head(&place).await?.ok_or_else(|| Error::NotFound(name.to_string()))?.noun;
            let page = self
                .store
                .scan(&place.versions(), None, limits::BACKUP_VERSIONS_MAX)
                .await
                .map_err(Fault::from)?;
            if page.next.is_some() {
                return Err(Error::BadParameter(format!(
                    "secret {name} has more than {} versions and cannot be backed up",
                    limits::BACKUP_VERSIONS_MAX
                )));
            }
            let mut versions = Vec::with_capacity(page.records.len());
            for record in &page.records {
                let version = SecretVersion::decode(record.value.expose(Reason::Record))?;
                let value = self.load_value(&admitted.proof, &place, version.version).await?;
                versions.push((version, value));
            }
            Ok(Restored { head, versions })
        };
        match collected.await {
            Ok(collected) => {
                let plaintext = encode(collected);
                let binding = binding(&admitted.tenant, &admitted.vault);
                let blob = envelope::seal(&self.backup_key, &binding, plaintext.expose(Reason::Cipher));
                let recorded = self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok(SealedBackup { blob, _recorded: recorded })
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }

    /// Puts a backed-up secret into a vault where its name is free.
    pub async fn restore_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        blob: &[u8],
    ) -> Result<(SecretHead, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit::<RestoreSecret>(context, caller, vault, None).await?;
            let entry = self.entry(context, &admitted.proof);
            let opened = envelope::open(&self.backup_key, &binding(&admitted.tenant, &admitted.vault), blob);
            let restored = opened.ok().and_then(|plaintext| decode(&plaintext).ok());
            let Some(Restored { head, versions }) = restored else {
                let problem = "the backup is damaged, or was not taken from a vault of this subscription";
                return self.record_refusal(entry, Error::BadParameter(problem.to_owned())).await;
            };
            let place = admitted.place(&head.name);
            let live = self.load_head(&place).await?;
            let deleted = self.load_deleted(&place).await?;
            let free = match &live {
                Some(_) => Err(Error::AlreadyExists(head.name.to_string())),
                None => decide::name_is_free(&head.name, deleted.as_ref().map(|found| &found.noun)),
            };
            if let Err(error) = free {
                return self.record_refusal(entry, error).await;
            }
            let intent = self.trail.announce(entry).await?;
            let mut commit: Commit = admitted
                .guard(intent.commit())
                .guard(place.deleted(), Expect::Absent)
                .put(place.head(), expect(live.as_ref()), sealed(&head));
            for (version, value) in versions {
                commit = commit.put(place.version(version.version), Expect::Absent, sealed(&version)).put(
                    place.value(version.version),
                    Expect::Absent,
                    value,
                );
            }
            (self.attempt(intent, commit, (head, admitted.vault), context).await?, admitted.tenant)
        })
    }
}

fn encode(backup: Restored) -> SecretBytes {
    let mut stored = record::SecretBackup {
        name: backup.head.name.to_string(),
        current: backup.head.current.version.0.as_bytes().to_vec(),
        versions: backup
            .versions
            .iter()
            .map(|(version, value)| record::BackupVersion {
                attributes: Some(version_into(version)),
                value: value.expose(Reason::Record).to_vec(),
            })
            .collect(),
    };
    let encoded = SecretBytes::new(record::encode(&stored));
    for version in &mut stored.versions {
        // The encoder needed plain bytes: wipe them through the type that does so.
        drop(SecretBytes::new(std::mem::take(&mut version.value)));
    }
    encoded
}

fn decode(plaintext: &SecretBytes) -> Result<Restored, Error> {
    let stored: record::SecretBackup = record::decode(plaintext.expose(Reason::Record))?;
    let current = ObjectVersion(record::uuid(&stored.current)?);
    let mut versions = Vec::with_capacity(stored.versions.len());
    for version in stored.versions {
        let value = SecretBytes::new(version.value);
        let attributes =
            version.attributes.ok_or_else(|| Error::BadParameter("a version is incomplete".to_owned()))?;
        versions.push((version_from(attributes)?, value));
    }
    let head = versions.iter().find(|(version, _)| version.version == current);
    let head = head.ok_or_else(|| Error::BadParameter("the current version is missing".to_owned()))?;
    Ok(Restored {
        head: SecretHead { name: ObjectName::parse(&stored.name)?, current: head.0.clone() },
        versions,
    })
}
