//! The operation that makes the next version of a certificate: a state machine, and deciders over it (wire.md §7.3).
//!
//! An operation begins in progress and is never answered as finished by what began it: clients poll, and Python's
//! poller returns nothing when there is nothing to poll. It ends once. `Completed`, `Cancelled` and `Failed` are final:
//! the record stays until it is deleted or the next operation takes its place.

use uuid::Uuid;

use super::policy::{CertificatePolicy, IssuerChoice};
use super::{CertificateAttributes, CertificateVersion};
use crate::ids::ObjectVersion;
use crate::limits;
use crate::time::Timestamp;

/// A certificate that is being made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PendingCertificate {
    /// The id of the operation.
    pub request: Uuid,
    /// The version that it makes: of the certificate, its key and its secret.
    pub version: ObjectVersion,
    /// Where it is.
    pub status: PendingStatus,
    /// Whether somebody wants it to end.
    pub cancellation_requested: bool,
    /// What the version is made from, as it was when the operation began.
    pub policy: CertificatePolicy,
    /// The request in DER that an issuer signs (RFC 2986).
    pub csr: Vec<u8>,
    /// What the version is to have.
    pub attributes: CertificateAttributes,
    /// Whether the managed secret keeps the chain in the order in which it came.
    pub preserve_order: bool,
    /// When it began.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// What an outside issuer calls it.
    pub order: Option<String>,
    /// When it makes sense to ask the outside issuer again.
    pub next_poll: Option<Timestamp>,
    /// Whether the job began it.
    pub renewal: bool,
}

/// Where an operation is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PendingStatus {
    /// It goes on with the next poll, or waits for a merge.
    InProgress,
    /// The version is there.
    Completed,
    /// Somebody wanted it to end, and it ended.
    Cancelled,
    /// It cannot go on.
    Failed(Failure),
}

/// Why an operation cannot go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// A code of ours.
    pub code: String,
    /// What happened, in words that the caller may read.
    pub message: String,
}

/// What is to be done with an operation that somebody looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NextStep {
    /// Nothing: it is over, or it waits for somebody.
    Rest,
    /// It ends as cancelled.
    Cancel,
    /// The certificate signs itself.
    SignItself,
    /// An issuer of the vault is asked.
    AskIssuer,
}

impl PendingStatus {
    /// The word for it in answers.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::InProgress => "inProgress",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed(_) => "failed",
        }
    }
}

impl PendingCertificate {
    /// Whether it still goes on.
    pub fn is_in_progress(&self) -> bool {
        self.status == PendingStatus::InProgress
    }

    /// What is to be done with it now.
    pub(super) fn next_step(&self, now: Timestamp) -> NextStep {
        if !self.is_in_progress() {
            return NextStep::Rest;
        }
        if self.cancellation_requested {
            return NextStep::Cancel;
        }
        match &self.policy.issuer.name {
            IssuerChoice::Itself => NextStep::SignItself,
            IssuerChoice::Unknown => NextStep::Rest,
            IssuerChoice::Named(_) if self.next_poll.is_some_and(|at| at > now) => NextStep::Rest,
            IssuerChoice::Named(_) => NextStep::AskIssuer,
        }
    }

    /// The same operation with the attributes that its version is to have now: a renewal is for somebody who may have
    /// disabled the current version since, or labelled it.
    pub(super) fn following(&self, current: &CertificateVersion) -> Self {
        let attributes =
            if self.renewal && current.is_issued() { &current.attributes } else { &self.attributes };
        Self { attributes: attributes.clone(), ..self.clone() }
    }

    /// The same operation at its end.
    pub(super) fn ended(&self, status: PendingStatus, now: Timestamp) -> Self {
        Self { status, updated: now, ..self.clone() }
    }

    /// The same operation at its end, which is not what was wanted.
    pub(super) fn failed(&self, code: &str, message: &str, now: Timestamp) -> Self {
        let message = message.chars().filter(|c| !c.is_control()).take(limits::FAILURE_CHARS_MAX).collect();
        self.ended(PendingStatus::Failed(Failure { code: code.to_owned(), message }), now)
    }

    /// The same operation, asked to end or to go on.
    pub(super) fn with_cancellation(&self, requested: bool, now: Timestamp) -> Result<Self, String> {
        if !self.is_in_progress() {
            return Err(format!(
                "the pending certificate is {} and cannot be cancelled",
                self.status.as_str()
            ));
        }
        Ok(Self { cancellation_requested: requested, updated: now, ..self.clone() })
    }

    /// When there is something to do about it by itself: at once, when an issuer said so, or never.
    pub(super) fn next_date(&self, now: Timestamp) -> Option<Timestamp> {
        match self.next_step(now) {
            NextStep::Rest if self.is_in_progress() => self.next_poll,
            NextStep::Rest => None,
            NextStep::Cancel | NextStep::SignItself | NextStep::AskIssuer => Some(now),
        }
    }

    /// Until when no renewal is begun in its place: somebody who cancelled it means it, and whoever began it is to see
    /// why it failed.
    pub(super) fn renewal_waits_until(&self) -> Option<Timestamp> {
        match self.status {
            PendingStatus::Failed(_) | PendingStatus::Cancelled => {
                Some(self.updated.plus(limits::RENEWAL_RETRY))
            }
            PendingStatus::InProgress | PendingStatus::Completed => None,
        }
    }
}
