//! The platform: ports, settings and what is held in memory. Rooms add their use cases to it.

use std::sync::Arc;

use uuid::Uuid;
use vouchsafe_crypto::envelope::Kek;

use crate::access::action::Action;
use crate::access::authorize::{Authorized, Denial};
use crate::access::caller::Caller;
use crate::audit::{Entry, Outcome, Recorded, Subject, Trail};
use crate::error::Fault;
use crate::ports::log::{LogUnavailable, Position};
use crate::ports::{CertificateIssuer, Entropy, Hsm, Log, Store};
use crate::resource::scope::Scope;
use crate::time::Timestamp;
use crate::timekeeping::{ElapsedTime, IssueTime, Reading, Timekeeper};
use crate::token::VerifiedTokens;
use crate::token::audience::ServiceNames;
use crate::vault::certificate::{Calendar, RememberedAnswers};
use crate::world::{TenantSnapshot, Worlds};

/// What holds for the whole deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the token service is reached: scheme, host and port without a slash; the first is our own, the others are
    /// names that the proxy answers for.
    pub origins: Vec<String>,
    /// The names of our own services.
    pub services: ServiceNames,
    /// The port at which the world finds over plain HTTP what authorities publish; without one, it is found over TLS
    /// where everything else is.
    pub publication_port: Option<u16>,
    /// Where new resources say they are when nobody says.
    pub location: String,
}

impl Settings {
    /// Our own origin.
    pub fn origin(&self) -> &str {
        self.origins.first().map_or("", String::as_str)
    }
}

/// What holds the private halves of keys.
#[derive(Clone)]
pub struct KeyHolders {
    /// Software: its keys are sealed by the store.
    pub software: Arc<dyn Hsm>,
    /// A token, where there is one: its keys never leave it, but wrapped for a release.
    pub token: Option<Arc<dyn Hsm>>,
}

/// One request, as the audit log sees it. Only [`Platform::context`] makes one, so that its time is what the timekeeper
/// believes.
///
/// ```compile_fail
/// use vouchsafe_domain::{Context, time::Timestamp};
/// let context = Context { request: Default::default(), from: None, now: Timestamp::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    /// Its id.
    pub request: Uuid,
    /// Where it came from.
    pub from: Option<String>,
    /// When it began.
    pub(crate) now: Timestamp,
    read: Reading,
}

impl Context {
    /// When it began, by the time that is believed.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The time from which what the request asks for may begin to be valid, unless the clock is behind.
    pub(crate) fn for_issuing(&self) -> Result<IssueTime, Fault> {
        self.read.for_issuing()
    }

    /// The time up to which what is due may be destroyed; none while the clock is in doubt.
    pub(crate) fn elapsed(&self) -> Option<ElapsedTime> {
        self.read.elapsed()
    }
}

/// Everything that use cases need.
pub struct Platform {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) trail: Trail,
    pub(crate) worlds: Worlds,
    pub(crate) tokens: VerifiedTokens,
    pub(crate) backup_key: Kek,
    pub(crate) holders: KeyHolders,
    pub(crate) certificate_issuers: Vec<Arc<dyn CertificateIssuer>>,
    pub(crate) answers: RememberedAnswers,
    pub(crate) calendar: Calendar,
    pub(crate) time: Arc<Timekeeper>,
    /// Keeps purges of keys in the token and their restores in a row: each looks who refers to a key and commits what it
    /// makes of that. A purge that overlooked a copy would take its key, and two that saw each other's copy would leave
    /// the key for ever. It is in memory, because a deployment has one server; several would need one in the store.
    pub(crate) token_references: futures_util::lock::Mutex<()>,
    settings: Settings,
    rehearsal: bool,
}

impl Platform {
    /// Loads every tenant and settles what a crash may have left open.
    pub async fn open(
        store: Arc<dyn Store>,
        log: Arc<dyn Log>,
        entropy: Arc<dyn Entropy>,
        backup_key: Kek,
        holders: KeyHolders,
        settings: Settings,
        time: Arc<Timekeeper>,
    ) -> Result<Self, Fault> {
        let trail = Trail::new(log);
        let recovered = trail.recover(&*store, time.read().now()).await?;
        if recovered > 0 {
            tracing::info!(recovered, "appended the outcomes of changes that a crash interrupted");
        }
        let worlds = Worlds::load(&*store).await?;
        Ok(Self {
            store,
            entropy,
            trail,
            worlds,
            tokens: VerifiedTokens::default(),
            backup_key,
            holders,
            certificate_issuers: Vec::new(),
            answers: RememberedAnswers::default(),
            calendar: Calendar::default(),
            time,
            token_references: futures_util::lock::Mutex::new(()),
            settings,
            rehearsal: false,
        })
    }

    /// The same platform, connected with certificate authorities outside.
    pub fn with_certificate_issuers(self, certificate_issuers: Vec<Arc<dyn CertificateIssuer>>) -> Self {
        Self { certificate_issuers, ..self }
    }

