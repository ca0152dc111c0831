//! A run of leaves appended in one go, with what proves each of them.

use super::{Frontier, node_hash};
use crate::Hash;

/// Proves any leaf of one contiguous run at the tree size right after it, without reading anything.
///
/// It keeps the edge before the run, the complete subtrees that end within the run, and the right
/// edge after it: about two hashes per leaf and one per bit of the size. Made by
/// [`Frontier::extend`].
#[derive(Clone, Debug)]
pub struct Span {
    before: Frontier,
    end: u64,
    root: Hash,
    /// Per level, the complete subtrees that end within the run; the first of level `l` has index
    /// `first >> l`. No level is empty.
    levels: Vec<Vec<Hash>>,
    /// Per level, the subtree that holds the last leaf, complete or not.
    edge: Vec<Hash>,
}

impl Span {
    pub(super) fn build(before: Frontier, leaves: Vec<Hash>) -> (Self, Frontier) {
        let end = before.size() + leaves.len() as u64;
        let levels = complete_subtrees(&before, leaves);
        let after = edge_after(&before, end, &levels);
        let mut span = Self {
            root: after.root(),
            before,
            end,
            levels,
            edge: Vec::new(),
        };
        // Never `None` for a run that is not empty; were it so, `inclusion` would say `None` too.
        span.edge = span.right_edge().unwrap_or_default();
        (span, after)
    }

    /// The index of the run's first leaf: the tree size before it.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.before.size()
    }

    /// One past the index of the run's last leaf: the tree size after it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The root of the tree of [`end`](Self::end) leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The leaf hashes of the run.
    #[must_use]
    pub fn leaves(&self) -> &[Hash] {
        self.complete_subtrees(0)
    }

    /// The roots of the complete subtrees of 2^level leaves that end within the run, in order; the first
    /// of them covers the leaves from `first >> level << level` on.
    #[must_use]
    pub fn complete_subtrees(&self, level: u32) -> &[Hash] {
        self.levels.get(level as usize).map_or(&[], Vec::as_slice)
    }

    /// The inclusion path of the leaf at `index` in the tree of [`end`](Self::end) leaves
    /// (RFC 6962, section 2.1.1); `None` if `index` is not in the run.
    ///
    /// Hashes nothing: each hash of the path is looked up.
    #[must_use]
    pub fn inclusion(&self, index: u64) -> Option<Vec<Hash>> {
        if index < self.first() || index >= self.end {
            return None;
        }
        let (mut node, mut last) = (index, self.end - 1);
        let mut path = Vec::new();
        let mut level = 0;
        while last > 0 {
            if node & 1 == 1 {
                path.push(*self.complete(level, node - 1)?);
            } else if node + 1 == last {
                path.push(*self.edge.get(level as usize)?);
            } else if node < last {
                path.push(*self.complete(level, node + 1)?);
            }
            node >>= 1;
            last >>= 1;
            level += 1;
        }
        Some(path)
    }

    /// The root of a complete subtree that ends within the run, or right before it.
    fn complete(&self, level: u32, index: u64) -> Option<&Hash> {
        let base = self.first().checked_shr(level)?;
        if let Some(offset) = index.checked_sub(base) {
            return self
                .levels
                .get(level as usize)?
                .get(usize::try_from(offset).ok()?);
        }
        (index + 1 == base)
            .then(|| self.before.at_level(level))
            .flatten()
    }

    fn right_edge(&self) -> Option<Vec<Hash>> {
        let mut last = self.end.checked_sub(1)?;
        let mut node = *self.levels.first()?.last()?;
        let mut edge = Vec::with_capacity(64 - last.leading_zeros() as usize + 1);
        edge.push(node);
        let mut level = 0;
        while last > 0 {
            if last & 1 == 1 {
                // A complete subtree was already hashed.
                node = if self.end.trailing_zeros() > level {
                    *self.levels.get(level as usize + 1)?.last()?
                } else {
                    node_hash(self.complete(level, last - 1)?, &node)
                };
            }
            edge.push(node);
            last >>= 1;
            level += 1;
        }
        Some(edge)
    }
}

fn complete_subtrees(before: &Frontier, leaves: Vec<Hash>) -> Vec<Vec<Hash>> {
    let mut levels = Vec::with_capacity(levels_of(before.size(), leaves.len()));
    let mut current = leaves;
    let mut level = 0;
    while !current.is_empty() {
        let count = usize::from(before.at_level(level).is_some()) + current.len();
        let mut parents = Vec::with_capacity(count / 2);
        let mut rest = current.as_slice();
        if let (Some(left), Some((right, others))) = (before.at_level(level), rest.split_first()) {
            parents.push(node_hash(left, right));
            rest = others;
        }
        let (pairs, _) = rest.as_chunks::<2>();
        parents.extend(pairs.iter().map(|[left, right]| node_hash(left, right)));
        levels.push(std::mem::replace(&mut current, parents));
        level += 1;
    }
    levels
}

/// The frontier after the run: what it shares with the one before, then the run's own subtrees.
fn edge_after(before: &Frontier, end: u64, levels: &[Vec<Hash>]) -> Frontier {
    // Above the levels of the run both sizes have the same bits.
    let shared = (before.size().checked_shr(levels.len() as u32)).map_or(0, u64::count_ones);
    let own = levels
        .iter()
        .enumerate()
        .rev()
        .filter(|(level, _)| (end >> level) & 1 == 1)
        .filter_map(|(_, subtrees)| subtrees.last());
    let hashes = before
        .hashes()
        .iter()
        .take(shared as usize)
        .chain(own)
        .copied()
        .collect();
    Frontier::from_trusted(end, hashes)
}

/// How many levels the complete subtrees have that end within a run.
fn levels_of(size: u64, leaves: usize) -> usize {
    let end = size + leaves as u64;
    (64 - (size ^ end).leading_zeros()) as usize
}
