//! One tenant's control plane at one revision.

use std::collections::HashMap;
use std::sync::Arc;

use vouchsafe_crypto::jose::{Algorithm, PublicKey};

use super::entity::Entity;
use crate::access::assignment::RoleAssignment;
use crate::access::facts::Facts;
use crate::access::role::RoleDefinition;
use crate::directory::{Application, AttestationIssuer, Group, ServicePrincipal, Tenant};
use crate::error::Fault;
use crate::identity::ManagedIdentity;
use crate::ids::{
    ClientId, IdentityName, PrincipalId, ResourceGroupName, RoleAssignmentId, RoleDefinitionId,
    SubscriptionId, TenantId, VaultName,
};
use crate::limits;
use crate::ports::Store;
use crate::ports::store::{Expect, Key, Kind, Partition, Prefix, Revision};
use crate::resource::scope::Scope;
use crate::resource::{ResourceGroup, Subscription, Vault};
use crate::token::{KeyState, TenantKey};

/// An immutable view of a tenant.
pub struct TenantSnapshot {
    tenant: Arc<Tenant>,
    epoch: Revision,
    entities: HashMap<Key, (Revision, Entity)>,
    facts: Facts,
}

macro_rules! each {
    ($self:ident, $variant:ident) => {
        $self.entities.values().filter_map(|(_, entity)| match entity {
            Entity::$variant(noun) => Some(noun),
            _ => None,
        })
    };
}

macro_rules! one {
    ($self:ident, $variant:ident, $key:expr) => {
        match $self.entities.get(&$key) {
            Some((_, Entity::$variant(noun))) => Some(noun.clone()),
            _ => None,
        }
    };
}

impl TenantSnapshot {
    /// Where a tenant's epoch stands.
    pub fn epoch_key(tenant: TenantId) -> Key {
        Key::new(Partition::Tenant(tenant), Kind::Epoch, "epoch")
    }

    /// Reads a tenant from the store, at one epoch: when it moves meanwhile, reading starts again.
    pub async fn load(store: &dyn Store, tenant: Arc<Tenant>) -> Result<Self, Fault> {
        let epoch_key = Self::epoch_key(tenant.id);
        for _ in 0..limits::COMMIT_ATTEMPTS_MAX {
            let before = store.get(&epoch_key).await?.map(|record| record.revision);
            let entities = Self::load_entities(store, tenant.id).await?;
            let after = store.get(&epoch_key).await?.map(|record| record.revision);
            if before == after {
                let epoch = before
                    .ok_or_else(|| Fault::Broken(format!("tenant {} has no epoch record", tenant.id)))?;
                return Ok(Self::of(tenant, epoch, entities));
            }
        }
        Err(Fault::Contended)
    }

