//! The clock port.

use crate::time::Timestamp;

/// Tells the time to the doors, which pass it inwards as a value.
pub trait Clock: Send + Sync {
    /// The wall-clock time now.
    fn now(&self) -> Timestamp;
}
