//! Writing runs: the one who may, under the journal's lock.

use std::path::Path;
use std::sync::Arc;

use factlog_fs::{Access, TEMPORARY_SUFFIX};

use super::build::{Builder, FileSink, Identity};
use super::dir::{Chosen, IndexDir, RunName};
use super::item::{Entry, Item};
use super::merge::{FAN, Merge};
use super::run::Run;
use super::tail::{self, Chunk, Tail};
use super::{CHUNK, MAX_LEVEL, span};
use crate::Error;
use crate::config::{Bug, planted};

/// Entries that a merge copies in one step: some milliseconds. More than all levels together need
/// for one chunk, so that merging keeps up if there is one step for each chunk.
const SLICE: u64 = 1 << 17;

/// Writes the runs of one journal.
///
/// Errors leave it as it was but for what was already done; the next step tries again. It writes
/// nothing when it is dropped.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    dir: IndexDir,
    /// They cover the sequences from 0 on.
    runs: Vec<Arc<Run>>,
    /// Behind a gap, for when it is filled.
    behind: Vec<Arc<Run>>,
    /// At most one for each level.
    merges: Vec<Merge>,
    changed: bool,
}

impl IndexWriter {
    /// Opens the index for writing: makes the directory if it is missing, removes temporary files,
    /// runs that can't be read and those that were merged into others, and gives the runs that cover
    /// the sequences from 0 on.
    pub(crate) fn open(dir: IndexDir) -> Result<(Self, Vec<Arc<Run>>), Error> {
        make_dir(&dir)?;
        let listing = dir.list()?;
        for name in listing.temporaries {
            dir.remove(&dir.path.join(name))?;
        }
        let mut found = Vec::new();
        for name in listing.runs {
            match dir.open(name) {
                Ok(run) => found.push(run),
                Err(Error::Damaged(_)) => dir.remove(&dir.file(name))?,
                Err(error) => return Err(error),
            }
        }
        let Chosen {
            covering,
            behind,
            merged,
        } = Chosen::of(found);
        if !merged.is_empty() {
            // The merged run may be there without being durable, if a crash of this process only
            // came between its rename and the sync of the directory.
            dir.sync()?;
        }
        for run in merged {
            dir.remove(run.path())?;
        }
        let writer = Self {
            dir,
            runs: covering.clone(),
            behind,
            merges: Vec::new(),
            changed: false,
        };
        Ok((writer, covering))
    }

    /// An index that is only read, with the runs that can be: for when [`open`](Self::open) failed.
    pub(crate) fn reading(dir: IndexDir) -> Self {
        let (runs, _) = dir.read_runs(&[]).unwrap_or_default();
        Self {
            dir,
            runs,
            behind: Vec::new(),
            merges: Vec::new(),
            changed: false,
        }
    }

