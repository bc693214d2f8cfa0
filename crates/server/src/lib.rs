//! How the platform is reached: doors, routes, dialects; it decides nothing itself.
//!
//! Bytes come in through [`listen`] with the certificates of [`tls`], are bounded by [`limits`], find their service
//! in [`http::plane`] and their handler in [`http::route`], and leave through [`http::reply`]. What the server asks others
//! goes through [`outside`].

pub mod adapters;
pub mod assemble;
pub mod http;
pub mod jobs;
pub mod limits;
pub mod listen;
pub mod outside;
pub mod rekeying;
pub mod root_token;
pub mod telemetry;
pub mod tls;
mod token_metrics;
