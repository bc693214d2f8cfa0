//! What the platform remembers: engines, the barrier above them, the audit log, and the root key.
//!
//! Nothing here decides. An [`engine`] keeps opaque bytes durable; the [`barrier`] above it implements the store port
//! and seals every record, names included; the [`log`] implements the log port; a [`deployment`] is all of it in one
//! directory, under the [`root`] key.

pub mod barrier;
pub mod deployment;
pub mod engine;
pub mod log;
pub mod root;

pub use barrier::Barrier;
pub use deployment::{Deployment, EngineKind, InitError, OpenError, initialise, open};
