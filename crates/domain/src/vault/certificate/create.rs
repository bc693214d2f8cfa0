//! Beginning an operation: the policy is decided, the key is made, the request is signed (wire.md §7.3).

use std::sync::Arc;

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::keys::PublicKey;
use vouchsafe_crypto::pki::{self, Serial};

use super::issuer::{Provider, StoredIssuer};
use super::pending::{PendingCertificate, PendingStatus};
use super::policy::{CertificatePolicy, IssuerChoice, PolicyPatch};
use super::{
    CertificateAttributes, CertificateHead, CertificateVersion, Certificates, DeletedCertificate,
    PENDING_KEY, copied, signing,
};
use crate::access::action::CreateCertificate;
use crate::access::caller::Caller;
use crate::audit::Entry;
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::platform::{Context, Platform};
use crate::ports::hsm::{Exportable, HeldKey, KeyRef};
use crate::ports::store::{Commit, Expect, Kind};
use crate::resource::Vault;
use crate::time::Timestamp;
use crate::timekeeping::IssueTime;
use crate::vault::decide::{labels_and_validity, name_is_free};
use crate::vault::error::Error;
use crate::vault::key::{KeyVersion, Keys};
use crate::vault::load::{Attempt, Found, expect, sealed, until_done};
use crate::vault::object::{Collection, Head, ObjectKind, Place, Version};
use crate::vault::secret::{SecretVersion, Secrets};

/// What a caller wants made.
#[derive(Clone, Debug, Default)]
pub struct CertificateToCreate {
    /// What to make it from; without one, the certificate's own policy.
    pub policy: Option<PolicyPatch>,
    /// What the version is to have.
    pub attributes: CertificateAttributes,
    /// Whether the managed secret keeps the chain in the order in which it comes.
    pub preserve_order: bool,
}

/// What there is under the name of a certificate.
pub(super) struct Standing {
    pub head: Option<Found<CertificateHead>>,
    pub deleted: Option<Found<DeletedCertificate>>,
    pub pending: Option<Found<PendingCertificate>>,
    pub policy: Option<Found<CertificatePolicy>>,
}

/// The key and the secret of a certificate's name: its own, or none. A commit that follows from that expects them as
/// they were found.
pub(super) struct Belongings {
    pub key: Option<Found<Head<KeyVersion>>>,
    pub secret: Option<Found<Head<SecretVersion>>>,
}

/// A key that was made for an operation, and the request that it signed.
pub(super) struct Prepared {
    pub material: SecretBytes,
    pub csr: Vec<u8>,
    /// The key is of no use to anybody if the operation is not begun.
    pub fresh: bool,
}

