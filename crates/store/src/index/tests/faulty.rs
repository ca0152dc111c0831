//! A file system that stops working at some call, as if the process had ended there.

use std::io::{self, IoSliceMut};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use factlog_fs::{
    Access, DirEntry, FileLock, FileMap, LockError, MemFs, Metadata, OpenMode, StoreFile, StoreFs,
};

/// Calls that change something fail once this many have succeeded.
#[derive(Clone, Debug)]
pub(super) struct Faulty {
    inner: MemFs,
    left: Arc<AtomicI64>,
}

impl Faulty {
    pub(super) fn new(inner: MemFs, left: i64) -> Self {
        Self {
            inner,
            left: Arc::new(AtomicI64::new(left)),
        }
    }

    fn spend(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        Err(io::Error::other("the process has ended"))
    }

    fn wrap(&self, file: Box<dyn StoreFile>) -> Box<dyn StoreFile> {
        Box::new(FaultyFile {
            inner: file,
            fs: self.clone(),
        })
    }
}

impl StoreFs for Faulty {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        Ok(self.wrap(self.inner.open(path, mode)?))
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        self.spend()?;
        Ok(self.wrap(self.inner.create_new(path, access)?))
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        self.spend()?;
        self.inner.create_dir(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend()?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.spend()?;
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.spend()?;
        self.inner.remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.inner.metadata(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.spend()?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        self.inner.lock(path)
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.available_space(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn StoreFile>,
    fs: Faulty,
}

impl StoreFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.inner.read_vectored_at(bufs, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        // The last write gets half through.
        match self.fs.spend() {
            Ok(()) => self.inner.write_at(buf, offset),
            Err(error) => {
                let half = buf.get(..buf.len() / 2).unwrap_or_default();
                self.inner.write_at(half, offset)?;
                Err(error)
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fs.spend()?;
        self.inner.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fs.spend()?;
        self.inner.preallocate(offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fs.spend()?;
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.fs.spend()?;
        self.inner.sync_all()
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        self.inner.map()
    }
}
