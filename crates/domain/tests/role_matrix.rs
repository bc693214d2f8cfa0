//! The whole permission matrix, printed: which built-in role permits which action. A change of policy is a diff of
//! `golden/role_matrix.txt`.

use std::fmt::Write as _;

use uuid::Uuid;
use vouchsafe_domain::access::action::{ActionName, Plane};
use vouchsafe_domain::access::assignment::{PrincipalType, RoleAssignment};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::access::caller::Subject;
use vouchsafe_domain::access::decide::{Decision, Request, decide};
use vouchsafe_domain::access::facts::Facts;
use vouchsafe_domain::access::role::RoleDefinition;
use vouchsafe_domain::ids::{PrincipalId, RoleAssignmentId, RoleDefinitionId, TenantId};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::time::Timestamp;
use vouchsafe_testkit::golden;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/role_matrix.txt");
const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const WORKER: PrincipalId = PrincipalId(Uuid::from_u128(10));
const VAULT: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/app";

fn scope(raw: &str) -> Scope {
    Scope::parse(raw).expect(raw)
}

/// Whether a worker that holds `role` at the vault, and nothing else, may do `action` at `at`.
fn allowed(
    role: &RoleDefinition,
    action: ActionName,
    at: &Scope,
    assigned: Option<RoleDefinitionId>,
) -> bool {
    let mut facts = Facts::new(TENANT);
    facts.insert_assignment(RoleAssignment {
        id: RoleAssignmentId(Uuid::from_u128(7)),
        scope: scope(VAULT),
        role: role.id(),
        principal: WORKER,
        principal_type: PrincipalType::ServicePrincipal,
        created_on: Timestamp::default(),
        created_by: None,
    });
    let issuer = "https://localhost".to_owned();
    let subject = Subject { tenant: TENANT, principal: WORKER, client: None, issuer, token_id: None };
    matches!(decide(&Request { subject: &subject, action, scope: at, assigned }, &facts), Decision::Allow(_))
}

fn cell(role: &RoleDefinition, action: ActionName) -> char {
    let (vault, below) = (scope(VAULT), scope(&format!("{VAULT}/secrets/db")));
    let at_vault = allowed(role, action, &vault, None);
    assert_eq!(allowed(role, action, &below, None), at_vault, "{} {action}", role.name());
    for outside in [format!("{VAULT}2"), VAULT.replace("/rg/", "/rg2/"), "/".to_owned()] {
        assert!(!allowed(role, action, &scope(&outside), None), "{} {action} {outside}", role.name());
    }
    let mut for_roles = built_in::all().iter().map(|other| allowed(role, action, &vault, Some(other.id())));
    match (at_vault, for_roles.any(|allowed| allowed)) {
        (true, _) => 'x',
        (false, true) => 'c',
        (false, false) => '.',
    }
}

#[test]
fn the_built_in_roles_permit_what_the_golden_matrix_says() {
    let mut text = String::from(
        "Which built-in role permits which action at the scope it is assigned at, and below.\n\
         x permitted, c permitted for the role assignments that the role's condition names, . not permitted\n\n",
    );
    for (number, role) in built_in::all().iter().enumerate() {
        writeln!(text, "{:>2} {} {}", number + 1, role.id(), role.name()).expect("a string");
    }
    for (title, plane) in [("Data actions", Plane::Data), ("Actions", Plane::Control)] {
        let columns: String = (1..=built_in::all().len()).map(|number| format!("{number:>3}")).collect();
        writeln!(text, "\n{title:<74}{columns}").expect("a string");
        for action in ActionName::ALL.iter().filter(|action| action.plane() == plane) {
            let cells: String =
                built_in::all().iter().map(|role| format!("  {}", cell(role, *action))).collect();
            writeln!(text, "{:<74}{cells}", action.as_str()).expect("a string");
        }
    }
    golden::check(GOLDEN, &text);
}
