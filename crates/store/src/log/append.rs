//! The log port over files: one thread appends, waits for the disk once for all that queued up, then answers.
//!
//! INVARIANT: after a failed write nothing is acknowledged any more. What is half written is cut off at the next start.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use vouchsafe_crypto::merkle::leaf_hash;
use vouchsafe_domain::ports::log::{LogUnavailable, Position};
use vouchsafe_domain::ports::{Clock, Log};
use vouchsafe_domain::time::Timestamp;

use super::checkpoints::{self, Signer};
use super::frame::{self, Frame};
use super::open::{INDEX_EVERY, LogError, open};
use super::tree::Tree;
use super::{ENTRY_BYTES_MAX, SEGMENT_ENTRIES, segment};

/// Entries that may wait for the disk; the next caller waits to be let in.
const QUEUE_MAX: usize = 4096;
/// Entries that share one wait for the disk.
const GROUP_MAX: usize = 2048;
/// Bytes that share one wait for the disk, or little more.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// A checkpoint is signed after this many entries…
const CHECKPOINT_ENTRIES: u64 = 256;
/// … or after this long, if there is anything new.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// Entries one read gives out.
const READ_MAX: usize = 4096;
/// Remembered places; the oldest are forgotten, and then found by reading their segment from its start.
const INDEX_MAX: usize = 100_000;

type Reply = oneshot::Sender<Result<Position, LogUnavailable>>;

enum Job {
    Append { entry: Vec<u8>, reply: Option<Reply>, _place: OwnedSemaphorePermit },
    Flush(oneshot::Sender<Result<(), LogUnavailable>>),
    Checkpoint(oneshot::Sender<Result<Arc<str>, LogUnavailable>>),
}

/// What the thread tells everybody else.
struct Shared {
    durable: AtomicU64,
    newest: Mutex<Arc<str>>,
    index: Mutex<BTreeMap<u64, u64>>,
    broken: OnceLock<LogUnavailable>,
}

