//! The resource room: what can be scoped. Subscriptions, resource groups, vaults; identities stand among them.

mod control;
mod error;
mod group;
mod manage;
mod roles;
pub mod scope;
mod vault;

pub use control::{Plan, Write};
pub use error::Error;
pub use group::{ResourceGroup, Subscription};
pub use manage::{IdentityToPut, Put, VaultToPut};
pub use vault::{Sku, Vault};