    /// The runs, which cover the sequences from 0 on.
    pub(crate) fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    /// The runs hold the entries of all sequences below this.
    pub(crate) fn covered(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.end())
    }

    /// Whether a step has something to do.
    pub(crate) fn has_work(&self, tail: &Tail) -> bool {
        self.changed
            || !self.merges.is_empty()
            || tail.complete(self.covered(), 1).is_some()
            || (0..MAX_LEVEL).any(|level| self.due(level).is_some())
    }

    /// Does a bounded piece of work, of some milliseconds and one or two syncs: writes the oldest
    /// complete chunk of the tail (eight at once, if they make up a run of level 1), and copies a
    /// slice of the lowest merge that is due. Gives the new runs if they changed; after an error that
    /// is left to the next step, and [`runs`](Self::runs) has them at once.
    ///
    /// A caller in a hurry lets eight chunks gather: that is one sync instead of ten, and at most
    /// 32,768 events to read again after a crash.
    pub(crate) fn step(&mut self, tail: &Tail) -> Result<Option<Vec<Arc<Run>>>, Error> {
        self.write_chunks(tail)?;
        self.merge_slice()?;
        Ok(std::mem::take(&mut self.changed).then(|| self.runs.clone()))
    }

    /// Writes the run of one chunk whose entries were read from the segments again.
    ///
    /// `first` is [`covered`](Self::covered), which may jump ahead after this, over runs that were
    /// good all the time; chunks below it are passed over.
    pub(crate) fn append_chunk(
        &mut self,
        first: u64,
        entries: Vec<Entry>,
    ) -> Result<Option<Vec<Arc<Run>>>, Error> {
        debug_assert!(first.is_multiple_of(CHUNK) && first <= self.covered());
        self.step(&Tail::new(first).push(first + CHUNK, entries))
    }

    /// Removes the runs that hold entries from a sequence on, when the log turns out to end there.
    pub(crate) fn truncate_to(&mut self, end: u64) -> Result<Option<Vec<Arc<Run>>>, Error> {
        self.remove_runs(|run| run.end() > end)
    }

    /// Removes a run that turned out to be damaged, by its file; those behind it wait for the gap to
    /// be filled.
    pub(crate) fn discard(&mut self, path: &Path) -> Result<Option<Vec<Arc<Run>>>, Error> {
        self.remove_runs(|run| run.path() == path)
    }

    fn remove_runs(&mut self, gone: impl Fn(&Run) -> bool) -> Result<Option<Vec<Arc<Run>>>, Error> {
        let all = self.runs.iter().chain(&self.behind).cloned();
        let (gone, kept): (Vec<_>, Vec<_>) = all.partition(|run| gone(run));
        if gone.is_empty() {
            return Ok(None);
        }
        self.merges
            .retain(|merge| !gone.iter().any(|run| merge.reads(run.name())));
        let Chosen {
            covering, behind, ..
        } = Chosen::of(kept);
        (self.runs, self.behind, self.changed) = (covering, behind, true);
        // Runs behind the gap can't be merged now, nor can those that need them.
        let runs = &self.runs;
        self.merges
            .retain(|merge| runs.iter().any(|run| merge.reads(run.name())));
        for run in &gone {
            self.dir.remove(run.path())?;
        }
        self.dir.sync()?;
        self.changed = false;
        Ok(Some(self.runs.clone()))
    }

    fn write_chunks(&mut self, tail: &Tail) -> Result<(), Error> {
        let first = self.covered();
        let room = self
            .behind
            .first()
            .is_none_or(|run| run.first() >= first + span(1));
        if first.is_multiple_of(span(1))
            && room
            && let Some(chunks) = tail.complete(first, FAN)
        {
            return self.write_run(RunName { first, level: 1 }, &merged(chunks));
        }
        match tail.complete(first, 1) {
            Some([chunk]) => self.write_run(RunName { first, level: 0 }, chunk.items()),
            _ => Ok(()),
        }
    }

    fn write_run(&mut self, name: RunName, items: &[Item]) -> Result<(), Error> {
        let sink = FileSink::create(self.dir.fs.as_ref(), self.dir.temporary(name))?;
        let run = Identity {
            journal: self.dir.journal,
            first: name.first,
            level: name.level,
        };
        let mut builder = Builder::new(sink, run);
        builder.items(items)?;
        let sink = builder.finish()?;
        // Synced, so that after a crash the file is whole or missing. The directory isn't: nothing
        // is removed on the strength of this file.
        sink.sync()?;
        let run = self.publish(&sink, name)?;
        self.runs.push(run);
        self.changed = true;
        self.join();
        Ok(())
    }

    fn publish(&self, sink: &FileSink, name: RunName) -> Result<Arc<Run>, Error> {
        let path = self.dir.file(name);
        let renamed = self.dir.fs.rename(sink.path(), &path);
        renamed.map_err(Error::io("rename", &path))?;
        self.dir.open(name)
    }

    /// Takes in the runs behind a gap that is filled.
    fn join(&mut self) {
        let all = self.runs.drain(..).chain(self.behind.drain(..)).collect();
        let Chosen {
            covering, behind, ..
        } = Chosen::of(all);
        (self.runs, self.behind) = (covering, behind);
    }

    /// The runs of this level that are to be merged next, and where they stand.
    fn due(&self, level: u8) -> Option<(RunName, usize)> {
        let target = |run: &Run| RunName {
            first: run.first(),
            level: level + 1,
        };
        let windows = self.runs.windows(FAN).enumerate();
        windows
            .filter_map(|(at, runs)| runs.first().map(|run| (target(run), at, runs)))
            .find(|(target, _, runs)| {
                target.first.is_multiple_of(span(target.level))
                    && runs.iter().all(|run| run.level() == level)
            })
            .map(|(target, at, _)| (target, at))
    }

    fn merge_slice(&mut self) -> Result<(), Error> {
        for level in 0..MAX_LEVEL {
            let at = match self
                .merges
                .iter()
                .position(|merge| merge.target.level == level + 1)
            {
                Some(at) => at,
                None => {
                    let Some((target, at)) = self.due(level) else {
                        continue;
                    };
                    let inputs = self.runs.get(at..at + FAN).unwrap_or_default();
                    self.merges.push(Merge::begin(&self.dir, target, inputs)?);
                    self.merges.len() - 1
                }
            };
            let mut merge = self.merges.swap_remove(at);
            // After an error the merge is gone, and begins anew if it is tried again.
            if merge.step(SLICE)? {
                self.finish_merge(merge)?;
            } else {
                self.merges.push(merge);
            }
            return Ok(());
        }
        Ok(())
    }

    fn finish_merge(&mut self, merge: Merge) -> Result<(), Error> {
        let target = merge.target;
        let sink = merge.finish()?;
        let inputs = target.first..target.end();
        if planted(Bug::InputsRemovedFirst) {
            for run in self.runs.iter().filter(|run| inputs.contains(&run.first())) {
                self.dir.remove(run.path())?;
            }
        }
        let run = self.publish(&sink, target)?;
        self.dir.sync()?;
        let start = self.runs.partition_point(|run| run.first() < inputs.start);
        let end = self.runs.partition_point(|run| run.first() < inputs.end);
        let gone: Vec<Arc<Run>> = self.runs.splice(start..end, [run]).collect();
        self.changed = true;
        for run in gone {
            self.dir.remove(run.path())?;
        }
        Ok(())
    }
}

