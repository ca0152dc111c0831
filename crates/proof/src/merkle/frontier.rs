//! The right edge of a tree: all that is needed to append to it.

use super::{Span, empty_root, node_hash};
use crate::{Hash, ProofError};

/// The largest size a frontier is built at; appends can then never overflow the count.
const MAX_SIZE: u64 = 1 << 63;

/// The right edge of a tree: the roots of its complete subtrees, one per one-bit of its size.
///
/// This is all the state an append needs, at most 64 hashes whatever the size.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Largest subtree first.
    hashes: Vec<Hash>,
}

impl Frontier {
    /// The edge of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree of `size` leaves, from the roots of its complete subtrees, largest first.
    ///
    /// # Errors
    ///
    /// [`ProofError::FrontierLength`] if there is not exactly one hash per one-bit of `size`;
    /// [`ProofError::TooLarge`] if `size` is over 2^63. That the hashes are the right ones can only
    /// be seen by comparing [`root`](Self::root).
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, ProofError> {
        if size > MAX_SIZE {
            return Err(ProofError::TooLarge);
        }
        if hashes.len() as u64 != u64::from(size.count_ones()) {
            return Err(ProofError::FrontierLength);
        }
        Ok(Self { size, hashes })
    }

    pub(super) fn from_trusted(size: u64, hashes: Vec<Hash>) -> Self {
        debug_assert_eq!(hashes.len() as u64, u64::from(size.count_ones()));
        Self { size, hashes }
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends one leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Like a binary counter: each trailing one-bit of the size is a subtree that gets complete.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.hashes.push(node);
        self.size += 1;
    }

    /// Appends leaf hashes without keeping what proofs of them would need.
    pub fn append(&mut self, leaves: &[Hash]) {
        for leaf in leaves {
            self.push(*leaf);
        }
    }

    /// Appends leaf hashes and keeps what is needed to prove each of them at the new size.
    ///
    /// Costs one node hash per leaf and at most one more per bit of the size.
    pub fn extend(&mut self, leaves: impl Into<Vec<Hash>>) -> Span {
        let before = std::mem::take(self);
        let (span, after) = Span::build(before, leaves.into());
        *self = after;
        span
    }

    /// The root of the tree (RFC 6962, section 2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        self.hashes
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }

    /// The root of the complete subtree of 2^level leaves that is the last of its level, if it is
    /// part of the edge.
    pub(super) fn at_level(&self, level: u32) -> Option<&Hash> {
        let at = self.size.checked_shr(level)?;
        if at & 1 == 0 {
            return None;
        }
        self.hashes.get((at >> 1).count_ones() as usize)
    }
}
