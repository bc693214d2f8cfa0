//! The audit log: append-only segments, a Merkle tree over the entries, signed checkpoints (architecture.md §8).
//!
//! ```text
//! audit/segment/000000000000   65,536 entries each, framed; the file's number counts from zero
//! audit/tile/…                 hashes of the tree, in C2SP tlog-tiles layout
//! audit/checkpoint             the newest signed checkpoint (C2SP tlog-checkpoint)
//! audit/checkpoints            all of them, oldest first
//! audit/key.pub                the verifier key of the checkpoints
//! ```
//!
//! Entries are durable before they are acknowledged, and acknowledged before they are hashed; everything but the
//! segments can be computed again from them and is checked against what was signed. A log that is shorter than, or
//! different from, what was ever signed is not opened.

mod append;
mod checkpoints;
mod frame;
mod open;
mod segment;
mod tree;
pub mod verify;

pub use append::FileLog;
pub use checkpoints::Signer;
pub use open::{LogError, initialise};

/// Entries per segment file.
pub const SEGMENT_ENTRIES: u64 = 65_536;
/// Bytes one entry may have: what the 16-bit length of a tile entry can say.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;
