//! The embedded engine: one SQLite file in WAL mode with `synchronous=FULL`.
//!
//! All writes go through one thread that commits whatever has queued up in one transaction (group commit): the wait
//! for the disk is shared, and each caller hears only after it. Reads use a few read-only connections, on the calling
//! thread: a point read costs about 5 µs, less than handing it to another thread would.
//!
//! INVARIANT: nothing is acknowledged after a failed commit or checkpoint. The kernel reports a failed fsync once and
//! may then forget the pages, so a retry could "succeed" without the data; the only safe thing is to stop, and let the
//! next start recover from what is really on the disk.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use tokio::sync::{mpsc, oneshot};

use super::{Batch, BatchError, Engine, EngineError, Expected, Mark, REVISION_BLOCK, Stored};

/// Batches that share one wait for the disk.
const GROUP_MAX: usize = 256;
/// Batches that may wait for the writer; the next caller waits to be let in.
const QUEUE_MAX: usize = 1024;
/// Connections for reading; more than that many threads reading at once wait for one another.
const READERS: usize = 4;
/// Pages in the write-ahead log (4 KiB each) after which the writer moves them into the database.
const CHECKPOINT_PAGES: i32 = 4000;
/// "VSAF": what `file` and `sqlite3` show for our database.
const APPLICATION_ID: i32 = 0x5653_4146;
/// The layout of the tables below.
const LAYOUT: i32 = 1;

const SCHEMA: &str = "
    CREATE TABLE kv (k BLOB PRIMARY KEY, rev INTEGER NOT NULL, v BLOB NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE announced (position INTEGER PRIMARY KEY, proof BLOB NOT NULL) STRICT;
    CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL, proof BLOB) WITHOUT ROWID, STRICT;
    INSERT INTO meta VALUES ('revision blocks reserved', 0, NULL);
";

enum Job {
    Commit(Batch, oneshot::Sender<Result<(), BatchError>>),
    Settle(Mark, oneshot::Sender<Result<(), EngineError>>),
    Reserve(oneshot::Sender<Result<Range<u64>, EngineError>>),
}

/// A store in one SQLite file.
pub struct Sqlite {
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Sqlite {
    /// Creates an empty store in a new file that only its owner can read.
    pub fn create(path: &Path) -> Result<(), EngineError> {
        use std::os::unix::fs::OpenOptionsExt;
        // SQLite gives the files next to it the mode of the database.
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            EngineError::Unavailable(format!("cannot create `{}`: {error}", path.display()))
        })?;
        let connection = open_for_writing(path)?;
        connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; {SCHEMA}
                 PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LAYOUT}; COMMIT;"
            ))
            .map_err(engine_error)
    }

    /// Opens an existing store. `keep` lives as long as the writer: the lock that keeps other processes out.
    pub fn open<K: Send + 'static>(path: &Path, keep: K) -> Result<Self, EngineError> {
        let mut connection = open_for_writing(path)?;
        let identity = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        if identity("application_id").map_err(engine_error)? != APPLICATION_ID {
            return Err(EngineError::Damaged(format!("`{}` is not a store of ours", path.display())));
        }
        let layout = identity("user_version").map_err(engine_error)?;
        if layout != LAYOUT {
            let problem = format!("`{}` has layout {layout}; this version reads {LAYOUT}", path.display());
            return Err(EngineError::Unavailable(problem));
        }
        let wal_pages = Arc::new(AtomicI32::new(0));
        let counted = Arc::clone(&wal_pages);
        connection
            .wal_hook(Some(move |_: &mut _, pages| {
                counted.store(pages, Ordering::Relaxed);
                Ok(())
            }))
            .map_err(engine_error)?;

        let readers = (0..READERS)
            .map(|_| open_for_reading(path).map(Mutex::new))
            .collect::<Result<Vec<_>, _>>()
            .map_err(engine_error)?;
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let writer = Writer { connection, queue, wal_pages, broken: OnceLock::new() };
        let writer = std::thread::Builder::new()
            .name("store writer".into())
            .spawn(move || {
                let _keep = keep;
                writer.run();
            })
            .map_err(|error| EngineError::Unavailable(format!("cannot start the writer: {error}")))?;
        Ok(Self { readers, next_reader: AtomicUsize::new(0), jobs: Some(jobs), writer: Some(writer) })
    }

    fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, EngineError> {
        let start = self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS;
        let in_turn = || self.readers.iter().cycle().skip(start).take(READERS);
        let free = in_turn().find_map(|reader| reader.try_lock().ok());
        let reader = match free {
            Some(reader) => reader,
            None => match in_turn().next() {
                Some(reader) => reader.lock().unwrap_or_else(PoisonError::into_inner),
                None => return Err(stopped()),
            },
        };
        query(&reader).map_err(engine_error)
    }

    async fn ask<T, E: From<EngineError>>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Job,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(job(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // The writer must be the last connection: it moves the write-ahead log into the database as it closes.
        self.readers.clear();
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has already left its callers without an answer; there is nobody else to tell.
            let _ = writer.join();
        }
    }
}

