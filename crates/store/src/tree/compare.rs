//! Comparing a file with what it should hold, piece by piece.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use factlog_fs::{OpenMode, StoreFile, StoreFs, read_up_to};

use crate::Error;

const BUFFER: usize = 64 << 10;

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
    /// The file ends before, or has zeros there: the piece was not written.
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
        let compared = if there == expected {
            Compared::Same
        } else if there.iter().all(|byte| *byte == 0) || expected.starts_with(there) {
            Compared::Absent
        } else {
            Compared::Differs
        };
        self.used += there.len();
        Ok(compared)
    }

    /// Passes over the next pieces if they all are there, at a fraction of what one after another costs.
    /// `false`, and nothing was passed over, if one isn't or they are more than is read at a time.
    pub(crate) fn pass<const N: usize>(
        &mut self,
        pieces: impl ExactSizeIterator<Item = [u8; N]>,
    ) -> Result<bool, Error> {
        let len = pieces.len() * N;
        if len > BUFFER {
            return Ok(false);
        }
        if self.buf.len() - self.used < len {
            self.refill()?;
        }
        let Some(there) = self.buf.get(self.used..self.used + len) else {
            return Ok(false);
        };
        let there = there.as_chunks::<N>().0.iter();
        if !there.zip(pieces).all(|(there, piece)| *there == piece) {
            return Ok(false);
        }
        self.at += len as u64;
        self.used += len;
        Ok(true)
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
    use std::path::Path;

    use factlog_fs::{Access, MemFs, write_all_at};

    use super::*;

    const PIECE: usize = 32;
    const PIECES: usize = 3 * BUFFER / PIECE + 5;
    const AT_ONCE: usize = 1000;

    fn piece(number: usize) -> [u8; PIECE] {
        [number as u8 | 1; PIECE]
    }

    /// Compares many at once, and one by one where that fails, and says which pieces aren't the same.
    fn differing(fs: &MemFs) -> Vec<(usize, Compared)> {
        let mut file = Compare::open(fs, "file".into()).unwrap().unwrap();
        let (mut at, mut found) = (0, Vec::new());
        while at < PIECES {
            let some = at..PIECES.min(at + AT_ONCE);
            if !file.pass(some.clone().map(piece)).unwrap() {
                for number in some.clone() {
                    let compared = file.next(&piece(number)).unwrap();
                    found.extend((compared != Compared::Same).then_some((number, compared)));
                }
            }
            at = some.end;
            assert_eq!(file.offset(), (at * PIECE) as u64);
        }
        found
    }

    #[test]
    fn what_differs_is_found_wherever_it_stands_though_many_are_compared_at_once() {
        let fs = MemFs::new();
        let file = fs.create_new(Path::new("file"), Access::Shared).unwrap();
        let bytes: Vec<u8> = (0..PIECES).flat_map(piece).collect();
        write_all_at(file.as_ref(), &bytes, 0).unwrap();
        assert_eq!(differing(&fs), []);
        for number in [
            0,
            1,
            AT_ONCE - 1,
            AT_ONCE,
            BUFFER / PIECE,
            2 * AT_ONCE,
            PIECES - 1,
        ] {
            let at = (number * PIECE + number % PIECE) as u64;
            write_all_at(file.as_ref(), &[0x80], at).unwrap();
            assert_eq!(differing(&fs), [(number, Compared::Differs)]);
            write_all_at(file.as_ref(), &piece(number)[..1], at).unwrap();
        }
        file.set_len((bytes.len() - PIECE) as u64).unwrap();
        assert_eq!(differing(&fs), [(PIECES - 1, Compared::Absent)]);
    }
}
