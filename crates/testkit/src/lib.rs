//! How we know: port suites, fakes and models. A development dependency only.

pub mod golden;
pub mod model;
pub mod suites;
