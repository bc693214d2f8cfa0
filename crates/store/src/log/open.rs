//! Making a log, and opening one: what is on the disk is proved against everything that was ever signed for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use vouchsafe_crypto::merkle::{Checkpoint, Hash, NoteVerifier};

use super::checkpoints::{self, HISTORY, KEY, NEWEST, Signer, open_note};
use super::frame::Frame;
use super::tree::{Tile, Tree};
use super::{SEGMENT_ENTRIES, segment};
use crate::root::sync_directory;

/// How much of the end of the history is read to find the newest whole note.
const HISTORY_TAIL_BYTES: u64 = 1 << 18;
/// Every how many entries their place in a segment is remembered.
pub const INDEX_EVERY: u64 = 256;

/// Why a log was not made or opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file of the log cannot be used.
    #[error("the audit log's {what}: {source}")]
    File {
        /// Which, and what was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is a log already.
    #[error("there is already an audit log in `{0}`")]
    Present(String),
    /// The log was signed by another key.
    #[error(
        "the audit log's verifier key is not the one that belongs to the root key; is this another deployment's log?"
    )]
    OtherKey,
    /// A signed checkpoint cannot be believed.
    #[error("the audit log's {what} is not authentic: {problem}")]
    Checkpoint {
        /// Which.
        what: &'static str,
        /// Why.
        problem: String,
    },
    /// An entry in the middle cannot be read.
    #[error(
        "entry {position} of the audit log is damaged; run `vouchsafe audit verify` and restore the log from a copy"
    )]
    Damaged {
        /// Which entry.
        position: u64,
    },
    /// The log has fewer entries than were signed for.
    #[error("rollback suspected: {what} was signed for {signed} entries, but the audit log has {found}")]
    Shorter {
        /// Which checkpoint.
        what: &'static str,
        /// How many it was signed for.
        signed: u64,
        /// How many there are.
        found: u64,
    },
    /// The log's entries are not those that were signed for.
    #[error(
        "rollback or tampering suspected: the first {size} entries of the audit log are not what {what} was signed for"
    )]
    Different {
        /// Which checkpoint.
        what: &'static str,
        /// How many entries it covers.
        size: u64,
    },
}

fn file_error(what: &'static str) -> impl Fn(io::Error) -> LogError {
    move |source| LogError::File { what, source }
}

/// Makes an empty log with its first checkpoint. Never a fallback: refuses where anything exists.
pub fn initialise(directory: &Path, signer: &Signer) -> Result<(), LogError> {
    let make = |path: &Path| std::fs::DirBuilder::new().mode(0o700).create(path);
    match make(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(LogError::Present(directory.display().to_string()));
        }
        result => result.map_err(file_error("directory"))?,
    }
    for name in ["segment", "tile"] {
        make(&directory.join(name)).map_err(file_error("directory"))?;
    }
    let note = signer.sign(0, Tree::default().root());
    for (name, text) in
        [(KEY, format!("{}\n", signer.vkey())), (NEWEST, note.clone()), (HISTORY, format!("{note}\n"))]
    {
        let mut options = std::fs::OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(name))
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(file_error("first files"))?;
    }
    sync_directory(directory).map_err(file_error("directory"))
}

/// What is known about a log that was proved.
pub struct Opened {
    /// The tree over its entries.
    pub tree: Tree,
    /// The newest signed checkpoint, which covers all of them.
    pub newest: String,
    /// Where in its segment every 256th entry of the last segment begins.
    pub index: BTreeMap<u64, u64>,
}

/// Proves a log, cuts off what a crash left half written, and brings tiles and checkpoint up to date.
pub fn open(directory: &Path, signer: &Signer, anchor: Option<&str>) -> Result<Opened, LogError> {
    let vkey = std::fs::read_to_string(directory.join(KEY)).map_err(file_error("verifier key"))?;
    if vkey.trim_ascii() != signer.vkey() {
        return Err(LogError::OtherKey);
    }
    let verifier = NoteVerifier::parse(&vkey).map_err(|_| LogError::OtherKey)?;
    let (newest, history, history_bytes) = signed_files(directory, &verifier)?;
    let anchored = anchor.map(|note| claim("the store's checkpoint", &verifier, note)).transpose()?;
    let claims: Vec<Claim> = [newest.clone(), history.clone(), anchored].into_iter().flatten().collect();

    let segments = segment::count(directory).map_err(file_error("segments"))?;
    let last = segments.saturating_sub(1);
    let quick = Tree::from_tiles(directory, last * SEGMENT_ENTRIES)
        .map(|tree| scan(directory, segments, last, tree, &claims))
        .transpose()?
        .filter(|scan| claims.iter().all(|claim| scan.proves(directory, claim).is_ok()));
    let scan = match quick {
        Some(scan) => scan,
        // Tiles are not waited for, so a power cut may have taken some: compute everything from the entries.
        None => scan(directory, segments, 0, Tree::default(), &claims)?,
    };
    for claim in &claims {
        scan.proves(directory, claim)?;
    }

    // From here on the log is the one that was signed; only now is anything changed.
    let size = scan.tree.size();
    if segments > 0 {
        let file = segment::open_for_appending(directory, last).map_err(file_error("last segment"))?;
        file.set_len(scan.last_bytes).and_then(|()| file.sync_all()).map_err(file_error("last segment"))?;
    }
    for tile in scan.tiles.into_iter().chain(scan.tree.incomplete()) {
        if std::fs::read(tile.path(directory)).ok().as_deref() != Some(&tile.bytes()) {
            tile.write(directory).map_err(file_error("tiles"))?;
        }
    }
    let note = signer.sign(size, scan.tree.root());
    let mut file = checkpoints::open_history(directory).map_err(file_error("checkpoints"))?;
    file.set_len(history_bytes).map_err(file_error("checkpoints"))?;
    if history.is_none_or(|claim| claim.checkpoint.size != size) {
        checkpoints::append(&mut file, &note).map_err(file_error("checkpoints"))?;
    }
    if newest.is_none_or(|claim| claim.checkpoint.size != size) {
        checkpoints::replace(directory, &note).map_err(file_error("checkpoint"))?;
    }
    Ok(Opened { tree: scan.tree, newest: note, index: scan.index })
}

