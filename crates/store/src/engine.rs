//! What an engine must do: keep an ordered map of opaque bytes and apply conditional batches whole and durably.
//!
//! Implements the lower half of architecture.md §5. An engine knows neither names nor values: the barrier hands it
//! blinded keys and sealed bytes, and proves every answer afterwards. So an engine may be any ordered map with
//! multi-key conditional writes; what it must never do is acknowledge what a crash could still lose.

use std::future::Future;
use std::ops::Range;

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

/// How many revisions one opening of a store reserves: more than it can use, so that opening costs one write.
pub const REVISION_BLOCK: u64 = 1 << 40;

/// What an engine keeps under a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// The revision it was written at.
    pub revision: u64,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

/// What a batch expects to find under a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// A record of this revision.
    At(u64),
}

/// One write of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Put {
    /// Where.
    pub key: Vec<u8>,
    /// At which revision; the barrier has bound the bytes to it.
    pub revision: u64,
    /// What.
    pub bytes: Vec<u8>,
}

/// A log position with the barrier's proof that it wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// The position in the audit log.
    pub position: u64,
    /// A keyed hash of the position, which only the barrier can make or check.
    pub proof: [u8; 16],
}

/// What to call once a batch is durable and visible, whether or not anybody still waits for the answer.
///
/// Caches follow the store through this, so it must not depend on a caller that may have gone away.
pub type Notice = Box<dyn FnOnce() + Send>;

/// Changes that happen whole or not at all.
#[derive(Default)]
pub struct Batch {
    /// What must hold in the state before the batch, for the batch to happen.
    pub expected: Vec<(Vec<u8>, Expected)>,
    /// What to write.
    pub puts: Vec<Put>,
    /// What to remove.
    pub deletes: Vec<Vec<u8>>,
    /// The audit entry that announced the batch.
    pub announced: Option<Mark>,
    /// Who hears of it.
    pub notice: Option<Notice>,
}

/// Why an engine gave no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The engine's own structure is damaged.
    #[error("the engine's file is damaged: {0}")]
    Damaged(String),
    /// The engine cannot answer now.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a batch did not happen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// An expectation did not hold.
    #[error("an expectation did not hold")]
    Conflict,
    /// The engine gave no answer; nothing is known to have changed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// An ordered map of opaque bytes with conditional batches.
pub trait Engine: Send + Sync + 'static {
    /// Reads one record.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Stored>, EngineError>> + Send;

    /// Reads up to `limit` records whose key begins with `prefix` and is greater than `after`, in key order.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Vec<u8>, Stored)>, EngineError>> + Send;

    /// Applies the batch durably, or nothing of it.
    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), BatchError>> + Send;

    /// Gives out a block of revisions that no opening of this store was or will be given.
    fn reserve_revisions(&self) -> impl Future<Output = Result<Range<u64>, EngineError>> + Send;

    /// The marks of batches that happened, from position `from` on, in order.
    fn announced_since(&self, from: u64) -> impl Future<Output = Result<Vec<Mark>, EngineError>> + Send;

    /// Forgets marks before this position and remembers it, unless a later one was settled already.
    fn settle(&self, before: Mark) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// What [`Engine::settle`] last remembered.
    fn settled(&self) -> impl Future<Output = Result<Option<Mark>, EngineError>> + Send;
}
