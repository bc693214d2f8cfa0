//! Both engines, below the barrier, pass the store port's suite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::envelope::Kek;
use vouchsafe_domain::ports::Store;
use vouchsafe_store::Barrier;
use vouchsafe_store::engine::memory::Memory;
use vouchsafe_store::engine::sqlite::Sqlite;
use vouchsafe_testkit::suites::store::{self as suite, Reopen};

fn root() -> Kek {
    Kek::from_secret(SecretBytes::new(vec![7; 32])).expect("32 bytes")
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

struct OverMemory(Memory);

impl Reopen for OverMemory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Barrier::open(self.0.clone(), &root()).await.expect("an initialised store"))
    }
}

struct OverSqlite(PathBuf);

impl Reopen for OverSqlite {
    async fn open(&self) -> Arc<dyn Store> {
        let engine = Sqlite::open(&self.0, ()).expect("an engine");
        Arc::new(Barrier::open(engine, &root()).await.expect("an initialised store"))
    }
}

#[test]
fn the_barrier_over_memory_passes_the_suite() {
    run(async {
        let engine = Memory::new();
        Barrier::initialise(engine.clone(), &root(), [1; 16]).await.unwrap();
        suite::all(&OverMemory(engine.clone())).await;
        for seed in 0..8 {
            let engine = Memory::new();
            Barrier::initialise(engine.clone(), &root(), [1; 16]).await.unwrap();
            suite::random_operations_agree_with_a_map(&OverMemory(engine), seed, 1000).await;
        }
    });
}

#[test]
fn the_barrier_over_sqlite_passes_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    run(async {
        Sqlite::create(&path).unwrap();
        Barrier::initialise(Sqlite::open(&path, ()).unwrap(), &root(), [1; 16]).await.unwrap();
        suite::all(&OverSqlite(path)).await;
    });
}
