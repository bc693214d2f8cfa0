//! A circuit breaker: what failed several times in a row is left alone for a while, then tried with one call.
//!
//! It counts only failures of the other side. A refused input says that the other side works.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vouchsafe_domain::ports::Clock;
use vouchsafe_domain::time::Timestamp;

/// Counts failures, and says whether a call may be made now.
pub struct Breaker {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    failures_max: u32,
    cooling: Duration,
}

/// How the breaker stands; for metrics and health.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Position {
    /// Calls are made.
    Closed,
    /// No call is made.
    Open,
    /// One call is made, and decides.
    HalfOpen,
}

enum State {
    Closed { failures: u32 },
    Open { since: Timestamp },
    HalfOpen,
}

/// Leave to make one call. Dropped without a verdict it counts as no call.
pub struct Permit<'a> {
    breaker: &'a Breaker,
    trial: Option<Timestamp>,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(clock: Arc<dyn Clock>, failures_max: u32, cooling: Duration) -> Self {
        Self { state: Mutex::new(State::Closed { failures: 0 }), clock, failures_max, cooling }
    }

    /// Asks for leave to make a call; refused, it says in how many seconds to ask again.
    pub fn admit(&self) -> Result<Permit<'_>, u32> {
        let now = self.clock.now();
        let mut state = self.state();
        match *state {
            State::Closed { .. } => Ok(Permit { breaker: self, trial: None }),
            // A clock that went backwards must not keep the breaker open until it has caught up.
            State::Open { since } if now < since || now.since(since) >= self.cooling => {
                *state = State::HalfOpen;
                Ok(Permit { breaker: self, trial: Some(since) })
            }
            State::Open { since } => {
                let left = self.cooling.saturating_sub(now.since(since));
                Err(u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1))
            }
            State::HalfOpen => Err(1),
        }
    }

    /// How it stands.
    pub fn position(&self) -> Position {
        match *self.state() {
            State::Closed { .. } => Position::Closed,
            State::Open { .. } => Position::Open,
            State::HalfOpen => Position::HalfOpen,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The other side answered.
    pub fn answered(mut self) {
        let mut state = self.breaker.state();
        // A slow answer to an old call says nothing about the trial that is on its way now.
        if self.trial.take().is_some() || matches!(*state, State::Closed { .. }) {
            *state = State::Closed { failures: 0 };
        }
    }

    /// The other side did not answer, or failed.
    pub fn failed(mut self) {
        let now = self.breaker.clock.now();
        let mut state = self.breaker.state();
        let trial = self.trial.take().is_some();
        match *state {
            State::Closed { failures } if failures + 1 < self.breaker.failures_max => {
                *state = State::Closed { failures: failures + 1 };
            }
            State::Closed { .. } => *state = State::Open { since: now },
            State::HalfOpen if trial => *state = State::Open { since: now },
            State::HalfOpen | State::Open { .. } => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(since) = self.trial.take() {
            let mut state = self.breaker.state();
            if matches!(*state, State::HalfOpen) {
                *state = State::Open { since };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Set(AtomicU64);

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    fn breaker() -> (Breaker, Arc<Set>) {
        let clock = Arc::new(Set(AtomicU64::new(1_000)));
        (Breaker::new(clock.clone(), 3, Duration::from_secs(10)), clock)
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.admit().map_err(drop).expect("closed").failed();
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let (breaker, _) = breaker();
        fail(&breaker, 2);
        breaker.admit().map_err(drop).expect("closed").answered();
        fail(&breaker, 2);
        assert_eq!(breaker.position(), Position::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.position(), Position::Open);
        assert_eq!(breaker.admit().err(), Some(10));
    }

    #[test]
    fn after_the_cooling_one_call_decides() {
        let (breaker, clock) = breaker();
        fail(&breaker, 3);
        clock.0.store(1_009, Ordering::Relaxed);
        assert_eq!(breaker.admit().err(), Some(1));
        clock.0.store(1_010, Ordering::Relaxed);
        let trial = breaker.admit().map_err(drop).expect("a trial");
        assert_eq!(breaker.admit().err(), Some(1), "only one");
        trial.failed();
        assert_eq!(breaker.position(), Position::Open);
        clock.0.store(1_020, Ordering::Relaxed);
        breaker.admit().map_err(drop).expect("a trial").answered();
        assert_eq!(breaker.position(), Position::Closed);
    }

    #[test]
    fn a_trial_that_nobody_waited_for_is_made_again() {
        let (breaker, clock) = breaker();
        fail(&breaker, 3);
        clock.0.store(1_010, Ordering::Relaxed);
        drop(breaker.admit().map_err(drop).expect("a trial"));
        assert_eq!(breaker.position(), Position::Open);
        breaker.admit().map_err(drop).expect("another").answered();
    }

    #[test]
    fn an_old_answer_does_not_close_it() {
        let (breaker, _) = breaker();
        let slow = breaker.admit().map_err(drop).expect("closed");
        fail(&breaker, 3);
        slow.answered();
        assert_eq!(breaker.position(), Position::Open);
    }

    #[test]
    fn a_clock_that_goes_backwards_does_not_keep_it_open() {
        let (breaker, clock) = breaker();
        fail(&breaker, 3);
        clock.0.store(10, Ordering::Relaxed);
        assert!(breaker.admit().is_ok());
    }
}
