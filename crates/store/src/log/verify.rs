//! Proves offline, with nothing but the files and the public key, that a log is complete and unedited.
//!
//! Every entry is hashed again and compared with the tiles; every checkpoint's signature and root are checked against
//! the entries before it. The first entry that is not what was signed is named. What this cannot see is a log whose
//! newest entries and checkpoints were all taken away: the checkpoint that the store keeps, or a witness, shows that.

use std::fs::File;
use std::io::{BufRead, BufReader, Error};
use std::path::Path;

use vouchsafe_crypto::merkle::tile::{self, WIDTH};
use vouchsafe_crypto::merkle::{Checkpoint, Hash, NoteVerifier, leaf_hash};

use super::checkpoints::{HISTORY, NEWEST, open_note};
use super::frame::Frame;
use super::tree::{Tile, Tree};
use super::{SEGMENT_ENTRIES, segment};

/// Longest note that is read.
const NOTE_BYTES_MAX: usize = 1 << 16;

/// What was proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// How many entries there are.
    pub entries: u64,
    /// How many of them the newest checkpoint covers. The others are whole, but nothing proves that they are ours:
    /// a server that runs, or that was killed, has up to a second of them.
    pub signed: u64,
    /// How many checkpoints were verified.
    pub checkpoints: u64,
    /// The newest checkpoint.
    pub newest: Checkpoint,
}

/// The log is not what was signed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the log is not what was signed, from entry {position} on: {what}")]
pub struct Tampered {
    /// The first entry that cannot be believed.
    pub position: u64,
    /// What is wrong with it.
    pub what: String,
}

fn tampered<T>(position: u64, what: impl Into<String>) -> Result<T, Tampered> {
    Err(Tampered { position, what: what.into() })
}

/// Verifies the log in a directory (the one with `segment`, `tile` and `checkpoints`) against a verifier key.
pub fn verify(directory: &Path, vkey: &str) -> Result<Verified, Tampered> {
    let Ok(verifier) = NoteVerifier::parse(vkey) else {
        return tampered(0, "the verifier key is not one: give the content of the `key.pub` you kept");
    };
    let newest = match std::fs::read_to_string(directory.join(NEWEST)) {
        Ok(note) => open_note(&verifier, &note),
        Err(error) => Err(error.to_string()),
    };
    let newest = newest.or_else(|problem| tampered(0, format!("`{NEWEST}`: {problem}")))?;
    let mut claims = Claims::open(directory, &verifier)?;
    let mut check = Check { directory, tree: Tree::default(), newest: &newest, tile: None };
    claims.hold_at(&check.tree)?;

    let segments = number_of_segments(directory)?;
    for number in 0..segments {
        check.segment(number, number + 1 == segments, &mut claims)?;
    }
    if let Some(claim) = &claims.next {
        let entries = check.tree.size();
        return tampered(
            entries,
            format!("a checkpoint was signed for {} entries, but there are {entries}", claim.size),
        );
    }
    claims.include(&newest)?;
    let entries = check.tree.size();
    Ok(Verified { entries, signed: newest.size, checkpoints: claims.verified, newest })
}

fn number_of_segments(directory: &Path) -> Result<u64, Tampered> {
    let mut number = 0;
    while segment::path(directory, number).exists() {
        number += 1;
    }
    match std::fs::read_dir(directory.join("segment")).map(Iterator::count) {
        Ok(files) if files as u64 == number => Ok(number),
        Ok(_) => {
            let problem = format!("segment {number} is missing, or a file does not belong there");
            tampered(number * SEGMENT_ENTRIES, problem)
        }
        Err(error) => tampered(0, format!("the segments cannot be listed: {error}")),
    }
}

/// The checkpoints in their order, each to be compared when the tree has its size.
struct Claims<'v> {
    verifier: &'v NoteVerifier,
    history: BufReader<File>,
    next: Option<Checkpoint>,
    /// The last two that held; `checkpoint` is one of them.
    held: [Option<Checkpoint>; 2],
    verified: u64,
}

impl<'v> Claims<'v> {
    fn open(directory: &Path, verifier: &'v NoteVerifier) -> Result<Self, Tampered> {
        let history = match File::open(directory.join(HISTORY)) {
            Ok(file) => BufReader::new(file),
            Err(error) => return tampered(0, format!("`{HISTORY}`: {error}")),
        };
        let mut claims = Self { verifier, history, next: None, held: [None, None], verified: 0 };
        claims.read(0)?;
        match &claims.next {
            Some(first) if first.size == 0 => Ok(claims),
            _ => tampered(0, format!("`{HISTORY}` does not begin with the empty log")),
        }
    }

    /// Compares the tree with the next checkpoint if it has that one's size.
    fn hold_at(&mut self, tree: &Tree) -> Result<(), Tampered> {
        let Some(claim) = self.next.take_if(|claim| claim.size == tree.size()) else { return Ok(()) };
        if claim.root != tree.root() {
            let from = self.held_size();
            let problem =
                format!("entries {from} to {} are not those that were signed", tree.size().saturating_sub(1));
            return tampered(from, problem);
        }
        self.verified += 1;
        let [_, last] = &mut self.held;
        let before = last.replace(claim);
        self.held[0] = before;
        self.read(tree.size())
    }

    /// Makes sure that a checkpoint is one of the last two that held: the newest may be written just after it.
    fn include(&self, newest: &Checkpoint) -> Result<(), Tampered> {
        if self.held.iter().flatten().any(|held| held == newest) {
            return Ok(());
        }
        tampered(newest.size.min(self.held_size()), format!("`{NEWEST}` is not at the end of `{HISTORY}`"))
    }

    fn held_size(&self) -> u64 {
        self.held.iter().flatten().map(|held| held.size).max().unwrap_or(0)
    }

