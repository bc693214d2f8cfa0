//! What decisions are made from: one tenant's role assignments, role definitions and groups.
//!
//! A plain value without a store behind it. Whoever keeps a snapshot of the tenant changes a clone and swaps it in;
//! clones share the entries.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::assignment::RoleAssignment;
use super::built_in;
use super::role::RoleDefinition;
use crate::ids::{PrincipalId, RoleAssignmentId, RoleDefinitionId, TenantId};

/// One tenant's role assignments by principal, role definitions by id and groups by member.
#[derive(Clone, Debug)]
pub struct Facts {
    tenant: TenantId,
    /// In order of id, so that which assignment a decision names does not depend on how the facts were loaded.
    by_principal: HashMap<PrincipalId, BTreeMap<RoleAssignmentId, Arc<RoleAssignment>>>,
    assignments: BTreeMap<RoleAssignmentId, Arc<RoleAssignment>>,
    roles: HashMap<RoleDefinitionId, Arc<RoleDefinition>>,
    members: HashMap<PrincipalId, Vec<PrincipalId>>,
    /// The same by member, in order of id.
    groups_of: HashMap<PrincipalId, Vec<PrincipalId>>,
}

impl Facts {
    /// A tenant with the built-in roles and nothing else.
    pub fn new(tenant: TenantId) -> Self {
        let roles = built_in::all().iter().map(|role| (role.id(), Arc::clone(role))).collect();
        let (by_principal, assignments, members, groups_of) = Default::default();
        Self { tenant, by_principal, assignments, roles, members, groups_of }
    }

    /// Whose facts they are.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Adds an assignment, or replaces the one of the same id.
    pub fn insert_assignment(&mut self, assignment: impl Into<Arc<RoleAssignment>>) {
        let assignment = assignment.into();
        self.remove_assignment(assignment.id);
        self.by_principal
            .entry(assignment.principal)
            .or_default()
            .insert(assignment.id, Arc::clone(&assignment));
        self.assignments.insert(assignment.id, assignment);
    }

    /// Takes an assignment out.
    pub fn remove_assignment(&mut self, id: RoleAssignmentId) -> Option<Arc<RoleAssignment>> {
        let removed = self.assignments.remove(&id)?;
        if let Some(of_principal) = self.by_principal.get_mut(&removed.principal) {
            of_principal.remove(&id);
            if of_principal.is_empty() {
                self.by_principal.remove(&removed.principal);
            }
        }
        Some(removed)
    }

    /// Adds a custom role, or replaces the one of the same id; built-in roles stay what they are.
    pub fn insert_role(&mut self, role: impl Into<Arc<RoleDefinition>>) {
        let role = role.into();
        if built_in::find(role.id()).is_none() {
            self.roles.insert(role.id(), role);
        }
    }

    /// Takes a custom role out; assignments that refer to it permit nothing from then on.
    pub fn remove_role(&mut self, id: RoleDefinitionId) -> Option<Arc<RoleDefinition>> {
        if built_in::find(id).is_some() { None } else { self.roles.remove(&id) }
    }

    /// Says who is in a group, in place of what was said before. Groups do not nest.
    pub fn set_members(&mut self, group: PrincipalId, members: &[PrincipalId]) {
        for left in self.members.remove(&group).unwrap_or_default() {
            if let Some(groups) = self.groups_of.get_mut(&left) {
                groups.retain(|other| *other != group);
            }
        }
        for member in members {
            let groups = self.groups_of.entry(*member).or_default();
            if let Err(place) = groups.binary_search(&group) {
                groups.insert(place, group);
            }
        }
        if !members.is_empty() {
            self.members.insert(group, members.to_vec());
        }
    }

    /// The role of this id.
    pub fn role(&self, id: RoleDefinitionId) -> Option<&Arc<RoleDefinition>> {
        self.roles.get(&id)
    }

    /// All roles, built-in ones too, in no order.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<RoleDefinition>> {
        self.roles.values()
    }

    /// The assignment of this id.
    pub fn assignment(&self, id: RoleAssignmentId) -> Option<&Arc<RoleAssignment>> {
        self.assignments.get(&id)
    }

    /// All assignments in order of id.
    pub fn assignments(&self) -> impl ExactSizeIterator<Item = &Arc<RoleAssignment>> {
        self.assignments.values()
    }

    /// The groups that a principal is in.
    pub fn groups_of(&self, principal: PrincipalId) -> &[PrincipalId] {
        self.groups_of.get(&principal).map_or(&[], Vec::as_slice)
    }

    /// The assignments that hold for a principal: its own in order of id, then those of its groups.
    pub fn held_by(&self, principal: PrincipalId) -> impl Iterator<Item = &Arc<RoleAssignment>> {
        std::iter::once(principal)
            .chain(self.groups_of(principal).iter().copied())
            .filter_map(|holder| self.by_principal.get(&holder))
            .flat_map(BTreeMap::values)
    }
}
