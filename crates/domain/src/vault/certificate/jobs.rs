//! What is done about certificates when nobody asks: operations go on, certificates are renewed, contacts are told,
//! revocation lists are signed anew. A tick looks at what the calendar names. Each step is one commit that expects what it read, so that a job that was killed
//! anywhere is run again and does what is left.

use std::sync::Arc;

use vouchsafe_crypto::{Reason, SecretBytes};

use super::authority::{self, CertificateAuthority};
use super::calendar::Agenda;
use super::change::put_changed;
use super::create::own_entry;
use super::lifetime::LifetimeActionType;
use super::pending::{PendingCertificate, PendingStatus};
use super::policy::{CertificatePolicy, IssuerChoice};
use super::revocation::is_due;
use super::{CertificateHead, CertificateVersion, Certificates};
use crate::access::action::{Action, CreateCertificate};
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::store::{Expect, Key, Kind, Partition, Prefix, Record, Revision};
use crate::record::Decode;
use crate::resource::Vault;
use crate::resource::scope::Scope;
use crate::time::Timestamp;
use crate::vault::decide::labels_and_validity;
use crate::vault::error::Error;
use crate::vault::key::protection;
use crate::vault::load::{Attempt, Found, expect, sealed};
use crate::vault::object::{Collection, Place};
use crate::world::TenantSnapshot;

/// What one run of the job did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CertificateJobs {
    /// Operations that ended.
    pub ended: usize,
    /// Renewals that began.
    pub renewed: usize,
    /// Certificates whose contacts were told.
    pub told: usize,
    /// Revocation lists that were signed anew.
    pub lists: usize,
    /// What failed and is tried again.
    pub failed: usize,
}

impl CertificateJobs {
    /// Everything that a run did.
    pub fn total(&self) -> usize {
        self.ended + self.renewed + self.told + self.lists
    }
}

/// The audit entry's action when the job says that a certificate will expire: Azure's name of the event.
const NEAR_EXPIRY: &str = "Microsoft.KeyVault.CertificateNearExpiry";

/// What became of a renewal that is due.
enum Renewal {
    /// There is an operation for it.
    Begun,
    /// There is an operation that failed at once.
    Refused,
    /// Another operation goes on, or it is not yet time to try again.
    Waits,
}

/// The vault that a run is in.
struct Here<'a> {
    context: &'a Context,
    tenant: &'a TenantSnapshot,
    vault: &'a Vault,
    partition: Partition,
}

impl Here<'_> {
    fn place(&self, name: &ObjectName) -> Place {
        Place::new(self.tenant.tenant().id, self.vault.id, Certificates::FAMILY, name)
    }

    fn scope(&self) -> Scope {
        Scope::vault(self.vault.subscription, &self.vault.group, &self.vault.name)
    }
}

impl Platform {
    /// Goes on with operations, renews what is due, tells who is to be told. One `tick` of a job; bounded.
    ///
    /// What fails for one certificate - its token or its issuer does not answer, its record cannot be read - does not
    /// stop the others, nor what fails for one vault the other vaults.
    pub async fn run_certificate_jobs(&self, context: &Context) -> Result<CertificateJobs, Error> {
        let vaults: Vec<(Arc<TenantSnapshot>, Arc<Vault>)> = self.world().vaults().collect();
        let mut jobs = CertificateJobs::default();
        for (tenant, vault) in vaults {
            let partition = Partition::Vault(tenant.tenant().id, vault.id);
            let here = Here { context, tenant: &tenant, vault: &vault, partition };
            if let Err(error) = self.look_around(&here, &mut jobs).await {
                fail(&mut jobs, &error);
            }
            if let Err(error) = self.renew_lists(&here, &mut jobs).await {
                fail(&mut jobs, &error);
            }
        }
        Ok(jobs)
    }

    /// Looks at what the calendar names: goes on with its operation, and does what its policy says is due.
    async fn look_around(&self, here: &Here<'_>, jobs: &mut CertificateJobs) -> Result<(), Error> {
        match self.calendar.agenda(here.partition, here.context.now) {
            Agenda::These(names) => {
                for name in names {
                    if jobs.total() >= limits::JOB_BATCH_MAX {
                        self.calendar.postpone(here.partition, &name);
                        continue;
                    }
                    let looked = async {
                        let parsed = ObjectName::parse(&name)?;
                        let head = self.load_head::<CertificateVersion>(&here.place(&parsed)).await?;
                        Ok((parsed, head))
                    };
                    match looked.await {
                        Ok((parsed, head)) => self.look_at(here, head, &parsed, jobs).await,
                        Err(error) => {
                            fail(jobs, &error);
                            self.calendar.postpone(here.partition, &name);
                        }
                    }
                }
                Ok(())
            }
            Agenda::Everything => {
                let all = self.review(here, jobs).await;
                if !matches!(all, Ok(true)) {
                    self.calendar.review_again(here.partition);
                }
                all.map(drop)
            }
        }
    }

