//! The identity room: managed identities and the workloads that may be them.

mod managed;
pub mod select;

pub use managed::{Binding, ManagedIdentity};
pub use select::{Process, Requested, Unmatched};