    /// A platform that decides like this one, but whose control-plane changes happen in its memory only: what
    /// `vouchsafe apply --dry-run` asks. Nothing is committed and nothing is recorded, because nothing happens.
    pub fn rehearsal(&self) -> Self {
        Self {
            store: self.store.clone(),
            entropy: self.entropy.clone(),
            trail: Trail::new(Arc::new(Nowhere)),
            worlds: Worlds::at(self.worlds.now().clone()),
            tokens: VerifiedTokens::default(),
            backup_key: Kek::generate(),
            holders: self.holders.clone(),
            certificate_issuers: self.certificate_issuers.clone(),
            answers: RememberedAnswers::default(),
            calendar: Calendar::default(),
            time: self.time.clone(),
            token_references: futures_util::lock::Mutex::new(()),
            settings: self.settings.clone(),
            rehearsal: true,
        }
    }

    /// Reads again what moved in the store without our hearing of it. One tick of a job.
    ///
    /// A commit can happen although nobody lives to put the new snapshot in place: its answer was lost, or its caller
    /// went away while it was waited for. A revoked role must not go on being believed because of that.
    pub async fn catch_up(&self) -> Result<usize, Fault> {
        self.worlds.catch_up(&*self.store).await
    }

    /// Whether changes are only imagined.
    pub(crate) fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// What holds for the whole deployment.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is held in memory of all tenants.
    pub fn world(&self) -> arc_swap::Guard<Arc<crate::world::World>> {
        self.worlds.now()
    }

    /// A request that begins now.
    pub fn context(&self, request: Uuid, from: Option<String>) -> Context {
        let read = self.time.read();
        Context { request, from, now: read.now(), read }
    }

    /// What time it is, and how far that can be believed.
    pub fn time(&self) -> Reading {
        self.time.read()
    }

    /// A random id for something that a caller did not name.
    pub fn random_id(&self) -> Uuid {
        self.entropy.uuid()
    }

    /// The audit trail, for reading and for the jobs that keep it.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The store, for the jobs that keep it.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Authorizes an action, and records the refusal before anybody hears of it.
    pub(crate) async fn authorize<A: Action>(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: &TenantSnapshot,
        scope: &Scope,
    ) -> Result<Result<Authorized<A>, Box<Denial>>, Fault> {
        match crate::access::authorize::authorize::<A>(caller, scope, tenant.facts()) {
            Ok(proof) => Ok(Ok(proof)),
            Err(denial) => {
                self.record_denial::<A>(context, caller, scope).await?;
                Ok(Err(Box::new(denial)))
            }
        }
    }

    /// Authorizes and records a read of the control plane, which is then answered from the same snapshot.
    pub async fn read_resource<A: Action>(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: &TenantSnapshot,
        scope: &Scope,
    ) -> Result<(), crate::resource::Error> {
        let proof = match self.authorize::<A>(context, caller, tenant, scope).await? {
            Ok(proof) => proof,
            Err(denial) => return Err(crate::resource::Error::Denied(denial)),
        };
        self.trail.record(self.entry(context, &proof).outcome(Outcome::Done, None)).await?;
        Ok(())
    }

    /// Records a list of the control plane from which is left out what the caller may not read.
    pub async fn list_resources<A: Action>(
        &self,
        context: &Context,
        caller: &Caller,
        scope: &Scope,
    ) -> Result<(), Fault> {
        let entry = entry_for(context, caller, A::ACTION.as_str(), scope.canonical());
        self.trail.record(entry.outcome(Outcome::Done, Some("filtered"))).await?;
        Ok(())
    }

    /// An entry for an authorized action.
    pub(crate) fn entry<A: Action>(&self, context: &Context, proof: &Authorized<A>) -> Entry {
        let mut entry = entry_for(context, proof.caller(), A::ACTION.as_str(), proof.scope().canonical());
        entry.assignment = Some(proof.assignment().to_string());
        entry
    }

    /// Records that an authorized action was refused by the state of its object, or failed.
    pub(crate) async fn refused(
        &self,
        entry: Entry,
        outcome: Outcome,
        reason: &str,
    ) -> Result<Recorded, Fault> {
        self.trail.record(entry.outcome(outcome, Some(reason))).await
    }
}

/// An entry that names the caller.
pub(crate) fn entry_for(context: &Context, caller: &Caller, action: &str, resource: &str) -> Entry {
    let subject = Subject {
        tenant: Some(caller.tenant().to_string()),
        oid: Some(caller.principal().to_string()),
        appid: caller.client().map(|client| client.to_string()),
        token: caller.token_id().map(str::to_owned),
        by: if caller.token_id().is_some() { "bearer" } else { "kernel" }.to_owned(),
    };
    let mut entry = Entry::new(context.request, subject, action, resource, context.now);
    entry.from = context.from.clone();
    entry
}

/// The log of a rehearsal: there is nothing to record.
struct Nowhere;

#[async_trait::async_trait]
impl Log for Nowhere {
    async fn append(&self, _: Vec<u8>) -> Result<Position, LogUnavailable> {
        Ok(Position(0))
    }

    fn append_later(&self, _: Vec<u8>) -> Result<(), LogUnavailable> {
        Ok(())
    }

    async fn flush(&self) -> Result<(), LogUnavailable> {
        Ok(())
    }

    async fn read(&self, _: Position, _: usize) -> Result<Vec<(Position, Vec<u8>)>, LogUnavailable> {
        Ok(Vec::new())
    }

    fn len(&self) -> u64 {
        0
    }
}
