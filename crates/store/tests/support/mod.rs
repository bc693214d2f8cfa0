//! What several tests need: a clock that stands, bytes that repeat, a log and a deployment in a temporary directory.
#![allow(dead_code, missing_docs, reason = "each test uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vouchsafe_crypto::SecretBytes;
use vouchsafe_crypto::envelope::Kek;
use vouchsafe_crypto::merkle::NoteSigner;
use vouchsafe_domain::ports::{Clock, Entropy};
use vouchsafe_domain::time::Timestamp;
use vouchsafe_store::log::{self, FileLog, LogError, Signer};

/// A clock that stands until it is moved.
#[derive(Default)]
pub struct Standing(AtomicU64);

impl Standing {
    pub fn forward(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Gives 0, 1, 2, …
#[derive(Default)]
pub struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes()[0];
        }
    }
}

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub fn root(byte: u8) -> Kek {
    Kek::from_secret(SecretBytes::new(vec![byte; 32])).expect("32 bytes")
}

pub const ORIGIN: &str = "vouchsafe/audit/test";

pub fn signer(byte: u8) -> Signer {
    Signer::new(
        ORIGIN,
        NoteSigner::new(ORIGIN, &SecretBytes::new(vec![byte; 32])).expect("a name and a seed"),
    )
}

/// A log in a directory of its own.
pub struct LogIn(pub PathBuf);

impl LogIn {
    pub fn new(directory: &Path) -> Self {
        let path = directory.join("audit");
        log::initialise(&path, &signer(1)).unwrap();
        Self(path)
    }

    pub fn open(&self) -> Result<FileLog, LogError> {
        self.open_with(None)
    }

    pub fn open_with(&self, anchor: Option<&str>) -> Result<FileLog, LogError> {
        FileLog::open(&self.0, signer(1), anchor, Arc::new(Standing::default()), ())
    }
}

/// Copies a directory with everything below it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below a directory.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
