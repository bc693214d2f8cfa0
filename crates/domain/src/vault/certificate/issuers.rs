//! Issuers and contacts of a vault, as callers ask for them. An issuer with provider `Vouchsafe` is a private authority,
//! whose key and certificate are made when the issuer is first written.

use std::sync::Arc;

use super::authority::{AuthorityRules, Founded};
use super::issuer::{Contacts, Issuer, IssuerName, IssuerPatch, Provider, StoredIssuer};
use crate::access::action::{
    Action, DeleteCertificateIssuer, ReadCertificateIssuer, WriteCertificateContacts, WriteCertificateIssuer,
};
use crate::access::caller::Caller;
use crate::audit::Outcome;
use crate::ids::VaultName;
use crate::platform::{Context, Platform};
use crate::ports::store::{Cursor, Key, Kind, Partition, Prefix};
use crate::resource::Vault;
use crate::vault::error::Error;
use crate::vault::life::ObjectPage;
use crate::vault::load::{Admitted, Attempt, Found, expect, sealed, until_done};
use crate::vault::object::ObjectKind;

/// Where an issuer stands.
pub(super) fn key(partition: Partition, name: &IssuerName) -> Key {
    Key::new(partition, Kind::CertificateIssuer, name.canonical())
}

fn contacts_key(partition: Partition) -> Key {
    Key::new(partition, Kind::CertificateContacts, "contacts")
}

impl Platform {
    /// Writes an issuer whole.
    pub async fn set_certificate_issuer(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &IssuerName,
        wanted: &IssuerPatch,
    ) -> Result<(Issuer, Arc<Vault>), Error> {
        self.write_issuer(context, caller, vault, name, wanted, false).await
    }

    /// Changes parts of an issuer.
    pub async fn update_certificate_issuer(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &IssuerName,
        wanted: &IssuerPatch,
    ) -> Result<(Issuer, Arc<Vault>), Error> {
        self.write_issuer(context, caller, vault, name, wanted, true).await
    }

    async fn write_issuer(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &IssuerName,
        wanted: &IssuerPatch,
        must_exist: bool,
    ) -> Result<(Issuer, Arc<Vault>), Error> {
        let mut founded = None;
        let done =
            self.write_issuer_from(context, caller, vault, name, wanted, must_exist, &mut founded).await;
        self.forget_founded(founded).await;
        done
    }

