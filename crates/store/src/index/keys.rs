//! Walking over the keys of a table.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use super::cursor::{Record, RecordCursor};
use super::item::{Item, Key};
use super::list::PostingReader;
use super::run::{Run, Value};
use super::tail::range_of;
use crate::Error;

/// The keys of a table in order, each with its newest sequence and how many it has.
///
/// Holds about 36 KiB per run, whatever the number of keys. After an error it ends.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Older sequences first.
    sources: Vec<Source>,
    /// The next key of each source that has one.
    heads: BinaryHeap<Reverse<(Key, usize)>>,
    /// Sources whose next key isn't among the heads yet.
    pending: Vec<usize>,
}

#[derive(Debug)]
enum Source {
    Run {
        run: Arc<Run>,
        cursor: RecordCursor,
        postings: Option<PostingReader>,
        record: Option<Record>,
    },
    Tail {
        first: u64,
        items: Arc<[Item]>,
        rest: Range<usize>,
        key: Range<usize>,
    },
}

impl Keys {
    pub(super) fn new(table: u8, runs: &[Arc<Run>], lists: Vec<(u64, Arc<[Item]>)>) -> Self {
        let runs = runs.iter().map(|run| Source::Run {
            run: run.clone(),
            cursor: RecordCursor::table(run.clone(), table),
            postings: None,
            record: None,
        });
        let lists = lists.into_iter().map(|(first, items)| {
            let start = items.partition_point(|item| item.table() < table);
            let end = items.partition_point(|item| item.table() <= table);
            Source::Tail {
                first,
                items,
                rest: start..end,
                key: 0..0,
            }
        });
        let sources: Vec<Source> = runs.chain(lists).collect();
        let pending = (0..sources.len()).collect();
        Self {
            sources,
            heads: BinaryHeap::new(),
            pending,
        }
    }

    fn advance(&mut self) -> Result<Option<([u8; 16], u64, u64)>, Error> {
        while let Some(at) = self.pending.pop() {
            if let Some(source) = self.sources.get_mut(at)
                && let Some(key) = source.advance()?
            {
                self.heads.push(Reverse((key, at)));
            }
        }
        let Some(Reverse((key, _))) = self.heads.peek().copied() else {
            return Ok(None);
        };
        let mut count = 0;
        // Among equal keys the heap gives older sources first, so the last one is the newest.
        while let Some(Reverse((_, at))) = self.heads.peek().copied().filter(|head| head.0.0 == key)
        {
            self.heads.pop();
            self.pending.push(at);
            count += self.sources.get(at).map_or(0, Source::count);
        }
        let newest = self.pending.last().and_then(|at| self.sources.get_mut(*at));
        let last = newest.map_or(Ok(0), Source::last)?;
        Ok(Some((key.to_be_bytes(), last, count)))
    }
}

impl Iterator for Keys {
    type Item = Result<([u8; 16], u64, u64), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.heads.clear();
            self.pending.clear();
        }
        next.transpose()
    }
}

impl Source {
    /// Goes on to the next key.
    fn advance(&mut self) -> Result<Option<Key>, Error> {
        match self {
            Self::Run { cursor, record, .. } => {
                *record = cursor.next()?;
                Ok(record.map(|record| record.key))
            }
            Self::Tail {
                items, rest, key, ..
            } => {
                let left = items.get(rest.clone()).unwrap_or_default();
                let Some(item) = left.first() else {
                    return Ok(None);
                };
                let many = range_of(left, item.table(), item.key()).len();
                *key = rest.start..rest.start + many;
                rest.start += many;
                Ok(Some(item.key()))
            }
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Run { record, .. } => record.map_or(0, |record| record.value.count()),
            Self::Tail { key, .. } => key.len() as u64,
        }
    }

    fn last(&mut self) -> Result<u64, Error> {
        match self {
            Self::Run {
                run,
                postings,
                record,
                ..
            } => match record.map(|record| record.value) {
                None => Ok(0),
                Some(Value::One(sequence)) => Ok(sequence),
                Some(Value::Listed { part, start, count }) => postings
                    .get_or_insert_with(|| PostingReader::new(run.clone()))
                    .sequence(part, start + count - 1),
            },
            Self::Tail {
                first, items, key, ..
            } => {
                let item = key.end.checked_sub(1).and_then(|at| items.get(at));
                Ok(*first + item.map_or(0, |item| u64::from(item.at())))
            }
        }
    }
}
