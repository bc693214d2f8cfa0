//! What holds for every engine, below the barrier.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vouchsafe_store::engine::memory::Memory;
use vouchsafe_store::engine::sqlite::Sqlite;
use vouchsafe_store::engine::{Batch, BatchError, Engine, Expected, Mark, Put, Stored};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Runs `check` over an engine and a way to open the same state again.
macro_rules! on_every_engine {
    ($($name:ident)*) => {
        mod memory {$(
            #[test]
            fn $name() {
                let engine = super::Memory::new();
                super::run(super::$name(|| engine.clone()));
            }
        )*}
        mod sqlite {$(
            #[test]
            fn $name() {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("store.sqlite");
                super::Sqlite::create(&path).unwrap();
                super::run(super::$name(|| super::Sqlite::open(&path, ()).unwrap()));
            }
        )*}
    };
}

on_every_engine! {
    a_batch_is_visible_after_reopening
    a_failed_expectation_changes_nothing
    a_scan_stays_inside_its_prefix_and_pages_in_order
    revisions_are_never_given_out_twice
    marks_are_kept_until_settled
    concurrent_batches_on_one_record_admit_one_winner_each
    a_notice_comes_after_the_batch_is_visible_and_never_for_a_conflict
}

fn put(key: &[u8], expected: Expected, revision: u64, bytes: &[u8]) -> Batch {
    Batch {
        expected: vec![(key.to_vec(), expected)],
        puts: vec![Put { key: key.to_vec(), revision, bytes: bytes.to_vec() }],
        ..Batch::default()
    }
}

async fn a_batch_is_visible_after_reopening<E: Engine>(open: impl Fn() -> E) {
    let engine = open();
    engine.commit(put(b"a", Expected::Absent, 7, b"one")).await.unwrap();
    assert_eq!(engine.get(b"a").await.unwrap(), Some(Stored { revision: 7, bytes: b"one".to_vec() }));
    drop(engine);
    let engine = open();
    assert_eq!(engine.get(b"a").await.unwrap(), Some(Stored { revision: 7, bytes: b"one".to_vec() }));
    let removal = Batch {
        expected: vec![(b"a".to_vec(), Expected::At(7))],
        deletes: vec![b"a".to_vec()],
        ..Batch::default()
    };
    engine.commit(removal).await.unwrap();
    drop(engine);
    assert_eq!(open().get(b"a").await.unwrap(), None);
}

async fn a_failed_expectation_changes_nothing<E: Engine>(open: impl Fn() -> E) {
    let engine = open();
    engine.commit(put(b"a", Expected::Absent, 1, b"one")).await.unwrap();
    for expected in [Expected::Absent, Expected::At(2)] {
        let mut batch = put(b"b", Expected::Absent, 3, b"two");
        batch.expected.push((b"a".to_vec(), expected));
        batch.announced = Some(Mark { position: 9, proof: [0; 16] });
        assert_eq!(engine.commit(batch).await, Err(BatchError::Conflict));
    }
    assert_eq!(engine.get(b"b").await.unwrap(), None);
    assert!(engine.announced_since(0).await.unwrap().is_empty());
    let missing = put(b"c", Expected::At(1), 4, b"");
    assert_eq!(engine.commit(missing).await, Err(BatchError::Conflict));
}

async fn a_scan_stays_inside_its_prefix_and_pages_in_order<E: Engine>(open: impl Fn() -> E) {
    let engine = open();
    let keys: [&[u8]; 7] = [b"a", b"b", b"b\x00", b"b\x01x", b"b\xff", b"b\xff\xff", b"c"];
    for (revision, key) in (1..).zip(keys.iter().rev()) {
        engine.commit(put(key, Expected::Absent, revision, key)).await.unwrap();
    }
    let names = |page: Vec<(Vec<u8>, Stored)>| page.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(names(engine.scan(b"b", None, 100).await.unwrap()), keys[1..6]);
    assert_eq!(names(engine.scan(b"b", None, 2).await.unwrap()), keys[1..3]);
    assert_eq!(names(engine.scan(b"b", Some(b"b\x00"), 2).await.unwrap()), keys[3..5]);
    assert_eq!(names(engine.scan(b"b", Some(b"a"), 1).await.unwrap()), keys[1..2]);
    assert!(engine.scan(b"b", Some(b"b\xff\xff"), 9).await.unwrap().is_empty());
    assert!(engine.scan(b"b", Some(b"z"), 9).await.unwrap().is_empty());
    assert!(engine.scan(b"b", None, 0).await.unwrap().is_empty());
}

async fn revisions_are_never_given_out_twice<E: Engine>(open: impl Fn() -> E) {
    let mut last_end = 1;
    for _ in 0..3 {
        let engine = open();
        for _ in 0..2 {
            let block = engine.reserve_revisions().await.unwrap();
            assert!(block.start >= last_end && block.end > block.start);
            last_end = block.end;
        }
    }
}

async fn marks_are_kept_until_settled<E: Engine>(open: impl Fn() -> E) {
    let mark = |position| Mark { position, proof: [position as u8; 16] };
    let engine = open();
    assert_eq!(engine.settled().await.unwrap(), None);
    for position in [5, 3, 8] {
        engine.commit(Batch { announced: Some(mark(position)), ..Batch::default() }).await.unwrap();
    }
    assert_eq!(engine.announced_since(0).await.unwrap(), [mark(3), mark(5), mark(8)]);
    assert_eq!(engine.announced_since(5).await.unwrap(), [mark(5), mark(8)]);
    engine.settle(mark(5)).await.unwrap();
    engine.settle(mark(2)).await.unwrap();
    drop(engine);
    let engine = open();
    assert_eq!(engine.announced_since(0).await.unwrap(), [mark(5), mark(8)]);
    assert_eq!(engine.settled().await.unwrap(), Some(mark(5)));
}

async fn concurrent_batches_on_one_record_admit_one_winner_each<E: Engine>(open: impl Fn() -> E) {
    let engine = Arc::new(open());
    engine.commit(put(b"k", Expected::Absent, 1, b"")).await.unwrap();
    for round in 1..20 {
        let tries: Vec<_> = (0..64)
            .map(|task| {
                let engine = Arc::clone(&engine);
                let next = if task == 0 { round + 1 } else { round * 1000 + task };
                tokio::spawn(async move {
                    let batch = put(b"k", Expected::At(round), next, b"");
                    engine.commit(batch).await.is_ok().then_some(next)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for attempt in tries {
            winners.extend(attempt.await.unwrap());
        }
        assert_eq!(winners.len(), 1);
        let stored = engine.get(b"k").await.unwrap().unwrap().revision;
        assert_eq!(stored, winners[0]);
        engine.commit(put(b"k", Expected::At(stored), round + 1, b"")).await.unwrap();
    }
}

async fn a_notice_comes_after_the_batch_is_visible_and_never_for_a_conflict<E: Engine>(open: impl Fn() -> E) {
    let engine = open();
    let heard = Arc::new(AtomicUsize::new(0));
    for expected in [Expected::Absent, Expected::Absent] {
        let heard = Arc::clone(&heard);
        let mut batch = put(b"k", expected, 1, b"");
        batch.notice = Some(Box::new(move || {
            heard.fetch_add(1, Ordering::SeqCst);
        }));
        let _ = engine.commit(batch).await;
    }
    assert_eq!(heard.load(Ordering::SeqCst), 1);
}
