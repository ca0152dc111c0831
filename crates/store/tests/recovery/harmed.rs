//! A disk with a place that it can't read, or on which a write ends in a panic.

use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use factlog_fs::{
    Access, DirEntry, FileLock, FileMap, LockError, MemFs, Metadata, OpenMode, StoreFile, StoreFs,
};

/// Which bytes of which file can't be read, and whether the next write to a segment panics.
#[derive(Debug, Default)]
pub(crate) struct Harm {
    pub(crate) bad: Option<(PathBuf, Range<u64>)>,
    pub(crate) panics: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Harmed {
    pub(crate) inner: Arc<MemFs>,
    pub(crate) harm: Arc<Harm>,
}

#[derive(Debug)]
struct HarmedFile {
    inner: Box<dyn StoreFile>,
    path: PathBuf,
    harm: Arc<Harm>,
}

impl Harmed {
    fn file(&self, path: &Path, inner: Box<dyn StoreFile>) -> Box<dyn StoreFile> {
        Box::new(HarmedFile {
            inner,
            path: path.to_owned(),
            harm: Arc::clone(&self.harm),
        })
    }
}

impl StoreFs for Harmed {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        Ok(self.file(path, self.inner.open(path, mode)?))
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        Ok(self.file(path, self.inner.create_new(path, access)?))
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        self.inner.create_dir(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.inner.metadata(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        self.inner.lock(path)
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.available_space(path)
    }
}

impl StoreFile for HarmedFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let hits = |(path, bad): &(PathBuf, Range<u64>)| {
            *path == self.path && offset < bad.end && bad.start < offset + buf.len() as u64
        };
        if self.harm.bad.as_ref().is_some_and(hits) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.inner.read_at(buf, offset)
    }

    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.inner.read_vectored_at(bufs, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let is_segment = self.path.extension().is_some_and(|e| e == "seg");
        assert!(
            !(is_segment && self.harm.panics.swap(false, SeqCst)),
            "planted"
        );
        self.inner.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.inner.preallocate(offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.inner.sync_all()
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        self.inner.map()
    }
}
