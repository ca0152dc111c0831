use std::{cell::Cell, collections::HashMap};

use factlog_format::Digest;
use factlog_proof::{Frontier, Hash, Subtree};

/// The Merkle tree of the events passed so far, and what evidence wants to know of it: roots at some
/// sizes and event hashes at some sequences. Its memory grows with the evidence, not with the events.
#[derive(Debug)]
pub(super) struct History {
    /// `None` once an event was lost: without its leaf no later root can be computed.
    frontier: Option<Frontier>,
    /// The root, once it was asked for: hashing the edge costs more than an event.
    root: Cell<Option<Hash>>,
    /// The right edge was taken from a segment's header, after damage before it.
    assumed: bool,
    /// Ascending, those at or below the current size already answered.
    wanted_sizes: Vec<u64>,
    next_size: usize,
    roots: HashMap<u64, PassedRoot>,
    wanted_events: Vec<u64>,
    next_event: usize,
    events: HashMap<u64, Digest>,
}

/// A root that evidence is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PassedRoot {
    pub(super) root: Hash,
    /// The tree before it isn't recomputed but what a segment's header claims. A match still proves
    /// all of it; a difference proves nothing more than the damage already found.
    pub(super) assumed: bool,
    /// What a commit header states, if one ends here.
    pub(super) stated: Option<Hash>,
}

impl History {
    pub(super) fn new(mut wanted_sizes: Vec<u64>, mut wanted_events: Vec<u64>) -> Self {
        for wanted in [&mut wanted_sizes, &mut wanted_events] {
            wanted.sort_unstable();
            wanted.dedup();
        }
        let mut history = Self {
            frontier: Some(Frontier::new()),
            root: Cell::new(None),
            assumed: false,
            wanted_sizes,
            next_size: 0,
            roots: HashMap::new(),
            wanted_events,
            next_event: 0,
            events: HashMap::new(),
        };
        history.answer_size();
        history
    }

    /// As if the events of this tree had passed. What is wanted of them is answered by whoever knows it.
    pub(super) fn resumed(frontier: Frontier, sizes: Vec<u64>, events: Vec<u64>) -> Self {
        let size = frontier.size();
        let mut history = Self::new(Vec::new(), Vec::new());
        history.wanted_sizes = sizes.into_iter().filter(|wanted| *wanted >= size).collect();
        history.wanted_events = events
            .into_iter()
            .filter(|wanted| *wanted >= size)
            .collect();
        for wanted in [&mut history.wanted_sizes, &mut history.wanted_events] {
            wanted.sort_unstable();
            wanted.dedup();
        }
        history.frontier = Some(frontier);
        history.answer_size();
        history
    }

    pub(super) fn answer_root(&mut self, size: u64, root: Hash) {
        let root = PassedRoot {
            root,
            assumed: false,
            stated: None,
        };
        self.roots.insert(size, root);
    }

    pub(super) fn answer_event(&mut self, sequence: u64, hash: Digest) {
        self.events.insert(sequence, hash);
    }

    /// The tree as it is now; `None` if a lost event makes it unknown.
    pub(super) fn frontier(&self) -> Option<&Frontier> {
        self.frontier.as_ref()
    }

    pub(super) fn root(&self) -> Option<Hash> {
        let frontier = self.frontier.as_ref()?;
        if self.root.get().is_none() {
            self.root.set(Some(frontier.root()));
        }
        self.root.get()
    }

    /// The root at a size that was wanted, if it was passed and could be computed.
    pub(super) fn root_at(&self, size: u64) -> Option<PassedRoot> {
        self.roots.get(&size).copied()
    }

    /// A commit header states a root.
    pub(super) fn state(&mut self, size: u64, root: Hash) {
        if let Some(passed) = self.roots.get_mut(&size) {
            passed.stated = Some(root);
        }
    }

    /// The hash of an event that was wanted, if it was passed.
    pub(super) fn event_at(&self, sequence: u64) -> Option<&Digest> {
        self.events.get(&sequence)
    }

    /// The next event, in order, with its leaf. `tile` is given each tile that gets full: where it ends, and its root.
    pub(super) fn push(
        &mut self,
        sequence: u64,
        event_hash: &Digest,
        leaf: Hash,
        tile: impl FnMut(u64, &Hash),
    ) {
        while let Some(wanted) = self.wanted_events.get(self.next_event) {
            if *wanted > sequence {
                break;
            }
            if *wanted == sequence {
                self.events.insert(sequence, *event_hash);
            }
            self.next_event += 1;
        }
        if let Some(frontier) = &mut self.frontier {
            let leaf = Subtree::leaf(frontier.size(), leaf);
            assert!(frontier.push_subtree(&leaf, tile), "it is the next leaf");
            self.changed();
        }
    }

    /// Whether nothing is wanted of the tree while the events from `first` up to `end` join it.
    pub(super) fn takes_at_once(&self, first: u64, end: u64) -> bool {
        let size = self.wanted_sizes.get(self.next_size);
        let event = self.wanted_events.get(self.next_event);
        let fits = self.frontier.as_ref().map(Frontier::size) == Some(first);
        fits && size.is_none_or(|size| *size >= end) && event.is_none_or(|event| *event >= end)
    }

    /// The next events all at once, where [`takes_at_once`](Self::takes_at_once) says so.
    pub(super) fn push_all(&mut self, subtrees: &[Subtree], mut tile: impl FnMut(u64, &Hash)) {
        let Some(frontier) = &mut self.frontier else {
            return;
        };
        for subtree in subtrees {
            let joined = frontier.push_subtree(subtree, &mut tile);
            assert!(joined, "the events are those that come next");
        }
        self.changed();
    }

    fn changed(&mut self) {
        self.root.set(None);
        self.answer_size();
    }

    /// An event can't be read: from here on the tree is unknown.
    pub(super) fn lose(&mut self) {
        self.frontier = None;
    }

    /// Goes on from the right edge that a segment's header claims.
    pub(super) fn assume(&mut self, size: u64, edge: &[Digest]) {
        let hashes = edge.iter().copied().map(Hash::from_bytes).collect();
        self.frontier = Frontier::from_parts(size, hashes).ok();
        self.assumed = true;
        self.changed();
    }

    fn answer_size(&mut self) {
        let Some(frontier) = &self.frontier else {
            return;
        };
        while let Some(wanted) = self.wanted_sizes.get(self.next_size) {
            if *wanted > frontier.size() {
                return;
            }
            if *wanted == frontier.size() {
                let root = PassedRoot {
                    root: frontier.root(),
                    assumed: self.assumed,
                    stated: None,
                };
                self.roots.insert(*wanted, root);
            }
            self.next_size += 1;
        }
    }
}
