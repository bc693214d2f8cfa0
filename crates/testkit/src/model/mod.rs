//! Tiny models of what must be right, written apart from the code that they judge.

pub mod access;
pub mod keys;
pub mod secrets;