impl Engine for Sqlite {
    async fn get(&self, key: &[u8]) -> Result<Option<Stored>, EngineError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT rev, v FROM kv WHERE k = ?1")?;
            statement
                .query_row([key], |row| Ok(Stored { revision: number(row, 0)?, bytes: row.get(1)? }))
                .optional()
        })
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Stored)>, EngineError> {
        let (sql, from) = match after {
            Some(after) if after >= prefix => {
                ("SELECT k, rev, v FROM kv WHERE k > ?1 ORDER BY k LIMIT ?2", after)
            }
            _ => ("SELECT k, rev, v FROM kv WHERE k >= ?1 ORDER BY k LIMIT ?2", prefix),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![from, limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let key: Vec<u8> = row.get(0)?;
                if !key.starts_with(prefix) {
                    break;
                }
                found.push((key, Stored { revision: number(row, 1)?, bytes: row.get(2)? }));
            }
            Ok(found)
        })
    }

    async fn commit(&self, batch: Batch) -> Result<(), BatchError> {
        self.ask(|reply| Job::Commit(batch, reply)).await
    }

    async fn reserve_revisions(&self) -> Result<Range<u64>, EngineError> {
        self.ask(Job::Reserve).await
    }

    async fn announced_since(&self, from: u64) -> Result<Vec<Mark>, EngineError> {
        let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
        self.read(|connection| {
            let sql = "SELECT position, proof FROM announced WHERE position >= ?1 ORDER BY position";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map([from], mark)?.collect()
        })
    }

    async fn settle(&self, before: Mark) -> Result<(), EngineError> {
        self.ask(|reply| Job::Settle(before, reply)).await
    }

    async fn settled(&self) -> Result<Option<Mark>, EngineError> {
        self.read(settled)
    }
}

/// The one thread that writes.
struct Writer {
    connection: Connection,
    queue: mpsc::Receiver<Job>,
    wal_pages: Arc<AtomicI32>,
    broken: OnceLock<String>,
}

/// What became of a job, to be told after the commit.
enum Done {
    Applied,
    Conflict,
    Reserved(Range<u64>),
}

impl Writer {
    fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while self.queue.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
            if let Some(problem) = self.broken.get() {
                let error = EngineError::Unavailable(problem.clone());
                group.drain(..).for_each(|job| refuse(job, &error));
                continue;
            }
            self.write(&mut group);
            if self.wal_pages.load(Ordering::Relaxed) >= CHECKPOINT_PAGES {
                self.checkpoint();
            }
        }
    }

    /// Applies a group in one transaction and answers each caller after the commit.
    fn write(&mut self, group: &mut Vec<Job>) {
        let transaction = match self.connection.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => transaction,
            Err(error) => {
                let error = engine_error(error);
                return group.drain(..).for_each(|job| refuse(job, &error));
            }
        };
        let mut done = Vec::with_capacity(group.len());
        let applied = group.iter().try_for_each(|job| {
            done.push(apply(&transaction, job)?);
            Ok(())
        });
        let result = match applied {
            Ok(()) => transaction.commit().map_err(|error| (engine_error(error), true)),
            // A statement failed before the commit: nothing of the group has happened, and SQLite takes it all back.
            Err(error) => Err((engine_error(error), transaction.rollback().is_err())),
        };
        match result {
            Ok(()) => group.drain(..).zip(done).for_each(|(job, done)| answer(job, done)),
            Err((error, broken)) => {
                if broken {
                    self.stop("commit", &error);
                }
                // Conflicts too: what they conflicted with may be what was just taken back.
                group.drain(..).for_each(|job| refuse(job, &error));
            }
        }
    }

    /// Moves the write-ahead log into the database, as far as readers allow.
    fn checkpoint(&self) {
        // SQLite's own automatic checkpoint ignores errors, and a failed fsync must never be tried again.
        let moved =
            self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i32>(2));
        if let Err(error) = moved
            && error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy)
        {
            self.stop("checkpoint", &engine_error(error));
        }
    }

    fn stop(&self, what: &str, error: &EngineError) {
        tracing::error!(%error, "the store stops: a {what} failed");
        // Only the first reason is the reason.
        let _ =
            self.broken.set(format!("the store stopped after a failed {what}: {error}; restart the server"));
    }
}

/// Tells a caller, who may have gone away, and whoever follows the store, who has not.
fn answer(job: Job, done: Done) {
    match (job, done) {
        (Job::Commit(batch, reply), Done::Applied) => {
            if let Some(notice) = batch.notice {
                notice();
            }
            let _ = reply.send(Ok(()));
        }
        (Job::Commit(_, reply), _) => {
            let _ = reply.send(Err(BatchError::Conflict));
        }
        (Job::Settle(_, reply), _) => {
            let _ = reply.send(Ok(()));
        }
        (Job::Reserve(reply), Done::Reserved(block)) => {
            let _ = reply.send(Ok(block));
        }
        // Dropping the reply says that the store has stopped.
        (Job::Reserve(_), _) => {}
    }
}

