//! Lines of a stream of bytes, a block at a time and without copying each of them.

use std::io::{self, Read};
use std::ops::Range;

use anyhow::{Context, Result};
use memchr::{memchr, memchr_iter, memrchr};

use super::position::{self, Position, Prefix};
use crate::import::{BATCH_BYTES, BATCH_EVENTS};

/// The longest line: what an event can hold.
pub(super) const MAX_LINE: usize = factlog_format::MAX_PAYLOAD_LEN;
/// How much is asked for at a time.
const BLOCK: usize = 1 << 20;

/// One line, as a part of its block.
pub(super) struct Line {
    pub(super) number: u64,
    /// Without its line feed; a carriage return before it belongs to the line.
    pub(super) bytes: Range<usize>,
    /// Its bytes are not there.
    pub(super) too_long: bool,
}

pub(super) struct Lines {
    input: Box<dyn Read + Send>,
    /// What was read and belongs to the next block.
    carry: Vec<u8>,
    /// Of the complete lines given so far.
    offset: u64,
    /// Complete lines given so far.
    complete: u64,
    /// All lines given so far: the last may lack its line feed.
    given: u64,
    at_end: bool,
    /// Hash of the complete lines.
    pub(super) prefix: Option<Prefix>,
}

impl Lines {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self {
            input,
            carry: Vec::new(),
            offset: 0,
            complete: 0,
            given: 0,
            at_end: false,
            prefix: None,
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at_end && self.carry.is_empty()
    }

    /// Bytes of the complete lines given so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the last line given may still grow.
    pub(super) fn is_last_open(&self) -> bool {
        self.given > self.complete
    }

    pub(super) fn position(&self, events: u64, high_line: u64) -> Position {
        let prefix = self.prefix.as_ref().map_or_else(String::new, Prefix::text);
        let high_line = high_line.max(self.given);
        let read = position::Read {
            lines: self.complete,
            offset: self.offset,
        };
        Position::new(read, events, high_line, prefix)
    }

    /// Reads over what an earlier import has read. False if the input doesn't begin with it; the
    /// lines are then of no use any more.
    pub(super) fn skip_known(&mut self, position: &Position) -> Result<bool> {
        let mut left = position.offset;
        let mut block = vec![0; BLOCK];
        while left > 0 {
            let wanted = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
            let part = block.get_mut(..wanted).unwrap_or_default();
            let count = read_some(&mut self.input, part)?;
            if count == 0 {
                return Ok(false);
            }
            if let (Some(prefix), Some(part)) = (&mut self.prefix, part.get(..count)) {
                prefix.add(part);
            }
            left -= count as u64;
        }
        self.offset = position.offset;
        self.complete = position.lines;
        self.given = position.lines;
        Ok(self
            .prefix
            .as_ref()
            .is_some_and(|prefix| prefix.text() == position.prefix))
    }

    /// Puts the next lines into `block`, which is empty, and gives those that are not blank. None are
    /// given at the end, and for a block of blank lines.
    pub(super) fn next_block(&mut self, block: &mut Vec<u8>) -> Result<Vec<Line>> {
        std::mem::swap(block, &mut self.carry);
        self.carry.clear();
        loop {
            if let Some(end) = self.cut(block) {
                return Ok(self.take(block, end));
            }
            if block.len() > MAX_LINE {
                return self.skip_line(block);
            }
            let start = block.len();
            block.resize(start + BLOCK, 0);
            let count = read_some(&mut self.input, block.get_mut(start..).unwrap_or_default())?;
            block.truncate(start + count);
            if count == 0 {
                self.at_end = true;
                let end = block.len();
                return Ok(self.take(block, end));
            }
        }
    }

    /// Where to cut the block: after its last line, or that many lines; `None` if it should grow.
    fn cut(&self, block: &[u8]) -> Option<usize> {
        if self.at_end && memchr(b'\n', block).is_none() {
            return Some(block.len());
        }
        if let Some(last) = memchr_iter(b'\n', block).nth(BATCH_EVENTS - 1) {
            return Some(last + 1);
        }
        // Small reads, as from a pipe, are gathered while more may come.
        if block.len() >= BATCH_BYTES || self.at_end {
            return memrchr(b'\n', block).map(|last| last + 1);
        }
        None
    }

    /// Keeps the lines before `end`, and carries the rest over.
    fn take(&mut self, block: &mut Vec<u8>, end: usize) -> Vec<Line> {
        self.carry
            .extend_from_slice(block.get(end..).unwrap_or_default());
        block.truncate(end);
        let mut lines = Vec::new();
        let mut start = 0;
        let mut complete_end = 0;
        for feed in memchr_iter(b'\n', block) {
            self.add(start..feed, block, &mut lines);
            self.complete += 1;
            start = feed + 1;
            complete_end = start;
        }
        if start < block.len() {
            self.add(start..block.len(), block, &mut lines);
        }
        self.offset += complete_end as u64;
        if let Some(prefix) = &mut self.prefix {
            prefix.add(block.get(..complete_end).unwrap_or_default());
        }
        lines
    }

