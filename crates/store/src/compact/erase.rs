//! Taking what erasures cover out of the files of a journal, and saying that it is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use factlog_format::{
    ErasureCompleted, ErasureLevel, EventFrame, FrameType, JournalEvent, ManifestRow, Ordering,
    SequenceSet,
};
use factlog_fs::OpenMode;

use super::{
    erased::{Erasing, TakenInTurn, taken_by, takes_of},
    hold::{Hold, hold_of, holds},
    rewrite::Pace,
};
use crate::{
    Error, Misuse,
    commit::Writer,
    config::{Bug, planted},
    event::own,
    segment::{FrameReader, FrameStop, SegmentFile},
};

/// What holds keep, by erasure and hold.
type Held = BTreeMap<(u64, u64), SequenceSet>;

/// What of a segment an erasure is about.
#[derive(Default)]
struct Covered {
    /// Whether anything is to be taken.
    takes: bool,
    /// What a hold keeps, each with the hold, in order.
    held: Vec<(u64, u64)>,
}

impl Covered {
    /// Whether a hold keeps an event. Of a large segment that may be any number of them.
    fn keeps(&self, sequence: u64) -> bool {
        let found = self.held.binary_search_by_key(&sequence, |(at, _)| *at);
        found.is_ok()
    }
}

impl Writer {
    /// Does what erasures that aren't completed demand, and says that it is done. The caller sees to it that
    /// nobody else compacts.
    ///
    /// # Errors
    /// As a compaction; what was done stays done, and the next call goes on.
    pub(super) fn finish_erasures(&self, pace: Pace<'_>) -> Result<(), Error> {
        let pending = self.shared.erasures.pending();
        if pending.is_empty() {
            return Ok(());
        }
        if planted(Bug::ErasedTooEarly) {
            self.complete(&pending, &Held::new())?;
        }
        let held = self.take_all(&pending, pace)?;
        // Before it is said to be gone: what removing a file failed at is done now, or fails again.
        self.tell_erasing(pending.first().map(|first| first.sequence))?;
        self.free_names(&pending, &held)?;
        if !planted(Bug::ErasedTooEarly) {
            self.complete(&pending, &held)?;
        }
        self.tell_erasing(None)
    }

    /// Lets go of what full stubs don't tell any more: ids, coordinates and all else by which an index finds
    /// events. Not before all are written, since a hold may keep any of them until then.
    fn free_names(&self, pending: &[Arc<Erasing>], held: &Held) -> Result<(), Error> {
        let full = |one: &&Arc<Erasing>| one.ordered.level == ErasureLevel::Full;
        let full: Vec<_> = pending.iter().filter(full).collect();
        let Some(first) = full
            .iter()
            .filter_map(|one| one.ordered.set.iter().next())
            .min()
        else {
            return Ok(());
        };
        self.derived.rebuild(self, first)?;
        let is_bare = |sequence: u64| {
            full.iter().any(|one| {
                let mut kept = held.range((one.sequence, 0)..=(one.sequence, u64::MAX));
                one.ordered.set.contains(sequence) && !kept.any(|(_, kept)| kept.contains(sequence))
            })
        };
        let mut order = self.order.lock();
        if !planted(Bug::HeadsKept) {
            order.heads.forget(is_bare);
        }
        if !planted(Bug::IdsKept) {
            order.recent_ids.forget(is_bare);
        }
        Ok(())
    }

    /// Leaves what is covered out of every segment.
    pub(super) fn take_all(&self, pending: &[Arc<Erasing>], pace: Pace<'_>) -> Result<Held, Error> {
        let end = pending.iter().map(|one| one.ordered.set.end()).max();
        let mut held = Held::new();
        for row in self.seal_below(end.unwrap_or(0))? {
            self.take(&row, pending, &mut held, pace)?;
        }
        Ok(held)
    }

