//! What the index holds of events, however they are come by: just ordered, scanned, or stored.

use std::{ops::Range, sync::Arc};

use factlog_format::coordinate_key;

use super::{conditions::BatchKeys, order::OrderedEvent};
use crate::{
    Error,
    config::{Bug, planted},
    index::{Entry, Table, kind_key, tag_keys},
    read::{Shared, view::View},
    segment::ScannedEvent,
};

/// What the index holds of a group that was just written.
pub(super) fn entries_of(
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

/// What the index holds of stored events.
pub(super) fn stored_entries(
    shared: &Shared,
    view: &View,
    sequences: Range<u64>,
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for sequence in sequences {
        push_stored(&mut entries, shared, view, sequence)?;
    }
    Ok(entries)
}

/// Adds what the index holds of a stored event.
fn push_stored(
    entries: &mut Vec<Entry>,
    shared: &Shared,
    view: &View,
    sequence: u64,
) -> Result<(), Error> {
    let Some(event) = shared.stored(view, sequence)? else {
        return Err(shared.index_is_wrong(sequence).into());
    };
    let facts = event.facts();
    let opens = match event.previous_sequence().filter(|_| facts.is_some()) {
        Some(previous) => shared.is_bare(view, previous)?,
        None => true,
    };
    let named = facts.as_ref().map(|facts| Named {
        id: facts.event_id,
        coordinate: opens.then(|| coordinate_key(facts.scope, facts.entity)),
        kind: kind_key(facts.kind),
        tags: tag_keys(facts),
    });
    push_entries(entries, sequence, event.stream_id(), named);
    Ok(())
}

/// What an event is found by besides its stream, as long as its facts are there.
struct Named<T> {
    id: [u8; 16],
    /// If the event is the first of its stream that tells of it.
    coordinate: Option<[u8; 16]>,
    kind: [u8; 16],
    tags: T,
}

fn push_entries<T: Iterator<Item = [u8; 16]>>(
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
