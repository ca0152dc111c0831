//! The sequences of one key in one run or one list of the tail.

use std::ops::Range;
use std::sync::Arc;

use super::block::{BLOCK, POSTINGS, u32_at};
use super::item::Item;
use super::run::{Run, Value};
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
            Value::Listed { part, start, count } => Self::Run {
                reader: PostingReader::new(run.clone()),
                part,
                start,
                count,
            },
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
            Self::Run {
                reader,
                part,
                start,
                ..
            } => reader.sequence(*part, *start + at),
            Self::Tail {
                first,
                items,
                range,
            } => {
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

/// The postings of a run, a block at a time.
#[derive(Debug)]
pub(super) struct PostingReader {
    run: Arc<Run>,
    loaded: Option<u64>,
    block: Box<[u8; BLOCK]>,
}

impl PostingReader {
    pub(super) fn new(run: Arc<Run>) -> Self {
        Self {
            run,
            loaded: None,
            block: Box::new([0; BLOCK]),
        }
    }

    /// The sequence at a place among the postings of a partition, relative to the run's first.
    pub(super) fn relative(&mut self, part: usize, at: u64) -> Result<u32, Error> {
        let number = self.load(part, at)?;
        let relative = u32_at(self.block.as_slice(), (at % POSTINGS as u64) as usize * 4);
        if u64::from(relative) >= self.run.end() - self.run.first() {
            return Err(self.outside(number));
        }
        Ok(relative)
    }

    /// At least one and at most `most` of the postings from a place on, relative to the run's first, as they
    /// are stored.
    pub(super) fn some(&mut self, part: usize, at: u64, most: u64) -> Result<&[[u8; 4]], Error> {
        let number = self.load(part, at)?;
        let (postings, _) = self.block.as_chunks::<4>();
        let postings = postings.get(..POSTINGS).unwrap_or_default();
        let rest = postings.get((at % POSTINGS as u64) as usize..);
        let rest = rest.unwrap_or_default();
        let some = rest.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let some = rest.get(..some).unwrap_or_default();
        let limit = self.run.end() - self.run.first();
        let outside = |raw: &[u8; 4]| u64::from(u32::from_le_bytes(*raw)) >= limit;
        if some.is_empty() || some.iter().any(outside) {
            return Err(self.outside(number));
        }
        Ok(some)
    }

    /// Reads the block of a posting, and returns its number.
    fn load(&mut self, part: usize, at: u64) -> Result<u64, Error> {
        let start = self.run.place(part).map_or(0, |place| place.start);
        let number = start + at / POSTINGS as u64;
        if self.loaded != Some(number) {
            self.loaded = None;
            self.run.read_blocks(number, self.block.as_mut_slice())?;
            self.loaded = Some(number);
        }
        Ok(number)
    }

    fn outside(&self, number: u64) -> Error {
        let what = "a sequence is outside the run";
        self.run.damage(number, what).into()
    }

    pub(super) fn sequence(&mut self, part: usize, at: u64) -> Result<u64, Error> {
        Ok(self.run.first() + u64::from(self.relative(part, at)?))
    }
}
