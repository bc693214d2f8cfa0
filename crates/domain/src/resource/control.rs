//! The one way in which a tenant's control plane changes.
//!
//! Authorize, decide on a snapshot, announce, commit under the snapshot's epoch, conclude, put the new snapshot in
//! place. When another change came first, everything is done again on a newer snapshot.

use std::sync::Arc;

use vouchsafe_crypto::SecretBytes;

use super::error::Error;
use crate::access::action::Action;
use crate::access::authorize::{Authorized, Denial, authorize};
use crate::access::caller::Caller;
use crate::audit::{Entry, Outcome};
use crate::error::Fault;
use crate::ids::{TenantId, VaultId, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Commit, CommitError, Expect, Key, Kind, Partition, Revision};
use crate::record;
use crate::resource::scope::Scope;
use crate::world::{Entity, TenantSnapshot};

/// One change that a decider asks for.
pub enum Write {
    /// Create or replace.
    Put(Entity),
    /// Remove what stands there.
    Remove(Entity),
    /// Take a vault's name, which is unique in the deployment.
    ClaimVaultName(VaultName, VaultId),
    /// Give a vault's name back.
    ReleaseVaultName(VaultName),
}

/// What a decider wants to happen; without writes nothing does.
pub struct Plan<T> {
    /// The changes, all or none of which happen.
    pub writes: Vec<Write>,
    /// What the caller is told.
    pub result: T,
}

impl<T> Plan<T> {
    /// Nothing to do: it is already so.
    pub fn unchanged(result: T) -> Self {
        Self { writes: Vec::new(), result }
    }
}

fn vault_name_key(name: &VaultName) -> Key {
    Key::new(Partition::Deployment, Kind::VaultName, name.canonical())
}

impl Platform {
    /// Changes a tenant's control plane as `decide` says, once the caller proved to be authorized at `scope`.
    pub(crate) async fn change<A: Action, T>(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        scope: &Scope,
        decide: impl Fn(&TenantSnapshot) -> Result<Plan<T>, Error>,
    ) -> Result<T, Error> {
        self.change_with::<A, T>(context, caller, tenant, scope, |snapshot| {
            let proof = authorize::<A>(caller, scope, snapshot.facts())?;
            Ok((proof, decide(snapshot)))
        })
        .await
    }

    /// Like [`Self::change`], where authorization needs to know more than an action and a scope.
    pub(crate) async fn change_with<A: Action, T>(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        scope: &Scope,
        decide: impl Fn(&TenantSnapshot) -> Result<(Authorized<A>, Result<Plan<T>, Error>), Denial>,
    ) -> Result<T, Error> {
        let _in_a_row = self.worlds.writing().await;
        for _ in 0..limits::COMMIT_ATTEMPTS_MAX {
            let snapshot = self.world().tenant(tenant);
            let snapshot =
                snapshot.ok_or_else(|| Error::NotFound { kind: "tenant", name: tenant.to_string() })?;
            let (proof, decided) = match decide(&snapshot) {
                Ok(decided) => decided,
                Err(denial) => {
                    self.record_denial::<A>(context, caller, scope).await?;
                    return Err(denial.into());
                }
            };
            let entry = self.entry(context, &proof);
            let plan = match decided {
                Ok(plan) => plan,
                Err(error) => {
                    self.refused(entry, Outcome::Refused, error.reason()).await?;
                    return Err(error);
                }
            };
            if plan.writes.is_empty() {
                self.refused(entry, Outcome::Done, "unchanged").await?;
                return Ok(plan.result);
            }
            match self.carry_out(&snapshot, plan.writes, entry, context).await {
                Ok(()) => return Ok(plan.result),
                Err(CommitError::Conflict) => self.worlds.refresh(&*self.store, tenant).await?,
                Err(CommitError::Store(error)) => return Err(Fault::from(error).into()),
            }
        }
        Err(Fault::Contended.into())
    }

