//! The proof that a decision was made, which operations take as an argument (architecture.md §4, invariant 3).

use std::fmt;
use std::marker::PhantomData;

use super::action::{Action, ActionName};
use super::caller::Caller;
use super::decide::{Decision, DenialReason, Request, decide};
use super::facts::Facts;
use crate::ids::{RoleAssignmentId, RoleDefinitionId};
use crate::resource::scope::Scope;

/// Proof that a caller may do `A` at a scope; only [`authorize`] makes one.
///
/// An operation that takes one cannot be reached unguarded:
///
/// ```
/// use vouchsafe_domain::access::action::GetSecret;
/// use vouchsafe_domain::access::authorize::{Authorized, Denial, authorize};
/// use vouchsafe_domain::access::{caller::Caller, facts::Facts};
/// use vouchsafe_domain::resource::scope::Scope;
///
/// fn read(proof: &Authorized<GetSecret>) -> &Scope {
///     proof.scope()
/// }
/// fn guarded(caller: &Caller, scope: &Scope, facts: &Facts) -> Result<(), Denial> {
///     read(&authorize(caller, scope, facts)?);
///     Ok(())
/// }
/// ```
///
/// It has no public fields, so it cannot be written down:
///
/// ```compile_fail,E0451
/// use vouchsafe_domain::access::action::GetSecret;
/// use vouchsafe_domain::access::authorize::Authorized;
/// use vouchsafe_domain::access::caller::Caller;
/// use vouchsafe_domain::ids::RoleAssignmentId;
/// use vouchsafe_domain::resource::scope::Scope;
///
/// fn forge(caller: Caller, scope: Scope, assignment: RoleAssignmentId) -> Authorized<GetSecret> {
///     Authorized { caller, scope, assignment, action: std::marker::PhantomData }
/// }
/// ```
///
/// It cannot be copied for later:
///
/// ```compile_fail,E0308
/// use vouchsafe_domain::access::action::GetSecret;
/// use vouchsafe_domain::access::authorize::Authorized;
///
/// fn keep(proof: &Authorized<GetSecret>) -> Authorized<GetSecret> {
///     proof.clone()
/// }
/// ```
///
/// And the proof of one action is not the proof of another:
///
/// ```compile_fail,E0308
/// use vouchsafe_domain::access::action::{GetSecret, SetSecret};
/// use vouchsafe_domain::access::authorize::Authorized;
///
/// fn write(_: &Authorized<SetSecret>) {}
/// fn confuse(proof: &Authorized<GetSecret>) {
///     write(proof);
/// }
/// ```
#[must_use = "a proof that nothing takes guards nothing"]
pub struct Authorized<A: Action> {
    caller: Caller,
    scope: Scope,
    assignment: RoleAssignmentId,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Authorized<A> {
    /// Who may.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Where. Operations take the place to act on from here, or check that it is the same.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Because of which role assignment; for the audit log and `x-ms-keyvault-rbac-assignment-id`.
    pub fn assignment(&self) -> RoleAssignmentId {
        self.assignment
    }

    /// What.
    pub fn action(&self) -> ActionName {
        A::ACTION
    }
}

impl<A: Action> fmt::Debug for Authorized<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorized({} at {} by {})", A::ACTION, self.scope, self.assignment)
    }
}

/// A request that nothing permits, with what a refusal must name (wire.md §7.5).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{}` lacks `{action}` at `{scope}`", caller.principal())]
pub struct Denial {
    /// Who asked.
    pub caller: Caller,
    /// The action that no assignment permits.
    pub action: ActionName,
    /// Where.
    pub scope: Scope,
    /// Why not; for the log, not for the caller.
    pub reason: DenialReason,
}

/// Decides whether `caller` may do `A` at `scope`.
pub fn authorize<A: Action>(caller: &Caller, scope: &Scope, facts: &Facts) -> Result<Authorized<A>, Denial> {
    authorize_assigning(caller, scope, None, facts)
}

/// The same for writing or deleting an assignment of the role `assigned`.
pub(super) fn authorize_assigning<A: Action>(
    caller: &Caller,
    scope: &Scope,
    assigned: Option<RoleDefinitionId>,
    facts: &Facts,
) -> Result<Authorized<A>, Denial> {
    let request = Request { subject: caller.subject(), action: A::ACTION, scope, assigned };
    let (caller, scope) = (caller.clone(), scope.clone());
    match decide(&request, facts) {
        Decision::Allow(assignment) => Ok(Authorized { caller, scope, assignment, action: PhantomData }),
        Decision::Deny(reason) => Err(Denial { caller, action: A::ACTION, scope, reason }),
    }
}
