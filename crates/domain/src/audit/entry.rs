//! One audit entry: an allowlist of fields, encoded as JSON with a fixed order of members.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ports::log::Position;
use crate::time::Timestamp;

/// Which part of an event an entry records.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A decision or a read: complete in itself.
    Event,
    /// A change is about to happen.
    Intent,
    /// What became of an announced change.
    Outcome,
}

/// What happened.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The caller may, and it was done.
    Done,
    /// The caller may not.
    Denied,
    /// The caller may, but the object does not allow it or is not there.
    Refused,
    /// We failed.
    Failed,
    /// Announced, but never happened: the process ended before.
    Lost,
}

/// Who asked.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Subject {
    /// The tenant that vouches for the caller.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tenant: Option<String>,
    /// The object id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oid: Option<String>,
    /// The client id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub appid: Option<String>,
    /// The id of the token used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<String>,
    /// How the caller was known: `bearer`, `kernel`, `certificate`, `secret`, `workload`, `platform`.
    pub by: String,
}

/// One entry of the log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// The format of this entry.
    pub v: u8,
    /// When, in UTC.
    pub time: String,
    /// Which part of the event this is.
    pub phase: Phase,
    /// The request, as the answer's `x-ms-request-id` names it.
    pub request: Uuid,
    /// Who asked.
    pub subject: Subject,
    /// Where from: an address, or the uid and pid that the kernel names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// What was asked for: an action of Azure's vocabulary.
    pub action: String,
    /// On what: a canonical ARM id, or an audience.
    pub resource: String,
    /// What came of it; absent on an intent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<Outcome>,
    /// Why: a code of our own, never text from outside.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The role assignment that allowed it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub assignment: Option<String>,
    /// On an outcome: the position of the intent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intent: Option<u64>,
    /// On a grant from attestation: the process that was vouched for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub process: Option<String>,
}

impl Entry {
    /// An event with nothing but the obligatory fields.
    pub fn new(request: Uuid, subject: Subject, action: &str, resource: &str, now: Timestamp) -> Self {
        Self {
            v: 1,
            time: now.rfc3339(),
            phase: Phase::Event,
            request,
            subject,
            from: None,
            action: action.to_owned(),
            resource: resource.to_owned(),
            outcome: None,
            reason: None,
            assignment: None,
            intent: None,
            process: None,
        }
    }

    /// States the outcome and a reason of our own vocabulary.
    pub fn outcome(mut self, outcome: Outcome, reason: Option<&str>) -> Self {
        self.outcome = Some(outcome);
        self.reason = reason.map(str::to_owned);
        self
    }

    /// The outcome entry that belongs to this intent.
    pub fn concluded(mut self, intent: Position, outcome: Outcome, now: Timestamp) -> Self {
        self.phase = Phase::Outcome;
        self.intent = Some(intent.0);
        self.outcome = Some(outcome);
        self.time = now.rfc3339();
        self
    }

    /// The bytes that are hashed into the tree.
    pub fn encode(&self) -> Vec<u8> {
        // Strings, numbers and enums only: serialisation has nothing that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// When it was written, where that can be told.
    pub fn moment(&self) -> Option<Timestamp> {
        Timestamp::parse(&self.time)
    }

    /// Reads an entry back.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
