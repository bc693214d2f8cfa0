//! What the platform remembers: engines, the barrier above them, the audit log, and the root key.
//!
//! Nothing here decides. An [`engine`] keeps opaque bytes durable.

pub mod engine;
