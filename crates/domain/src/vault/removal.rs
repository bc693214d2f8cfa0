//! Deleting, recovering and purging.

use std::sync::Arc;

use super::decide;
use super::error::Error;
use super::load::{Attempt, Found, sealed, until_done};
use super::secret::{DeletedSecret, Place, SecretHead};
use crate::access::action::{DeleteSecret, PurgeSecret, RecoverSecret};
use crate::access::caller::Caller;
use crate::audit::{Entry, Intent, Outcome, Subject};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Commit, CommitError, Cursor, Expect, Kind, Partition, Prefix};
use crate::record::Decode;
use crate::resource::Vault;
use vouchsafe_crypto::Reason;

impl Platform {
    /// Soft-deletes a secret with all its versions.
    pub async fn delete_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(DeletedSecret, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit::<DeleteSecret>(context, caller, vault, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(name);
            let Some(live) = self.load_head(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(name.to_string())).await;
            };
            let deleted = decide::delete(live.noun, &admitted.vault, context.now);
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit()).delete(place.head(), live.revision).put(
                place.deleted(),
                Expect::Absent,
                sealed(&deleted),
            );
            (self.attempt(intent, commit, (deleted, admitted.vault), context).await?, admitted.tenant)
        })
    }

    /// Makes a soft-deleted secret live again.
    pub async fn recover_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(SecretHead, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit::<RecoverSecret>(context, caller, vault, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(name);
            let Some(deleted) = self.load_deleted(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(name.to_string())).await;
            };
            let live = self.load_head(&place).await?;
            let head = match decide::recover(&deleted.noun, live.as_ref().map(|found| &found.noun)) {
                Ok(head) => head,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit()).delete(place.deleted(), deleted.revision).put(
                place.head(),
                Expect::Absent,
                sealed(&head),
            );
            (self.attempt(intent, commit, (head, admitted.vault), context).await?, admitted.tenant)
        })
    }

    /// Destroys a soft-deleted secret before its time.
    ///
    /// This deletes the sealed records and with them their wrapped keys. It does not overwrite old pages of the disk
    /// or backups: the erasure is logical.
    pub async fn purge_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit::<PurgeSecret>(context, caller, vault, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(name);
            let Some(deleted) = self.load_deleted(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(name.to_string())).await;
            };
            if let Err(error) = decide::purge(&admitted.vault) {
                return self.record_refusal(entry, error).await;
            }
            let guard = admitted.tenant.epoch_guard();
            let destroyed = self.destroy(
                &place,
                deleted,
                context,
                || entry.clone(),
                |commit| commit.guard(guard.0.clone(), guard.1),
            );
            (destroyed.await?, admitted.tenant)
        })
    }

    /// Destroys soft-deleted secrets whose time has come, a bounded number at a time. One `tick` of a job.
    pub async fn purge_due_secrets(&self, context: &Context) -> Result<usize, Error> {
        let vaults: Vec<(Arc<crate::world::TenantSnapshot>, Arc<Vault>)> = self.world().vaults().collect();
        let mut purged = 0;
        for (tenant, vault) in vaults {
            let prefix = Prefix {
                partition: Partition::Vault(tenant.tenant().id, vault.id),
                kind: Kind::DeletedSecret,
                outer: None,
            };
            let mut after: Option<Cursor> = None;
            loop {
                let page = self
                    .store
                    .scan(&prefix, after.as_ref(), limits::JOB_BATCH_MAX)
                    .await
                    .map_err(Fault::from)?;
                for record in page.records {
                    let noun = DeletedSecret::decode(record.value.expose(Reason::Record))?;
                    if !noun.purging && noun.purge_due > context.now {
                        continue;
                    }
                    let place = Place::new(tenant.tenant().id, vault.id, &noun.head.name);
                    let scope =
                        crate::resource::scope::Scope::vault(vault.subscription, &vault.group, &vault.name)
                            .object("secrets", &noun.head.name);
                    let entry = || {
                        let subject = Subject { by: "platform".to_owned(), ..Subject::default() };
                        let action = "Microsoft.KeyVault/vaults/secrets/purge/action";
                        Entry::new(context.request, subject, action, scope.canonical(), context.now)
                    };
                    let found = Found { noun, revision: record.revision };
                    if let Attempt::Done(()) =
                        self.destroy(&place, found, context, entry, |commit| commit).await?
                    {
                        purged += 1;
                    }
                    if purged >= limits::JOB_BATCH_MAX {
                        return Ok(purged);
                    }
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(purged)
    }

    /// Deletes every record of a soft-deleted secret: in one commit when it fits, else marked first, so that a crash
    /// between two commits leaves something that can only be purged further, never recovered in part.
    async fn destroy(
        &self,
        place: &Place,
        mut deleted: Found<DeletedSecret>,
        context: &Context,
        entry: impl Fn() -> Entry,
        guard: impl Fn(Commit) -> Commit,
    ) -> Result<Attempt<()>, Error> {
        loop {
            let versions =
                self.store.scan(&place.versions(), None, VERSIONS_PER_COMMIT).await.map_err(Fault::from)?;
            let is_last = versions.next.is_none();
            let intent: Intent = self.trail.announce(entry()).await?;
            let mut commit = guard(intent.commit());
            if !is_last && !deleted.noun.purging {
                let marked = DeletedSecret { purging: true, ..deleted.noun.clone() };
                commit = commit.put(place.deleted(), Expect::At(deleted.revision), sealed(&marked));
            } else {
                for record in &versions.records {
                    let version = record.key.name.get(1).and_then(|raw| ObjectVersion::parse(raw).ok());
                    let version = version.ok_or_else(|| Fault::Broken("a version has no id".to_owned()))?;
                    commit = commit.delete(record.key.clone(), record.revision);
                    let value = place.value(version);
                    if let Some(value_record) = self.store.get(&value).await.map_err(Fault::from)? {
                        commit = commit.delete(value, value_record.revision);
                    }
                }
                commit = if is_last {
                    commit.delete(place.deleted(), deleted.revision)
                } else {
                    commit.guard(place.deleted(), Expect::At(deleted.revision))
                };
            }
            match self.store.commit(commit).await {
                Ok(revisions) => {
                    self.trail.conclude(intent, Outcome::Done, context.now)?;
                    if is_last {
                        return Ok(Attempt::Done(()));
                    }
                    if let (false, Some(revision)) = (deleted.noun.purging, revisions.first()) {
                        deleted.noun.purging = true;
                        deleted.revision = *revision;
                    }
                }
                Err(CommitError::Conflict) => {
                    self.trail.conclude(intent, Outcome::Lost, context.now)?;
                    return Ok(Attempt::Again);
                }
                Err(CommitError::Store(error)) => return Err(Fault::from(error).into()),
            }
        }
    }
}

/// Two records a version, and room for the head and the guards.
const VERSIONS_PER_COMMIT: usize = Commit::CHANGES_MAX / 2 - 4;