    async fn load_entities(
        store: &dyn Store,
        tenant: TenantId,
    ) -> Result<HashMap<Key, (Revision, Entity)>, Fault> {
        let mut entities = HashMap::new();
        for kind in Entity::KINDS {
            let prefix = Prefix { partition: Partition::Tenant(tenant), kind, outer: None };
            let mut after = None;
            loop {
                let page = store.scan(&prefix, after.as_ref(), limits::SNAPSHOT_PAGE).await?;
                for record in page.records {
                    let entity = Entity::decode(&record)?;
                    entities.insert(record.key, (record.revision, entity));
                }
                if entities.len() > limits::TENANT_RECORDS_MAX {
                    return Err(Fault::Broken(format!("tenant {tenant} has too many control-plane records")));
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(entities)
    }

    /// A snapshot of these entities.
    pub(crate) fn of(
        tenant: Arc<Tenant>,
        epoch: Revision,
        entities: HashMap<Key, (Revision, Entity)>,
    ) -> Self {
        let mut facts = Facts::new(tenant.id);
        for (_, entity) in entities.values() {
            match entity {
                Entity::RoleAssignment(assignment) => {
                    facts.insert_assignment(RoleAssignment::clone(assignment))
                }
                Entity::RoleDefinition(role) => facts.insert_role(RoleDefinition::clone(role)),
                Entity::Group(group) => facts.set_members(group.id, &group.members),
                _ => {}
            }
        }
        Self { tenant, epoch, entities, facts }
    }

    /// The entities with changes applied, at a new epoch.
    pub(crate) fn with(&self, epoch: Revision, changes: Vec<(Key, Option<(Revision, Entity)>)>) -> Self {
        let mut entities = self.entities.clone();
        for (key, change) in changes {
            match change {
                Some(entity) => drop(entities.insert(key, entity)),
                None => drop(entities.remove(&key)),
            }
        }
        Self::of(self.tenant.clone(), epoch, entities)
    }

    /// The tenant itself.
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// The revision of the epoch that this was read at.
    pub fn epoch(&self) -> Revision {
        self.epoch
    }

    /// The condition that binds a commit to this snapshot.
    pub fn epoch_guard(&self) -> (Key, Expect) {
        (Self::epoch_key(self.tenant.id), Expect::At(self.epoch))
    }

    /// What a commit must expect where an entity stands.
    pub(crate) fn expect(&self, key: &Key) -> Expect {
        self.entities.get(key).map_or(Expect::Absent, |(revision, _)| Expect::At(*revision))
    }

    /// What authorization is decided on.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// A live vault.
    pub fn vault(&self, name: &VaultName) -> Option<Arc<Vault>> {
        one!(self, Vault, Key::new(Partition::Tenant(self.tenant.id), Kind::Vault, name.canonical()))
    }

    /// All live vaults.
    pub fn vaults(&self) -> impl Iterator<Item = &Arc<Vault>> {
        each!(self, Vault)
    }

    /// A soft-deleted vault.
    pub fn deleted_vault(&self, name: &VaultName) -> Option<Arc<Vault>> {
        one!(
            self,
            DeletedVault,
            Key::new(Partition::Tenant(self.tenant.id), Kind::DeletedVault, name.canonical())
        )
    }

    /// All soft-deleted vaults.
    pub fn deleted_vaults(&self) -> impl Iterator<Item = &Arc<Vault>> {
        each!(self, DeletedVault)
    }

    /// A subscription.
    pub fn subscription(&self, id: SubscriptionId) -> Option<Arc<Subscription>> {
        one!(
            self,
            Subscription,
            Key::new(Partition::Tenant(self.tenant.id), Kind::Subscription, id.to_string())
        )
    }

    /// All subscriptions.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        each!(self, Subscription)
    }

    /// A resource group.
    pub fn group(
        &self,
        subscription: SubscriptionId,
        name: &ResourceGroupName,
    ) -> Option<Arc<ResourceGroup>> {
        let partition = Partition::Tenant(self.tenant.id);
        one!(
            self,
            ResourceGroup,
            Key::nested(partition, Kind::ResourceGroup, subscription.to_string(), name.canonical())
        )
    }

    /// All resource groups.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<ResourceGroup>> {
        each!(self, ResourceGroup)
    }

    /// All managed identities.
    pub fn identities(&self) -> impl Iterator<Item = &Arc<ManagedIdentity>> {
        each!(self, Identity)
    }

    /// A managed identity by where it stands.
    pub fn identity(
        &self,
        subscription: SubscriptionId,
        group: &ResourceGroupName,
        name: &IdentityName,
    ) -> Option<Arc<ManagedIdentity>> {
        self.identities()
            .find(|identity| {
                identity.subscription == subscription && identity.group == *group && identity.name == *name
            })
            .cloned()
    }

    /// A managed identity by its object id.
    pub fn identity_by_principal(&self, id: PrincipalId) -> Option<Arc<ManagedIdentity>> {
        one!(self, Identity, Key::new(Partition::Tenant(self.tenant.id), Kind::Identity, id.to_string()))
    }

    /// All applications.
    pub fn applications(&self) -> impl Iterator<Item = &Arc<Application>> {
        each!(self, Application)
    }

    /// An application by its client id.
    pub fn application(&self, client: ClientId) -> Option<Arc<Application>> {
        self.applications().find(|application| application.client == client).cloned()
    }

    /// All service principals.
    pub fn service_principals(&self) -> impl Iterator<Item = &Arc<ServicePrincipal>> {
        each!(self, ServicePrincipal)
    }

    /// The service principal of an application.
    pub fn service_principal(&self, client: ClientId) -> Option<Arc<ServicePrincipal>> {
        self.service_principals().find(|principal| principal.client == client).cloned()
    }

    /// An attestation service that is trusted, by what its tokens say in `iss`.
    pub fn attestation_issuer(&self, issuer: &str) -> Option<Arc<AttestationIssuer>> {
        let partition = Partition::Tenant(self.tenant.id);
        one!(self, AttestationIssuer, Key::new(partition, Kind::AttestationIssuer, issuer))
    }

    /// All attestation services that are known.
    pub fn attestation_issuers(&self) -> impl Iterator<Item = &Arc<AttestationIssuer>> {
        each!(self, AttestationIssuer)
    }

    /// All user groups.
    pub fn user_groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        each!(self, Group)
    }

