//! What the index holds of events, just ordered or scanned.

use std::sync::Arc;

use crate::{
    commit::{conditions::BatchKeys, order::OrderedEvent},
    config::{Bug, planted},
    index::{Entry, Table},
    segment::ScannedEvent,
};

/// What the index holds of a group that was just written.
pub(in crate::commit) fn entries_of(
    first: u64,
    events: &[OrderedEvent],
    keys: &[Arc<BatchKeys>],
    opens: impl Fn(&OrderedEvent) -> bool,
) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(events.len() * 4 + 8);
    let kinds_and_tags = keys.iter().flat_map(|keys| keys.kinds_and_tags());
    for ((sequence, event), (kind, tags)) in (first..).zip(events).zip(kinds_and_tags) {
        let named = Named {
            id: event.event_id,
            coordinate: opens(event).then_some(event.coordinate),
            kind,
            tags: tags.iter().copied(),
        };
        push_entries(&mut entries, sequence, event.stream, Some(named));
    }
    entries
}

/// What the index holds of neighbouring events read from a segment: the same as when they were written, or
/// as after their erasure. `is_bare` says of an event before them whether it is a full stub.
pub(crate) fn entries_of_scan(
    events: &[ScannedEvent],
    is_bare: &dyn Fn(u64) -> bool,
) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(events.len() * 4 + 8);
    let first = events.first().map_or(0, |event| event.order.sequence);
    let follows_stub = |previous: u64| match previous.checked_sub(first) {
        _ if planted(Bug::BeginningGone) => false,
        None => is_bare(previous),
        Some(at) => {
            let event = usize::try_from(at).ok().and_then(|at| events.get(at));
            event.is_some_and(|event| event.facts.is_none())
        }
    };
    for event in events {
        let order = &event.order;
        let named = event.facts.as_ref().map(|facts| Named {
            id: facts.event_id,
            coordinate: (order.previous_sequence.is_none_or(follows_stub))
                .then_some(facts.keys.coordinate),
            kind: facts.keys.kind,
            tags: facts.keys.tags.iter().copied(),
        });
        push_entries(&mut entries, order.sequence, order.stream, named);
    }
    entries
}

/// What an event is found by besides its stream, as long as its facts are there.
pub(super) struct Named<T> {
    pub(super) id: [u8; 16],
    /// If the event is the first of its stream that tells of it.
    pub(super) coordinate: Option<[u8; 16]>,
    pub(super) kind: [u8; 16],
    pub(super) tags: T,
}

pub(super) fn push_entries<T: Iterator<Item = [u8; 16]>>(
    entries: &mut Vec<Entry>,
    sequence: u64,
    stream: [u8; 16],
    named: Option<Named<T>>,
) {
    let mut push = |table, key| {
        entries.push(Entry {
            table,
            key,
            sequence,
        });
    };
    push(Table::Stream, stream);
    let Some(named) = named else {
        return;
    };
    push(Table::Id, named.id);
    if let Some(coordinate) = named.coordinate {
        push(Table::Coordinate, coordinate);
    }
    push(Table::Kind, named.kind);
    for tag in named.tags {
        push(Table::Tag, tag);
    }
}