    fn add(&mut self, bytes: Range<usize>, block: &[u8], lines: &mut Vec<Line>) {
        self.given += 1;
        let content = block.get(bytes.clone()).unwrap_or_default();
        if content
            .iter()
            .all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        {
            return;
        }
        lines.push(Line {
            number: self.given,
            too_long: content.len() > MAX_LINE,
            bytes,
        });
    }

    /// Reads over a line that is longer than any event, without keeping it.
    fn skip_line(&mut self, block: &mut Vec<u8>) -> Result<Vec<Line>> {
        let mut length = 0;
        loop {
            let end = memchr(b'\n', block).map(|feed| feed + 1);
            let part = block.get(..end.unwrap_or(block.len())).unwrap_or_default();
            length += part.len() as u64;
            if let Some(prefix) = &mut self.prefix {
                prefix.add(part);
            }
            if let Some(end) = end {
                self.carry
                    .extend_from_slice(block.get(end..).unwrap_or_default());
                self.complete += 1;
                break;
            }
            block.resize(BLOCK, 0);
            let count = read_some(&mut self.input, block)?;
            block.truncate(count);
            if count == 0 {
                // Hashed already though it may still grow: the next import then compares line by line.
                self.at_end = true;
                break;
            }
        }
        self.offset += length;
        self.given += 1;
        block.clear();
        Ok(vec![Line {
            number: self.given,
            bytes: 0..0,
            too_long: true,
        }])
    }
}

fn read_some(input: &mut impl Read, out: &mut [u8]) -> Result<usize> {
    loop {
        match input.read(out) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.context("cannot read what is to be imported"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives a few bytes at a time.
    struct Dribble(Vec<u8>, usize);

    impl Read for Dribble {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = out.len().min(self.1).min(self.0.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    /// The lines by number, how many were complete, and their length.
    type Given = (Vec<(u64, Vec<u8>)>, u64, u64);

    fn all(bytes: &[u8], step: usize) -> Given {
        let mut lines = Lines::new(Box::new(Dribble(bytes.to_vec(), step)));
        let mut found = Vec::new();
        while !lines.is_at_end() {
            let mut block = Vec::new();
            for line in lines.next_block(&mut block).unwrap() {
                found.push((line.number, block[line.bytes].to_vec()));
            }
        }
        (found, lines.complete, lines.offset)
    }

    #[test]
    fn lines_come_whole_however_they_are_read() {
        /// The bytes, the lines by number, how many are complete, and their length.
        type Case<'a> = (&'a [u8], &'a [(u64, &'a str)], u64, u64);
        let cases: [Case<'_>; 8] = [
            (b"", &[], 0, 0),
            (b"a\nb\n", &[(1, "a"), (2, "b")], 2, 4),
            (b"a\nb", &[(1, "a"), (2, "b")], 1, 2),
            (b"a\r\nb\r\n", &[(1, "a\r"), (2, "b\r")], 2, 6),
            (b"\n\na\n \t\r\nb\n\n", &[(3, "a"), (5, "b")], 6, 11),
            (b"a", &[(1, "a")], 0, 0),
            (b"\n", &[], 1, 1),
            (b"a\n\xff\n", &[(1, "a")], 2, 4),
        ];
        for (bytes, wanted, complete, offset) in cases {
            for step in [1, 2, 3, 1000] {
                let (found, got_complete, got_offset) = all(bytes, step);
                let found: Vec<_> = found
                    .into_iter()
                    .filter_map(|(number, bytes)| Some((number, String::from_utf8(bytes).ok()?)))
                    .collect();
                let wanted: Vec<_> = wanted.iter().map(|(n, t)| (*n, (*t).to_owned())).collect();
                assert_eq!(found, wanted, "{bytes:?} by {step}");
                assert_eq!((got_complete, got_offset), (complete, offset), "{bytes:?}");
            }
        }
    }

    #[test]
    fn blocks_hold_a_bounded_number_of_lines() {
        let bytes = "x\n".repeat(3 * BATCH_EVENTS + 5);
        let mut lines = Lines::new(Box::new(io::Cursor::new(bytes.into_bytes())));
        let mut sizes = Vec::new();
        while !lines.is_at_end() {
            sizes.push(lines.next_block(&mut Vec::new()).unwrap().len());
        }
        assert_eq!(sizes, [BATCH_EVENTS, BATCH_EVENTS, BATCH_EVENTS, 5]);
    }

    #[test]
    fn a_line_that_is_too_long_is_named_and_not_kept() {
        let mut bytes = b"a\n".to_vec();
        bytes.resize(bytes.len() + MAX_LINE + 1, b'x');
        bytes.extend_from_slice(b"\nb\n");
        let len = bytes.len() as u64;
        let mut lines = Lines::new(Box::new(io::Cursor::new(bytes)));
        let mut found = Vec::new();
        while !lines.is_at_end() {
            let mut block = Vec::new();
            let more = lines.next_block(&mut block).unwrap();
            found.extend(more.into_iter().map(|line| (line.number, line.too_long)));
        }
        assert_eq!(found, [(1, false), (2, true), (3, false)]);
        assert_eq!((lines.complete, lines.offset), (3, len));
    }
}
