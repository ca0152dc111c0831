//! Merging neighbouring runs into one, a slice at a time.

use std::sync::Arc;

use super::FAN_BITS;
use super::build::{Builder, FileSink, Identity};
use super::cursor::{Record, RecordCursor};
use super::dir::{IndexDir, RunName};
use super::item::Key;
use super::list::PostingReader;
use super::run::{Run, Value};
use crate::Error;

/// How many runs are merged into one.
pub(super) const FAN: usize = 1 << FAN_BITS;

/// A merge that is under way.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) target: RunName,
    inputs: Vec<Input>,
    builder: Builder<FileSink>,
    /// The table that is being merged.
    table: u8,
    /// A bit for each input whose next record is of this table, and its key; the highest key for the
    /// others, which costs the search for the lowest no branch.
    live: u8,
    keys: [Key; FAN],
    /// Where the copying of the present key's postings stands.
    copying: Option<Copying>,
}

#[derive(Debug)]
struct Input {
    run: Arc<Run>,
    records: RecordCursor,
    postings: PostingReader,
    head: Option<Record>,
}

/// A key, the input that is being copied from, and the place in its list.
#[derive(Clone, Copy, Debug)]
struct Copying {
    key: Key,
    input: usize,
    place: u64,
}

impl Input {
    fn new(run: &Arc<Run>) -> Result<Self, Error> {
        let mut records = RecordCursor::all(run.clone());
        Ok(Self {
            run: run.clone(),
            head: records.next()?,
            records,
            postings: PostingReader::new(run.clone()),
        })
    }
}

impl Merge {
    /// Begins to merge runs, which are neighbours in order and fill the target's range.
    pub(super) fn begin(
        dir: &IndexDir,
        target: RunName,
        inputs: &[Arc<Run>],
    ) -> Result<Self, Error> {
        let inputs = inputs.iter().map(Input::new).collect::<Result<_, _>>()?;
        let sink = FileSink::create(dir.fs.as_ref(), dir.temporary(target))?;
        let run = Identity {
            journal: dir.journal,
            first: target.first,
            level: target.level,
        };
        Ok(Self {
            target,
            inputs,
            builder: Builder::new(sink, run),
            table: 0,
            live: 0,
            keys: [Key::MAX; FAN],
            copying: None,
        })
    }

    /// Whether a run is one of those being merged.
    pub(super) fn reads(&self, name: RunName) -> bool {
        self.inputs.iter().any(|input| input.run.name() == name)
    }

    /// Copies about so many entries; `true` when all are.
    pub(super) fn step(&mut self, mut entries: u64) -> Result<bool, Error> {
        while entries > 0 {
            let copying = match self.copying.take() {
                Some(copying) => copying,
                None => {
                    let Some(key) = self.next_key() else {
                        return Ok(true);
                    };
                    self.builder.key(self.table, key)?;
                    Copying {
                        key,
                        input: 0,
                        place: 0,
                    }
                }
            };
            self.copying = self.copy(copying, &mut entries)?;
        }
        Ok(false)
    }

    /// The lowest key of the lowest table.
    fn next_key(&mut self) -> Option<Key> {
        if self.live == 0 {
            let heads = self.inputs.iter().filter_map(|input| input.head);
            self.table = heads.map(|head| head.table).min()?;
            (0..self.inputs.len()).for_each(|at| self.look(at));
        }
        self.keys.iter().copied().min()
    }

    /// Notes the next key of an input.
    fn look(&mut self, at: usize) {
        let head = self.inputs.get(at).and_then(|input| input.head);
        let head = head.filter(|head| head.table == self.table);
        self.live = self.live & !(1 << at) | u8::from(head.is_some()) << at;
        if let Some(key) = self.keys.get_mut(at) {
            *key = head.map_or(Key::MAX, |head| head.key);
        }
    }

    /// Copies postings of one key; gives back where it stopped, if not at the end.
    fn copy(&mut self, from: Copying, entries: &mut u64) -> Result<Option<Copying>, Error> {
        let Copying {
            key,
            input,
            mut place,
        } = from;
        let first = self.target.first;
        for at in input..FAN {
            if self.live & 1 << at == 0 || self.keys.get(at) != Some(&key) {
                continue;
            }
            let Some(input) = self.inputs.get_mut(at) else {
                continue;
            };
            let Some(head) = input.head else { continue };
            // Within the target's range, which spans less than 2^32 sequences.
            match head.value {
                Value::One(sequence) => {
                    self.builder.posting((sequence - first) as u32)?;
                    *entries = entries.saturating_sub(1);
                }
                Value::Listed { part, start, count } => {
                    let shift = (input.run.first() - first) as u32;
                    while place < count {
                        if *entries == 0 {
                            return Ok(Some(Copying {
                                key,
                                input: at,
                                place,
                            }));
                        }
                        let relative = input.postings.relative(part, start + place)?;
                        self.builder.posting(shift + relative)?;
                        place += 1;
                        *entries -= 1;
                    }
                }
            }
            place = 0;
            input.head = input.records.next()?;
            self.look(at);
        }
        Ok(None)
    }

    /// Makes the copied entries a file: whole and synced, under its temporary name.
    pub(super) fn finish(self) -> Result<FileSink, Error> {
        let sink = self.builder.finish()?;
        sink.sync()?;
        Ok(sink)
    }
}
