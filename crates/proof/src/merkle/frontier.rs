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

/// Levels of a tile (C2SP tlog-tiles).
const TILE_HEIGHT: u32 = 8;

/// A complete subtree, made without the tree before it, so that many can be made side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    first: u64,
    level: u32,
    root: Hash,
    /// The full tiles in it, in the order in which they got complete: where each ends, and its root.
    tiles: Vec<(u64, Hash)>,
}

impl Subtree {
    /// The leaf of this index.
    #[must_use]
    pub fn leaf(index: u64, hash: Hash) -> Self {
        Self {
            first: index,
            level: 0,
            root: hash,
            tiles: Vec::new(),
        }
    }

    /// The largest complete subtrees of a run of leaves of which the first has index `first`, in order.
    ///
    /// Costs less than one node hash per leaf.
    #[must_use]
    pub fn of(first: u64, leaves: &[Hash]) -> Vec<Self> {
        let mut made: Vec<Self> = Vec::new();
        for (leaf, at) in leaves.iter().zip(first..) {
            let mut node = Self::leaf(at, *leaf);
            // The left neighbour of a subtree that is itself a right child is its sibling.
            while node.first >> node.level & 1 == 1
                && let Some(left) = made.pop_if(|left| left.level == node.level)
            {
                node = left.join(node);
            }
            made.push(node);
        }
        made
    }

    fn join(mut self, right: Self) -> Self {
        self.root = node_hash(&self.root, &right.root);
        self.level += 1;
        self.tiles.extend(right.tiles);
        if self.level.is_multiple_of(TILE_HEIGHT) {
            self.tiles.push((self.first + (1 << self.level), self.root));
        }
        self
    }
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
        self.complete(0, leaf, |_, _| {});
    }

    /// Appends a complete subtree. `tile` is given each full tile (a subtree of 256^n leaves) that gets
    /// complete, in the order in which they do: the size of the tree that it ends at, and its root.
    ///
    /// `false` if the subtree doesn't begin where the tree ends: then nothing was appended.
    #[must_use]
    pub fn push_subtree(&mut self, subtree: &Subtree, mut tile: impl FnMut(u64, &Hash)) -> bool {
        if self.size != subtree.first {
            return false;
        }
        for (end, root) in &subtree.tiles {
            tile(*end, root);
        }
        self.complete(subtree.level, subtree.root, tile);
        true
    }

    fn complete(&mut self, level: u32, root: Hash, mut tile: impl FnMut(u64, &Hash)) {
        let mut node = root;
        // Like a binary counter: each trailing one-bit of the size is a subtree that gets complete.
        let filled = (self.size >> level).trailing_ones();
        self.size += 1 << level;
        for level in level + 1..=level + filled {
            if let Some(left) = self.hashes.pop() {
                node = node_hash(&left, &node);
            }
            if level.is_multiple_of(TILE_HEIGHT) {
                tile(self.size, &node);
            }
        }
        self.hashes.push(node);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf_hash;

    #[test]
    fn subtrees_made_apart_grow_the_same_tree_with_the_same_tiles() {
        let leaves: Vec<Hash> = (0..1200u32).map(|n| leaf_hash(&n.to_le_bytes())).collect();
        for (first, len) in [
            (0, 1),
            (0, 1200),
            (1, 7),
            (5, 250),
            (255, 2),
            (256, 256),
            (511, 600),
        ] {
            let run = &leaves[first..first + len];
            let mut before = Frontier::new();
            before.append(&leaves[..first]);
            let (mut one_by_one, mut tiles) = (before.clone(), Vec::new());
            for leaf in run {
                one_by_one.complete(0, *leaf, |end, tile| tiles.push((end, *tile)));
            }
            let (mut at_once, mut same_tiles) = (before, Vec::new());
            for subtree in Subtree::of(first as u64, run) {
                assert!(at_once.push_subtree(&subtree, |end, tile| same_tiles.push((end, *tile))));
            }
            assert_eq!(at_once, one_by_one, "{len} leaves from {first} on");
            assert_eq!(same_tiles, tiles, "{len} leaves from {first} on");
        }
    }

    #[test]
    fn a_subtree_of_another_place_is_not_appended() {
        let [subtree] = &Subtree::of(1, &[leaf_hash(b"b")])[..] else {
            unreachable!("one leaf is one subtree");
        };
        let mut tree = Frontier::new();
        assert!(!tree.push_subtree(subtree, |_, _| {}));
        assert_eq!(tree, Frontier::new());
    }
}
