//! Looking at a pending operation, asking it to end, and forgetting it (wire.md §7.3).

use std::sync::Arc;

use super::pending::PendingCertificate;
use super::read::ReadPending;
use super::{Certificates, PENDING_KEY};
use crate::access::action::{ReadCertificate, UpdateCertificate};
use crate::access::caller::Caller;
use crate::audit::Outcome;
use crate::ids::{ObjectName, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::{Expect, Kind};
use crate::resource::Vault;
use crate::vault::error::Error;
use crate::vault::load::{Attempt, Found, sealed, until_done};
use crate::vault::object::{Collection, ObjectKind, Place};

impl Platform {
    /// Shows the operation that makes the next version, after it took its next step.
    pub async fn get_pending_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<ReadPending, Error> {
        let kind = ObjectKind::Certificate;
        let admitted = self.admit::<ReadCertificate>(context, caller, vault, kind, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(Certificates::FAMILY, name);
        let (name, found) = match self.live_operation(&place, name).await {
            Ok(found) => found,
            Err(error) => return self.record_refusal(entry, error).await,
        };
        self.trail.record(entry.outcome(Outcome::Done, None)).await?;
        let moved = self.advance(context, &admitted.tenant, &admitted.vault, &name).await?;
        Ok(ReadPending {
            name,
            pending: moved.unwrap_or(found.noun),
            assignment: admitted.proof.assignment(),
            vault: admitted.vault,
        })
    }

    /// Asks the operation to end, or not to. It ends with its next step.
    pub async fn update_pending_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        cancellation_requested: bool,
    ) -> Result<(ObjectName, PendingCertificate, Arc<Vault>), Error> {
        let kind = ObjectKind::Certificate;
        until_done!(self, tenant, {
            let admitted = self.admit::<UpdateCertificate>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Certificates::FAMILY, name);
            let decided = self.live_operation(&place, name).await.and_then(|(name, found)| {
                let changed = found.noun.with_cancellation(cancellation_requested, context.now);
                Ok((name, changed.map_err(Error::OperationEnded)?, found.revision))
            });
            let (name, changed, revision) = match decided {
                Ok(decided) => decided,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let intent = self.trail.announce(entry).await?;
            let pending = place.extra(Kind::PendingCertificate);
            let commit = admitted.guard(intent.commit()).put(pending, Expect::At(revision), sealed(&changed));
            (self.attempt(intent, commit, (name, changed, admitted.vault), context).await?, admitted.tenant)
        })
    }

    /// Forgets the operation; one that is in progress makes nothing any more.
    pub async fn delete_pending_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(ObjectName, PendingCertificate, Arc<Vault>), Error> {
        let kind = ObjectKind::Certificate;
        let mut forgotten;
        let result = until_done!(self, tenant, {
            let admitted = self.admit::<UpdateCertificate>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Certificates::FAMILY, name);
            let (name, found) = match self.live_operation(&place, name).await {
                Ok(found) => found,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let waiting = self.waiting_key(&place).await?;
            let intent = self.trail.announce(entry).await?;
            let pending = place.extra(Kind::PendingCertificate);
            let mut commit = admitted.guard(intent.commit()).delete(pending, found.revision);
            if let Some(waiting) = &waiting {
                commit = commit.delete(place.extra(PENDING_KEY), waiting.revision);
            }
            forgotten = waiting.map(|waiting| (place, waiting));
            (
                self.attempt(intent, commit, (name, found.noun, admitted.vault), context).await?,
                admitted.tenant,
            )
        });
        if let (Ok((_, pending, _)), Some((place, waiting))) = (&result, forgotten) {
            self.forget_waiting(&place, pending, waiting).await?;
        }
        result
    }

    /// The operation of a live certificate.
    async fn live_operation(
        &self,
        place: &Place,
        name: &ObjectName,
    ) -> Result<(ObjectName, Found<PendingCertificate>), Error> {
        let not_found = || Error::PendingNotFound(name.to_string());
        let head = self.load_head::<super::CertificateVersion>(place).await?.ok_or_else(not_found)?;
        let found = self.load(&place.extra(Kind::PendingCertificate)).await?.ok_or_else(not_found)?;
        Ok((head.noun.name, found))
    }
}
