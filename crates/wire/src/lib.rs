//! Every shape we say or hear, and nothing else.
//!
//! A module here is a dialect: OAuth as Entra speaks it, Key Vault, ARM, the metadata endpoints of a node, and our own
//! admin interface. There are types with their JSON names, parsers with a budget and composers of the few texts that
//! are not JSON. There are no decisions, no clock, no status codes and no sockets. A parser's error names the member
//! or parameter in plain words, never quotes a value and never a Rust name, so that it may be shown to the caller.

pub mod admin;
pub mod arm;
pub mod challenge;
pub mod form;
pub mod imds;
pub mod json;
pub mod keyvault;
pub mod link;
pub mod node;
pub mod oauth;
pub mod path;
pub mod secret_text;
