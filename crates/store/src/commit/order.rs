use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use factlog_format::{
    Digest, EventId, JournalId, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, Ordering, StreamId, event_hash,
};

use super::{
    batch::Batch,
    baton::{MAX_HEADER, Room},
    generations::Generations,
    receipt::GroupProof,
};
use crate::{Error, Expect, WriterFailure};

/// Room in front of a group's frames for its commit header, so that header and frames are one write.
/// A header with one Ed25519 signature needs 203 bytes; a longer one costs a copy.
pub(crate) const HEADER_ROOM: usize = 512;
/// How many stream heads, and how many event ids, one generation of the caches holds.
const HEADS: usize = 1 << 17;
const RECENT_IDS: usize = 1 << 16;

/// The last event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) stream: StreamId,
    pub(crate) revision: u64,
    pub(crate) sequence: u64,
    pub(crate) recorded_at: i64,
    pub(crate) hash: Digest,
}

/// What was looked up off the lock, as of the durable mark `mark`.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) mark: u64,
    pub(crate) heads: HashMap<[u8; 16], Option<Head>>,
    pub(crate) ids: HashMap<EventId, u64>,
    /// Whether the ids were looked up at all.
    pub(crate) has_ids: bool,
}

/// How a group ended, for all who wait for it.
#[derive(Debug, Default)]
pub(crate) struct GroupCell(OnceLock<Result<Arc<GroupProof>, WriterFailure>>);

impl GroupCell {
    pub(crate) fn outcome(&self) -> Option<Result<Arc<GroupProof>, WriterFailure>> {
        self.0.get().cloned()
    }

    pub(crate) fn end(&self, outcome: Result<Arc<GroupProof>, WriterFailure>) {
        // A group ends once; a second word would contradict the first.
        let _ = self.0.set(outcome);
    }
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
    pub(crate) revision: u64,
    pub(crate) hash: Digest,
}

/// The group that is being ordered while the one before is being written.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) first: u64,
    /// [`HEADER_ROOM`] bytes and then the frames.
    pub(crate) buffer: Vec<u8>,
    pub(crate) events: Vec<OrderedEvent>,
    pub(crate) cell: Arc<GroupCell>,
    pub(crate) raw_clock: i64,
}

