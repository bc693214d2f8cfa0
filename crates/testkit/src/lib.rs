//! How we know: port suites, fakes, models and golden files. A development dependency only.

pub mod faulty_store;
pub mod golden;
pub mod model;
pub mod running;
pub mod suites;
