//! What every vault operation does first: find the vault, authorize, load.

use std::sync::Arc;

use super::certificate::{CertificateVersion, Certificates};
use super::decide::name_is_free;
use super::error::Error;
use super::object::{Collection, Deleted, Family, Head, ObjectKind, Place, Version};
use crate::access::action::Action;
use crate::access::authorize::Authorized;
use crate::access::caller::Caller;
use crate::audit::{Entry, Intent, Outcome};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::{Commit, CommitError, Expect, Key, Revision};
use crate::record::{Decode, Encode};
use crate::resource::Vault;
use crate::resource::scope::Scope;
use crate::world::TenantSnapshot;
use vouchsafe_crypto::{Reason, SecretBytes};

/// A vault that an authorized caller works in, and the proof.
pub(super) struct Admitted<A: Action> {
    pub tenant: Arc<TenantSnapshot>,
    pub vault: Arc<Vault>,
    pub proof: Authorized<A>,
}

impl<A: Action> Admitted<A> {
    pub(super) fn place(&self, family: Family, name: &ObjectName) -> Place {
        Place::new(self.tenant.tenant().id, self.vault.id, family, name)
    }

    pub(super) fn partition(&self) -> crate::ports::store::Partition {
        crate::ports::store::Partition::Vault(self.tenant.tenant().id, self.vault.id)
    }

    /// Binds a commit to the control-plane state that the authorization was decided on.
    pub(super) fn guard(&self, commit: Commit) -> Commit {
        let (key, expect) = self.tenant.epoch_guard();
        commit.guard(key, expect)
    }
}

/// A record together with what a later commit must expect of its place.
pub(super) struct Found<T> {
    pub noun: T,
    pub revision: Revision,
}

pub(super) fn expect<T>(found: Option<&Found<T>>) -> Expect {
    found.map_or(Expect::Absent, |found| Expect::At(found.revision))
}

/// Binds a commit to there being no certificate of the name.
pub(super) fn unreserved(commit: Commit, place: &Place) -> Commit {
    let certificate = place.companion(Certificates::FAMILY);
    commit.guard(certificate.head(), Expect::Absent).guard(certificate.deleted(), Expect::Absent)
}

pub(super) fn sealed<T: Encode>(noun: &T) -> SecretBytes {
    SecretBytes::new(noun.encode())
}

/// What became of one attempt to change something.
pub(super) enum Attempt<T> {
    /// It is done.
    Done(T),
    /// Another change came first: load and decide again.
    Again,
}

