//! The tree as files: full tiles once they are full, the incomplete ones at each checkpoint (C2SP tlog-tiles).

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use vouchsafe_crypto::merkle::tile::{self, WIDTH};
use vouchsafe_crypto::merkle::{Frontier, Hash, root};

const HASH_BYTES: usize = 32;

/// A tile and what it holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tile {
    /// Its level, from zero.
    pub level: u8,
    /// Its place in the level.
    pub index: u64,
    /// Its hashes, at most 256.
    pub hashes: Vec<Hash>,
}

impl Tile {
    /// Where it lies in the log's directory.
    pub fn path(&self, directory: &Path) -> PathBuf {
        directory.join(tile::path(self.level, self.index, self.hashes.len()))
    }

    /// What the file holds.
    pub fn bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// Writes the file, and takes away incomplete versions of the same tile that it contains.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let path = self.path(directory);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&self.bytes())?;
        let partial = directory.join(tile::path(self.level, self.index, 1));
        let Some(partial) = partial.parent() else { return Ok(()) };
        if self.hashes.len() == WIDTH {
            return match std::fs::remove_dir_all(partial) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        for other in std::fs::read_dir(partial)? {
            let other = other?.path();
            if other != path {
                std::fs::remove_file(other)?;
            }
        }
        Ok(())
    }
}

/// A growing tree that remembers what its incomplete tiles hold.
#[derive(Clone, Default)]
pub struct Tree {
    frontier: Frontier,
    /// For each level the hashes of its incomplete tile, fewer than 256.
    edge: Vec<Vec<Hash>>,
}

impl Tree {
    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Adds a leaf and gives each tile that it completes to `completed`.
    pub fn append(&mut self, leaf: Hash, mut completed: impl FnMut(Tile)) {
        self.frontier.append(leaf);
        let mut hash = leaf;
        for level in 0u8.. {
            if self.edge.len() <= usize::from(level) {
                self.edge.push(Vec::new());
            }
            let Some(edge) = self.edge.get_mut(usize::from(level)) else { return };
            edge.push(hash);
            if edge.len() < WIDTH {
                return;
            }
            let hashes = std::mem::take(edge);
            hash = root(&hashes);
            let index = tile::hashes_at(level, self.frontier.size()) / (WIDTH as u64);
            completed(Tile { level, index: index.saturating_sub(1), hashes });
        }
    }

    /// The incomplete tiles of the present size.
    pub fn incomplete(&self) -> impl Iterator<Item = Tile> {
        (0u8..).zip(&self.edge).filter(|(_, edge)| !edge.is_empty()).map(|(level, edge)| Tile {
            level,
            index: tile::hashes_at(level, self.frontier.size()) / (WIDTH as u64),
            hashes: edge.clone(),
        })
    }

    /// Restores the tree of a size from its tiles. `None` if one that is needed is missing or too short; what is
    /// there is believed, so that whoever calls compares the root with one that was signed.
    pub fn from_tiles(directory: &Path, size: u64) -> Option<Self> {
        let mut edge = Vec::new();
        for level in 0u8.. {
            let hashes = tile::hashes_at(level, size);
            if hashes == 0 {
                break;
            }
            let width = usize::try_from(hashes % (WIDTH as u64)).ok()?;
            edge.push(read_edge(directory, level, hashes / (WIDTH as u64), width)?);
        }
        // The frontier's subtrees, largest first: each level's hashes, split by the bits of their number.
        let mut subtrees = Vec::new();
        for hashes in edge.iter().rev() {
            let mut rest = hashes.as_slice();
            for bit in (0..8).rev().filter(|bit| hashes.len() & (1 << bit) != 0) {
                let (subtree, tail) = rest.split_at_checked(1 << bit)?;
                subtrees.push(root(subtree));
                rest = tail;
            }
        }
        Some(Self { frontier: Frontier::from_parts(size, subtrees)?, edge })
    }
}

/// The first `width` hashes of a tile, which may have grown since.
fn read_edge(directory: &Path, level: u8, index: u64, width: usize) -> Option<Vec<Hash>> {
    if width == 0 {
        return Some(Vec::new());
    }
    let of = |path: PathBuf| {
        let bytes = std::fs::read(path).ok()?;
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        (rest.is_empty() && hashes.len() <= WIDTH).then(|| hashes.get(..width).map(<[_]>::to_vec)).flatten()
    };
    let partial = directory.join(tile::path(level, index, width));
    let wider = || {
        let names = std::fs::read_dir(partial.parent()?).ok()?;
        names.filter_map(|entry| of(entry.ok()?.path())).next()
    };
    of(partial.clone()).or_else(|| of(directory.join(tile::path(level, index, WIDTH)))).or_else(wider)
}
