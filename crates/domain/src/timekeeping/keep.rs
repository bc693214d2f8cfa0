//! What keeps the latest time known, and who may say that the wall clock is right after all.

use super::ClockStanding;
use crate::audit::{Entry, Outcome, Subject};
use crate::error::Fault;
use crate::platform::{Context, Platform};

/// The audit entry's action when an administrator confirms the clock.
const CONFIRM: &str = "vouchsafe/clock/confirm/action";

impl Platform {
    /// Looks at the clock, and keeps the latest time known for the next start. One `tick` of a job.
    pub async fn keep_time(&self) -> Result<(), Fault> {
        self.time.keep(&*self.store).await
    }

    /// Believes the wall clock from now on, as an administrator says who looked at it: what was due by it is destroyed,
    /// and what was valid by it is valid. Returns how it stood before.
    pub async fn confirm_clock(&self, context: &Context) -> Result<ClockStanding, Fault> {
        let before = self.time().standing();
        let subject = Subject { by: "kernel".to_owned(), ..Subject::default() };
        let mut entry = Entry::new(context.request, subject, CONFIRM, "/", context.now);
        entry.from.clone_from(&context.from);
        entry.reason = Some(
            match before {
                ClockStanding::Sound => "clock_sound",
                ClockStanding::Behind(_) => "clock_behind",
                ClockStanding::Ahead(_) => "clock_ahead",
            }
            .to_owned(),
        );
        let intent = self.trail.announce(entry).await?;
        match self.time.confirm(&*self.store, intent.commit()).await {
            Ok(()) => {
                self.trail.conclude(intent, Outcome::Done, self.time().now())?;
                Ok(before)
            }
            Err(fault) => {
                // Nothing is written over what somebody else wrote; whether a store that does not answer did it, the next
                // start finds out.
                if matches!(fault, Fault::Contended) {
                    self.trail.conclude(intent, Outcome::Lost, context.now)?;
                }
                Err(fault)
            }
        }
    }
}
