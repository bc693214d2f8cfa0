//! The audit room: what an entry says, and the rule that nothing happens before its entry is durable.
//!
//! Fields are an allowlist (`entry.rs`): identifiers as needed, never a value, a tag, a token or a header. A read has
//! one entry, durable before the plaintext leaves. A change has two: the *intent*, durable before anything happens,
//! and the *outcome*. The store keeps the intent's position with the commit, so that after a crash [`Trail::recover`]
//! can tell which open intents took effect and append their outcomes.

pub mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

pub use entry::{Entry, Outcome, Phase, Subject};

use crate::error::Fault;
use crate::ports::log::{Log, LogUnavailable, Position};
use crate::ports::store::{Commit, Store};
use crate::time::Timestamp;

/// Proof that an entry is durable; what leaves the platform asks for one.
#[derive(Debug)]
pub struct Recorded(Position);

impl Recorded {
    /// Where the entry stands.
    pub fn position(&self) -> Position {
        self.0
    }
}

/// A durable announcement of a change: the only thing that makes a commit.
///
/// ```compile_fail
/// let intent = vouchsafe_domain::audit::Intent { position: todo!(), entry: todo!() };
/// ```
pub struct Intent {
    position: Position,
    entry: Entry,
}

impl Intent {
    /// An empty commit bound to this announcement.
    pub fn commit(&self) -> Commit {
        Commit::announced_by(self.position)
    }
}

/// When the newest entry of a log was written, if there is one.
pub async fn newest(log: &dyn Log) -> Result<Option<Timestamp>, LogUnavailable> {
    let Some(last) = log.len().checked_sub(1) else { return Ok(None) };
    let read = log.read(Position(last), 1).await?;
    Ok(read.first().and_then(|(_, bytes)| Entry::decode(bytes)).and_then(|entry| entry.moment()))
}

/// Writes entries and keeps account of announcements without an outcome.
pub struct Trail {
    log: Arc<dyn Log>,
    /// How many announcements hold each position, or one before theirs while it is not known yet.
    open: Mutex<BTreeMap<Position, usize>>,
}

impl Trail {
    /// A trail over a log.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self { log, open: Mutex::default() }
    }

    /// Records a decision or a read; durable when it returns.
    pub async fn record(&self, entry: Entry) -> Result<Recorded, Fault> {
        Ok(Recorded(self.log.append(entry.encode()).await?))
    }

    /// Announces a change; durable when it returns.
    pub async fn announce(&self, mut entry: Entry) -> Result<Intent, Fault> {
        entry.phase = Phase::Intent;
        // INVARIANT: from before it can be in the log, so that nobody settles past it while we do not know where it is.
        let before = Position(self.log.len());
        self.hold(before);
        let appended = self.log.append(entry.encode()).await;
        if let Ok(position) = appended {
            self.hold(position);
        }
        self.release(before);
        Ok(Intent { position: appended?, entry })
    }

    /// Appends the outcome of a change. It is not waited for: the store knows whether the change happened.
    pub fn conclude(&self, intent: Intent, outcome: Outcome, now: Timestamp) -> Result<(), Fault> {
        let Intent { position, entry } = intent;
        self.log.append_later(entry.concluded(position, outcome, now).encode())?;
        self.release(position);
        Ok(())
    }

    /// Tells the store which announcements it need not remember: those whose outcomes are durable in the log.
    pub async fn settle(&self, store: &dyn Store) -> Result<(), Fault> {
        // The length is read first: an intent appended later has a higher position.
        let end = Position(self.log.len());
        let before = self.open().keys().next().map_or(end, |first| (*first).min(end));
        // An outcome leaves `open` when it is queued; it must be durable before the store forgets what it says.
        self.log.flush().await?;
        store.settle(before).await?;
        Ok(())
    }

    /// After a crash: appends the outcome of every announced change that has none, as the store knows it.
    ///
    /// SECURITY: an outcome is appended after its commit is durable. A store that does not know of a change that the
    /// log calls done is older than the log: somebody put it back, and with it whatever was revoked or deleted since.
    pub async fn recover(&self, store: &dyn Store, now: Timestamp) -> Result<usize, Fault> {
        let settled = store.settled().await?;
        let happened: BTreeSet<Position> = store.announced_since(settled).await?.into_iter().collect();
        let mut open = BTreeMap::new();
        let mut from = settled;
        loop {
            let entries = self.log.read(from, RECOVERY_PAGE).await?;
            let Some((last, _)) = entries.last() else { break };
            from = Position(last.0 + 1);
            for (position, bytes) in entries {
                let entry = Entry::decode(&bytes)
                    .ok_or_else(|| Fault::Broken(format!("audit entry {} cannot be read", position.0)))?;
                match (entry.phase, entry.intent) {
                    (Phase::Intent, _) => drop(open.insert(position, entry)),
                    (Phase::Outcome, Some(intent)) => {
                        let intent = Position(intent);
                        let is_done = entry.outcome == Some(Outcome::Done);
                        if is_done && intent >= settled && !happened.contains(&intent) {
                            return Err(Fault::Broken(format!(
                                "rollback suspected: the audit log says that the change of entry {} was done, and the \
                                 store does not know of it; put store and log of the same moment back",
                                intent.0
                            )));
                        }
                        open.remove(&intent);
                    }
                    _ => {}
                }
            }
        }
        let recovered = open.len();
        for (position, entry) in open {
            let outcome = if happened.contains(&position) { Outcome::Done } else { Outcome::Lost };
            self.log.append(entry.concluded(position, outcome, now).encode()).await?;
        }
        store.settle(Position(self.log.len())).await?;
        Ok(recovered)
    }

    /// Entries for `vouchsafe audit tail`.
    pub async fn read(
        &self,
        from: Position,
        limit: usize,
    ) -> Result<Vec<(Position, Vec<u8>)>, LogUnavailable> {
        self.log.read(from, limit).await
    }

    /// How many entries are durable.
    pub fn len(&self) -> u64 {
        self.log.len()
    }

    /// Whether nothing was ever recorded.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    fn hold(&self, position: Position) {
        *self.open().entry(position).or_default() += 1;
    }

    fn release(&self, position: Position) {
        let mut open = self.open();
        if let Some(held) = open.get_mut(&position) {
            *held -= 1;
            if *held == 0 {
                open.remove(&position);
            }
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, BTreeMap<Position, usize>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

const RECOVERY_PAGE: usize = 4_096;
