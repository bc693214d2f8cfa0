//! What the platform remembers: engines, the barrier above them, the audit log, and the root key.
//!
//! Nothing here decides. An [`engine`] keeps opaque bytes durable; the [`barrier`] above it implements the store port
//! and seals every record, names included.

pub mod barrier;
pub mod engine;

pub use barrier::Barrier;
