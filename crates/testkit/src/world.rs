//! A whole platform in memory, with a clock that is steered, randomness that repeats and faults on demand.
//!
//! [`InMemory`] is what survives a process: engine, log, clock. [`InMemory::open`] is what a start does, so a test
//! crashes with [`MemoryLog::crash`] and opens again. The store behind the platform is the real barrier over the
//! `memory` engine, with a [`FaultyStore`] before it that behaves until it is told otherwise.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use vouchsafe_crypto::envelope::Kek;
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::access::assignment::{NewAssignment, PrincipalType, RoleAssignment};
use vouchsafe_domain::access::caller::Caller;
use vouchsafe_domain::audit::{Entry, newest};
use vouchsafe_domain::directory::{TenantDomain, TenantToFound, found_first_tenant};
use vouchsafe_domain::identity::{ManagedIdentity, Process, Requested};
use vouchsafe_domain::ids::{
    IdentityName, PrincipalId, ResourceGroupName, RoleAssignmentId, RoleDefinitionId, SubscriptionId,
    TenantId, VaultName,
};
use vouchsafe_domain::ports::log::{LogUnavailable, Position};
use vouchsafe_domain::ports::{Clock, Entropy, Hsm, Log};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::resource::{IdentityToPut, Vault, VaultToPut};
use vouchsafe_domain::time::Timestamp;
use vouchsafe_domain::timekeeping::Timekeeper;
use vouchsafe_domain::token::NodeGrant;
use vouchsafe_domain::token::audience::ServiceNames;
use vouchsafe_domain::world::TenantSnapshot;
use vouchsafe_domain::{Context, KeyHolders, Platform, Settings};
use vouchsafe_hsm::{KeyPool, SoftwareKeys};
use vouchsafe_store::Barrier;
use vouchsafe_store::engine::Engine;
use vouchsafe_store::engine::memory::Memory;

use crate::faulty_store::FaultyStore;

/// The origin of every platform made here.
pub const ORIGIN: &str = "https://localhost:8443";
/// The audience of its vaults.
pub const KEY_VAULT: &str = "https://vault.localhost:8443";
/// The group that [`Opened::put_vault`] and [`Opened::put_identity`] use.
pub const GROUP: &str = "rg";

/// A clock that stands until time passes or somebody sets it.
pub struct SteeredClock {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl SteeredClock {
    /// A clock that stands at a moment, in milliseconds since 1970.
    pub fn at(millis: u64) -> Self {
        Self { wall: AtomicU64::new(millis), monotonic: AtomicU64::new(0) }
    }

    /// Time passes: both clocks go on by `duration`.
    pub fn forward(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).expect("a small duration");
        self.monotonic.fetch_add(millis, Ordering::SeqCst);
        self.wall.fetch_add(millis, Ordering::SeqCst);
    }

    /// Time passes until a later moment.
    pub fn forward_to(&self, later: Timestamp) {
        self.forward(later.since(self.now()));
        assert_eq!(self.now(), later, "time does not pass backwards");
    }

    /// Somebody sets the wall clock.
    pub fn set(&self, now: Timestamp) {
        self.wall.store(now.millis(), Ordering::SeqCst);
    }
}

impl Clock for SteeredClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic.load(Ordering::SeqCst))
    }
}

/// SplitMix64: the same on every machine and with every version of every crate.
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// Repeats what `seed` gave before.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("small")).expect("small")
    }

    /// One of several.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[derive(Default)]
struct LogState {
    entries: Vec<Vec<u8>>,
    durable: usize,
    broken: bool,
}

/// A log in memory. What was queued and not flushed is lost in a crash, as on a disk.
#[derive(Default)]
pub struct MemoryLog(Mutex<LogState>);

/// As in the log on disk: an entry's length has two bytes.
const ENTRY_BYTES_MAX: usize = 65_535;

impl MemoryLog {
    /// Loses what was only queued.
    pub fn crash(&self) {
        let mut state = self.state();
        let durable = state.durable;
        state.entries.truncate(durable);
    }

    /// Cannot be written any more, or again.
    pub fn break_down(&self, broken: bool) {
        self.state().broken = broken;
    }

