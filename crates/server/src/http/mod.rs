//! From a request to its handler and back: addresses, the route table, dialects.

pub mod path;
pub mod plane;
pub mod route;
