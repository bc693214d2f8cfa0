//! Both key holders pass the port's suite, and a token that misbehaves harms nothing but its own keys.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod faults;
mod processes;
mod softhsm;
mod software;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::time::Timestamp;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A clock that is set by hand, in seconds.
struct Hand(AtomicU64);

impl Hand {
    fn new() -> Self {
        Self(AtomicU64::new(1_000_000))
    }

    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}
