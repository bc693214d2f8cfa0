//! Creating, changing and removing resources. Each is idempotent: what is already so is left alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::control::{Plan, Write};
use super::error::Error;
use super::group::{ResourceGroup, Subscription};
use super::vault::{Sku, Vault};
use crate::access::action::{
    DeleteIdentity, DeleteResourceGroup, DeleteVault, PurgeVault, WriteIdentity, WriteResourceGroup,
    WriteVault,
};
use crate::access::caller::Caller;
use crate::identity::{Binding, ManagedIdentity};
use crate::ids::{
    ClientId, IdentityName, PrincipalId, ResourceGroupName, SubscriptionId, TenantId, VaultId, VaultName,
};
use crate::limits;
use crate::platform::{Context, Platform};
use crate::resource::scope::Scope;
use crate::world::{Entity, TenantSnapshot};

/// Whether a put made something or found it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Put {
    /// It was not there before.
    Created,
    /// It was there and is different now.
    Updated,
    /// It was there and is the same.
    Unchanged,
}

/// A vault as a caller wants it; what is absent stays or gets its default.
#[derive(Clone, Debug, Default)]
pub struct VaultToPut {
    /// Where it says it is.
    pub location: Option<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// `softDeleteRetentionInDays`; fixed at creation.
    pub retention_days: Option<u32>,
    /// `enablePurgeProtection`; never switched off again.
    pub purge_protection: Option<bool>,
    /// What it is to offer; standard if nobody says.
    pub sku: Option<Sku>,
    /// `createMode: recover`.
    pub recover: bool,
}

