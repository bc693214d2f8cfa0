//! The resource room: what can be scoped.

pub mod scope;