    /// Looks at every certificate of a vault; whether it came to the end.
    async fn review(&self, here: &Here<'_>, jobs: &mut CertificateJobs) -> Result<bool, Error> {
        let mut walk = Walk::over(here.partition, Kind::Certificate);
        while let Some(records) = walk.next(self).await? {
            for record in records {
                if jobs.total() >= limits::JOB_BATCH_MAX {
                    return Ok(false);
                }
                let noun = match CertificateHead::decode(record.value.expose(Reason::Record)) {
                    Ok(noun) => noun,
                    Err(error) => {
                        fail(jobs, &error.into());
                        continue;
                    }
                };
                let name = noun.name.clone();
                let head = Found { noun, revision: record.revision };
                self.look_at(here, Some(head), &name, jobs).await;
            }
        }
        Ok(true)
    }

    /// Looks at one certificate, and notes when to look again. What fails is tried again with the next tick.
    async fn look_at(
        &self,
        here: &Here<'_>,
        head: Option<Found<CertificateHead>>,
        name: &ObjectName,
        jobs: &mut CertificateJobs,
    ) {
        let next = match self.go_on(here, head, name, jobs).await {
            Ok(next) => next,
            Err(error) => {
                fail(jobs, &error);
                Some(here.context.now)
            }
        };
        self.calendar.note(here.partition, &name.canonical(), next);
    }

    /// Takes the next step of what goes on, and does what is due; when there is something to do again.
    async fn go_on(
        &self,
        here: &Here<'_>,
        head: Option<Found<CertificateHead>>,
        name: &ObjectName,
        jobs: &mut CertificateJobs,
    ) -> Result<Option<Timestamp>, Error> {
        let Some(mut head) = head else { return Ok(None) };
        let place = here.place(name);
        let pending = self.load::<PendingCertificate>(&place.extra(Kind::PendingCertificate)).await?;
        let mut pending = pending.map(|found| found.noun);
        if pending.as_ref().is_some_and(PendingCertificate::is_in_progress) {
            pending = self.advance(here.context, here.tenant, here.vault, name).await?;
            jobs.ended += usize::from(pending.as_ref().is_some_and(|moved| !moved.is_in_progress()));
            // It may have made another version, also where nobody heard that it did.
            let Some(now) = self.load_head::<CertificateVersion>(&place).await? else { return Ok(None) };
            head = now;
        }
        let step = pending.as_ref().and_then(|pending| pending.next_date(here.context.now));
        if !head.noun.current.is_issued() || head.noun.current.attributes.disabled {
            return Ok(step);
        }
        let policy = self.follow_policy(here, head, pending.as_ref(), jobs).await?;
        Ok(step.into_iter().chain(policy).min())
    }

    /// Does what the policy of a certificate says is due; when it says so again.
    async fn follow_policy(
        &self,
        here: &Here<'_>,
        head: Found<CertificateHead>,
        pending: Option<&PendingCertificate>,
        jobs: &mut CertificateJobs,
    ) -> Result<Option<Timestamp>, Error> {
        let place = here.place(&head.noun.name);
        let policy = self.load::<CertificatePolicy>(&place.extra(Kind::CertificatePolicy)).await?;
        let Some(policy) = policy.map(|found| found.noun) else { return Ok(None) };
        let now = here.context.now;
        let due = |wanted| due(&head.noun.current, &policy, wanted);
        let renews = !policy.disabled && policy.issuer.name != IssuerChoice::Unknown;
        let renewal = due(LifetimeActionType::AutoRenew).filter(|_| renews);
        if renewal.is_some_and(|due| due <= now) {
            match self.renew(here, &place, head.revision).await? {
                Renewal::Begun => {
                    jobs.renewed += 1;
                    return Ok(Some(now));
                }
                Renewal::Refused => {
                    jobs.ended += 1;
                    return Ok(Some(now));
                }
                Renewal::Waits => {}
            }
        }
        // Nobody here renews what somebody outside issues: whoever does is told.
        let unknown = policy.issuer.name == IssuerChoice::Unknown;
        let outside = due(LifetimeActionType::AutoRenew).filter(|_| unknown);
        let told = due(LifetimeActionType::EmailContacts).into_iter().chain(outside).min();
        let told = told.filter(|_| !head.noun.current.notified);
        if told.is_some_and(|due| due <= now) && self.tell(here, &place, head).await? {
            jobs.told += 1;
        }
        let waits = pending.and_then(PendingCertificate::renewal_waits_until);
        let renewal = renewal.map(|due| waits.map_or(due, |until| until.max(due)).max(now));
        Ok(renewal.into_iter().chain(told.filter(|due| *due > now)).min())
    }

