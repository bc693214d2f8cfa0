//! The vault room: secrets and their life.
//!
//! A secret has a *head* (its name, its current version, what listing shows), a record of attributes for each version,
//! and a value record for each version that nothing but [`Platform::get_secret`](crate::Platform::get_secret) and
//! [`Platform::backup_secret`](crate::Platform::backup_secret) opens. A soft-deleted secret's head stands under another
//! kind, so that live and deleted lists are plain scans and a name is free exactly when both places are empty.

mod backup;
mod change;
mod decide;
mod error;
mod list;
mod load;
mod read;
mod removal;
mod secret;

pub use change::{SecretToSet, SecretUpdate};
pub use error::Error;
pub use list::SecretPage;
pub use read::ReadSecret;
pub use secret::{Attributes, DeletedSecret, SecretHead, SecretVersion};
