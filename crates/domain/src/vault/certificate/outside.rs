//! Asking an issuer outside: who it is, what it is asked for, and what its answer makes of an operation.
//!
//! The adapter keeps nothing: what it calls the order is in the operation, and what it needs to be known again at the
//! provider is in the issuer's record, sealed like its password. Nothing is said to an issuer before the audit log has
//! an entry that it is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::pki::{DistinguishedName, parse_csr};

use super::advance::Progress;
use super::create::own_entry;
use super::issuer::{Provider, StoredIssuer};
use super::pending::PendingCertificate;
use super::policy::{CertificatePolicy, X509Properties};
use super::{copied, issuers, subject};
use crate::access::action::{Action, CreateCertificate, WriteCertificateIssuer};
use crate::audit::Outcome;
use crate::error::Fault;
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::CertificateIssuer;
use crate::ports::issuer::{CertificateOrder, IssuerAccount, IssuerError, OrderProgress};
use crate::ports::store::Expect;
use crate::resource::Vault;
use crate::resource::scope::Scope;
use crate::time::Timestamp;
use crate::vault::error::Error;
use crate::vault::load::{Attempt, sealed};
use crate::vault::object::Place;

impl StoredIssuer {
    /// The account as an adapter is told of it.
    fn account<'a>(
        &'a self,
        mails: &'a [String],
        registration: Option<&'a SecretBytes>,
    ) -> IssuerAccount<'a> {
        IssuerAccount {
            account: self.issuer.account.as_deref(),
            password: self.password.as_ref(),
            mails,
            registration,
        }
    }

    fn mails(&self) -> Vec<String> {
        let organization = self.issuer.organization.iter();
        organization.flat_map(|known| &known.administrators).filter_map(|one| one.email.clone()).collect()
    }
}

impl Platform {
    /// The outside issuer of a provider, if one is connected.
    pub(super) fn outside_issuer(&self, provider: Provider) -> Option<&dyn CertificateIssuer> {
        let named = |issuer: &&std::sync::Arc<dyn CertificateIssuer>| {
            issuer.provider().eq_ignore_ascii_case(provider.as_str())
        };
        self.certificate_issuers.iter().find(named).map(|issuer| &**issuer)
    }

    /// Whether the provider behind an issuer, if it is connected, could do anything with it and with these names.
    pub(super) fn provider_accepts(&self, stored: &StoredIssuer, names: &[String]) -> Result<(), Error> {
        let Some(outside) = self.outside_issuer(stored.issuer.provider) else { return Ok(()) };
        let (mails, registration) = (stored.mails(), stored.registration.as_ref());
        outside.accepts(&stored.account(&mails, registration), names).map_err(Error::BadParameter)
    }

    pub(super) async fn ask_outside(
        &self,
        context: &Context,
        vault: &Vault,
        place: &Place,
        outside: &dyn CertificateIssuer,
        issuer: &StoredIssuer,
        pending: &PendingCertificate,
    ) -> Result<Progress, Error> {
        let moved = |pending| Ok(Progress::Moved(Box::new(pending)));
        let gone = |error| match error {
            // Whoever asks already also says what came of it.
            IssuerError::Busy => {
                Err(Fault::Unavailable("the issuer is being asked already".to_owned()).into())
            }
            error => moved(after(error, pending, context.now)),
        };
        let names = match order_names(&pending.policy) {
            Ok(names) => names,
            Err(why) => return moved(pending.failed("RequestRefused", &why, context.now)),
        };
        let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
        let asked = own_entry(context, CreateCertificate::ACTION.as_str(), scope.canonical());
        self.trail.record(asked.outcome(Outcome::Done, Some("the issuer outside is asked"))).await?;
        let mails = issuer.mails();
        let registration = match &issuer.registration {
            Some(known) => copied(known),
            None => match outside.register(&issuer.account(&mails, None)).await {
                Ok(made) => self.keep_registration(context, place, &scope, issuer, made).await?,
                Err(error) => return gone(error),
            },
        };
        let account = issuer.account(&mails, Some(&registration));
        let order = CertificateOrder {
            request: pending.request,
            csr: &pending.csr,
            dns_names: &names,
            certificate_type: pending.policy.issuer.certificate_type.as_deref(),
        };
        let answer = match &pending.order {
            None => outside.submit(&account, &order).await,
            Some(reference) => outside.poll(&account, &order, reference).await,
        };
        match answer {
            Ok(OrderProgress::Issued(chain)) => match order_chain(&chain, &pending.csr) {
                Ok(chain) => Ok(Progress::Issued { chain, authority: None }),
                Err(why) => moved(pending.failed("WrongCertificate", &why, context.now)),
            },
            Ok(OrderProgress::Waiting { reference, .. }) if reference.len() > limits::ORDER_BYTES_MAX => {
                moved(pending.failed("WrongAnswer", "the issuer's answer is too long", context.now))
            }
            Ok(OrderProgress::Waiting { .. }) if is_too_old(pending, context.now) => {
                moved(too_late(pending, context.now))
            }
            Ok(OrderProgress::Waiting { reference, retry_after_seconds }) => moved(PendingCertificate {
                order: Some(reference),
                next_poll: Some(again(retry_after_seconds, context.now)),
                updated: context.now,
                ..pending.clone()
            }),
            // The issuer has forgotten the account, and with it every order.
            Err(IssuerError::Unregistered) if pending.order.is_none() => {
                match outside.register(&issuer.account(&mails, None)).await {
                    Ok(made) => {
                        self.keep_registration(context, place, &scope, issuer, made).await?;
                        moved(PendingCertificate {
                            next_poll: Some(again(1, context.now)),
                            ..pending.clone()
                        })
                    }
                    Err(error) => gone(error),
                }
            }
            Err(error) => gone(error),
        }
    }

