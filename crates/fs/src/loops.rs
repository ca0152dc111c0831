//! Loops around the raw calls of [`StoreFile`], which may be short or interrupted.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::{OpenMode, StoreFile, StoreFs};

/// Fills `buf` from `offset` on; `UnexpectedEof` if the file ends before.
pub fn read_exact_at(file: &dyn StoreFile, buf: &mut [u8], offset: u64) -> io::Result<()> {
    let wanted = buf.len();
    if read_up_to(file, buf, offset)? < wanted {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Reads from `offset` on until `buf` is full or the file ends; returns how many bytes
/// were read.
pub fn read_up_to(file: &dyn StoreFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, advance(offset, done)?) {
            Ok(0) => break,
            Ok(n) if n > rest.len() => return Err(overlong()),
            Ok(n) => done += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Writes all of `buf` at `offset`. A write that makes no progress is `WriteZero`.
pub fn write_all_at(file: &dyn StoreFile, buf: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = buf.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, advance(offset, done)?) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) if n > rest.len() => return Err(overlong()),
            Ok(n) => done += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The bytes of a whole file, which must not be longer than `limit` (`FileTooLarge`).
///
/// For small files: nothing is allocated beyond the smaller of the file's length and `limit`.
pub fn read_file(fs: &dyn StoreFs, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = fs.open(path, OpenMode::Read)?;
    let len = usize::try_from(file.len()?)
        .ok()
        .filter(|len| *len <= limit)
        .ok_or(ErrorKind::FileTooLarge)?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(len)
        .map_err(|_| ErrorKind::OutOfMemory)?;
    bytes.resize(len, 0);
    let read = read_up_to(file.as_ref(), &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn advance(offset: u64, done: usize) -> io::Result<u64> {
    u64::try_from(done)
        .ok()
        .and_then(|done| offset.checked_add(done))
        .ok_or_else(|| ErrorKind::InvalidInput.into())
}

/// Guards against a faulty `StoreFile`: believing it would index past the buffer.
fn overlong() -> io::Error {
    io::Error::other("the file claims to have moved more bytes than it was given")
}
