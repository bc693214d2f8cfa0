//! A deployment on disk: made once, explicitly; opened by one process at a time; proved before it is used.
//!
//! ```text
//! DIR/store.sqlite   sealed records        DIR/root.json  who can open it, and the root key sealed for each of them
//! DIR/audit/         the audit log         DIR/root.key   the key of a file provider, when there is one
//!                                          DIR/lock       held while a server runs
//! ```
//!
//! The directory has mode 0700 and its files 0600. Nothing here falls back to making what is missing: a lost root key or
//! log is an answer that an operator must hear (architecture.md §4, invariant 10).

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use vouchsafe_crypto::envelope::Kek;
use vouchsafe_crypto::merkle::NoteSigner;
use vouchsafe_crypto::{Reason, SecretBytes};
use vouchsafe_domain::ports::log::Position;
use vouchsafe_domain::ports::store::{
    Commit, CommitError, Expect, Housekeeping, Key, Kind, Partition, StoreError,
};
use vouchsafe_domain::ports::{Clock, Entropy, Log, Store};
use zeroize::Zeroizing;

use crate::barrier::rekey::Rekey;
use crate::barrier::{Barrier, BarrierError};
use crate::engine::EngineError;
use crate::engine::sqlite::Sqlite;
use crate::log::{self, FileLog, LogError, Signer};
use crate::root::{
    ProviderKind, Recovery, RootKeyError, RootKeySource, RootKeys, RootRecord, ShareFile, sync_directory,
};

/// The file that holds a file provider's key, where nobody says otherwise.
pub const ROOT_KEY_FILE: &str = "root.key";
mod ceremony;

pub use ceremony::Ceremony;

const STORE_FILE: &str = "store.sqlite";
const AUDIT_DIRECTORY: &str = "audit";
const LOCK_FILE: &str = "lock";

/// Which engine keeps the records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum EngineKind {
    /// One SQLite file in the deployment's directory.
    #[default]
    Sqlite,
}

/// Why no deployment was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one, or a part of one.
    #[error("`{}` already exists; initialising never replaces anything, so choose an empty directory", .0.display())]
    Present(PathBuf),
    /// A file could not be made.
    #[error("cannot create `{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no root key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The store could not be set up.
    #[error(transparent)]
    Store(#[from] BarrierError),
    /// The log could not be set up.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A thing that cannot happen, named instead of a panic.
    #[error("{0}")]
    Internal(String),
}

/// Why a deployment was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none.
    #[error("`{}` does not exist; run `vouchsafe init --data {}` first", .0.display(), .0.parent().unwrap_or(.0).display())]
    Absent(PathBuf),
    /// Another process uses it.
    #[error("`{}` is in use by another process", .0.display())]
    Locked(PathBuf),
    /// Others may read it.
    #[error("`{}` has mode {mode:04o}, so others can reach into it; run `chmod 0700` on it", path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file could not be used.
    #[error("cannot open `{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no root key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] BarrierError),
    /// The log does not open.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A thing that cannot happen, named instead of a panic.
    #[error("{0}")]
    Internal(String),
}

/// An open deployment. The lock is held until store and log are both dropped.
pub struct Deployment {
    /// Its records.
    pub store: Arc<dyn Store>,
    /// The wrapping keys of its records, to be replaced while it is in use.
    pub keys: Arc<dyn Rekey>,
    /// Its audit log.
    pub log: Arc<FileLog>,
    /// What backups of single objects are sealed with: derived from the root key for nothing else.
    pub backup_key: Kek,
    id: [u8; 16],
}

impl Deployment {
    /// The random id that it was given when it was made.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Keeps the log's newest checkpoint in the store, so that the log cannot be rolled back alone. A job does this
    /// each second; it writes nothing when nothing is new.
    pub async fn anchor(&self) -> Result<(), CommitError> {
        let note = self.log.checkpoint();
        let key = anchor_key();
        let expect = match self.store.get(&key).await? {
            Some(record) if record.value.matches(note.as_bytes()) => return Ok(()),
            Some(record) => Expect::At(record.revision),
            None => Expect::Absent,
        };
        let value = SecretBytes::new(note.as_bytes().to_vec());
        let commit = Commit::housekeeping(Housekeeping::Checkpoint).put(key, expect, value);
        self.store.commit(commit).await.map(|_| ())
    }
}

