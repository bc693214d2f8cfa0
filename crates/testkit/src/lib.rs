//! How we know: port suites, fakes, models, golden files and a platform in memory. A development dependency only.

pub mod counting_token;
pub mod elsewhere;
pub mod faulty_hsm;
pub mod faulty_store;
pub mod golden;
pub mod model;
pub mod pebble;
pub mod processes;
pub mod running;
pub mod softhsm;
pub mod suites;
pub mod world;
