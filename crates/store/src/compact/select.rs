//! Which events a retention takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use factlog_format::{
    Digest, ErasureHasher, ErasureLevel, EventFrame, HashBatch, HashSort, JournalId, Ordering,
    SPINE_LEN, SequenceSet, StreamId, event_hashes,
};

use super::{
    Retained, Retention, RetentionRule, RuleTakes,
    hold::{Hold, hold_of},
};
use crate::{Error, Query, Reader, commit::Writer};

/// How many ranges of sequences one erasure covers; more are several.
const MAX_RANGES: usize = 1 << 16;
/// How many events it covers, so that its completion has room for each that a hold keeps, however they lie.
const MAX_EVENTS: u64 = 1 << 20;

/// So many are hashed side by side.
const AT_ONCE: usize = 128;

/// Events of a rule that lose the same.
pub(super) struct Batch {
    pub(super) rule: usize,
    pub(super) level: ErasureLevel,
    pub(super) set: SequenceSet,
    events: u64,
    pub(super) hasher: ErasureHasher,
}

impl Batch {
    /// Takes in an event behind all that it has; `false` where that is for another one.
    fn push(&mut self, sequence: u64) -> bool {
        let takes = self.events < MAX_EVENTS
            && self.set.ranges().len() < MAX_RANGES
            && self.set.push(sequence);
        self.events += u64::from(takes);
        takes
    }
}

/// What rules take.
#[derive(Default)]
pub(super) struct Selected {
    pub(super) batches: Vec<Batch>,
    /// The batches that grow, by rule and sections; of a rule all are of one level.
    open: BTreeMap<(usize, u16), usize>,
    /// Events and bytes, by rule.
    sums: Vec<(u64, u64)>,
    held: u64,
}

impl Selected {
    fn add(&mut self, rule: usize, level: ErasureLevel, sequence: u64, hash: &Digest) {
        let sections = match level {
            ErasureLevel::Sections(sections) => sections,
            _ => u16::MAX,
        };
        let open = self.open.get(&(rule, sections)).copied();
        let open = open.filter(|at| {
            let batch = self.batches.get_mut(*at);
            batch.is_some_and(|batch| batch.push(sequence))
        });
        let at = open.unwrap_or_else(|| {
            self.batches.push(Batch {
                rule,
                level,
                set: [sequence].into_iter().collect(),
                events: 1,
                hasher: ErasureHasher::default(),
            });
            self.batches.len() - 1
        });
        self.open.insert((rule, sections), at);
        if let Some(batch) = self.batches.get_mut(at) {
            batch.hasher.add(sequence, hash);
        }
    }

    pub(super) fn told(&self, retention: &Retention) -> Retained {
        let sums = self.sums.iter().zip(&retention.rules);
        let rules = sums.map(|((events, bytes), rule)| RuleTakes {
            rule: rule.name.clone(),
            reason: rule.reason.clone(),
            full: rule.full,
            events: *events,
            bytes: *bytes,
            erasures: Vec::new(),
        });
        Retained {
            rules: rules.collect(),
            held: self.held,
        }
    }
}

/// Events that wait for their hashes, which cost a fraction when they are made side by side.
struct Found {
    /// Rule, level and place of each.
    events: Vec<(usize, ErasureLevel, Ordering)>,
    facts: HashBatch,
    /// Used again: hashes of facts, spines, hashes of events.
    hashes: (Vec<Digest>, Vec<[u8; SPINE_LEN]>, Vec<Digest>),
}

impl Found {
    fn new() -> Self {
        Self {
            events: Vec::with_capacity(AT_ONCE),
            facts: HashBatch::new(HashSort::Facts),
            hashes: Default::default(),
        }
    }

    fn push(&mut self, rule: usize, level: ErasureLevel, frame: &EventFrame<'_>) {
        self.events.push((rule, level, frame.order));
        self.facts.push(&frame.facts_salt, frame.facts_bytes);
    }

    /// Adds them to what is selected, with their hashes.
    fn hash_into(&mut self, journal: &JournalId, selected: &mut Selected) {
        let (facts, spines, hashes) = &mut self.hashes;
        self.facts.finish(facts);
        let each = self.events.iter().zip(&*facts);
        spines.clear();
        spines.extend(each.map(|((_, _, order), facts)| order.spine(journal, *facts).encode()));
        hashes.clear();
        event_hashes(spines, hashes);
        for ((rule, level, order), hash) in self.events.drain(..).zip(&*hashes) {
            selected.add(rule, level, order.sequence, hash);
        }
    }
}

