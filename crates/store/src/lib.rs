//! What the platform remembers: engines, the barrier above them, the audit log, and the root key.
//!
//! Nothing here decides. An [`engine`] keeps opaque bytes durable; the [`barrier`] above it implements the store port
//! and seals every record, names included; the [`log`] implements the log port; a [`deployment`] is all of it in one
//! directory, under the [`root`] key.

#![cfg_attr(
    not(feature = "sqlite"),
    expect(dead_code, reason = "some of it serves deployments on disk only")
)]

pub mod barrier;
#[cfg(feature = "sqlite")]
pub mod deployment;
pub mod engine;
pub mod log;
pub mod root;

pub use barrier::Barrier;
#[cfg(feature = "sqlite")]
pub use deployment::{Deployment, EngineKind, InitError, OpenError, initialise, open};
