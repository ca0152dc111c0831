//! Reading and checking a segment's groups on other threads, ahead of the one that takes them in.

use std::{collections::VecDeque, vec};

use factlog_format::{CommitHeader, Frame, FrameType};
use factlog_fs::read_up_to;

use super::{
    events::EventChecks,
    groups::{Framed, WholeGroup, check_groups},
};
use crate::{
    segment::SegmentFile,
    sync::{Condvar, Mutex},
};

/// How much is read and checked at a time: enough to hash side by side, little enough for a cache.
const BLOCK: usize = 256 << 10;
/// A group that is larger is left to whoever takes it in.
const LARGEST: usize = 8 << 20;

/// The whole groups of a segment, one after another, made by several threads.
///
/// Only what is whole goes this way: at anything else, and at the end, there is nothing here, and the
/// caller looks for itself.
pub(super) struct Ahead<'s> {
    segment: &'s SegmentFile,
    end: u64,
    /// How many blocks may be under way or waiting to be taken.
    most: usize,
    /// Held while a block is read, so that blocks are read in their order.
    reading: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Where the next block begins.
    next: u64,
    /// Nothing more can be made from there.
    stopped: bool,
    closed: bool,
    /// Changes whenever reading begins anew, so that what was under way is dropped.
    epoch: u64,
    /// The number of the first of `blocks`.
    first: u64,
    /// In order; `None` as long as one is under way.
    blocks: VecDeque<Option<Vec<WholeGroup>>>,
}

impl<'s> Ahead<'s> {
    /// Begins at `start`; `threads` of them will [`work`](Self::work) besides the one that takes.
    pub(super) fn new(segment: &'s SegmentFile, start: u64, end: u64, threads: usize) -> Self {
        Self {
            segment,
            end,
            most: 2 * threads + 1,
            reading: Mutex::new(()),
            state: Mutex::new(State {
                next: start,
                stopped: false,
                closed: false,
                epoch: 0,
                first: 0,
                blocks: VecDeque::new(),
            }),
            changed: Condvar::default(),
        }
    }

    /// Makes blocks until [`close`](Self::close).
    pub(super) fn work(&self) {
        let mut checks = EventChecks::new();
        loop {
            let mut state = self.state.lock();
            while !state.closed && !state.has_room(self.most) {
                state = self.changed.wait(state);
            }
            if state.closed {
                return;
            }
            drop(state);
            self.make(&mut checks);
        }
    }

    /// Ends the work of all threads.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Begins anew at `offset`.
    fn restart(&self, offset: u64) {
        let mut state = self.state.lock();
        state.epoch += 1;
        state.first += state.blocks.len() as u64;
        state.blocks.clear();
        state.next = offset;
        state.stopped = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Makes the next block, if there is room for it.
    fn make(&self, checks: &mut EventChecks) {
        let reading = self.reading.lock();
        let state = self.state.lock();
        if !state.has_room(self.most) {
            return;
        }
        let (from, epoch) = (state.next, state.epoch);
        drop(state);
        let block = Block::read(self.segment, from, self.end, checks);
        let mut state = self.state.lock();
        if state.epoch != epoch {
            return;
        }
        let Some(block) = block else {
            state.stopped = true;
            drop(state);
            self.changed.notify_all();
            return;
        };
        state.next = from + block.len as u64;
        let number = state.first + state.blocks.len() as u64;
        state.blocks.push_back(None);
        drop(state);
        drop(reading);
        let mut slot = Slot {
            ahead: self,
            epoch,
            number,
            groups: Vec::new(),
        };
        slot.groups = block.check(self.segment, checks);
    }

    /// The next block's groups; `None` where something else than a whole group comes next.
    fn take(&self, checks: &mut EventChecks) -> Option<Vec<WholeGroup>> {
        loop {
            let mut state = self.state.lock();
            if let Some(Some(_)) = state.blocks.front() {
                let block = state.blocks.pop_front().flatten();
                state.first += 1;
                drop(state);
                self.changed.notify_all();
                return block;
            }
            if state.stopped && state.blocks.is_empty() {
                return None;
            }
            // What is left to be made is rather made here than waited for.
            if !state.has_room(self.most) {
                drop(self.changed.wait(state));
            } else {
                drop(state);
                self.make(checks);
            }
        }
    }
}

/// A block under way. However its making ends, whoever waits for it is told: without groups, it is read by
/// the one who takes.
struct Slot<'a, 's> {
    ahead: &'a Ahead<'s>,
    epoch: u64,
    number: u64,
    groups: Vec<WholeGroup>,
}

impl Drop for Slot<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.ahead.state.lock();
        if state.epoch == self.epoch
            && let Some(at) = self.number.checked_sub(state.first)
            && let Some(slot) = state.blocks.get_mut(at as usize)
        {
            *slot = Some(std::mem::take(&mut self.groups));
        }
        drop(state);
        self.ahead.changed.notify_all();
    }
}

