//! All tenants' snapshots, replaced as a whole so that readers never wait.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use vouchsafe_crypto::Reason;

use super::snapshot::TenantSnapshot;
use crate::directory::Tenant;
use crate::error::Fault;
use crate::ids::{SubscriptionId, TenantId, VaultName};
use crate::limits;
use crate::ports::Store;
use crate::ports::store::{Key, Kind, Partition, Prefix};
use crate::record::Decode;
use crate::resource::Vault;

/// What is known of all tenants at one moment.
#[derive(Default)]
pub struct World {
    tenants: HashMap<TenantId, Arc<TenantSnapshot>>,
    vaults: HashMap<String, TenantId>,
    subscriptions: HashMap<SubscriptionId, TenantId>,
    default: Option<TenantId>,
}

impl World {
    fn of(tenants: HashMap<TenantId, Arc<TenantSnapshot>>) -> Self {
        let vaults = tenants.values().flat_map(|snapshot| {
            snapshot.vaults().map(|vault| (vault.name.canonical(), snapshot.tenant().id)).collect::<Vec<_>>()
        });
        let subscriptions = tenants.values().flat_map(|snapshot| {
            snapshot
                .subscriptions()
                .map(|subscription| (subscription.id, snapshot.tenant().id))
                .collect::<Vec<_>>()
        });
        let default = tenants
            .values()
            .map(|snapshot| snapshot.tenant())
            .min_by_key(|tenant| (tenant.created, tenant.id));
        Self {
            vaults: vaults.collect(),
            subscriptions: subscriptions.collect(),
            default: default.map(|tenant| tenant.id),
            tenants,
        }
    }

    /// A tenant by id.
    pub fn tenant(&self, id: TenantId) -> Option<Arc<TenantSnapshot>> {
        self.tenants.get(&id).cloned()
    }

    /// All tenants.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<TenantSnapshot>> {
        self.tenants.values()
    }

    /// The oldest tenant: what `common`, `organizations` and `adfs` stand for.
    pub fn default_tenant(&self) -> Option<Arc<TenantSnapshot>> {
        self.default.and_then(|id| self.tenant(id))
    }

    /// The tenant that a token endpoint's path names: an id, a domain, or one of Entra's aliases.
    pub fn tenant_named(&self, raw: &str) -> Option<Arc<TenantSnapshot>> {
        if matches!(raw, "common" | "organizations" | "adfs") {
            return self.default_tenant();
        }
        if let Ok(id) = TenantId::parse(raw) {
            return self.tenant(id);
        }
        self.tenants
            .values()
            .find(|snapshot| snapshot.tenant().domain.as_str().eq_ignore_ascii_case(raw))
            .cloned()
    }

    /// The tenant that owns a subscription.
    pub fn owner(&self, subscription: SubscriptionId) -> Option<Arc<TenantSnapshot>> {
        self.subscriptions.get(&subscription).and_then(|id| self.tenant(*id))
    }

    /// A live vault by its name, with its tenant.
    pub fn vault(&self, name: &VaultName) -> Option<(Arc<TenantSnapshot>, Arc<Vault>)> {
        let tenant = self.tenant(*self.vaults.get(&name.canonical())?)?;
        let vault = tenant.vault(name)?;
        Some((tenant, vault))
    }

    /// All live vaults.
    pub fn vaults(&self) -> impl Iterator<Item = (Arc<TenantSnapshot>, Arc<Vault>)> {
        self.tenants.values().flat_map(|tenant| tenant.vaults().map(|vault| (tenant.clone(), vault.clone())))
    }
}

/// The world, and how it moves on.
pub struct Worlds {
    now: ArcSwap<World>,
    writing: futures_util::lock::Mutex<()>,
}

impl Worlds {
    /// Loads every tenant.
    pub async fn load(store: &dyn Store) -> Result<Self, Fault> {
        let mut tenants = HashMap::new();
        let prefix = Prefix { partition: Partition::Deployment, kind: Kind::Tenant, outer: None };
        let page = store.scan(&prefix, None, limits::TENANTS_MAX).await?;
        for record in &page.records {
            let tenant = Arc::new(Tenant::decode(record.value.expose(Reason::Record))?);
            tenants.insert(tenant.id, Arc::new(TenantSnapshot::load(store, tenant).await?));
        }
        Ok(Self {
            now: ArcSwap::from_pointee(World::of(tenants)),
            writing: futures_util::lock::Mutex::new(()),
        })
    }

    /// A world of its own that begins like another one.
    pub(crate) fn at(world: Arc<World>) -> Self {
        Self { now: ArcSwap::new(world), writing: futures_util::lock::Mutex::new(()) }
    }

    /// The world now.
    pub fn now(&self) -> Guard<Arc<World>> {
        self.now.load()
    }

    /// Keeps control-plane changes of this process in a row; others are caught by the epoch.
    pub(crate) async fn writing(&self) -> futures_util::lock::MutexGuard<'_, ()> {
        self.writing.lock().await
    }

    /// Reads a tenant again from the store.
    pub(crate) async fn refresh(&self, store: &dyn Store, id: TenantId) -> Result<(), Fault> {
        let key = Key::new(Partition::Deployment, Kind::Tenant, id.to_string());
        let Some(record) = store.get(&key).await? else { return Ok(()) };
        let tenant = Arc::new(Tenant::decode(record.value.expose(Reason::Record))?);
        let snapshot = Arc::new(TenantSnapshot::load(store, tenant).await?);
        self.replace(snapshot);
        Ok(())
    }

    /// Reads a tenant again if its epoch moved since `held` was read.
    pub(crate) async fn refresh_if_stale(
        &self,
        store: &dyn Store,
        held: &TenantSnapshot,
    ) -> Result<(), Fault> {
        let id = held.tenant().id;
        let epoch = store.get(&TenantSnapshot::epoch_key(id)).await?.map(|record| record.revision);
        let current = self.now().tenant(id).map(|snapshot| snapshot.epoch());
        if epoch != current { self.refresh(store, id).await } else { Ok(()) }
    }

    /// Reads every tenant again whose epoch in the store is not the one held. Returns how many were.
    pub(crate) async fn catch_up(&self, store: &dyn Store) -> Result<usize, Fault> {
        let prefix = Prefix { partition: Partition::Deployment, kind: Kind::Tenant, outer: None };
        let page = store.scan(&prefix, None, limits::TENANTS_MAX).await?;
        let mut behind = 0;
        for record in &page.records {
            let id = Tenant::decode(record.value.expose(Reason::Record))?.id;
            let epoch = store.get(&TenantSnapshot::epoch_key(id)).await?.map(|record| record.revision);
            if epoch != self.now().tenant(id).map(|snapshot| snapshot.epoch()) {
                self.refresh(store, id).await?;
                behind += 1;
            }
        }
        Ok(behind)
    }

    /// Puts a tenant's new snapshot in place of the old one, unless that is newer already.
    pub(crate) fn replace(&self, snapshot: Arc<TenantSnapshot>) {
        self.now.rcu(|world| {
            let mut tenants = world.tenants.clone();
            let newer =
                tenants.get(&snapshot.tenant().id).is_some_and(|held| held.epoch() > snapshot.epoch());
            if !newer {
                tenants.insert(snapshot.tenant().id, snapshot.clone());
            }
            Arc::new(World::of(tenants))
        });
    }
}
