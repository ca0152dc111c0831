//! Conditions of an append, and the events that may have changed their answer.
//!
//! A condition is looked up off the lock, as of a durable mark. Under the order lock only the events
//! from that mark on are compared, by keys that were hashed on the threads of their own appenders.

use std::{collections::VecDeque, sync::Arc};

use factlog_format::{Digest, HashBatch, category_of, coordinate_key};

use crate::{
    Condition, Conflict, Error, Expect, Misuse, NewEvent, Query,
    event::Rests,
    index::{CATEGORY, CORRELATION, KIND, TAG, correlation_name, kind_key, kind_of_category},
    read::Item,
};

type Key = [u8; 16];

/// So many durable events are kept beside those that aren't yet, so that who looked just now need not
/// look again.
const KEPT: u64 = 1024;

/// What an event can be found by, for the events of one batch.
#[derive(Debug, Default)]
pub(crate) struct BatchKeys {
    events: Vec<EventKeys>,
    tags: Vec<Key>,
}

#[derive(Clone, Copy, Debug)]
struct EventKeys {
    coordinate: Key,
    kind: Key,
    /// Where its tags end among those of the batch.
    tags_end: usize,
}

impl BatchKeys {
    pub(super) fn with_capacity(events: usize) -> Self {
        Self {
            events: Vec::with_capacity(events),
            tags: Vec::new(),
        }
    }

