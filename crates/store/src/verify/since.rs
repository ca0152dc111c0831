//! Verification that rests on a checkpoint for all before it: only what is new is hashed again.
//!
//! The checkpoint's root binds the leaves of all events before it. What is needed of those (the tree's right
//! edge, the event before in a stream, sequence 0, the events about keys) is read from the journal and proved
//! to lie under that root, so nothing has to be believed. What isn't needed isn't looked at.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use factlog_format::{CommitHeader, FrameType, JournalEvent, JournalId, Manifest};
use factlog_fs::{OpenMode, StoreFs};
use factlog_proof::{
    Frontier, Hash, NodeSource, PathError, consistency_path, inclusion_path, leaf_hash, root_at,
    verify_consistency, verify_inclusion,
};

use super::{
    events::{CheckedEvent, EventBytes, EventChecks},
    evidence::{Evidence, Trust},
    findings::Findings,
    history::History,
    plan::Plan,
};
use crate::{
    Damage, Error,
    layout::Layout,
    segment::{
        SegmentFile,
        offsets::{OffsetsOf, OffsetsReader},
    },
    tree::{STEP, TILE, TreeReader},
};

/// So many segments stay open: the events that are asked for stand close to each other.
const MOST_OPEN: usize = 4;

/// So many nodes are kept, a few MiB: whoever makes each event follow another one far away gets no more.
const MOST_NODES: usize = 1 << 16;

/// The tree of the events before a checkpoint, under whose root everything that is read of them is proved.
pub(super) struct Since {
    fs: Arc<dyn StoreFs>,
    layout: Layout,
    journal: JournalId,
    /// First sequence and generation of each segment.
    segments: Vec<(u64, u32)>,
    pub(super) size: u64,
    root: Hash,
    /// Nodes of the tiles that were read last.
    nodes: RefCell<HashMap<(u32, u64), Hash>>,
    open: RefCell<Vec<(u64, SegmentFile, OffsetsReader)>>,
    checks: RefCell<EventChecks>,
}

/// Where reading begins, and what it goes on from.
pub(super) struct Begin {
    pub(super) since: Since,
    /// The place in the plans of the segment that holds the first event after the checkpoint.
    pub(super) segment: usize,
    /// Where in it the first commit after the checkpoint stands; `None` at its start.
    pub(super) offset: Option<u64>,
    pub(super) history: History,
    pub(super) last_recorded: i64,
}

impl Begin {
    /// Finds it, and lets `trust` learn what the events before say of keys.
    ///
    /// # Errors
    /// Why the journal has to be read from its start. Whatever is wrong with it is then found there.
    pub(super) fn find(
        since: Since,
        plans: &[Plan],
        manifest: &Manifest,
        evidence: &Evidence,
        trust: &mut Trust,
    ) -> Result<Self, String> {
        let size = since.size;
        let history = since.history(evidence)?;
        let segment = plans.partition_point(|plan| plan.first <= size);
        let segment = segment.checked_sub(1).ok_or("there is no segment")?;
        let plan = plans.get(segment).ok_or("there is no segment")?;
        since.look_for(plans.get(..segment).unwrap_or_default())?;
        let last = since.event(size.checked_sub(1).ok_or("it is of no event")?)?;
        let offset = match plan.first == size {
            true => None,
            false => Some(since.next_commit(&last)?),
        };
        since.teach(manifest, trust)?;
        Ok(Self {
            last_recorded: last.passed.order.recorded_at,
            since,
            segment,
            offset,
            history,
        })
    }
}

impl Since {
    pub(super) fn new(
        fs: Arc<dyn StoreFs>,
        layout: &Layout,
        journal: JournalId,
        plans: &[Plan],
        (size, root): (u64, Hash),
    ) -> Self {
        let segments = plans.iter().map(|plan| (plan.first, plan.generation));
        Self {
            fs,
            layout: layout.clone(),
            journal,
            segments: segments.collect(),
            size,
            root,
            nodes: RefCell::default(),
            open: RefCell::default(),
            checks: RefCell::new(EventChecks::new()),
        }
    }

