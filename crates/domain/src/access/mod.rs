//! The access room: who may do what where (Azure RBAC; wire.md §7.6 and §8, security.md §7.4).
//!
//! Role assignments give a principal or a group a role at a scope; a role permits actions by pattern. [`decide`]
//! answers whether a request is permitted and knows nothing but the [`facts`] it is given. [`authorize`] turns the
//! answer into a proof, without which no operation of another room can be called. Only this room makes proofs, and
//! it does not know what they are for.

pub mod action;
pub mod assignment;
pub mod authorize;
pub mod built_in;
pub mod caller;
pub mod custom_role;
pub mod decide;
pub mod facts;
pub mod pattern;
pub mod role;
mod stored;
