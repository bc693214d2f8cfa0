//! Changing the attributes of a version.

use std::sync::Arc;

use crate::access::caller::Caller;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::Expect;
use crate::resource::Vault;
use crate::vault::decide;
use crate::vault::error::Error;
use crate::vault::load::{Attempt, sealed, until_done};
use crate::vault::object::{Collection, Head, Version};

impl Platform {
    /// Changes a version as `change` decides, the current one if none is named.
    pub(in crate::vault) async fn update_object<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        change: impl Fn(&C::Version, &Vault) -> Result<C::Version, Error> + Send + Sync,
    ) -> Result<(ObjectName, C::Version, Arc<Vault>), Error> {
        let kind = C::FAMILY.object;
        until_done!(self, tenant, {
            let admitted = self.admit::<C::Update>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(C::FAMILY, name);
            let Some(live) = self.load_head::<C::Version>(&place).await? else {
                return self.record_refusal(entry, Error::NotFound(kind, name.to_string())).await;
            };
            let current = live.noun.current.id();
            let version = version.unwrap_or(current);
            let Some(found) = self.load::<C::Version>(&place.version(version)).await? else {
                return self.record_refusal(entry, Error::NotFound(kind, format!("{name}/{version}"))).await;
            };
            let decided = decide::unmanaged(kind, "update", &found.noun);
            let changed = match decided.and_then(|()| change(&found.noun, &admitted.vault)) {
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
            commit = if version == current {
                let head = Head { current: changed.clone(), ..live.noun };
                commit.put(place.head(), Expect::At(live.revision), sealed(&head))
            } else {
                commit.guard(place.head(), Expect::At(live.revision))
            };
            (self.attempt(intent, commit, (name, changed, admitted.vault), context).await?, admitted.tenant)
        })
    }
}
