use std::{collections::HashMap, sync::Arc};

use factlog_format::{
    Digest, EventId, JournalId, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, Ordering, SPINE_LEN, StreamId,
    event_hashes,
};

use super::{
    batch::{Batch, Place},
    baton::{MAX_HEADER, Room},
    conditions::{BatchKeys, RecentKeys},
    generations::{Generations, RecentIds},
    waiting::GroupCell,
};
use crate::{
    Error,
    config::{Bug, planted},
};

/// Room in front of a group's frames for its commit header, so that header and frames are one write.
/// A header with one Ed25519 signature needs 203 bytes; a longer one costs a copy.
pub(crate) const HEADER_ROOM: usize = 512;
/// The largest buffer that is kept for later groups, in bytes.
const SPARE: usize = 8 << 20;
/// How many event ids are kept.
const RECENT_IDS: usize = 1 << 16;

/// The last event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) stream: StreamId,
    pub(crate) revision: u64,
    pub(crate) sequence: u64,
    pub(crate) recorded_at: i64,
    pub(crate) hash: Digest,
    /// Whether erasures leave no more than its spine.
    pub(crate) is_bare: bool,
}

/// What was looked up off the lock, as of the durable mark `mark`.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) mark: u64,
    pub(crate) heads: HashMap<[u8; 16], Option<Head>>,
    pub(crate) ids: HashMap<EventId, u64>,
    /// Whether the ids were looked up at all.
    pub(crate) has_ids: bool,
    /// For each query of the batch's conditions: the first durable event that it rules out.
    pub(crate) ruled_out: Vec<Option<u64>>,
}

/// One ordered event, as the baton and the indexes need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderedEvent {
    /// Where its frame starts in the group's buffer.
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) event_id: EventId,
    pub(crate) stream: StreamId,
    pub(crate) coordinate: [u8; 16],
    /// The event before in its stream, and whether that was looked up and is bare.
    pub(crate) previous: Option<u64>,
    pub(crate) after_bare: bool,
    pub(crate) hash: Digest,
}

/// The memory of a group that is written, for another one.
#[derive(Debug, Default)]
pub(crate) struct GroupMemory {
    pub(crate) buffer: Vec<u8>,
    pub(crate) events: Vec<OrderedEvent>,
}

/// The group that is being ordered while the one before is being written.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) first: u64,
    /// [`HEADER_ROOM`] bytes and then the frames.
    pub(crate) buffer: Vec<u8>,
    pub(crate) events: Vec<OrderedEvent>,
    /// What these events can be found by.
    pub(crate) keys: Vec<Arc<BatchKeys>>,
    pub(crate) cell: Arc<GroupCell>,
    /// How many threads wait for it to end, or lead it.
    pub(crate) waiters: u32,
    pub(crate) raw_clock: i64,
}

impl Group {
    fn new(first: u64, raw_clock: i64, memory: GroupMemory) -> Self {
        let GroupMemory {
            mut buffer,
            mut events,
        } = memory;
        buffer.clear();
        buffer.resize(HEADER_ROOM, 0);
        events.clear();
        Self {
            first,
            buffer,
            events,
            keys: Vec::new(),
            cell: Arc::default(),
            waiters: 0,
            raw_clock,
        }
    }

    /// How many bytes of the segment it needs, its header included.
    pub(crate) fn needs(&self) -> u64 {
        match self.events.is_empty() {
            true => 0,
            false => (self.buffer.len() - HEADER_ROOM) as u64 + MAX_HEADER,
        }
    }

    fn takes(&self, batch: &Batch) -> bool {
        self.events.is_empty()
            || (self.events.len() + batch.events.len() <= MAX_BATCH_EVENTS
                && self.buffer.len() + batch.buffer.len() <= MAX_BATCH_BYTES)
    }
}

