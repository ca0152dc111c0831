//! The tree's leaf hashes and every eighth level above them, on disk.
//!
//! `{pack:08x}.leaves` holds 65,536 leaf hashes, bare and in order, so that a slice of it is a C2SP
//! tile. `upper` holds the nodes of the levels 8, 16, 24 … in the order in which they get complete:
//! after every 256 children, their parent. Thirty-two zero bytes are a hash that was never written:
//! no hash looks like that, and a file system may leave zeros where a crash came before the data.
//!
//! Nothing here carries a checksum: a wrong hash gives a wrong root, and whoever reads a path compares
//! it with one that is known.

mod check;
mod compare;
mod files;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use factlog_proof::{Hash, node_hash};

pub(crate) use check::Checker;
pub(crate) use compare::{Compare, Compared};
pub(crate) use reader::TreeReader;
pub(crate) use writer::TreeWriter;

/// What every damage in `tree/` is called.
const CODE: &str = "derived.tree";

/// Leaves in one pack.
pub(crate) const PACK: u64 = 65_536;

const HASH: u64 = 32;
const UPPER: &str = "upper";

/// Levels from one stored level to the next.
pub(crate) const STEP: u32 = 8;

/// Leaves below a node of the lowest stored level.
pub(crate) const TILE: u64 = 1 << STEP;

/// Whether a file of this name in `tree/` is one of the tree.
pub(crate) fn is_own(name: &str) -> bool {
    name == UPPER || parse_pack_name(name.as_ref()).is_some()
}

fn pack_name(pack: u64) -> String {
    format!("{pack:08x}.leaves")
}

fn parse_pack_name(name: &std::ffi::OsStr) -> Option<u64> {
    let text = name.to_str()?;
    let pack = u64::from_str_radix(text.strip_suffix(".leaves")?, 16).ok()?;
    // Leaf indices must not overflow.
    (pack < 1 << 40 && pack_name(pack) == text).then_some(pack)
}

/// Where in `upper`, counted in hashes, the node of a stored level stands.
fn upper_place(level: u32, index: u64) -> Option<u64> {
    let above = (level / STEP).checked_sub(1)?;
    // The node of level 8 that makes it complete, and then how many of each level come before that.
    let bits = STEP * above;
    let tiles = index
        .checked_add(1)
        .filter(|count| bits < 64 && *count <= u64::MAX >> bits)?
        << bits;
    Some(nodes_over(tiles - 1) + u64::from(above))
}

/// How many hashes `upper` has for a tree of so many leaves.
fn upper_len(size: u64) -> u64 {
    nodes_over(size >> STEP)
}

/// How many stored nodes are complete once so many of level 8 are.
fn nodes_over(tiles: u64) -> u64 {
    (0..u64::BITS)
        .step_by(STEP as usize)
        .map(|bits| tiles >> bits)
        .sum()
}

/// The complete subtrees at the right edge, the smallest last.
#[derive(Clone, Debug, Default)]
struct Edge(Vec<(u32, Hash)>);

impl Edge {
    /// Appends a leaf; `stored` is given each node of a stored level that gets complete.
    fn push(&mut self, leaf: Hash, mut stored: impl FnMut(Hash)) {
        let (mut level, mut node) = (0, leaf);
        while let Some((_, left)) = self.0.pop_if(|(left, _)| *left == level) {
            node = node_hash(&left, &node);
            level += 1;
            if level % STEP == 0 {
                stored(node);
            }
        }
        self.0.push((level, node));
    }
}