    /// Adds those of some events, hashed side by side.
    pub(super) fn add(
        &mut self,
        events: &[NewEvent<'_>],
        hasher: &mut HashBatch,
        hashes: &mut Vec<Digest>,
    ) {
        Self::to_hash(events, hasher);
        hasher.finish(hashes);
        let key = |hash: &Digest| *hash.first_chunk::<16>().unwrap_or(&[0; 16]);
        let mut hashes = hashes.iter().map(key);
        let from = self.events.len();
        let coordinates = hashes.by_ref().take(events.len());
        self.events.extend(coordinates.map(|coordinate| EventKeys {
            coordinate,
            kind: [0; 16],
            tags_end: 0,
        }));
        let (mut kind, mut tags_end) = ([0; 16], self.tags.len());
        let added = self.events.iter_mut().skip(from);
        for ((keys, event), (_, begins)) in added.zip(events).zip(runs_of_kinds(events)) {
            if begins {
                let category = hashes.next().unwrap_or_default();
                kind = kind_of_category(&category, &hashes.next().unwrap_or_default());
            }
            tags_end += event.tags.len() + usize::from(event.correlation.is_some());
            (keys.kind, keys.tags_end) = (kind, tags_end);
        }
        self.tags.extend(hashes);
    }

    /// What is to be hashed for the keys of some events: coordinates, kinds with their categories, tags
    /// with correlation ids.
    fn to_hash(events: &[NewEvent<'_>], hasher: &mut HashBatch) {
        for event in events {
            hasher.push(event.scope.as_bytes(), event.entity.as_bytes());
        }
        for kind in runs_of_kinds(events).filter_map(|(kind, begins)| begins.then_some(kind)) {
            hasher.push(CATEGORY.as_bytes(), category_of(kind).as_bytes());
            hasher.push(KIND.as_bytes(), kind.as_bytes());
        }
        for event in events {
            for tag in &event.tags {
                hasher.push(TAG.as_bytes(), tag.as_bytes());
            }
            if let Some(id) = &event.correlation {
                let mut buffer = [0; 32];
                let name = correlation_name(id, &mut buffer);
                hasher.push(CORRELATION.as_bytes(), name.as_bytes());
            }
        }
    }

    /// The coordinate of each event, in order.
    pub(crate) fn coordinates(&self) -> impl Iterator<Item = &Key> {
        self.events.iter().map(|event| &event.coordinate)
    }

    pub(crate) fn len(&self) -> u64 {
        self.events.len() as u64
    }

    /// Kind and tags of each event, in order.
    pub(crate) fn kinds_and_tags(&self) -> impl Iterator<Item = (Key, &[Key])> {
        let mut start = 0;
        self.events.iter().map(move |event| {
            let tags = self.tags.get(start..event.tags_end).unwrap_or_default();
            start = event.tags_end;
            (event.kind, tags)
        })
    }

    /// The first event from `skip` on that one of the items takes.
    fn find(&self, items: &[ItemKeys], skip: usize) -> Option<u64> {
        let events = self.events.iter().zip(self.kinds_and_tags());
        let mut events = (0..).zip(events).skip(skip);
        let found = events.find(|(_, (event, (kind, tags)))| {
            let takes = |item: &ItemKeys| item.takes(&event.coordinate, kind, tags);
            items.iter().any(takes)
        });
        found.map(|(at, _)| at)
    }
}

/// The kind of each event, and whether it is another one than that of the event before: most batches are
/// of one kind.
fn runs_of_kinds<'e>(events: &'e [NewEvent<'_>]) -> impl Iterator<Item = (&'e str, bool)> {
    let mut before = None;
    events.iter().map(move |event| {
        let begins = before != Some(&event.kind);
        before = Some(&event.kind);
        (&*event.kind, begins)
    })
}

/// An alternative of a query, as keys.
#[derive(Debug)]
struct ItemKeys {
    streams: Vec<Key>,
    kinds: Vec<Key>,
    tags: Vec<Key>,
}

impl ItemKeys {
    fn of(item: &Item<'_>) -> Self {
        Self {
            streams: item
                .streams
                .iter()
                .map(|(s, e)| coordinate_key(s, e))
                .collect(),
            kinds: item.kinds.iter().map(|kind| kind_key(kind)).collect(),
            tags: item.tag_keys().collect(),
        }
    }

    fn takes(&self, coordinate: &Key, kind: &Key, tags: &[Key]) -> bool {
        (self.streams.is_empty() || self.streams.contains(coordinate))
            && (self.kinds.is_empty() || self.kinds.contains(kind))
            && self.tags.iter().all(|tag| tags.contains(tag))
    }
}

/// The conditions of one append.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(super) queries: Vec<NothingOf>,
    pub(super) streams: Vec<StreamIs>,
}

/// No event from `query.from` on is one that the query takes.
#[derive(Debug)]
pub(super) struct NothingOf {
    pub(super) query: Query<'static>,
    items: Vec<ItemKeys>,
    /// Which of the append's conditions it is.
    pub(super) number: usize,
}

/// A stream is as expected before the append.
#[derive(Debug)]
pub(super) struct StreamIs {
    pub(super) scope: String,
    pub(super) entity: String,
    pub(super) key: Key,
    /// Which of the batch's coordinates it is.
    pub(super) coordinate: u32,
    pub(super) expect: Expect,
}

impl Conditions {
    /// Checks and hashes them, on the caller's thread.
    pub(super) fn of(conditions: &[Condition<'_>]) -> Result<Self, Error> {
        let mut all = Self::default();
        for (number, Condition(condition)) in conditions.iter().enumerate() {
            match condition {
                Rests::Nothing(query) => {
                    refuse_what_no_condition_can_say(query)?;
                    all.queries.push(NothingOf {
                        items: query.items().map(ItemKeys::of).collect(),
                        query: query.clone().into_owned(),
                        number,
                    });
                }
                Rests::Stream {
                    scope,
                    entity,
                    expect,
                } => all.streams.push(StreamIs {
                    scope: scope.clone().into_owned(),
                    entity: entity.clone().into_owned(),
                    key: coordinate_key(scope, entity),
                    coordinate: 0,
                    expect: *expect,
                }),
            }
        }
        Ok(all)
    }

    /// The answer where a stream isn't as expected.
    pub(super) fn other_stream(&self, index: usize, found: Option<u64>) -> Error {
        let Some(stream) = self.streams.get(index) else {
            return Misuse::BatchSize.into();
        };
        Conflict::Expectation {
            scope: stream.scope.clone(),
            entity: stream.entity.clone(),
            expected: stream.expect,
            found,
        }
        .into()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queries.is_empty() && self.streams.is_empty()
    }
}

fn refuse_what_no_condition_can_say(query: &Query<'_>) -> Result<(), Misuse> {
    let narrowed = query.until.is_some()
        || query.recorded_from.is_some()
        || query.recorded_until.is_some()
        || query.limit.is_some()
        || query.reverse
        || query.facts_only
        || query
            .items()
            .any(|item| item.scope.is_some() || item.category.is_some());
    if narrowed {
        return Err(Misuse::Condition(
            "a condition asks for streams, kinds and tags, from a sequence on, and for nothing else",
        ));
    }
    Ok(())
}

/// The keys of the events that were ordered last: of all that aren't durable yet, and of some more.
#[derive(Debug)]
pub(crate) struct RecentKeys {
    batches: VecDeque<(u64, Arc<BatchKeys>)>,
    from: u64,
}

impl RecentKeys {
    pub(super) fn new(from: u64) -> Self {
        Self {
            batches: VecDeque::new(),
            from,
        }
    }

    /// Every event from this sequence on is here.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// Takes in a batch that was ordered.
    pub(super) fn push(&mut self, first: u64, keys: &Arc<BatchKeys>) {
        self.batches.push_back((first, Arc::clone(keys)));
    }

    /// Forgets what has been durable for a while.
    pub(super) fn durable(&mut self, durable: u64) {
        while let Some((first, keys)) = self.batches.front() {
            let end = first + keys.len();
            if end + KEPT > durable {
                break;
            }
            self.from = end;
            self.batches.pop_front();
        }
    }

    /// The first event from `start` on that a condition forbids.
    pub(super) fn find(&self, condition: &NothingOf, start: u64) -> Option<u64> {
        let start = start.max(condition.query.from);
        // The newest are those that matter, so that most are passed over.
        let old = self
            .batches
            .partition_point(|(first, keys)| first + keys.len() <= start);
        self.batches.iter().skip(old).find_map(|(first, keys)| {
            let skip = usize::try_from(start.saturating_sub(*first)).unwrap_or(usize::MAX);
            keys.find(&condition.items, skip).map(|at| first + at)
        })
    }
}