/// What the order lock protects.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) journal: JournalId,
    pub(crate) next_sequence: u64,
    pub(crate) last_recorded: i64,
    pub(crate) last_raw_clock: i64,
    pub(crate) heads: Generations<[u8; 16], Head>,
    pub(crate) recent_ids: RecentIds,
    pub(crate) recent_keys: RecentKeys,
    /// Ids of data keys that an event ordered here wants destroyed, with its sequence.
    pub(crate) retired: HashMap<[u8; 16], u64>,
    pub(crate) group: Group,
    /// For the next group, so that it needs no memory of its own.
    spare: GroupMemory,
    work: Work,
    /// How much may still be ordered before more space has to be secured.
    pub(crate) room: Room,
    /// The most that anybody waits for to be secured.
    pub(crate) wanted: u64,
    /// Whether somebody holds the baton, or was told to take it.
    pub(crate) leading: bool,
    /// The group that the baton's holder is writing.
    pub(crate) in_flight: Option<Arc<GroupCell>>,
    /// How many threads waited for the last two groups: as many may be back for the next.
    pub(crate) expected: u32,
    /// How many wait for any group to end.
    pub(crate) waiting: u32,
    pub(crate) stopped: Option<Stopped>,
}

/// Why nothing more is ordered.
#[derive(Debug, Clone)]
pub(crate) enum Stopped {
    Poisoned(Arc<Error>),
    Closed,
}

/// What ordering a batch came to.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It is in the group behind the cell; its buffer now holds the places.
    Ordered(Arc<GroupCell>),
    /// The open group has no room: try again when a group has ended.
    Full,
    /// So many bytes of space have to be secured first.
    Unsecured(u64),
    /// Heads or ids have to be looked up first.
    Unresolved,
    /// Events of the batch are in the journal, or about to be: their sequences, in order.
    Known(Vec<Option<u64>>),
    /// An expectation fails; the answer rests on the event of this sequence, if on any.
    Unexpected {
        index: usize,
        found: Option<u64>,
        rests_on: Option<u64>,
    },
    /// A condition on a stream fails; as above.
    OtherStream {
        /// Which of the conditions on streams.
        index: usize,
        found: Option<u64>,
        rests_on: Option<u64>,
    },
    /// An event that a condition rules out is there, or about to be.
    RuledOut { condition: usize, sequence: u64 },
    /// A key that the batch is sealed under is to be destroyed: it has to be sealed again.
    Retired,
    /// A condition was read further than the journal goes.
    NotOfThisJournal,
}

impl Order {
    pub(crate) fn new(
        journal: JournalId,
        next_sequence: u64,
        last_recorded: i64,
        raw: i64,
        stream_heads: usize,
    ) -> Self {
        Self {
            journal,
            next_sequence,
            last_recorded,
            last_raw_clock: raw,
            heads: Generations::new(stream_heads, next_sequence),
            recent_ids: RecentIds::new(RECENT_IDS, next_sequence),
            recent_keys: RecentKeys::new(next_sequence),
            retired: HashMap::new(),
            group: Group::new(next_sequence, raw, GroupMemory::default()),
            spare: GroupMemory::default(),
            work: Work::default(),
            room: Room::default(),
            wanted: 0,
            leading: false,
            in_flight: None,
            expected: 0,
            waiting: 0,
            stopped: None,
        }
    }

    /// Takes the group to be written and opens the next.
    pub(crate) fn take_group(&mut self) -> Group {
        let memory = std::mem::take(&mut self.spare);
        let next = Group::new(self.next_sequence, self.last_raw_clock, memory);
        let group = std::mem::replace(&mut self.group, next);
        self.in_flight = Some(Arc::clone(&group.cell));
        group
    }

    /// The group that makes an event durable which may not be so yet.
    pub(crate) fn group_of(&self, sequence: u64) -> Option<Arc<GroupCell>> {
        if sequence >= self.group.first {
            return Some(Arc::clone(&self.group.cell));
        }
        self.in_flight.clone()
    }

    /// Counts a thread that is going to wait for a group.
    pub(crate) fn note_waiter(&mut self, cell: &Arc<GroupCell>) {
        if Arc::ptr_eq(cell, &self.group.cell) {
            self.group.waiters += 1;
        }
    }