/// An append-only log in a directory.
pub struct FileLog {
    directory: PathBuf,
    vkey: String,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    places_later: Arc<Semaphore>,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl FileLog {
    /// Opens a log that [`super::initialise`] made. `anchor` is the checkpoint that was kept elsewhere: a log that does
    /// not continue it is not opened. `keep` lives as long as the thread that writes.
    pub fn open<K: Send + 'static>(
        directory: &Path,
        signer: Signer,
        anchor: Option<&str>,
        clock: Arc<dyn Clock>,
        keep: K,
    ) -> Result<Self, LogError> {
        let opened = open(directory, &signer, anchor)?;
        let size = opened.tree.size();
        let failed = |what| move |source| LogError::File { what, source };
        let segment = size / SEGMENT_ENTRIES;
        let vkey = signer.vkey();
        let shared = Arc::new(Shared {
            durable: AtomicU64::new(size),
            newest: Mutex::new(opened.newest.into()),
            index: Mutex::new(opened.index),
            broken: OnceLock::new(),
        });
        let writer = Writer {
            segment: segment::open_for_appending(directory, segment).map_err(failed("segment"))?,
            segment_bytes: 0,
            history: checkpoints::open_history(directory).map_err(failed("checkpoints"))?,
            directory: directory.to_owned(),
            tree: opened.tree,
            signed: (size, clock.now()),
            signer,
            clock,
            shared: Arc::clone(&shared),
            buffer: Vec::new(),
        };
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("audit log".into())
            .spawn(move || {
                let _keep = keep;
                writer.run(&queue);
            })
            .map_err(failed("thread"))?;
        Ok(Self {
            directory: directory.to_owned(),
            vkey,
            shared,
            places: Arc::new(Semaphore::new(QUEUE_MAX)),
            places_later: Arc::new(Semaphore::new(QUEUE_MAX)),
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// The newest signed checkpoint. A job keeps it in the store, so that the log cannot be rolled back alone.
    pub fn checkpoint(&self) -> Arc<str> {
        Arc::clone(&self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Signs a checkpoint over all that is durable, now.
    pub async fn checkpoint_now(&self) -> Result<Arc<str>, LogUnavailable> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Checkpoint(reply))?;
        answer.await.map_err(|_| self.stopped())?
    }

    /// The verifier key of the checkpoints, as `audit verify` wants it.
    pub fn vkey(&self) -> &str {
        &self.vkey
    }

    fn send(&self, job: Job) -> Result<(), LogUnavailable> {
        if let Some(broken) = self.shared.broken.get() {
            return Err(broken.clone());
        }
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(|| self.stopped())
    }

    fn stopped(&self) -> LogUnavailable {
        self.shared.broken.get().cloned().unwrap_or_else(|| LogUnavailable("it has stopped".into()))
    }
}

impl Drop for FileLog {
    fn drop(&mut self) {
        // The thread writes what is queued, signs a last checkpoint and ends.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, everybody who waited has already been told.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Log for FileLog {
    async fn append(&self, entry: Vec<u8>) -> Result<Position, LogUnavailable> {
        check(&entry)?;
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| self.stopped())?;
        let (reply, answer) = oneshot::channel();
        self.send(Job::Append { entry, reply: Some(reply), _place: place })?;
        answer.await.map_err(|_| self.stopped())?
    }

    fn append_later(&self, entry: Vec<u8>) -> Result<(), LogUnavailable> {
        check(&entry)?;
        // Places of their own: those who wait for the disk do not crowd out what follows their requests.
        let place = Arc::clone(&self.places_later)
            .try_acquire_owned()
            .map_err(|_| LogUnavailable("too many entries wait for the disk".into()))?;
        self.send(Job::Append { entry, reply: None, _place: place })
    }

    async fn flush(&self) -> Result<(), LogUnavailable> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Flush(reply))?;
        answer.await.map_err(|_| self.stopped())?
    }

    async fn read(&self, from: Position, limit: usize) -> Result<Vec<(Position, Vec<u8>)>, LogUnavailable> {
        let (shared, directory) = (Arc::clone(&self.shared), self.directory.clone());
        tokio::task::spawn_blocking(move || shared.read(&directory, from.0, limit.min(READ_MAX)))
            .await
            .map_err(|_| LogUnavailable("reading was interrupted".into()))?
    }

    fn len(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }
}

fn check(entry: &[u8]) -> Result<(), LogUnavailable> {
    if (1..=ENTRY_BYTES_MAX).contains(&entry.len()) {
        return Ok(());
    }
    Err(LogUnavailable(format!("an entry has 1 to {ENTRY_BYTES_MAX} bytes, not {}", entry.len())))
}

impl Shared {
    fn read(
        &self,
        directory: &Path,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(Position, Vec<u8>)>, LogUnavailable> {
        let durable = self.durable.load(Ordering::Acquire);
        let mut found = Vec::new();
        let mut position = from;
        while position < durable && found.len() < limit {
            let number = position / SEGMENT_ENTRIES;
            let start = number * SEGMENT_ENTRIES;
            let near = {
                let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
                index.range(start..=position).next_back().map(|(at, offset)| (*at, *offset))
            };
            let (mut at, offset) = near.unwrap_or((start, 0));
            let unreadable =
                |error: io::Error| LogUnavailable(format!("segment {number} cannot be read: {error}"));
            let mut frames = segment::frames(directory, number, offset).map_err(unreadable)?;
            while at < durable.min(start + SEGMENT_ENTRIES) && found.len() < limit {
                let Frame::Entry(entry) = frames.next().map_err(unreadable)? else {
                    return Err(LogUnavailable(format!("entry {at} is damaged")));
                };
                if at >= position {
                    found.push((Position(at), entry));
                }
                at += 1;
            }
            position = at.max(position);
        }
        Ok(found)
    }
}

/// The one thread that writes.
struct Writer {
    directory: PathBuf,
    segment: File,
    segment_bytes: u64,
    history: File,
    tree: Tree,
    /// The size that was last signed, and when.
    signed: (u64, Timestamp),
    signer: Signer,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
}

impl Writer {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        // The place where the next frame will begin; the file was cut to whole frames when it was opened.
        match self.segment.metadata() {
            Ok(metadata) => self.segment_bytes = metadata.len(),
            Err(error) => self.stop(&error),
        }
        let mut group = Vec::new();
        loop {
            let all_signed = self.signed.0 == self.tree.size() || self.shared.broken.get().is_some();
            let first = match all_signed {
                true => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => queue.recv_timeout(CHECKPOINT_INTERVAL),
            };
            match first {
                Ok(job) => group.push(job),
                Err(RecvTimeoutError::Timeout) => self.sign_or_stop(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let mut bytes = 0;
            while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
                let Ok(job) = queue.try_recv() else { break };
                if let Job::Append { entry, .. } = &job {
                    bytes += entry.len();
                }
                group.push(job);
            }
            self.handle(&mut group);
        }
        if self.shared.broken.get().is_none() && self.signed.0 < self.tree.size() {
            self.sign_or_stop();
        }
    }

