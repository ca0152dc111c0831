//! What several tests need: the tree as RFC 6962 defines it, and keys.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::convert::Infallible;

use factlog_proof::{Hash, NodeSource, SigningKey, leaf_hash, node_hash};

/// Distinct leaf hashes.
pub(crate) fn leaves(count: u64) -> Vec<Hash> {
    (0..count)
        .map(|index| leaf_hash(&index.to_be_bytes()))
        .collect()
}

/// The largest power of two below `count`.
fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

/// MTH of section 2.1.
pub(crate) fn model_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => factlog_proof::empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&model_root(left), &model_root(right))
        }
    }
}

/// PATH of section 2.1.1.
pub(crate) fn model_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut path, sibling) = if index < at {
        (model_path(index, left), right)
    } else {
        (model_path(index - at, right), left)
    };
    path.push(model_root(sibling));
    path
}

/// PROOF of section 2.1.2; empty for the empty tree, of which the RFC does not speak.
pub(crate) fn model_consistency(old: usize, leaves: &[Hash]) -> Vec<Hash> {
    if old == 0 {
        Vec::new()
    } else {
        model_subproof(old, leaves, true)
    }
}

fn model_subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole {
            Vec::new()
        } else {
            vec![model_root(leaves)]
        };
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut path, sibling) = if old <= at {
        (model_subproof(old, left, whole), right)
    } else {
        (model_subproof(old - at, right, false), left)
    };
    path.push(model_root(sibling));
    path
}

/// All complete subtrees, level by level, as tree files hold them.
pub(crate) struct Levels(Vec<Vec<Hash>>);

impl Levels {
    pub(crate) fn new(leaves: &[Hash]) -> Self {
        let mut levels = vec![leaves.to_vec()];
        while levels[levels.len() - 1].len() > 1 {
            let below = &levels[levels.len() - 1];
            let (pairs, _) = below.as_chunks::<2>();
            let above = pairs
                .iter()
                .map(|[left, right]| node_hash(left, right))
                .collect();
            levels.push(above);
        }
        Self(levels)
    }
}

impl NodeSource for Levels {
    type Error = Infallible;

    fn node(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
        Ok(self.0[level as usize][index as usize])
    }
}

/// A tree of any size whose leaves are all the same, so that a subtree's root depends on its level.
pub(crate) struct Uniform(Vec<Hash>);

impl Uniform {
    pub(crate) fn new() -> Self {
        let mut roots = vec![leaf_hash(b"same")];
        for level in 0..64 {
            roots.push(node_hash(&roots[level], &roots[level]));
        }
        Self(roots)
    }

    pub(crate) fn leaf(&self) -> Hash {
        self.0[0]
    }
}

impl NodeSource for Uniform {
    type Error = Infallible;

    fn node(&self, level: u32, _: u64) -> Result<Hash, Infallible> {
        Ok(self.0[level as usize])
    }
}

/// The name of a log, with the id of its journal.
pub(crate) const ORIGIN: &str = "example.com/ledger/0f3c0f3c0f3c0f3c0f3c0f3c0f3c0f3c";
/// The id in [`ORIGIN`].
pub(crate) const JOURNAL: [u8; 16] = [
    0x0f, 0x3c, 0x0f, 0x3c, 0x0f, 0x3c, 0x0f, 0x3c, 0x0f, 0x3c, 0x0f, 0x3c, 0x0f, 0x3c, 0x0f, 0x3c,
];

pub(crate) fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::generate(name, [seed; 32]).unwrap()
}
