//! The records of a run in order.

use std::ops::Range;
use std::sync::Arc;

use super::block::{BLOCK, RECORD, RECORDS, key_at, u64_at};
use super::item::Key;
use super::run::{Run, Value};
use crate::Error;

/// Blocks read at once.
const AHEAD: u64 = 8;

/// One record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) table: u8,
    pub(super) key: Key,
    pub(super) value: Value,
    /// The block it stands in.
    pub(super) block: u64,
}

/// Walks over the records of some partitions of a run, 32 KiB in memory.
#[derive(Debug)]
pub(super) struct RecordCursor {
    run: Arc<Run>,
    parts: Range<usize>,
    /// The next record of the first of `parts`.
    next: u64,
    /// Blocks in `buf`.
    loaded: Range<u64>,
    buf: Vec<u8>,
}

impl RecordCursor {
    /// Over all of a run's tables.
    pub(super) fn all(run: Arc<Run>) -> Self {
        let parts = 0..run.parts();
        Self::over(run, parts)
    }

    /// Over one of them.
    pub(super) fn table(run: Arc<Run>, table: u8) -> Self {
        let parts = run.parts_of(table);
        Self::over(run, parts)
    }

    fn over(run: Arc<Run>, parts: Range<usize>) -> Self {
        Self { run, parts, next: 0, loaded: 0..0, buf: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Result<Option<Record>, Error> {
        let place = loop {
            if self.parts.is_empty() {
                return Ok(None);
            }
            match self.run.place(self.parts.start) {
                Some(place) if self.next < u64::from(place.keys) => break *place,
                _ => {
                    self.parts.start += 1;
                    self.next = 0;
                }
            }
        };
        let block = place.records_at() + self.next / RECORDS as u64;
        if !self.loaded.contains(&block) {
            self.load(block, place.fences_at())?;
        }
        let at = (block - self.loaded.start) as usize * BLOCK
            + (self.next % RECORDS as u64) as usize * RECORD;
        self.next += 1;
        let value = self.run.value(self.parts.start, block, u64_at(&self.buf, at + 16))?;
        Ok(Some(Record { table: place.table, key: key_at(&self.buf, at), value, block }))
    }

    fn load(&mut self, block: u64, end: u64) -> Result<(), Error> {
        let count = (end - block).min(AHEAD);
        self.loaded = 0..0;
        self.buf.resize(count as usize * BLOCK, 0);
        self.run.read_blocks(block, &mut self.buf)?;
        self.loaded = block..block + count;
        Ok(())
    }
}