    /// Every durable entry.
    pub fn entries(&self) -> Vec<(Position, Entry)> {
        let state = self.state();
        let durable = state.entries.iter().take(state.durable);
        (0..)
            .zip(durable)
            .map(|(position, bytes)| (Position(position), Entry::decode(bytes).expect("an entry")))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: Vec<u8>) -> Result<MutexGuard<'_, LogState>, LogUnavailable> {
        let mut state = self.state();
        if state.broken {
            return Err(LogUnavailable("the fault plan says so".to_owned()));
        }
        if entry.is_empty() || entry.len() > ENTRY_BYTES_MAX {
            return Err(LogUnavailable(format!("an entry of {} bytes", entry.len())));
        }
        state.entries.push(entry);
        Ok(state)
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&self, entry: Vec<u8>) -> Result<Position, LogUnavailable> {
        let mut state = self.push(entry)?;
        state.durable = state.entries.len();
        Ok(Position(u64::try_from(state.durable).expect("small") - 1))
    }

    fn append_later(&self, entry: Vec<u8>) -> Result<(), LogUnavailable> {
        self.push(entry).map(drop)
    }

    async fn flush(&self) -> Result<(), LogUnavailable> {
        let mut state = self.state();
        if state.broken {
            return Err(LogUnavailable("the fault plan says so".to_owned()));
        }
        state.durable = state.entries.len();
        Ok(())
    }

    async fn read(&self, from: Position, limit: usize) -> Result<Vec<(Position, Vec<u8>)>, LogUnavailable> {
        let state = self.state();
        let durable = (0..).map(Position).zip(state.entries.iter().take(state.durable));
        let start = usize::try_from(from.0).unwrap_or(usize::MAX);
        Ok(durable.skip(start).take(limit).map(|(position, bytes)| (position, bytes.clone())).collect())
    }

    fn len(&self) -> u64 {
        u64::try_from(self.state().durable).expect("small")
    }
}

/// What survives a process.
pub struct InMemory {
    /// The clock.
    pub clock: Arc<SteeredClock>,
    /// The audit log.
    pub log: Arc<MemoryLog>,
    /// Where ids come from.
    pub entropy: Arc<SeededEntropy>,
    /// The tenant it was founded with.
    pub home: TenantId,
    /// What holds keys in software.
    pub software: Arc<dyn Hsm>,
    /// The token, if there is one.
    pub token: Option<Arc<dyn Hsm>>,
    engine: Memory,
}

/// An opened platform with what it stands on.
pub struct Opened {
    /// The platform.
    pub platform: Arc<Platform>,
    /// Its store.
    pub store: Arc<FaultyStore>,
    /// The clock.
    pub clock: Arc<SteeredClock>,
    /// Where ids come from.
    pub entropy: Arc<SeededEntropy>,
}

fn fixed_key(byte: u8) -> Kek {
    Kek::from_secret(SecretBytes::new(vec![byte; 32])).expect("32 bytes")
}

impl InMemory {
    /// A new deployment with one tenant. Two with one seed have the same ids.
    pub async fn found(seed: u64) -> Self {
        let clock = Arc::new(SteeredClock::at(1_800_000_000_000));
        let entropy = Arc::new(SeededEntropy::new(seed));
        let engine = Memory::new();
        Barrier::initialise(engine.clone(), &fixed_key(1), [1; 16]).await.expect("an empty engine");
        let store = Barrier::open(engine.clone(), &fixed_key(1)).await.expect("a store");
        let domain = TenantDomain::parse("home.example").expect("a domain");
        let first = TenantToFound { id: None, display_name: "Home".to_owned(), domain, subscription: None };
        let home = found_first_tenant(&store, &*entropy, &first, clock.now()).await.expect("a first tenant");
        let software = Arc::new(SoftwareKeys::new(KeyPool::new([]), NonZeroUsize::MIN));
        Self { clock, log: Arc::default(), entropy, home, software, token: None, engine }
    }

    /// Starts a process over what there is.
    pub async fn open(&self) -> Opened {
        let barrier = Barrier::open(self.engine.clone(), &fixed_key(1)).await.expect("a store");
        let store = Arc::new(FaultyStore::new(Arc::new(barrier)));
        let graph = format!("{ORIGIN}/graph");
        let settings = Settings {
            origins: vec![ORIGIN.to_owned()],
            services: ServiceNames {
                key_vault: vec![KEY_VAULT.to_owned(), "https://vault.azure.net".to_owned()],
                resource_manager: vec![ORIGIN.to_owned(), "https://management.azure.com".to_owned()],
                graph: vec![graph],
            },
            publication_port: None,
            location: "local".to_owned(),
        };
        let entropy = self.entropy.clone();
        let recorded = newest(&*self.log).await.expect("a log");
        let time = Timekeeper::open(&*store, recorded, self.clock.clone()).await.expect("a clock");
        let holders = KeyHolders { software: self.software.clone(), token: self.token.clone() };
        let platform = Platform::open(
            store.clone(),
            self.log.clone(),
            entropy.clone(),
            fixed_key(2),
            holders,
            settings,
            time,
        );
        let platform = Arc::new(platform.await.expect("a platform"));
        Opened { platform, store, clock: self.clock.clone(), entropy }
    }

    /// Every record's place and revision: two images differ exactly when something was written in between.
    pub async fn image(&self) -> BTreeMap<Vec<u8>, u64> {
        let all = self.engine.scan(&[], None, usize::MAX).await.expect("a scan");
        all.into_iter().map(|(key, stored)| (key, stored.revision)).collect()
    }
}

impl Opened {
    /// A request now.
    pub fn context(&self) -> Context {
        self.platform.context(self.entropy.uuid(), None)
    }

    /// A tenant as it is now.
    pub fn tenant(&self, id: TenantId) -> Arc<TenantSnapshot> {
        self.platform.world().tenant(id).expect("a tenant")
    }

