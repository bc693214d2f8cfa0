//! Setting and updating secrets.

use std::collections::BTreeMap;

use vouchsafe_crypto::{Reason, SecretBytes, SecretString};

use super::decide;
use super::error::Error;
use super::load::{Attempt, expect, sealed, until_done};
use super::secret::{Attributes, SecretHead, SecretVersion};
use crate::access::action::{SetSecret, UpdateSecret};
use crate::access::caller::Caller;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::Expect;
use crate::resource::Vault;
use std::sync::Arc;

/// A value and its attributes, as a caller sets them.
pub struct SecretToSet {
    /// The value.
    pub value: SecretString,
    /// The rest.
    pub attributes: Attributes,
}

/// What an update mentions; the rest stays.
#[derive(Clone, Debug, Default)]
pub struct SecretUpdate {
    /// Switches reading off or on.
    pub disabled: Option<bool>,
    /// A new `nbf`.
    pub not_before: Option<crate::time::Timestamp>,
    /// A new `exp`.
    pub expires: Option<crate::time::Timestamp>,
    /// A new content type.
    pub content_type: Option<String>,
    /// All the labels, replacing those before.
    pub tags: Option<BTreeMap<String, String>>,
}

impl Platform {
    /// Makes a new version of a secret, which becomes the current one.
    pub async fn set_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wanted: &SecretToSet,
    ) -> Result<(SecretHead, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit::<SetSecret>(context, caller, vault, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(name);
            let live = self.load_head(&place).await?;
            let deleted = self.load_deleted(&place).await?;
            let version = ObjectVersion(self.entropy.uuid());
            let decided = decide::set(
                name,
                live.as_ref().map(|found| &found.noun),
                deleted.as_ref().map(|found| &found.noun),
                wanted,
                version,
                context.now,
            );
            let head = match decided {
                Ok(head) => head,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let intent = self.trail.announce(entry).await?;
            let value = SecretBytes::new(wanted.value.expose(Reason::Record).as_bytes().to_vec());
            let commit = admitted
                .guard(intent.commit())
                .guard(place.deleted(), Expect::Absent)
                .put(place.head(), expect(live.as_ref()), sealed(&head))
                .put(place.version(version), Expect::Absent, sealed(&head.current))
                .put(place.value(version), Expect::Absent, value);
            (self.attempt(intent, commit, (head, admitted.vault), context).await?, admitted.tenant)
        })
    }

    /// Changes the attributes of a version, the current one if none is named.
    pub async fn update_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        update: &SecretUpdate,
    ) -> Result<(ObjectName, SecretVersion, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit::<UpdateSecret>(context, caller, vault, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(name);
            let Some(live) = self.load_head(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(name.to_string())).await;
            };
            let version = version.unwrap_or(live.noun.current.version);
            let Some(found) = self.load_version(&place, version).await? else {
                return self.record_refusal(entry, Error::NotFound(format!("{name}/{version}"))).await;
            };
            let changed = match decide::update(&found.noun, update, context.now) {
                Ok(changed) => changed,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let intent = self.trail.announce(entry).await?;
            let mut commit = admitted.guard(intent.commit()).put(
                place.version(version),
                Expect::At(found.revision),
                sealed(&changed),
            );
            let name = live.noun.name.clone();
            commit = if version == live.noun.current.version {
                let head = SecretHead { current: changed.clone(), ..live.noun };
                commit.put(place.head(), Expect::At(live.revision), sealed(&head))
            } else {
                commit.guard(place.head(), Expect::At(live.revision))
            };
            (self.attempt(intent, commit, (name, changed, admitted.vault), context).await?, admitted.tenant)
        })
    }
}