    /// Begins the operation that makes the next version, unless there is one, or the version is another than the one
    /// that is due.
    ///
    /// One that cannot begin - its issuer is gone - is there as a failed operation, so that somebody sees it.
    async fn renew(&self, here: &Here<'_>, place: &Place, due: Revision) -> Result<Renewal, Error> {
        let context = here.context;
        let standing = self.standing(place).await?;
        let waits = standing.pending.as_ref().is_some_and(|found| match found.noun.status {
            PendingStatus::InProgress => true,
            _ => found.noun.renewal_waits_until().is_some_and(|until| until > context.now),
        });
        let (Some(head), Some(policy)) = (&standing.head, &standing.policy) else {
            return Ok(Renewal::Waits);
        };
        if waits || standing.deleted.is_some() || head.revision != due {
            return Ok(Renewal::Waits);
        }
        let (head, policy) = (head.noun.clone(), policy.noun.clone());
        let prepared = async {
            // The policy was checked when it was written; the vault and its issuers may have changed since.
            protection(here.vault, policy.key.in_token)?;
            self.issuer_is_usable(place, &policy).await?;
            labels_and_validity(&head.current.attributes.tags, None, None).map_err(Error::BadParameter)?;
            self.prepare(place, Some(&head), &policy, context.for_issuing()?).await
        };
        let (ready, refused) = match prepared.await {
            Ok(ready) => (Some(ready), None),
            Err(Error::BadParameter(why)) => (None, Some(why)),
            Err(error) => return Err(error),
        };
        let mut pending = PendingCertificate {
            request: self.entropy.uuid(),
            version: ObjectVersion(self.entropy.uuid()),
            status: PendingStatus::InProgress,
            cancellation_requested: false,
            policy: policy.clone(),
            csr: ready.as_ref().map(|ready| ready.csr.clone()).unwrap_or_default(),
            attributes: head.current.attributes.clone(),
            preserve_order: head.current.preserve_order,
            created: context.now,
            updated: context.now,
            order: None,
            next_poll: None,
            renewal: true,
        };
        if let Some(why) = refused {
            pending = pending.failed("RenewalRefused", &why, context.now);
        }
        let scope = here.scope().object("certificates", &head.name);
        let entry = own_entry(context, CreateCertificate::ACTION.as_str(), scope.canonical());
        let Some(ready) = ready else {
            let intent = self.trail.announce(entry).await?;
            let commit = intent.commit().guard(place.deleted(), Expect::Absent);
            let commit = commit.guard(place.head(), Expect::At(due)).put(
                place.extra(Kind::PendingCertificate),
                expect(standing.pending.as_ref()),
                sealed(&pending),
            );
            return Ok(match self.attempt(intent, commit, (), context).await? {
                Attempt::Done(()) => Renewal::Refused,
                Attempt::Again => Renewal::Waits,
            });
        };
        let begun = async {
            let intent = self.trail.announce(entry).await?;
            let commit = self.begin(intent.commit(), place, &head.name, standing, &pending, &ready).await?;
            Ok((intent, commit))
        };
        let (intent, commit) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                self.forget_prepared(Some((policy, ready))).await;
                return Err(error);
            }
        };
        match self.attempt(intent, commit, (), context).await? {
            Attempt::Done(()) => Ok(Renewal::Begun),
            Attempt::Again => {
                self.forget_prepared(Some((policy, ready))).await;
                Ok(Renewal::Waits)
            }
        }
    }

    /// Says in the audit log that a certificate will expire, once for each version.
    async fn tell(
        &self,
        here: &Here<'_>,
        place: &Place,
        head: Found<CertificateHead>,
    ) -> Result<bool, Error> {
        let version = place.version(head.noun.current.version);
        let Some(found) = self.load::<CertificateVersion>(&version).await? else { return Ok(false) };
        let told = CertificateVersion { notified: true, ..found.noun };
        let scope = here.scope().object("certificates", &head.noun.name);
        let entry = own_entry(here.context, NEAR_EXPIRY, scope.canonical());
        let intent = self.trail.announce(entry).await?;
        let commit = intent.commit().guard(place.deleted(), Expect::Absent);
        let commit = put_changed(commit, place, &head, found.revision, &told);
        Ok(matches!(self.attempt(intent, commit, (), here.context).await?, Attempt::Done(())))
    }

    /// What certificates refer to in the token beside the keys of their versions: the keys of operations and of
    /// private authorities.
    pub(in crate::vault) async fn certificate_handles(
        &self,
        partition: Partition,
    ) -> Result<Vec<(Key, SecretBytes)>, Fault> {
        let mut places = Vec::new();
        let mut walk = Walk::over(partition, Kind::PendingCertificate);
        while let Some(records) = walk.next(self).await? {
            for record in records {
                if PendingCertificate::decode(record.value.expose(Reason::Record))?.policy.key.in_token {
                    places.push(Key { kind: super::PENDING_KEY, ..record.key });
                }
            }
        }
        let mut walk = Walk::over(partition, Kind::CertificateAuthority);
        while let Some(records) = walk.next(self).await? {
            for record in records {
                let authority = CertificateAuthority::decode(record.value.expose(Reason::Record))?;
                if authority.in_token {
                    places.push(authority::key_place(partition, authority.id));
                }
            }
        }
        let mut handles = Vec::with_capacity(places.len());
        for place in places {
            if let Some(found) = self.store.get(&place).await? {
                handles.push((place, found.value));
            }
        }
        Ok(handles)
    }

    async fn renew_lists(&self, here: &Here<'_>, jobs: &mut CertificateJobs) -> Result<(), Error> {
        let mut walk = Walk::over(here.partition, Kind::CertificateAuthority);
        while let Some(records) = walk.next(self).await? {
            for record in records {
                let noun = match CertificateAuthority::decode(record.value.expose(Reason::Record)) {
                    Ok(noun) => noun,
                    Err(error) => {
                        fail(jobs, &error.into());
                        continue;
                    }
                };
                let found = Found { noun, revision: record.revision };
                if !is_due(&found, here.context.now) {
                    continue;
                }
                let id = found.noun.id;
                match self.refresh_list(here.context, here.partition, &here.scope(), id).await {
                    Ok(signed) => jobs.lists += usize::from(signed),
                    Err(error) => fail(jobs, &error),
                }
            }
        }
        Ok(())
    }
}