    /// Commits writes under the snapshot's epoch and puts the new snapshot in place.
    pub(crate) async fn carry_out(
        &self,
        snapshot: &Arc<TenantSnapshot>,
        writes: Vec<Write>,
        entry: Entry,
        context: &Context,
    ) -> Result<(), CommitError> {
        let unavailable = |fault: Fault| {
            CommitError::Store(crate::ports::store::StoreError::Unavailable(fault.to_string()))
        };
        let tenant = snapshot.tenant().id;
        if self.is_rehearsal() {
            self.worlds.replace(Arc::new(imagined(snapshot, writes)));
            return Ok(());
        }
        let intent = self.trail.announce(entry).await.map_err(unavailable)?;
        let (epoch_key, epoch) = snapshot.epoch_guard();
        let epoch_record = record::encode(&record::Epoch { changed: context.now.millis() });
        let mut commit: Commit = intent.commit().put(epoch_key, epoch, SecretBytes::new(epoch_record));
        let mut put: Vec<(Key, Entity)> = Vec::new();
        let mut removed: Vec<Key> = Vec::new();
        for write in writes {
            match write {
                Write::Put(entity) => {
                    let key = entity.key(tenant);
                    commit = commit.put(key.clone(), snapshot.expect(&key), entity.encode());
                    put.push((key, entity));
                }
                Write::Remove(entity) => {
                    let key = entity.key(tenant);
                    if let Expect::At(revision) = snapshot.expect(&key) {
                        commit = commit.delete(key.clone(), revision);
                    }
                    removed.push(key);
                }
                Write::ClaimVaultName(name, vault) => {
                    let owner = record::VaultName {
                        tenant: tenant.0.as_bytes().to_vec(),
                        vault: vault.0.as_bytes().to_vec(),
                    };
                    let owner = SecretBytes::new(record::encode(&owner));
                    commit = commit.put(vault_name_key(&name), Expect::Absent, owner);
                }
                Write::ReleaseVaultName(name) => {
                    let key = vault_name_key(&name);
                    if let Some(record) = self.store.get(&key).await? {
                        commit = commit.delete(key, record.revision);
                    }
                }
            }
        }
        match self.store.commit(commit).await {
            Ok(revisions) => {
                self.trail.conclude(intent, Outcome::Done, context.now).map_err(unavailable)?;
                self.worlds.replace(Arc::new(moved_on(snapshot, revisions, put, removed)?));
                Ok(())
            }
            Err(CommitError::Conflict) => {
                self.trail.conclude(intent, Outcome::Lost, context.now).map_err(unavailable)?;
                Err(CommitError::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn record_denial<A: Action>(
        &self,
        context: &Context,
        caller: &Caller,
        scope: &Scope,
    ) -> Result<(), Fault> {
        let entry = crate::platform::entry_for(context, caller, A::ACTION.as_str(), scope.canonical());
        self.trail.record(entry.outcome(Outcome::Denied, Some("no_assignment"))).await?;
        Ok(())
    }
}

/// The snapshot after a commit: the first revision is the epoch's, the next ones belong to the entities in order.
fn moved_on(
    snapshot: &TenantSnapshot,
    revisions: Vec<Revision>,
    put: Vec<(Key, Entity)>,
    removed: Vec<Key>,
) -> Result<TenantSnapshot, CommitError> {
    let mut revisions = revisions.into_iter();
    let epoch = revisions.next().ok_or(CommitError::Conflict)?;
    let put = put.into_iter().zip(revisions).map(|((key, entity), revision)| (key, Some((revision, entity))));
    let removed = removed.into_iter().map(|key| (key, None));
    Ok(snapshot.with(epoch, removed.chain(put).collect()))
}

/// The snapshot as it would be after these writes, at revisions that no store ever gave.
fn imagined(snapshot: &TenantSnapshot, writes: Vec<Write>) -> TenantSnapshot {
    let tenant = snapshot.tenant().id;
    let epoch = Revision(snapshot.epoch().0 + 1);
    let changes = writes.into_iter().filter_map(|write| match write {
        Write::Put(entity) => Some((entity.key(tenant), Some((epoch, entity)))),
        Write::Remove(entity) => Some((entity.key(tenant), None)),
        Write::ClaimVaultName(..) | Write::ReleaseVaultName(_) => None,
    });
    snapshot.with(epoch, changes.collect())
}
