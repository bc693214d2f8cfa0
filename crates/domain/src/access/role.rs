//! Role definitions: which actions a role permits, and where it may be assigned (wire.md §8).
//!
//! Patterns are expanded once, when a definition is made, into the set of actions they stand for. A question asked
//! of a role is then a bit test, however many patterns it has.

use super::action::{ActionName, ActionSet, Plane};
use super::built_in;
use super::pattern::ActionPattern;
use crate::ids::{Malformed, RoleDefinitionId};
use crate::resource::scope::Scope;

/// Who made a role.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RoleKind {
    /// Part of the platform; the same in every tenant, and nobody changes it.
    BuiltIn,
    /// Made in a tenant.
    Custom,
}

/// Narrows a permission by what the request is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// Role assignments may be written and deleted for these roles only; other actions are not narrowed.
    AssignsOnly(Vec<RoleDefinitionId>),
}

impl Condition {
    /// Whether the condition is met; `assigned` is the role of the assignment that the request writes or deletes.
    fn holds(&self, action: ActionName, assigned: Option<RoleDefinitionId>) -> bool {
        match (self, action) {
            (
                Self::AssignsOnly(roles),
                ActionName::WriteRoleAssignment | ActionName::DeleteRoleAssignment,
            ) => assigned.is_some_and(|role| roles.contains(&role)),
            (Self::AssignsOnly(_), _) => true,
        }
    }

    /// The condition in Azure's condition language, version 2.0.
    pub fn expression(&self) -> String {
        let Self::AssignsOnly(roles) = self;
        let roles = roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let narrowed = |action: ActionName, source| {
            let attribute = format!("@{source}[Microsoft.Authorization/roleAssignments:RoleDefinitionId]");
            format!(
                "((!(ActionMatches{{'{action}'}})) OR ({attribute} ForAnyOfAnyValues:GuidEquals{{{roles}}}))"
            )
        };
        let write = narrowed(ActionName::WriteRoleAssignment, "Request");
        let delete = narrowed(ActionName::DeleteRoleAssignment, "Resource");
        format!("{write} AND {delete}")
    }
}

/// One entry of a role definition's `permissions`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Permission {
    /// Permitted on the control plane.
    pub actions: Vec<ActionPattern>,
    /// Taken out of `actions`.
    pub not_actions: Vec<ActionPattern>,
    /// Permitted on the data plane.
    pub data_actions: Vec<ActionPattern>,
    /// Taken out of `data_actions`.
    pub not_data_actions: Vec<ActionPattern>,
    /// Narrows what the entry permits.
    pub condition: Option<Condition>,
}

impl Permission {
    fn patterns(&self) -> usize {
        self.actions.len() + self.not_actions.len() + self.data_actions.len() + self.not_data_actions.len()
    }

    fn permitted(&self) -> ActionSet {
        expand(&self.actions, &self.data_actions)
    }

    fn taken_out(&self) -> ActionSet {
        expand(&self.not_actions, &self.not_data_actions)
    }
}

/// The actions that patterns stand for, each plane by its own patterns.
fn expand(control: &[ActionPattern], data: &[ActionPattern]) -> ActionSet {
    ActionSet::of(|action| {
        let patterns = match action.plane() {
            Plane::Control => control,
            Plane::Data => data,
        };
        patterns.iter().any(|pattern| pattern.matches(action.as_str()))
    })
}

/// A role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoleDefinition {
    id: RoleDefinitionId,
    name: String,
    description: String,
    kind: RoleKind,
    permissions: Vec<Permission>,
    assignable_scopes: Vec<Scope>,
    /// What each permission comes to.
    grants: Vec<(ActionSet, Option<Condition>)>,
}

impl RoleDefinition {
    /// Longest name.
    pub const NAME_BYTES_MAX: usize = 512;
    /// Longest description.
    pub const DESCRIPTION_BYTES_MAX: usize = 2_048;
    /// Most entries of `permissions`; Azure itself accepts one in a custom role.
    pub const PERMISSIONS_MAX: usize = 16;
    /// Most patterns in all permissions together.
    pub const PATTERNS_MAX: usize = 2_048;
    /// Most assignable scopes.
    pub const ASSIGNABLE_SCOPES_MAX: usize = 256;

