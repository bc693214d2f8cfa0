//! Listing: heads and attributes, never values.

use std::sync::Arc;

use super::error::Error;
use super::load::Admitted;
use super::secret::{DeletedSecret, SecretHead, SecretVersion};
use crate::access::action::ReadSecretMetadata;
use crate::access::caller::Caller;
use crate::audit::Outcome;
use crate::error::Fault;
use crate::ids::{ObjectName, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Cursor, Kind, Prefix};
use crate::record::Decode;
use crate::resource::Vault;
use vouchsafe_crypto::Reason;

/// One page of a list.
pub struct SecretPage<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins, if there is more.
    pub next: Option<Cursor>,
    /// The vault they stand in.
    pub vault: Arc<Vault>,
}

impl Platform {
    /// Lists live secrets.
    pub async fn list_secrets(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<SecretPage<SecretHead>, Error> {
        let admitted = self.admit::<ReadSecretMetadata>(context, caller, vault, None).await?;
        let prefix = Prefix { partition: admitted.partition(), kind: Kind::Secret, outer: None };
        self.page(context, admitted, &prefix, after, items).await
    }

    /// Lists soft-deleted secrets.
    pub async fn list_deleted_secrets(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<SecretPage<DeletedSecret>, Error> {
        let admitted = self.admit::<ReadSecretMetadata>(context, caller, vault, None).await?;
        let prefix = Prefix { partition: admitted.partition(), kind: Kind::DeletedSecret, outer: None };
        let mut page: SecretPage<DeletedSecret> = self.page(context, admitted, &prefix, after, items).await?;
        page.items.retain(|deleted| !deleted.purging);
        Ok(page)
    }

    /// Lists the versions of a live secret.
    pub async fn list_secret_versions(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<(ObjectName, SecretPage<SecretVersion>), Error> {
        let admitted = self.admit::<ReadSecretMetadata>(context, caller, vault, Some(name)).await?;
        let place = admitted.place(name);
        let Some(head) = self.load_head(&place).await? else {
            let entry = self.entry(context, &admitted.proof);
            return self.record_refusal(entry, Error::NotFound(name.to_string())).await;
        };
        let page = self.page(context, admitted, &place.versions(), after, items).await?;
        Ok((head.noun.name, page))
    }

    /// Shows a soft-deleted secret.
    pub async fn get_deleted_secret(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(DeletedSecret, Arc<Vault>), Error> {
        let admitted = self.admit::<ReadSecretMetadata>(context, caller, vault, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let found = self.load_deleted(&admitted.place(name)).await?;
        match found.filter(|found| !found.noun.purging) {
            Some(found) => {
                self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok((found.noun, admitted.vault))
            }
            None => self.record_refusal(entry, Error::NotFound(name.to_string())).await,
        }
    }

    async fn page<T: Decode>(
        &self,
        context: &Context,
        admitted: Admitted<ReadSecretMetadata>,
        prefix: &Prefix,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<SecretPage<T>, Error> {
        let entry = self.entry(context, &admitted.proof);
        if !(1..=limits::PAGE_ITEMS_MAX).contains(&items) {
            let problem = format!("maxresults must be between 1 and {}", limits::PAGE_ITEMS_MAX);
            return self.record_refusal(entry, Error::BadParameter(problem)).await;
        }
        let page = self.store.scan(prefix, after, items).await.map_err(Fault::from)?;
        let items = page.records.iter().map(|record| T::decode(record.value.expose(Reason::Record)));
        let items = items.collect::<Result<Vec<_>, _>>()?;
        self.trail.record(entry.outcome(Outcome::Done, None)).await?;
        Ok(SecretPage { items, next: page.next, vault: admitted.vault })
    }
}
