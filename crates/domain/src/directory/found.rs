//! Founding a tenant: the only way one comes to be.

use std::sync::Arc;

use vouchsafe_crypto::SecretBytes;

use super::tenant::{Tenant, TenantDomain};
use crate::access::action::WriteTenant;
use crate::access::assignment::{PrincipalType, RoleAssignment};
use crate::access::built_in;
use crate::access::caller::Caller;
use crate::error::Fault;
use crate::ids::{PrincipalId, RoleAssignmentId, SubscriptionId, TenantId};
use crate::platform::{Context, Platform};
use crate::ports::store::{Commit, CommitError, Expect, Housekeeping, Key, Kind, Partition, Revision};
use crate::ports::{Entropy, Store};
use crate::record::{self, Encode};
use crate::resource::scope::Scope;
use crate::resource::{Error, Put, Subscription};
use crate::time::Timestamp;
use crate::token::TenantKey;
use crate::world::{Entity, TenantSnapshot};

/// A tenant as an administrator wants it.
#[derive(Clone, Debug)]
pub struct TenantToFound {
    /// Its id; a random one if absent.
    pub id: Option<TenantId>,
    /// What people see.
    pub display_name: String,
    /// Its domain name.
    pub domain: TenantDomain,
    /// Its first subscription; a random id if absent.
    pub subscription: Option<SubscriptionId>,
}

/// Everything a tenant starts with: signing keys, one subscription, and a local administrator who may do everything in
/// it. That principal has no credential: only the kernel can vouch for it, on the admin socket.
fn first_records(wanted: &TenantToFound, entropy: &dyn Entropy, now: Timestamp) -> (Tenant, Vec<Entity>) {
    let tenant = Tenant {
        id: wanted.id.unwrap_or_else(|| TenantId(entropy.uuid())),
        display_name: wanted.display_name.clone(),
        domain: wanted.domain.clone(),
        local_administrator: PrincipalId(entropy.uuid()),
        created: now,
    };
    let subscription = Subscription {
        id: wanted.subscription.unwrap_or_else(|| SubscriptionId(entropy.uuid())),
        tenant: tenant.id,
        display_name: wanted.display_name.clone(),
    };
    let mut entities = vec![Entity::Subscription(Arc::new(subscription))];
    entities.extend(TenantKey::first_set(now).into_iter().map(|key| Entity::SigningKey(Arc::new(key))));
    entities.extend([built_in::OWNER, built_in::KEY_VAULT_ADMINISTRATOR].map(|role| {
        Entity::RoleAssignment(Arc::new(RoleAssignment {
            id: RoleAssignmentId(entropy.uuid()),
            scope: Scope::root(),
            role,
            principal: tenant.local_administrator,
            principal_type: PrincipalType::ServicePrincipal,
            created_on: now,
            created_by: None,
        }))
    }));
    (tenant, entities)
}

fn add_to(commit: Commit, tenant: &Tenant, entities: &[Entity], now: Timestamp) -> Commit {
    let key = Key::new(Partition::Deployment, Kind::Tenant, tenant.id.to_string());
    let epoch = SecretBytes::new(record::encode(&record::Epoch { changed: now.millis() }));
    let commit = commit.put(key, Expect::Absent, SecretBytes::new(tenant.encode())).put(
        TenantSnapshot::epoch_key(tenant.id),
        Expect::Absent,
        epoch,
    );
    entities
        .iter()
        .fold(commit, |commit, entity| commit.put(entity.key(tenant.id), Expect::Absent, entity.encode()))
}

/// Founds the first tenant of a deployment that is being initialised; there is nobody yet whom an entry could name.
pub async fn found_first_tenant(
    store: &dyn Store,
    entropy: &dyn Entropy,
    wanted: &TenantToFound,
    now: Timestamp,
) -> Result<TenantId, Fault> {
    let (tenant, entities) = first_records(wanted, entropy, now);
    let commit = add_to(Commit::housekeeping(Housekeeping::Initialise), &tenant, &entities, now);
    match store.commit(commit).await {
        Ok(_) => Ok(tenant.id),
        Err(CommitError::Conflict) => Err(Fault::Broken("the deployment is already initialised".to_owned())),
        Err(CommitError::Store(error)) => Err(error.into()),
    }
}

impl Platform {
    /// Founds another tenant, on behalf of an administrator of the deployment's first one.
    pub async fn found_tenant(
        &self,
        context: &Context,
        caller: &Caller,
        wanted: &TenantToFound,
    ) -> Result<(Put, Arc<Tenant>), Error> {
        let _in_a_row = self.worlds.writing().await;
        let home = self.world().default_tenant();
        let home = home.ok_or_else(|| Fault::Broken("the deployment has no tenant".to_owned()))?;
        let proof = match self.authorize::<WriteTenant>(context, caller, &home, &Scope::root()).await? {
            Ok(proof) => proof,
            Err(denial) => return Err(Error::Denied(denial)),
        };
        let entry = self.entry(context, &proof);
        let world = self.world();
        let same_domain = world
            .tenants()
            .find(|other| other.tenant().domain == wanted.domain)
            .map(|other| other.tenant().clone());
        let same_id = wanted.id.and_then(|id| world.tenant(id)).map(|other| other.tenant().clone());
        let subscription_taken = wanted.subscription.and_then(|id| world.owner(id));
        match (same_domain, same_id) {
            (Some(tenant), _) if wanted.id.is_none_or(|id| id == tenant.id) => {
                self.refused(entry, crate::audit::Outcome::Done, "unchanged").await?;
                return Ok((Put::Unchanged, tenant));
            }
            (None, None) if subscription_taken.is_none() => {}
            _ => {
                self.refused(entry, crate::audit::Outcome::Refused, "conflict").await?;
                let message = format!(
                    "the id, domain or subscription of tenant `{}` is already in use",
                    wanted.display_name
                );
                return Err(Error::Conflict(message));
            }
        }
        drop(world);
        let (tenant, entities) = first_records(wanted, &*self.entropy, context.now);
        if self.is_rehearsal() {
            let tenant = Arc::new(tenant);
            let placed = entities.into_iter().map(|entity| (entity.key(tenant.id), (Revision(1), entity)));
            let snapshot = TenantSnapshot::of(tenant.clone(), Revision(1), placed.collect());
            self.worlds.replace(Arc::new(snapshot));
            return Ok((Put::Created, tenant));
        }
        let intent = self.trail.announce(entry).await?;
        let commit = add_to(intent.commit(), &tenant, &entities, context.now);
        match self.store.commit(commit).await {
            Ok(_) => self.trail.conclude(intent, crate::audit::Outcome::Done, context.now)?,
            Err(CommitError::Conflict) => {
                self.trail.conclude(intent, crate::audit::Outcome::Lost, context.now)?;
                return Err(Fault::Contended.into());
            }
            Err(CommitError::Store(error)) => return Err(Fault::from(error).into()),
        }
        let tenant = Arc::new(tenant);
        self.worlds.replace(Arc::new(TenantSnapshot::load(&*self.store, tenant.clone()).await?));
        Ok((Put::Created, tenant))
    }
}