    /// Writes an issuer; `founded` is left with an authority that was made and did not get into the store. When the store
    /// does not say whether it did, its key is let go without being destroyed, because it may be needed.
    #[expect(
        clippy::too_many_arguments,
        reason = "the caller, the place and the wanted state are all needed"
    )]
    async fn write_issuer_from(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &IssuerName,
        wanted: &IssuerPatch,
        must_exist: bool,
        founded: &mut Option<Founded>,
    ) -> Result<(Issuer, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit_to_issuers::<WriteCertificateIssuer>(context, caller, vault).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = key(admitted.partition(), name);
            let before = self.load::<StoredIssuer>(&place).await?;
            let decided = decide_issuer(name, wanted, before.as_ref(), must_exist, context);
            let decided = decided.and_then(|stored| self.provider_accepts(&stored, &[]).map(|()| stored));
            let mut stored = match decided {
                Ok(stored) => stored,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let founds = stored.issuer.provider == Provider::Vouchsafe && stored.issuer.authority.is_none();
            // A key in a token stays there: an attempt after a conflict takes the same authority.
            if founds && founded.is_none() {
                match self.found_authority(context, &admitted.vault, name).await {
                    Ok(made) => *founded = Some(made),
                    Err(error) => return self.record_refusal(entry, error).await,
                }
            }
            let intent = self.trail.announce(entry).await?;
            let mut commit = admitted.guard(intent.commit());
            let made = if founds { founded.take() } else { None };
            if let Some(made) = &made {
                stored.issuer.authority = Some(made.authority.id);
                commit = made.put(commit, admitted.partition());
            }
            let commit = commit.put(place, expect(before.as_ref()), sealed(&stored));
            let done = (stored.issuer, admitted.vault);
            let attempt = self.attempt(intent, commit, done, context).await?;
            if made.is_some() && matches!(attempt, Attempt::Again) {
                *founded = made;
            }
            (attempt, admitted.tenant)
        })
    }

    /// Shows an issuer.
    pub async fn get_certificate_issuer(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &IssuerName,
    ) -> Result<(Issuer, Arc<Vault>), Error> {
        let admitted = self.admit_to_issuers::<ReadCertificateIssuer>(context, caller, vault).await?;
        let entry = self.entry(context, &admitted.proof);
        match self.load::<StoredIssuer>(&key(admitted.partition(), name)).await? {
            Some(found) => {
                self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok((found.noun.issuer, admitted.vault))
            }
            None => self.record_refusal(entry, Error::IssuerNotFound(name.to_string())).await,
        }
    }

    /// Lists issuers.
    pub async fn list_certificate_issuers(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<ObjectPage<Issuer>, Error> {
        let admitted = self.admit_to_issuers::<ReadCertificateIssuer>(context, caller, vault).await?;
        let prefix = Prefix { partition: admitted.partition(), kind: Kind::CertificateIssuer, outer: None };
        let page = self.page::<StoredIssuer, _>(context, admitted, &prefix, after, items).await?;
        let issuers = page.items.into_iter().map(|stored| stored.issuer).collect();
        Ok(ObjectPage { items: issuers, next: page.next, vault: page.vault })
    }

    /// Forgets an issuer. A private authority behind it issues nothing more, and goes on to say what it revoked.
    pub async fn delete_certificate_issuer(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &IssuerName,
    ) -> Result<(Issuer, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit_to_issuers::<DeleteCertificateIssuer>(context, caller, vault).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = key(admitted.partition(), name);
            let Some(found) = self.load::<StoredIssuer>(&place).await? else {
                return self.record_refusal(entry, Error::IssuerNotFound(name.to_string())).await;
            };
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit()).delete(place, found.revision);
            let done = (found.noun.issuer, admitted.vault);
            (self.attempt(intent, commit, done, context).await?, admitted.tenant)
        })
    }

    /// Writes who is told about certificates of a vault.
    pub async fn set_certificate_contacts(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        contacts: &Contacts,
    ) -> Result<(Contacts, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit_to_issuers::<WriteCertificateContacts>(context, caller, vault).await?;
            let entry = self.entry(context, &admitted.proof);
            if let Err(problem) = contacts.check() {
                return self.record_refusal(entry, Error::BadParameter(problem)).await;
            }
            let place = contacts_key(admitted.partition());
            let before = self.load::<Contacts>(&place).await?;
            let intent = self.trail.announce(entry).await?;
            let commit =
                admitted.guard(intent.commit()).put(place, expect(before.as_ref()), sealed(contacts));
            let done = (contacts.clone(), admitted.vault);
            (self.attempt(intent, commit, done, context).await?, admitted.tenant)
        })
    }

    /// Shows who is told about certificates of a vault.
    pub async fn get_certificate_contacts(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
    ) -> Result<(Contacts, Arc<Vault>), Error> {
        let admitted = self.admit_to_issuers::<WriteCertificateContacts>(context, caller, vault).await?;
        let entry = self.entry(context, &admitted.proof);
        match self.load::<Contacts>(&contacts_key(admitted.partition())).await? {
            Some(found) => {
                self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok((found.noun, admitted.vault))
            }
            None => self.record_refusal(entry, Error::ContactsNotFound).await,
        }
    }

    /// Forgets who is told about certificates of a vault, and says who it was.
    pub async fn delete_certificate_contacts(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
    ) -> Result<(Contacts, Arc<Vault>), Error> {
        until_done!(self, tenant, {
            let admitted = self.admit_to_issuers::<WriteCertificateContacts>(context, caller, vault).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = contacts_key(admitted.partition());
            let Some(found) = self.load::<Contacts>(&place).await? else {
                return self.record_refusal(entry, Error::ContactsNotFound).await;
            };
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit()).delete(place, found.revision);
            (self.attempt(intent, commit, (found.noun, admitted.vault), context).await?, admitted.tenant)
        })
    }

    async fn admit_to_issuers<A: Action>(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
    ) -> Result<Admitted<A>, Error> {
        self.admit::<A>(context, caller, vault, ObjectKind::Certificate, None).await
    }
}

/// The issuer that a caller wants, if it makes sense.
fn decide_issuer(
    name: &IssuerName,
    wanted: &IssuerPatch,
    before: Option<&Found<StoredIssuer>>,
    must_exist: bool,
    context: &Context,
) -> Result<StoredIssuer, Error> {
    if must_exist && before.is_none() {
        return Err(Error::IssuerNotFound(name.to_string()));
    }
    let before = before.map(|found| &found.noun);
    let stored = wanted.apply(name, before, !must_exist, context.now).map_err(Error::BadParameter)?;
    if stored.issuer.provider == Provider::Vouchsafe {
        // SECURITY: an authority that may certify everything is never a default.
        let account = stored.issuer.account.as_deref().unwrap_or_default();
        AuthorityRules::parse(account).map_err(Error::BadParameter)?;
    }
    Ok(stored)
}
