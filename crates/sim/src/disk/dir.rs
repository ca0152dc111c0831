//! One directory: its entries as the cache shows them, as the disk has them, and the changes
//! between.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::NodeId;

/// A directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) entries: BTreeMap<OsString, NodeId>,
    pub(crate) disk: BTreeMap<OsString, NodeId>,
    /// What changed since the last sync, in order.
    pub(crate) pending: Vec<EntryChange>,
    pub(crate) private: bool,
}

/// A change of a directory's entries that is durable whole or not at all.
#[derive(Clone, Debug)]
pub(crate) enum EntryChange {
    /// A create, or the far half of a rename from another directory.
    Link(OsString, NodeId),
    /// A remove, or the near half of a rename to another directory.
    Unlink(OsString),
    /// A rename within the directory.
    Rename(OsString, OsString, NodeId),
}

impl EntryChange {
    pub(crate) fn apply(&self, entries: &mut BTreeMap<OsString, NodeId>) {
        match self {
            Self::Link(name, node) => {
                entries.insert(name.clone(), *node);
            }
            Self::Unlink(name) => {
                entries.remove(name);
            }
            Self::Rename(from, to, node) => {
                // Something else may have that name, if an earlier change is not durable.
                if entries.get(from) == Some(node) {
                    entries.remove(from);
                }
                entries.insert(to.clone(), *node);
            }
        }
    }
}

impl Directory {
    pub(crate) fn change(&mut self, change: EntryChange) {
        change.apply(&mut self.entries);
        self.pending.push(change);
    }

    /// Everything that has a name here, may get one back, or may still get one.
    pub(crate) fn named(&self) -> Vec<NodeId> {
        let pending = self.pending.iter().filter_map(|change| match change {
            EntryChange::Link(_, node) | EntryChange::Rename(_, _, node) => Some(*node),
            EntryChange::Unlink(_) => None,
        });
        self.entries
            .values()
            .chain(self.disk.values())
            .copied()
            .chain(pending)
            .collect()
    }

    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.disk);
        }
    }

    /// As a failed sync of a file that keeps its pages in the cache: the changes are seen, and
    /// no later sync writes them.
    pub(crate) fn forget_pending(&mut self) {
        self.pending.clear();
    }
}
