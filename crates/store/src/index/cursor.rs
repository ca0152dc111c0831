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
    /// Partitions not begun yet.
    parts: Range<usize>,
    /// The partition that is being walked.
    part: usize,
    table: u8,
    /// Its record blocks from the present one on, and the records in those that follow it.
    blocks: Range<u64>,
    records: u64,
    /// The next record of the present block in `buf`, and how many are left there.
    at: usize,
    left: usize,
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
        Self {
            run,
            parts,
            part: 0,
            table: 0,
            blocks: 0..0,
            records: 0,
            at: 0,
            left: 0,
            loaded: 0..0,
            buf: Vec::new(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Record>, Error> {
        if self.left == 0 && !self.next_block()? {
            return Ok(None);
        }
        let raw = self
            .buf
            .get(self.at..)
            .and_then(<[u8]>::first_chunk::<RECORD>);
        let raw = raw.unwrap_or(&[0; RECORD]);
        self.at += RECORD;
        self.left -= 1;
        let block = self.blocks.start;
        let value = self.run.value(self.part, block, u64_at(raw, 16))?;
        Ok(Some(Record {
            table: self.table,
            key: key_at(raw, 0),
            value,
            block,
        }))
    }

    fn next_block(&mut self) -> Result<bool, Error> {
        self.blocks.start += 1;
        while self.records == 0 {
            let Some(part) = self.parts.next() else {
                return Ok(false);
            };
            if let Some(place) = self.run.place(part) {
                self.part = part;
                self.table = place.table;
                self.blocks = place.records_at()..place.fences_at();
                self.records = u64::from(place.keys);
            }
        }
        if !self.loaded.contains(&self.blocks.start) {
            self.load()?;
        }
        self.at = (self.blocks.start - self.loaded.start) as usize * BLOCK;
        self.left = self.records.min(RECORDS as u64) as usize;
        self.records -= self.left as u64;
        Ok(true)
    }

    fn load(&mut self) -> Result<(), Error> {
        let count = (self.blocks.end - self.blocks.start).min(AHEAD);
        self.loaded = 0..0;
        self.buf.resize(count as usize * BLOCK, 0);
        self.run.read_blocks(self.blocks.start, &mut self.buf)?;
        self.loaded = self.blocks.start..self.blocks.start + count;
        Ok(())
    }
}