impl State {
    fn has_room(&self, most: usize) -> bool {
        !self.stopped && self.blocks.len() < most
    }
}

/// The taking end: whole groups by where they stand.
pub(super) struct Groups<'a, 's> {
    ahead: &'a Ahead<'s>,
    checks: EventChecks,
    block: vec::IntoIter<WholeGroup>,
    /// Where the next group of those under way begins.
    next: u64,
}

impl<'a, 's> Groups<'a, 's> {
    pub(super) fn new(ahead: &'a Ahead<'s>, start: u64) -> Self {
        Self {
            ahead,
            checks: EventChecks::new(),
            block: Vec::new().into_iter(),
            next: start,
        }
    }

    /// What hashes for groups that are read elsewhere.
    pub(super) fn checks(&mut self) -> &mut EventChecks {
        &mut self.checks
    }

    /// The group that begins at `offset`, if it is whole and not too large.
    pub(super) fn at(&mut self, offset: u64) -> Option<WholeGroup> {
        if offset != self.next {
            self.block = Vec::new().into_iter();
            self.ahead.restart(offset);
            self.next = offset;
        }
        loop {
            if let Some(group) = self.block.next() {
                if group.offset != offset {
                    // The block before ended early: what was made behind it is made anew.
                    self.next = u64::MAX;
                    return None;
                }
                self.next = group.end;
                return Some(group);
            }
            self.block = self.ahead.take(&mut self.checks)?.into_iter();
        }
    }
}

/// Some bytes of a segment that begin and end with whole groups, as far as their headers say.
struct Block {
    from: u64,
    /// Memory, of which the first `len` bytes are the segment's.
    memory: Vec<u8>,
    len: usize,
    /// Where each group begins and its events begin, and its header.
    groups: Vec<(usize, usize, CommitHeader)>,
}

impl Block {
    /// `None` if no group of a size that is welcome begins at `from`.
    fn read(segment: &SegmentFile, from: u64, end: u64, checks: &mut EventChecks) -> Option<Self> {
        let mut block = Self {
            from,
            memory: std::mem::take(&mut checks.memory),
            len: 0,
            groups: Vec::new(),
        };
        let mut at = 0;
        block.fill(segment, BLOCK, end)?;
        while let Some((body, header)) = block.header(segment, at) {
            let group_end = body + header.frames_len as usize;
            // The rest of a group that has begun is read too: no byte is read twice for it.
            if group_end > block.len && group_end - at <= LARGEST {
                block.fill(segment, group_end, end);
            }
            if group_end > block.len {
                break;
            }
            block.groups.push((at, body, header));
            at = group_end;
            if at >= BLOCK {
                break;
            }
        }
        block.len = at;
        (!block.groups.is_empty()).then_some(block)
    }

    /// Reads until there are `wanted` bytes, or all there are; `None` if none are new.
    fn fill(&mut self, segment: &SegmentFile, wanted: usize, end: u64) -> Option<()> {
        let there = usize::try_from(end.saturating_sub(self.from)).unwrap_or(wanted);
        let wanted = wanted.min(there);
        if self.memory.len() < wanted {
            self.memory.resize(wanted, 0);
        }
        let into = self.memory.get_mut(self.len..wanted)?;
        let at = self.from + self.len as u64;
        let got = read_up_to(segment.file.as_ref(), into, at).ok()?;
        self.len += got;
        (got > 0).then_some(())
    }

    /// The commit header that stands at `at`, and where its frame ends.
    fn header(&self, segment: &SegmentFile, at: usize) -> Option<(usize, CommitHeader)> {
        let frame = Frame::read(segment.seed, self.memory.get(at..self.len)?).ok()?;
        if frame.kind != FrameType::Commit {
            return None;
        }
        let header = CommitHeader::decode(&segment.key, frame.body).ok()?;
        (header.number != 0).then_some((at + frame.len, header))
    }

    fn check(self, segment: &SegmentFile, checks: &mut EventChecks) -> Vec<WholeGroup> {
        let framed = self.groups.into_iter().map(|(start, body, header)| Framed {
            offset: self.from + start as u64,
            body: body - start,
            bytes: self
                .memory
                .get(start..body + header.frames_len as usize)
                .unwrap_or_default(),
            header,
        });
        let groups = check_groups(segment, framed.collect(), checks).0;
        checks.memory = self.memory;
        groups
    }
}