/// Something that was signed for this log.
#[derive(Clone)]
struct Claim {
    what: &'static str,
    checkpoint: Checkpoint,
}

fn claim(what: &'static str, verifier: &NoteVerifier, note: &str) -> Result<Claim, LogError> {
    let checkpoint = open_note(verifier, note).map_err(|problem| LogError::Checkpoint { what, problem })?;
    Ok(Claim { what, checkpoint })
}

/// The newest checkpoint, the last of the history, and how many bytes of the history are whole notes.
fn signed_files(
    directory: &Path,
    verifier: &NoteVerifier,
) -> Result<(Option<Claim>, Option<Claim>, u64), LogError> {
    let mut file = File::open(directory.join(HISTORY)).map_err(file_error("checkpoints"))?;
    let length = file.metadata().map_err(file_error("checkpoints"))?.len();
    let start = length.saturating_sub(HISTORY_TAIL_BYTES);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start))
        .and_then(|_| file.read_to_end(&mut tail))
        .map_err(file_error("checkpoints"))?;
    let skipped = match start {
        0 => 0,
        // Begin with a whole note: the name of the log stands only at the beginning of one.
        _ => {
            let mark = format!("\n\n{}\n", verifier.name());
            tail.windows(mark.len())
                .position(|window| window == mark.as_bytes())
                .map_or(tail.len(), |at| at + 2)
        }
    };
    let tail = tail.get(skipped..).unwrap_or_default();
    let text = tail.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let (notes, whole) = checkpoints::split(text);
    let history = notes.last().map(|note| claim("its history of checkpoints", verifier, note)).transpose()?;

    let newest = std::fs::read_to_string(directory.join(NEWEST)).map_err(file_error("checkpoint"))?;
    // A power cut may leave a replaced file empty; the history then says what was signed.
    let newest = match newest.is_empty() && history.is_some() {
        true => None,
        false => Some(claim("its checkpoint", verifier, &newest)?),
    };
    Ok((newest, history, start + (skipped + whole) as u64))
}

/// What reading the segments from one on has shown.
struct Scan {
    tree: Tree,
    first: u64,
    tiles: Vec<Tile>,
    roots: BTreeMap<u64, Hash>,
    last_bytes: u64,
    index: BTreeMap<u64, u64>,
}

impl Scan {
    fn proves(&self, directory: &Path, claim: &Claim) -> Result<(), LogError> {
        let Claim { what, checkpoint: Checkpoint { size, root, .. } } = claim;
        let (what, size) = (*what, *size);
        if size > self.tree.size() {
            return Err(LogError::Shorter { what, signed: size, found: self.tree.size() });
        }
        let found = match self.roots.get(&size) {
            Some(found) => Some(*found),
            None if size <= self.first => Tree::from_tiles(directory, size).map(|tree| tree.root()),
            None => None,
        };
        if found == Some(*root) { Ok(()) } else { Err(LogError::Different { what, size }) }
    }
}

/// Reads the segments from one on into a tree of those before.
fn scan(directory: &Path, segments: u64, from: u64, tree: Tree, claims: &[Claim]) -> Result<Scan, LogError> {
    let first = tree.size();
    let mut scan = Scan {
        tree,
        first,
        tiles: Vec::new(),
        roots: BTreeMap::new(),
        last_bytes: 0,
        index: BTreeMap::new(),
    };
    let wanted: Vec<u64> = claims.iter().map(|claim| claim.checkpoint.size).collect();
    let remember = |scan: &mut Scan| {
        if wanted.contains(&scan.tree.size()) {
            scan.roots.insert(scan.tree.size(), scan.tree.root());
        }
    };
    remember(&mut scan);
    for number in from..segments {
        let is_last = number + 1 == segments;
        let mut frames = segment::frames(directory, number, 0).map_err(file_error("segment"))?;
        let end = (number + 1) * SEGMENT_ENTRIES;
        scan.index.clear();
        loop {
            let position = scan.tree.size();
            let offset = frames.offset();
            match frames.next().map_err(file_error("segment"))? {
                Frame::Entry(entry) if position < end => {
                    if position.is_multiple_of(INDEX_EVERY) {
                        scan.index.insert(position, offset);
                    }
                    let tiles = &mut scan.tiles;
                    scan.tree.append(vouchsafe_crypto::merkle::leaf_hash(&entry), |tile| tiles.push(tile));
                    remember(&mut scan);
                }
                Frame::End if is_last || position == end => break,
                Frame::Torn if is_last && position < end => break,
                // What a crash left of the last write: a frame at the very end that is not whole, or a file that grew
                // before its data arrived.
                Frame::Damaged { end: frame_end }
                    if is_last
                        && position < end
                        && segment::only_zeros_from(directory, number, frame_end)
                            .map_err(file_error("segment"))? =>
                {
                    break;
                }
                _ => return Err(LogError::Damaged { position }),
            }
        }
        scan.last_bytes = frames.offset();
    }
    Ok(scan)
}
