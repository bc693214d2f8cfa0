//! Rotation: on request, and by a job that follows the policies.

use std::sync::Arc;

use vouchsafe_crypto::Reason;

use super::change::{Addition, Source, Wanted, unchanged};
use super::holder::TokenInRun;
use super::policy::{RotationAction, RotationPolicy, RotationPolicyToSet};
use super::{KeyAttributes, KeyHead, KeyVersion, Keys, decide};
use crate::access::action::{Action, ReadRotationPolicy, RotateKey, WriteRotationPolicy};
use crate::access::caller::Caller;
use crate::audit::{Entry, Outcome, Subject};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Cursor, Expect, Kind, Prefix};
use crate::record::Decode;
use crate::resource::Vault;
use crate::resource::scope::Scope;
use crate::time::Timestamp;
use crate::vault::error::{Error, KeyUnusable};
use crate::vault::load::{Attempt, Found, expect, sealed, until_done};
use crate::vault::object::{Collection, ObjectKind, Place};
use crate::world::TenantSnapshot;

/// The rotation policy of a key.
#[derive(Clone, Debug)]
pub struct KeyRotationPolicy {
    /// The key's name as first written.
    pub name: ObjectName,
    /// What happens when; of a key without a policy, what Azure does for it.
    pub policy: RotationPolicyToSet,
    /// When it got its policy, and when that last changed.
    pub dates: Option<(Timestamp, Timestamp)>,
    /// The vault it stands in.
    pub vault: Arc<Vault>,
}

/// The audit entry's action when the job says that a key will expire: Azure's name of the event.
const NEAR_EXPIRY: &str = "Microsoft.KeyVault.KeyNearExpiry";

