//! Merkle trees over the entries of a log (RFC 6962 §2, RFC 9162 §2.1), their tiles and their signed checkpoints.
//!
//! A tree is known by its size and its root. [`Frontier`] grows one while it holds only the roots of its complete
//! subtrees, [`inclusion_proof`] and [`consistency_proof`] show to someone who has nothing but roots that an entry is
//! in a tree and that one tree continues another, [`tile`] names the files in which hashes are published, and
//! [`Checkpoint`] is what a log signs.

mod note;
mod proof;
pub mod tile;

use aws_lc_rs::digest;

pub use note::{Checkpoint, NoteRefused, NoteSigner, NoteVerifier, VerifierKeyRefused};
pub use proof::{consistency_proof, inclusion_proof, verify_consistency, verify_inclusion};

use crate::digest::sha256;

/// A SHA-256 hash of a leaf or of a subtree.
pub type Hash = [u8; 32];

/// Hashes an entry as a leaf, so that it can never be taken for a node.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    hash(&[&[0], entry])
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The root of the tree over these leaf hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.append(*leaf);
    }
    frontier.root()
}

/// The right edge of a growing tree: one root for each complete subtree, largest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Frontier {
    size: u64,
    // INVARIANT: one hash for each bit that is set in `size`, for the most significant bit first.
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Restores what [`Frontier::to_parts`] gave; `None` if there cannot be so many subtrees in a tree of that size.
    pub fn from_parts(size: u64, subtrees: Vec<Hash>) -> Option<Self> {
        (u64::try_from(subtrees.len()).ok()? == u64::from(size.count_ones()))
            .then_some(Self { size, subtrees })
    }

    /// The size and the roots of the complete subtrees, largest first.
    pub fn to_parts(&self) -> (u64, &[Hash]) {
        (self.size, &self.subtrees)
    }

    /// Adds a leaf.
    pub fn append(&mut self, leaf: Hash) {
        let mut subtree = leaf;
        // Each trailing one bit of the size is a complete subtree as large as the one that is being carried.
        for _ in 0..self.size.trailing_ones() {
            let left = self.subtrees.pop().expect("one subtree for each bit that is set");
            subtree = node_hash(&left, &subtree);
        }
        self.subtrees.push(subtree);
        self.size = self.size.checked_add(1).expect("nobody appends 2^64 entries");
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        let root = self.subtrees.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        root.unwrap_or_else(|| sha256(b""))
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    /// The definition of RFC 6962 §2.1, word for word.
    pub(super) fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(b""),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&mth(left), &mth(right))
            }
        }
    }

    /// The entries and roots that the reference implementation of Certificate Transparency tests with.
    pub(super) fn reference_leaves() -> Vec<Hash> {
        let entries = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        entries.iter().map(|entry| leaf_hash(&HEXLOWER.decode(entry.as_bytes()).expect("hex"))).collect()
    }

    #[test]
    fn the_reference_trees_of_certificate_transparency_have_the_known_roots() {
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let leaves = reference_leaves();
        for (size, expected) in roots.iter().enumerate() {
            assert_eq!(HEXLOWER.encode(&root(&leaves[..size])), *expected, "size {size}");
        }
    }

    #[test]
    fn the_frontier_agrees_with_the_definition_at_every_size_and_after_every_restart() {
        let leaves: Vec<Hash> = (0..600u32).map(|entry| leaf_hash(&entry.to_be_bytes())).collect();
        let mut frontier = Frontier::new();
        for size in 0..leaves.len() {
            assert_eq!(frontier.size(), size as u64);
            assert_eq!(frontier.root(), mth(&leaves[..size]), "size {size}");
            let (stored, subtrees) = frontier.to_parts();
            assert_eq!(Frontier::from_parts(stored, subtrees.to_vec()).as_ref(), Some(&frontier));
            frontier.append(leaves[size]);
        }
    }

    #[test]
    fn parts_that_cannot_belong_together_are_refused() {
        for (size, subtrees) in [(0, 1), (1, 0), (3, 1), (4, 2), (u64::MAX, 63)] {
            assert_eq!(Frontier::from_parts(size, vec![[0; 32]; subtrees]), None, "size {size}");
        }
        assert!(Frontier::from_parts(u64::MAX, vec![[0; 32]; 64]).is_some());
    }

    #[test]
    fn a_full_tile_hashes_to_the_entry_of_the_tile_above() {
        let leaves: Vec<Hash> = (0..512u32).map(|entry| leaf_hash(&entry.to_be_bytes())).collect();
        let above: Vec<Hash> = leaves.chunks(tile::WIDTH).map(root).collect();
        assert_eq!(root(&above), root(&leaves));
    }

    proptest! {
        #[test]
        fn any_change_to_the_entries_changes_the_root(size in 1usize..80, index in 0usize..80, bit in 0usize..256) {
            let index = index % size;
            let mut leaves: Vec<Hash> = (0..size).map(|entry| leaf_hash(&entry.to_be_bytes())).collect();
            let before = root(&leaves);
            leaves[index][bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(root(&leaves), before);
        }
    }
}
