//! The log port's suite (architecture.md §8). An adapter passes when every fact here holds over it.

use std::future::Future;
use std::sync::Arc;

use vouchsafe_domain::ports::Log;
use vouchsafe_domain::ports::log::Position;

/// Gives a log over the same state each time; the one given before is no longer used.
pub trait Reopen {
    /// Opens the log.
    fn open(&self) -> impl Future<Output = Arc<dyn Log>>;
}

/// Runs every fact over an adapter that begins empty.
pub async fn all(adapter: &impl Reopen) {
    an_empty_log_has_nothing_to_read(adapter).await;
    positions_count_from_zero_in_the_order_of_appending(adapter).await;
    what_was_acknowledged_is_there_after_reopening(adapter).await;
    an_entry_that_nobody_waits_for_keeps_its_place(adapter).await;
    concurrent_appends_each_have_their_own_position(adapter).await;
    entries_of_impossible_size_are_refused_and_leave_no_gap(adapter).await;
    reading_honours_start_and_limit(adapter).await;
}

async fn entry_at(log: &dyn Log, position: u64) -> Vec<u8> {
    let found = log.read(Position(position), 1).await.expect("a read");
    assert_eq!(found.len(), 1, "position {position}");
    assert_eq!(found[0].0, Position(position));
    found[0].1.clone()
}

async fn append(log: &dyn Log, entry: impl AsRef<[u8]>) -> u64 {
    let position = log.append(entry.as_ref().to_vec()).await.expect("an append").0;
    assert!(log.len() > position, "what is acknowledged is counted");
    position
}

async fn an_empty_log_has_nothing_to_read(adapter: &impl Reopen) {
    let log = adapter.open().await;
    assert_eq!(log.len(), 0);
    assert!(log.is_empty());
    assert!(log.read(Position(0), 10).await.expect("a read").is_empty());
}

async fn positions_count_from_zero_in_the_order_of_appending(adapter: &impl Reopen) {
    let log = adapter.open().await;
    for expected in 0..5u64 {
        assert_eq!(append(&*log, format!("entry {expected}")).await, expected);
        assert_eq!(log.len(), expected + 1);
        assert_eq!(entry_at(&*log, expected).await, format!("entry {expected}").into_bytes());
    }
}

async fn what_was_acknowledged_is_there_after_reopening(adapter: &impl Reopen) {
    for round in 0..3 {
        let log = adapter.open().await;
        let before = log.len();
        assert_eq!(append(&*log, format!("round {round}")).await, before);
        drop(log);
        let log = adapter.open().await;
        assert_eq!(log.len(), before + 1);
        assert_eq!(entry_at(&*log, before).await, format!("round {round}").into_bytes());
    }
}

async fn an_entry_that_nobody_waits_for_keeps_its_place(adapter: &impl Reopen) {
    let log = adapter.open().await;
    let first = append(&*log, "before").await;
    log.append_later(b"later".to_vec()).expect("queued");
    let last = append(&*log, "after").await;
    assert_eq!(last, first + 2);
    assert_eq!(entry_at(&*log, first + 1).await, b"later");
    for n in 0..50u64 {
        log.append_later(n.to_string().into_bytes()).expect("queued");
    }
    log.flush().await.expect("flushed");
    assert_eq!(log.len(), last + 51, "what was queued before a flush is durable after it");
    log.flush().await.expect("flushing nothing");
}

async fn concurrent_appends_each_have_their_own_position(adapter: &impl Reopen) {
    let log = adapter.open().await;
    let start = log.len();
    let tasks: Vec<_> = (0..64u64)
        .map(|task| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for n in 0..20 {
                    let entry = format!("task {task} entry {n} {}", "x".repeat(n * 7)).into_bytes();
                    mine.push((log.append(entry.clone()).await.expect("an append"), entry));
                }
                assert!(mine.windows(2).all(|pair| pair[0].0 < pair[1].0), "one after the other");
                mine
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("a task"));
    }
    all.sort();
    let read = log.read(Position(start), all.len() + 10).await.expect("a read");
    assert_eq!(read, all);
    assert!((start..).zip(&all).all(|(expected, (position, _))| position.0 == expected), "no gap, no double");
}

async fn entries_of_impossible_size_are_refused_and_leave_no_gap(adapter: &impl Reopen) {
    let log = adapter.open().await;
    let before = log.len();
    for size in [0, 65_536, 1 << 20] {
        assert!(log.append(vec![1; size]).await.is_err(), "{size} bytes");
        assert!(log.append_later(vec![1; size]).is_err(), "{size} bytes");
    }
    for (expected, size) in (before..).zip([1, 65_535]) {
        let entry: Vec<u8> = (0..size).map(|n: usize| n.to_le_bytes()[0]).collect();
        assert_eq!(append(&*log, &entry).await, expected);
        assert_eq!(entry_at(&*log, expected).await, entry);
    }
}

async fn reading_honours_start_and_limit(adapter: &impl Reopen) {
    let log = adapter.open().await;
    while log.len() < 600 {
        log.append_later(log.len().to_string().into_bytes()).expect("queued");
        append(&*log, "filler").await;
    }
    let length = log.len();
    for from in [0, 1, 254, 255, 256, 257, 511, 512, length - 1, length, length + 1, u64::MAX / 2] {
        for limit in [0, 1, 2, 300, 4000] {
            let found = log.read(Position(from), limit).await.expect("a read");
            let wanted = length.saturating_sub(from).min(limit as u64);
            assert_eq!(found.len() as u64, wanted, "from {from}, {limit} at most");
            assert!((from..).zip(&found).all(|(expected, (position, _))| position.0 == expected));
        }
    }
}