impl Platform {
    /// Begins to make the next version of a certificate. The answer is always in progress; polling goes on with it.
    pub async fn create_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wanted: &CertificateToCreate,
    ) -> Result<(ObjectName, PendingCertificate, Arc<Vault>), Error> {
        let mut prepared = None;
        let done = self.create_certificate_from(context, caller, vault, name, wanted, &mut prepared).await;
        self.forget_prepared(prepared).await;
        done
    }

    /// As [`Platform::create_certificate`]; `prepared` is left with what was made and did not get into the store. When the
    /// store does not say whether it did, the key is let go without being destroyed, because it may be needed.
    async fn create_certificate_from(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        wanted: &CertificateToCreate,
        prepared: &mut Option<(CertificatePolicy, Prepared)>,
    ) -> Result<(ObjectName, PendingCertificate, Arc<Vault>), Error> {
        let kind = ObjectKind::Certificate;
        until_done!(self, tenant, {
            let admitted = self.admit::<CreateCertificate>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Certificates::FAMILY, name);
            let decided = async {
                let standing = self.standing(&place).await?;
                may_begin(name, &standing)?;
                let belongings = self.name_is_ours(&place, name).await?;
                let policy = decide_create(&standing, wanted, &admitted.vault, context.now)?;
                self.issuer_is_usable(&place, &policy).await?;
                Ok((standing, belongings, policy, context.for_issuing()?))
            };
            let (standing, belongings, policy, now) = match decided.await {
                Ok(decided) => decided,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            // A key is expensive, and one in a token stays there: an attempt after a conflict takes the same.
            if prepared
                .as_ref()
                .is_none_or(|(before, _)| before.key != policy.key || before.x509 != policy.x509)
            {
                let made =
                    self.prepare(&place, standing.head.as_ref().map(|found| &found.noun), &policy, now);
                match made.await {
                    Ok(made) => {
                        let before = prepared.replace((policy.clone(), made));
                        self.forget_prepared(before).await;
                    }
                    Err(error) => return self.record_refusal(entry, error).await,
                }
            }
            let Some((_, ready)) = &*prepared else {
                return Err(Fault::Broken("a key that was just made is gone".to_owned()).into());
            };
            let pending = PendingCertificate {
                request: self.entropy.uuid(),
                version: ObjectVersion(self.entropy.uuid()),
                status: PendingStatus::InProgress,
                cancellation_requested: false,
                policy,
                csr: ready.csr.clone(),
                attributes: wanted.attributes.clone(),
                preserve_order: wanted.preserve_order,
                created: context.now,
                updated: context.now,
                order: None,
                next_poll: None,
                renewal: false,
            };
            let name = standing.head.as_ref().map_or_else(|| name.clone(), |found| found.noun.name.clone());
            let intent = self.trail.announce(entry).await?;
            let commit = belongings.guard(admitted.guard(intent.commit()), &place);
            let commit = self.begin(commit, &place, &name, standing, &pending, ready).await?;
            let done = (name, pending, admitted.vault);
            let made = prepared.take();
            let attempt = self.attempt(intent, commit, done, context).await?;
            if let Attempt::Again = attempt {
                *prepared = made;
            }
            (attempt, admitted.tenant)
        })
    }

    /// Everything that stands under the name of a certificate, but its versions.
    pub(super) async fn standing(&self, place: &Place) -> Result<Standing, Error> {
        Ok(Standing {
            head: self.load_head::<CertificateVersion>(place).await?,
            deleted: self.load_deleted::<CertificateVersion>(place).await?,
            pending: self.load(&place.extra(Kind::PendingCertificate)).await?,
            policy: self.load(&place.extra(Kind::CertificatePolicy)).await?,
        })
    }

    /// Key and secret of this name, if they are those of the certificate, or none at all.
    pub(super) async fn name_is_ours(&self, place: &Place, name: &ObjectName) -> Result<Belongings, Error> {
        let key = self.companion_is_ours(&place.companion(Keys::FAMILY), name).await?;
        let secret = self.companion_is_ours(&place.companion(Secrets::FAMILY), name).await?;
        Ok(Belongings { key, secret })
    }

    async fn companion_is_ours<V: Version>(
        &self,
        place: &Place,
        name: &ObjectName,
    ) -> Result<Option<Found<Head<V>>>, Error> {
        let kind = place.family.object;
        let live = self.load_head::<V>(place).await?;
        if live.as_ref().is_some_and(|found| !found.noun.current.managed()) {
            return Err(Error::AlreadyExists(kind, name.to_string()));
        }
        let deleted = self.load_deleted::<V>(place).await?;
        name_is_free(kind, name, deleted.as_ref().map(|found| &found.noun))?;
        Ok(live)
    }

    /// Whether the issuer that a policy names can issue anything.
    pub(super) async fn issuer_is_usable(
        &self,
        place: &Place,
        policy: &CertificatePolicy,
    ) -> Result<Option<StoredIssuer>, Error> {
        let IssuerChoice::Named(name) = &policy.issuer.name else { return Ok(None) };
        let unusable = |why: &str| Err(Error::BadParameter(format!("the issuer {name} {why}")));
        let Some(found) = self.load::<StoredIssuer>(&super::issuers::key(place.partition, name)).await?
        else {
            return unusable("does not exist in this vault");
        };
        let issuer = &found.noun.issuer;
        if issuer.disabled {
            return unusable("is disabled");
        }
        match issuer.provider {
            Provider::Vouchsafe => Ok(Some(found.noun)),
            provider if self.outside_issuer(provider).is_some() => {
                let names = super::outside::order_names(policy).map_err(Error::BadParameter)?;
                self.provider_accepts(&found.noun, &names)?;
                Ok(Some(found.noun))
            }
            _ => unusable("has a provider that this deployment is not connected with"),
        }
    }

    /// Makes the key, or takes the one that is to be kept, and has it sign the request.
    pub(super) async fn prepare(
        &self,
        place: &Place,
        head: Option<&CertificateHead>,
        policy: &CertificatePolicy,
        now: IssueTime,
    ) -> Result<Prepared, Error> {
        let kept = match head {
            Some(head) if policy.key.reuse_key && head.current.is_issued() => {
                self.key_to_keep(place, &head.current, policy).await?
            }
            _ => None,
        };
        if let Some((public, material)) = kept {
            let csr = self.request(policy, &public, &material, now).await?;
            return Ok(Prepared { material, csr, fresh: false });
        }
        let holder = self.holder_for(policy.key.in_token, policy.key.spec)?;
        let HeldKey { public, material } = holder.generate(policy.key.spec, Exportable::Never).await?;
        let public = public.ok_or_else(|| Fault::Broken("a key pair has no public half".to_owned()))?;
        match self.request(policy, &public, &material, now).await {
            Ok(csr) => Ok(Prepared { material, csr, fresh: true }),
            Err(error) => {
                let prepared = Prepared { material, csr: Vec::new(), fresh: true };
                self.forget_prepared(Some((policy.clone(), prepared))).await;
                Err(error)
            }
        }
    }

    async fn key_to_keep(
        &self,
        place: &Place,
        current: &CertificateVersion,
        policy: &CertificatePolicy,
    ) -> Result<Option<(PublicKey, SecretBytes)>, Error> {
        // SECURITY: whatever was the reason, a key of which somebody said that its certificate must not be believed any
        // more is not certified again.
        if current.revoked.is_some() {
            return Ok(None);
        }
        // SECURITY: a key that was made not to leave is never kept for a version whose secret would give it out.
        if policy.key.exportable && !current.exportable {
            return Ok(None);
        }
        let keys = place.companion(Keys::FAMILY);
        let Some(version) = self.load::<KeyVersion>(&keys.version(current.version)).await? else {
            return Ok(None);
        };
        let KeyVersion { spec, in_token, public, .. } = version.noun;
        if (spec, in_token) != (policy.key.spec, policy.key.in_token) {
            return Ok(None);
        }
        Ok(public.zip(self.carry_material(&keys, current.version).await?))
    }

    async fn request(
        &self,
        policy: &CertificatePolicy,
        public: &PublicKey,
        material: &SecretBytes,
        now: IssueTime,
    ) -> Result<Vec<u8>, Error> {
        let profile = signing::profile(policy, public.spki_der(), Serial::from_random([0; 16]), now)?;
        let unsigned = pki::csr(&profile, signing::algorithm(policy.key.spec)?)?;
        let holder = self.holder(policy.key.in_token)?;
        signing::sign(holder, &KeyRef { spec: policy.key.spec, material }, &unsigned).await
    }

    /// Forgets a key that was made for an operation that never began.
    pub(super) async fn forget_prepared(&self, prepared: Option<(CertificatePolicy, Prepared)>) {
        let Some((policy, Prepared { material, fresh: true, .. })) = prepared else { return };
        let made = HeldKey { public: None, material };
        self.discard(policy.key.spec, policy.key.in_token, Some(made)).await;
    }

    /// Adds what begins an operation to a commit.
    pub(super) async fn begin(
        &self,
        commit: Commit,
        place: &Place,
        name: &ObjectName,
        standing: Standing,
        pending: &PendingCertificate,
        ready: &Prepared,
    ) -> Result<Commit, Error> {
        let waiting = place.extra(PENDING_KEY);
        let before = self.store.get(&waiting).await.map_err(Fault::from)?;
        let before = before.map_or(Expect::Absent, |record| Expect::At(record.revision));
        let mut commit = commit
            .guard(place.deleted(), Expect::Absent)
            .put(
                place.extra(Kind::CertificatePolicy),
                expect(standing.policy.as_ref()),
                sealed(&pending.policy),
            )
            .put(place.extra(Kind::PendingCertificate), expect(standing.pending.as_ref()), sealed(pending))
            .put(waiting, before, copied(&ready.material));
        commit = match &standing.head {
            Some(found) if found.noun.current.is_issued() => {
                commit.guard(place.head(), Expect::At(found.revision))
            }
            head => {
                let wish = Head { name: name.clone(), current: wish(pending) };
                commit.put(place.head(), expect(head.as_ref()), sealed(&wish))
            }
        };
        Ok(commit)
    }
}

