//! Listing: heads and attributes, never values.

use std::sync::Arc;

use vouchsafe_crypto::Reason;

use crate::access::action::Action;
use crate::access::caller::Caller;
use crate::audit::Outcome;
use crate::error::Fault;
use crate::ids::{ObjectName, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Cursor, Prefix};
use crate::record::Decode;
use crate::resource::Vault;
use crate::vault::error::Error;
use crate::vault::load::Admitted;
use crate::vault::object::{Collection, Deleted, Head};

/// One page of a list.
pub struct ObjectPage<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins, if there is more.
    pub next: Option<Cursor>,
    /// The vault they stand in.
    pub vault: Arc<Vault>,
}

impl Platform {
    /// Lists live objects.
    pub(in crate::vault) async fn list_objects<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<ObjectPage<Head<C::Version>>, Error> {
        let admitted = self.admit::<C::Read>(context, caller, vault, C::FAMILY.object, None).await?;
        let prefix = Prefix { partition: admitted.partition(), kind: C::FAMILY.head, outer: None };
        self.page(context, admitted, &prefix, after, items).await
    }

    /// Lists soft-deleted objects.
    pub(in crate::vault) async fn list_deleted_objects<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<ObjectPage<Deleted<C::Version>>, Error> {
        let admitted = self.admit::<C::Read>(context, caller, vault, C::FAMILY.object, None).await?;
        let prefix = Prefix { partition: admitted.partition(), kind: C::FAMILY.deleted, outer: None };
        let page = self.page::<Deleted<C::Version>, _>(context, admitted, &prefix, after, items).await;
        let mut page = page?;
        page.items.retain(|deleted| !deleted.purging);
        Ok(page)
    }

    /// Lists the versions of a live object.
    pub(in crate::vault) async fn list_object_versions<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<(ObjectName, ObjectPage<C::Version>), Error> {
        let kind = C::FAMILY.object;
        let admitted = self.admit::<C::Read>(context, caller, vault, kind, Some(name)).await?;
        let place = admitted.place(C::FAMILY, name);
        let Some(head) = self.load_head::<C::Version>(&place).await? else {
            let entry = self.entry(context, &admitted.proof);
            return self.record_refusal(entry, Error::NotFound(kind, name.to_string())).await;
        };
        let page = self.page(context, admitted, &place.versions(), after, items).await?;
        Ok((head.noun.name, page))
    }

    /// Shows a soft-deleted object.
    pub(in crate::vault) async fn get_deleted_object<C: Collection>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(Deleted<C::Version>, Arc<Vault>), Error> {
        let kind = C::FAMILY.object;
        let admitted = self.admit::<C::Read>(context, caller, vault, kind, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let found = self.load_deleted::<C::Version>(&admitted.place(C::FAMILY, name)).await?;
        match found.filter(|found| !found.noun.purging) {
            Some(found) => {
                self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok((found.noun, admitted.vault))
            }
            None => self.record_refusal(entry, Error::NotFound(kind, name.to_string())).await,
        }
    }

    /// Records of one kind, in order, as an admitted caller may see them.
    pub(in crate::vault) async fn page<T: Decode, A: Action>(
        &self,
        context: &Context,
        admitted: Admitted<A>,
        prefix: &Prefix,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<ObjectPage<T>, Error> {
        let entry = self.entry(context, &admitted.proof);
        if !(1..=limits::PAGE_ITEMS_MAX).contains(&items) {
            let problem = format!("maxresults must be between 1 and {}", limits::PAGE_ITEMS_MAX);
            return self.record_refusal(entry, Error::BadParameter(problem)).await;
        }
        let page = self.store.scan(prefix, after, items).await.map_err(Fault::from)?;
        let items = page.records.iter().map(|record| T::decode(record.value.expose(Reason::Record)));
        let items = items.collect::<Result<Vec<_>, _>>()?;
        self.trail.record(entry.outcome(Outcome::Done, None)).await?;
        Ok(ObjectPage { items, next: page.next, vault: admitted.vault })
    }
}
