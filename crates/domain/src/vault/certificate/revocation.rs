//! Taking a certificate of a private authority back, and telling everybody: revocation lists and OCSP (RFC 5280 §5,
//! RFC 6960). The lists and answers are for whoever asks, without a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vouchsafe_crypto::Reason;
use vouchsafe_crypto::digest::sha256;
use vouchsafe_crypto::pki::{
    OcspError, OcspRequest, OcspStatus, OcspTimes, ParsedCertificate, RevocationReason, Revoked, Serial,
    ocsp_response,
};

use super::authority::{self, ALGORITHM, AuthorityId, CertificateAuthority, IssuedCertificate, signed_list};
use super::change::put_changed;
use super::create::own_entry;
use super::{CertificateVersion, Certificates, signing};
use crate::access::action::{Action, ReadCertificateIssuer, UpdateCertificate, WriteCertificateIssuer};
use crate::access::caller::Caller;
use crate::audit::Outcome;
use crate::error::Fault;
use crate::ids::{ObjectName, ObjectVersion, VaultName};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::ports::hsm::KeyRef;
use crate::ports::store::{Expect, Kind, Partition, Prefix};
use crate::record::Decode;
use crate::resource::Vault;
use crate::resource::scope::Scope;
use crate::time::Timestamp;
use crate::vault::error::Error;
use crate::vault::load::{Attempt, Found, sealed, until_done};
use crate::vault::object::{Collection, ObjectKind};

/// A signed OCSP answer that is given until half of its life is over.
#[derive(Clone)]
pub(crate) struct RememberedAnswer {
    answer: Arc<[u8]>,
    given_until: Timestamp,
}

/// Answers remembered by the digest of vault, authority and question.
pub(crate) struct RememberedAnswers {
    known: moka::sync::Cache<[u8; 32], RememberedAnswer>,
    /// How often all was forgotten.
    forgotten: AtomicU64,
}

impl Default for RememberedAnswers {
    fn default() -> Self {
        Self { known: moka::sync::Cache::new(limits::OCSP_ANSWERS_MAX), forgotten: AtomicU64::new(0) }
    }
}

impl RememberedAnswers {
    /// The moment at which somebody begins to look at what an answer will say.
    fn now(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    fn get(&self, question: &[u8; 32], now: Timestamp) -> Option<Arc<[u8]>> {
        self.known.get(question).filter(|known| known.given_until > now).map(|known| known.answer)
    }

    /// Remembers an answer, unless something was revoked since `moment`: it may be the very thing that it calls good.
    fn remember(&self, moment: u64, question: [u8; 32], answer: RememberedAnswer) {
        if moment == self.now() {
            self.known.insert(question, answer);
        }
        // Or meanwhile: whoever counts first forgets after it, and whoever counts later forgets what was just put there.
        if moment != self.now() {
            self.known.invalidate(&question);
        }
    }

    fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.known.invalidate_all();
    }
}

pub(super) fn reason_from_code(code: u32) -> Option<RevocationReason> {
    [
        RevocationReason::Unspecified,
        RevocationReason::KeyCompromise,
        RevocationReason::CaCompromise,
        RevocationReason::AffiliationChanged,
        RevocationReason::Superseded,
        RevocationReason::CessationOfOperation,
        RevocationReason::CertificateHold,
        RevocationReason::PrivilegeWithdrawn,
    ]
    .into_iter()
    .find(|reason| u32::from(*reason as u8) == code)
}

