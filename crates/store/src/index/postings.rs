//! Walking over the sequences of a key.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::item::Item;
use super::list::List;
use super::run::{Probe, Run};
use super::tail::range_of;
use crate::Error;

/// A place where sequences of the key may stand.
#[derive(Debug)]
pub(super) enum Source {
    Run(Arc<Run>),
    Tail(u64, Arc<[Item]>),
}

impl Source {
    pub(super) fn find(&self, probe: &Probe) -> Result<Option<List>, Error> {
        match self {
            Self::Run(run) => Ok(run.find(probe)?.map(|value| List::of(run, value))),
            Self::Tail(first, items) => {
                let range = range_of(items, probe.table, probe.key);
                let list = || List::Tail {
                    first: *first,
                    items: items.clone(),
                    range: range.clone(),
                };
                Ok((!range.is_empty()).then(list))
            }
        }
    }
}

/// The sequences of one key, in order or in reverse; holds one block.
///
/// After an error it ends.
#[derive(Debug)]
pub(crate) struct Postings {
    pub(super) probe: Probe,
    pub(super) range: Range<u64>,
    pub(super) reverse: bool,
    /// Where is still to be looked, in the order of walking.
    pub(super) sources: VecDeque<Source>,
    pub(super) list: Option<(List, Range<u64>)>,
}

impl Postings {
    fn advance(&mut self) -> Result<Option<u64>, Error> {
        loop {
            if let Some((list, places)) = &mut self.list {
                let place = if self.reverse {
                    places.next_back()
                } else {
                    places.next()
                };
                match place {
                    Some(place) => return list.get(place).map(Some),
                    None => self.list = None,
                }
            }
            let Some(source) = self.sources.pop_front() else {
                return Ok(None);
            };
            if let Some(mut list) = source.find(&self.probe)? {
                let places =
                    list.lower_bound(self.range.start)?..list.lower_bound(self.range.end)?;
                self.list = Some((list, places));
            }
        }
    }
}

impl Iterator for Postings {
    type Item = Result<u64, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.sources.clear();
            self.list = None;
        }
        next.transpose()
    }
}
