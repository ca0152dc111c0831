//! Verification of paths. Every hash of a path is used, and none may be missing.

use super::{empty_root, node_hash};
use crate::{Hash, ProofError};

/// Checks that `leaf` (a leaf *hash*) is at `index` of the tree of `size` leaves with this root
/// (RFC 9162, section 2.1.3.2).
///
/// # Errors
///
/// [`ProofError::IndexOutOfRange`] unless `index < size`, [`ProofError::PathLength`] if the path is
/// longer or shorter than index and size demand, [`ProofError::RootMismatch`] if it leads elsewhere.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::IndexOutOfRange);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(ProofError::PathLength);
        }
        if is_right(node, last) {
            hash = node_hash(sibling, &hash);
            (node, last) = skip_lone_levels(node, last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::PathLength);
    }
    if hash != *root {
        return Err(ProofError::RootMismatch);
    }
    Ok(())
}

/// Checks that the tree of `old_size` leaves is a prefix of the tree of `new_size` leaves
/// (RFC 9162, section 2.1.4.2).
///
/// What the RFC leaves open is decided strictly: with equal sizes the roots must be equal and the
/// path empty; from size 0 the path must be empty. Size 0 has one root, [`empty_root`], on either
/// side; that any tree continues the empty one says nothing about the new root.
///
/// # Errors
///
/// [`ProofError::SizesReversed`] if `old_size > new_size`, [`ProofError::PathLength`] if hashes are
/// missing or too many, [`ProofError::RootMismatch`] if either root is not reached.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::SizesReversed);
    }
    if old_size == 0 || old_size == new_size {
        return without_path(old_size, old_root, new_size, new_root, path);
    }
    let level = old_size.trailing_zeros();
    let (mut node, mut last) = ((old_size >> level) - 1, (new_size - 1) >> level);
    let (start, rest) = if node == 0 {
        (old_root, path)
    } else {
        path.split_first().ok_or(ProofError::PathLength)?
    };
    let (mut old_hash, mut new_hash) = (*start, *start);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::PathLength);
        }
        if is_right(node, last) {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            (node, last) = skip_lone_levels(node, last);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::PathLength);
    }
    if old_hash != *old_root || new_hash != *new_root {
        return Err(ProofError::RootMismatch);
    }
    Ok(())
}

fn without_path(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    if !path.is_empty() {
        return Err(ProofError::PathLength);
    }
    let old_is_empty = old_size > 0 || *old_root == empty_root();
    let same = old_size != new_size || old_root == new_root;
    if old_is_empty && same {
        Ok(())
    } else {
        Err(ProofError::RootMismatch)
    }
}

/// Whether the next hash of a path stands to the left of this node.
fn is_right(node: u64, last: u64) -> bool {
    node & 1 == 1 || node == last
}

/// At the right edge a node without a sibling rises unchanged, level after level.
fn skip_lone_levels(node: u64, last: u64) -> (u64, u64) {
    let levels = if node == 0 { 0 } else { node.trailing_zeros() };
    (node >> levels, last >> levels)
}
