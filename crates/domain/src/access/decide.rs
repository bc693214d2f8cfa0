//! The decision (security.md §7.4): may this subject do this action at this scope?
//!
//! Pure, and nothing is permitted that no role assignment permits. An assignment reaches everything at and below its
//! scope; it permits its role's actions minus its role's notActions; what one assignment permits another cannot take
//! away. Actions and data actions are different planes and never stand in for each other.

use super::action::ActionName;
use super::caller::Subject;
use super::facts::Facts;
use crate::ids::{RoleAssignmentId, RoleDefinitionId};
use crate::resource::scope::Scope;

/// A question to decide.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks, or who is asked about.
    pub subject: &'a Subject,
    /// What it wants to do.
    pub action: ActionName,
    /// Where.
    pub scope: &'a Scope,
    /// For writing and deleting a role assignment: the role that it gives. Conditions of roles look at it; without
    /// it they are not met.
    pub assigned: Option<RoleDefinitionId>,
}

/// The answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// This assignment permits it.
    Allow(RoleAssignmentId),
    /// Nothing permits it.
    Deny(DenialReason),
}

/// Why nothing permits a request; for the log, not for the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DenialReason {
    /// The subject belongs to another tenant.
    OtherTenant,
    /// The subject has no role assignment at the scope or above it.
    NoAssignment,
    /// The subject has role assignments there, but none whose role permits the action.
    NotPermitted,
}