    /// Ends the leading of a group that so many threads waited for, and gives the next group, if one of
    /// those who wait for that is to lead it at once.
    pub(crate) fn hand_over(&mut self, waiters: u32) -> Option<Arc<GroupCell>> {
        self.in_flight = None;
        self.expected = waiters + self.group.waiters;
        // Where nobody waits, nobody would hear of it.
        self.leading = self.group.waiters > 0 && self.stopped.is_none();
        self.leading.then(|| Arc::clone(&self.group.cell))
    }

    /// Keeps the memory of a group that is written, for the next but one.
    pub(crate) fn keep_memory(&mut self, memory: GroupMemory) {
        if (self.spare.buffer.capacity()..=SPARE).contains(&memory.buffer.capacity()) {
            self.spare = memory;
        }
    }

    /// Decides a batch and, if nothing speaks against it, gives it its place.
    pub(crate) fn decide(&mut self, batch: &mut Batch, resolved: &Resolved, now: i64) -> Decision {
        // Idempotency comes before expectations: the retry of an append that succeeded must not fail.
        match self.known_ids(batch, resolved) {
            None => return Decision::Unresolved,
            Some(known) if !known.is_empty() => return Decision::Known(known),
            Some(_) => {}
        }
        let mut work = std::mem::take(&mut self.work);
        let decision = self.decide_new(batch, resolved, now, &mut work);
        self.work = work;
        decision
    }

    /// As [`decide`](Self::decide) for a batch of which no event is known.
    fn decide_new(
        &mut self,
        batch: &mut Batch,
        resolved: &Resolved,
        now: i64,
        work: &mut Work,
    ) -> Decision {
        if !self.find_heads(batch, resolved, &mut work.heads) {
            return Decision::Unresolved;
        }
        if let Some(unexpected) = check_expectations(batch, &work.heads) {
            return unexpected;
        }
        if let Some(decision) = self.check_conditions(batch, resolved, &work.heads) {
            return decision;
        }
        if self.is_retired(batch) {
            return Decision::Retired;
        }
        if !self.group.takes(batch) {
            return Decision::Full;
        }
        let header = if self.group.events.is_empty() {
            MAX_HEADER
        } else {
            0
        };
        let needed = batch.buffer.len() as u64 + header;
        if !self.room.takes(needed) {
            return Decision::Unsecured(batch.buffer.len() as u64 + MAX_HEADER);
        }
        self.room = self.room.less(needed);
        self.last_raw_clock = now;
        self.group.raw_clock = now;
        self.last_recorded = self.last_recorded.max(now);
        if planted(Bug::TimeFalls) {
            self.last_recorded = now;
        }
        self.place(batch, work);
        for (coordinate, head) in batch.coordinates.iter().zip(&work.heads) {
            if let Some(head) = head {
                self.heads.insert(*coordinate, head.sequence, *head);
            }
        }
        Decision::Ordered(Arc::clone(&self.group.cell))
    }

    /// Whether any key that the batch is sealed under is to be destroyed.
    fn is_retired(&self, batch: &Batch) -> bool {
        let retired = |id| self.retired.contains_key(id);
        let any = !self.retired.is_empty() && batch.sealed_under.iter().any(retired);
        any && !planted(Bug::RetiredOrdered)
    }

    /// Where each event of the batch is already; empty if none is known; `None` if that can't be told.
    fn known_ids(&mut self, batch: &Batch, resolved: &Resolved) -> Option<Vec<Option<u64>>> {
        if !batch.has_own_ids {
            return Some(Vec::new());
        }
        if !resolved.has_ids || self.recent_ids.forgotten() > resolved.mark {
            return None;
        }
        let mut known = Vec::with_capacity(batch.events.len());
        for event in &batch.events {
            let id = &event.frame.event_id;
            known.push(
                self.recent_ids
                    .get(id)
                    .or_else(|| resolved.ids.get(id).copied()),
            );
        }
        Some(if known.iter().all(Option::is_none) {
            Vec::new()
        } else {
            known
        })
    }

