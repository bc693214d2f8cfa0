//! A second opinion on access decisions, written from the rules of Azure RBAC (wire.md §8) and not from our code.
//!
//! Naive on purpose: strings, loops, no index, no cache, nothing shared with `vouchsafe_domain::access`. Tests turn a
//! random world into both forms and compare the answers.

/// One tenant.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The tenant's id.
    pub tenant: String,
    /// Role definitions.
    pub roles: Vec<Role>,
    /// Role assignments.
    pub assignments: Vec<Assignment>,
    /// Groups: each with its members.
    pub groups: Vec<(String, Vec<String>)>,
}

/// A role definition.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// Its id.
    pub id: String,
    /// What it permits.
    pub permissions: Vec<Permission>,
}

/// A permission of a role.
#[derive(Clone, Debug, Default)]
pub struct Permission {
    /// Control-plane patterns.
    pub actions: Vec<String>,
    /// Control-plane exceptions.
    pub not_actions: Vec<String>,
    /// Data-plane patterns.
    pub data_actions: Vec<String>,
    /// Data-plane exceptions.
    pub not_data_actions: Vec<String>,
    /// Roles that assignments may be written and deleted for; nothing means all.
    pub assigns_only: Option<Vec<String>>,
}

/// A role assignment.
#[derive(Clone, Debug, Default)]
pub struct Assignment {
    /// Its id.
    pub id: String,
    /// Where it holds.
    pub scope: String,
    /// The role's id.
    pub role: String,
    /// The principal or group.
    pub principal: String,
}

/// A question.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The caller's tenant.
    pub tenant: String,
    /// The caller.
    pub principal: String,
    /// The action's name.
    pub action: String,
    /// Whether it is a data action.
    pub is_data: bool,
    /// Where.
    pub scope: String,
    /// The role of the assignment that is written or deleted.
    pub assigned: Option<String>,
}

/// The ids of all assignments that permit what is asked; none means that it is denied.
pub fn permitting(world: &World, question: &Question) -> Vec<String> {
    let mut found = Vec::new();
    if question.tenant != world.tenant {
        return found;
    }
    for assignment in &world.assignments {
        let mut holds = assignment.principal == question.principal;
        for (group, members) in &world.groups {
            if *group == assignment.principal && members.contains(&question.principal) {
                holds = true;
            }
        }
        if !holds || !reaches(&assignment.scope, &question.scope) {
            continue;
        }
        for role in &world.roles {
            if role.id == assignment.role && permits(role, question) {
                found.push(assignment.id.clone());
            }
        }
    }
    found
}

fn reaches(outer: &str, inner: &str) -> bool {
    let segments = |scope: &str| -> Vec<String> {
        scope.split('/').filter(|segment| !segment.is_empty()).map(str::to_lowercase).collect()
    };
    let (outer, inner) = (segments(outer), segments(inner));
    for (place, segment) in outer.iter().enumerate() {
        if inner.get(place) != Some(segment) {
            return false;
        }
    }
    true
}

fn permits(role: &Role, question: &Question) -> bool {
    let mut permitted = false;
    for permission in &role.permissions {
        let (yes, no) = if question.is_data {
            (&permission.data_actions, &permission.not_data_actions)
        } else {
            (&permission.actions, &permission.not_actions)
        };
        for pattern in no {
            if stands_for(pattern, &question.action) {
                return false;
            }
        }
        for pattern in yes {
            if stands_for(pattern, &question.action) && condition_met(permission, question) {
                permitted = true;
            }
        }
    }
    permitted
}

fn condition_met(permission: &Permission, question: &Question) -> bool {
    let Some(roles) = &permission.assigns_only else {
        return true;
    };
    let action = question.action.to_lowercase();
    if action != "microsoft.authorization/roleassignments/write"
        && action != "microsoft.authorization/roleassignments/delete"
    {
        return true;
    }
    match &question.assigned {
        Some(role) => roles.contains(role),
        None => false,
    }
}

/// Follows all ways to read the pattern at once: which lengths of text the pattern so far can stand for.
fn stands_for(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let mut lengths = vec![false; text.len() + 1];
    lengths[0] = true;
    for symbol in pattern.to_lowercase().chars() {
        if !lengths.contains(&true) {
            return false;
        }
        let mut next = vec![false; text.len() + 1];
        for length in 0..=text.len() {
            if !lengths[length] {
                continue;
            }
            if symbol == '*' {
                next[length..].fill(true);
            } else if text.get(length) == Some(&symbol) {
                next[length + 1] = true;
            }
        }
        lengths = next;
    }
    lengths[text.len()]
}
