//! Who asks.
//!
//! A [`Subject`] is only said, a [`Caller`] is proven. Decisions can be asked about any subject (a report may want
//! to know who could read a secret); what a decision lets happen needs a caller.

use std::sync::Arc;

use crate::ids::{ClientId, PrincipalId, TenantId};

/// Who a decision is about; plain data that proves nothing.
///
/// It does not say which groups the principal is in: a token that did would keep a removed member in for as long as
/// it lives. Memberships are facts of the tenant, as fresh as its role assignments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subject {
    /// The tenant that vouches for the principal (`tid`).
    pub tenant: TenantId,
    /// The principal (`oid`).
    pub principal: PrincipalId,
    /// The application or managed identity (`appid`), when the principal is one.
    pub client: Option<ClientId>,
    /// Who issued the token (`iss`), or what else the proof came from.
    pub issuer: String,
    /// The id of the token (`uti`), for the audit log.
    pub token_id: Option<String>,
}

/// A subject that proved who it is; cheap to clone.
///
/// Nobody outside this crate can make one:
///
/// ```compile_fail,E0624
/// use vouchsafe_domain::access::caller::{Caller, Subject};
/// fn forge(subject: Subject) -> Caller {
///     Caller::from_verified(subject)
/// }
/// ```
///
/// ```compile_fail,E0423
/// use vouchsafe_domain::access::caller::{Caller, Subject};
/// fn forge(subject: Subject) -> Caller {
///     Caller(std::sync::Arc::new(subject))
/// }
/// ```
///
/// The same lines with a caller that exists already do compile:
///
/// ```
/// use vouchsafe_domain::access::caller::{Caller, Subject};
/// fn who(caller: &Caller) -> Subject {
///     caller.subject().clone()
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller(Arc<Subject>);

impl Caller {
    /// A caller whose claims were just verified.
    // INVARIANT: two places call this: the token room, from the claims of a token that the tenant's own keys verified,
    // and the admission of a local administrator whom the kernel authenticated.
    pub(crate) fn from_verified(subject: Subject) -> Self {
        Self(Arc::new(subject))
    }

    /// Who was proven to ask.
    pub fn subject(&self) -> &Subject {
        &self.0
    }

    /// The tenant that vouches for the principal.
    pub fn tenant(&self) -> TenantId {
        self.0.tenant
    }

    /// The principal.
    pub fn principal(&self) -> PrincipalId {
        self.0.principal
    }

    /// The application or managed identity, when the principal is one.
    pub fn client(&self) -> Option<ClientId> {
        self.0.client
    }

    /// Who issued the token, or what else the proof came from.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The id of the token.
    pub fn token_id(&self) -> Option<&str> {
        self.0.token_id.as_deref()
    }
}