impl IndexDir {
    pub(super) fn temporary(&self, name: RunName) -> std::path::PathBuf {
        self.path.join(name.file_name() + TEMPORARY_SUFFIX)
    }
}

fn make_dir(dir: &IndexDir) -> Result<(), Error> {
    if dir
        .fs
        .metadata(&dir.path)
        .map_err(Error::io("read", &dir.path))?
        .is_some()
    {
        return Ok(());
    }
    let made = dir.fs.create_dir(&dir.path, Access::Shared);
    made.map_err(Error::io("create", &dir.path))?;
    match dir.path.parent() {
        Some(parent) => dir.fs.sync_dir(parent).map_err(Error::io("sync", parent)),
        None => Ok(()),
    }
}

/// The entries of neighbouring chunks in one list, relative to the first.
fn merged(chunks: &[Chunk]) -> Vec<Item> {
    let first = chunks.first().map_or(0, |chunk| chunk.first);
    let mut lists: Vec<Vec<Item>> = chunks
        .iter()
        .map(|chunk| {
            let shift = (chunk.first - first) as u32;
            let items = chunk.items().iter();
            items.map(|item| item.shifted(shift)).collect()
        })
        .collect();
    while lists.len() > 1 {
        lists = lists
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => tail::merge(left, right),
                rest => rest.concat(),
            })
            .collect();
    }
    lists.pop().unwrap_or_default()
}
