//! Role assignments and custom roles: the use cases around the deciders of the access room.

use std::sync::Arc;

use super::control::{Plan, Write};
use super::error::Error;
use super::manage::Put;
use crate::access::action::{
    DeleteRoleAssignment, DeleteRoleDefinition, WriteRoleAssignment, WriteRoleDefinition,
};
use crate::access::assignment::{
    AssignmentRefused, NewAssignment, PrincipalType, RoleAssignment, assign, unassign,
};
use crate::access::authorize::authorize;
use crate::access::caller::Caller;
use crate::access::custom_role::{RoleRefused, define, undefine};
use crate::access::role::RoleDefinition;
use crate::ids::{PrincipalId, RoleAssignmentId, RoleDefinitionId, TenantId};
use crate::platform::{Context, Platform};
use crate::resource::scope::Scope;
use crate::world::{Entity, TenantSnapshot};

impl Platform {
    /// Creates a role assignment; the type of its principal is what the directory says.
    pub async fn put_role_assignment(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        wanted: &NewAssignment,
        stated_type: Option<PrincipalType>,
    ) -> Result<(Put, Arc<RoleAssignment>), Error> {
        let scope = &wanted.scope;
        self.change_with::<WriteRoleAssignment, _>(context, caller, tenant, scope, |snapshot| {
            let principal_type = kind_of(snapshot, wanted.principal);
            let new = NewAssignment {
                principal_type: principal_type.unwrap_or(wanted.principal_type),
                ..wanted.clone()
            };
            let assigned = match assign(caller, new, snapshot.facts(), context.now) {
                Ok(assigned) => assigned,
                Err(AssignmentRefused::Denied(denial)) => return Err(denial),
                // The caller may, but it cannot be: the proof says so for the audit entry.
                Err(refused) => {
                    return Ok((authorize(caller, scope, snapshot.facts())?, Err(refused.into())));
                }
            };
            let checked = exists_here(snapshot, scope).and_then(|()| match principal_type {
                None => Err(Error::Invalid(format!(
                    "principal `{}` does not exist in the directory",
                    wanted.principal
                ))),
                Some(kind) if stated_type.is_some_and(|stated| stated != kind) => Err(Error::Invalid(
                    format!("principal `{}` is a {kind}, not what was stated", wanted.principal),
                )),
                Some(_) => Ok(()),
            });
            let assignment = Arc::new(assigned.assignment);
            let plan = checked.map(|()| {
                if assigned.existed {
                    Plan::unchanged((Put::Unchanged, assignment))
                } else {
                    let write = Write::Put(Entity::RoleAssignment(assignment.clone()));
                    Plan { writes: vec![write], result: (Put::Created, assignment) }
                }
            });
            Ok((assigned.proof, plan))
        })
        .await
    }

    /// Removes a role assignment.
    pub async fn delete_role_assignment(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        scope: &Scope,
        id: RoleAssignmentId,
    ) -> Result<Arc<RoleAssignment>, Error> {
        self.change_with::<DeleteRoleAssignment, _>(
            context,
            caller,
            tenant,
            scope,
            |snapshot| match unassign(caller, scope, id, snapshot.facts()) {
                Ok(removed) => {
                    let assignment = Arc::new(removed.assignment);
                    let write = Write::Remove(Entity::RoleAssignment(assignment.clone()));
                    Ok((removed.proof, Ok(Plan { writes: vec![write], result: assignment })))
                }
                Err(AssignmentRefused::Denied(denial)) => Err(denial),
                Err(refused) => Ok((authorize(caller, scope, snapshot.facts())?, Err(refused.into()))),
            },
        )
        .await
    }

    /// Creates or changes a custom role.
    pub async fn put_role_definition(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        scope: &Scope,
        role: &RoleDefinition,
    ) -> Result<(Put, Arc<RoleDefinition>), Error> {
        self.change_with::<WriteRoleDefinition, _>(context, caller, tenant, scope, |snapshot| {
            let proof = authorize(caller, scope, snapshot.facts())?;
            let plan = match define(caller, role, snapshot.facts()) {
                Err(RoleRefused::Denied(denial)) => return Err(denial),
                Err(refused) => Err(refused.into()),
                Ok(_) => {
                    let before = snapshot.custom_roles().find(|other| other.id() == role.id());
                    match before {
                        Some(before) if **before == *role => {
                            Ok(Plan::unchanged((Put::Unchanged, before.clone())))
                        }
                        before => {
                            let put = if before.is_some() { Put::Updated } else { Put::Created };
                            let role = Arc::new(role.clone());
                            let write = Write::Put(Entity::RoleDefinition(role.clone()));
                            Ok(Plan { writes: vec![write], result: (put, role) })
                        }
                    }
                }
            };
            Ok((proof, plan))
        })
        .await
    }

    /// Removes a custom role that nothing uses.
    pub async fn delete_role_definition(
        &self,
        context: &Context,
        caller: &Caller,
        tenant: TenantId,
        scope: &Scope,
        id: RoleDefinitionId,
    ) -> Result<Arc<RoleDefinition>, Error> {
        self.change_with::<DeleteRoleDefinition, _>(context, caller, tenant, scope, |snapshot| {
            let proof = authorize(caller, scope, snapshot.facts())?;
            let plan = match undefine(caller, scope, id, snapshot.facts()) {
                Err(RoleRefused::Denied(denial)) => return Err(denial),
                Err(refused) => Err(refused.into()),
                Ok(_) => match snapshot.custom_roles().find(|role| role.id() == id) {
                    None => Err(RoleRefused::Absent(id).into()),
                    Some(role) => {
                        let write = Write::Remove(Entity::RoleDefinition(role.clone()));
                        Ok(Plan { writes: vec![write], result: role.clone() })
                    }
                },
            };
            Ok((proof, plan))
        })
        .await
    }
}

/// What kind of principal an object id is in this tenant.
fn kind_of(snapshot: &TenantSnapshot, principal: PrincipalId) -> Option<PrincipalType> {
    if snapshot.user_groups().any(|group| group.id == principal) {
        return Some(PrincipalType::Group);
    }
    snapshot.is_known(principal).then_some(PrincipalType::ServicePrincipal)
}

/// Whether the subscription that a scope names is this tenant's; what is below it may come later.
fn exists_here(snapshot: &TenantSnapshot, scope: &Scope) -> Result<(), Error> {
    match scope.subscription() {
        Some(id) if snapshot.subscription(id).is_none() => {
            Err(Error::NotFound { kind: "subscription", name: id.to_string() })
        }
        _ => Ok(()),
    }
}