    /// Makes a custom role that is well-formed; whether the caller may is decided in [`super::custom_role`].
    ///
    /// Unlike in Azure `/` is an assignable scope: there are no management groups here, and it offers a role to all
    /// subscriptions of one tenant.
    pub fn custom(
        id: RoleDefinitionId,
        name: &str,
        description: &str,
        permissions: Vec<Permission>,
        assignable_scopes: Vec<Scope>,
    ) -> Result<Self, Malformed> {
        let what = "role definition";
        let refuse = |problem| Err(Malformed::new(what, name, problem));
        if built_in::find(id).is_some() {
            return refuse("has the id of a built-in role; choose another GUID");
        }
        if name.trim().is_empty() || name.len() > Self::NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return refuse("must have a name of 1 to 512 bytes without control characters");
        }
        if description.len() > Self::DESCRIPTION_BYTES_MAX {
            return refuse("has a description longer than 2048 bytes");
        }
        if !(1..=Self::PERMISSIONS_MAX).contains(&permissions.len()) {
            return refuse("must have 1 to 16 permissions");
        }
        // A condition has no stored form; a role that lost it would permit more than it says.
        if permissions.iter().any(|permission| permission.condition.is_some()) {
            return refuse("must not have a condition; only built-in roles do");
        }
        if permissions.iter().map(Permission::patterns).sum::<usize>() > Self::PATTERNS_MAX {
            return refuse("has more than 2048 actions");
        }
        if !(1..=Self::ASSIGNABLE_SCOPES_MAX).contains(&assignable_scopes.len()) {
            return refuse("must have 1 to 256 assignable scopes");
        }
        let (name, description) = (name.to_owned(), description.to_owned());
        Ok(Self::assume(id, name, description, RoleKind::Custom, permissions, assignable_scopes))
    }

    pub(super) fn assume(
        id: RoleDefinitionId,
        name: String,
        description: String,
        kind: RoleKind,
        permissions: Vec<Permission>,
        assignable_scopes: Vec<Scope>,
    ) -> Self {
        // What one permission takes out is out of the whole role: an assignment permits its role's actions minus its
        // notActions (wire.md §8). With one permission, which is all that Azure accepts, there is no difference.
        let taken_out = permissions.iter().fold(ActionSet::default(), |all, one| all | one.taken_out());
        let grants =
            permissions.iter().map(|p| (p.permitted().without(taken_out), p.condition.clone())).collect();
        Self { id, name, description, kind, permissions, assignable_scopes, grants }
    }

    /// Its id: a GUID that is the same at every scope.
    pub fn id(&self) -> RoleDefinitionId {
        self.id
    }

    /// Its name, for people and for `roleName` filters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Who made it.
    pub fn kind(&self) -> RoleKind {
        self.kind
    }

    /// Its permissions as they were written.
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    /// Where it may be assigned, and everywhere below.
    pub fn assignable_scopes(&self) -> &[Scope] {
        &self.assignable_scopes
    }

    /// Whether it may be assigned at `scope`.
    pub fn is_assignable_at(&self, scope: &Scope) -> bool {
        self.assignable_scopes.iter().any(|assignable| assignable.contains(scope))
    }

    /// Whether it permits `action`; `assigned` is the role of the assignment that the request writes or deletes.
    pub fn permits(&self, action: ActionName, assigned: Option<RoleDefinitionId>) -> bool {
        self.grants.iter().any(|(actions, condition)| {
            actions.holds(action)
                && condition.as_ref().is_none_or(|condition| condition.holds(action, assigned))
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn patterns(raw: &[&str]) -> Vec<ActionPattern> {
        raw.iter().map(|raw| ActionPattern::parse(raw).expect(raw)).collect()
    }

    fn role(permissions: Vec<Permission>) -> RoleDefinition {
        let id = RoleDefinitionId(Uuid::from_u128(7));
        RoleDefinition::custom(id, "Test", "", permissions, vec![Scope::root()]).expect("a role")
    }

    #[test]
    fn not_actions_are_taken_out() {
        let role = role(vec![Permission {
            actions: patterns(&["*"]),
            not_actions: patterns(&["Microsoft.Authorization/*/Write"]),
            ..Permission::default()
        }]);
        assert!(role.permits(ActionName::WriteVault, None));
        assert!(role.permits(ActionName::ReadRoleAssignment, None));
        assert!(!role.permits(ActionName::WriteRoleAssignment, None));
    }

    #[test]
    fn the_planes_never_mix() {
        let control = role(vec![Permission { actions: patterns(&["*"]), ..Permission::default() }]);
        let data = role(vec![Permission { data_actions: patterns(&["*"]), ..Permission::default() }]);
        let crossed = role(vec![Permission {
            actions: patterns(&["*"]),
            data_actions: patterns(&["*"]),
            not_actions: patterns(&["Microsoft.KeyVault/vaults/secrets/*"]),
            not_data_actions: patterns(&["Microsoft.KeyVault/vaults/read"]),
            ..Permission::default()
        }]);
        for action in ActionName::ALL {
            assert_eq!(control.permits(*action, None), action.plane() == Plane::Control, "{action}");
            assert_eq!(data.permits(*action, None), action.plane() == Plane::Data, "{action}");
            assert!(crossed.permits(*action, None), "{action}");
        }
    }

    #[test]
    fn what_one_permission_takes_out_another_does_not_bring_back() {
        let role = role(vec![
            Permission { data_actions: patterns(&["*"]), ..Permission::default() },
            Permission { not_data_actions: patterns(&["*/getSecret/action"]), ..Permission::default() },
        ]);
        assert!(!role.permits(ActionName::GetSecret, None));
        assert!(role.permits(ActionName::SetSecret, None));
    }

    #[test]
    fn a_condition_narrows_role_assignments_only() {
        let (listed, other) = (RoleDefinitionId(Uuid::from_u128(1)), RoleDefinitionId(Uuid::from_u128(2)));
        let permission = Permission {
            actions: patterns(&["Microsoft.Authorization/*"]),
            condition: Some(Condition::AssignsOnly(vec![listed])),
            ..Permission::default()
        };
        let (name, scopes) = ("Test".to_owned(), vec![Scope::root()]);
        let role =
            RoleDefinition::assume(listed, name, String::new(), RoleKind::BuiltIn, vec![permission], scopes);
        for action in [ActionName::WriteRoleAssignment, ActionName::DeleteRoleAssignment] {
            assert!(role.permits(action, Some(listed)));
            assert!(!role.permits(action, Some(other)));
            assert!(!role.permits(action, None), "a request that does not say which role meets no condition");
        }
        assert!(role.permits(ActionName::ReadRoleAssignment, None));
    }

    #[test]
    fn malformed_custom_roles_are_refused() {
        let id = RoleDefinitionId(Uuid::from_u128(7));
        let permissions = || vec![Permission::default()];
        let root = || vec![Scope::root()];
        let too_many = vec![Permission { actions: patterns(&["a/b"; 2_049]), ..Permission::default() }];
        let condition = Some(Condition::AssignsOnly(Vec::new()));
        let conditional = vec![Permission { condition, ..Permission::default() }];
        let table = [
            RoleDefinition::custom(id, "Mine", "", conditional, root()),
            RoleDefinition::custom(built_in::OWNER, "Mine", "", permissions(), root()),
            RoleDefinition::custom(id, " ", "", permissions(), root()),
            RoleDefinition::custom(id, "a\nb", "", permissions(), root()),
            RoleDefinition::custom(id, &"a".repeat(513), "", permissions(), root()),
            RoleDefinition::custom(id, "Mine", &"a".repeat(2_049), permissions(), root()),
            RoleDefinition::custom(id, "Mine", "", Vec::new(), root()),
            RoleDefinition::custom(id, "Mine", "", vec![Permission::default(); 17], root()),
            RoleDefinition::custom(id, "Mine", "", too_many, root()),
            RoleDefinition::custom(id, "Mine", "", permissions(), Vec::new()),
        ];
        assert!(table.iter().all(Result::is_err), "{table:?}");
        assert!(RoleDefinition::custom(id, "Mine", "", permissions(), root()).is_ok());
    }
}