    /// The tree as it was at the checkpoint, with what evidence asks of it.
    fn history(&self, evidence: &Evidence) -> Result<History, String> {
        let size = self.size;
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        let hashes = levels.map(|level| self.node(level, (size >> level) - 1));
        let hashes = hashes.collect::<Result<_, _>>().map_err(say)?;
        let frontier = Frontier::from_parts(size, hashes).map_err(say)?;
        if frontier.root() != self.root {
            return Err("the journal's files of its tree don't lead to it".to_owned());
        }
        let mut history = History::resumed(frontier, evidence.sizes(), evidence.sequences());
        for wanted in evidence.sizes() {
            if wanted < size {
                history.answer_root(wanted, self.root_at(wanted)?);
            }
        }
        for wanted in evidence.sequences() {
            if wanted < size {
                history.answer_event(wanted, self.event(wanted)?.passed.hash);
            }
        }
        Ok(history)
    }

    fn root_at(&self, size: u64) -> Result<Hash, String> {
        let root = root_at(self, size).map_err(say)?;
        let path = consistency_path(self, size, self.size).map_err(say_path)?;
        verify_consistency(size, &root, self.size, &self.root, &path).map_err(say)?;
        Ok(root)
    }

    /// The segments before must be there, though they aren't read.
    fn look_for(&self, plans: &[Plan]) -> Result<(), String> {
        for plan in plans {
            let path = self.layout.segment(plan.first, plan.generation);
            let found = self.fs.metadata(&path).map_err(say)?;
            let len = found.map_or(0, |found| found.len);
            if len == 0 || len < plan.sealed_end().unwrap_or(0) {
                return Err("a segment before it is missing, or was cut".to_owned());
            }
        }
        Ok(())
    }

    /// Where the commit behind the checkpoint's last event stands, or where the file ends.
    fn next_commit(&self, last: &CheckedEvent) -> Result<u64, String> {
        self.with_segment(last.sequence(), |segment, _| {
            let mut buffer = Vec::new();
            let at = last.passed.offset;
            segment.read_frame(at, &mut buffer)?;
            let next = at + buffer.len() as u64;
            if next >= segment.len()? {
                return Ok(next);
            }
            let (kind, body) = segment.read_frame(next, &mut buffer)?;
            let header = CommitHeader::decode(&segment.key, buffer.get(body).unwrap_or_default());
            match header {
                Ok(header) if kind == FrameType::Commit && header.first_sequence == self.size => {
                    Ok(next)
                }
                _ => Err(segment
                    .damage(next, "no commit begins behind the checkpoint")
                    .into()),
            }
        })
        .map_err(say)
    }

    /// What sequence 0 and the events about keys say that lie before.
    fn teach(&self, manifest: &Manifest, trust: &mut Trust) -> Result<(), String> {
        let created = self.event(0)?;
        let Some(JournalEvent::Created(created)) = created.journal_event.map(|event| *event) else {
            return Err("sequence 0 does not create a journal".to_owned());
        };
        if created.journal != self.journal {
            return Err("sequence 0 creates another journal".to_owned());
        }
        let mut findings = Findings::default();
        trust.learn(created, &self.layout.segments(), &mut findings);
        for value in &manifest.values {
            if value.sequence >= self.size {
                continue;
            }
            let event = self.event(value.sequence)?;
            let at = event.passed.order.recorded_at;
            let event = event
                .journal_event
                .ok_or("MANIFEST is not what the events say")?;
            trust.change(value.sequence, at, &event, None)?;
            // Both keys have signed the commit after it, which isn't read unless it comes next.
            if value.sequence + 1 < self.size {
                trust.forget_handover();
            }
        }
        match findings.findings.is_empty() && findings.unchecked.is_empty() {
            true => Ok(()),
            false => Err("the key is not one that the journal names".to_owned()),
        }
    }

    /// An event before the checkpoint, as it lies under its root.
    ///
    /// # Errors
    /// Why it isn't there as it was.
    pub(super) fn event(&self, sequence: u64) -> Result<CheckedEvent, String> {
        let event = self.read(sequence).map_err(say)?;
        if event.sequence() != sequence {
            return Err(format!("another event stands where {sequence} should"));
        }
        if let Some((_, problem)) = event.problems.first() {
            return Err(format!("event {sequence}: {problem}"));
        }
        let leaf = leaf_hash(&event.passed.hash);
        let path = inclusion_path(self, sequence, self.size).map_err(say_path)?;
        let proved = verify_inclusion(&leaf, sequence, self.size, &path, &self.root);
        proved.map_err(|_| format!("event {sequence} is not the one that was signed"))?;
        Ok(event)
    }

