//! What the platform decides.
//!
//! There are no sockets, files, SQL, HTTP, clock or threads here. Each room has nouns, *deciders* (synchronous and
//! pure) and *use cases* (asynchronous and dull): authorize, load, decide, commit.

pub mod access;
pub mod ids;
pub mod ports;
pub mod resource;
pub mod time;
