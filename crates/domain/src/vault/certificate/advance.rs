//! Going on with an operation: what a poll of it and the job do (wire.md §7.3).
//!
//! Each call takes one step at most and commits it whole, so that a crash leaves an operation where it was before the
//! step or after it. What an issuer outside was told before a crash, it is told again under the same id.

use vouchsafe_crypto::keys::{KeySpec, PublicKey};
use vouchsafe_crypto::pki::{self, ParsedCertificate, Serial, parse_csr};
use vouchsafe_crypto::{Reason, SecretBytes};

use super::complete::{NewVersion, put_trio};
use super::create::{Standing, own_entry};
use super::issuer::Provider;
use super::pending::{NextStep, PendingCertificate, PendingStatus};
use super::{CertificateHead, Certificates, PENDING_KEY, copied, signing};
use crate::access::action::{Action, CreateCertificate};
use crate::error::Fault;
use crate::ids::ObjectName;
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::hsm::{HeldKey, KeyRef};
use crate::ports::store::{Commit, Expect, Kind, Revision};
use crate::resource::Vault;
use crate::resource::scope::Scope;
use crate::vault::error::Error;
use crate::vault::load::{Attempt, Found, sealed};
use crate::vault::object::{Collection, Place};
use crate::world::TenantSnapshot;

/// The key that waits for its certificate.
pub(super) struct Waiting {
    pub material: SecretBytes,
    pub revision: Revision,
}

/// What a step came to.
pub(super) enum Progress {
    /// The operation is as it was, or ended without a version.
    Moved(Box<PendingCertificate>),
    /// There is a certificate.
    Issued { chain: Vec<Vec<u8>>, authority: Option<super::authority::Ledger> },
}

impl Platform {
    /// Takes the next step of the operation under a name, if there is one to take, and says where it then is.
    ///
    /// A holder of keys or an issuer that does not answer leaves the operation in progress.
    pub(super) async fn advance(
        &self,
        context: &Context,
        tenant: &TenantSnapshot,
        vault: &Vault,
        name: &ObjectName,
    ) -> Result<Option<PendingCertificate>, Error> {
        let place = Place::new(tenant.tenant().id, vault.id, Certificates::FAMILY, name);
        for _ in 0..limits::COMMIT_ATTEMPTS_MAX {
            let standing = self.standing(&place).await?;
            let Some(pending) = standing.pending.as_ref().map(|found| found.noun.clone()) else {
                return Ok(None);
            };
            let step = pending.next_step(context.now);
            if step == NextStep::Rest || standing.head.is_none() || standing.deleted.is_some() {
                return Ok(Some(pending));
            }
            match self.step(context, vault, &place, standing, &pending, step).await {
                Ok(Attempt::Done(moved)) => return Ok(Some(moved)),
                Ok(Attempt::Again) => {}
                Err(Error::Fault(why)) if why.is_unavailable() && step != NextStep::Cancel => {
                    tracing::warn!(%why, "a pending certificate waits");
                    return Ok(Some(pending));
                }
                Err(error) => return Err(error),
            }
        }
        Err(Fault::Contended.into())
    }