/// When the first action of this kind in a policy is due for a version, if there is one.
fn due(
    version: &CertificateVersion,
    policy: &CertificatePolicy,
    wanted: LifetimeActionType,
) -> Option<Timestamp> {
    let (not_before, expires) = version.not_before.zip(version.expires)?;
    let actions = policy.lifetime_actions.iter().filter(|action| action.action == wanted);
    let months = policy.x509.validity_months;
    let due = actions.map(|action| action.due(not_before, expires, months)).min()?;
    Some(match wanted {
        // However short a life an issuer gives, versions are not made in a row.
        LifetimeActionType::AutoRenew if version.previous.is_some() => {
            due.max(version.created.plus(limits::RENEWAL_RETRY))
        }
        LifetimeActionType::AutoRenew | LifetimeActionType::EmailContacts => due,
    })
}

fn fail(jobs: &mut CertificateJobs, error: &Error) {
    tracing::warn!(%error, "something about a certificate is tried again later");
    jobs.failed += 1;
}

/// All records of a kind, a page at a time.
struct Walk {
    prefix: Prefix,
    after: Option<crate::ports::store::Cursor>,
    is_over: bool,
}

impl Walk {
    fn over(partition: Partition, kind: Kind) -> Self {
        Self { prefix: Prefix { partition, kind, outer: None }, after: None, is_over: false }
    }

    async fn next(&mut self, platform: &Platform) -> Result<Option<Vec<Record>>, Fault> {
        if self.is_over {
            return Ok(None);
        }
        let page = platform.store.scan(&self.prefix, self.after.as_ref(), limits::JOB_BATCH_MAX).await;
        let page = page?;
        self.is_over = page.next.is_none();
        self.after = page.next;
        Ok(Some(page.records))
    }
}