fn refuse(job: Job, error: &EngineError) {
    match job {
        Job::Commit(_, reply) => {
            let _ = reply.send(Err(error.clone().into()));
        }
        Job::Settle(_, reply) => {
            let _ = reply.send(Err(error.clone()));
        }
        Job::Reserve(reply) => {
            let _ = reply.send(Err(error.clone()));
        }
    }
}

fn apply(transaction: &Transaction<'_>, job: &Job) -> rusqlite::Result<Done> {
    match job {
        Job::Commit(batch, _) => {
            Ok(if apply_batch(transaction, batch)? { Done::Applied } else { Done::Conflict })
        }
        Job::Settle(before, _) => apply_settle(transaction, *before).map(|()| Done::Applied),
        Job::Reserve(_) => apply_reserve(transaction).map(Done::Reserved),
    }
}

/// Applies a batch if its expectations hold, earlier batches of the group included; says whether they did.
fn apply_batch(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<bool> {
    let mut revision_of = transaction.prepare_cached("SELECT rev FROM kv WHERE k = ?1")?;
    for (key, expected) in &batch.expected {
        let found = revision_of.query_row([key], |row| number(row, 0)).optional()?;
        let holds = match expected {
            Expected::Absent => found.is_none(),
            Expected::At(revision) => found == Some(*revision),
        };
        if !holds {
            return Ok(false);
        }
    }
    let mut delete = transaction.prepare_cached("DELETE FROM kv WHERE k = ?1")?;
    for key in &batch.deletes {
        delete.execute([key])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO kv VALUES (?1, ?2, ?3) ON CONFLICT (k) DO UPDATE SET rev = excluded.rev, v = excluded.v",
    )?;
    for write in &batch.puts {
        put.execute(params![write.key, signed(write.revision)?, write.bytes])?;
    }
    if let Some(mark) = batch.announced {
        let mut announce = transaction.prepare_cached("INSERT OR REPLACE INTO announced VALUES (?1, ?2)")?;
        announce.execute(params![signed(mark.position)?, mark.proof])?;
    }
    Ok(true)
}

fn apply_settle(transaction: &Transaction<'_>, before: Mark) -> rusqlite::Result<()> {
    if settled(transaction)?.is_some_and(|settled| settled.position >= before.position) {
        return Ok(());
    }
    let position = signed(before.position)?;
    transaction.prepare_cached("DELETE FROM announced WHERE position < ?1")?.execute([position])?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('settled before', ?1, ?2)")?
        .execute(params![position, before.proof])?;
    Ok(())
}

fn apply_reserve(transaction: &Transaction<'_>) -> rusqlite::Result<Range<u64>> {
    let sql = "UPDATE meta SET number = number + 1 WHERE name = 'revision blocks reserved' RETURNING number";
    let block = transaction.prepare_cached(sql)?.query_row([], |row| number(row, 0))?;
    let start = block.checked_mul(REVISION_BLOCK).ok_or_else(|| out_of_range(block))?;
    let end = start.checked_add(REVISION_BLOCK).ok_or_else(|| out_of_range(block))?;
    signed(end)?;
    Ok(start..end)
}

fn settled(connection: &Connection) -> rusqlite::Result<Option<Mark>> {
    let sql = "SELECT number, proof FROM meta WHERE name = 'settled before'";
    connection.prepare_cached(sql)?.query_row([], mark).optional()
}

fn mark(row: &rusqlite::Row<'_>) -> rusqlite::Result<Mark> {
    Ok(Mark { position: number(row, 0)?, proof: row.get(1)? })
}

/// SQLite's integers are signed; ours never are.
fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, stored))
}

fn signed(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|_| out_of_range(number))
}

fn out_of_range(number: u64) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(format!("{number} is out of SQLite's range").into())
}

fn open_for_writing(path: &Path) -> Result<Connection, EngineError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(engine_error)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .map_err(engine_error)?;
    if mode != "wal" {
        return Err(EngineError::Unavailable(format!("SQLite offers journal mode `{mode}`, not `wal`")));
    }
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA secure_delete = FAST;
             PRAGMA cache_size = -8192;",
        )
        .map_err(engine_error)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // No memory mapping: a bad sector should be an error to report, not a signal that ends the process.
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA cache_size = -8192;",
    )?;
    Ok(connection)
}

fn engine_error(error: rusqlite::Error) -> EngineError {
    let damaged = match &error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        // `Unknown` covers "no such table": the schema itself no longer says what we wrote.
        error => matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::Unknown
                    | ErrorCode::TypeMismatch
            )
        ),
    };
    if damaged {
        EngineError::Damaged(error.to_string())
    } else {
        EngineError::Unavailable(error.to_string())
    }
}

fn stopped() -> EngineError {
    EngineError::Unavailable("the store has stopped".into())
}