/// Decides a request from one tenant's facts.
pub fn decide(request: &Request<'_>, facts: &Facts) -> Decision {
    // SECURITY: the first check, before anything is looked up. Object ids are GUIDs of the caller's own tenant's
    // making; another tenant could choose one that has assignments here.
    if request.subject.tenant != facts.tenant() {
        return Decision::Deny(DenialReason::OtherTenant);
    }
    let mut reason = DenialReason::NoAssignment;
    for assignment in facts.held_by(request.subject.principal) {
        if !assignment.scope.contains(request.scope) {
            continue;
        }
        reason = DenialReason::NotPermitted;
        // An assignment of a role that is gone permits nothing.
        let role = facts.role(assignment.role);
        if role.is_some_and(|role| role.permits(request.action, request.assigned)) {
            return Decision::Allow(assignment.id);
        }
    }
    Decision::Deny(reason)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::access::assignment::{PrincipalType, RoleAssignment};
    use crate::access::built_in;
    use crate::access::pattern::ActionPattern;
    use crate::access::role::{Permission, RoleDefinition};
    use crate::ids::{PrincipalId, TenantId};
    use crate::time::Timestamp;

    const HERE: TenantId = TenantId(Uuid::from_u128(1));
    const ELSEWHERE: TenantId = TenantId(Uuid::from_u128(2));
    const WORKER: PrincipalId = PrincipalId(Uuid::from_u128(10));
    const OTHER: PrincipalId = PrincipalId(Uuid::from_u128(11));
    const TEAM: PrincipalId = PrincipalId(Uuid::from_u128(20));
    const GROUP: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg";
    const VAULT: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/app";

    fn scope(raw: &str) -> Scope {
        Scope::parse(raw).expect(raw)
    }

    fn secret(name: &str) -> Scope {
        scope(&format!("{VAULT}/secrets/{name}"))
    }

    fn assignment(id: u128, at: &Scope, role: RoleDefinitionId, principal: PrincipalId) -> RoleAssignment {
        RoleAssignment {
            id: RoleAssignmentId(Uuid::from_u128(id)),
            scope: at.clone(),
            role,
            principal,
            principal_type: PrincipalType::ServicePrincipal,
            created_on: Timestamp::default(),
            created_by: None,
        }
    }

    fn facts(assignments: &[RoleAssignment]) -> Facts {
        let mut facts = Facts::new(HERE);
        assignments.iter().cloned().for_each(|assignment| facts.insert_assignment(assignment));
        facts
    }

    fn ask(facts: &Facts, tenant: TenantId, who: PrincipalId, action: ActionName, at: &Scope) -> Decision {
        let issuer = String::new();
        let subject = Subject { tenant, principal: who, client: None, issuer, token_id: None };
        decide(&Request { subject: &subject, action, scope: at, assigned: None }, facts)
    }

    fn allowed_by(id: u128) -> Decision {
        Decision::Allow(RoleAssignmentId(Uuid::from_u128(id)))
    }

    #[test]
    fn without_an_assignment_everything_is_denied() {
        for action in ActionName::ALL {
            let decision = ask(&facts(&[]), HERE, WORKER, *action, &Scope::root());
            assert_eq!(decision, Decision::Deny(DenialReason::NoAssignment), "{action}");
        }
    }

    #[test]
    fn an_assignment_reaches_its_scope_and_below() {
        for (at, other_secret, other_group) in [
            (Scope::root(), true, true),
            (scope(GROUP), true, false),
            (scope(VAULT), true, false),
            (secret("db"), false, false),
        ] {
            let facts = facts(&[assignment(1, &at, built_in::KEY_VAULT_SECRETS_USER, WORKER)]);
            let get = |at: &Scope| {
                matches!(ask(&facts, HERE, WORKER, ActionName::GetSecret, at), Decision::Allow(_))
            };
            assert!(get(&secret("db")) && get(&secret("DB")), "{at}");
            assert_eq!(get(&secret("db2")), other_secret, "{at}");
            assert_eq!(get(&scope(&VAULT.replace("/rg/", "/rg2/"))), other_group, "{at}");
            assert!(!matches!(
                ask(&facts, HERE, OTHER, ActionName::GetSecret, &secret("db")),
                Decision::Allow(_)
            ));
        }
    }

    #[test]
    fn a_subject_of_another_tenant_is_denied_before_anything_else() {
        let facts = facts(&[assignment(1, &Scope::root(), built_in::KEY_VAULT_ADMINISTRATOR, WORKER)]);
        assert_eq!(ask(&facts, HERE, WORKER, ActionName::GetSecret, &secret("db")), allowed_by(1));
        let decision = ask(&facts, ELSEWHERE, WORKER, ActionName::GetSecret, &secret("db"));
        assert_eq!(decision, Decision::Deny(DenialReason::OtherTenant));
    }

    #[test]
    fn the_owner_of_everything_reads_no_secret() {
        let facts = facts(&[assignment(1, &Scope::root(), built_in::OWNER, WORKER)]);
        assert_eq!(ask(&facts, HERE, WORKER, ActionName::DeleteVault, &scope(VAULT)), allowed_by(1));
        let decision = ask(&facts, HERE, WORKER, ActionName::GetSecret, &secret("db"));
        assert_eq!(decision, Decision::Deny(DenialReason::NotPermitted));
    }

    #[test]
    fn a_member_holds_what_its_group_holds_and_not_after_it_left() {
        let mut facts = facts(&[assignment(1, &scope(VAULT), built_in::KEY_VAULT_SECRETS_USER, TEAM)]);
        let get = |facts: &Facts| ask(facts, HERE, WORKER, ActionName::GetSecret, &secret("db"));
        assert_eq!(get(&facts), Decision::Deny(DenialReason::NoAssignment));
        facts.set_members(TEAM, &[OTHER, WORKER, WORKER]);
        assert_eq!(get(&facts), allowed_by(1));
        facts.set_members(TEAM, &[OTHER]);
        assert_eq!(get(&facts), Decision::Deny(DenialReason::NoAssignment));
    }

    #[test]
    fn what_one_assignment_takes_out_another_may_permit() {
        let pattern = |raw| vec![ActionPattern::parse(raw).expect("a pattern")];
        let id = RoleDefinitionId(Uuid::from_u128(99));
        let all_but_get = Permission {
            data_actions: pattern("*"),
            not_data_actions: pattern("*/secrets/getSecret/action"),
            ..Permission::default()
        };
        let role = RoleDefinition::custom(id, "All but get", "", vec![all_but_get], vec![Scope::root()]);
        let mut facts = facts(&[assignment(1, &scope(VAULT), id, WORKER)]);
        facts.insert_role(role.expect("a role"));
        let get = |facts: &Facts| ask(facts, HERE, WORKER, ActionName::GetSecret, &secret("db"));
        assert_eq!(ask(&facts, HERE, WORKER, ActionName::SetSecret, &secret("db")), allowed_by(1));
        assert_eq!(get(&facts), Decision::Deny(DenialReason::NotPermitted));
        facts.insert_assignment(assignment(2, &secret("db"), built_in::KEY_VAULT_SECRETS_USER, WORKER));
        assert_eq!(get(&facts), allowed_by(2));
    }

    #[test]
    fn an_assignment_or_a_role_that_is_gone_permits_nothing() {
        let mut without_assignment =
            facts(&[assignment(1, &scope(VAULT), built_in::KEY_VAULT_SECRETS_USER, WORKER)]);
        without_assignment.remove_assignment(RoleAssignmentId(Uuid::from_u128(1)));
        let decision = ask(&without_assignment, HERE, WORKER, ActionName::GetSecret, &secret("db"));
        assert_eq!(decision, Decision::Deny(DenialReason::NoAssignment));

        let gone = RoleDefinitionId(Uuid::from_u128(99));
        let without_role = facts(&[assignment(1, &scope(VAULT), gone, WORKER)]);
        let decision = ask(&without_role, HERE, WORKER, ActionName::GetSecret, &secret("db"));
        assert_eq!(decision, Decision::Deny(DenialReason::NotPermitted));
    }

    #[test]
    fn built_in_roles_cannot_be_replaced_or_removed() {
        let mut facts = facts(&[assignment(1, &scope(VAULT), built_in::KEY_VAULT_SECRETS_USER, WORKER)]);
        assert!(facts.remove_role(built_in::KEY_VAULT_SECRETS_USER).is_none());
        assert_eq!(ask(&facts, HERE, WORKER, ActionName::GetSecret, &secret("db")), allowed_by(1));
    }
}
