//! Role assignments, and who may write and delete them (wire.md §8 and §9).
//!
//! Writing one needs `Microsoft.Authorization/roleAssignments/write` at its scope; a role may narrow that to certain
//! roles, as Key Vault Data Access Administrator does. An assignment never changes: the same request again is no
//! change, another request under the same id is refused.

use std::fmt;

use super::action::{DeleteRoleAssignment, WriteRoleAssignment};
use super::authorize::{Authorized, Denial, authorize, authorize_assigning};
use super::caller::Caller;
use super::facts::Facts;
use crate::ids::{Malformed, PrincipalId, RoleAssignmentId, RoleDefinitionId};
use crate::resource::scope::Scope;
use crate::time::Timestamp;

/// Most role assignments of one tenant; Azure documents 4000 per subscription.
pub const ASSIGNMENTS_MAX: usize = 20_000;

/// What kind of principal an assignment is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PrincipalType {
    /// A person.
    User,
    /// A group, and thereby its members.
    Group,
    /// A service principal: an application or a managed identity.
    ServicePrincipal,
}

impl PrincipalType {
    const ALL: [Self; 3] = [Self::User, Self::Group, Self::ServicePrincipal];

    /// Reads Azure's word for it, in any case.
    pub fn parse(raw: &str) -> Result<Self, Malformed> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(raw));
        found.ok_or_else(|| {
            Malformed::new("principal type", raw, "must be `User`, `Group` or `ServicePrincipal`")
        })
    }

    /// Azure's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::ServicePrincipal => "ServicePrincipal",
        }
    }
}

impl fmt::Display for PrincipalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role given to a principal at a scope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoleAssignment {
    /// Its id: a GUID that the client chooses.
    pub id: RoleAssignmentId,
    /// Where it holds, and everywhere below.
    pub scope: Scope,
    /// What it permits.
    pub role: RoleDefinitionId,
    /// To whom. An immutable id: a principal that is created again inherits nothing.
    pub principal: PrincipalId,
    /// What kind of principal that is.
    pub principal_type: PrincipalType,
    /// When it was created, which is also when it was last updated.
    pub created_on: Timestamp,
    /// By whom; nobody, when it came with the tenant.
    pub created_by: Option<PrincipalId>,
}

/// An assignment that somebody asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewAssignment {
    /// The id that the client chose.
    pub id: RoleAssignmentId,
    /// Where it is to hold.
    pub scope: Scope,
    /// What it is to permit.
    pub role: RoleDefinitionId,
    /// To whom.
    pub principal: PrincipalId,
    /// What kind of principal that is.
    pub principal_type: PrincipalType,
}

/// An assignment that may be written.
#[derive(Debug)]
pub struct Assigned {
    /// Why it may.
    pub proof: Authorized<WriteRoleAssignment>,
    /// The assignment.
    pub assignment: RoleAssignment,
    /// Whether it is there already, so that nothing needs to be written.
    pub existed: bool,
}

/// An assignment that may be deleted.
#[derive(Debug)]
pub struct Unassigned {
    /// Why it may.
    pub proof: Authorized<DeleteRoleAssignment>,
    /// The assignment as it was.
    pub assignment: RoleAssignment,
}

/// Why an assignment is not written or deleted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AssignmentRefused {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// There is no such role.
    #[error("there is no role definition `{0}`")]
    RoleAbsent(RoleDefinitionId),
    /// The role is not for this scope.
    #[error(
        "the role definition `{role}` is not assignable at `{scope}`; its assignable scopes do not reach there"
    )]
    NotAssignable {
        /// The role.
        role: RoleDefinitionId,
        /// Where it was to be assigned.
        scope: Scope,
    },
    /// The principal holds the role at the scope already, by another assignment.
    #[error("the role assignment already exists; its id is `{0}`")]
    Exists(RoleAssignmentId),
    /// The id is taken by an assignment that says something else.
    #[error(
        "the role assignment `{0}` exists with another scope, role or principal, which cannot be updated"
    )]
    Immutable(RoleAssignmentId),
    /// There is no such assignment at the scope.
    #[error("there is no role assignment `{0}` at this scope")]
    Absent(RoleAssignmentId),
    /// The tenant has as many assignments as it can have.
    #[error(
        "the tenant has {ASSIGNMENTS_MAX} role assignments, which is the most it can have; delete some, or use groups"
    )]
    TooMany,
}

