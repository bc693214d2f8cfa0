//! How we know: port suites, fakes and models. A development dependency only.

pub mod suites;
