//! What the index holds of events that stand in segments.

use std::ops::Range;

use factlog_format::coordinate_key;

use super::entries::{Named, push_entries};
use crate::{
    Error, Query,
    config::{Bug, planted},
    index::{Entry, kind_key, tag_keys},
    read::{Scan, Shared, view::View},
};

/// Reads events in turn for what the index holds of them.
pub(super) struct StoredEntries<'s> {
    shared: &'s Shared,
    /// Which were read.
    read: Range<u64>,
    /// A bit for each of these: whether nothing but its spine is there. Most events that are read later ask
    /// that of one of them, and to read it once more takes as long as all else.
    bare: Vec<u64>,
}

impl<'s> StoredEntries<'s> {
    pub(super) fn new(shared: &'s Shared) -> Self {
        Self {
            shared,
            read: 0..0,
            bare: Vec::new(),
        }
    }

    /// The entries of these events.
    pub(super) fn entries(
        &mut self,
        view: &View,
        sequences: Range<u64>,
    ) -> Result<Vec<Entry>, Error> {
        if self.read.end != sequences.start {
            self.read = sequences.start..sequences.start;
            self.bare.clear();
        }
        let (shared, query) = (self.shared, Query::all());
        let mut entries = Vec::new();
        let mut scan = Scan::new(sequences.clone());
        while let Some(hit) = scan.next_matching(shared, view, &query, |_| ())? {
            let Some(event) = scan.event(&shared.identity.journal, hit) else {
                break;
            };
            let facts = event.facts()?;
            self.note(facts.is_none());
            let opens = match event.order.previous_sequence.filter(|_| facts.is_some()) {
                Some(previous) => self.is_bare(view, previous)?,
                None => true,
            };
            let named = facts.as_ref().map(|facts| Named {
                id: facts.event_id,
                coordinate: opens.then(|| coordinate_key(facts.scope, facts.entity)),
                kind: kind_key(facts.kind),
                tags: tag_keys(facts),
            });
            push_entries(&mut entries, event.sequence(), event.stream_id(), named);
        }
        match self.read.end == sequences.end {
            true => Ok(entries),
            false => Err(shared.index_is_wrong(self.read.end).into()),
        }
    }

    /// Takes in the next event.
    fn note(&mut self, is_bare: bool) {
        let at = self.read.end - self.read.start;
        if at.is_multiple_of(64) {
            self.bare.push(0);
        }
        if let Some(last) = self.bare.last_mut() {
            *last |= u64::from(is_bare) << (at % 64);
        }
        self.read.end += 1;
    }

    fn is_bare(&self, view: &View, sequence: u64) -> Result<bool, Error> {
        if !self.read.contains(&sequence) || planted(Bug::BeginningGone) {
            return self.shared.is_bare(view, sequence);
        }
        let at = sequence - self.read.start;
        let bits = self.bare.get((at / 64) as usize).copied();
        Ok(bits.unwrap_or_default() >> (at % 64) & 1 == 1)
    }
}
