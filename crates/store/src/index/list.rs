//! The sequences of one key in one run or one list of the tail.

use std::ops::Range;
use std::sync::Arc;

use super::item::Item;
use super::run::{PostingReader, Run, Value};
use crate::Error;

/// Ascending sequences that can be asked for by place; at least one.
#[derive(Debug)]
pub(super) enum List {
    One(u64),
    Run {
        reader: PostingReader,
        part: usize,
        start: u64,
        count: u64,
    },
    Tail {
        first: u64,
        items: Arc<[Item]>,
        range: Range<usize>,
    },
}

impl List {
    pub(super) fn of(run: &Arc<Run>, value: Value) -> Self {
        match value {
            Value::One(sequence) => Self::One(sequence),
            Value::Listed { part, start, count } => {
                Self::Run { reader: PostingReader::new(run.clone()), part, start, count }
            }
        }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Run { count, .. } => *count,
            Self::Tail { range, .. } => range.len() as u64,
        }
    }

    /// The sequence at a place below [`len`](Self::len).
    pub(super) fn get(&mut self, at: u64) -> Result<u64, Error> {
        match self {
            Self::One(sequence) => Ok(*sequence),
            Self::Run { reader, part, start, .. } => reader.sequence(*part, *start + at),
            Self::Tail { first, items, range } => {
                let item = items.get(range.start + at as usize);
                Ok(*first + item.map_or(0, |item| u64::from(item.at())))
            }
        }
    }

    /// The place of the first sequence that is not below this one.
    pub(super) fn lower_bound(&mut self, sequence: u64) -> Result<u64, Error> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle)? < sequence {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
