//! What the platform decides.
//!
//! There are no sockets, files, SQL, HTTP, clock or threads here. Each room has nouns, *deciders* (synchronous and
//! pure) and *use cases* (asynchronous and dull): authorize, load, decide, commit.

pub mod access;
pub mod audit;
pub mod directory;
pub mod error;
pub mod identity;
pub mod ids;
pub mod limits;
pub mod listener;
pub mod platform;
pub mod ports;
pub mod record;
pub mod resource;
pub mod time;
pub mod timekeeping;
pub mod token;
pub mod vault;
pub mod world;

pub use error::Fault;
pub use platform::{Context, KeyHolders, Platform, Settings};
