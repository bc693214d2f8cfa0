//! What an operator sees of the token and of the processes of its module, read when the metrics are asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use vouchsafe_hsm::breaker::Position;
use vouchsafe_hsm::pkcs11::TokenState;

/// The metrics of one token, from whoever knows how it does.
pub(crate) struct TokenMetrics<F>(pub(crate) F);

impl<F> fmt::Debug for TokenMetrics<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenMetrics")
    }
}

impl<F: Fn() -> TokenState + Send + Sync + 'static> Collector for TokenMetrics<F> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let state = (self.0)();
        let mut gauge = |name, help, value: usize| {
            let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            value.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        gauge("token_processes", "Processes that have the module of the token loaded.", state.processes)?;
        gauge("token_threads_stuck", "Threads whose process could not be ended in time.", state.stuck)?;
        gauge("token_locked", "Whether the token refused the PIN.", usize::from(state.locked))?;
        let mut counter = |name, help, value| {
            let value = ConstCounter::new(value);
            value.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
        };
        counter("token_processes_started", "Processes of the module that were started.", state.started)?;
        counter("token_logins", "Logins to the token that were tried.", state.logins)?;
        counter("token_calls_late", "Calls to the token that met their deadline.", state.late)?;
        let help = "Processes of the module that ended.";
        let mut family =
            encoder.encode_descriptor("token_processes_ended", help, None, MetricType::Counter)?;
        for (why, count) in state.ended {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", why.as_str())])?)?;
        }
        let help = "Whether calls to the token are made: the position that is 1.";
        breaker(state.breaker, encoder.encode_descriptor("token_breaker", help, None, MetricType::Gauge)?)
    }
}

fn breaker(stands: Position, mut family: MetricEncoder<'_>) -> fmt::Result {
    for (position, name) in
        [(Position::Closed, "closed"), (Position::HalfOpen, "half_open"), (Position::Open, "open")]
    {
        let value = ConstGauge::new(i64::from(stands == position));
        value.encode(family.encode_family(&[("position", name)])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vouchsafe_hsm::pkcs11::counts::Ended;

    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn every_number_of_a_token_is_a_line() {
        let numbers = [11, 12, 13, 14, 15, 16];
        let mut ended = Ended::ALL.map(|why| (why, 0));
        for ((_, count), number) in ended.iter_mut().zip(numbers) {
            *count = number;
        }
        let state = TokenState {
            breaker: Position::HalfOpen,
            locked: true,
            stuck: 2,
            logins: 3,
            processes: 4,
            started: 5,
            ended,
            late: 6,
        };
        let telemetry = Telemetry::new("1.2.3", |registry| {
            registry.register_collector(Box::new(TokenMetrics(move || state)));
        });
        let text = telemetry.render();
        for line in [
            "# HELP vouchsafe_token_processes Processes that have the module of the token loaded.",
            "vouchsafe_token_processes 4",
            "vouchsafe_token_threads_stuck 2",
            "vouchsafe_token_locked 1",
            "vouchsafe_token_processes_started_total 5",
            "vouchsafe_token_logins_total 3",
            "vouchsafe_token_calls_late_total 6",
            "vouchsafe_token_processes_ended_total{reason=\"itself\"} 11",
            "vouchsafe_token_processes_ended_total{reason=\"late\"} 12",
            "vouchsafe_token_processes_ended_total{reason=\"garbled\"} 13",
            "vouchsafe_token_processes_ended_total{reason=\"failed\"} 14",
            "vouchsafe_token_processes_ended_total{reason=\"blind\"} 15",
            "vouchsafe_token_processes_ended_total{reason=\"unneeded\"} 16",
            "vouchsafe_token_breaker{position=\"closed\"} 0",
            "vouchsafe_token_breaker{position=\"half_open\"} 1",
            "vouchsafe_token_breaker{position=\"open\"} 0",
        ] {
            assert!(text.lines().any(|said| said == line), "{line} is not in\n{text}");
        }
    }
}
