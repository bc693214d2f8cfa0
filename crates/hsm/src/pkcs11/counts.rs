//! What is counted of the processes of a module, for whoever watches a server.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Why a process of a module ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// It crashed, or somebody else ended it.
    Itself,
    /// We did: a call met its deadline.
    Late,
    /// We did: what it said was no answer.
    Garbled,
    /// We did: its token did not let it in, or failed in a call.
    Failed,
    /// We did: it may not see what other processes made meanwhile.
    Blind,
    /// We did: nobody needs it any more.
    Unneeded,
}

impl Ended {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Itself, Self::Late, Self::Garbled, Self::Failed, Self::Blind, Self::Unneeded];

    /// A word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Late => "late",
            Self::Garbled => "garbled",
            Self::Failed => "failed",
            Self::Blind => "blind",
            Self::Unneeded => "unneeded",
        }
    }
}

/// The counters of one token.
#[derive(Default)]
pub(super) struct Counts {
    running: AtomicUsize,
    started: AtomicU64,
    ended: [AtomicU64; Ended::ALL.len()],
}

impl Counts {
    pub(super) fn start(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self, why: Ended) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        for (counter, _) in self.ended.iter().zip(Ended::ALL).filter(|(_, of)| *of == why) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there are.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// How many were started.
    pub(super) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// How many ended, in the order of [`Ended::ALL`].
    pub(super) fn ended(&self) -> [(Ended, u64); Ended::ALL.len()] {
        let mut ended = Ended::ALL.map(|why| (why, 0));
        for ((_, count), counter) in ended.iter_mut().zip(&self.ended) {
            *count = counter.load(Ordering::Relaxed);
        }
        ended
    }
}