    /// What the batch's conditions come to, if not to a place for it.
    fn check_conditions(
        &self,
        batch: &Batch,
        resolved: &Resolved,
        heads: &[Option<Head>],
    ) -> Option<Decision> {
        let conditions = &batch.conditions;
        for (index, stream) in conditions.streams.iter().enumerate() {
            let head = heads[stream.coordinate as usize];
            let found = head.map(|head| head.revision);
            if !stream.expect.holds(found) {
                return Some(Decision::OtherStream {
                    index,
                    found,
                    rests_on: head.map(|head| head.sequence),
                });
            }
        }
        for (at, condition) in conditions.queries.iter().enumerate() {
            if condition.query.from > self.next_sequence {
                return Some(Decision::NotOfThisJournal);
            }
            let Some(looked_up) = resolved.ruled_out.get(at) else {
                return Some(Decision::Unresolved);
            };
            if resolved.mark < self.recent_keys.from() {
                return Some(Decision::Unresolved);
            }
            let since = || match planted(Bug::BoundaryNotCompared) {
                true => None,
                false => self.recent_keys.find(condition, resolved.mark),
            };
            if let Some(sequence) = looked_up.or_else(since) {
                return Some(Decision::RuledOut {
                    condition: condition.number,
                    sequence,
                });
            }
        }
        None
    }

    /// Finds the head of the stream of each of the batch's coordinates; `false` if one isn't known
    /// here nor looked up.
    fn find_heads(
        &mut self,
        batch: &Batch,
        resolved: &Resolved,
        heads: &mut Vec<Option<Head>>,
    ) -> bool {
        heads.clear();
        for coordinate in &batch.coordinates {
            let looked_up = || resolved.heads.get(coordinate).copied();
            heads.push(match self.heads.get(coordinate) {
                Some(head) if planted(Bug::StaleHead) => looked_up().unwrap_or(Some(head)),
                Some(head) => Some(head),
                None if self.heads.forgotten() > resolved.mark => return false,
                None => match looked_up() {
                    Some(head) => head,
                    None => return false,
                },
            });
        }
        true
    }

    /// Gives the events of a batch their places, hashes their spines, and takes them into the group.
    ///
    /// An event waits for the hash of the one before it in its stream, so they are hashed in waves:
    /// the next event of every stream of the batch that has one left, side by side.
    fn place(&mut self, batch: &mut Batch, work: &mut Work) {
        let base = self.group.buffer.len();
        let first_event = self.group.events.len();
        let empty = OrderedEvent {
            start: 0,
            len: 0,
            event_id: [0; 16],
            stream: [0; 16],
            coordinate: [0; 16],
            previous: None,
            after_bare: false,
            hash: [0; 32],
        };
        let places = first_event + batch.events.len();
        self.group.events.resize(places, empty);
        work.waves.find(batch);
        while let Some(wave) = work.waves.next() {
            work.spines.clear();
            work.orders.clear();
            work.hashes.clear();
            for at in wave {
                let event = &batch.events[*at as usize];
                let head = work.heads[event.coordinate as usize];
                let order = Ordering {
                    sequence: self.next_sequence + u64::from(*at),
                    revision: head.map_or(0, |head| head.revision + 1),
                    stream: head.map_or(event.candidate, |head| head.stream),
                    recorded_at: self.last_recorded,
                    previous: head.map_or([0; 32], |head| head.hash),
                    previous_sequence: head.map(|head| head.sequence),
                };
                let spine = order.spine(&self.journal, event.frame.facts_hash);
                work.spines.push(spine.encode());
                work.orders.push(order);
            }
            event_hashes(&work.spines, &mut work.hashes);
            for ((at, order), hash) in wave.iter().zip(&work.orders).zip(&work.hashes) {
                let event = &mut batch.events[*at as usize];
                event.frame.place(&mut batch.buffer, order);
                event.place = Place {
                    order: *order,
                    hash: *hash,
                };
                let before = work.heads[event.coordinate as usize].replace(Head {
                    stream: order.stream,
                    revision: order.revision,
                    sequence: order.sequence,
                    recorded_at: order.recorded_at,
                    hash: *hash,
                    is_bare: false,
                });
                self.group.events[first_event + *at as usize] = OrderedEvent {
                    start: base + event.frame.start,
                    len: event.frame.len,
                    event_id: event.frame.event_id,
                    stream: order.stream,
                    coordinate: batch.coordinates[event.coordinate as usize],
                    previous: order.previous_sequence,
                    after_bare: before.is_some_and(|before| before.is_bare),
                    hash: *hash,
                };
            }
        }
        for event in &batch.events {
            self.recent_ids.push(event.frame.event_id);
        }
        let retires = batch.retires.iter();
        self.retired
            .extend(retires.map(|id| (*id, self.next_sequence)));
        self.recent_keys.push(self.next_sequence, &batch.keys);
        self.group.keys.push(Arc::clone(&batch.keys));
        self.next_sequence += batch.events.len() as u64;
        self.group.buffer.extend_from_slice(&batch.buffer);
    }
}