impl Platform {
    /// Makes a new version of a key like the current one, valid for as long as the rotation policy says.
    pub async fn rotate_key(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(KeyHead, Arc<Vault>), Error> {
        let mut source = Source::new();
        let mut kind = None;
        let done = self.rotate_key_from(context, caller, vault, name, &mut source, &mut kind).await;
        if let Some((spec, in_token)) = kind {
            self.discard(spec, in_token, source.take_made()).await;
        }
        done
    }

    async fn rotate_key_from(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        source: &mut Source,
        kind: &mut Option<(vouchsafe_crypto::keys::KeySpec, bool)>,
    ) -> Result<(KeyHead, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted =
                self.admit::<RotateKey>(context, caller, vault, ObjectKind::Key, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Keys::FAMILY, name);
            let Some(live) = self.load_head::<KeyVersion>(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(ObjectKind::Key, name.to_string())).await;
            };
            if let Err(error) = rotatable(&live.noun) {
                return self.record_refusal(entry, error).await;
            }
            let policy = self.load_policy(&place).await?;
            let wanted =
                self.successor(&live.noun.current, policy.as_ref().map(|found| &found.noun), context.now);
            // A key that was made for an attempt before this one is of no use if the kind has changed since.
            let wanted_kind = (wanted.spec, wanted.in_token);
            if let Some((spec, in_token)) = kind.replace(wanted_kind).filter(|before| *before != wanted_kind)
            {
                self.discard(spec, in_token, source.take_made()).await;
            }
            let intent = self.trail.announce(entry).await?;
            let commit = admitted
                .guard(intent.commit())
                .guard(place.deleted(), Expect::Absent)
                .guard(place.extra(Kind::KeyRotationPolicy), unchanged(policy.map(|found| found.revision)));
            let name = live.noun.name.clone();
            let added = Addition { place: &place, name, live: Some(&live), wanted };
            (
                match self.add_version(context, intent, commit, added, source).await? {
                    Attempt::Done(head) => Attempt::Done((head, admitted.vault)),
                    Attempt::Again => Attempt::Again,
                },
                admitted.tenant,
            )
        })
    }

    /// Shows the rotation policy of a key.
    pub async fn get_rotation_policy(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<KeyRotationPolicy, Error> {
        let admitted =
            self.admit::<ReadRotationPolicy>(context, caller, vault, ObjectKind::Key, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(Keys::FAMILY, name);
        match self.load_version::<KeyVersion>(&place, name, None).await {
            Ok((name, _)) => {
                let policy = self.load_policy(&place).await?;
                self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok(shown(name, policy.map(|found| found.noun), admitted.vault))
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }

    /// Sets the rotation policy of a key. One without actions is the usual one with another `expiryTime`.
    pub async fn set_rotation_policy(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wanted: &RotationPolicyToSet,
    ) -> Result<KeyRotationPolicy, Error> {
        until_done!(self, tenant, {
            let admitted = self
                .admit::<WriteRotationPolicy>(context, caller, vault, ObjectKind::Key, Some(name))
                .await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Keys::FAMILY, name);
            let Some(live) = self.load_head::<KeyVersion>(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(ObjectKind::Key, name.to_string())).await;
            };
            let decided =
                crate::vault::decide::unmanaged(ObjectKind::Key, "setrotationpolicy", &live.noun.current);
            if let Err(error) = decided.and_then(|()| wanted.check()) {
                return self.record_refusal(entry, error).await;
            }
            let before = self.load_policy(&place).await?;
            let usual = RotationPolicyToSet::usual().actions;
            let policy = RotationPolicy {
                actions: if wanted.actions.is_empty() { usual } else { wanted.actions.clone() },
                expiry: wanted.expiry,
                created: before.as_ref().map_or(context.now, |found| found.noun.created),
                updated: context.now,
                notified: None,
            };
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit()).guard(place.head(), Expect::At(live.revision)).put(
                place.extra(Kind::KeyRotationPolicy),
                expect(before.as_ref()),
                sealed(&policy),
            );
            let result = shown(live.noun.name.clone(), Some(policy), admitted.vault);
            (self.attempt(intent, commit, result, context).await?, admitted.tenant)
        })
    }

    /// Does what rotation policies say is due: a bounded number of keys at a time. One `tick` of a job.
    ///
    /// Each step is one commit, after which it is not due any more: a tick that is cut off goes on with the next. What
    /// fails for one key - its token does not answer, its policy cannot be read - or for one vault does not stop the
    /// others and is tried again by the next tick. What needs a token that is not well waits, unannounced. Returns how
    /// many rotations and notices were done.
    pub async fn rotate_due_keys(&self, context: &Context) -> Result<usize, Error> {
        let mut token = TokenInRun::default();
        let done = self.follow_policies(context, &mut token).await;
        token.report("rotation");
        done
    }

    async fn follow_policies(&self, context: &Context, token: &mut TokenInRun) -> Result<usize, Error> {
        let vaults: Vec<(Arc<TenantSnapshot>, Arc<Vault>)> = self.world().vaults().collect();
        let (mut done, mut failed) = (0, None);
        for (tenant, vault) in vaults {
            let partition = crate::ports::store::Partition::Vault(tenant.tenant().id, vault.id);
            let prefix = Prefix { partition, kind: Kind::KeyRotationPolicy, outer: None };
            let mut after: Option<Cursor> = None;
            loop {
                let scanned = self.store.scan(&prefix, after.as_ref(), limits::JOB_BATCH_MAX).await;
                let page = match scanned {
                    Ok(page) => page,
                    Err(error) => {
                        failed = failed.or(Some(Fault::from(error).into()));
                        break;
                    }
                };
                for record in page.records {
                    let name = record.key.name.first().map(|name| ObjectName::parse(name));
                    let Some(Ok(name)) = name else { continue };
                    let noun = match RotationPolicy::decode(record.value.expose(Reason::Record)) {
                        Ok(noun) => noun,
                        Err(error) => {
                            tracing::warn!(%error, vault = %vault.name, %name, "a rotation policy cannot be read");
                            continue;
                        }
                    };
                    let policy = Found { noun, revision: record.revision };
                    match self.follow(context, &tenant, &vault, &name, policy, token).await {
                        Ok(steps) => done += steps,
                        Err(error) => {
                            tracing::warn!(%error, vault = %vault.name, %name, "a key could not be rotated");
                        }
                    }
                    if done >= limits::JOB_BATCH_MAX {
                        return Ok(done);
                    }
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// Does what is due for one key.
    async fn follow(
        &self,
        context: &Context,
        tenant: &TenantSnapshot,
        vault: &Vault,
        name: &ObjectName,
        policy: Found<RotationPolicy>,
        token: &mut TokenInRun,
    ) -> Result<usize, Error> {
        let place = Place::new(tenant.tenant().id, vault.id, Keys::FAMILY, name);
        let Some(live) = self.load_head::<KeyVersion>(&place).await? else { return Ok(0) };
        let current = &live.noun.current;
        if current.attributes.disabled || current.managed {
            return Ok(0);
        }
        let is_due = |action| {
            let due = policy.noun.due(action, current.created, current.attributes.expires);
            due.is_some_and(|due| due <= context.now)
        };
        let scope = Scope::vault(vault.subscription, &vault.group, &vault.name)
            .object(ObjectKind::Key.collection(), &live.noun.name);
        let entry = |action| {
            let subject = Subject { by: "platform".to_owned(), ..Subject::default() };
            Entry::new(context.request, subject, action, scope.canonical(), context.now)
        };
        if is_due(RotationAction::Rotate) {
            if current.in_token && self.token_must_wait(token).await {
                return Ok(0);
            }
            let wanted = self.successor(current, Some(&policy.noun), context.now);
            let (spec, in_token) = (wanted.spec, wanted.in_token);
            let intent = self.trail.announce(entry(RotateKey::ACTION.as_str())).await?;
            let policy_place = place.extra(Kind::KeyRotationPolicy);
            let commit = intent
                .commit()
                .guard(place.deleted(), Expect::Absent)
                .guard(policy_place, Expect::At(policy.revision));
            let name = live.noun.name.clone();
            let added = Addition { place: &place, name, live: Some(&live), wanted };
            let mut source = Source::new();
            let attempt = self.add_version(context, intent, commit, added, &mut source).await;
            self.discard(spec, in_token, source.take_made()).await;
            return Ok(match attempt? {
                Attempt::Done(_) => 1,
                Attempt::Again => 0,
            });
        }
        if is_due(RotationAction::Notify) && policy.noun.notified != Some(current.version) {
            tracing::info!(vault = %vault.name, name = %live.noun.name, version = %current.version, "a key will expire");
            let told = RotationPolicy { notified: Some(current.version), ..policy.noun };
            let intent = self.trail.announce(entry(NEAR_EXPIRY)).await?;
            let commit = intent.commit().guard(place.head(), Expect::At(live.revision)).put(
                place.extra(Kind::KeyRotationPolicy),
                Expect::At(policy.revision),
                sealed(&told),
            );
            return Ok(match self.attempt(intent, commit, (), context).await? {
                Attempt::Done(()) => 1,
                Attempt::Again => 0,
            });
        }
        Ok(0)
    }

    async fn load_policy(&self, place: &Place) -> Result<Option<Found<RotationPolicy>>, Error> {
        self.load(&place.extra(Kind::KeyRotationPolicy)).await
    }

    /// The version that follows `current`: the same in all but its key, its dates and whether it is valid yet.
    fn successor(&self, current: &KeyVersion, policy: Option<&RotationPolicy>, now: Timestamp) -> Wanted {
        let expiry = policy.and_then(|policy| policy.expiry);
        Wanted {
            version: ObjectVersion(self.entropy.uuid()),
            spec: current.spec,
            in_token: current.in_token,
            operations: current.operations.clone(),
            attributes: KeyAttributes {
                disabled: false,
                not_before: None,
                expires: expiry.map(|expiry| expiry.after(now)),
                exportable: current.attributes.exportable,
                tags: current.attributes.tags.clone(),
            },
            release_policy: current.release_policy.clone(),
        }
    }
}

/// Whether a key may be rotated on request.
fn rotatable(head: &KeyHead) -> Result<(), Error> {
    decide::new_version("rotate", &head.name, Some(head), None)?;
    if head.current.attributes.disabled {
        return Err(Error::KeyUnusable(KeyUnusable::Disabled, "rotate"));
    }
    Ok(())
}

fn shown(name: ObjectName, policy: Option<RotationPolicy>, vault: Arc<Vault>) -> KeyRotationPolicy {
    match policy {
        None => KeyRotationPolicy { name, policy: RotationPolicyToSet::usual(), dates: None, vault },
        Some(RotationPolicy { actions, expiry, created, updated, .. }) => {
            let policy = RotationPolicyToSet { actions, expiry };
            KeyRotationPolicy { name, policy, dates: Some((created, updated)), vault }
        }
    }
}
