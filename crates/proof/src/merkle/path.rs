//! Paths from a store of complete subtrees.

use super::{empty_root, node_hash};
use crate::{Hash, PathError};

/// A place where the roots of complete subtrees can be read.
pub trait NodeSource {
    /// Why a node could not be read.
    type Error;

    /// The root of the complete subtree of 2^level leaves that begins at leaf `index << level`.
    ///
    /// Only subtrees that lie wholly below the size asked about are requested.
    ///
    /// # Errors
    ///
    /// Whatever the source says; it is passed on as [`PathError::Source`].
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The root of the tree of the first `size` leaves (RFC 6962, section 2.1), from at most 64 nodes.
///
/// # Errors
///
/// Those of the source.
pub fn root_at<S: NodeSource + ?Sized>(source: &S, size: u64) -> Result<Hash, S::Error> {
    Ok(edge_node(source, u64::BITS, size)?.unwrap_or_else(empty_root))
}

/// The path that proves the leaf at `index` in the tree of `size` leaves
/// (RFC 6962, section 2.1.1), the leaf's sibling first; O(log size) nodes are read.
///
/// # Errors
///
/// [`PathError::OutOfRange`] unless `index < size`; [`PathError::Source`] if a node can't be read.
pub fn inclusion_path<S: NodeSource + ?Sized>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, PathError<S::Error>> {
    if index >= size {
        return Err(PathError::OutOfRange);
    }
    let mut path = Vec::new();
    climb(source, 0, index, size, &mut path)?;
    Ok(path)
}

/// The path that proves the tree of `old` leaves to be a prefix of that of `new` leaves
/// (RFC 6962, section 2.1.2); O(log new) nodes are read.
///
/// Empty if the sizes are equal or `old` is 0: then there is nothing to hash.
///
/// # Errors
///
/// [`PathError::OutOfRange`] if `old > new`; [`PathError::Source`] if a node can't be read.
pub fn consistency_path<S: NodeSource + ?Sized>(
    source: &S,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, PathError<S::Error>> {
    if old > new {
        return Err(PathError::OutOfRange);
    }
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    // The proof starts from the last complete subtree of the old tree. If that is the whole old
    // tree, its root is known to the verifier and left out.
    let level = old.trailing_zeros();
    let last = (old >> level) - 1;
    if last > 0 {
        path.push(source.node(level, last).map_err(PathError::Source)?);
    }
    climb(source, level, last, new, &mut path)?;
    Ok(path)
}

/// Adds the siblings met on the way from one subtree to the root of the tree of `size` leaves.
fn climb<S: NodeSource + ?Sized>(
    source: &S,
    mut level: u32,
    mut node: u64,
    size: u64,
    path: &mut Vec<Hash>,
) -> Result<(), PathError<S::Error>> {
    let mut last = (size - 1) >> level;
    while last > 0 {
        let sibling = if node & 1 == 1 {
            Some(source.node(level, node - 1).map_err(PathError::Source)?)
        } else if node + 1 == last {
            edge_node(source, level, size).map_err(PathError::Source)?
        } else if node < last {
            Some(source.node(level, node + 1).map_err(PathError::Source)?)
        } else {
            None
        };
        path.extend(sibling);
        node >>= 1;
        last >>= 1;
        level += 1;
    }
    Ok(())
}

/// The root of the last subtree of a level, complete or not: `None` only for the empty tree.
fn edge_node<S: NodeSource + ?Sized>(
    source: &S,
    level: u32,
    size: u64,
) -> Result<Option<Hash>, S::Error> {
    let complete = size.checked_shr(level).unwrap_or(0);
    if complete > 0 && size.trailing_zeros() >= level {
        return source.node(level, complete - 1).map(Some);
    }
    let mut edge = None;
    for below in (0..level).filter(|below| (size >> below) & 1 == 1) {
        let left = source.node(below, (size >> below) - 1)?;
        edge = Some(match edge {
            None => left,
            Some(right) => node_hash(&left, &right),
        });
    }
    Ok(edge)
}
