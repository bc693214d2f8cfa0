//! Looking at certificates: the bundle, the policy, lists.

use std::sync::Arc;

use super::pending::PendingCertificate;
use super::policy::CertificatePolicy;
use super::{CertificateHead, CertificateVersion, Certificates, DeletedCertificate};
use crate::access::action::ReadCertificate as Read;
use crate::access::caller::Caller;
use crate::audit::Outcome;
use crate::ids::{ObjectName, ObjectVersion, RoleAssignmentId, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::store::{Cursor, Kind};
use crate::resource::Vault;
use crate::vault::error::Error;
use crate::vault::life::ObjectPage;
use crate::vault::object::{Collection, ObjectKind};

/// A version of a certificate and what belongs to the certificate as a whole.
#[derive(Clone, Debug)]
pub struct ReadCertificate {
    /// The name as first written.
    pub name: ObjectName,
    /// The version.
    pub version: CertificateVersion,
    /// What the next version is made from.
    pub policy: Option<CertificatePolicy>,
    /// Whether there is an operation to look at.
    pub has_pending: bool,
    /// The vault it stands in.
    pub vault: Arc<Vault>,
    /// The role assignment that allowed it.
    pub assignment: RoleAssignmentId,
}

/// An operation on a certificate.
#[derive(Clone, Debug)]
pub struct ReadPending {
    /// The name as first written.
    pub name: ObjectName,
    /// The operation.
    pub pending: PendingCertificate,
    /// The vault it stands in.
    pub vault: Arc<Vault>,
    /// The role assignment that allowed it.
    pub assignment: RoleAssignmentId,
}

impl Platform {
    /// Shows a version of a certificate, the current one if none is named.
    pub async fn get_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<ReadCertificate, Error> {
        let kind = ObjectKind::Certificate;
        let admitted = self.admit::<Read>(context, caller, vault, kind, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(Certificates::FAMILY, name);
        let loaded = async {
            let (name, version) = self.load_version::<CertificateVersion>(&place, name, version).await?;
            let policy = self.load::<CertificatePolicy>(&place.extra(Kind::CertificatePolicy)).await?;
            let pending = self.load::<PendingCertificate>(&place.extra(Kind::PendingCertificate)).await?;
            Ok((name, version, policy.map(|found| found.noun), pending.is_some()))
        };
        match loaded.await {
            Ok((name, version, policy, has_pending)) => {
                self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                let assignment = admitted.proof.assignment();
                Ok(ReadCertificate { name, version, policy, has_pending, vault: admitted.vault, assignment })
            }
            Err(error) => self.record_refusal(entry, error).await,
        }
    }

    /// Shows what the next version of a certificate is made from.
    pub async fn get_certificate_policy(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(ObjectName, CertificatePolicy, Arc<Vault>), Error> {
        let kind = ObjectKind::Certificate;
        let admitted = self.admit::<Read>(context, caller, vault, kind, Some(name)).await?;
        let entry = self.entry(context, &admitted.proof);
        let place = admitted.place(Certificates::FAMILY, name);
        let head = self.load_head::<CertificateVersion>(&place).await?;
        let policy = self.load::<CertificatePolicy>(&place.extra(Kind::CertificatePolicy)).await?;
        match head.zip(policy) {
            Some((head, policy)) => {
                self.trail.record(entry.outcome(Outcome::Done, None)).await?;
                Ok((head.noun.name, policy.noun, admitted.vault))
            }
            None => self.record_refusal(entry, Error::NotFound(kind, name.to_string())).await,
        }
    }

    /// Lists live certificates; those whose first version is being made only if that is asked for.
    pub async fn list_certificates(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
        include_pending: bool,
    ) -> Result<ObjectPage<CertificateHead>, Error> {
        let mut page = self.list_objects::<Certificates>(context, caller, vault, after, items).await?;
        page.items.retain(|head| include_pending || head.current.is_issued());
        Ok(page)
    }

    /// Lists soft-deleted certificates; those whose first version was being made only if that is asked for.
    pub async fn list_deleted_certificates(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        after: Option<&Cursor>,
        items: usize,
        include_pending: bool,
    ) -> Result<ObjectPage<DeletedCertificate>, Error> {
        let mut page =
            self.list_deleted_objects::<Certificates>(context, caller, vault, after, items).await?;
        page.items.retain(|deleted| include_pending || deleted.head.current.is_issued());
        Ok(page)
    }

    /// Lists the versions of a live certificate.
    pub async fn list_certificate_versions(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        after: Option<&Cursor>,
        items: usize,
    ) -> Result<(ObjectName, ObjectPage<CertificateVersion>), Error> {
        self.list_object_versions::<Certificates>(context, caller, vault, name, after, items).await
    }

    /// Shows a soft-deleted certificate and its policy.
    pub async fn get_deleted_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<(DeletedCertificate, Option<CertificatePolicy>, Arc<Vault>), Error> {
        let (deleted, vault) = self.get_deleted_object::<Certificates>(context, caller, vault, name).await?;
        let policy = self.policy_of(&vault, name).await?;
        Ok((deleted, policy, vault))
    }
}
