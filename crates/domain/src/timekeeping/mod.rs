//! What time it is, as far as it can be believed: the wall clock, held against a clock that nobody sets and against the
//! latest time that is known.
//!
//! The wall clock can be set. The monotonic clock cannot, but knows no dates. The difference of the two stays what it is
//! while nobody interferes, so all that is kept here are two such differences: the highest one that was believed, which
//! is the latest time known, and the one from which jumps are measured. Whoever sets the wall clock back does not make
//! anything young again: time is at least the latest time known, and goes on by the monotonic clock. Whoever sets it ahead
//! makes nothing old enough to be destroyed: that needs an [`ElapsedTime`], which a clock that jumped does not give.
//! And while it is behind, nothing new is dated: that needs an [`IssueTime`].
//!
//! INVARIANT: only [`Timekeeper`] reads the clock for what is decided. A `Context` is made from a [`Reading`] of it and of
//! nothing else.

mod keep;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vouchsafe_crypto::{Reason, SecretBytes};

use crate::error::Fault;
use crate::limits::{CLOCK_BEHIND_MAX, CLOCK_GAP_AT_START_MAX, CLOCK_JUMP_MAX};
use crate::ports::store::{Commit, CommitError, Expect, Housekeeping, Key, Kind, Partition, Revision};
use crate::ports::{Clock, Store};
use crate::record::{self, Decode, Encode, Undecodable};
use crate::time::Timestamp;

/// How the wall clock stands to what is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClockStanding {
    /// As expected.
    Sound,
    /// It shows an earlier time than was known already, by this much.
    Behind(Duration),
    /// It shows a later time than can have come, by this much, and nobody has confirmed it.
    Ahead(Duration),
}

/// The time, read once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    now: Timestamp,
    standing: ClockStanding,
}

/// A time from which something new may be dated. Only a clock that is not behind gives it.
///
/// ```compile_fail
/// let now = vouchsafe_domain::timekeeping::IssueTime(vouchsafe_domain::time::Timestamp::from_seconds(1));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct IssueTime(Timestamp);

/// A time until which nobody doubts that it has come. Only a clock that is not ahead of what is known gives it.
///
/// ```compile_fail
/// let now = vouchsafe_domain::timekeeping::ElapsedTime(vouchsafe_domain::time::Timestamp::from_seconds(1));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ElapsedTime(Timestamp);

impl Reading {
    /// The time by which validity is judged: never earlier than the latest time that was known.
    pub const fn now(self) -> Timestamp {
        self.now
    }

    /// How the wall clock stands.
    pub const fn standing(self) -> ClockStanding {
        self.standing
    }

    /// The time from which a token or a certificate may begin to be valid.
    pub fn for_issuing(self) -> Result<IssueTime, Fault> {
        let ClockStanding::Behind(by) = self.standing else { return Ok(IssueTime(self.now)) };
        let why = format!(
            "this machine's clock is {} s behind the latest time that is known, so nothing new is issued; set the clock \
             right or, if the known time is the wrong one, run `vouchsafe clock confirm`",
            by.as_secs()
        );
        Err(Fault::UnavailableFor { why, retry_after_seconds: CLOCK_RETRY_SECONDS })
    }

    /// The time up to which what is due may be destroyed; none while that is in doubt.
    pub fn elapsed(self) -> Option<ElapsedTime> {
        (!matches!(self.standing, ClockStanding::Ahead(_))).then_some(ElapsedTime(self.now))
    }
}

const CLOCK_RETRY_SECONDS: u32 = 60;

impl IssueTime {
    /// The moment.
    pub const fn moment(self) -> Timestamp {
        self.0
    }
}

impl ElapsedTime {
    /// The moment.
    pub const fn moment(self) -> Timestamp {
        self.0
    }
}

/// What outlives the process: the latest time known, and whether the wall clock was in doubt then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClockMark {
    /// The latest time that was believed.
    pub latest: Timestamp,
    /// Whether the wall clock was ahead of it without a confirmation.
    pub doubted: bool,
}

impl Encode for ClockMark {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::ClockMark { latest: self.latest.millis(), doubted: self.doubted })
    }
}

impl Decode for ClockMark {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::ClockMark = record::decode(bytes)?;
        Ok(Self { latest: Timestamp::from_millis(stored.latest), doubted: stored.doubted })
    }
}

fn place() -> Key {
    Key::new(Partition::Deployment, Kind::ClockMark, "local")
}

/// The state: differences of the wall clock to the monotonic one, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The highest that was believed: with the monotonic clock added, the latest time known.
    highest: i128,
    /// From where a jump is measured.
    base: i128,
    /// How far the wall clock may be ahead of that.
    ahead_max: Duration,
    /// Whether it was further ahead when it was last not behind.
    doubted: bool,
}

impl Known {
    fn at_start(mark: ClockMark, monotonic: Duration) -> Self {
        let highest = i128::from(mark.latest.millis()) - millis(monotonic);
        // A jump cannot be told from time in which nothing ran, so that one may be longer; but not after a doubt, which
        // a new start does not settle.
        let ahead_max = if mark.doubted { CLOCK_JUMP_MAX } else { CLOCK_GAP_AT_START_MAX };
        Self { highest, base: highest, ahead_max, doubted: mark.doubted }
    }