    fn handle(&mut self, group: &mut Vec<Job>) {
        let mut entries = Vec::with_capacity(group.len());
        let (mut flushed, mut asked) = (Vec::new(), Vec::new());
        for job in group.drain(..) {
            match job {
                Job::Append { entry, reply, .. } => entries.push((entry, reply)),
                Job::Flush(reply) => flushed.push(reply),
                Job::Checkpoint(reply) => asked.push(reply),
            }
        }
        while !entries.is_empty() && self.shared.broken.get().is_none() {
            if let Err(error) = self.append(&mut entries) {
                self.stop(&error);
            }
        }
        for (_, reply) in entries {
            self.refuse(reply);
        }
        for reply in flushed {
            let _ = reply.send(self.shared.broken.get().cloned().map_or(Ok(()), Err));
        }
        if self.shared.broken.get().is_none() && (self.due() || !asked.is_empty()) {
            self.sign_or_stop();
        }
        for reply in asked {
            let newest = Arc::clone(&self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner));
            let _ = reply.send(self.shared.broken.get().cloned().map_or(Ok(newest), Err));
        }
    }

    /// Writes as many entries as fit into the segment, waits for the disk, answers, and hashes them.
    fn append(&mut self, entries: &mut Vec<(Vec<u8>, Option<Reply>)>) -> io::Result<()> {
        let first = self.tree.size();
        if first.is_multiple_of(SEGMENT_ENTRIES) && self.segment_bytes > 0 {
            self.next_segment()?;
        }
        let room = SEGMENT_ENTRIES - first % SEGMENT_ENTRIES;
        let count = entries.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.buffer.clear();
        let mut index = Vec::new();
        for (position, (entry, _)) in (first..).zip(entries.iter().take(count)) {
            if position.is_multiple_of(INDEX_EVERY) {
                index.push((position, self.segment_bytes + self.buffer.len() as u64));
            }
            if !frame::encode(entry, &mut self.buffer) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "an entry of impossible size was let in",
                ));
            }
        }
        self.segment.write_all(&self.buffer)?;
        self.segment.sync_data()?;
        self.segment_bytes += self.buffer.len() as u64;
        {
            let mut known = self.shared.index.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(index);
            while known.len() > INDEX_MAX {
                known.pop_first();
            }
        }
        self.shared.durable.store(first + count as u64, Ordering::Release);

        let mut leaves = Vec::with_capacity(count);
        for (position, (entry, reply)) in (first..).zip(entries.drain(..count)) {
            if let Some(reply) = reply {
                // Whoever asked may have gone; the entry stays.
                let _ = reply.send(Ok(Position(position)));
            }
            leaves.push(entry);
        }
        let mut tiles = Vec::new();
        for entry in leaves {
            self.tree.append(leaf_hash(&entry), |tile| tiles.push(tile));
        }
        tiles.iter().try_for_each(|tile| tile.write(&self.directory))
    }

    /// Begins a new segment once everything about the full one is on the disk.
    fn next_segment(&mut self) -> io::Result<()> {
        // Tiles and checkpoints are not waited for one by one. Once per segment they are, so that opening needs to
        // look at no more than the last segment.
        self.sign()?;
        rustix::fs::syncfs(&self.segment)?;
        self.segment = segment::open_for_appending(&self.directory, self.tree.size() / SEGMENT_ENTRIES)?;
        self.segment_bytes = 0;
        Ok(())
    }

    fn due(&self) -> bool {
        let (size, when) = self.signed;
        let new = self.tree.size() - size;
        let now = self.clock.now();
        // A clock that was set back must not put the next checkpoint off.
        new >= CHECKPOINT_ENTRIES || (new > 0 && (now < when || now.since(when) >= CHECKPOINT_INTERVAL))
    }

    fn sign(&mut self) -> io::Result<()> {
        let size = self.tree.size();
        if size == self.signed.0 {
            return Ok(());
        }
        for tile in self.tree.incomplete() {
            tile.write(&self.directory)?;
        }
        let note = self.signer.sign(size, self.tree.root());
        checkpoints::append(&mut self.history, &note)?;
        checkpoints::replace(&self.directory, &note)?;
        *self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner) = note.into();
        self.signed = (size, self.clock.now());
        Ok(())
    }

    fn sign_or_stop(&mut self) {
        if let Err(error) = self.sign() {
            self.stop(&error);
        }
    }

    fn stop(&self, error: &io::Error) {
        tracing::error!(%error, "the audit log stops: a write failed");
        let problem = format!("it stopped after a failed write ({error}); restart the server");
        // Only the first reason is the reason.
        let _ = self.shared.broken.set(LogUnavailable(problem));
    }

    fn refuse(&self, reply: Option<Reply>) {
        let broken = self.shared.broken.get().cloned();
        if let (Some(reply), Some(broken)) = (reply, broken) {
            let _ = reply.send(Err(broken));
        }
    }
}