/// Decides whether `caller` may write an assignment, and what is then to be stored.
///
/// Whether the principal exists is for the directory to say, before this is asked.
pub fn assign(
    caller: &Caller,
    new: NewAssignment,
    facts: &Facts,
    now: Timestamp,
) -> Result<Assigned, AssignmentRefused> {
    let proof = authorize_assigning(caller, &new.scope, Some(new.role), facts)?;
    let role = facts.role(new.role).ok_or(AssignmentRefused::RoleAbsent(new.role))?;
    if !role.is_assignable_at(&new.scope) {
        return Err(AssignmentRefused::NotAssignable { role: new.role, scope: new.scope });
    }
    let says_the_same = |old: &RoleAssignment| {
        old.scope == new.scope && old.role == new.role && old.principal == new.principal
    };
    if let Some(old) = facts.assignment(new.id) {
        return match says_the_same(old) {
            true => Ok(Assigned { proof, assignment: RoleAssignment::clone(old), existed: true }),
            false => Err(AssignmentRefused::Immutable(new.id)),
        };
    }
    if let Some(old) = facts.held_by(new.principal).find(|old| says_the_same(old)) {
        return Err(AssignmentRefused::Exists(old.id));
    }
    if facts.assignments().len() >= ASSIGNMENTS_MAX {
        return Err(AssignmentRefused::TooMany);
    }
    let NewAssignment { id, scope, role, principal, principal_type } = new;
    let created_by = Some(caller.principal());
    let assignment =
        RoleAssignment { id, scope, role, principal, principal_type, created_on: now, created_by };
    Ok(Assigned { proof, assignment, existed: false })
}

