//! What the administration interface answers.

use serde::{Deserialize, Serialize};

use crate::json::BadBody;

/// What applying a desired state changed, or would change.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ApplyReport {
    /// Whether nothing was really changed.
    pub dry_run: bool,
    /// One entry for each thing in the document, in the order of its effect.
    pub changes: Vec<Change>,
}

/// What happened to one thing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Change {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Its name, as the document says it.
    pub name: String,
    /// What was done.
    pub action: Action,
    /// Which members changed, or what else is worth knowing; one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// The kinds of things in a desired state.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A tenant with its subscription.
    Tenant,
    /// A resource group.
    ResourceGroup,
    /// A vault.
    Vault,
    /// A user-assigned identity with its bindings.
    Identity,
    /// An application with its service principal.
    Application,
    /// An attestation service that is trusted.
    AttestationIssuer,
    /// A group of principals.
    PrincipalGroup,
    /// A role of the operator's own.
    CustomRole,
    /// A role assignment.
    RoleAssignment,
}

/// What was done to a thing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It was not there.
    Created,
    /// It was there and different.
    Updated,
    /// It was there and as described.
    Unchanged,
}

/// Where everything of one deployment is reached; also the line that `vouchsafe dev --json` prints when ready.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Endpoints {
    /// The token service, without a tenant.
    pub authority: String,
    /// The id of the default tenant.
    pub tenant: String,
    /// The control plane.
    pub arm: String,
    /// Microsoft Graph.
    pub graph: String,
    /// What follows a vault's name and a dot.
    pub vault_suffix: String,
    /// The metadata endpoints of the agent, when one runs in the same process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imds: Option<String>,
    /// The forward proxy, when one runs in the same process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The certificate authority alone, PEM.
    pub ca_file: String,
    /// The certificate authority after the system's own, PEM.
    pub ca_bundle: String,
    /// The socket that these shapes travel on.
    pub admin_socket: String,
    /// Where everything is kept.
    pub data: String,
}

/// How the machine's clock stands to what the deployment knows of the time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClockStatus {
    /// `sound`, `behind` the latest time known, or `ahead` of what can have passed.
    pub standing: String,
    /// By how much.
    pub seconds: u64,
    /// The time by which the server judges, RFC 3339.
    pub now: String,
}

/// The clock was confirmed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClockConfirmed {
    /// How it stood before, in the words of [`ClockStatus::standing`].
    pub before: String,
    /// By how much.
    pub seconds: u64,
    /// How it stands now.
    pub clock: ClockStatus,
}

/// How a server is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Whether it serves.
    pub ready: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// Where it is reached.
    pub endpoints: Endpoints,
    /// How its audit log is.
    pub log: LogStatus,
    /// How its clock is.
    pub clock: ClockStatus,
}

/// How an audit log is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogStatus {
    /// How many entries are durable.
    pub size: u64,
    /// Up to which entry the newest signed checkpoint reaches.
    pub checkpoint_size: u64,
    /// The key that checkpoints are verified with, in the form of a signed note's verifier.
    pub verifier: String,
}

/// A piece of the audit log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AuditTail {
    /// The entries, in order.
    pub entries: Vec<AuditEntry>,
    /// Where to go on reading.
    pub next: u64,
}

/// One entry of the audit log: the members of the stored entry, in its words, after its place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AuditEntry {
    /// Its place in the log, from zero.
    pub position: u64,
    /// When, RFC 3339.
    pub time: String,
    /// Which part of an event it records.
    pub phase: Phase,
    /// The id that the caller saw as `x-ms-request-id`.
    pub request: String,
    /// Who asked.
    pub subject: Subject,
    /// Where from: an address, or the uid and pid that the kernel names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What was asked for, such as `Microsoft.KeyVault/vaults/secrets/getSecret/action`.
    pub action: String,
    /// On what: a resource id, or an audience.
    pub resource: String,
    /// What came of it; absent on an intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why, as a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The role assignment that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<String>,
    /// On an outcome: the place of the intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
    /// On a token for a workload: the process that was vouched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// Who an audited request came from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Subject {
    /// The tenant that vouches for the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The object id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oid: Option<String>,
    /// The client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appid: Option<String>,
    /// The id of the token used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How the caller was known, such as `bearer` or `kernel`.
    pub by: String,
}

/// Which part of an event an entry records.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A decision or a read: complete in itself.
    Event,
    /// A change is about to happen.
    Intent,
    /// What became of an announced change.
    Outcome,
}

/// What came of an audited request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was allowed and done.
    Done,
    /// It was not allowed.
    Denied,
    /// It was allowed, but the object does not permit it or is not there.
    Refused,
    /// We failed.
    Failed,
    /// It was announced and never happened.
    Lost,
}

/// Why a request was refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// For programs, `snake_case`.
    pub code: String,
    /// For people: whose fault, and what to do.
    pub message: String,
    /// The member at fault, as `vaults[0].name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl From<&BadBody> for Problem {
    fn from(bad: &BadBody) -> Self {
        Self { code: "bad_body".to_owned(), message: bad.to_string(), field: bad.path().map(str::to_owned) }
    }
}

/// How far new keys for tenants and vaults are.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct RekeyStatus {
    /// `idle`, `running`, `retrying` or `done`, since the server started.
    pub state: String,
    /// The deployment, tenants and vaults.
    pub partitions: u64,
    /// Those of them that are done.
    pub partitions_done: u64,
    /// Records looked at.
    pub records_seen: u64,
    /// Records sealed anew.
    pub records_sealed: u64,
    /// Key rings of vaults that no longer exist; the older keys above them are kept.
    pub strays: u64,
    /// What went wrong, while it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
