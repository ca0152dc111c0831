//! Comparing a file with what it should hold, piece by piece.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use factlog_fs::{OpenMode, StoreFile, StoreFs, read_up_to};

use crate::Error;

const BUFFER: usize = 64 << 10;
/// What a disk writes at once; a write that was cut leaves zeros to the end of one at least.
pub(crate) const SECTOR: usize = 512;

/// Whether these bytes, the rest of whose sector is `rest`, are what a write of `expected` leaves that
/// didn't get far, or that never came.
pub(crate) fn is_cut(there: &[u8], rest: &[u8], expected: &[u8]) -> bool {
    let written = there.iter().rposition(|byte| *byte != 0);
    let written = there.get(..written.map_or(0, |last| last + 1));
    let begun = written.is_some_and(|written| expected.starts_with(written));
    begun && rest.iter().all(|byte| *byte == 0)
}

/// A file that is compared from some offset on, at the length it had when it was opened: what a
/// writer adds meanwhile is left out.
#[derive(Debug)]
pub(crate) struct Compare {
    path: PathBuf,
    file: Box<dyn StoreFile>,
    len: u64,
    at: u64,
    /// Bytes from `at` on.
    buf: Vec<u8>,
    used: usize,
}

/// What became of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// The bytes are there.
    Same,
    /// The file ends before, or has zeros there or from somewhere in it on: the piece was not written, or
    /// a crash has cut its write.
    Absent,
    /// Other bytes are there.
    Differs,
}

impl Compare {
    /// Opens a file; `None` if there is none.
    pub(crate) fn open(fs: &dyn StoreFs, path: PathBuf) -> Result<Option<Self>, Error> {
        let file = match fs.open(&path, OpenMode::Read) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io("open", &path))?,
        };
        let len = file.len().map_err(Error::io("read", &path))?;
        Ok(Some(Self {
            path,
            file,
            len,
            at: 0,
            buf: Vec::new(),
            used: 0,
        }))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Leaves out what was added past this length.
    pub(crate) fn limit(&mut self, len: u64) {
        self.len = self.len.min(len);
    }

    /// Where the next piece stands.
    pub(crate) fn offset(&self) -> u64 {
        self.at
    }

    /// Compares the next piece, which must be shorter than 64 KiB.
    pub(crate) fn next(&mut self, expected: &[u8]) -> Result<Compared, Error> {
        if self.buf.len() - self.used < expected.len() {
            self.refill()?;
        }
        let there = self.buf.get(self.used..).unwrap_or_default();
        let there = there.get(..expected.len()).unwrap_or(there);
        self.at += expected.len() as u64;
        let len = there.len();
        let compared = if there == expected {
            Compared::Same
        } else if there.iter().all(|byte| *byte == 0) || self.was_cut(expected)? {
            Compared::Absent
        } else {
            Compared::Differs
        };
        self.used += len;
        Ok(compared)
    }

    /// Whether a crash has cut the write of the piece before `at`.
    fn was_cut(&self, expected: &[u8]) -> Result<bool, Error> {
        let from = self.at - expected.len() as u64;
        let sector_end = self.at.next_multiple_of(SECTOR as u64).min(self.len);
        let len = usize::try_from(sector_end.saturating_sub(from)).unwrap_or_default();
        let mut bytes = vec![0; len];
        let read = read_up_to(self.file.as_ref(), &mut bytes, from);
        bytes.truncate(read.map_err(Error::io("read", &self.path))?);
        let (there, rest) = bytes.split_at(expected.len().min(bytes.len()));
        Ok(is_cut(there, rest, expected))
    }

    fn refill(&mut self) -> Result<(), Error> {
        let want = BUFFER.min(usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(BUFFER));
        self.buf.resize(want, 0);
        self.used = 0;
        let read = read_up_to(self.file.as_ref(), &mut self.buf, self.at)
            .map_err(Error::io("read", &self.path))?;
        self.buf.truncate(read);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_did_not_get_far_is_told_from_other_bytes() {
        let expected = [7, 0, 9, 0];
        assert!(is_cut(&[], &[], &expected));
        assert!(is_cut(&[0; 4], &[0; 8], &expected));
        assert!(is_cut(&[7], &[], &expected));
        assert!(is_cut(&[7, 0, 9, 0], &[0; 8], &expected));
        assert!(is_cut(&[7, 0, 0, 0], &[0; 8], &expected));
        // A sector is written from its beginning on.
        assert!(!is_cut(&[7, 0, 0, 0], &[0, 1], &expected));
        assert!(!is_cut(&[0, 0, 9, 0], &[0; 8], &expected));
        assert!(!is_cut(&[6, 0, 0, 0], &[0; 8], &expected));
    }
}
