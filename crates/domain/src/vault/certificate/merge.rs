//! Bringing back what an issuer outside signed (`POST /certificates/{name}/pending/merge`).

use std::sync::Arc;

use vouchsafe_crypto::pki::ParsedCertificate;

use super::advance::has_revoked_key;
use super::complete::put_trio;
use super::create::Standing;
use super::pending::{PendingCertificate, PendingStatus};
use super::policy::IssuerChoice;
use super::read::ReadCertificate;
use super::{CertificateAttributes, CertificateHead, Certificates, PENDING_KEY, copied};
use crate::access::action::CreateCertificate;
use crate::access::caller::Caller;
use crate::error::Fault;
use crate::ids::{ObjectName, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Expect, Kind};
use crate::vault::decide::labels_and_validity;
use crate::vault::error::Error;
use crate::vault::load::{Attempt, Found, sealed, until_done};
use crate::vault::object::{Collection, ObjectKind};

/// A certificate for the request of a pending operation.
#[derive(Clone, Debug, Default)]
pub struct CertificateToMerge {
    /// The certificate and those above it, in DER and in any order.
    pub chain: Vec<Vec<u8>>,
    /// Whether the version is switched off, if that is said now.
    pub disabled: Option<bool>,
    /// The labels, if they are said now.
    pub tags: Option<std::collections::BTreeMap<String, String>>,
}

impl Platform {
    /// Completes a pending operation with a certificate that was issued outside.
    pub async fn merge_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wanted: &CertificateToMerge,
    ) -> Result<ReadCertificate, Error> {
        let kind = ObjectKind::Certificate;
        let done: Result<_, Error> = until_done!(self, tenant, {
            let admitted = self.admit::<CreateCertificate>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Certificates::FAMILY, name);
            let standing = self.standing(&place).await?;
            let waiting = self.waiting_key(&place).await?;
            let decided = async {
                let (head, pending) = mergeable(name, &standing)?;
                if has_revoked_key(Some(head), &pending.noun)? {
                    let problem = "the key was kept from a version that has been revoked since";
                    return Err(Error::BadParameter(format!("{problem}: begin again")));
                }
                let begun = pending.noun.following(&head.noun.current);
                let belongings = self.name_is_ours(&place, name).await?;
                let waiting = waiting.ok_or_else(|| {
                    Fault::Broken("the key of a pending certificate is not there".to_owned())
                })?;
                let attributes = CertificateAttributes {
                    disabled: wanted.disabled.unwrap_or(begun.attributes.disabled),
                    tags: wanted.tags.clone().unwrap_or(begun.attributes.clone().tags),
                };
                labels_and_validity(&attributes.tags, None, None).map_err(Error::BadParameter)?;
                let merged = PendingCertificate { attributes, ..begun };
                let new = self.new_version(&merged, wanted.chain.clone(), None)?;
                let current = &head.noun.current;
                let previous = current.is_issued().then_some(current.version);
                let trio = new.records(previous, context.now)?;
                Ok((head.noun.name.clone(), pending, waiting, belongings, trio))
            };
            let (head_name, pending, waiting, belongings, trio) = match decided.await {
                Ok(decided) => decided,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            let intent = self.trail.announce(entry).await?;
            let commit = admitted.guard(intent.commit());
            let material = copied(&waiting.material);
            let head = standing.head.as_ref();
            let commit = put_trio(commit, &place, &head_name, head, &belongings, &trio, material);
            let ended = pending.noun.ended(PendingStatus::Completed, context.now);
            let commit = commit
                .put(place.extra(Kind::PendingCertificate), Expect::At(pending.revision), sealed(&ended))
                .delete(place.extra(PENDING_KEY), waiting.revision);
            let read = (
                head_name,
                trio.certificate,
                ended.policy,
                Arc::clone(&admitted.vault),
                admitted.proof.assignment(),
            );
            (self.attempt(intent, commit, read, context).await?, admitted.tenant)
        });
        let (name, version, policy, vault, assignment) = done?;
        Ok(ReadCertificate { name, version, policy: Some(policy), has_pending: true, vault, assignment })
    }
}

/// Whether the operation under a name waits for a certificate from outside.
fn mergeable<'a>(
    name: &ObjectName,
    standing: &'a Standing,
) -> Result<(&'a Found<CertificateHead>, &'a Found<PendingCertificate>), Error> {
    let not_found = || Error::PendingNotFound(name.to_string());
    let head = standing.head.as_ref().ok_or_else(not_found)?;
    let pending = standing.pending.as_ref().ok_or_else(not_found)?;
    let refuse = |why: &str| Err(Error::BadParameter(format!("the pending certificate {name} {why}")));
    if !pending.noun.is_in_progress() {
        return refuse(&format!("is {} and takes no certificate", pending.noun.status.as_str()));
    }
    if pending.noun.cancellation_requested {
        return refuse("is being cancelled");
    }
    if pending.noun.policy.issuer.name == IssuerChoice::Itself {
        return refuse("signs itself and takes no certificate");
    }
    Ok((head, pending))
}

/// A chain as it is kept, and where in it the certificate for a key is.
///
/// The certificate comes first and each one is followed by its issuer, unless the order is to be kept. What belongs to
/// no link of the chain is refused: whoever reads the secret would hand it on as if it did.
pub(super) fn arranged(
    chain: Vec<Vec<u8>>,
    spki: &[u8],
    preserve_order: bool,
) -> Result<(Vec<Vec<u8>>, usize), Error> {
    let refuse = |why: &str| Err(Error::BadParameter(why.to_owned()));
    if chain.is_empty() {
        return refuse("there is no certificate");
    }
    if chain.len() > limits::CHAIN_CERTIFICATES_MAX {
        return refuse("there are too many certificates in the chain");
    }
    let parsed = chain.iter().map(|der| ParsedCertificate::from_der(der));
    let parsed: Vec<ParsedCertificate> =
        parsed.collect::<Result<_, _>>().map_err(|refused| Error::BadParameter(refused.to_string()))?;
    let Some(leaf_at) = parsed.iter().position(|certificate| certificate.spki_der() == spki) else {
        return refuse("none of the certificates is for the key of this certificate");
    };
    let mut left: Vec<usize> = (0..parsed.len()).filter(|index| *index != leaf_at).collect();
    let mut order = vec![leaf_at];
    while let Some(last) = order.last().and_then(|index| parsed.get(*index)) {
        let issuer =
            left.iter().position(|index| parsed.get(*index).is_some_and(|above| last.is_signed_by(above)));
        match issuer {
            Some(found) => order.push(left.remove(found)),
            None => break,
        }
    }
    if !left.is_empty() {
        return refuse("there is a certificate that belongs to no link of the chain");
    }
    if preserve_order {
        return Ok((chain, leaf_at));
    }
    Ok((order.iter().filter_map(|index| chain.get(*index).cloned()).collect(), 0))
}
