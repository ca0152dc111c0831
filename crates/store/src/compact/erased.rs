//! What erasures take of events: readers give stubs as soon as one is ordered, whatever a file still holds.

use std::{ops::Range, sync::Arc};

use arc_swap::ArcSwap;
use factlog_format::{
    CachedValue, ErasureCompleted, ErasureLevel, ErasureOrdered, EventFrame, FRAME_HEADER_LEN,
    FormatError, FrameType, FullStub, JournalEvent, Manifest, encode_bare_stub, encode_full_stub,
    encode_payload_stub, facts_hash,
};

use crate::{
    Error, Event, Query,
    config::{Bug, planted},
    event::own,
    index::{Table, kind_key},
    read::{Events, Shared, view::View},
};

/// The code of MANIFEST's word that from a sequence on erasures may not be completed.
pub(crate) const ERASING: u16 = 3;

/// An erasure that is ordered.
#[derive(Clone, Debug)]
pub(crate) struct Erasing {
    /// Of the event that ordered it.
    pub(crate) sequence: u64,
    pub(crate) ordered: ErasureOrdered,
    /// What was left of it, once that is done.
    completed: Option<ErasureCompleted>,
}

impl Erasing {
    /// Whether it takes something of an event.
    pub(crate) fn covers(&self, sequence: u64) -> bool {
        let done = self.completed.as_ref();
        self.ordered.set.contains(sequence) && !done.is_some_and(|done| done.is_held(sequence))
    }

    /// Whether it takes this section of an event, counted from the first in its table.
    pub(crate) fn takes(&self, sequence: u64, section: usize) -> bool {
        let of_all = match self.ordered.level {
            ErasureLevel::Sections(bits) => bits & (1 << section) != 0,
            _ => true,
        };
        of_all && self.covers(sequence)
    }

    /// Whether it takes all but the spine of an event.
    pub(crate) fn takes_all(&self, sequence: u64) -> bool {
        self.ordered.level == ErasureLevel::Full && self.covers(sequence)
    }
}

/// Every erasure that is ordered by an event from a sequence on, the oldest first.
pub(crate) fn all_erasures(shared: &Arc<Shared>, from: u64) -> Result<Vec<Erasing>, Error> {
    let query = Query::all().kind("erasure.ordered").from(from);
    let query = query.or().kind("erasure.completed").from(from);
    let mut all: Vec<Erasing> = Vec::new();
    for event in Events::new(Arc::clone(shared), shared.view.load_full(), query) {
        match own::decoded(&event?) {
            Some((sequence, JournalEvent::ErasureOrdered(ordered))) => all.push(Erasing {
                sequence,
                ordered,
                completed: None,
            }),
            Some((_, JournalEvent::ErasureCompleted(done))) => {
                let mut ordered = all.iter_mut();
                if let Some(one) = ordered.find(|one| one.sequence == done.erasure) {
                    one.completed = Some(done);
                }
            }
            _ => {}
        }
    }
    Ok(all)
}

/// All that were ordered since the journal was opened, and those that were not completed then. They stay
/// when they are completed: a reader may still have a file in its hands that was removed since.
#[derive(Debug, Default)]
pub(crate) struct Erasures(ArcSwap<Vec<Arc<Erasing>>>);

impl Erasures {
    /// Those that aren't completed, the oldest first.
    pub(crate) fn pending(&self) -> Vec<Arc<Erasing>> {
        let all = self.0.load();
        let pending = all.iter().filter(|one| one.completed.is_none());
        pending.cloned().collect()
    }

    /// How much is taken of an event.
    pub(crate) fn taken(&self, sequence: u64) -> Option<ErasureLevel> {
        let all = self.0.load();
        if all.is_empty() {
            return None;
        }
        taken_by(&all, sequence)
    }

    /// Follows an event of the journal's own.
    pub(crate) fn follow(&self, sequence: u64, event: JournalEvent) {
        let mut all = Vec::clone(&self.0.load());
        match event {
            JournalEvent::ErasureOrdered(ordered) => {
                if all.iter().any(|one| one.sequence == sequence) {
                    return;
                }
                all.push(Arc::new(Erasing {
                    sequence,
                    ordered,
                    completed: None,
                }));
            }
            JournalEvent::ErasureCompleted(done) => {
                for one in all.iter_mut().filter(|one| one.sequence == done.erasure) {
                    *one = Arc::new(Erasing {
                        completed: Some(done.clone()),
                        ..Erasing::clone(one)
                    });
                }
            }
            _ => return,
        }
        self.0.store(Arc::new(all));
    }
}

/// How much these take of an event.
pub(crate) fn taken_by(all: &[Arc<Erasing>], sequence: u64) -> Option<ErasureLevel> {
    let covering = all.iter().filter(|one| one.covers(sequence));
    covering
        .map(|one| one.ordered.level)
        .reduce(ErasureLevel::and)
}

/// How much erasures take of events that are asked for in ascending order: for whoever passes over many.
pub(super) struct TakenInTurn<'e> {
    /// Each with its ranges from the one on in which the next event may stand.
    all: Vec<(&'e Erasing, &'e [Range<u64>])>,
}