    /// All custom role definitions.
    pub fn custom_roles(&self) -> impl Iterator<Item = &Arc<RoleDefinition>> {
        each!(self, RoleDefinition)
    }

    /// A role definition, built in or custom.
    pub fn role(&self, id: RoleDefinitionId) -> Option<Arc<RoleDefinition>> {
        self.facts.role(id).cloned()
    }

    /// All role assignments.
    pub fn assignments(&self) -> impl Iterator<Item = &Arc<RoleAssignment>> {
        each!(self, RoleAssignment)
    }

    /// A role assignment.
    pub fn assignment(&self, id: RoleAssignmentId) -> Option<Arc<RoleAssignment>> {
        one!(
            self,
            RoleAssignment,
            Key::new(Partition::Tenant(self.tenant.id), Kind::RoleAssignment, id.to_string())
        )
    }

    /// All signing keys.
    pub fn signing_keys(&self) -> impl Iterator<Item = &Arc<TenantKey>> {
        each!(self, SigningKey)
    }

    /// The key that signs with an algorithm now.
    pub fn current_key(&self, algorithm: Algorithm) -> Option<&Arc<TenantKey>> {
        self.signing_keys().find(|key| key.algorithm == algorithm && key.state == KeyState::Current)
    }

    /// A published key that tokens may have been signed with.
    pub fn verification_key(&self, kid: &str) -> Option<(&PublicKey, Algorithm)> {
        let key = Key::new(Partition::Tenant(self.tenant.id), Kind::SigningKey, kid);
        match self.entities.get(&key) {
            Some((_, Entity::SigningKey(key))) if key.state != KeyState::Next => {
                Some((key.key.public(), key.algorithm))
            }
            _ => None,
        }
    }

    /// Whether a principal exists.
    pub fn is_known(&self, principal: PrincipalId) -> bool {
        principal == self.tenant.local_administrator
            || self.identity_by_principal(principal).is_some()
            || self.service_principal_by_id(principal).is_some()
    }

    /// Whether a principal exists and may act.
    pub fn is_active(&self, principal: PrincipalId) -> bool {
        self.is_known(principal)
            && self.service_principal_by_id(principal).is_none_or(|principal| !principal.disabled)
    }

    fn service_principal_by_id(&self, id: PrincipalId) -> Option<Arc<ServicePrincipal>> {
        one!(
            self,
            ServicePrincipal,
            Key::new(Partition::Tenant(self.tenant.id), Kind::ServicePrincipal, id.to_string())
        )
    }

    /// The scope that a managed identity is.
    pub fn identity_scope(identity: &ManagedIdentity) -> Scope {
        Scope::identity(identity.subscription, &identity.group, &identity.name)
    }
}
