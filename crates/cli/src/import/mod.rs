//! Bringing events in from elsewhere.
//!
//! A [`Source`] reads and parses on a thread of its own and gives [`Batch`]es; the runner leaves out
//! what is known, appends, and commits with each batch how far the source has been read, in a
//! stream of scope `import`. So an interrupted import goes on where the last durable batch ended,
//! and one that adds nothing writes nothing.

mod batch;
pub(crate) mod git;
pub(crate) mod jsonl;
mod run;

use anyhow::Result;
use factlog::{Journal, Uuid};

pub(crate) use batch::{BadLine, Batch, Item, SectionSpan, Shared, Text};
pub(crate) use run::{Job, Outcome, run};

/// The scope of the streams that hold positions.
pub(crate) const SCOPE: &str = "import";
/// The kind of the events that hold positions.
pub(crate) const KIND: &str = "import.position";

/// A batch ends at so many events: enough for its one sync to weigh little, and few enough for its
/// memory to stay small …
pub(crate) const BATCH_EVENTS: usize = 16_384;
/// … or bytes, whichever comes first.
pub(crate) const BATCH_BYTES: usize = 4 << 20;

/// Where events come from. CSV, CloudEvents and compressed input are further implementations.
pub(crate) trait Source: Send {
    /// What the source is called in event ids and positions.
    fn name(&self) -> &str;

    /// Told once, before the first batch: the position that an earlier import committed.
    fn resume(&mut self, position: &[u8], ids: &Ids<'_>) -> Result<()>;

    /// Fills an empty batch. One without items, bad lines and known ones is the end.
    fn fill(&mut self, batch: &mut Batch, ids: &Ids<'_>) -> Result<()>;

    /// How much there is to read, in the unit of [`Batch::read`]; 0 if that isn't known.
    fn total(&self) -> u64;
}

/// The event ids that a journal gives to what is imported into it.
pub(crate) struct Ids<'a> {
    journal: &'a Journal,
}

impl<'a> Ids<'a> {
    /// Refuses a journal whose secret is lost: everything would look new.
    pub(crate) fn new(journal: &'a Journal) -> Result<Self> {
        journal.import_id(&[])?;
        Ok(Self { journal })
    }

    /// The id that these parts stand for: nobody without the journal's secret can compute it.
    pub(crate) fn id(&self, parts: &[&[u8]]) -> Uuid {
        // It was asked for before, and a journal's secret doesn't change while it is open.
        self.journal.import_id(parts).unwrap_or_default()
    }

    /// Whether an event of this id is in the journal.
    pub(crate) fn knows(&self, id: Uuid) -> Result<bool> {
        Ok(self.journal.reader().contains_id(id)?)
    }
}
