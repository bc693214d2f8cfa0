//! The few seams to the outside world. Each has one suite in `testkit` that every adapter passes.

pub mod clock;
pub mod entropy;
pub mod hsm;
pub mod issuer;
pub mod log;
pub mod store;

pub use clock::Clock;
pub use entropy::Entropy;
pub use hsm::Hsm;
pub use issuer::CertificateIssuer;
pub use log::Log;
pub use store::Store;
