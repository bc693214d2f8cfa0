//! What changes rarely is held in memory: an immutable snapshot per tenant, replaced when a commit changes it.
//!
//! A snapshot carries the revision of its tenant's epoch record. Every control-plane commit moves the epoch; every
//! vault commit is guarded by it. So a decision on an old snapshot can be made, but never take effect.

mod entity;
mod snapshot;
mod worlds;

pub use entity::Entity;
pub use snapshot::TenantSnapshot;
pub use worlds::{World, Worlds};
