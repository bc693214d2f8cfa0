//! The audit log port: append-only, durable when it answers, never silently skipped.

use async_trait::async_trait;

/// The place of an entry in the log, counted from zero.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position(pub u64);

/// The log could not be written; the request it would have recorded must be refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the audit log cannot be written: {0}")]
pub struct LogUnavailable(pub String);

/// An append-only log of encoded entries.
///
/// `domain::audit` decides what an entry says; the adapter decides how it stays true: segments, a Merkle tree over
/// the entries in order, and signed checkpoints.
#[async_trait]
pub trait Log: Send + Sync {
    /// Appends `entry` and returns its position once it is durable.
    async fn append(&self, entry: Vec<u8>) -> Result<Position, LogUnavailable>;

    /// Queues `entry` without waiting for durability; used only for what recovery could reconstruct.
    fn append_later(&self, entry: Vec<u8>) -> Result<(), LogUnavailable>;

    /// Returns once everything queued before is durable.
    async fn flush(&self) -> Result<(), LogUnavailable>;

    /// Reads up to `limit` durable entries from `from` on, in order.
    async fn read(&self, from: Position, limit: usize) -> Result<Vec<(Position, Vec<u8>)>, LogUnavailable>;

    /// How many entries are durable.
    fn len(&self) -> u64;

    /// Whether nothing was ever appended.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