impl Platform {
    /// Finds the vault and proves that the caller may do `A` to the object, or to the vault's whole collection.
    pub(super) async fn admit<A: Action>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        kind: ObjectKind,
        object: Option<&ObjectName>,
    ) -> Result<Admitted<A>, Error> {
        let (tenant, vault) =
            self.world().vault(vault).ok_or_else(|| Error::VaultNotFound(vault.to_string()))?;
        let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
        let scope = match object {
            Some(name) => scope.object(kind.collection(), name),
            None => scope,
        };
        match self.authorize::<A>(context, caller, &tenant, &scope).await? {
            Ok(proof) => Ok(Admitted { tenant, vault, proof }),
            Err(denial) => Err(Error::Denied(denial)),
        }
    }

    /// Reads a record, if there is one.
    pub(super) async fn load<T: Decode>(&self, key: &Key) -> Result<Option<Found<T>>, Error> {
        let Some(record) = self.store.get(key).await.map_err(Fault::from)? else { return Ok(None) };
        let noun = T::decode(record.value.expose(Reason::Record))?;
        Ok(Some(Found { noun, revision: record.revision }))
    }

    pub(super) async fn load_head<V: Version>(&self, place: &Place) -> Result<Option<Found<Head<V>>>, Error> {
        self.load(&place.head()).await
    }

    pub(super) async fn load_deleted<V: Version>(
        &self,
        place: &Place,
    ) -> Result<Option<Found<Deleted<V>>>, Error> {
        self.load(&place.deleted()).await
    }

    /// A version of a live object, the current one if none is named, and the name as first written.
    pub(super) async fn load_version<V: Version>(
        &self,
        place: &Place,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<(ObjectName, V), Error> {
        let kind = place.family.object;
        let head = self.load_head::<V>(place).await?;
        let head = head.ok_or_else(|| Error::NotFound(kind, name.to_string()))?.noun;
        match version.filter(|version| *version != head.current.id()) {
            None => Ok((head.name, head.current)),
            Some(version) => {
                let found = self.load::<V>(&place.version(version)).await?;
                let found = found.ok_or_else(|| Error::NotFound(kind, format!("{name}/{version}")))?;
                Ok((head.name, found.noun))
            }
        }
    }

    /// What is kept secret of a version; called only with a proof at hand and an entry about to be recorded.
    pub(super) async fn load_material<A: Action>(
        &self,
        _: &Authorized<A>,
        place: &Place,
        version: ObjectVersion,
    ) -> Result<SecretBytes, Error> {
        let missing = || Fault::Broken(format!("a {}'s version has no material", place.family.object));
        let key = place.material(version).ok_or_else(missing)?;
        let record = self.store.get(&key).await.map_err(Fault::from)?;
        Ok(record.ok_or_else(missing)?.value)
    }

    /// What is kept secret of a version, if it is there: for another record of the store, never to be given out.
    pub(super) async fn carry_material(
        &self,
        place: &Place,
        version: ObjectVersion,
    ) -> Result<Option<SecretBytes>, Error> {
        let Some(key) = place.material(version) else { return Ok(None) };
        Ok(self.store.get(&key).await.map_err(Fault::from)?.map(|record| record.value))
    }

    /// Whether the name of a new key or secret is not that of a certificate, live or deleted: a certificate's key and
    /// secret get it, if not yet, then with its first version. The commit is to be guarded with [`unreserved`].
    pub(super) async fn name_is_not_reserved(
        &self,
        place: &Place,
        name: &ObjectName,
        operation: &'static str,
    ) -> Result<(), Error> {
        let certificate = place.companion(Certificates::FAMILY);
        if self.store.get(&certificate.head()).await.map_err(Fault::from)?.is_some() {
            return Err(Error::Managed(place.family.object, operation));
        }
        let deleted = self.load_deleted::<CertificateVersion>(&certificate).await?;
        name_is_free(ObjectKind::Certificate, name, deleted.as_ref().map(|found| &found.noun))
    }

    /// Records why an authorized request came to nothing, and passes the error on.
    pub(super) async fn record_refusal<T>(&self, entry: Entry, error: Error) -> Result<T, Error> {
        let outcome = if matches!(error, Error::Fault(_)) { Outcome::Failed } else { Outcome::Refused };
        self.refused(entry, outcome, error.reason()).await?;
        Err(error)
    }

    /// Commits, concludes the intent, and says whether to go on.
    pub(super) async fn attempt<T>(
        &self,
        intent: Intent,
        commit: Commit,
        result: T,
        context: &Context,
    ) -> Result<Attempt<T>, Error> {
        let _touched = self.calendar.touched(&commit);
        match self.store.commit(commit).await {
            Ok(_) => {
                self.trail.conclude(intent, Outcome::Done, context.now)?;
                Ok(Attempt::Done(result))
            }
            Err(CommitError::Conflict) => {
                self.trail.conclude(intent, Outcome::Lost, context.now)?;
                Ok(Attempt::Again)
            }
            // The store may or may not have applied it: the intent stays open, and recovery settles it at start.
            Err(CommitError::Store(error)) => Err(Fault::from(error).into()),
        }
    }

    /// After a conflict: what we hold in memory may be the reason, so it is read again before the next attempt.
    pub(super) async fn after_conflict(&self, tenant: &TenantSnapshot) -> Result<(), Error> {
        self.worlds.refresh_if_stale(&*self.store, tenant).await?;
        Ok(())
    }
}

/// Runs an attempt until it is done, within bounds.
macro_rules! until_done {
    ($platform:expr, $tenant:ident, $attempt:expr) => {{
        let mut attempts = 0;
        loop {
            match $attempt {
                (Attempt::Done(result), _) => break Ok(result),
                (Attempt::Again, $tenant) => {
                    attempts += 1;
                    if attempts >= crate::limits::COMMIT_ATTEMPTS_MAX {
                        break Err(Error::Fault(crate::error::Fault::Contended));
                    }
                    $platform.after_conflict(&$tenant).await?;
                }
            }
        }
    }};
}
pub(super) use until_done;