    /// Reads the next note; a last one that was not written to its end does not count.
    fn read(&mut self, after: u64) -> Result<(), Tampered> {
        let mut note = Vec::new();
        let mut empty_lines = 0;
        while empty_lines < 2 {
            let start = note.len();
            match self.history.read_until(b'\n', &mut note) {
                Ok(_) if note.last() == Some(&b'\n') && note.len() > start && note.len() < NOTE_BYTES_MAX => {
                }
                Ok(_) if note.len() < NOTE_BYTES_MAX => return Ok(()),
                Ok(_) => return tampered(after, format!("`{HISTORY}` holds something that is no note")),
                Err(error) => return tampered(after, format!("`{HISTORY}`: {error}")),
            }
            if note.len() == start + 1 {
                empty_lines += 1;
            }
        }
        note.pop();
        let opened = String::from_utf8(note).map_err(|error| error.to_string());
        let claim = opened.and_then(|note| open_note(self.verifier, &note));
        let claim = claim.or_else(|problem| tampered(after, format!("`{HISTORY}`: {problem}")))?;
        if self.verified > 0 && claim.size <= after {
            return tampered(after, format!("`{HISTORY}` is out of order"));
        }
        self.next = Some(claim);
        Ok(())
    }
}

/// The log as it is read.
struct Check<'a> {
    directory: &'a Path,
    tree: Tree,
    newest: &'a Checkpoint,
    /// The level-0 tile of the entries at hand.
    tile: Option<(u64, Vec<Hash>)>,
}

impl Check<'_> {
    fn segment(&mut self, number: u64, is_last: bool, claims: &mut Claims<'_>) -> Result<(), Tampered> {
        let unreadable =
            |position, error: Error| Tampered { position, what: format!("segment {number}: {error}") };
        let start = self.tree.size();
        let mut frames =
            segment::frames(self.directory, number, 0).map_err(|error| unreadable(start, error))?;
        let end = (number + 1) * SEGMENT_ENTRIES;
        loop {
            let position = self.tree.size();
            match frames.next().map_err(|error| unreadable(position, error))? {
                Frame::Entry(_) if position >= end => {
                    return tampered(position, format!("segment {number} is too long"));
                }
                Frame::Entry(entry) => {
                    self.entry(position, &entry)?;
                    claims.hold_at(&self.tree)?;
                }
                Frame::End if is_last || position == end => return Ok(()),
                // What a crash leaves of an entry that was never acknowledged; that nothing signed is missing is
                // checked at the end.
                Frame::Torn if is_last => return Ok(()),
                Frame::Damaged { end: frame_end }
                    if is_last
                        && position >= self.newest.size
                        && segment::only_zeros_from(self.directory, number, frame_end).unwrap_or(false) =>
                {
                    return Ok(());
                }
                Frame::Damaged { .. } => return tampered(position, "the checksum of the entry is wrong"),
                Frame::End | Frame::Torn => {
                    return tampered(position, format!("segment {number} ends too early"));
                }
            }
        }
    }

    fn entry(&mut self, position: u64, entry: &[u8]) -> Result<(), Tampered> {
        let leaf = leaf_hash(entry);
        let signed = self.newest.size;
        if position < signed {
            let (index, place) = (position / WIDTH as u64, (position % WIDTH as u64) as usize);
            if self.tile.as_ref().is_none_or(|(held, _)| *held != index) {
                self.tile = Some((index, self.hashes(0, index)?));
            }
            let expected = self.tile.as_ref().and_then(|(_, hashes)| hashes.get(place));
            if expected != Some(&leaf) {
                return tampered(position, "the entry is not the one whose hash was published");
            }
        }
        let mut completed = Vec::new();
        self.tree.append(leaf, |tile| completed.push(tile));
        if position < signed {
            completed.iter().try_for_each(|tile| self.compare(tile))?;
        }
        if position + 1 == signed {
            self.tree.incomplete().try_for_each(|tile| self.compare(&tile))?;
        }
        Ok(())
    }

    fn compare(&self, computed: &Tile) -> Result<(), Tampered> {
        let found = self.hashes(computed.level, computed.index)?;
        let differing = computed.hashes.iter().zip(&found).position(|(computed, found)| computed != found);
        let Some(place) = differing else { return Ok(()) };
        let position = first_entry(computed.level, computed.index, place as u64);
        tampered(position, format!("a published hash of level {} is not that of the entries", computed.level))
    }

    /// The published hashes of a tile, as many as the newest checkpoint covers.
    fn hashes(&self, level: u8, index: u64) -> Result<Vec<Hash>, Tampered> {
        let covered =
            tile::hashes_at(level, self.newest.size).saturating_sub(index.saturating_mul(WIDTH as u64));
        let width = usize::try_from(covered).unwrap_or(WIDTH).min(WIDTH);
        let read = |width| std::fs::read(self.directory.join(tile::path(level, index, width)));
        // An incomplete tile may meanwhile have become a full one.
        let bytes = read(width).or_else(|error| read(WIDTH).map_err(|_| error));
        let hashes = bytes.ok().and_then(|bytes| {
            let (hashes, rest) = bytes.as_chunks::<32>();
            (rest.is_empty() && (hashes.len() == width || hashes.len() == WIDTH)).then(|| hashes.to_vec())
        });
        match hashes {
            Some(hashes) => Ok(hashes),
            None => tampered(
                first_entry(level, index, 0),
                format!("`{}` is missing or has the wrong size", tile::path(level, index, width)),
            ),
        }
    }
}

fn first_entry(level: u8, index: u64, place: u64) -> u64 {
    let hash = index.saturating_mul(WIDTH as u64).saturating_add(place);
    hash.checked_shl(u32::from(level) * tile::HEIGHT).unwrap_or(u64::MAX)
}
