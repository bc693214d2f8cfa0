//! The life of certificates, as callers ask for it: each takes its key and its secret with it.

use std::sync::Arc;

use super::policy::CertificatePolicy;
use super::{CertificateHead, CertificateVersion, Certificates, DeletedCertificate};
use crate::access::action::BackupCertificate;
use crate::access::caller::Caller;
use crate::ids::{ObjectName, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::Kind;
use crate::resource::Vault;
use crate::vault::error::Error;
use crate::vault::life::SealedBackup;
use crate::vault::object::{Collection, ObjectKind, Place};

impl Platform {
    /// Soft-deletes a certificate with its key, its secret and all their versions.
    pub async fn delete_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(DeletedCertificate, Option<CertificatePolicy>, Arc<Vault>), Error> {
        let (deleted, vault) = self.delete_object::<Certificates>(context, caller, vault, name).await?;
        let policy = self.policy_of(&vault, name).await?;
        Ok((deleted, policy, vault))
    }

    /// Makes a soft-deleted certificate live again, with its key and its secret.
    pub async fn recover_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(CertificateHead, Option<CertificatePolicy>, Arc<Vault>), Error> {
        let (head, vault) = self.recover_object::<Certificates>(context, caller, vault, name).await?;
        let policy = self.policy_of(&vault, name).await?;
        Ok((head, policy, vault))
    }

    /// Destroys a soft-deleted certificate before its time, with its key and its secret. The erasure is logical.
    pub async fn purge_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(), Error> {
        self.purge_object::<Certificates>(context, caller, vault, name).await
    }

    /// Destroys soft-deleted certificates whose time has come, a bounded number at a time. One `tick` of a job.
    pub async fn purge_due_certificates(&self, context: &Context) -> Result<usize, Error> {
        self.purge_due_objects::<Certificates>(context).await
    }

    /// Seals a certificate with all its versions, its key and its policy.
    ///
    /// The blob holds the key whether it is exportable or not: it opens nowhere but in this deployment, and restoring
    /// it gives a certificate that is as exportable as it was.
    pub async fn backup_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<SealedBackup, Error> {
        let kind = ObjectKind::Certificate;
        let admitted = self.admit::<BackupCertificate>(context, caller, vault, kind, Some(name)).await?;
        let place = admitted.place(Certificates::FAMILY, name);
        let head = self.load_head::<CertificateVersion>(&place).await?;
        if head.is_some_and(|found| !found.noun.current.is_issued()) {
            let entry = self.entry(context, &admitted.proof);
            let problem = format!("certificate {name} has no version yet and cannot be backed up");
            return self.record_refusal(entry, Error::BadParameter(problem)).await;
        }
        self.backup_object::<Certificates>(context, caller, vault, name).await
    }

    /// Puts a backed-up certificate into a vault where its name is free, with its key and its secret.
    pub async fn restore_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        blob: &[u8],
    ) -> Result<(CertificateHead, Option<CertificatePolicy>, Arc<Vault>), Error> {
        let (head, vault) = self.restore_object::<Certificates>(context, caller, vault, blob).await?;
        let policy = self.policy_of(&vault, &head.name).await?;
        Ok((head, policy, vault))
    }

    /// The policy of a certificate, live or deleted, in a vault that the caller was just admitted to.
    pub(super) async fn policy_of(
        &self,
        vault: &Vault,
        name: &ObjectName,
    ) -> Result<Option<CertificatePolicy>, Error> {
        let Some((tenant, vault)) = self.world().vault(&vault.name) else { return Ok(None) };
        let place = Place::new(tenant.tenant().id, vault.id, Certificates::FAMILY, name);
        let found = self.load::<CertificatePolicy>(&place.extra(Kind::CertificatePolicy)).await?;
        Ok(found.map(|found| found.noun))
    }
}