impl Platform {
    /// Takes a version of a certificate back that an authority of this vault issued, the current one if none is named.
    ///
    /// The list is signed anew at once; if its key's holder does not answer, by the job.
    pub async fn revoke_certificate(
        &self,
        context: &Context,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        reason: RevocationReason,
    ) -> Result<(ObjectName, CertificateVersion, Arc<Vault>), Error> {
        let kind = ObjectKind::Certificate;
        let mut at;
        let done = until_done!(self, tenant, {
            let admitted = self.admit::<UpdateCertificate>(context, caller, vault, kind, Some(name)).await?;
            let entry = self.entry(context, &admitted.proof);
            let place = admitted.place(Certificates::FAMILY, name);
            let partition = admitted.partition();
            let decided = async {
                let not_found = |what: String| Error::NotFound(kind, what);
                let head = self.load_head::<CertificateVersion>(&place).await?;
                let head = head.ok_or_else(|| not_found(name.to_string()))?;
                let version = version.unwrap_or(head.noun.current.version);
                let found = self.load::<CertificateVersion>(&place.version(version)).await?;
                let found = found.ok_or_else(|| not_found(format!("{name}/{version}")))?;
                let problem = "the certificate was not issued by an authority of this vault";
                let refuse = || Error::BadParameter(problem.to_owned());
                let id = found.noun.authority.ok_or_else(refuse)?;
                let authority = self.authority(partition, id).await?.ok_or_else(refuse)?;
                let leaf = found.noun.leaf().and_then(|der| ParsedCertificate::from_der(der).ok());
                let serial = leaf.and_then(|leaf| Serial::from_bytes(leaf.serial())).ok_or_else(refuse)?;
                let ledger_place = authority::ledger_place(partition, id, serial.as_bytes());
                let issued = self.load::<IssuedCertificate>(&ledger_place).await?.ok_or_else(refuse)?;
                Ok((head, found, authority, ledger_place, issued))
            };
            let (head, found, authority, ledger_place, issued) = match decided.await {
                Ok(decided) => decided,
                Err(error) => return self.record_refusal(entry, error).await,
            };
            at = Some((
                partition,
                authority.noun.id,
                Scope::vault(admitted.vault.subscription, &admitted.vault.group, &admitted.vault.name),
            ));
            let intent = self.trail.announce(entry).await?;
            // The first revocation counts: when, and why.
            let since = issued.noun.revoked.unwrap_or((context.now, reason));
            let changed =
                CertificateVersion { revoked: Some(since.0), updated: context.now, ..found.noun.clone() };
            let entered = IssuedCertificate { revoked: Some(since), ..issued.noun.clone() };
            let stale = CertificateAuthority { list_stale: true, ..authority.noun.clone() };
            let commit = admitted
                .guard(intent.commit())
                .put(ledger_place, Expect::At(issued.revision), sealed(&entered))
                .put(authority::place(partition, stale.id), Expect::At(authority.revision), sealed(&stale));
            let commit = put_changed(commit, &place, &head, found.revision, &changed);
            let done = (head.noun.name, changed, admitted.vault);
            (self.attempt(intent, commit, done, context).await?, admitted.tenant)
        });
        // A commit whose answer was lost may have happened, too.
        self.answers.forget_all();
        if let (Ok(_), Some((partition, id, scope))) = (&done, at)
            && let Err(error) = self.refresh_list(context, partition, &scope, id).await
        {
            tracing::warn!(%error, "a revocation list could not be signed yet");
        }
        done
    }

    /// Signs a new revocation list for an authority whose list is stale or runs out. Whether it did.
    pub(super) async fn refresh_list(
        &self,
        context: &Context,
        partition: Partition,
        scope: &Scope,
        id: AuthorityId,
    ) -> Result<bool, Error> {
        for _ in 0..limits::COMMIT_ATTEMPTS_MAX {
            let Some(found) = self.authority(partition, id).await? else { return Ok(false) };
            if !is_due(&found, context.now) {
                return Ok(false);
            }
            let revoked = self.revoked(partition, id, context.now).await?;
            let material = self.authority_key(partition, id).await?;
            let key = KeyRef { spec: found.noun.spec, material: &material };
            let holder = self.holder(found.noun.in_token)?;
            let renewed = signed_list(holder, &key, &found.noun, revoked, context.now).await?;
            let action = WriteCertificateIssuer::ACTION.as_str();
            let intent = self.trail.announce(own_entry(context, action, scope.canonical())).await?;
            let commit = intent.commit().put(
                authority::place(partition, id),
                Expect::At(found.revision),
                sealed(&renewed),
            );
            if let Attempt::Done(()) = self.attempt(intent, commit, (), context).await? {
                return Ok(true);
            }
        }
        Err(Fault::Contended.into())
    }

