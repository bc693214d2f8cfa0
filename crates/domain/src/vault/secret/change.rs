//! Setting and updating secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use vouchsafe_crypto::{Reason, SecretBytes, SecretString};

use super::{Attributes, SecretHead, SecretVersion, Secrets, decide};
use crate::access::action::SetSecret;
use crate::access::caller::Caller;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::Expect;
use crate::record::Encode;
use crate::resource::Vault;
use crate::time::Timestamp;
use crate::vault::error::Error;
use crate::vault::load::{Attempt, expect, sealed, unreserved, until_done};
use crate::vault::object::{Collection, ObjectKind};

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
    pub not_before: Option<Timestamp>,
    /// A new `exp`.
    pub expires: Option<Timestamp>,
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
            let admitted =
                self.admit::<SetSecret>(context, caller, vault, ObjectKind::Secret, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Secrets::FAMILY, name);
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
            let decided = match decided {
                Ok(_) if live.is_none() => self.name_is_not_reserved(&place, name, "set").await.and(decided),
                decided => decided,
            };
            let head = match decided {
                Ok(head) => head,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let intent = self.trail.announce(entry).await?;
            let value = SecretBytes::new(wanted.value.expose(Reason::Record).as_bytes().to_vec());
            let commit = admitted.guard(intent.commit()).guard(place.deleted(), Expect::Absent).put(
                place.head(),
                expect(live.as_ref()),
                sealed(&head),
            );
            let commit = if live.is_none() { unreserved(commit, &place) } else { commit };
            let commit = place.put_version(commit, version, head.current.encode(), Some(value));
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
        let change = |before: &SecretVersion, _: &Vault| decide::update(before, update, context.now);
        self.update_object::<Secrets>(context, caller, vault, name, version, change).await
    }
}
