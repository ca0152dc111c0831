//! Nodes of the tree, from its files and, where they have a hole, from the log.

use std::path::Path;

use factlog_fs::StoreFs;
use factlog_proof::{Frontier, Hash, NodeSource, node_hash};

use super::files::Files;
use super::{CODE, STEP, TILE};
use crate::{Damage, Error};

/// Reads nodes for paths and roots. It is made for one question or a few, and keeps two files open.
///
/// `leaf` gives the leaves that are not on disk. What the files say is not checked: the caller
/// compares the root that comes out.
#[derive(Debug)]
pub(crate) struct TreeReader<'a, F> {
    files: Files<'a>,
    leaf: F,
}

impl<'a, F: Fn(u64) -> Result<Hash, Error>> TreeReader<'a, F> {
    /// A reader of the files in `dir`, which may be missing.
    pub(crate) fn new(fs: &'a dyn StoreFs, dir: &'a Path, leaf: F) -> Self {
        Self {
            files: Files::new(fs, dir),
            leaf,
        }
    }

    /// The right edge of the tree of `size` leaves.
    pub(crate) fn frontier(&self, size: u64) -> Result<Frontier, Error> {
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        let hashes = levels.map(|level| self.node(level, (size >> level) - 1));
        let hashes = hashes.collect::<Result<_, _>>()?;
        Frontier::from_parts(size, hashes)
            .map_err(|e| Damage::new(CODE, self.files.dir(), e.to_string()).into())
    }

    /// Neighbouring nodes of a stored level (or leaves), within one parent.
    pub(crate) fn row(&self, level: u32, first: u64, count: usize) -> Result<Vec<Hash>, Error> {
        let read = if level == 0 {
            self.files.leaves(first, count)
        } else {
            self.files.nodes(level, first, count)
        };
        // A file that can't be read is as good as none.
        let read = read.unwrap_or_else(|_| vec![None; count]);
        let mut row = Vec::with_capacity(count);
        for (index, node) in (first..).zip(read) {
            row.push(match node {
                Some(node) => node,
                None if level == 0 => (self.leaf)(index)?,
                None => self.compute(level, index)?,
            });
        }
        Ok(row)
    }

    /// The root of the subtree over neighbouring nodes of a stored level (or leaves); a power of two
    /// of them, within one parent.
    fn fold(&self, level: u32, first: u64, count: usize) -> Result<Hash, Error> {
        let mut row = self.row(level, first, count)?;
        while row.len() > 1 {
            row = row
                .as_chunks()
                .0
                .iter()
                .map(|[left, right]| node_hash(left, right))
                .collect();
        }
        let none = || Damage::new(CODE, self.files.dir(), "a node is over no leaves").into();
        row.pop().ok_or_else(none)
    }

    /// A node of a stored level that isn't stored.
    fn compute(&self, level: u32, index: u64) -> Result<Hash, Error> {
        self.fold(level - STEP, index * TILE, TILE as usize)
    }
}

impl<F: Fn(u64) -> Result<Hash, Error>> NodeSource for TreeReader<'_, F> {
    type Error = Error;

    fn node(&self, level: u32, index: u64) -> Result<Hash, Error> {
        let below = level % STEP;
        self.fold(level - below, index << below, 1 << below)
    }
}