    /// The only subscription of a tenant.
    pub fn subscription(&self, tenant: TenantId) -> SubscriptionId {
        self.tenant(tenant).subscriptions().next().expect("a subscription").id
    }

    /// Whoever the kernel vouches for.
    pub fn administrator(&self, tenant: TenantId) -> Caller {
        self.platform.local_administrator(&self.tenant(tenant))
    }

    /// A further tenant.
    pub async fn found_tenant(&self, name: &str) -> TenantId {
        let home = self.platform.world().default_tenant().expect("a first tenant").tenant().id;
        let wanted = TenantToFound {
            id: None,
            display_name: name.to_owned(),
            domain: TenantDomain::parse(&format!("{name}.example")).expect("a domain"),
            subscription: None,
        };
        let caller = self.administrator(home);
        self.platform.found_tenant(&self.context(), &caller, &wanted).await.expect("a tenant").1.id
    }

    async fn group(&self, tenant: TenantId) -> ResourceGroupName {
        let name = ResourceGroupName::parse(GROUP).expect("a name");
        let (caller, subscription) = (self.administrator(tenant), self.subscription(tenant));
        let (context, tags) = (self.context(), BTreeMap::new());
        let put =
            self.platform.put_resource_group(&context, &caller, tenant, subscription, &name, None, &tags);
        put.await.expect("a group");
        name
    }

    /// A vault in [`GROUP`].
    pub async fn put_vault(&self, tenant: TenantId, name: &str, wanted: &VaultToPut) -> Arc<Vault> {
        let (group, name) = (self.group(tenant).await, VaultName::parse(name).expect("a name"));
        let (caller, subscription) = (self.administrator(tenant), self.subscription(tenant));
        let context = self.context();
        let put = self.platform.put_vault(&context, &caller, tenant, subscription, &group, &name, wanted);
        put.await.expect("a vault").1
    }

    /// A managed identity in [`GROUP`].
    pub async fn put_identity(&self, tenant: TenantId, name: &str) -> Arc<ManagedIdentity> {
        let (group, name) = (self.group(tenant).await, IdentityName::parse(name).expect("a name"));
        let (caller, subscription) = (self.administrator(tenant), self.subscription(tenant));
        let (context, wanted) = (self.context(), IdentityToPut::default());
        let put = self.platform.put_identity(&context, &caller, tenant, subscription, &group, &name, &wanted);
        put.await.expect("an identity").1
    }

    /// A role for a principal.
    pub async fn assign(
        &self,
        tenant: TenantId,
        role: RoleDefinitionId,
        principal: PrincipalId,
        scope: Scope,
    ) -> Arc<RoleAssignment> {
        let id = RoleAssignmentId(self.entropy.uuid());
        let principal_type = PrincipalType::ServicePrincipal;
        let wanted = NewAssignment { id, scope, role, principal, principal_type };
        let (context, caller) = (self.context(), self.administrator(tenant));
        let put = self.platform.put_role_assignment(&context, &caller, tenant, &wanted, None);
        put.await.expect("an assignment").1
    }

    /// A token of a managed identity, as an agent gets it.
    pub async fn token(&self, identity: &ManagedIdentity, resource: &str) -> String {
        let process = Process {
            pid: 1,
            uid: 1,
            gid: 1,
            path: "/bin/app".to_owned(),
            sha256: [0; 32],
            unit: None,
            run_identity: Some(TenantSnapshot::identity_scope(identity).as_str().to_owned()),
        };
        let grant = NodeGrant { process, requested: Requested::default(), resource: resource.to_owned() };
        let granted = self.platform.grant_workload(&self.context(), &grant).await.expect("a token");
        granted.token.access_token.expose(Reason::Test).to_owned()
    }

    /// A token of the local administrator.
    pub async fn administrator_token(&self, tenant: TenantId, resource: &str) -> String {
        let (context, snapshot) = (self.context(), self.tenant(tenant));
        let issued = self.platform.grant_local_administrator(&context, &snapshot, resource);
        issued.await.expect("a token").access_token.expose(Reason::Test).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::log::Reopen;

    impl Reopen for Arc<MemoryLog> {
        async fn open(&self) -> Arc<dyn Log> {
            self.crash();
            self.clone()
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_log_in_memory_passes_the_suite_of_its_port() {
        crate::suites::log::all(&Arc::new(MemoryLog::default())).await;
    }

    #[tokio::test]
    async fn what_was_done_is_there_after_a_start_and_one_seed_gives_one_world() {
        let mut names = Vec::new();
        for _ in 0..2 {
            let memory = InMemory::found(7).await;
            let opened = memory.open().await;
            let vault = opened.put_vault(memory.home, "app", &VaultToPut::default()).await;
            assert!(memory.open().await.tenant(memory.home).vault(&vault.name).is_some());
            names.push((memory.home, vault.id));
        }
        assert_eq!(names[0], names[1]);
    }
}