impl Group {
    pub(crate) fn new(first: u64, raw_clock: i64) -> Self {
        let buffer = vec![0; HEADER_ROOM];
        Self {
            first,
            buffer,
            events: Vec::new(),
            cell: Arc::default(),
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
    pub(crate) recent_ids: Generations<EventId, u64>,
    pub(crate) group: Group,
    /// How much may still be ordered before more space has to be secured.
    pub(crate) room: Room,
    /// Whether somebody holds the baton.
    pub(crate) leading: bool,
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
}

impl Order {
    pub(crate) fn new(
        journal: JournalId,
        next_sequence: u64,
        last_recorded: i64,
        raw: i64,
    ) -> Self {
        Self {
            journal,
            next_sequence,
            last_recorded,
            last_raw_clock: raw,
            heads: Generations::new(HEADS, next_sequence),
            recent_ids: Generations::new(RECENT_IDS, next_sequence),
            group: Group::new(next_sequence, raw),
            room: Room::default(),
            leading: false,
            stopped: None,
        }
    }

    /// Takes the group to be written and opens the next.
    pub(crate) fn take_group(&mut self) -> Group {
        let next = Group::new(self.next_sequence, self.last_raw_clock);
        std::mem::replace(&mut self.group, next)
    }

    /// Decides a batch and, if nothing speaks against it, gives it its place.
    pub(crate) fn decide(&mut self, batch: &mut Batch, resolved: &Resolved, now: i64) -> Decision {
        // Idempotency comes before expectations: the retry of an append that succeeded must not fail.
        match self.known_ids(batch, resolved) {
            None => return Decision::Unresolved,
            Some(known) if !known.is_empty() => return Decision::Known(known),
            Some(_) => {}
        }
        let Some(heads) = self.heads_of(batch, resolved) else {
            return Decision::Unresolved;
        };
        if let Some(unexpected) = check_expectations(batch, &heads) {
            return unexpected;
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
        self.place(batch, heads, now);
        Decision::Ordered(Arc::clone(&self.group.cell))
    }

    /// Where each event of the batch is already; empty if none is known; `None` if that can't be told.
    fn known_ids(&mut self, batch: &Batch, resolved: &Resolved) -> Option<Vec<Option<u64>>> {
        if !batch.events.iter().any(|event| event.own_id) {
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

    /// The head of each stream of the batch; `None` if one isn't known here nor looked up.
    fn heads_of(
        &mut self,
        batch: &Batch,
        resolved: &Resolved,
    ) -> Option<HashMap<[u8; 16], Option<Head>>> {
        let mut heads = HashMap::with_capacity(batch.events.len().min(1024));
        for event in &batch.events {
            if heads.contains_key(&event.coordinate) {
                continue;
            }
            let head = match self.heads.get(&event.coordinate) {
                Some(head) => Some(head),
                None if self.heads.forgotten() > resolved.mark => return None,
                None => *resolved.heads.get(&event.coordinate)?,
            };
            heads.insert(event.coordinate, head);
        }
        Some(heads)
    }

    fn place(&mut self, batch: &mut Batch, mut heads: HashMap<[u8; 16], Option<Head>>, now: i64) {
        self.last_raw_clock = now;
        self.group.raw_clock = now;
        self.last_recorded = self.last_recorded.max(now);
        let base = self.group.buffer.len();
        for event in &batch.events {
            let head = heads.entry(event.coordinate).or_default();
            let order = Ordering {
                sequence: self.next_sequence,
                revision: head.map_or(0, |head| head.revision + 1),
                stream: head.map_or(event.candidate, |head| head.stream),
                recorded_at: self.last_recorded,
                previous: head.map_or([0; 32], |head| head.hash),
                previous_sequence: head.map(|head| head.sequence),
            };
            event.frame.place(&mut batch.buffer, &order);
            let hash = event_hash(&order.spine(&self.journal, event.frame.facts_hash));
            *head = Some(Head {
                stream: order.stream,
                revision: order.revision,
                sequence: order.sequence,
                recorded_at: order.recorded_at,
                hash,
            });
            self.group.events.push(OrderedEvent {
                start: base + event.frame.start,
                len: event.frame.len,
                event_id: event.frame.event_id,
                stream: order.stream,
                coordinate: event.coordinate,
                revision: order.revision,
                hash,
            });
            self.recent_ids
                .insert(event.frame.event_id, order.sequence, order.sequence);
            self.next_sequence += 1;
        }
        for (coordinate, head) in heads {
            if let Some(head) = head {
                self.heads.insert(coordinate, head.sequence, head);
            }
        }
        self.group.buffer.extend_from_slice(&batch.buffer);
    }
}

fn check_expectations(batch: &Batch, heads: &HashMap<[u8; 16], Option<Head>>) -> Option<Decision> {
    if batch.events.iter().all(|event| event.expect == Expect::Any) {
        return None;
    }
    // Later events of the batch see the earlier ones.
    let mut revisions: HashMap<[u8; 16], Option<u64>> = heads
        .iter()
        .map(|(coordinate, head)| (*coordinate, head.map(|head| head.revision)))
        .collect();
    for (index, event) in batch.events.iter().enumerate() {
        let revision = revisions.entry(event.coordinate).or_default();
        let holds = match event.expect {
            Expect::Any => true,
            Expect::NoStream => revision.is_none(),
            Expect::Revision(expected) => *revision == Some(expected),
        };
        if !holds {
            let head = heads.get(&event.coordinate).copied().flatten();
            let rests_on = head.map(|head| head.sequence);
            return Some(Decision::Unexpected {
                index,
                found: *revision,
                rests_on,
            });
        }
        *revision = Some(revision.map_or(0, |revision| revision + 1));
    }
    None
}
