//! Memory maps: the only unsafe code of the workspace.

#![expect(unsafe_code, reason = "mapping a file is unsafe by nature")]

use std::fs::File;
use std::io;
use std::ops::Deref;

use crate::FileMap;

/// A read-only, shared map of a whole file.
#[derive(Debug)]
struct RealMap(memmap2::Mmap);

impl Deref for RealMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl FileMap for RealMap {}

/// Maps a whole file at its present length.
pub(crate) fn map(file: &File) -> io::Result<Box<dyn FileMap>> {
    // SAFETY: the map is read-only, and `memmap2` keeps it valid for as long as the value
    // lives, whatever happens to `file`. What remains is that nobody changes or cuts the
    // file underneath. No file system can rule that out; `StoreFile::map` makes it the
    // caller's duty (files of a journal this process has locked, not written any more),
    // and factlog reads files of others by position instead.
    let map = unsafe { memmap2::Mmap::map(file) }?;
    Ok(Box::new(RealMap(map)))
}
