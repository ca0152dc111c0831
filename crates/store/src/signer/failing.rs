//! A file system that fails on purpose.

use std::{
    io,
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use factlog_fs::{
    Access, DirEntry, FileLock, FileMap, LockError, MemFs, Metadata, OpenMode, StoreFile, StoreFs,
};

/// A [`MemFs`] on which some calls fail: one alone, or all from one on, like a power cut of a
/// disk without caches. Every call of both traits counts.
#[derive(Clone, Debug)]
pub(crate) struct FailFs {
    pub(crate) inner: MemFs,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    calls: AtomicU64,
    from: u64,
    until: u64,
}

impl FailFs {
    /// Fails one call, counted from 0.
    pub(crate) fn at(inner: MemFs, call: u64) -> Self {
        Self::range(inner, call, call + 1)
    }

    /// Fails this call and all later ones.
    pub(crate) fn from(inner: MemFs, call: u64) -> Self {
        Self::range(inner, call, u64::MAX)
    }

    fn range(inner: MemFs, from: u64, until: u64) -> Self {
        let calls = AtomicU64::new(0);
        Self {
            inner,
            plan: Arc::new(Plan { calls, from, until }),
        }
    }

    /// Whether the fault was reached.
    pub(crate) fn has_failed(&self) -> bool {
        self.plan.calls.load(Ordering::Relaxed) > self.plan.from
    }
}

impl Plan {
    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if (self.from..self.until).contains(&call) {
            return Err(io::Error::other("planted"));
        }
        Ok(())
    }
}

impl StoreFs for FailFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        self.plan.call()?;
        let inner = self.inner.open(path, mode)?;
        Ok(Box::new(FailFile {
            inner,
            plan: self.plan.clone(),
        }))
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        self.plan.call()?;
        let inner = self.inner.create_new(path, access)?;
        Ok(Box::new(FailFile {
            inner,
            plan: self.plan.clone(),
        }))
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        self.plan.call()?;
        self.inner.create_dir(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.inner.remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.plan.call()?;
        self.inner.list(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.plan.call()?;
        self.inner.metadata(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        self.plan.call().map_err(LockError::Io)?;
        self.inner.lock(path)
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.available_space(path)
    }
}

#[derive(Debug)]
struct FailFile {
    inner: Box<dyn StoreFile>,
    plan: Arc<Plan>,
}

impl StoreFile for FailFile {
    fn len(&self) -> io::Result<u64> {
        self.plan.call()?;
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.plan.call()?;
        self.inner.read_at(buf, offset)
    }

    fn read_vectored_at(&self, bufs: &mut [io::IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.plan.call()?;
        self.inner.read_vectored_at(bufs, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.plan.call()?;
        self.inner.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.plan.call()?;
        self.inner.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.plan.call()?;
        self.inner.preallocate(offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.plan.call()?;
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.plan.call()?;
        self.inner.sync_all()
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        self.plan.call()?;
        self.inner.map()
    }
}
