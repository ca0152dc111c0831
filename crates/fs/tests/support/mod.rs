//! A file system in memory with one planted fault.

#![allow(dead_code, reason = "not every test binary plants every fault")]

use std::io::{self, ErrorKind, IoSliceMut};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use factlog_fs::{
    Access, DirEntry, FileLock, FileMap, LockError, MemFs, Metadata, OpenMode, StoreFile, StoreFs,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The call of this name fails, the n-th time it is made (from 0) and from then on.
    At(&'static str, u64),
    /// As `At`, and no file can be removed any more after that.
    AtAndRemoval(&'static str, u64),
    /// Every other call is interrupted, the rest move one byte up to a hundred.
    ShortAndInterrupted,
    /// Writes move nothing.
    StuckWrites,
    /// Reads and writes claim more bytes than they were given.
    Overlong,
    /// Locks don't exclude.
    LockTwice,
    /// There are no locks.
    NoLocks,
    /// Directories can't be synced.
    NoDirSync,
    /// Growing a file shows old bytes.
    StaleBytesAfterCut,
    /// Private files aren't.
    SharedDespitePrivate,
    /// Lists come in reverse.
    UnsortedList,
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    calls: AtomicU64,
    broken: AtomicU64,
}

impl Plan {
    /// Counts the call, and fails it if it is the one.
    fn call(&self, name: &str) -> io::Result<()> {
        if name == "remove_file"
            && self.broken.load(Ordering::Relaxed) > 0
            && matches!(self.fault, Fault::AtAndRemoval(..))
        {
            return Err(io::Error::other("planted, at removal"));
        }
        if let Fault::At(at, nth) | Fault::AtAndRemoval(at, nth) = self.fault
            && at == name
            && self.calls.fetch_add(1, Ordering::Relaxed) >= nth
        {
            self.broken.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::new(
                ErrorKind::StorageFull,
                format!("planted, at {name}"),
            ));
        }
        Ok(())
    }

    /// How many of `len` bytes a call may move.
    fn portion(&self, len: usize) -> io::Result<usize> {
        if self.fault != Fault::ShortAndInterrupted || len == 0 {
            return Ok(len);
        }
        let n = self.calls.fetch_add(1, Ordering::Relaxed);
        if n.is_multiple_of(2) {
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(len.min(1 + (n as usize * 7) % 100))
    }
}

#[derive(Debug)]
pub(crate) struct FaultFs {
    inner: MemFs,
    plan: Arc<Plan>,
}

impl FaultFs {
    pub(crate) fn new(inner: MemFs, fault: Fault) -> Self {
        let plan = Arc::new(Plan {
            fault,
            calls: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        });
        Self { inner, plan }
    }

    fn file(&self, inner: Box<dyn StoreFile>) -> Box<dyn StoreFile> {
        let plan = self.plan.clone();
        Box::new(FaultFile { inner, plan })
    }
}

impl StoreFs for FaultFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        self.plan.call("open")?;
        Ok(self.file(self.inner.open(path, mode)?))
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        self.plan.call("create_new")?;
        let access = match self.plan.fault {
            Fault::SharedDespitePrivate => Access::Shared,
            _ => access,
        };
        Ok(self.file(self.inner.create_new(path, access)?))
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        self.plan.call("create_dir")?;
        self.inner.create_dir(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.call("rename")?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.plan.call("remove_file")?;
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.plan.call("remove_dir")?;
        self.inner.remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.plan.call("list")?;
        let mut entries = self.inner.list(dir)?;
        if self.plan.fault == Fault::UnsortedList {
            entries.reverse();
        }
        Ok(entries)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.plan.call("metadata")?;
        self.inner.metadata(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.call("sync_dir")?;
        if self.plan.fault == Fault::NoDirSync {
            return Err(ErrorKind::Unsupported.into());
        }
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        self.plan.call("lock").map_err(LockError::Io)?;
        match (self.plan.fault, self.inner.lock(path)) {
            (Fault::NoLocks, _) => Err(LockError::Unsupported(ErrorKind::Unsupported.into())),
            (Fault::LockTwice, Err(LockError::Held)) => Ok(Box::new(Unlocked)),
            (_, result) => result,
        }
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.plan.call("available_space")?;
        self.inner.available_space(path)
    }
}

#[derive(Debug)]
struct Unlocked;

impl FileLock for Unlocked {}

#[derive(Debug)]
struct FaultFile {
    inner: Box<dyn StoreFile>,
    plan: Arc<Plan>,
}

impl StoreFile for FaultFile {
    fn len(&self) -> io::Result<u64> {
        self.plan.call("len")?;
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.plan.call("read_at")?;
        let n = self.plan.portion(buf.len())?;
        let claimed = usize::from(self.plan.fault == Fault::Overlong);
        Ok(self.inner.read_at(&mut buf[..n], offset)? + claimed)
    }

    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.inner.read_vectored_at(bufs, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.plan.call("write_at")?;
        let n = match self.plan.fault {
            Fault::StuckWrites => 0,
            _ => self.plan.portion(buf.len())?,
        };
        let claimed = usize::from(self.plan.fault == Fault::Overlong);
        Ok(self.inner.write_at(&buf[..n], offset)? + claimed)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.plan.call("set_len")?;
        let old = self.inner.len()?;
        self.inner.set_len(len)?;
        if self.plan.fault == Fault::StaleBytesAfterCut && len > old {
            self.inner.write_at(b"stale", len - 5)?;
        }
        Ok(())
    }

    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.plan.call("preallocate")?;
        self.inner.preallocate(offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.plan.call("sync_data")?;
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.plan.call("sync_all")?;
        self.inner.sync_all()
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        self.plan.call("map")?;
        self.inner.map()
    }
}