/// A managed identity as a caller wants it.
#[derive(Clone, Debug, Default)]
pub struct IdentityToPut {
    /// Where it says it is.
    pub location: Option<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// Which workloads may be it; absent leaves them alone.
    pub bindings: Option<Vec<Binding>>,
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Error> {
    let too_long =
        |(name, value): (&String, &String)| name.is_empty() || name.len() > 512 || value.len() > 256;
    if tags.len() > limits::RESOURCE_TAGS_MAX || tags.iter().any(too_long) {
        return Err(Error::Invalid(format!(
            "a resource has at most {} tags, with names of 1 to 512 bytes and values of at most 256",
            limits::RESOURCE_TAGS_MAX
        )));
    }
    Ok(())
}

fn check_location(location: &str) -> Result<(), Error> {
    let well_formed = (1..=64).contains(&location.len())
        && location.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ' || b == b'-');
    if well_formed {
        Ok(())
    } else {
        Err(Error::Invalid("location must be 1 to 64 letters, digits, spaces or hyphens".to_owned()))
    }
}

fn existing_group(
    snapshot: &TenantSnapshot,
    subscription: SubscriptionId,
    name: &ResourceGroupName,
) -> Result<Arc<ResourceGroup>, Error> {
    existing_subscription(snapshot, subscription)?;
    snapshot.group(subscription, name).ok_or_else(|| Error::GroupNotFound(name.to_string()))
}

fn existing_subscription(snapshot: &TenantSnapshot, id: SubscriptionId) -> Result<Arc<Subscription>, Error> {
    snapshot.subscription(id).ok_or_else(|| Error::NotFound { kind: "subscription", name: id.to_string() })
}

impl Platform {
    /// Creates or changes a resource group.
    #[expect(
        clippy::too_many_arguments,
        reason = "the caller, the place and the wanted state are all needed"
    )]
    pub async fn put_resource_group(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        subscription: SubscriptionId,
        name: &ResourceGroupName,
        location: Option<&str>,
        tags: &BTreeMap<String, String>,
    ) -> Result<(Put, Arc<ResourceGroup>), Error> {
        let scope = Scope::of_group(subscription, name);
        self.change::<WriteResourceGroup, _>(context, caller, tenant, &scope, |snapshot| {
            existing_subscription(snapshot, subscription)?;
            check_tags(tags)?;
            let before = snapshot.group(subscription, name);
            let kept = before.as_ref().map(|group| group.location.as_str());
            let location = kept.or(location).unwrap_or(&self.settings().location).to_owned();
            check_location(&location)?;
            if let Some(before) = &before
                && before.tags == *tags
            {
                return Ok(Plan::unchanged((Put::Unchanged, before.clone())));
            }
            let name = before.as_ref().map_or_else(|| name.clone(), |group| group.name.clone());
            let put = if before.is_some() { Put::Updated } else { Put::Created };
            let group = Arc::new(ResourceGroup { subscription, name, location, tags: tags.clone() });
            Ok(Plan { writes: vec![Write::Put(Entity::ResourceGroup(group.clone()))], result: (put, group) })
        })
        .await
    }

    /// Removes an empty resource group. Azure removes what is inside as well; we ask to do that first, because a vault
    /// removed by accident is worse than an error.
    pub async fn delete_resource_group(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        subscription: SubscriptionId,
        name: &ResourceGroupName,
    ) -> Result<(), Error> {
        let scope = Scope::of_group(subscription, name);
        self.change::<DeleteResourceGroup, _>(context, caller, tenant, &scope, |snapshot| {
            let group = existing_group(snapshot, subscription, name)?;
            let vaults =
                snapshot.vaults().filter(|vault| vault.subscription == subscription && vault.group == *name);
            let identities = snapshot
                .identities()
                .filter(|identity| identity.subscription == subscription && identity.group == *name);
            if vaults.count() + identities.count() > 0 {
                return Err(Error::Conflict(format!(
                    "the resource group `{name}` still holds vaults or identities; delete them first"
                )));
            }
            Ok(Plan { writes: vec![Write::Remove(Entity::ResourceGroup(group))], result: () })
        })
        .await
    }

    /// Creates or changes a vault, or recovers a soft-deleted one.
    #[expect(
        clippy::too_many_arguments,
        reason = "the caller, the place and the wanted state are all needed"
    )]
    pub async fn put_vault(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        subscription: SubscriptionId,
        group: &ResourceGroupName,
        name: &VaultName,
        wanted: &VaultToPut,
    ) -> Result<(Put, Arc<Vault>), Error> {
        let scope = Scope::vault(subscription, group, name);
        let id = VaultId(self.entropy.uuid());
        self.change::<WriteVault, _>(context, caller, tenant, &scope, |snapshot| {
            let group = existing_group(snapshot, subscription, group)?;
            check_tags(&wanted.tags)?;
            if let Some(before) = snapshot.vault(name) {
                return Self::plan_vault_update(&before, subscription, &group.name, wanted);
            }
            if let Some(deleted) = snapshot.deleted_vault(name) {
                let here = deleted.subscription == subscription && deleted.group == group.name;
                if !wanted.recover || !here {
                    return Err(Error::VaultNameTaken(name.to_string()));
                }
                let recovered = Arc::new(Vault { deleted: None, ..(*deleted).clone() });
                let writes = vec![
                    Write::Remove(Entity::DeletedVault(deleted)),
                    Write::Put(Entity::Vault(recovered.clone())),
                ];
                return Ok(Plan { writes, result: (Put::Created, recovered) });
            }
            if wanted.recover {
                return Err(Error::NotFound { kind: "deleted vault", name: name.to_string() });
            }
            // The name may be another tenant's, also that of a soft-deleted vault. The commit would find out, but as
            // a conflict that no second attempt resolves; this tells it in plain words.
            let taken = self
                .world()
                .tenants()
                .any(|tenant| tenant.vault(name).is_some() || tenant.deleted_vault(name).is_some());
            if taken {
                return Err(Error::VaultNameTaken(name.to_string()));
            }
            let retention_days = wanted.retention_days.unwrap_or(limits::RETENTION_DAYS_MAX);
            if !(limits::RETENTION_DAYS_MIN..=limits::RETENTION_DAYS_MAX).contains(&retention_days) {
                return Err(Error::Invalid(format!(
                    "softDeleteRetentionInDays must be between {} and {}",
                    limits::RETENTION_DAYS_MIN,
                    limits::RETENTION_DAYS_MAX
                )));
            }
            let location = wanted.location.clone().unwrap_or_else(|| group.location.clone());
            check_location(&location)?;
            let vault = Arc::new(Vault {
                id,
                name: name.clone(),
                subscription,
                group: group.name.clone(),
                location,
                retention_days,
                sku: wanted.sku.unwrap_or_default(),
                purge_protection: wanted.purge_protection.unwrap_or(false),
                tags: wanted.tags.clone(),
                created: context.now,
                deleted: None,
            });
            let writes =
                vec![Write::ClaimVaultName(name.clone(), id), Write::Put(Entity::Vault(vault.clone()))];
            Ok(Plan { writes, result: (Put::Created, vault) })
        })
        .await
    }

    fn plan_vault_update(
        before: &Arc<Vault>,
        subscription: SubscriptionId,
        group: &ResourceGroupName,
        wanted: &VaultToPut,
    ) -> Result<Plan<(Put, Arc<Vault>)>, Error> {
        if before.subscription != subscription || before.group != *group {
            return Err(Error::VaultNameTaken(before.name.to_string()));
        }
        if before.purge_protection && wanted.purge_protection == Some(false) {
            return Err(Error::Conflict("purge protection cannot be switched off once it is on".to_owned()));
        }
        if wanted.retention_days.is_some_and(|days| days != before.retention_days) {
            return Err(Error::Conflict(
                "softDeleteRetentionInDays cannot be changed after creation".to_owned(),
            ));
        }
        if before.sku == Sku::Premium && wanted.sku == Some(Sku::Standard) {
            return Err(Error::Conflict(
                "the SKU of a vault cannot go back to standard: it may hold keys in an HSM".to_owned(),
            ));
        }
        let after = Vault {
            sku: wanted.sku.unwrap_or(before.sku),
            purge_protection: wanted.purge_protection.unwrap_or(before.purge_protection),
            tags: wanted.tags.clone(),
            ..(**before).clone()
        };
        let same_protection = after.purge_protection == before.purge_protection;
        if same_protection && after.tags == before.tags && after.sku == before.sku {
            return Ok(Plan::unchanged((Put::Unchanged, before.clone())));
        }
        let after = Arc::new(after);
        Ok(Plan { writes: vec![Write::Put(Entity::Vault(after.clone()))], result: (Put::Updated, after) })
    }

    /// Soft-deletes a vault; its name stays taken and its content stays sealed until it is purged or recovered.
    pub async fn delete_vault(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        subscription: SubscriptionId,
        group: &ResourceGroupName,
        name: &VaultName,
    ) -> Result<(), Error> {
        let scope = Scope::vault(subscription, group, name);
        self.change::<DeleteVault, _>(context, caller, tenant, &scope, |snapshot| {
            let vault = snapshot
                .vault(name)
                .filter(|vault| vault.subscription == subscription && vault.group == *group);
            let vault = vault.ok_or_else(|| Error::NotFound { kind: "vault", name: name.to_string() })?;
            let deleted = Arc::new(Vault { deleted: Some(context.now), ..(*vault).clone() });
            let writes = vec![Write::Remove(Entity::Vault(vault)), Write::Put(Entity::DeletedVault(deleted))];
            Ok(Plan { writes, result: () })
        })
        .await
    }

    /// Gives a soft-deleted vault's name back. Its records become unreachable at once: nothing names its id any more.
    pub async fn purge_vault(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        subscription: SubscriptionId,
        name: &VaultName,
    ) -> Result<(), Error> {
        let scope = Scope::of_subscription(subscription);
        self.change::<PurgeVault, _>(context, caller, tenant, &scope, |snapshot| {
            let vault = snapshot.deleted_vault(name).filter(|vault| vault.subscription == subscription);
            let vault =
                vault.ok_or_else(|| Error::NotFound { kind: "deleted vault", name: name.to_string() })?;
            if vault.purge_protection {
                return Err(Error::PurgeProtected(name.to_string()));
            }
            let writes =
                vec![Write::Remove(Entity::DeletedVault(vault)), Write::ReleaseVaultName(name.clone())];
            Ok(Plan { writes, result: () })
        })
        .await
    }

    /// Creates or changes a managed identity.
    #[expect(
        clippy::too_many_arguments,
        reason = "the caller, the place and the wanted state are all needed"
    )]
    pub async fn put_identity(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        subscription: SubscriptionId,
        group: &ResourceGroupName,
        name: &IdentityName,
        wanted: &IdentityToPut,
    ) -> Result<(Put, Arc<ManagedIdentity>), Error> {
        let scope = Scope::identity(subscription, group, name);
        let (principal, client) = (PrincipalId(self.entropy.uuid()), ClientId(self.entropy.uuid()));
        self.change::<WriteIdentity, _>(context, caller, tenant, &scope, |snapshot| {
            let group = existing_group(snapshot, subscription, group)?;
            check_tags(&wanted.tags)?;
            let bindings = wanted.bindings.clone();
            if bindings.as_ref().is_some_and(|bindings| bindings.len() > limits::BINDINGS_MAX) {
                return Err(Error::Invalid(format!(
                    "an identity has at most {} bindings",
                    limits::BINDINGS_MAX
                )));
            }
            bindings.iter().flatten().try_for_each(Binding::check).map_err(Error::from)?;
            if let Some(before) = snapshot.identity(subscription, &group.name, name) {
                let bindings = bindings.unwrap_or_else(|| before.bindings.clone());
                if before.tags == wanted.tags && before.bindings == bindings {
                    return Ok(Plan::unchanged((Put::Unchanged, before)));
                }
                let after =
                    Arc::new(ManagedIdentity { tags: wanted.tags.clone(), bindings, ..(*before).clone() });
                return Ok(Plan {
                    writes: vec![Write::Put(Entity::Identity(after.clone()))],
                    result: (Put::Updated, after),
                });
            }
            let location = wanted.location.clone().unwrap_or_else(|| group.location.clone());
            check_location(&location)?;
            let identity = Arc::new(ManagedIdentity {
                principal,
                client,
                subscription,
                group: group.name.clone(),
                name: name.clone(),
                location,
                tags: wanted.tags.clone(),
                bindings: bindings.unwrap_or_default(),
            });
            Ok(Plan {
                writes: vec![Write::Put(Entity::Identity(identity.clone()))],
                result: (Put::Created, identity),
            })
        })
        .await
    }

    /// Removes a managed identity. Its role assignments go with it: an id is never used again, so they could not come
    /// back to life, but they would be clutter in every review.
    pub async fn delete_identity(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        subscription: SubscriptionId,
        group: &ResourceGroupName,
        name: &IdentityName,
    ) -> Result<(), Error> {
        let scope = Scope::identity(subscription, group, name);
        self.change::<DeleteIdentity, _>(context, caller, tenant, &scope, |snapshot| {
            let identity = snapshot.identity(subscription, group, name);
            let identity =
                identity.ok_or_else(|| Error::NotFound { kind: "identity", name: name.to_string() })?;
            let orphans =
                snapshot.assignments().filter(|assignment| assignment.principal == identity.principal);
            let mut writes: Vec<_> =
                orphans.map(|assignment| Write::Remove(Entity::RoleAssignment(assignment.clone()))).collect();
            writes.push(Write::Remove(Entity::Identity(identity)));
            Ok(Plan { writes, result: () })
        })
        .await
    }
}
