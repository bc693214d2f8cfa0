//! The token room: who may have a token, how it is signed, and what a presented one proves.
//!
//! One function issues ([`issue::issue`]), and it takes evidence that only checking code can make. A tenant's tokens
//! are signed by that tenant's keys and verify with nothing else.

pub mod audience;
pub mod evidence;
pub mod grant;
pub mod issue;
pub mod rotate;
pub mod signing;
pub mod verify;

pub use audience::{Audience, Service};
pub use evidence::Evidence;
pub use grant::{ClientAuthentication, Error, GrantRequest, NodeGrant};
pub use issue::IssuedToken;
pub use signing::{KeyState, TenantKey};
pub use verify::{BearerRefused, VerifiedTokens};
