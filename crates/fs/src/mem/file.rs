//! Open files and locks of a [`MemFs`](crate::MemFs).

use std::io::{self, ErrorKind, IoSliceMut};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::pages::Pages;
use crate::{FileLock, FileMap, OpenMode, StoreFile};

/// A file itself, whatever its name: handles and locks hold on to it.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pages: RwLock<Pages>,
    locked: AtomicBool,
}

impl Contents {
    pub(crate) fn len(&self) -> u64 {
        self.read().len()
    }

    fn read(&self) -> RwLockReadGuard<'_, Pages> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Pages> {
        self.pages.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct MemFile {
    contents: Arc<Contents>,
    mode: OpenMode,
}

impl MemFile {
    pub(crate) fn new(contents: Arc<Contents>, mode: OpenMode) -> Self {
        Self { contents, mode }
    }

    fn writable(&self) -> io::Result<RwLockWriteGuard<'_, Pages>> {
        match self.mode {
            OpenMode::Write => Ok(self.contents.write()),
            OpenMode::Read => Err(io::Error::new(
                ErrorKind::PermissionDenied,
                "the file was opened for reading",
            )),
        }
    }
}

impl StoreFile for MemFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.contents.read().read(buf, offset))
    }

    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let pages = self.contents.read();
        let mut done = 0;
        for buf in bufs {
            let n = pages.read(buf, offset.saturating_add(done as u64));
            done += n;
            if n < buf.len() {
                break;
            }
        }
        Ok(done)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.writable()?.write(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.writable()?.grow(offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        Ok(Box::new(MemMap(self.contents.read().copy()?)))
    }
}

/// A copy of the file's bytes at the time of mapping.
#[derive(Debug)]
struct MemMap(Vec<u8>);

impl Deref for MemMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl FileMap for MemMap {}

#[derive(Debug)]
pub(crate) struct MemLock(Arc<Contents>);

impl MemLock {
    pub(crate) fn take(contents: Arc<Contents>) -> Option<Self> {
        if contents.locked.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(Self(contents))
    }
}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}

impl FileLock for MemLock {}
