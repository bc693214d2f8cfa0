//! What an operator sees of requests: ids, spans and metrics, with routes by name.
//!
//! SECURITY: paths, query strings, headers and bodies are in none of them: they carry names, tokens and secrets, and
//! as label values they would let any caller fill our memory.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use http::StatusCode;
use vouchsafe_domain::timekeeping::ClockStanding;

use crate::http::plane::Door;
use crate::http::route::Plane;

/// The content type of [`Telemetry::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Answered {
    plane: &'static str,
    route: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct At {
    plane: &'static str,
    route: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Through {
    door: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Refused {
    door: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KeyUsed {
    operation: &'static str,
    algorithm: &'static str,
    outcome: &'static str,
}

/// Why a connection ended before it could ask anything, or while it asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectionRefused {
    /// The TLS handshake failed.
    Handshake,
    /// The TLS handshake took too long.
    HandshakeSlow,
    /// The head of a request took too long.
    HeaderSlow,
    /// The process at the other end belongs to another user.
    ForeignUser,
}

impl ConnectionRefused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::HandshakeSlow => "handshake_slow",
            Self::HeaderSlow => "header_slow",
            Self::ForeignUser => "foreign_user",
        }
    }
}

/// The server's metrics.
pub struct Telemetry {
    registry: Registry,
    requests: Family<Answered, Counter>,
    duration: Family<At, Histogram>,
    in_flight: Gauge,
    shed: Counter,
    panics: Counter,
    connections: Family<Through, Gauge>,
    refused: Family<Refused, Counter>,
    key_operations: Family<KeyUsed, Counter>,
    clock_behind: Gauge,
    clock_ahead: Gauge,
}

impl Telemetry {
    /// Registers the metrics of the doors, and whatever the caller adds.
    pub fn new(version: &str, add: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::with_prefix("vouchsafe");
        registry.register("build", "The running program", Info::new(vec![("version", version.to_owned())]));
        let requests = Family::default();
        registry.register("http_requests", "Answered requests", requests.clone());
        // From 100 µs to 13 s: a cached read is far below a millisecond, a key generation takes seconds.
        let duration: Family<At, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_1, 2.0, 18)));
        let help = "Time from the head of a request to its answer";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, duration.clone());
        let in_flight = Gauge::default();
        registry.register("http_requests_in_flight", "Requests being answered", in_flight.clone());
        let shed = Counter::default();
        registry.register("http_requests_shed", "Requests refused because of load", shed.clone());
        let panics = Counter::default();
        registry.register("http_panics", "Requests that ended in a mistake of ours", panics.clone());
        let connections = Family::default();
        registry.register("connections", "Open connections", connections.clone());
        let refused = Family::default();
        registry.register("connections_refused", "Connections ended by us", refused.clone());
        let key_operations = Family::default();
        registry.register("key_operations", "Operations with keys of vaults", key_operations.clone());
        let clock_behind = Gauge::default();
        let help = "How far the wall clock is behind the latest time known; 0 while it is believed";
        registry.register_with_unit("clock_behind", help, Unit::Seconds, clock_behind.clone());
        let clock_ahead = Gauge::default();
        let help = "How far the wall clock is ahead of what can have passed; 0 while it is believed";
        registry.register_with_unit("clock_ahead", help, Unit::Seconds, clock_ahead.clone());
        add(&mut registry);
        Self {
            registry,
            requests,
            duration,
            in_flight,
            shed,
            panics,
            connections,
            refused,
            key_operations,
            clock_behind,
            clock_ahead,
        }
    }

    /// Every metric in OpenMetrics text, for `GET /metrics`.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }

    pub(crate) fn answered(
        &self,
        plane: Option<Plane>,
        route: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        let plane = plane.map_or("none", Plane::as_str);
        let class = match status.as_u16() {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&Answered { plane, route, class }).inc();
        self.duration.get_or_create(&At { plane, route }).observe(took.as_secs_f64());
    }

    pub(crate) fn clock(&self, standing: ClockStanding) {
        let seconds = |by: Duration| i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        let (behind, ahead) = match standing {
            ClockStanding::Sound => (0, 0),
            ClockStanding::Behind(by) => (seconds(by), 0),
            ClockStanding::Ahead(by) => (0, seconds(by)),
        };
        self.clock_behind.set(behind);
        self.clock_ahead.set(ahead);
    }

    pub(crate) fn shed(&self) {
        self.shed.inc();
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts an operation with a key: what, how, and what came of it, each from a closed list of words.
    pub(crate) fn key_used(&self, operation: &'static str, algorithm: &'static str, outcome: &'static str) {
        self.key_operations.get_or_create(&KeyUsed { operation, algorithm, outcome }).inc();
    }

    pub(crate) fn refused(&self, door: Door, reason: ConnectionRefused) {
        self.refused.get_or_create(&Refused { door: door.as_str(), reason: reason.as_str() }).inc();
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn request(&self) -> Counted {
        Counted::new(self.in_flight.clone())
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(&self, door: Door) -> Counted {
        Counted::new(self.connections.get_or_create(&Through { door: door.as_str() }).clone())
    }
}

/// Lowers a gauge again when it is dropped, however that happens.
pub(crate) struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_name_routes_and_count_what_is_open() {
        let telemetry = Telemetry::new("1.2.3", |registry| {
            registry.register("extra", "Added by the caller", Counter::<u64>::default());
        });
        let connection = telemetry.connection(Door::Tls);
        telemetry.answered(Some(Plane::KeyVault), "secret_get", StatusCode::OK, Duration::from_millis(1));
        telemetry.answered(None, "none", StatusCode::MISDIRECTED_REQUEST, Duration::ZERO);
        telemetry.key_used("sign", "ES256", "done");
        let text = telemetry.render();
        for line in [
            "vouchsafe_build_info{version=\"1.2.3\"} 1",
            "vouchsafe_http_requests_total{plane=\"keyvault\",route=\"secret_get\",class=\"2xx\"} 1",
            "vouchsafe_http_requests_total{plane=\"none\",route=\"none\",class=\"4xx\"} 1",
            "vouchsafe_http_request_duration_seconds_count{plane=\"keyvault\",route=\"secret_get\"} 1",
            "vouchsafe_connections{door=\"tls\"} 1",
            "vouchsafe_key_operations_total{operation=\"sign\",algorithm=\"ES256\",outcome=\"done\"} 1",
            "vouchsafe_extra_total 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        drop(connection);
        assert!(telemetry.render().contains("vouchsafe_connections{door=\"tls\"} 0"));
    }
}