    fn read(&self, sequence: u64) -> Result<CheckedEvent, Error> {
        self.with_segment(sequence, |segment, offsets| {
            let index = sequence - segment.header.first_sequence;
            let missing = || segment.damage(0, "it isn't known where the event stands");
            let offset = u64::from(offsets.get(index)?.ok_or_else(missing)?);
            let mut buffer = Vec::new();
            let (kind, body) = segment.read_frame(offset, &mut buffer)?;
            let body = buffer.get(body).unwrap_or_default();
            let bytes = EventBytes { kind, offset, body };
            if kind == FrameType::Commit {
                return Err(segment.damage(offset, "no event stands here").into());
            }
            let checked = self.checks.borrow_mut().check(segment, &bytes);
            checked.map_err(|error| segment.damage(offset, error.to_string()).into())
        })
    }

    fn with_segment<T>(
        &self,
        sequence: u64,
        work: impl FnOnce(&SegmentFile, &OffsetsReader) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let lost = |what| Damage::new("segment.missing", &self.layout.segments(), what);
        let place = self
            .segments
            .partition_point(|(first, _)| *first <= sequence);
        let at = place
            .checked_sub(1)
            .and_then(|place| self.segments.get(place));
        let (first, generation) = *at.ok_or_else(|| lost("no segment holds it"))?;
        let mut open = self.open.borrow_mut();
        match open.iter().position(|(other, ..)| *other == first) {
            Some(found) => open.swap(0, found),
            None => {
                let path = self.layout.segment(first, generation);
                let fs = self.fs.as_ref();
                let segment = SegmentFile::open(fs, &path, OpenMode::Read, &self.journal)?;
                let of = OffsetsOf {
                    journal: self.journal,
                    first,
                    generation,
                };
                let offsets = OffsetsReader::open(fs, &path.with_extension("off"), of)?;
                let offsets = offsets.ok_or_else(|| lost("its offsets are missing"))?;
                open.insert(0, (first, segment, offsets));
                open.truncate(MOST_OPEN);
            }
        }
        let (_, segment, offsets) = open.first().ok_or_else(|| lost("it isn't open"))?;
        work(segment, offsets)
    }

    /// Reads a tile, and makes all nodes of it.
    fn load(&self, stored: u32, tile: u64) -> Result<(), Error> {
        let dir = self.layout.tree();
        let missing = |sequence| {
            let damage = Damage::new("derived.tree", &dir, "a leaf is missing");
            Err(damage.sequence(sequence).into())
        };
        let reader = TreeReader::new(self.fs.as_ref(), &dir, missing);
        let all = self.size.checked_shr(stored).unwrap_or(0);
        let first = tile * TILE;
        let count = all.saturating_sub(first).min(TILE) as usize;
        let mut row = reader.row(stored, first, count)?;
        let mut nodes = self.nodes.borrow_mut();
        if nodes.len() > MOST_NODES {
            nodes.clear();
        }
        for level in stored..stored + STEP {
            let first = first >> (level - stored);
            let indexed = (first..).zip(&row);
            nodes.extend(indexed.map(|(index, hash)| ((level, index), *hash)));
            let pairs = row.as_chunks().0.iter();
            row = pairs
                .map(|[left, right]| factlog_proof::node_hash(left, right))
                .collect();
        }
        Ok(())
    }
}

impl NodeSource for Since {
    type Error = Error;

    fn node(&self, level: u32, index: u64) -> Result<Hash, Error> {
        let found = |nodes: &RefCell<HashMap<(u32, u64), Hash>>| {
            nodes.borrow().get(&(level, index)).copied()
        };
        if let Some(hash) = found(&self.nodes) {
            return Ok(hash);
        }
        let within = level % STEP;
        self.load(level - within, index >> (STEP - within))?;
        found(&self.nodes).ok_or_else(|| {
            Damage::new("derived.tree", &self.layout.tree(), "a node is missing").into()
        })
    }
}

impl std::fmt::Debug for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Since")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn say_path(error: PathError<Error>) -> String {
    match error {
        PathError::Source(error) => say(error),
        other => other.to_string(),
    }
}