impl<'e> TakenInTurn<'e> {
    /// Of events from a sequence on.
    pub(super) fn new(all: &'e [Arc<Erasing>], from: u64) -> Self {
        let each = all.iter().map(|one| {
            let ranges = one.ordered.set.ranges();
            let at = ranges.partition_point(|range| range.end <= from);
            (&**one, ranges.get(at..).unwrap_or_default())
        });
        Self {
            all: each.collect(),
        }
    }

    /// What [`taken_by`] says.
    pub(super) fn taken(&mut self, sequence: u64) -> Option<ErasureLevel> {
        let mut taken = None;
        for (one, ranges) in &mut self.all {
            while let [first, rest @ ..] = *ranges
                && first.end <= sequence
            {
                *ranges = rest;
            }
            let here = ranges.first().is_some_and(|first| first.start <= sequence);
            if here && one.covers(sequence) {
                let level = one.ordered.level;
                taken = Some(taken.map_or(level, |taken: ErasureLevel| taken.and(level)));
            }
        }
        taken
    }
}

/// From where on MANIFEST says that erasures may not be completed; `None` where all are.
pub(crate) fn erasing_from(manifest: &Manifest) -> Option<u64> {
    let mut values = manifest.values.iter();
    let value = values.find(|value| value.code == ERASING);
    value.map(|value| value.sequence)
}

/// Lets MANIFEST say so.
pub(crate) fn say_erasing(manifest: &mut Manifest, from: Option<u64>) {
    manifest.values.retain(|value| value.code != ERASING);
    manifest.values.extend(from.map(|sequence| CachedValue {
        sequence,
        code: ERASING,
        value: Vec::new(),
    }));
    let place = |value: &CachedValue| (value.sequence, value.code);
    manifest.values.sort_by_key(place);
}

impl Shared {
    /// Learns of the erasures that events from a sequence on order and complete.
    pub(crate) fn learn_erasures(&self, from: u64) -> Result<(), Error> {
        if planted(Bug::ErasureForgotten) {
            return Ok(());
        }
        let view = self.view.load_full();
        let range = from..view.durable;
        for kind in ["erasure.ordered", "erasure.completed"] {
            let key = kind_key(kind);
            let found = self.postings(&view, Table::Kind, &key, range.clone(), false);
            let found: Result<Vec<u64>, Error> = found.and_then(Iterator::collect);
            match found {
                Ok(found) => self.follow_all(&view, found)?,
                // The index is derived: without it, all are looked at.
                Err(_) => self.follow_all(&view, range.clone())?,
            }
        }
        Ok(())
    }

    fn follow_all(
        &self,
        view: &View,
        sequences: impl IntoIterator<Item = u64>,
    ) -> Result<(), Error> {
        for sequence in sequences {
            let event = self.get(view, sequence)?;
            if let Some((sequence, event)) = event.as_ref().and_then(own::decoded) {
                self.erasures.follow(sequence, event);
            }
        }
        Ok(())
    }
}

/// The frame, with its CRC open, of what is left of an event; `None` if all of that is taken already.
pub(crate) fn stub_of(
    kind: FrameType,
    body: &[u8],
    level: ErasureLevel,
) -> Result<Option<(FrameType, Vec<u8>)>, FormatError> {
    let mut frame = Vec::with_capacity(body.len() + FRAME_HEADER_LEN);
    let kind = push_stub(kind, body, level, &mut frame)?;
    Ok(kind.map(|kind| (kind, frame)))
}

/// Appends that frame.
pub(super) fn push_stub(
    kind: FrameType,
    body: &[u8],
    level: ErasureLevel,
    out: &mut Vec<u8>,
) -> Result<Option<FrameType>, FormatError> {
    if kind == FrameType::FullStub {
        return Ok(None);
    }
    if level == ErasureLevel::Sections(u16::MAX) {
        let made = encode_bare_stub(body, out)?;
        return Ok(made.then_some(FrameType::PayloadStub));
    }
    let event = EventFrame::decode(kind, body)?;
    if !takes_of(&event, level) {
        return Ok(None);
    }
    Ok(Some(match level {
        ErasureLevel::Sections(sections) => {
            encode_payload_stub(&event, event.present & !sections, out)?;
            FrameType::PayloadStub
        }
        _ => {
            let stub = FullStub {
                order: event.order,
                facts_hash: facts_hash(&event.facts_salt, event.facts_bytes),
            };
            encode_full_stub(&stub, out)?;
            FrameType::FullStub
        }
    }))
}

/// Whether a level takes anything of an event, or of what an erasure left of one.
pub(super) fn takes_of(event: &EventFrame<'_>, level: ErasureLevel) -> bool {
    match level {
        ErasureLevel::Sections(sections) => event.present & sections != 0,
        _ => true,
    }
}

/// The body of a frame that was just made.
pub(crate) fn body_of(frame: &[u8]) -> &[u8] {
    let len = frame.first_chunk().copied().map_or(0, u32::from_le_bytes) as usize;
    let body = frame.get(FRAME_HEADER_LEN..FRAME_HEADER_LEN + len);
    body.unwrap_or_default()
}

impl Event {
    /// What an erasure leaves of it.
    pub(crate) fn without(self, level: ErasureLevel) -> Result<Self, FormatError> {
        let Some((kind, frame)) = stub_of(self.frame_kind(), self.body(), level)? else {
            return Ok(self);
        };
        Self::decode(self.journal(), kind, body_of(&frame).to_vec())
    }
}
