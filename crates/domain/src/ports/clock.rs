//! The clock port.

use std::time::Duration;

use crate::time::Timestamp;

/// Tells the time to the [timekeeper](crate::timekeeping), which passes it inwards as a value.
pub trait Clock: Send + Sync {
    /// The wall-clock time now.
    fn now(&self) -> Timestamp;

    /// The time since a moment that nobody chose: it goes on while the machine sleeps, and nobody sets it.
    fn monotonic(&self) -> Duration;
}
