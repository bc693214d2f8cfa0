//! The real clock and the real entropy: the only places where the program asks the machine for either.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use vouchsafe_domain::ports::{Clock, Entropy};
use vouchsafe_domain::time::Timestamp;

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock adapter that everything else asks")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Since the machine started, with the time that it slept: a laptop that was shut for a night did not jump.
    fn monotonic(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
    }
}

/// Seconds since 1970, for parts that know nothing of our types.
pub fn now_seconds(clock: &impl Clock) -> u64 {
    clock.now().seconds()
}

/// A moment in seconds since 1970 as people and RFC 3339 write it.
pub fn rfc3339(seconds: u64) -> String {
    Timestamp::from_seconds(seconds).rfc3339()
}

/// The cryptographic random generator of aws-lc, seeded by the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("aws-lc aborts the process rather than run out of randomness");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_past_the_year_2024_and_entropy_does_not_repeat() {
        assert!(SystemClock.now() > Timestamp::from_seconds(1_704_067_200));
        let before = SystemClock.monotonic();
        assert!(before > Duration::ZERO && SystemClock.monotonic() >= before);
        assert_ne!(SystemEntropy.uuid(), SystemEntropy.uuid());
        assert_eq!(SystemEntropy.uuid().get_version_num(), 4);
    }
}
