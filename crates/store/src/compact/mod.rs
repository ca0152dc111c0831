//! Compaction: segments are rewritten or merged, step by step, while the journal is written and read.
//!
//! A step writes a new segment out of neighbours, their events byte for byte, makes it durable, lets one
//! replace of MANIFEST name it in their place, and only then removes them. Whatever stops it leaves
//! the one or the other set. Where erasures are not completed, that comes first: what they take is left
//! out, and only then are they said to be completed. Readers of an older view go on in what took the place of a file that is
//! gone.

mod erase;
mod erased;
mod hold;
mod plan;
mod retain;
mod rewrite;
mod rule;
mod select;

use std::time::Duration;

use factlog_format::{ManifestRow, SegmentHeader};

pub(crate) use self::erased::{
    ERASING, Erasing, Erasures, all_erasures, body_of, erasing_from, say_erasing, stub_of,
};
pub use self::hold::Hold;
pub use self::retain::{ErasedBy, Retained, Retention, RuleTakes};
pub use self::rule::RetentionRule;
use self::{
    plan::{Planned, plan},
    rewrite::Rewrite,
};
use crate::{
    Error, Journal, Refusal,
    commit::Writer,
    sync::{Condvar, Mutex},
};

/// How segments are compacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    rate: Option<u64>,
}

impl Compaction {
    /// As fast as the disk allows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// At most so many bytes are written a second.
    #[must_use]
    pub fn rate(self, bytes: u64) -> Self {
        Self {
            rate: Some(bytes.max(1)),
        }
    }
}

/// Neighbouring segments that became, or would become, one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionStep {
    /// Sequence of their first event.
    pub first: u64,
    /// How many events they hold.
    pub events: u64,
    /// How many segments they are.
    pub segments: u64,
    /// Bytes of their files before.
    pub before: u64,
    /// Bytes of the one file after; of a step that wasn't done, as far as that can be told beforehand.
    pub after: u64,
}

impl CompactionStep {
    fn planned(planned: &Planned, rows: &[ManifestRow]) -> Self {
        Self {
            first: rows.first().map_or(0, |row| row.first_sequence),
            events: planned.events,
            segments: rows.len() as u64,
            before: planned.bytes,
            after: planned.bytes.saturating_sub(planned.saves),
        }
    }
}

impl Journal {
    /// What [`compact`](Self::compact) would do now. Changes nothing.
    ///
    /// # Errors
    /// As an append, and what reading the segments comes to.
    pub fn compaction_plan(&self) -> Result<Vec<CompactionStep>, Error> {
        let (rows, steps) = self.writer()?.plan_compaction()?;
        let step = |step: &Planned| {
            CompactionStep::planned(step, rows.get(step.rows.clone()).unwrap_or_default())
        };
        Ok(steps.iter().map(step).collect())
    }

    /// Gives back what sealed segments need not hold: bytes that a recovery set aside, commit headers, and
    /// small segments as such. The bytes of events stay as they are, and so do receipts.
    ///
    /// Appends and reads go on meanwhile. What was done before an error stays done.
    ///
    /// ```
    /// use factlog::{Compaction, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// let steps = journal.compact(&Compaction::new().rate(100 << 20))?;
    /// assert!(steps.is_empty(), "the one segment is still being written");
    /// # Ok::<(), factlog::Error>(())
    /// ```
    ///
    /// # Errors
    /// As an append; damage of a segment, which then stays as it is; `disk.full`.
    pub fn compact(&self, how: &Compaction) -> Result<Vec<CompactionStep>, Error> {
        self.writer()?.compact(how, &|| true)
    }
}

impl Writer {
    /// Does all that is planned; ends with [`Refusal::Closed`] when it is not to go on.
    pub(crate) fn compact(
        &self,
        how: &Compaction,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Vec<CompactionStep>, Error> {
        let _one = self.compacting.lock();
        let mut pace = Pace::new(self, how);
        let mut wait = |bytes| {
            pace.wait(self, bytes, goes_on);
            match goes_on() {
                true => Ok(()),
                false => Err(Refusal::Closed.into()),
            }
        };
        self.finish_erasures(&mut wait)?;
        let (rows, planned) = self.plan_compaction()?;
        let mut steps = Vec::with_capacity(planned.len());
        for planned in &planned {
            let rows = rows.get(planned.rows.clone()).unwrap_or_default();
            let row = self.rewrite(rows, &mut |_| None, &mut wait)?;
            self.replace_segments(rows, &row)?;
            steps.push(CompactionStep {
                after: row.sealed_end,
                ..CompactionStep::planned(planned, rows)
            });
        }
        Ok(steps)
    }

    /// The rows of MANIFEST, and what is to be compacted of them.
    fn plan_compaction(&self) -> Result<(Vec<ManifestRow>, Vec<Planned>), Error> {
        let baton = self.baton.lock();
        let (manifest, segment_len) = (baton.manifest.clone(), baton.segment_len);
        drop(baton);
        let sealed = manifest.rows.iter().filter(|row| row.count.is_some());
        let (fs, layout) = (self.shared.fs.as_ref(), &self.shared.layout);
        let steps = plan(fs, layout, &manifest, sealed.count(), segment_len)?;
        Ok((manifest.rows, steps))
    }

    /// Makes one segment of neighbours, without what is taken of their events. Nothing names it yet.
    fn rewrite(
        &self,
        rows: &[ManifestRow],
        taken: rewrite::Taken<'_>,
        pace: rewrite::Pace<'_>,
    ) -> Result<ManifestRow, Error> {
        let mut salt = [0; 16];
        self.random.fill(&mut salt);
        let (generation, incarnation, features) = self.next_generation()?;
        let rewrite = Rewrite {
            fs: self.shared.fs.as_ref(),
            layout: &self.shared.layout,
            rows,
            header: SegmentHeader {
                features,
                journal: self.shared.identity.journal,
                first_sequence: 0,
                generation,
                incarnation,
                salt,
                durable: 0,
                edge: Vec::new(),
                inputs: Vec::new(),
            },
            raw_clock: self.clock.now_micros(),
        };
        rewrite.write(taken, pace)
    }
}

/// Keeps to a rate.
struct Pace {
    rate: Option<u64>,
    began: i64,
    written: u64,
    never: (Mutex<()>, Condvar),
}

impl Pace {
    fn new(writer: &Writer, how: &Compaction) -> Self {
        Self {
            rate: how.rate,
            began: writer.clock.now_micros(),
            written: 0,
            never: (Mutex::default(), Condvar::default()),
        }
    }

    /// Waits until so many more bytes are due, or it is not to go on.
    fn wait(&mut self, writer: &Writer, bytes: u64, goes_on: &dyn Fn() -> bool) {
        let Some(rate) = self.rate else {
            return;
        };
        self.written += bytes;
        let due = u128::from(self.written) * 1_000_000 / u128::from(rate);
        let due = self
            .began
            .saturating_add(i64::try_from(due).unwrap_or(i64::MAX));
        let ahead = due.saturating_sub(writer.clock.now_micros());
        // Counted down rather than read off again, so that it ends whatever the clock does.
        let mut ahead = Duration::from_micros(u64::try_from(ahead).unwrap_or(0));
        while !ahead.is_zero() && goes_on() {
            let some = ahead.min(SLICE);
            drop(self.never.1.wait_for(self.never.0.lock(), some));
            ahead -= some;
        }
    }
}

/// How long a wait goes on without a look whether it is to end.
const SLICE: Duration = Duration::from_millis(100);
