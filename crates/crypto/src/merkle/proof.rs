//! Proofs that an entry is in a tree and that one tree continues another (RFC 6962 §2.1.1 and §2.1.2).
//!
//! Making a proof takes the leaf hashes. Checking one takes two roots and follows RFC 9162 §2.1.3.2 and §2.1.4.2.

use super::{Hash, node_hash, root};
use crate::digest::sha256;

/// Shows that the leaf at `index` is in the tree over `leaves`; `None` if there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: u64) -> Option<Vec<Hash>> {
    let index = usize::try_from(index).ok().filter(|index| *index < leaves.len())?;
    let mut proof = Vec::new();
    path(leaves, index, &mut proof);
    Some(proof)
}

fn path(leaves: &[Hash], index: usize, proof: &mut Vec<Hash>) {
    if leaves.len() > 1 {
        let (left, right) = halves(leaves);
        if index < left.len() {
            path(left, index, proof);
            proof.push(root(right));
        } else {
            path(right, index - left.len(), proof);
            proof.push(root(left));
        }
    }
}

/// Shows that the tree over `leaves` continues its own first `old_size` leaves; `None` if it has fewer.
pub fn consistency_proof(leaves: &[Hash], old_size: u64) -> Option<Vec<Hash>> {
    let old_size = usize::try_from(old_size).ok().filter(|old_size| *old_size <= leaves.len())?;
    let mut proof = Vec::new();
    if old_size > 0 {
        subproof(leaves, old_size, true, &mut proof);
    }
    Some(proof)
}

/// `known` says whether the verifier already has the root over all of these leaves, as the old root.
fn subproof(leaves: &[Hash], old_size: usize, known: bool, proof: &mut Vec<Hash>) {
    if old_size == leaves.len() {
        if !known {
            proof.push(root(leaves));
        }
        return;
    }
    let (left, right) = halves(leaves);
    if old_size <= left.len() {
        subproof(left, old_size, known, proof);
        proof.push(root(right));
    } else {
        subproof(right, old_size - left.len(), false, proof);
        proof.push(root(left));
    }
}

/// Splits at the largest power of two that is smaller than the number of leaves.
fn halves(leaves: &[Hash]) -> (&[Hash], &[Hash]) {
    leaves.split_at(leaves.len().next_power_of_two() / 2)
}

