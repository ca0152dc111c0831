//! One proof for many leaves: the roots of the subtrees between them.

use std::ops::Range;

use super::{NodeSource, node_hash};
use crate::{Hash, PathError, ProofError};

/// The proof that some leaves are in the tree of `size` leaves: the roots of the largest subtrees (as RFC
/// 6962, section 2.1, splits the tree) that hold none of them, from left to right.
///
/// `ranges` are of leaf indexes; they ascend, don't overlap, and are not empty.
///
/// # Errors
///
/// [`PathError::OutOfRange`] if a range ends past `size`; [`PathError::Source`] if a node can't be read.
pub fn set_proof<S: NodeSource + ?Sized>(
    source: &S,
    size: u64,
    ranges: &[Range<u64>],
) -> Result<Vec<Hash>, PathError<S::Error>> {
    if ranges.last().is_some_and(|range| range.end > size) {
        return Err(PathError::OutOfRange);
    }
    let mut proof = Vec::new();
    if size > 0 {
        gaps(source, 0..size, ranges, &mut proof).map_err(PathError::Source)?;
    }
    Ok(proof)
}

fn gaps<S: NodeSource + ?Sized>(
    source: &S,
    tree: Range<u64>,
    ranges: &[Range<u64>],
    proof: &mut Vec<Hash>,
) -> Result<(), S::Error> {
    let from = ranges.partition_point(|range| range.end <= tree.start);
    let until = ranges.partition_point(|range| range.start < tree.end);
    let within = ranges.get(from..until).unwrap_or_default();
    match within.first() {
        None => proof.push(subtree(source, tree)?),
        Some(range) if range.start <= tree.start && range.end >= tree.end => {}
        Some(_) => {
            let middle = tree.start + split(tree.end - tree.start);
            gaps(source, tree.start..middle, within, proof)?;
            gaps(source, middle..tree.end, within, proof)?;
        }
    }
    Ok(())
}

/// The root of a subtree, complete or not.
fn subtree<S: NodeSource + ?Sized>(source: &S, tree: Range<u64>) -> Result<Hash, S::Error> {
    let width = tree.end - tree.start;
    if width.is_power_of_two() {
        let level = width.trailing_zeros();
        return source.node(level, tree.start >> level);
    }
    let middle = tree.start + split(width);
    let left = subtree(source, tree.start..middle)?;
    let right = subtree(source, middle..tree.end)?;
    Ok(node_hash(&left, &right))
}

/// The root of the tree of `size` leaves, from some of its leaves, by ascending index, and their
/// [`set_proof`].
///
/// # Errors
///
/// [`ProofError::IndexOutOfRange`] if there is no leaf, or they don't ascend to below `size`;
/// [`ProofError::PathLength`] if hashes are missing or left over.
pub fn root_of_set(size: u64, leaves: &[(u64, Hash)], proof: &[Hash]) -> Result<Hash, ProofError> {
    let ascending = leaves.is_sorted_by(|(one, _), (next, _)| one < next);
    if !ascending || leaves.last().is_none_or(|(index, _)| *index >= size) {
        return Err(ProofError::IndexOutOfRange);
    }
    let mut rest = proof.iter();
    let root = fold(0..size, leaves, &mut rest)?;
    match rest.next() {
        None => Ok(root),
        Some(_) => Err(ProofError::PathLength),
    }
}

/// As deep as the tree is high, and as long as the leaves and the proof are many.
fn fold(
    tree: Range<u64>,
    leaves: &[(u64, Hash)],
    proof: &mut std::slice::Iter<'_, Hash>,
) -> Result<Hash, ProofError> {
    let Some((_, first)) = leaves.first() else {
        return proof.next().copied().ok_or(ProofError::PathLength);
    };
    let width = tree.end - tree.start;
    if width == 1 {
        return Ok(*first);
    }
    let middle = tree.start + split(width);
    let at = leaves.partition_point(|(index, _)| *index < middle);
    let (left, right) = leaves.split_at(at);
    let left = fold(tree.start..middle, left, proof)?;
    let right = fold(middle..tree.end, right, proof)?;
    Ok(node_hash(&left, &right))
}

/// The largest power of two below `width`, which is over 1.
fn split(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}