/// What ordering a batch needs in between; kept, so that the next needs no memory of its own.
#[derive(Debug, Default)]
struct Work {
    /// The head of each of the batch's streams; it moves as their events get their places.
    heads: Vec<Option<Head>>,
    waves: Waves,
    spines: Vec<[u8; SPINE_LEN]>,
    orders: Vec<Ordering>,
    hashes: Vec<Digest>,
}

/// The events of a batch by how many events of the same stream come before them in it.
#[derive(Debug, Default)]
struct Waves {
    /// Indices of events, wave after wave, in order within each.
    events: Vec<u32>,
    /// Where each wave ends.
    ends: Vec<usize>,
    next: usize,
    /// Of each stream, how many of its events were seen; of each event, its wave.
    seen: Vec<u32>,
    depths: Vec<u32>,
}

impl Waves {
    fn find(&mut self, batch: &Batch) {
        let Self {
            events,
            ends,
            next,
            seen,
            depths,
        } = self;
        *next = 0;
        ends.clear();
        depths.clear();
        seen.clear();
        seen.resize(batch.coordinates.len(), 0);
        for event in &batch.events {
            let depth = &mut seen[event.coordinate as usize];
            depths.push(*depth);
            match ends.get_mut(*depth as usize) {
                Some(count) => *count += 1,
                None => ends.push(1),
            }
            *depth += 1;
        }
        // From the size of each wave to where it starts; filling moves that to where it ends.
        let mut start = 0;
        for end in ends.iter_mut() {
            start += std::mem::replace(end, start);
        }
        events.resize(batch.events.len(), 0);
        for (at, depth) in depths.iter().enumerate() {
            let place = &mut ends[*depth as usize];
            events[*place] = at as u32; // a batch has at most 65,536 events
            *place += 1;
        }
    }

    fn next(&mut self) -> Option<&[u32]> {
        let end = *self.ends.get(self.next)?;
        let start = match self.next {
            0 => 0,
            next => self.ends[next - 1],
        };
        self.next += 1;
        self.events.get(start..end)
    }
}

fn check_expectations(batch: &Batch, heads: &[Option<Head>]) -> Option<Decision> {
    if !batch.expects {
        return None;
    }
    // Later events of the batch see the earlier ones.
    let mut revisions: Vec<Option<u64>> = heads
        .iter()
        .map(|head| head.map(|head| head.revision))
        .collect();
    for (index, event) in batch.events.iter().enumerate() {
        let stream = event.coordinate as usize;
        let revision = &mut revisions[stream];
        if !event.expect.holds(*revision) {
            return Some(Decision::Unexpected {
                index,
                found: *revision,
                rests_on: heads[stream].map(|head| head.sequence),
            });
        }
        *revision = Some(revision.map_or(0, |revision| revision + 1));
    }
    None
}