    /// The wall clock is right, whatever was known.
    fn confirmed(wall: Timestamp, monotonic: Duration) -> Self {
        let offset = i128::from(wall.millis()) - millis(monotonic);
        Self { highest: offset, base: offset, ahead_max: CLOCK_JUMP_MAX, doubted: false }
    }

    fn latest(&self, monotonic: Duration) -> Timestamp {
        let latest = self.highest.saturating_add(millis(monotonic)).max(0);
        Timestamp::from_millis(u64::try_from(latest).unwrap_or(u64::MAX))
    }

    /// Judges a pair of readings, and learns from it if it is believed.
    fn read(&mut self, wall: Timestamp, monotonic: Duration) -> Reading {
        let offset = i128::from(wall.millis()) - millis(monotonic);
        let (behind, ahead) = (self.highest - offset, offset - self.base);
        if behind > millis(CLOCK_BEHIND_MAX) {
            return Reading {
                now: self.latest(monotonic),
                standing: ClockStanding::Behind(duration(behind)),
            };
        }
        if ahead > millis(self.ahead_max) {
            self.doubted = true;
            return Reading { now: wall, standing: ClockStanding::Ahead(duration(ahead)) };
        }
        self.highest = self.highest.max(offset);
        if self.ahead_max != CLOCK_JUMP_MAX {
            // The first time that is believed after a start: jumps are measured from here.
            (self.base, self.ahead_max) = (self.highest, CLOCK_JUMP_MAX);
        }
        self.doubted = false;
        Reading { now: self.latest(monotonic), standing: ClockStanding::Sound }
    }
}

fn millis(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap_or(i128::MAX)
}

fn duration(millis: i128) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// The only reader of the clock.
pub struct Timekeeper {
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// What was last written, and the revision to expect when it is replaced.
    kept: futures_util::lock::Mutex<Option<(ClockMark, Revision)>>,
}

impl Timekeeper {
    /// Goes on from the latest time that the store knows. Without one - a new deployment, or one of before such records -
    /// from `recorded`, when the newest entry of the log was written.
    pub async fn open(
        store: &dyn Store,
        recorded: Option<Timestamp>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Fault> {
        let kept = match store.get(&place()).await? {
            Some(found) => Some((ClockMark::decode(found.value.expose(Reason::Record))?, found.revision)),
            None => None,
        };
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let known = match (kept, recorded) {
            (Some((mark, _)), _) => Known::at_start(mark, monotonic),
            (None, Some(latest)) => Known::at_start(ClockMark { latest, doubted: false }, monotonic),
            (None, None) => Known::confirmed(wall, monotonic),
        };
        let (known, kept) = (Mutex::new(known), futures_util::lock::Mutex::new(kept));
        Ok(Arc::new(Self { clock, known, kept }))
    }

    /// What time it is, and how far that can be believed.
    pub fn read(&self) -> Reading {
        let (wall, monotonic) = (self.clock.now(), self.clock.monotonic());
        self.known().read(wall, monotonic)
    }

    /// Keeps the latest time in the store when that has moved enough, or when the doubt about it has changed. One `tick`.
    pub async fn keep(&self, store: &dyn Store) -> Result<(), Fault> {
        let mut kept = self.kept.lock().await;
        self.read();
        let mark = self.mark();
        if let Some((before, _)) = *kept
            && before.doubted == mark.doubted
            && before.latest <= mark.latest
            && mark.latest.since(before.latest) < MARK_INTERVAL
        {
            return Ok(());
        }
        let commit = Commit::housekeeping(Housekeeping::ClockMark);
        self.write(store, commit, mark, &mut kept).await
    }

    /// Believes the wall clock from now on, once that is durable.
    async fn confirm(&self, store: &dyn Store, commit: Commit) -> Result<(), Fault> {
        let mut kept = self.kept.lock().await;
        let (wall, monotonic) = (self.clock.now(), self.clock.monotonic());
        let confirmed = Known::confirmed(wall, monotonic);
        let mark = ClockMark { latest: confirmed.latest(monotonic), doubted: false };
        self.write(store, commit, mark, &mut kept).await?;
        *self.known() = confirmed;
        Ok(())
    }

    async fn write(
        &self,
        store: &dyn Store,
        commit: Commit,
        mark: ClockMark,
        kept: &mut Option<(ClockMark, Revision)>,
    ) -> Result<(), Fault> {
        let expect = kept.map_or(Expect::Absent, |(_, revision)| Expect::At(revision));
        match store.commit(commit.put(place(), expect, SecretBytes::new(mark.encode()))).await {
            Ok(revisions) => *kept = revisions.first().map(|revision| (mark, *revision)),
            // Nobody else writes it: this is a commit of ours whose answer was lost. The next tick writes what is newer.
            Err(CommitError::Conflict) => {
                let found = store.get(&place()).await?;
                *kept = match found {
                    Some(found) => {
                        Some((ClockMark::decode(found.value.expose(Reason::Record))?, found.revision))
                    }
                    None => None,
                };
                return Err(Fault::Contended);
            }
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
        Ok(())
    }

    fn mark(&self) -> ClockMark {
        let monotonic = self.clock.monotonic();
        let known = self.known();
        ClockMark { latest: known.latest(monotonic), doubted: known.doubted }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parts of the server that only need to know how much time has passed read it here, too.
impl Clock for Timekeeper {
    fn now(&self) -> Timestamp {
        self.read().now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

/// How old the mark in the store may become.
const MARK_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