    async fn step(
        &self,
        context: &Context,
        vault: &Vault,
        place: &Place,
        standing: Standing,
        pending: &PendingCertificate,
        step: NextStep,
    ) -> Result<Attempt<PendingCertificate>, Error> {
        let waiting = self.waiting_key(place).await?;
        let progress = match (&waiting, step) {
            (_, NextStep::Cancel) => {
                Progress::Moved(Box::new(pending.ended(PendingStatus::Cancelled, context.now)))
            }
            (None, _) => {
                let message = "the key of the pending certificate is not there any more";
                Progress::Moved(Box::new(pending.failed("KeyLost", message, context.now)))
            }
            _ if has_revoked_key(standing.head.as_ref(), pending)? => {
                let message = "the key was kept from a version that has been revoked since; begin again";
                Progress::Moved(Box::new(pending.failed("KeyRevoked", message, context.now)))
            }
            (Some(waiting), _) => {
                match self.progress(context, vault, place, pending, waiting, step).await {
                    // What cannot be issued now will not be issued with the next poll.
                    Err(Error::BadParameter(why)) => {
                        Progress::Moved(Box::new(pending.failed("RequestRefused", &why, context.now)))
                    }
                    progress => progress?,
                }
            }
        };
        let (Some(head), Some(found)) = (&standing.head, &standing.pending) else {
            return Ok(Attempt::Again);
        };
        let name = head.noun.name.clone();
        let mut belongings = None;
        let progress = match progress {
            Progress::Moved(moved) => Progress::Moved(moved),
            issued @ Progress::Issued { .. } => match self.name_is_ours(place, &name).await {
                Ok(found) => {
                    belongings = Some(found);
                    issued
                }
                Err(
                    Error::AlreadyExists(..) | Error::DeletedButRecoverable(..) | Error::BeingDeleted(..),
                ) => {
                    let message = "a key or a secret of this name appeared beside the pending certificate";
                    Progress::Moved(Box::new(pending.failed("NameTaken", message, context.now)))
                }
                // Whose the name is could not be seen: nothing is decided yet.
                Err(error) => return Err(error),
            },
        };
        let scope = Scope::vault(vault.subscription, &vault.group, &vault.name).object("certificates", &name);
        let intent = self
            .trail
            .announce(own_entry(context, CreateCertificate::ACTION.as_str(), scope.canonical()))
            .await?;
        let commit = intent.commit();
        let (commit, moved) = match progress {
            Progress::Moved(moved) => {
                let commit = commit.guard(place.head(), Expect::At(head.revision));
                (put_pending(commit, place, found, &moved), *moved)
            }
            Progress::Issued { chain, authority } => {
                let (Some(waiting), Some(belongings)) = (&waiting, &belongings) else {
                    return Ok(Attempt::Again);
                };
                let pending = &pending.following(&head.noun.current);
                let new = self.new_version(pending, chain, authority.as_ref())?;
                let previous = head.noun.current.is_issued().then_some(head.noun.current.version);
                let trio = new.records(previous, context.now)?;
                let material = copied(&waiting.material);
                let commit = put_trio(commit, place, &name, Some(head), belongings, &trio, material);
                let commit = match authority {
                    Some(ledger) => ledger.put(commit, place.partition, &name, pending.version),
                    None => commit,
                };
                let moved = pending.ended(PendingStatus::Completed, context.now);
                (put_pending(commit, place, found, &moved), moved)
            }
        };
        let commit = match &waiting {
            Some(waiting) if !moved.is_in_progress() => {
                commit.delete(place.extra(PENDING_KEY), waiting.revision)
            }
            _ => commit,
        };
        let attempt = self.attempt(intent, commit, moved, context).await?;
        if let (Attempt::Done(moved), Some(waiting)) = (&attempt, waiting)
            && !moved.is_in_progress()
            && moved.status != PendingStatus::Completed
        {
            self.forget_waiting(place, moved, waiting).await?;
        }
        Ok(attempt)
    }

    pub(super) async fn waiting_key(&self, place: &Place) -> Result<Option<Waiting>, Error> {
        let found = self.store.get(&place.extra(PENDING_KEY)).await.map_err(Fault::from)?;
        Ok(found.map(|record| Waiting { material: record.value, revision: record.revision }))
    }

    /// What kind of key waits under a name, if a token holds it.
    pub(in crate::vault) async fn waiting_token_key(&self, place: &Place) -> Result<Option<KeySpec>, Error> {
        let pending = self.load::<PendingCertificate>(&place.extra(Kind::PendingCertificate)).await?;
        let key = pending.map(|found| found.noun.policy.key);
        Ok(key.filter(|key| key.in_token).map(|key| key.spec))
    }

    /// A key in a token goes with its operation, unless the current version has the same one.
    pub(super) async fn forget_waiting(
        &self,
        place: &Place,
        pending: &PendingCertificate,
        waiting: Waiting,
    ) -> Result<(), Error> {
        let key = pending.policy.key;
        if !key.in_token {
            return Ok(());
        }
        if let Some(head) = self.load_head::<super::CertificateVersion>(place).await? {
            let keys = place.companion(crate::vault::key::Keys::FAMILY);
            let current = self.carry_material(&keys, head.noun.current.version).await?;
            if current.is_some_and(|current| current.matches(waiting.material.expose(Reason::Record))) {
                return Ok(());
            }
        }
        let made = HeldKey { public: None, material: waiting.material };
        self.discard(key.spec, true, Some(made)).await;
        Ok(())
    }

