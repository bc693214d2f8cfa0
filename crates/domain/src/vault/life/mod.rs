//! The life of an object, whatever it is: lists, changes of attributes, soft deletion, recovery, purge, backup.
//!
//! Each step is written once over [`Collection`](super::object::Collection); what callers use are the wrappers of each
//! collection. What belongs together - a certificate, its key and its secret - moves in one commit.

mod backup;
mod list;
mod removal;
mod update;

pub use backup::SealedBackup;
pub use list::ObjectPage;
