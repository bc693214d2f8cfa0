//! What the store may forget: announcements whose outcome is known, and no others.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use vouchsafe_domain::audit::{Entry, Outcome, Subject, Trail};
use vouchsafe_domain::ports::log::{Log, LogUnavailable, Position};
use vouchsafe_testkit::world::InMemory;

/// Where this log begins: far beyond whatever the store has settled before.
const BEGIN: u64 = 1_000_000;

/// A log in which an entry is durable a while before whoever appended it is told.
#[derive(Default)]
struct TellsLate(Mutex<Vec<Vec<u8>>>);

impl TellsLate {
    fn push(&self, entry: Vec<u8>) -> Position {
        let mut entries = self.0.lock().expect("no test panicked in here");
        entries.push(entry);
        Position(BEGIN + entries.len() as u64 - 1)
    }
}

#[async_trait]
impl Log for TellsLate {
    async fn append(&self, entry: Vec<u8>) -> Result<Position, LogUnavailable> {
        let position = self.push(entry);
        tokio::task::yield_now().await;
        Ok(position)
    }

    fn append_later(&self, entry: Vec<u8>) -> Result<(), LogUnavailable> {
        self.push(entry);
        Ok(())
    }

    async fn flush(&self) -> Result<(), LogUnavailable> {
        Ok(())
    }

    async fn read(&self, _: Position, _: usize) -> Result<Vec<(Position, Vec<u8>)>, LogUnavailable> {
        Ok(Vec::new())
    }

    fn len(&self) -> u64 {
        BEGIN + self.0.lock().expect("no test panicked in here").len() as u64
    }
}

#[tokio::test]
async fn an_announcement_is_not_settled_between_its_being_durable_and_its_being_known() {
    let opened = InMemory::found(7).await.open().await;
    let (store, now) = (opened.platform.store(), opened.context().now());
    let trail = Trail::new(Arc::new(TellsLate::default()));
    let entry = |id| Entry::new(uuid::Uuid::from_u128(id), Subject::default(), "something", "/", now);

    let (first, settled) = tokio::join!(trail.announce(entry(1)), trail.settle(store));
    settled.expect("the store settles");
    let first = first.expect("announced");
    assert_eq!(
        store.settled().await.expect("a position"),
        Position(BEGIN),
        "it is not known what became of it"
    );

    let (second, settled) = tokio::join!(trail.announce(entry(2)), trail.settle(store));
    settled.expect("the store settles");
    trail.conclude(first, Outcome::Done, now).expect("concluded");
    trail.settle(store).await.expect("the store settles");
    assert_eq!(
        store.settled().await.expect("a position"),
        Position(BEGIN + 1),
        "the first is known, the second not"
    );

    trail.conclude(second.expect("announced"), Outcome::Lost, now).expect("concluded");
    trail.settle(store).await.expect("the store settles");
    assert_eq!(store.settled().await.expect("a position"), Position(BEGIN + 4), "everything is known");
}
