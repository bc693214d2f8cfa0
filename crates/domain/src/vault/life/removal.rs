//! Deleting, recovering and purging.

use std::sync::Arc;

use vouchsafe_crypto::keys::KeySpec;
use vouchsafe_crypto::{Reason, SecretBytes};

use crate::access::action::Action;
use crate::access::caller::Caller;
use crate::audit::{Entry, Outcome, Subject};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Commit, CommitError, Cursor, Expect, Key, Partition, Prefix, Revision};
use crate::record::{self, Decode, Undecodable};
use crate::resource::Vault;
use crate::resource::scope::Scope;
use crate::vault::certificate::PENDING_KEY;
use crate::vault::decide;
use crate::vault::error::Error;
use crate::vault::key::{KeyVersion, TokenInRun};
use crate::vault::load::{Attempt, Found, sealed, until_done};
use crate::vault::object::{Collection, Deleted, Family, Head, ObjectKind, Place, Version};
use crate::vault::secret::SecretVersion;
use crate::world::TenantSnapshot;

impl Platform {
    /// Soft-deletes an object with all its versions, and what belongs to it.
    pub(in crate::vault) async fn delete_object<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(Deleted<C::Version>, Arc<Vault>), Error> {
        let kind = C::FAMILY.object;
        until_done!(self, tenant, {
            let admitted = self.admit::<C::Delete>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(C::FAMILY, name);
            let Some(live) = self.load_head::<C::Version>(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(kind, name.to_string())).await;
            };
            if let Err(error) = decide::unmanaged(kind, "delete", &live.noun.current) {
                return self.record_refusal(entry, error).await;
            }
            let deleted = decide::delete(live.noun, &admitted.vault, context.now);
            let companions = self.companions(&place, C::COMPANIONS, Place::head).await?;
            let intent = self.trail.announce(entry).await?;
            let mut commit = admitted.guard(intent.commit()).delete(place.head(), live.revision).put(
                place.deleted(),
                Expect::Absent,
                sealed(&deleted),
            );
            for (companion, found) in companions {
                let fallen = record::Object {
                    deleted: Some(deleted.deleted.millis()),
                    purge_due: Some(deleted.purge_due.millis()),
                    ..found.noun
                };
                commit = commit.delete(companion.head(), found.revision).put(
                    companion.deleted(),
                    Expect::Absent,
                    sealed(&fallen),
                );
            }
            (self.attempt(intent, commit, (deleted, admitted.vault), context).await?, admitted.tenant)
        })
    }

    /// Makes a soft-deleted object live again, and what belongs to it.
    pub(in crate::vault) async fn recover_object<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(Head<C::Version>, Arc<Vault>), Error> {
        let kind = C::FAMILY.object;
        until_done!(self, tenant, {
            let admitted = self.admit::<C::Recover>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(C::FAMILY, name);
            let Some(deleted) = self.load_deleted::<C::Version>(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(kind, name.to_string())).await;
            };
            let live = self.load_head(&place).await?;
            let decided = decide::unmanaged(kind, "recover", &deleted.noun.head.current)
                .and_then(|()| decide::recover(kind, &deleted.noun, live.as_ref().map(|found| &found.noun)));
            let head = match decided {
                Ok(head) => head,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let companions = self.companions(&place, C::COMPANIONS, Place::deleted).await?;
            let intent = self.trail.announce(entry).await?;
            let mut commit = admitted.guard(intent.commit()).delete(place.deleted(), deleted.revision).put(
                place.head(),
                Expect::Absent,
                sealed(&head),
            );
            for (companion, found) in companions {
                let risen = record::Object { deleted: None, purge_due: None, ..found.noun };
                commit = commit.delete(companion.deleted(), found.revision).put(
                    companion.head(),
                    Expect::Absent,
                    sealed(&risen),
                );
            }
            (self.attempt(intent, commit, (head, admitted.vault), context).await?, admitted.tenant)
        })
    }

    /// Destroys a soft-deleted object before its time.
    ///
    /// This deletes the sealed records and with them their wrapped keys. It does not overwrite old pages of the disk
    /// or backups: the erasure is logical.
    pub(in crate::vault) async fn purge_object<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(), Error> {
        let kind = C::FAMILY.object;
        until_done!(self, tenant, {
            let admitted = self.admit::<C::Purge>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(C::FAMILY, name);
            let Some(deleted) = self.load_deleted::<C::Version>(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(kind, name.to_string())).await;
            };
            let decided = decide::unmanaged(kind, "purge", &deleted.noun.head.current)
                .and_then(|()| decide::purge(&admitted.vault));
            if let Err(error) = decided {
                return self.record_refusal(entry, error).await;
            }
            let guard = admitted.tenant.epoch_guard();
            let destroyed = self.destroy(
                &place,
                C::COMPANIONS,
                deleted.revision,
                context,
                || entry.clone(),
                |commit| commit.guard(guard.0.clone(), guard.1),
                None,
            );
            (destroyed.await?, admitted.tenant)
        })
    }

    /// Destroys soft-deleted objects whose time has come, a bounded number at a time. One `tick` of a job. What needs a
    /// token that is not well waits, unannounced.
    ///
    /// What fails for one - its token does not answer, its record cannot be read - or for one vault does not stop the
    /// others; the first such failure is the answer when the rest is done.
    pub(in crate::vault) async fn purge_due_objects<C: Collection>(
        &self,
        context: &Context,
    ) -> Result<usize, Error> {
        let mut token = TokenInRun::default();
        let purged = self.purge_due::<C>(context, &mut token).await;
        token.report("the purge");
        purged
    }

    async fn purge_due<C: Collection>(
        &self,
        context: &Context,
        token: &mut TokenInRun,
    ) -> Result<usize, Error> {
        let vaults: Vec<(Arc<TenantSnapshot>, Arc<Vault>)> = self.world().vaults().collect();
        let (mut purged, mut failed) = (0, None);
        for (tenant, vault) in vaults {
            let prefix = Prefix {
                partition: Partition::Vault(tenant.tenant().id, vault.id),
                kind: C::FAMILY.deleted,
                outer: None,
            };
            let mut after: Option<Cursor> = None;
            loop {
                let page = match self.store.scan(&prefix, after.as_ref(), limits::JOB_BATCH_MAX).await {
                    Ok(page) => page,
                    Err(error) => {
                        failed = failed.or(Some(Fault::from(error).into()));
                        break;
                    }
                };
                for record in page.records {
                    let noun = match Deleted::<C::Version>::decode(record.value.expose(Reason::Record)) {
                        Ok(noun) => noun,
                        Err(error) => {
                            failed = failed.or(Some(error.into()));
                            continue;
                        }
                    };
                    let due = noun.purging || noun.is_due(context.elapsed());
                    // What belongs to a certificate is purged with the certificate.
                    if !due || noun.head.current.managed() {
                        continue;
                    }
                    let place = Place::new(tenant.tenant().id, vault.id, C::FAMILY, &noun.head.name);
                    let scope = Scope::vault(vault.subscription, &vault.group, &vault.name)
                        .object(C::FAMILY.object.collection(), &noun.head.name);
                    let entry = || {
                        let subject = Subject { by: "platform".to_owned(), ..Subject::default() };
                        let action = C::Purge::ACTION.as_str();
                        Entry::new(context.request, subject, action, scope.canonical(), context.now)
                    };
                    let seen = record.revision;
                    let destroyed = self
                        .destroy(
                            &place,
                            C::COMPANIONS,
                            seen,
                            context,
                            entry,
                            |commit| commit,
                            Some(&mut *token),
                        )
                        .await;
                    match destroyed {
                        Ok(Attempt::Done(())) => purged += 1,
                        Ok(Attempt::Again) => {}
                        Err(error) => failed = failed.or(Some(error)),
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
        failed.map_or(Ok(purged), Err)
    }

    /// The records of the companions that are there and belong to the object, at the place that `at` names.
    ///
    /// SECURITY: where a certificate has no version yet, a key or a secret of its name can be somebody's own: whoever
    /// deletes the certificate was asked for no right on it.
    async fn companions(
        &self,
        place: &Place,
        families: &[Family],
        at: fn(&Place) -> Key,
    ) -> Result<Vec<(Place, Found<record::Object>)>, Error> {
        let mut companions = Vec::with_capacity(families.len());
        for family in families {
            let companion = place.companion(*family);
            if let Some(found) = self.load::<record::Object>(&at(&companion)).await?
                && is_managed(family, &found.noun)?
            {
                companions.push((companion, found));
            }
        }
        Ok(companions)
    }

    /// Deletes every record of a soft-deleted object and of its companions: in one commit when it fits, else marked
    /// first, so that a crash between two commits leaves something that can only be purged further, never recovered
    /// in part. A job says what it knows of the token.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is destroyed, for whom and under which guard are all needed"
    )]
    async fn destroy(
        &self,
        place: &Place,
        companions: &[Family],
        seen: Revision,
        context: &Context,
        entry: impl Fn() -> Entry,
        guard: impl Fn(Commit) -> Commit,
        mut token: Option<&mut TokenInRun>,
    ) -> Result<Attempt<()>, Error> {
        let Some(deleted) = self.load::<record::Object>(&place.deleted()).await? else {
            return Ok(Attempt::Again);
        };
        if deleted.revision != seen {
            return Ok(Attempt::Again);
        }
        let mut fallen = vec![(place.clone(), deleted)];
        fallen.extend(self.companions(place, companions, Place::deleted).await?);
        loop {
            let batch = self.next_to_destroy(&fallen).await?;
            if !batch.in_token.is_empty()
                && let Some(token) = &mut token
                && self.token_must_wait(token).await
            {
                return Ok(Attempt::Again);
            }
            let marked = fallen.iter().all(|(_, found)| found.noun.purging);
            let mark = (!batch.is_last || !batch.in_token.is_empty()) && !marked;
            // INVARIANT: until the commit nobody comes to refer to a key that is destroyed, and nobody overlooks who does.
            let _in_a_row = if mark || batch.in_token.is_empty() {
                None
            } else {
                Some(self.token_references.lock().await)
            };
            let intent = self.trail.announce(entry()).await?;
            let mut commit = guard(intent.commit());
            if mark {
                for (place, found) in &mut fallen {
                    found.noun.purging = true;
                    commit = commit.put(place.deleted(), Expect::At(found.revision), sealed(&found.noun));
                }
            } else {
                // What was marked cannot come back, so that its keys can go before the records that name them.
                if !batch.in_token.is_empty()
                    && let Err(error) = self.destroy_in_token(place, &batch.in_token).await
                {
                    self.trail.conclude(intent, Outcome::Failed, context.now)?;
                    return Err(error);
                }
                for (key, revision) in batch.records {
                    commit = commit.delete(key, revision);
                }
                for (place, found) in &fallen {
                    commit = if batch.is_last {
                        commit.delete(place.deleted(), found.revision)
                    } else {
                        commit.guard(place.deleted(), Expect::At(found.revision))
                    };
                }
            }
            match self.store.commit(commit).await {
                Ok(revisions) => {
                    self.trail.conclude(intent, Outcome::Done, context.now)?;
                    if batch.is_last && !mark {
                        return Ok(Attempt::Done(()));
                    }
                    if mark {
                        for ((_, found), revision) in fallen.iter_mut().zip(revisions) {
                            found.revision = revision;
                        }
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

    /// The next records to go, as many as a commit carries; with the last versions go the records of the whole.
    async fn next_to_destroy(&self, fallen: &[(Place, Found<record::Object>)]) -> Result<Batch, Error> {
        let (mut versions_left, mut records, mut in_token) = (VERSIONS_PER_COMMIT, Vec::new(), Vec::new());
        for (place, _) in fallen {
            if versions_left == 0 {
                return Ok(Batch { records, in_token, is_last: false });
            }
            let versions =
                self.store.scan(&place.versions(), None, versions_left).await.map_err(Fault::from)?;
            versions_left -= versions.records.len().min(versions_left);
            for record in versions.records {
                let version = record.key.name.get(1).and_then(|raw| ObjectVersion::parse(raw).ok());
                let version = version.ok_or_else(|| Fault::Broken("a version has no id".to_owned()))?;
                if let Some(key) = place.material(version)
                    && let Some(material) = self.store.get(&key).await.map_err(Fault::from)?
                {
                    records.push((key, material.revision));
                    let in_a_token = match place.family.object {
                        ObjectKind::Key => self.token_key(record.value.expose(Reason::Record))?,
                        ObjectKind::Secret | ObjectKind::Certificate => None,
                    };
                    in_token.extend(in_a_token.map(|spec| (spec, material.value)));
                }
                records.push((record.key, record.revision));
            }
            if versions.next.is_some() {
                return Ok(Batch { records, in_token, is_last: false });
            }
        }
        for (place, _) in fallen {
            for kind in place.family.extras {
                let key = place.extra(*kind);
                if let Some(extra) = self.store.get(&key).await.map_err(Fault::from)? {
                    records.push((key, extra.revision));
                    // The key of an operation that goes on is material, too.
                    if *kind == PENDING_KEY
                        && let Some(spec) = self.waiting_token_key(place).await?
                    {
                        in_token.push((spec, extra.value));
                    }
                }
            }
        }
        Ok(Batch { records, in_token, is_last: true })
    }
}

/// Whether a key or a secret belongs to the certificate of its name.
fn is_managed(family: &Family, stored: &record::Object) -> Result<bool, Undecodable> {
    let current = stored.current.as_deref();
    let current = current.ok_or_else(|| Undecodable("an object has no current version".to_owned()))?;
    Ok(match family.object {
        ObjectKind::Key => KeyVersion::decode(current)?.managed,
        ObjectKind::Secret => SecretVersion::decode(current)?.managed,
        ObjectKind::Certificate => false,
    })
}

/// What one commit of a purge deletes.
struct Batch {
    records: Vec<(Key, Revision)>,
    /// Keys that a token holds.
    in_token: Vec<(KeySpec, SecretBytes)>,
    is_last: bool,
}

/// Two records a version, and room for the heads, the policies and the guards.
const VERSIONS_PER_COMMIT: usize = Commit::CHANGES_MAX / 2 - 16;