impl Belongings {
    /// Binds a commit to nobody else having taken the name since.
    fn guard(&self, commit: Commit, place: &Place) -> Commit {
        let (keys, secrets) = (place.companion(Keys::FAMILY), place.companion(Secrets::FAMILY));
        commit
            .guard(keys.head(), expect(self.key.as_ref()))
            .guard(keys.deleted(), Expect::Absent)
            .guard(secrets.head(), expect(self.secret.as_ref()))
            .guard(secrets.deleted(), Expect::Absent)
    }
}

/// What the head of a certificate says while its first version is being made: disabled, and without a certificate.
fn wish(pending: &PendingCertificate) -> CertificateVersion {
    CertificateVersion {
        version: pending.version,
        attributes: CertificateAttributes { disabled: true, tags: pending.attributes.tags.clone() },
        not_before: None,
        expires: None,
        created: pending.created,
        updated: pending.created,
        chain: Vec::new(),
        leaf_at: 0,
        content_type: pending.policy.content_type,
        exportable: pending.policy.key.exportable,
        preserve_order: pending.preserve_order,
        previous: None,
        notified: false,
        authority: None,
        revoked: None,
    }
}

/// Whether a version may be made under this name now, and from which policy.
fn decide_create(
    standing: &Standing,
    wanted: &CertificateToCreate,
    vault: &Vault,
    now: Timestamp,
) -> Result<CertificatePolicy, Error> {
    labels_and_validity(&wanted.attributes.tags, None, None).map_err(Error::BadParameter)?;
    let before = standing.policy.as_ref().map(|found| &found.noun);
    let policy = match (&wanted.policy, before) {
        (Some(patch), before) => {
            let complete = patch.complete(now).map_err(Error::BadParameter)?;
            CertificatePolicy { created: before.map_or(now, |before| before.created), ..complete }
        }
        (None, Some(before)) => before.clone(),
        (None, None) => {
            return Err(Error::BadParameter("the first version of a certificate needs a policy".to_owned()));
        }
    };
    if policy.disabled {
        return Err(Error::BadParameter("the policy of the certificate is disabled".to_owned()));
    }
    crate::vault::key::protection(vault, policy.key.in_token)?;
    Ok(policy)
}

/// Whether anything may begin under this name: it is not deleted, and nothing is in progress.
pub(super) fn may_begin(name: &ObjectName, standing: &Standing) -> Result<(), Error> {
    let deleted = standing.deleted.as_ref().map(|found| &found.noun);
    name_is_free(ObjectKind::Certificate, name, deleted)?;
    match &standing.pending {
        Some(found) if found.noun.is_in_progress() => Err(Error::OperationInProgress(name.to_string())),
        _ => Ok(()),
    }
}

/// An entry for what the platform does by itself.
pub(super) fn own_entry(context: &Context, action: &str, resource: &str) -> Entry {
    let subject = crate::audit::Subject { by: "platform".to_owned(), ..crate::audit::Subject::default() };
    Entry::new(context.request, subject, action, resource, context.now)
}