/// Whether the proof shows that `leaf` is at `index` of the tree with this size and root.
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A node without a right sibling is its own parent until it becomes a right child.
            (node, last) = (node >> node.trailing_zeros(), last >> node.trailing_zeros());
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether the proof shows that the tree with the new size and root continues the one with the old size and root.
#[must_use]
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> bool {
    if old_size == 0 {
        return proof.is_empty() && *old_root == sha256(b"") && (new_size > 0 || old_root == new_root);
    }
    if old_size >= new_size {
        return old_size == new_size && proof.is_empty() && old_root == new_root;
    }
    // An old tree that is a complete subtree of the new one is where both paths begin.
    let (first, rest) = match proof.split_first() {
        _ if old_size.is_power_of_two() => (old_root, proof),
        Some(split) => split,
        None => return false,
    };
    let aligned = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> aligned, (new_size - 1) >> aligned);
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            (old, new) = (node_hash(sibling, &old), node_hash(sibling, &new));
            (node, last) = (node >> node.trailing_zeros(), last >> node.trailing_zeros());
        } else {
            new = node_hash(&new, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && old == *old_root && new == *new_root
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::super::leaf_hash;
    use super::super::tests::{mth, reference_leaves};
    use super::*;

    fn leaves(size: usize) -> Vec<Hash> {
        (0..size).map(|entry| leaf_hash(&entry.to_be_bytes())).collect()
    }

    fn hex(proof: &[Hash]) -> Vec<String> {
        proof.iter().map(|hash| HEXLOWER.encode(hash)).collect()
    }

    /// Proofs that the reference implementation of Certificate Transparency tests with.
    #[test]
    fn the_reference_proofs_of_certificate_transparency_are_made() {
        let leaves = reference_leaves();
        let first_of_eight = [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ];
        assert_eq!(hex(&inclusion_proof(&leaves, 0).expect("in the tree")), first_of_eight);
        let one_to_eight = consistency_proof(&leaves, 1).expect("smaller");
        assert_eq!(hex(&one_to_eight), first_of_eight);
        let two_to_five = consistency_proof(&leaves[..5], 2).expect("smaller");
        assert_eq!(
            hex(&two_to_five),
            [
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ]
        );
    }

    #[test]
    fn every_entry_of_every_small_tree_is_proven_and_nothing_else_is() {
        for size in 1..=40usize {
            let leaves = leaves(size);
            let root = mth(&leaves);
            for (index, leaf) in (0u64..).zip(&leaves) {
                let proof = inclusion_proof(&leaves, index).expect("in the tree");
                let verifies =
                    |leaf, index, size, proof: &[Hash]| verify_inclusion(leaf, index, size, &root, proof);
                let size = size as u64;
                assert!(verifies(leaf, index, size, &proof), "{index} of {size}");
                assert!(!verifies(&[7; 32], index, size, &proof));
                assert!(!verify_inclusion(leaf, index, size, &[7; 32], &proof));
                for other in (0..size + 2).filter(|other| *other != index) {
                    assert!(!verifies(leaf, other, size, &proof), "{index} as {other} of {size}");
                }
                assert!(!verifies(leaf, index, size, &[&proof[..], &[[7; 32]]].concat()));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verifies(leaf, index, size, shorter));
                }
                for place in 0..proof.len() {
                    let mut damaged = proof.clone();
                    damaged[place][0] ^= 1;
                    assert!(!verifies(leaf, index, size, &damaged));
                }
            }
            assert_eq!(inclusion_proof(&leaves, size as u64), None);
        }
    }

    #[test]
    fn every_small_tree_is_proven_to_continue_every_smaller_one_and_no_other() {
        let all = leaves(40);
        for new_size in 0..=all.len() {
            let new_root = mth(&all[..new_size]);
            for old_size in 0..=new_size {
                let old_root = mth(&all[..old_size]);
                let proof = consistency_proof(&all[..new_size], old_size as u64).expect("smaller");
                let (old, new) = (old_size as u64, new_size as u64);
                assert!(verify_consistency(old, &old_root, new, &new_root, &proof), "{old} to {new}");
                assert!(!verify_consistency(old, &[7; 32], new, &new_root, &proof), "{old} to {new}");
                assert!(!verify_consistency(new + 1, &new_root, new, &new_root, &proof));
                let longer = [&proof[..], &[[7; 32]]].concat();
                assert!(!verify_consistency(old, &old_root, new, &new_root, &longer), "{old} to {new}");
                if old > 0 {
                    assert!(!verify_consistency(old, &old_root, new, &[7; 32], &proof), "{old} to {new}");
                }
                for place in 0..proof.len() {
                    let mut damaged = proof.clone();
                    damaged[place][31] ^= 0x80;
                    assert!(!verify_consistency(old, &old_root, new, &new_root, &damaged));
                }
            }
            assert_eq!(consistency_proof(&all[..new_size], new_size as u64 + 1), None);
        }
    }

    #[test]
    fn a_log_that_edited_an_old_entry_cannot_prove_that_it_continues() {
        let honest = leaves(20);
        for edited in 0..12 {
            let mut forged = honest.clone();
            forged[edited] = [7; 32];
            let proof = consistency_proof(&forged, 12).expect("smaller");
            assert!(
                !verify_consistency(12, &mth(&honest[..12]), 20, &mth(&forged), &proof),
                "entry {edited}"
            );
        }
    }

    #[test]
    fn sizes_at_the_end_of_the_range_neither_verify_nor_crash() {
        for index in [0, 1, 1 << 63, u64::MAX - 1, u64::MAX] {
            assert!(!verify_inclusion(&[0; 32], index, u64::MAX, &[0; 32], &[[0; 32]; 70]));
            assert!(!verify_consistency(index, &[0; 32], u64::MAX, &[1; 32], &[[0; 32]; 70]));
        }
    }

    proptest! {
        #[test]
        fn noise_is_never_a_proof(
            index in any::<u64>(),
            size in any::<u64>(),
            proof in proptest::collection::vec(any::<Hash>(), 0..70),
        ) {
            prop_assert!(!verify_inclusion(&[1; 32], index, size, &[2; 32], &proof));
            prop_assert!(index == 0 || !verify_consistency(index, &[1; 32], size, &[2; 32], &proof));
        }

        #[test]
        fn larger_trees_prove_too(size in 1usize..3000, index in 0usize..3000, old in 0usize..3000) {
            let (index, old) = (index % size, old % (size + 1));
            let leaves = leaves(size);
            let new_root = root(&leaves);
            let proof = inclusion_proof(&leaves, index as u64).expect("in the tree");
            prop_assert!(verify_inclusion(&leaves[index], index as u64, size as u64, &new_root, &proof));
            let proof = consistency_proof(&leaves, old as u64).expect("smaller");
            let old_root = root(&leaves[..old]);
            prop_assert!(verify_consistency(old as u64, &old_root, size as u64, &new_root, &proof));
        }
    }
}