    /// Leaves what is covered out of a segment.
    fn take(
        &self,
        row: &ManifestRow,
        pending: &[Arc<Erasing>],
        held: &mut Held,
        pace: Pace<'_>,
    ) -> Result<(), Error> {
        let range = row.first_sequence..row.first_sequence + row.count.unwrap_or(0);
        // Sets of large erasures follow each other, so that few reach into one segment.
        let pending = pending.iter().filter(|one| one.ordered.set.meets(&range));
        let pending: &[_] = &pending.cloned().collect::<Vec<_>>();
        loop {
            let holds = holds(&self.shared)?;
            let covered = match pending.is_empty() {
                false => self.covered(row, pending, &holds)?,
                true => Covered::default(),
            };
            // What a recovery set aside may be anything.
            if covered.takes || self.has_set_aside(row)? {
                let mut in_turn = TakenInTurn::new(pending, row.first_sequence);
                let mut taken = |sequence: u64| match covered.keeps(sequence) {
                    true => None,
                    false if planted(Bug::NeighbourErased) => {
                        let before = sequence.saturating_sub(1);
                        taken_by(pending, sequence).or_else(|| taken_by(pending, before))
                    }
                    false => in_turn.taken(sequence),
                };
                let new = self.rewrite(std::slice::from_ref(row), &mut taken, pace)?;
                // A hold that came meanwhile keeps what it covers; none comes until this is named.
                // The mistake is made by one who has it already.
                let none_comes =
                    (!planted(Bug::StubsBeforeOrder)).then(|| self.changing_keys.lock());
                if self::holds(&self.shared)? != holds {
                    drop(none_comes);
                    self.discard_segment(&new)?;
                    continue;
                }
                self.replace_segments(std::slice::from_ref(row), &new)?;
            }
            for (sequence, hold) in covered.held {
                for one in pending
                    .iter()
                    .filter(|one| one.ordered.set.contains(sequence))
                {
                    let set = held.entry((one.sequence, hold)).or_default();
                    if !set.push(sequence) {
                        // Of an erasure that this program ordered there is room for all.
                        let why = "holds keep more of an erasure than its completion can name";
                        return Err(Misuse::Retention(why).into());
                    }
                }
            }
            return Ok(());
        }
    }

    /// Whether a segment's file is longer than the segment.
    fn has_set_aside(&self, row: &ManifestRow) -> Result<bool, Error> {
        if planted(Bug::SetAsideKept) {
            return Ok(false);
        }
        let (fs, layout) = (self.shared.fs.as_ref(), &self.shared.layout);
        let path = layout.segment(row.first_sequence, row.generation);
        let metadata = fs.metadata(&path).map_err(Error::io("measure", &path))?;
        Ok(metadata.is_some_and(|metadata| metadata.len > row.sealed_end))
    }

    /// Looks for what is covered and still there.
    fn covered(
        &self,
        row: &ManifestRow,
        pending: &[Arc<Erasing>],
        holds: &[Hold],
    ) -> Result<Covered, Error> {
        let (fs, layout) = (self.shared.fs.as_ref(), &self.shared.layout);
        let path = layout.segment(row.first_sequence, row.generation);
        let journal = &self.shared.identity.journal;
        let segment = SegmentFile::open(fs, &path, OpenMode::Read, journal)?;
        let file = segment.file.as_ref();
        let mut frames = FrameReader::new(file, segment.seed, segment.header_len, row.sealed_end);
        let mut covered = Covered::default();
        let mut taken = TakenInTurn::new(pending, row.first_sequence);
        loop {
            let at = frames.offset();
            let frame = match frames.next() {
                Ok(frame) => frame,
                Err(FrameStop::End) => return Ok(covered),
                Err(FrameStop::Io(error)) => return Err(Error::io("read", &path)(error)),
                Err(FrameStop::Bad(error)) => {
                    return Err(segment.damage(at, error.to_string()).into());
                }
            };
            if matches!(frame.kind, FrameType::Commit | FrameType::FullStub) {
                continue;
            }
            let bad = |error: factlog_format::FormatError| segment.damage(at, error.to_string());
            let sequence = Ordering::peek(frame.body).map_err(bad)?.sequence;
            let Some(level) = taken.taken(sequence) else {
                continue;
            };
            let event = EventFrame::decode(frame.kind, frame.body).map_err(bad)?;
            if !takes_of(&event, level) {
                continue;
            }
            if holds.is_empty() {
                covered.takes = true;
                return Ok(covered);
            }
            match hold_of(self, holds, &event)? {
                Some(hold) => covered.held.push((sequence, hold)),
                _ => covered.takes = true,
            }
        }
    }

    /// Says that erasures are completed, but for what holds keep.
    fn complete(&self, pending: &[Arc<Erasing>], held: &Held) -> Result<(), Error> {
        for one in pending {
            let of = (one.sequence, 0)..=(one.sequence, u64::MAX);
            let held = held.range(of).map(|((_, hold), set)| (*hold, set.clone()));
            let done = JournalEvent::ErasureCompleted(ErasureCompleted {
                erasure: one.sequence,
                held: held.collect(),
            });
            done.check().map_err(Misuse::Event)?;
            let receipt = self.append(&[own::event(&done)], &[], true)?;
            self.shared.erasures.follow(receipt.first_sequence(), done);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of sequences has room for so many ranges and leaves out what is more, silently: what was
    /// gathered in one was erased though it was held.
    #[test]
    fn every_event_that_a_hold_keeps_is_kept_however_many_there_are() {
        let many = (1 << 20) + 2;
        let covered = Covered {
            takes: true,
            held: (0..many).map(|at| (2 * at, 7)).collect(),
        };
        for sequence in [0, 2, many, 2 * many - 2] {
            assert!(covered.keeps(sequence));
            assert!(!covered.keeps(sequence + 1));
        }
    }
}