/// Finds what rules take of what is durable now.
pub(super) fn select(
    writer: &Writer,
    retention: &Retention,
    holds: &[Hold],
) -> Result<Selected, Error> {
    let shared = Arc::clone(&writer.shared);
    let reader = Reader { shared };
    let now = writer.clock.now_micros();
    let rules = &retention.rules;
    let heads = match rules.iter().any(|rule| rule.keep_last.is_some()) {
        true => stream_lengths(&reader)?,
        false => HashMap::new(),
    };
    let mut query = Query::all();
    if !rules.iter().any(RetentionRule::looks_inside) {
        query = query.facts_only();
    }
    let mut selected = Selected {
        sums: vec![(0, 0); rules.len()],
        ..Selected::default()
    };
    let (mut found, journal) = (Found::new(), &writer.shared.identity.journal);
    // In full first: what takes more goes before what takes less.
    let (full, rest): (Vec<_>, Vec<_>) = rules.iter().enumerate().partition(|(_, rule)| rule.full);
    let mut events = reader.read(query);
    while let Some(event) = events.next_ref()? {
        let Some(frame) = event.frame()? else {
            continue;
        };
        if frame.facts.scope.starts_with('$') {
            continue;
        }
        let length = heads.get(&event.stream_id());
        let left = length.map(|events| events.saturating_sub(event.revision() + 1));
        let mut first = None;
        for (at, rule) in full.iter().chain(&rest) {
            if let Some(level) = rule.takes(&event, &frame, now, left)? {
                first = Some((*at, level));
                break;
            }
        }
        let Some((rule, level)) = first else {
            continue;
        };
        if hold_of(writer, holds, &frame)?.is_some() {
            selected.held += 1;
            continue;
        }
        if let Some((events, bytes)) = selected.sums.get_mut(rule) {
            *events += 1;
            *bytes += bytes_of(&frame, level);
        }
        found.push(rule, level, &frame);
        if found.events.len() >= AT_ONCE {
            found.hash_into(journal, &mut selected);
        }
    }
    found.hash_into(journal, &mut selected);
    Ok(selected)
}

/// How many events each stream has.
fn stream_lengths(reader: &Reader) -> Result<HashMap<StreamId, u64>, Error> {
    let streams = reader.streams();
    let length = |stream: Result<crate::StreamInfo, Error>| {
        let stream = stream?;
        Ok((stream.stream_id, stream.events))
    };
    streams.map(length).collect()
}

/// Bytes of what is taken, with salts and nonces.
fn bytes_of(frame: &EventFrame<'_>, level: ErasureLevel) -> u64 {
    let (sections, facts) = match level {
        ErasureLevel::Sections(sections) => (sections, 0),
        // In place of facts and their salt a stub has their hash.
        _ => (u16::MAX, frame.facts_bytes.len() as u64),
    };
    let rows = frame.facts.sections.iter().enumerate();
    let taken = rows.filter(|(index, _)| sections & (1 << index) != 0);
    let bytes = taken.map(|(_, row)| {
        let secret = if row.sealed.is_some() { 24 } else { 16 };
        u64::from(row.stored_len) + secret
    });
    facts + bytes.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use factlog_format::{ErasureCompleted, ErasureLevel, JournalEvent, SequenceSet};

    use super::{MAX_EVENTS, MAX_RANGES, Selected};

    /// Sets had a bound of ranges only, and a completion failed that was to leave out more events one by one
    /// than a set has room for.
    #[test]
    fn a_completion_has_room_for_every_event_of_an_erasure_that_holds_keep() {
        for (apart, most) in [(1, MAX_EVENTS), (2, MAX_RANGES as u64)] {
            let mut selected = Selected::default();
            for at in 0..3 * most / 2 {
                selected.add(0, ErasureLevel::Full, at * apart, &[0; 32]);
            }
            let sets: Vec<_> = selected.batches.iter().map(|batch| &batch.set).collect();
            let lens: Vec<u64> = sets.iter().map(|set| set.len()).collect();
            assert_eq!(lens, [most, most / 2]);
            // By turns, so that no two that one hold keeps are neighbours.
            let keeps =
                |hold: usize| -> SequenceSet { sets[0].iter().skip(hold).step_by(2).collect() };
            let held = vec![(1, keeps(0)), (2, keeps(1))];
            assert_eq!(held.iter().map(|(_, set)| set.len()).sum::<u64>(), most);
            let erasure = 1 << 30;
            JournalEvent::ErasureCompleted(ErasureCompleted { erasure, held })
                .check()
                .unwrap();
        }
    }
}
