//! Key rings: made with the first write, rotated, and never taken from elsewhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod rekeying;
mod support;

use std::sync::Arc;

use support::{root, run};
use vouchsafe_crypto::Reason;
use vouchsafe_domain::ports::Store;
use vouchsafe_domain::ports::store::{Expect, Key, Kind, Partition, StoreError};
use vouchsafe_store::Barrier;
use vouchsafe_store::barrier::BarrierError;
use vouchsafe_store::engine::memory::Memory;
use vouchsafe_store::engine::{Engine, Stored};
use vouchsafe_testkit::suites::store::{commit, tenant, value, vault};

/// The kind number of a ring in an engine key, behind tag, tenant and vault.
const RING: u8 = 0xf0;

async fn new_store(engine: &Memory) -> Barrier<Memory> {
    Barrier::initialise(engine.clone(), &root(7), [1; 16]).await.unwrap();
    Barrier::open(engine.clone(), &root(7)).await.unwrap()
}

async fn put(store: &Barrier<Memory>, key: &Key, text: &str) {
    store.commit(commit().put(key.clone(), Expect::Absent, value(text))).await.unwrap();
}

async fn get(store: &Barrier<Memory>, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(store.get(key).await?.map(|record| record.value.expose(Reason::Test).to_vec()))
}

async fn rings(engine: &Memory) -> Vec<(Vec<u8>, Stored)> {
    engine.scan(&[], None, 1000).await.unwrap().into_iter().filter(|(key, _)| key[33] == RING).collect()
}

#[test]
fn a_partition_gets_its_ring_with_its_first_record_and_only_then() {
    run(async {
        let engine = Memory::new();
        let store = new_store(&engine).await;
        assert_eq!(rings(&engine).await.len(), 1, "the deployment's own");
        let key = Key::new(vault(1, 1), Kind::Secret, "a");
        assert_eq!(get(&store, &key).await, Ok(None));
        let conflict =
            commit().put(key.clone(), Expect::At(vouchsafe_domain::ports::store::Revision(5)), value(""));
        assert!(store.commit(conflict).await.is_err());
        assert_eq!(rings(&engine).await.len(), 1, "a commit that conflicts leaves nothing");
        put(&store, &key, "x").await;
        assert_eq!(rings(&engine).await.len(), 3, "the tenant's and the vault's");
        put(&store, &Key::new(tenant(1), Kind::Vault, "a"), "x").await;
        put(&store, &Key::new(vault(1, 2), Kind::Secret, "a"), "x").await;
        assert_eq!(rings(&engine).await.len(), 4);
    });
}

#[test]
fn after_a_rotation_old_records_open_and_new_ones_use_the_new_key() {
    run(async {
        let engine = Memory::new();
        let mut store = new_store(&engine).await;
        let partitions = [Partition::Deployment, tenant(1), vault(1, 1), tenant(2), vault(2, 1)];
        let key =
            |partition, round: u32| Key::new(partition, Kind::Secret, format!("written in round {round}"));
        for round in 1..=4 {
            for partition in partitions {
                put(&store, &key(partition, round), &round.to_string()).await;
            }
            for partition in partitions {
                for earlier in 1..=round {
                    let found = get(&store, &key(partition, earlier)).await;
                    assert_eq!(found, Ok(Some(earlier.to_string().into_bytes())), "{partition:?}");
                }
                store.rotate_ring(partition).await.unwrap();
            }
            if round % 2 == 0 {
                store = Barrier::open(engine.clone(), &root(7)).await.unwrap();
            }
        }
        let mut versions: Vec<u32> = engine
            .scan(&[], None, 1000)
            .await
            .unwrap()
            .iter()
            .filter(|(key, _)| key[33] == Kind::Secret as u8)
            .map(|(_, stored)| u32::from_be_bytes(stored.bytes[1..5].try_into().unwrap()))
            .collect();
        versions.sort_unstable();
        assert_eq!(versions, (1..=4).flat_map(|round| [round; 5]).collect::<Vec<_>>());
        assert!(store.rotate_ring(vault(9, 9)).await.is_err(), "there is nothing to rotate");
    });
}

#[test]
fn writers_and_readers_do_not_notice_rotations() {
    run(async {
        let engine = Memory::new();
        let store = Arc::new(new_store(&engine).await);
        let key = |task: usize, n: usize| {
            Key::nested(vault(1, 1), Kind::SecretValue, task.to_string(), n.to_string())
        };
        put(&store, &key(99, 0), "x").await;
        let mut tasks: Vec<_> = (0..8)
            .map(|task| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for n in 0..60 {
                        put(&store, &key(task, n), "x").await;
                        for back in 0..=n.min(3) {
                            assert_eq!(get(&store, &key(task, n - back)).await, Ok(Some(b"x".to_vec())));
                        }
                    }
                })
            })
            .collect();
        tasks.push(tokio::spawn({
            let store = Arc::clone(&store);
            async move {
                for _ in 0..30 {
                    for partition in [vault(1, 1), tenant(1), Partition::Deployment] {
                        store.rotate_ring(partition).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
            }
        }));
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_ring_that_was_rotated_behind_the_memory_of_it_is_read_again() {
    run(async {
        let engine = Memory::new();
        let one = new_store(&engine).await;
        let key = |name: &str| Key::new(vault(1, 1), Kind::Secret, name);
        put(&one, &key("before"), "x").await;
        let two = Barrier::open(engine.clone(), &root(7)).await.unwrap();
        two.rotate_ring(vault(1, 1)).await.unwrap();
        put(&two, &key("after"), "y").await;
        assert_eq!(get(&one, &key("after")).await, Ok(Some(b"y".to_vec())));
    });
}

#[test]
fn a_ring_that_is_missing_or_from_elsewhere_is_an_integrity_error() {
    run(async {
        let engine = Memory::new();
        let store = new_store(&engine).await;
        let keys =
            [vault(1, 1), vault(1, 2), vault(2, 1)].map(|partition| Key::new(partition, Kind::Secret, "a"));
        for key in &keys {
            put(&store, key, "x").await;
        }
        let all = rings(&engine).await;
        for (place, original) in &all {
            for (_, other) in &all {
                for replacement in [None, Some(other.clone())] {
                    if replacement.as_ref() == Some(original) {
                        continue;
                    }
                    engine.tamper(place, replacement);
                    match Barrier::open(engine.clone(), &root(7)).await {
                        Err(error) => assert_eq!(error, BarrierError::WrongRootKey),
                        Ok(store) => {
                            let mut refused = 0;
                            for key in &keys {
                                match get(&store, key).await {
                                    Ok(found) => assert_eq!(found, Some(b"x".to_vec())),
                                    Err(error) => {
                                        assert!(matches!(error, StoreError::Integrity(_)));
                                        refused += 1;
                                    }
                                }
                            }
                            assert!(refused > 0, "a ring was replaced and nobody noticed");
                        }
                    }
                    engine.tamper(place, Some(original.clone()));
                }
            }
        }
    });
}
