//! What a reader asks the index.

use std::ops::Range;
use std::sync::Arc;

use super::filter::KeyHash;
use super::item::{Table, key_of};
use super::keys::Keys;
use super::list::List;
use super::postings::{Postings, Source};
use super::run::{Probe, Run};
use super::tail::{Tail, range_of};
use crate::Error;

/// Runs and tail at one moment; immutable, and cheap to clone.
///
/// Runs cover `0..covered()`, the tail `tail_from()..`. If there is a gap between the two (only for
/// someone who may not write), the answers know nothing of it.
#[derive(Clone, Debug)]
pub(crate) struct IndexView {
    hash: KeyHash,
    runs: Arc<[Arc<Run>]>,
    tail: Tail,
}

impl IndexView {
    /// The view of these runs, as a writer or [`read_runs`](super::IndexDir::read_runs) gave them, and
    /// this tail. What both hold is dropped from the tail.
    pub(crate) fn new(journal: [u8; 16], runs: impl Into<Arc<[Arc<Run>]>>, tail: &Tail) -> Self {
        let runs = runs.into();
        let tail = tail.drop_below(runs.last().map_or(0, |run| run.end()));
        Self {
            hash: KeyHash::new(&journal),
            runs,
            tail,
        }
    }

    /// The same runs with another tail.
    pub(crate) fn with_tail(&self, tail: &Tail) -> Self {
        let tail = tail.drop_below(self.covered());
        Self {
            tail,
            ..self.clone()
        }
    }

    /// The runs hold the entries of all sequences below this.
    pub(crate) fn covered(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.end())
    }

    /// The tail holds the entries of the sequences from this on.
    pub(crate) fn tail_from(&self) -> u64 {
        self.tail.from()
    }

    /// The tail.
    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The newest sequence of a key.
    pub(crate) fn last(&self, table: Table, key: [u8; 16]) -> Result<Option<u64>, Error> {
        let probe = self.probe(table, key);
        for (first, items) in self.tail.lists_of(probe.table, probe.key).rev() {
            let range = range_of(items, probe.table, probe.key);
            if let Some(item) = items.get(range).and_then(<[_]>::last) {
                return Ok(Some(first + u64::from(item.at())));
            }
        }
        for run in self.runs.iter().rev() {
            if let Some(value) = run.find(&probe)? {
                let mut list = List::of(run, value);
                return list.get(list.len() - 1).map(Some);
            }
        }
        Ok(None)
    }

    /// The oldest sequence of a key.
    #[cfg(test)]
    pub(crate) fn first(&self, table: Table, key: [u8; 16]) -> Result<Option<u64>, Error> {
        self.postings(table, key, 0..u64::MAX, false)
            .next()
            .transpose()
    }

    /// How many sequences a key has.
    pub(crate) fn count(&self, table: Table, key: [u8; 16]) -> Result<u64, Error> {
        let probe = self.probe(table, key);
        let lists = self.tail.lists();
        let in_tail = lists.map(|(_, items)| range_of(items, probe.table, probe.key).len());
        let mut count = in_tail.sum::<usize>() as u64;
        for run in self.runs.iter() {
            count += run.find(&probe)?.map_or(0, |value| value.count());
        }
        Ok(count)
    }

    /// The sequences of a key within a range.
    pub(crate) fn postings(
        &self,
        table: Table,
        key: [u8; 16],
        range: Range<u64>,
        reverse: bool,
    ) -> Postings {
        let meets = |first, end| first < range.end && end > range.start;
        let runs = self.runs.iter().filter(|run| meets(run.first(), run.end()));
        let probe = self.probe(table, key);
        let lists = self
            .tail
            .lists_of(probe.table, probe.key)
            .filter(|(first, _)| meets(*first, first + super::CHUNK));
        let runs = runs.map(|run| Source::Run(run.clone()));
        let sources = runs.chain(lists.map(|(first, items)| Source::Tail(first, items.clone())));
        let sources = if reverse {
            sources.rev().collect()
        } else {
            sources.collect()
        };
        Postings {
            probe,
            range,
            reverse,
            sources,
            list: None,
        }
    }

    /// The keys of a table in order, each with its newest sequence and how many it has.
    pub(crate) fn keys(&self, table: Table) -> Keys {
        let lists = self
            .tail
            .lists()
            .map(|(first, items)| (first, items.clone()));
        Keys::new(table.number(), &self.runs, lists.collect())
    }

    fn probe(&self, table: Table, key: [u8; 16]) -> Probe {
        Probe::new(self.hash, table.number(), key_of(key))
    }
}
