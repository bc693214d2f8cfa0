//! Who may write and delete custom role definitions (wire.md §9).
//!
//! A role takes effect wherever it is assignable, so its author needs the right at every assignable scope, the old
//! ones and the new ones.

use std::sync::Arc;

use super::action::{Action, DeleteRoleDefinition, WriteRoleDefinition};
use super::authorize::{Authorized, Denial, authorize};
use super::built_in;
use super::caller::Caller;
use super::facts::Facts;
use super::role::{RoleDefinition, RoleKind};
use crate::ids::{RoleAssignmentId, RoleDefinitionId};
use crate::resource::scope::Scope;

/// Most custom roles of one tenant; Azure documents 5000.
pub const CUSTOM_ROLES_MAX: usize = 5_000;

/// Why a role definition is not written or deleted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RoleRefused {
    /// The caller may not, at one of the assignable scopes.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// Built-in roles stay what they are.
    #[error("the role definition `{0}` is built in and cannot be changed")]
    BuiltIn(RoleDefinitionId),
    /// Another role has the name.
    #[error("the role definition `{0}` has the same name; names are unique in a tenant")]
    NameTaken(RoleDefinitionId),
    /// The role is assigned where it would no longer be assignable.
    #[error("the role assignment `{0}` still uses the role; delete it first")]
    InUse(RoleAssignmentId),
    /// There is no such role.
    #[error("there is no role definition `{0}`")]
    Absent(RoleDefinitionId),
    /// The tenant has as many custom roles as it can have.
    #[error("the tenant has {CUSTOM_ROLES_MAX} custom roles, which is the most it can have; delete some")]
    TooMany,
}

/// Decides whether `caller` may write `role`, new or in place of what it was. The proofs are one per assignable scope.
pub fn define(
    caller: &Caller,
    role: &RoleDefinition,
    facts: &Facts,
) -> Result<Vec<Authorized<WriteRoleDefinition>>, RoleRefused> {
    if role.kind() == RoleKind::BuiltIn {
        return Err(RoleRefused::BuiltIn(role.id()));
    }
    let old = facts.role(role.id());
    let old_scopes = old.map_or(&[][..], |old| old.assignable_scopes());
    let proofs = everywhere(caller, role.assignable_scopes().iter().chain(old_scopes), facts)?;
    let same_name = |other: &&Arc<RoleDefinition>| {
        other.id() != role.id() && other.name().to_lowercase() == role.name().to_lowercase()
    };
    if let Some(other) = facts.roles().find(same_name) {
        return Err(RoleRefused::NameTaken(other.id()));
    }
    let mut uses = facts.assignments().filter(|assignment| assignment.role == role.id());
    if let Some(stranded) = uses.find(|assignment| !role.is_assignable_at(&assignment.scope)) {
        return Err(RoleRefused::InUse(stranded.id));
    }
    if old.is_none() && facts.roles().count() - built_in::all().len() >= CUSTOM_ROLES_MAX {
        return Err(RoleRefused::TooMany);
    }
    Ok(proofs)
}

/// Decides whether `caller` may delete the custom role `id`; `scope` is where it was asked for.
pub fn undefine(
    caller: &Caller,
    scope: &Scope,
    id: RoleDefinitionId,
    facts: &Facts,
) -> Result<Vec<Authorized<DeleteRoleDefinition>>, RoleRefused> {
    let proof = authorize::<DeleteRoleDefinition>(caller, scope, facts)?;
    if built_in::find(id).is_some() {
        return Err(RoleRefused::BuiltIn(id));
    }
    let role = facts.role(id).ok_or(RoleRefused::Absent(id))?;
    let mut proofs = everywhere(caller, role.assignable_scopes(), facts)?;
    proofs.push(proof);
    match facts.assignments().find(|assignment| assignment.role == id) {
        Some(used) => Err(RoleRefused::InUse(used.id)),
        None => Ok(proofs),
    }
}