    /// Keeps what an adapter made to be known again, unless somebody else was faster; then that is what is used.
    async fn keep_registration(
        &self,
        context: &Context,
        place: &Place,
        scope: &Scope,
        issuer: &StoredIssuer,
        made: SecretBytes,
    ) -> Result<SecretBytes, Error> {
        if made.len() > limits::REGISTRATION_BYTES_MAX {
            return Err(Fault::Broken("an issuer's registration is too long to be kept".to_owned()).into());
        }
        let key = issuers::key(place.partition, &issuer.issuer.name);
        let busy = || Error::from(Fault::Unavailable("the issuer was changed while it was asked".to_owned()));
        let found = self.load::<StoredIssuer>(&key).await?.ok_or_else(busy)?;
        if found.noun.issuer != issuer.issuer {
            return Err(busy());
        }
        if let Some(other) = &found.noun.registration
            && !issuer.registration.as_ref().is_some_and(|known| holds(known, other))
        {
            return Ok(copied(other));
        }
        let action = WriteCertificateIssuer::ACTION.as_str();
        let intent = self.trail.announce(own_entry(context, action, scope.canonical())).await?;
        let kept = StoredIssuer { registration: Some(copied(&made)), ..found.noun };
        let commit = intent.commit().put(key, Expect::At(found.revision), sealed(&kept));
        match self.attempt(intent, commit, (), context).await? {
            Attempt::Done(()) => Ok(made),
            Attempt::Again => Err(busy()),
        }
    }
}

fn holds(one: &SecretBytes, other: &SecretBytes) -> bool {
    one.matches(other.expose(vouchsafe_crypto::Reason::Record))
}

/// The operation after an issuer gave no answer, or none that helps.
fn after(error: IssuerError, pending: &PendingCertificate, now: Timestamp) -> PendingCertificate {
    match error {
        IssuerError::Refused(why) => pending.failed("RequestRefused", &why, now),
        IssuerError::Unregistered => {
            let message = "the issuer does not know the account of this order any more; order again";
            pending.failed("OrderLost", message, now)
        }
        IssuerError::Busy => pending.clone(),
        IssuerError::Unavailable { .. } if is_too_old(pending, now) => too_late(pending, now),
        IssuerError::Unavailable { retry_after_seconds } => {
            // The longer it has been silent, the less often it is asked.
            let patience = now.since(pending.created) / limits::ISSUER_PATIENCE_PART;
            let next_poll =
                again(retry_after_seconds, now).max(now.plus(patience.min(limits::ISSUER_POLL_MAX)));
            PendingCertificate { next_poll: Some(next_poll), ..pending.clone() }
        }
    }
}

fn again(seconds: u32, now: Timestamp) -> Timestamp {
    now.plus(Duration::from_secs(u64::from(seconds.max(1))).min(limits::ISSUER_POLL_MAX))
}

fn is_too_old(pending: &PendingCertificate, now: Timestamp) -> bool {
    now.since(pending.created) > limits::ORDER_AGE_MAX
}

fn too_late(pending: &PendingCertificate, now: Timestamp) -> PendingCertificate {
    let days = limits::ORDER_AGE_MAX.as_secs() / 86_400;
    pending.failed(
        "IssuerUnavailable",
        &format!("the issuer gave no certificate in {days} days; order again"),
        now,
    )
}

/// The names that an outside issuer has to prove, which are those that the request says: the common name, too.
pub(super) fn order_names(policy: &CertificatePolicy) -> Result<Vec<String>, String> {
    let X509Properties { subject, sans, .. } = &policy.x509;
    if sans.len() != sans.dns.len() {
        return Err(
            "an issuer outside certifies DNS names only: leave out addresses, mail addresses, UPNs and URIs"
                .to_owned(),
        );
    }
    let common_name = DistinguishedName::parse(subject).ok().and_then(|subject| subject.common_name());
    if let Some(name) = common_name.as_ref().filter(|name| !subject::is_dns_name(name)) {
        return Err(format!(
            "an issuer outside certifies DNS names only: the common name `{}` is none",
            name.escape_default()
        ));
    }
    let names: BTreeSet<String> =
        sans.dns.iter().chain(&common_name).map(|name| name.to_ascii_lowercase()).collect();
    if names.is_empty() {
        return Err(
            "an issuer outside certifies DNS names: give a common name or alternative DNS names".to_owned()
        );
    }
    Ok(names.into_iter().collect())
}

/// The chain that an issuer gave, if it is one for the request.
fn order_chain(chain: &[Vec<u8>], csr: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let csr = parse_csr(csr).map_err(|refused| refused.to_string())?;
    super::merge::arranged(chain.to_vec(), csr.spki_der(), false)
        .map(|(chain, _)| chain)
        .map_err(|error| error.to_string())
}
