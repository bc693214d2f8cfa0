//! Changing the attributes of a version, and the policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::policy::{CertificatePolicy, PolicyPatch};
use super::read::ReadCertificate;
use super::{CertificateAttributes, CertificateVersion, Certificates};
use crate::access::action::UpdateCertificate;
use crate::access::caller::Caller;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::{Commit, Expect, Kind};
use crate::resource::Vault;
use crate::time::Timestamp;
use crate::vault::decide::labels_and_validity;
use crate::vault::error::Error;
use crate::vault::key::{KeyVersion, Keys};
use crate::vault::load::{Attempt, Found, sealed, until_done};
use crate::vault::object::{Collection, Head, ObjectKind, Place, Version};
use crate::vault::secret::{SecretVersion, Secrets};

/// What an update mentions; the rest stays.
#[derive(Clone, Debug, Default)]
pub struct CertificateUpdate {
    /// Switches the certificate, its key and its secret off or on.
    pub disabled: Option<bool>,
    /// All the labels, replacing those before.
    pub tags: Option<BTreeMap<String, String>>,
    /// What to change in the policy.
    pub policy: Option<PolicyPatch>,
}

impl Platform {
    /// Changes a version, the current one if none is named, and with it its key and its secret.
    ///
    /// Key Vault copies the attributes to key and secret when a version is made. Here a certificate that is switched
    /// off takes them with it: nobody who disables a certificate wants its key to go on signing.
    pub async fn update_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        update: &CertificateUpdate,
    ) -> Result<ReadCertificate, Error> {
        let kind = ObjectKind::Certificate;
        until_done!(self, tenant, {
            let admitted = self.admit::<UpdateCertificate>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Certificates::FAMILY, name);
            let decided = async {
                let not_found = |what: String| Error::NotFound(kind, what);
                let head = self.load_head::<CertificateVersion>(&place).await?;
                let head = head.ok_or_else(|| not_found(name.to_string()))?;
                let version = version.unwrap_or(head.noun.current.version);
                let found = self.load::<CertificateVersion>(&place.version(version)).await?;
                let found = found.ok_or_else(|| not_found(format!("{name}/{version}")))?;
                let attributes = merged(&found.noun.attributes, update)?;
                let policy = self.load::<CertificatePolicy>(&place.extra(Kind::CertificatePolicy)).await?;
                let policy = match (&update.policy, policy) {
                    (Some(patch), Some(before)) => {
                        let after = patch.apply(&before.noun, context.now).map_err(Error::BadParameter)?;
                        crate::vault::key::protection(&admitted.vault, after.key.in_token)?;
                        self.issuer_is_usable(&place, &after).await?;
                        Some((after, Some(before.revision)))
                    }
                    (_, before) => before.map(|found| (found.noun, None)),
                };
                Ok((head, found, attributes, policy))
            };
            let (head, found, attributes, policy) = match decided.await {
                Ok(decided) => decided,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let changed = CertificateVersion {
                attributes: attributes.clone(),
                updated: context.now,
                ..found.noun.clone()
            };
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit());
            let commit = put_changed(commit, &place, &head, found.revision, &changed);
            let commit =
                self.follow_version(commit, &place, changed.version, &attributes, context.now).await?;
            let has_pending = self.store.get(&place.extra(Kind::PendingCertificate)).await;
            let has_pending = has_pending.map_err(crate::error::Fault::from)?.is_some();
            let (commit, policy) = match policy {
                Some((policy, Some(revision))) => {
                    let key = place.extra(Kind::CertificatePolicy);
                    (commit.put(key, Expect::At(revision), sealed(&policy)), Some(policy))
                }
                policy => (commit, policy.map(|(policy, _)| policy)),
            };
            let read = ReadCertificate {
                name: head.noun.name,
                version: changed,
                policy,
                has_pending,
                vault: admitted.vault,
                assignment: admitted.proof.assignment(),
            };
            (self.attempt(intent, commit, read, context).await?, admitted.tenant)
        })
    }

    /// Changes what the next version is made from.
    pub async fn update_certificate_policy(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        patch: &PolicyPatch,
    ) -> Result<(ObjectName, CertificatePolicy, Arc<Vault>), Error> {
        let kind = ObjectKind::Certificate;
        until_done!(self, tenant, {
            let admitted = self.admit::<UpdateCertificate>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Certificates::FAMILY, name);
            let key = place.extra(Kind::CertificatePolicy);
            let decided = async {
                let not_found = || Error::NotFound(kind, name.to_string());
                let head = self.load_head::<CertificateVersion>(&place).await?.ok_or_else(not_found)?;
                let before = self.load::<CertificatePolicy>(&key).await?.ok_or_else(not_found)?;
                let after = patch.apply(&before.noun, context.now).map_err(Error::BadParameter)?;
                crate::vault::key::protection(&admitted.vault, after.key.in_token)?;
                self.issuer_is_usable(&place, &after).await?;
                Ok((head, before.revision, after))
            };
            let (head, revision, after) = match decided.await {
                Ok(decided) => decided,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit()).guard(place.head(), Expect::At(head.revision)).put(
                key,
                Expect::At(revision),
                sealed(&after),
            );
            let done = (head.noun.name, after, admitted.vault);
            (self.attempt(intent, commit, done, context).await?, admitted.tenant)
        })
    }

    /// Adds to a commit what a change of a certificate's version means for its key and its secret.
    async fn follow_version(
        &self,
        commit: Commit,
        place: &Place,
        version: ObjectVersion,
        attributes: &CertificateAttributes,
        now: Timestamp,
    ) -> Result<Commit, Error> {
        let keys = place.companion(Keys::FAMILY);
        let commit = self
            .follow_in(commit, &keys, version, |key: &mut KeyVersion| {
                key.attributes.disabled = attributes.disabled;
                key.attributes.tags.clone_from(&attributes.tags);
                key.updated = now;
            })
            .await?;
        let secrets = place.companion(Secrets::FAMILY);
        self.follow_in(commit, &secrets, version, |secret: &mut SecretVersion| {
            secret.attributes.disabled = attributes.disabled;
            secret.attributes.tags.clone_from(&attributes.tags);
            secret.updated = now;
        })
        .await
    }

    async fn follow_in<V: Version>(
        &self,
        commit: Commit,
        place: &Place,
        version: ObjectVersion,
        change: impl Fn(&mut V) + Send,
    ) -> Result<Commit, Error> {
        let found = self.load::<V>(&place.version(version)).await?;
        let head = self.load_head::<V>(place).await?;
        let Some((mut found, head)) = found.zip(head) else { return Ok(commit) };
        change(&mut found.noun);
        Ok(put_changed(commit, place, &head, found.revision, &found.noun))
    }
}

/// Puts a changed version, and the head if it shows it.
pub(super) fn put_changed<V: Version>(
    commit: Commit,
    place: &Place,
    head: &Found<Head<V>>,
    revision: crate::ports::store::Revision,
    changed: &V,
) -> Commit {
    let commit = commit.put(place.version(changed.id()), Expect::At(revision), sealed(changed));
    if changed.id() == head.noun.current.id() {
        let shown = Head { name: head.noun.name.clone(), current: changed.clone() };
        commit.put(place.head(), Expect::At(head.revision), sealed(&shown))
    } else {
        commit.guard(place.head(), Expect::At(head.revision))
    }
}

fn merged(
    before: &CertificateAttributes,
    update: &CertificateUpdate,
) -> Result<CertificateAttributes, Error> {
    let after = CertificateAttributes {
        disabled: update.disabled.unwrap_or(before.disabled),
        tags: update.tags.clone().unwrap_or_else(|| before.tags.clone()),
    };
    labels_and_validity(&after.tags, None, None).map_err(Error::BadParameter)?;
    Ok(after)
}