/// Makes a deployment in a directory that does not exist or is empty.
pub fn initialise(
    directory: &Path,
    source: &RootKeySource,
    engine: EngineKind,
    entropy: &dyn Entropy,
) -> Result<(), InitError> {
    initialise_with(directory, source, None, engine, entropy).map(|_| ())
}

/// The same with a recovery quorum, whose shares are returned. They exist nowhere else.
pub fn initialise_with(
    directory: &Path,
    source: &RootKeySource,
    recovery: Option<&Recovery>,
    engine: EngineKind,
    entropy: &dyn Entropy,
) -> Result<Vec<ShareFile>, InitError> {
    let EngineKind::Sqlite = engine;
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |source| InitError::File { path, source }
    };
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result.map_err(file_error(directory))?,
    }
    let first = std::fs::read_dir(directory).map_err(file_error(directory))?.next();
    if let Some(first) = first {
        return Err(InitError::Present(first.map_err(file_error(directory))?.path()));
    }
    if let RootKeySource::KeyFile(path) = source
        && path.symlink_metadata().is_ok()
    {
        return Err(InitError::Present(path.clone()));
    }
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
        .map_err(file_error(directory))?;
    let lock = take_lock(directory, true).map_err(|error| InitError::Internal(error.to_string()))?;

    let mut root = Zeroizing::new(vec![0; 32]);
    entropy.fill(&mut root);
    let root = Kek::from_secret(SecretBytes::new(std::mem::take(&mut *root)))
        .ok_or_else(|| InitError::Internal("a root key has 32 bytes".into()))?;
    let keys = RootKeys::of(root);
    let mut id = [0; 16];
    entropy.fill(&mut id);
    let mut record = RootRecord::new(id);
    record.add(directory, &keys, source.kind().as_str(), source, entropy).inspect_err(|_| {
        // So that the next attempt, with a passphrase that is long enough or a token that is there, finds it empty.
        let _ = std::fs::remove_file(directory.join(LOCK_FILE));
    })?;
    let shares = match recovery {
        Some(recovery) => record.add_recovery(&keys, ProviderKind::Recovery.as_str(), recovery, entropy)?,
        None => Vec::new(),
    };
    record.save(directory)?;
    let path = directory.join(STORE_FILE);
    let engine = Sqlite::create(&path).and_then(|()| Sqlite::open(&path, lock)).map_err(engine_error)?;
    // Runs once, before there is anything to serve; callers inside and outside a runtime can wait for it alike.
    let first_records = std::thread::scope(|scope| {
        let initialise = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            Ok::<_, io::Error>(runtime.block_on(Barrier::initialise_under(engine, &keys, id)))
        };
        scope.spawn(initialise).join()
    });
    first_records
        .map_err(|_| InitError::Internal("writing the first records failed".into()))?
        .map_err(file_error(&path))??;
    let signer =
        signer(&keys, id).ok_or_else(|| InitError::Internal("the log's key cannot be derived".into()))?;
    log::initialise(&directory.join(AUDIT_DIRECTORY), &signer)?;
    let parent = directory.parent().unwrap_or(Path::new("."));
    sync_directory(directory).and_then(|()| sync_directory(parent)).map_err(file_error(directory))?;
    Ok(shares)
}

/// Opens a deployment: takes the lock, proves the root key and the log, or says what is wrong.
pub async fn open(
    directory: &Path,
    source: &RootKeySource,
    clock: Arc<dyn Clock>,
) -> Result<Deployment, OpenError> {
    Ok(open_with(directory, source, clock).await?.deployment)
}

