//! The runner: one thread reads and parses, another appends.

use std::collections::{HashSet, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Result, anyhow};
use factlog::{Encoding, Journal, NewEvent, Query, Uuid};

use super::{BadLine, Batch, Ids, KIND, SCOPE, Shared, Source};
use crate::exit::{Exit, Problem};
use crate::output::{note, shown};
use crate::progress::{Progress, Unit};

/// How many batches may wait between the threads; what bounds the memory.
const WAITING: usize = 2;
/// So many bad lines are repeated in the answer; all are said on standard error.
const BAD_LINES: usize = 1_000;

/// What is to be imported, and how.
pub(crate) struct Job<'a> {
    pub(crate) journal: &'a Journal,
    pub(crate) shared: Shared,
    pub(crate) unit: Unit,
    pub(crate) dry_run: bool,
    pub(crate) skip_bad: bool,
    /// Say nothing of progress and bad lines.
    pub(crate) quiet: bool,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) added: u64,
    pub(crate) known: u64,
    pub(crate) bad: u64,
    pub(crate) bad_lines: Vec<BadLine>,
}

/// Imports all that the source has and the journal hasn't.
pub(crate) fn run(job: &Job<'_>, source: &mut dyn Source) -> Result<Outcome> {
    let ids = Ids::new(job.journal)?;
    if let Some(position) = last_position(job.journal, source.name())? {
        source.resume(&position, &ids)?;
    }
    let name = source.name().to_owned();
    let total = source.total();
    thread::scope(|scope| {
        let (filled_in, filled) = sync_channel::<Result<Batch>>(WAITING);
        let (used_in, used) = sync_channel::<Batch>(WAITING + 2);
        let ids = &ids;
        let reader = scope.spawn(move || read(source, ids, &filled_in, &used));
        let mut appender = Appender::new(job, name, total);
        let result = appender.take_all(filled, &used_in);
        drop(used_in);
        if reader.join().is_err() {
            return Err(anyhow!("the thread that reads the source died"));
        }
        result?;
        Ok(appender.outcome)
    })
}

/// The payload of the newest position event of a source.
fn last_position(journal: &Journal, name: &str) -> Result<Option<Vec<u8>>> {
    let query = Query::stream(SCOPE, name).reverse();
    for event in journal.reader().read(query) {
        let event = event?;
        let is_position = event.facts().is_some_and(|facts| facts.kind == KIND);
        let bytes = event.data().and_then(|section| section.bytes());
        if let (true, Some(bytes)) = (is_position, bytes) {
            return Ok(Some(bytes.to_vec()));
        }
    }
    Ok(None)
}

fn read(
    source: &mut dyn Source,
    ids: &Ids<'_>,
    filled: &SyncSender<Result<Batch>>,
    used: &Receiver<Batch>,
) {
    loop {
        let mut batch = used.try_recv().unwrap_or_default();
        batch.clear();
        // Look-ups are half the work of an import with ids of its own, and this thread has time.
        let filling = source
            .fill(&mut batch, ids)
            .and_then(|()| batch.look_up(ids));
        let result = filling.map(|()| batch);
        let goes_on = result.as_ref().is_ok_and(|batch| !batch.is_end());
        // Nobody takes any more: the appender has said why.
        if filled.send(result).is_err() || !goes_on {
            return;
        }
    }
}

struct Appender<'a> {
    job: &'a Job<'a>,
    name: String,
    total: u64,
    progress: Progress,
    /// Ids of the batch at hand, and of those before it that the reading thread may not have found in
    /// the journal yet.
    recent_ids: VecDeque<HashSet<Uuid>>,
    /// In a dry run nothing becomes known by being appended.
    would_add: HashSet<Uuid>,
    outcome: Outcome,
}

impl<'a> Appender<'a> {
    fn new(job: &'a Job<'a>, name: String, total: u64) -> Self {
        Self {
            job,
            name,
            total,
            progress: Progress::new("import", job.unit, (total > 0).then_some(total)),
            recent_ids: VecDeque::new(),
            would_add: HashSet::new(),
            outcome: Outcome::default(),
        }
    }

    /// Appends every batch. The channel is owned, so that the reader ends when this does.
    fn take_all(
        &mut self,
        filled: Receiver<Result<Batch>>,
        used: &SyncSender<Batch>,
    ) -> Result<()> {
        for batch in filled {
            let batch = batch?;
            self.take(&batch)?;
            if !self.job.quiet {
                self.progress.set(batch.read, self.total);
            }
            // A full channel has batches enough.
            let _ = used.try_send(batch);
        }
        self.progress.finish();
        Ok(())
    }

    fn take(&mut self, batch: &Batch) -> Result<()> {
        self.take_bad(&batch.bad)?;
        self.outcome.known += batch.known;
        self.begin_ids();
        let mut events: Vec<NewEvent<'_>> = Vec::with_capacity(batch.items.len() + 1);
        for (item, in_journal) in batch.items.iter().zip(&batch.in_journal) {
            if *in_journal || self.is_repeated(item.id, item.is_new) {
                self.outcome.known += 1;
                continue;
            }
            events.push(batch.event(item, &self.job.shared));
        }
        if events.is_empty() {
            return Ok(());
        }
        let added = events.len() as u64;
        if !self.job.dry_run {
            let position = NewEvent::new(SCOPE, self.name.as_str(), KIND)
                .data(Encoding::Json, batch.position.as_slice());
            events.push(position);
            self.job.journal.append_batch(&events)?;
        }
        self.outcome.added += added;
        Ok(())
    }

    /// Lets go of ids that are in the journal wherever the reading thread now looks.
    fn begin_ids(&mut self) {
        let mut next = HashSet::new();
        if self.recent_ids.len() > WAITING + 1 {
            next = self.recent_ids.pop_front().unwrap_or_default();
            next.clear();
        }
        self.recent_ids.push_back(next);
    }

    /// Whether the id stood in this import before.
    fn is_repeated(&mut self, id: Uuid, is_new: bool) -> bool {
        if is_new {
            return false;
        }
        if self.job.dry_run {
            return !self.would_add.insert(id);
        }
        let Some((current, before)) = self.recent_ids.make_contiguous().split_last_mut() else {
            return false;
        };
        before.iter().any(|ids| ids.contains(&id)) || !current.insert(id)
    }

    fn take_bad(&mut self, bad: &[BadLine]) -> Result<()> {
        for line in bad {
            if !self.job.skip_bad {
                let message = format!(
                    "line {}: {}; nothing of its batch was kept (--skip-bad leaves such lines out)",
                    line.line, line.detail
                );
                return Err(Problem::new(Exit::Failed, "import.bad_line", message).into());
            }
            if !self.job.quiet {
                note(format!("line {}: {}", line.line, shown(&line.detail)));
            }
            if self.outcome.bad_lines.len() < BAD_LINES {
                self.outcome.bad_lines.push(line.clone());
            }
        }
        self.outcome.bad += bad.len() as u64;
        Ok(())
    }
}