    /// What the issuer of an operation makes of it now.
    async fn progress(
        &self,
        context: &Context,
        vault: &Vault,
        place: &Place,
        pending: &PendingCertificate,
        waiting: &Waiting,
        step: NextStep,
    ) -> Result<Progress, Error> {
        if step == NextStep::SignItself {
            let spec = pending.policy.key.spec;
            let csr = parse_csr(&pending.csr).map_err(|e| Fault::Broken(e.to_string()))?;
            let serial = Serial::from_random(*self.entropy.uuid().as_bytes());
            let profile =
                signing::profile(&pending.policy, csr.spki_der().to_vec(), serial, context.for_issuing()?)?;
            let unsigned = pki::self_signed(&profile, signing::algorithm(spec)?)?;
            let holder = self.holder(pending.policy.key.in_token)?;
            let key = KeyRef { spec, material: &waiting.material };
            let certificate = signing::sign(holder, &key, &unsigned).await?;
            return Ok(Progress::Issued { chain: vec![certificate], authority: None });
        }
        let failed =
            |code, message: &str| Ok(Progress::Moved(Box::new(pending.failed(code, message, context.now))));
        let issuer = match self.issuer_is_usable(place, &pending.policy).await {
            Ok(Some(issuer)) => issuer,
            Ok(None) => return failed("IssuerMissing", "the policy names no issuer"),
            Err(Error::BadParameter(why)) => return failed("IssuerUnusable", &why),
            Err(error) => return Err(error),
        };
        match issuer.issuer.provider {
            Provider::Vouchsafe => {
                match self.issue_from_authority(context, vault, place, &issuer.issuer, pending).await? {
                    Ok((chain, ledger)) => Ok(Progress::Issued { chain, authority: Some(ledger) }),
                    Err(refused) => failed("RequestRefused", &refused.to_string()),
                }
            }
            provider => match self.outside_issuer(provider) {
                Some(outside) => self.ask_outside(context, vault, place, outside, &issuer, pending).await,
                None => {
                    failed("IssuerUnusable", "the issuer's provider is not connected with this deployment")
                }
            },
        }
    }

    pub(super) fn new_version(
        &self,
        pending: &PendingCertificate,
        chain: Vec<Vec<u8>>,
        authority: Option<&super::authority::Ledger>,
    ) -> Result<NewVersion, Error> {
        let csr = parse_csr(&pending.csr).map_err(|e| Fault::Broken(e.to_string()))?;
        let public = PublicKey::from_spki_der(csr.spki_der()).map_err(|e| Fault::Broken(e.to_string()))?;
        let (chain, leaf_at) = super::merge::arranged(chain, csr.spki_der(), pending.preserve_order)?;
        Ok(NewVersion {
            version: pending.version,
            attributes: pending.attributes.clone(),
            chain,
            leaf_at,
            content_type: pending.policy.content_type,
            exportable: pending.policy.key.exportable,
            preserve_order: pending.preserve_order,
            spec: pending.policy.key.spec,
            in_token: pending.policy.key.in_token,
            public,
            authority: authority.map(|ledger| ledger.authority),
        })
    }
}

/// Whether an operation was begun with the key of the current version, and that was revoked since.
pub(super) fn has_revoked_key(
    head: Option<&Found<CertificateHead>>,
    pending: &PendingCertificate,
) -> Result<bool, Error> {
    let current = head.map(|head| &head.noun.current).filter(|current| current.revoked.is_some());
    let Some(leaf) = current.and_then(|current| current.leaf()) else { return Ok(false) };
    let leaf = ParsedCertificate::from_der(leaf).map_err(|e| Fault::Broken(e.to_string()))?;
    let csr = parse_csr(&pending.csr).map_err(|e| Fault::Broken(e.to_string()))?;
    Ok(leaf.spki_der() == csr.spki_der())
}

fn put_pending(
    commit: Commit,
    place: &Place,
    found: &Found<PendingCertificate>,
    moved: &PendingCertificate,
) -> Commit {
    commit.put(place.extra(Kind::PendingCertificate), Expect::At(found.revision), sealed(moved))
}