fn everywhere<'a, A: Action>(
    caller: &Caller,
    scopes: impl IntoIterator<Item = &'a Scope>,
    facts: &Facts,
) -> Result<Vec<Authorized<A>>, Denial> {
    scopes.into_iter().map(|scope| authorize(caller, scope, facts)).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::access::assignment::{PrincipalType, RoleAssignment};
    use crate::access::caller::Subject;
    use crate::access::pattern::ActionPattern;
    use crate::access::role::Permission;
    use crate::ids::{PrincipalId, TenantId};
    use crate::time::Timestamp;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const AUTHOR: PrincipalId = PrincipalId(Uuid::from_u128(10));
    const MINE: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590";
    const THEIRS: &str = "/subscriptions/77777777-1bf0-4dda-aec3-cb9272f09590";

    fn caller() -> Caller {
        let issuer = String::new();
        Caller::from_verified(Subject {
            tenant: TENANT,
            principal: AUTHOR,
            client: None,
            issuer,
            token_id: None,
        })
    }

    fn role(name: &str, scopes: &[&str]) -> RoleDefinition {
        let id = RoleDefinitionId(Uuid::from_u128(99));
        let scopes = scopes.iter().map(|raw| Scope::parse(raw).expect(raw)).collect();
        let actions = vec![ActionPattern::parse("*/read").expect("a pattern")];
        let permission = Permission { actions, ..Permission::default() };
        RoleDefinition::custom(id, name, "", vec![permission], scopes).expect("a role")
    }

    fn assignment(number: u128, at: &str, role: RoleDefinitionId) -> RoleAssignment {
        RoleAssignment {
            id: RoleAssignmentId(Uuid::from_u128(number)),
            scope: Scope::parse(at).expect(at),
            role,
            principal: AUTHOR,
            principal_type: PrincipalType::User,
            created_on: Timestamp::default(),
            created_by: None,
        }
    }

    fn facts(held: RoleDefinitionId) -> Facts {
        let mut facts = Facts::new(TENANT);
        facts.insert_assignment(assignment(1, MINE, held));
        facts
    }

    #[test]
    fn a_role_needs_the_right_at_every_scope_it_was_or_will_be_assignable_at() {
        let facts = facts(built_in::OWNER);
        assert_eq!(define(&caller(), &role("Mine", &[MINE]), &facts).expect("permitted").len(), 1);
        for scopes in [&[MINE, THEIRS][..], &[THEIRS], &["/"]] {
            let refused = define(&caller(), &role("Mine", scopes), &facts).map(|_| ());
            assert!(matches!(refused, Err(RoleRefused::Denied(_))), "{scopes:?}");

            let mut held = facts.clone();
            held.insert_role(role("Mine", scopes));
            let refused = define(&caller(), &role("Mine", &[MINE]), &held).map(|_| ());
            assert!(matches!(refused, Err(RoleRefused::Denied(_))), "taken over from {scopes:?}");
            let here = Scope::parse(MINE).expect(MINE);
            let refused = undefine(&caller(), &here, role("Mine", scopes).id(), &held).map(|_| ());
            assert!(matches!(refused, Err(RoleRefused::Denied(_))), "deleted from {scopes:?}");
        }
    }

    #[test]
    fn a_contributor_writes_no_roles() {
        for held in [built_in::CONTRIBUTOR, built_in::READER, built_in::KEY_VAULT_DATA_ACCESS_ADMINISTRATOR] {
            let refused = define(&caller(), &role("Mine", &[MINE]), &facts(held)).map(|_| ());
            assert!(matches!(refused, Err(RoleRefused::Denied(_))));
        }
    }

    #[test]
    fn a_role_shares_its_name_with_no_other() {
        let refused =
            define(&caller(), &role("key vault READER", &[MINE]), &facts(built_in::OWNER)).map(|_| ());
        assert_eq!(refused, Err(RoleRefused::NameTaken(built_in::KEY_VAULT_READER)));
        let mut facts = facts(built_in::OWNER);
        facts.insert_role(role("Mine", &[MINE]));
        assert!(define(&caller(), &role("Mine", &[MINE]), &facts).is_ok(), "but with itself");
    }

    #[test]
    fn a_role_in_use_is_not_pulled_away() {
        let mut facts = facts(built_in::OWNER);
        let group = format!("{MINE}/resourceGroups/rg");
        let role_there = role("Mine", &[MINE]);
        facts.insert_role(role_there.clone());
        let used = assignment(2, MINE, role_there.id());
        facts.insert_assignment(used.clone());
        let narrowed = define(&caller(), &role("Mine", &[&group]), &facts).map(|_| ());
        assert_eq!(narrowed, Err(RoleRefused::InUse(used.id)));
        let deleted = undefine(&caller(), &used.scope, role_there.id(), &facts).map(|_| ());
        assert_eq!(deleted, Err(RoleRefused::InUse(used.id)));
        facts.remove_assignment(used.id);
        assert!(undefine(&caller(), &used.scope, role_there.id(), &facts).is_ok());
    }

    #[test]
    fn built_in_roles_are_neither_written_nor_deleted() {
        let facts = facts(built_in::OWNER);
        let here = Scope::parse(MINE).expect(MINE);
        for role in built_in::all() {
            assert_eq!(define(&caller(), role, &facts).map(|_| ()), Err(RoleRefused::BuiltIn(role.id())));
            let refused = undefine(&caller(), &here, role.id(), &facts).map(|_| ());
            assert_eq!(refused, Err(RoleRefused::BuiltIn(role.id())));
        }
        let absent = RoleDefinitionId(Uuid::from_u128(5));
        assert_eq!(undefine(&caller(), &here, absent, &facts).map(|_| ()), Err(RoleRefused::Absent(absent)));
    }
}