/// Decides whether `caller` may delete the assignment `id` of `scope`.
pub fn unassign(
    caller: &Caller,
    scope: &Scope,
    id: RoleAssignmentId,
    facts: &Facts,
) -> Result<Unassigned, AssignmentRefused> {
    let Some(assignment) = facts.assignment(id).filter(|assignment| assignment.scope == *scope) else {
        // Only who may delete here learns that there is nothing to delete.
        let _ = authorize::<DeleteRoleAssignment>(caller, scope, facts)?;
        return Err(AssignmentRefused::Absent(id));
    };
    let proof = authorize_assigning(caller, scope, Some(assignment.role), facts)?;
    Ok(Unassigned { proof, assignment: RoleAssignment::clone(assignment) })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::access::built_in;
    use crate::access::caller::Subject;
    use crate::access::decide::DenialReason;
    use crate::access::role::{Permission, RoleDefinition};
    use crate::ids::TenantId;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const GRANTOR: PrincipalId = PrincipalId(Uuid::from_u128(10));
    const WORKER: PrincipalId = PrincipalId(Uuid::from_u128(11));
    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const GROUP: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg";
    const VAULT: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/app";

    fn scope(raw: &str) -> Scope {
        Scope::parse(raw).expect(raw)
    }

    fn caller(tenant: TenantId) -> Caller {
        let issuer = String::new();
        Caller::from_verified(Subject { tenant, principal: GRANTOR, client: None, issuer, token_id: None })
    }

    fn id(number: u128) -> RoleAssignmentId {
        RoleAssignmentId(Uuid::from_u128(number))
    }

    fn new(number: u128, at: &str, role: RoleDefinitionId) -> NewAssignment {
        let principal_type = PrincipalType::ServicePrincipal;
        NewAssignment { id: id(number), scope: scope(at), role, principal: WORKER, principal_type }
    }

    /// Facts in which the grantor holds `role` at the resource group.
    fn facts(role: RoleDefinitionId) -> Facts {
        let mut facts = Facts::new(TENANT);
        facts.insert_assignment(RoleAssignment {
            id: id(1),
            scope: scope(GROUP),
            role,
            principal: GRANTOR,
            principal_type: PrincipalType::User,
            created_on: NOW,
            created_by: None,
        });
        facts
    }

    fn attempt(facts: &Facts, new: NewAssignment) -> Result<Assigned, AssignmentRefused> {
        assign(&caller(TENANT), new, facts, NOW)
    }

    #[test]
    fn whoever_may_write_role_assignments_at_a_scope_gives_any_role_there() {
        for role in [built_in::OWNER, built_in::USER_ACCESS_ADMINISTRATOR] {
            let facts = facts(role);
            for at in [GROUP, VAULT, &format!("{VAULT}/secrets/db")] {
                for given in built_in::all() {
                    let assigned = attempt(&facts, new(2, at, given.id())).expect("permitted");
                    assert!(!assigned.existed);
                    assert_eq!(assigned.proof.assignment(), id(1));
                    assert_eq!(assigned.proof.scope(), &assigned.assignment.scope);
                    assert_eq!(assigned.assignment.role, given.id());
                    assert_eq!(
                        (assigned.assignment.created_on, assigned.assignment.created_by),
                        (NOW, Some(GRANTOR))
                    );
                }
            }
            let above = attempt(&facts, new(2, "/", built_in::READER));
            assert!(matches!(above, Err(AssignmentRefused::Denied(denial)) if denial.scope == Scope::root()));
        }
    }

    #[test]
    fn whoever_may_not_write_role_assignments_gives_no_role() {
        for role in built_in::all() {
            let grants = [
                built_in::OWNER,
                built_in::USER_ACCESS_ADMINISTRATOR,
                built_in::KEY_VAULT_DATA_ACCESS_ADMINISTRATOR,
            ];
            if grants.contains(&role.id()) {
                continue;
            }
            for given in built_in::all() {
                let refused = attempt(&facts(role.id()), new(2, VAULT, given.id()));
                assert!(
                    matches!(refused, Err(AssignmentRefused::Denied(_))),
                    "{} {}",
                    role.name(),
                    given.name()
                );
            }
        }
    }

    #[test]
    fn a_data_access_administrator_gives_and_takes_the_key_vault_roles_only() {
        let listed = [
            built_in::KEY_VAULT_ADMINISTRATOR,
            built_in::KEY_VAULT_READER,
            built_in::KEY_VAULT_SECRETS_OFFICER,
            built_in::KEY_VAULT_SECRETS_USER,
            built_in::KEY_VAULT_CRYPTO_OFFICER,
            built_in::KEY_VAULT_CRYPTO_USER,
            built_in::KEY_VAULT_CRYPTO_SERVICE_ENCRYPTION_USER,
            built_in::KEY_VAULT_CERTIFICATES_OFFICER,
        ];
        let facts = facts(built_in::KEY_VAULT_DATA_ACCESS_ADMINISTRATOR);
        for role in built_in::all() {
            let given = attempt(&facts, new(2, VAULT, role.id()));
            assert_eq!(given.is_ok(), listed.contains(&role.id()), "{}", role.name());

            let mut held = facts.clone();
            let assignment = RoleAssignment {
                id: id(2),
                role: role.id(),
                principal: WORKER,
                ..(**facts.assignment(id(1)).expect("there")).clone()
            };
            held.insert_assignment(assignment);
            let taken = unassign(&caller(TENANT), &scope(GROUP), id(2), &held);
            assert_eq!(taken.is_ok(), listed.contains(&role.id()), "{}", role.name());
        }
        let custom = RoleDefinitionId(Uuid::from_u128(99));
        assert!(matches!(attempt(&facts, new(2, VAULT, custom)), Err(AssignmentRefused::Denied(_))));
        let unsaid = authorize::<WriteRoleAssignment>(&caller(TENANT), &scope(VAULT), &facts);
        assert_eq!(unsaid.map(|_| ()).map_err(|denial| denial.reason), Err(DenialReason::NotPermitted));
    }

    #[test]
    fn the_same_assignment_again_is_no_change() {
        let mut facts = facts(built_in::OWNER);
        let first = attempt(&facts, new(2, VAULT, built_in::READER)).expect("permitted");
        facts.insert_assignment(first.assignment.clone());
        let later = Timestamp::from_seconds(1_900_000_000);
        let again = assign(&caller(TENANT), new(2, &VAULT.to_uppercase(), built_in::READER), &facts, later);
        let again = again.expect("permitted");
        assert!(again.existed);
        assert_eq!(again.assignment, first.assignment);

        let refused = attempt(&facts, new(2, VAULT, built_in::OWNER)).map(|_| ());
        assert_eq!(refused, Err(AssignmentRefused::Immutable(id(2))));
        let refused = attempt(&facts, new(2, GROUP, built_in::READER)).map(|_| ());
        assert_eq!(refused, Err(AssignmentRefused::Immutable(id(2))));
        let refused = attempt(&facts, new(3, VAULT, built_in::READER)).map(|_| ());
        assert_eq!(refused, Err(AssignmentRefused::Exists(id(2))));
    }

    #[test]
    fn a_role_is_assigned_where_it_may_be_only() {
        let mut facts = facts(built_in::OWNER);
        let custom = RoleDefinitionId(Uuid::from_u128(99));
        let refused = attempt(&facts, new(2, VAULT, custom)).map(|_| ());
        assert_eq!(refused, Err(AssignmentRefused::RoleAbsent(custom)));
        let role =
            RoleDefinition::custom(custom, "Mine", "", vec![Permission::default()], vec![scope(VAULT)]);
        facts.insert_role(role.expect("a role"));
        assert!(attempt(&facts, new(2, VAULT, custom)).is_ok());
        let refused = attempt(&facts, new(2, GROUP, custom)).map(|_| ());
        assert_eq!(refused, Err(AssignmentRefused::NotAssignable { role: custom, scope: scope(GROUP) }));
    }

    #[test]
    fn an_assignment_is_deleted_at_its_own_scope_only() {
        let mut facts = facts(built_in::OWNER);
        let assigned = attempt(&facts, new(2, VAULT, built_in::READER)).expect("permitted");
        facts.insert_assignment(assigned.assignment.clone());
        let gone = unassign(&caller(TENANT), &scope(VAULT), id(2), &facts).expect("permitted");
        assert_eq!(gone.assignment, assigned.assignment);
        let refused = unassign(&caller(TENANT), &scope(GROUP), id(2), &facts).map(|_| ());
        assert_eq!(refused, Err(AssignmentRefused::Absent(id(2))));
        let refused = unassign(&caller(TENANT), &Scope::root(), id(2), &facts).map(|_| ());
        assert!(matches!(refused, Err(AssignmentRefused::Denied(_))));
    }

    #[test]
    fn a_caller_of_another_tenant_gives_and_takes_nothing() {
        let facts = facts(built_in::OWNER);
        let stranger = caller(TenantId(Uuid::from_u128(2)));
        let other_tenant = |refused: AssignmentRefused| matches!(refused, AssignmentRefused::Denied(denial) if denial.reason == DenialReason::OtherTenant);
        assert!(assign(&stranger, new(2, VAULT, built_in::READER), &facts, NOW).is_err_and(other_tenant));
        assert!(unassign(&stranger, &scope(GROUP), id(1), &facts).is_err_and(other_tenant));
        assert!(unassign(&stranger, &scope(GROUP), id(7), &facts).is_err_and(other_tenant));
    }

    #[test]
    fn principal_types_are_read_in_any_case() {
        for kind in PrincipalType::ALL {
            assert_eq!(PrincipalType::parse(&kind.to_string().to_uppercase()), Ok(kind));
        }
        assert!(PrincipalType::parse("Device").is_err());
    }
}
