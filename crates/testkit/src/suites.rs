//! One suite per port: what every adapter must do, run over each of them.

pub mod hsm;
pub mod log;
pub mod store;