async fn open_with(
    directory: &Path,
    source: &RootKeySource,
    clock: Arc<dyn Clock>,
) -> Result<Ceremony, OpenError> {
    let path = directory.join(STORE_FILE);
    if !path.exists() {
        return Err(OpenError::Absent(path));
    }
    let metadata =
        directory.metadata().map_err(|source| OpenError::File { path: directory.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(OpenError::Exposed { path: directory.to_owned(), mode });
    }
    let lock = take_lock(directory, false)?;
    let mut record = RootRecord::load(directory)?;
    let mut keys = match &record {
        Some(record) => record.open(directory, source)?,
        // The layout before records: the file or credential holds the root key itself.
        None => RootKeys::of(source.load()?),
    };
    let engine = Sqlite::open(&path, Arc::clone(&lock)).map_err(engine_error)?;
    let barrier = Barrier::open_under(engine, &keys).await?;
    let id = barrier.deployment();
    if let Some(record) = record.as_mut().filter(|_| keys.is_between_roots()) {
        // A replacement of the root was broken off: its last two steps.
        barrier.adopt_root().await.map_err(BarrierError::from)?;
        record.settle(&keys)?;
        record.save(directory)?;
        keys = record.open(directory, source)?;
    }
    let anchor = match barrier.get(&anchor_key()).await.map_err(BarrierError::from)? {
        None => None,
        Some(record) => match std::str::from_utf8(record.value.expose(Reason::Record)) {
            Ok(note) => Some(note.to_owned()),
            Err(_) => return Err(BarrierError::from(StoreError::Integrity("audit checkpoint".into())).into()),
        },
    };
    let signer =
        signer(&keys, id).ok_or_else(|| OpenError::Internal("the log's key cannot be derived".into()))?;
    let audit = directory.join(AUDIT_DIRECTORY);
    let log = FileLog::open(&audit, signer, anchor.as_deref(), clock, lock)?;
    // An intent is durable before its commit: what the store has seen announced, the log must have.
    let settled = barrier.settled().await.map_err(BarrierError::from)?.0;
    let beyond = barrier.announced_since(Position(log.len())).await.map_err(BarrierError::from)?;
    let announced = beyond.last().map_or(0, |position| position.0.saturating_add(1));
    if settled.max(announced) > log.len() {
        let what = "the store's newest announced commit";
        return Err(LogError::Shorter { what, signed: settled.max(announced), found: log.len() }.into());
    }
    let backup_key =
        keys.backup().ok_or_else(|| OpenError::Internal("the backup key cannot be derived".into()))?;
    let barrier = Arc::new(barrier);
    let deployment =
        Deployment { store: barrier.clone(), keys: barrier.clone(), log: Arc::new(log), backup_key, id };
    Ok(Ceremony {
        directory: directory.to_owned(),
        deployment,
        barrier,
        record,
        keys,
        source: source.clone(),
    })
}

fn anchor_key() -> Key {
    Key::new(Partition::Deployment, Kind::AuditCheckpoint, "local")
}

fn signer(keys: &RootKeys, id: [u8; 16]) -> Option<Signer> {
    let origin = format!("vouchsafe/audit/{}", data_encoding::HEXLOWER.encode(&id));
    let note = NoteSigner::new(&origin, keys.audit())?;
    Some(Signer::new(&origin, note))
}

/// Takes the lock that keeps other processes out; the kernel gives it back when this one ends, however it ends.
fn take_lock(directory: &Path, create: bool) -> Result<Arc<File>, OpenError> {
    let path = directory.join(LOCK_FILE);
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).create(create).mode(0o600).open(&path);
    let file = file.map_err(|source| OpenError::File { path: path.clone(), source })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Arc::new(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked(directory.to_owned())),
        Err(error) => Err(OpenError::File { path, source: error.into() }),
    }
}

fn engine_error(error: EngineError) -> BarrierError {
    BarrierError::Store(match error {
        EngineError::Damaged(problem) => StoreError::Integrity(problem),
        EngineError::Unavailable(problem) => StoreError::Unavailable(problem),
    })
}