    /// What an authority took back and what would be valid otherwise.
    async fn revoked(
        &self,
        partition: Partition,
        id: AuthorityId,
        now: Timestamp,
    ) -> Result<Vec<Revoked>, Error> {
        let prefix = Prefix { partition, kind: Kind::IssuedCertificate, outer: Some(id.to_string()) };
        let (mut after, mut revoked) = (None, Vec::new());
        loop {
            let page = self.store.scan(&prefix, after.as_ref(), limits::JOB_BATCH_MAX).await;
            let page = page.map_err(Fault::from)?;
            for record in page.records {
                let issued = IssuedCertificate::decode(record.value.expose(Reason::Record))?;
                let Some((since, reason)) = issued.revoked else { continue };
                let serial = Serial::from_bytes(&issued.serial);
                let serial =
                    serial.ok_or_else(|| Fault::Broken("a ledger has no serial number".to_owned()))?;
                // RFC 5280 §3.3: an entry stays until one list after the certificate's end has been published.
                if now.since(issued.expires) <= 2 * limits::REVOCATION_LIST_LIFETIME {
                    revoked.push(Revoked { serial, since: since.seconds(), reason });
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(revoked),
            }
        }
    }

    /// An authority's own certificate in DER, for whoever asks.
    pub async fn authority_certificate(&self, vault: &VaultName, id: AuthorityId) -> Result<Vec<u8>, Error> {
        Ok(self.public_authority(vault, id).await?.1.certificate)
    }

    /// An authority's newest revocation list in DER, for whoever asks, and until when it is the newest.
    pub async fn authority_revocation_list(
        &self,
        vault: &VaultName,
        id: AuthorityId,
    ) -> Result<(Vec<u8>, Timestamp), Error> {
        let (_, authority, _) = self.public_authority(vault, id).await?;
        Ok((authority.list, authority.list_next_update))
    }

    /// An authority's answer to an OCSP request, for whoever asks. There is always one, perhaps that there is none.
    pub async fn authority_ocsp_answer(
        &self,
        context: &Context,
        vault: &VaultName,
        id: AuthorityId,
        request: &[u8],
    ) -> Vec<u8> {
        match self.ocsp(context, vault, id, request).await {
            Ok(answer) => answer.to_vec(),
            Err(Error::NotFound(..) | Error::VaultNotFound(_)) => OcspError::Unauthorized.to_der(),
            Err(Error::BadParameter(_)) => OcspError::MalformedRequest.to_der(),
            Err(Error::Fault(fault)) if fault.is_unavailable() || matches!(fault, Fault::Contended) => {
                OcspError::TryLater.to_der()
            }
            Err(error) => {
                tracing::warn!(%error, "an OCSP request was not answered");
                OcspError::InternalError.to_der()
            }
        }
    }

    async fn ocsp(
        &self,
        context: &Context,
        vault: &VaultName,
        id: AuthorityId,
        request: &[u8],
    ) -> Result<Arc<[u8]>, Error> {
        // SECURITY: nobody who asks has a token, so signatures are made for certificates and not for requests. A nonce is
        // passed over, as a responder that signs ahead does (RFC 5019 §4): the times in the answer say how fresh it is.
        // Several certificates at once would make as many answers as there are combinations (RFC 5019 §2.1.1).
        let asked =
            OcspRequest::from_der(request).map_err(|e| Error::BadParameter(e.to_string()))?.without_nonce();
        let not_answered = || Error::NotFound(ObjectKind::Certificate, "serial number".to_owned());
        let [question] = asked.questions() else { return Err(not_answered()) };
        let digest = question.digest().map_err(|e| Error::BadParameter(e.to_string()))?;
        let digest = sha256(&[vault.canonical().as_bytes(), id.0.as_bytes(), &digest].concat());
        if let Some(known) = self.answers.get(&digest, context.now) {
            return Ok(known);
        }
        let moment = self.answers.now();
        let (partition, authority, scope) = self.public_authority(vault, id).await?;
        let own =
            ParsedCertificate::from_der(&authority.certificate).map_err(|e| Fault::Broken(e.to_string()))?;
        let place = authority::ledger_place(partition, id, question.serial());
        let issued = self.load::<IssuedCertificate>(&place).await?;
        // RFC 5019 §2.2.3: nothing is signed about what was never issued here.
        let issued = issued.filter(|_| question.is_of(&own)).ok_or_else(not_answered)?;
        let good_until = context.now.plus(limits::OCSP_LIFETIME);
        let times = OcspTimes {
            produced_at: context.now.seconds(),
            this_update: context.now.seconds(),
            next_update: good_until.seconds(),
        };
        let unsigned = ocsp_response(&asked, &own, times, ALGORITHM, |_| match issued.noun.revoked {
            Some((since, reason)) => OcspStatus::Revoked { since: since.seconds(), reason },
            None => OcspStatus::Good,
        })?;
        let material = self.authority_key(partition, id).await?;
        let key = KeyRef { spec: authority.spec, material: &material };
        let answer = signing::sign(self.holder(authority.in_token)?, &key, &unsigned).await?;
        let action = ReadCertificateIssuer::ACTION.as_str();
        let entry = own_entry(context, action, scope.canonical()).outcome(Outcome::Done, Some("ocsp"));
        self.trail.record(entry).await?;
        let answer: Arc<[u8]> = answer.into();
        let given_until = context.now.plus(limits::OCSP_LIFETIME / 2);
        self.answers.remember(moment, digest, RememberedAnswer { answer: Arc::clone(&answer), given_until });
        Ok(answer)
    }

    async fn public_authority(
        &self,
        vault: &VaultName,
        id: AuthorityId,
    ) -> Result<(Partition, CertificateAuthority, Scope), Error> {
        let (tenant, vault) =
            self.world().vault(vault).ok_or_else(|| Error::VaultNotFound(vault.to_string()))?;
        let partition = Partition::Vault(tenant.tenant().id, vault.id);
        let found = self.authority(partition, id).await?;
        let found = found.ok_or_else(|| Error::NotFound(ObjectKind::Certificate, id.to_string()))?;
        Ok((partition, found.noun, Scope::vault(vault.subscription, &vault.group, &vault.name)))
    }
}

/// Whether an authority needs a new list: something was revoked, or half of the list's life is over.
pub(super) fn is_due(found: &Found<CertificateAuthority>, now: Timestamp) -> bool {
    let half = limits::REVOCATION_LIST_LIFETIME / 2;
    found.noun.list_stale || now.plus(half) >= found.noun.list_next_update
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_begun_before_a_revocation_is_not_remembered_after_it() {
        let answers = RememberedAnswers::default();
        let now = Timestamp::from_seconds(1_000);
        let answer =
            || RememberedAnswer { answer: Arc::from([1]), given_until: now.plus(limits::OCSP_LIFETIME) };
        let begun = answers.now();
        answers.remember(begun, [1; 32], answer());
        assert!(answers.get(&[1; 32], now).is_some());
        answers.forget_all();
        assert!(answers.get(&[1; 32], now).is_none());
        answers.remember(begun, [1; 32], answer());
        assert!(answers.get(&[1; 32], now).is_none(), "it may call good what was revoked meanwhile");
        answers.remember(answers.now(), [1; 32], answer());
        assert!(answers.get(&[1; 32], now).is_some());
    }
}
