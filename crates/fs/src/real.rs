//! The operating system's file system.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::{
    Access, DirEntry, FileKind, FileLock, FileMap, LockError, Metadata, OpenMode, StoreFile,
    StoreFs,
};

/// How often [`RealFs::lock`] begins anew because the lock file was replaced meanwhile.
const LOCK_ATTEMPTS: u32 = 32;

/// The most buffers one vectored read passes on (`IOV_MAX` on Linux and Apple systems).
const MAX_BUFFERS: usize = 1024;

/// The operating system's file system.
///
/// Relative paths start in the working directory; the empty path is the working directory
/// itself, so that `Path::new("journal").parent()` can be synced.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl RealFs {
    /// The operating system's file system.
    pub fn new() -> Self {
        Self
    }
}

impl StoreFs for RealFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        let file = options()
            .read(true)
            .write(mode == OpenMode::Write)
            .open(path)?;
        Ok(Box::new(regular(file)?))
    }

    fn open_private(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        let file = regular(options().read(true).open(path)?)?;
        let found = file.0.metadata()?;
        let own = [rustix::process::geteuid().as_raw(), 0].contains(&found.uid());
        match own && found.mode() & 0o077 == 0 {
            true => Ok(Box::new(file)),
            false => Err(ErrorKind::PermissionDenied.into()),
        }
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        let bits = match access {
            Access::Shared => 0o666,
            Access::Private => 0o600,
        };
        let file = options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(bits)
            .open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        let bits = match access {
            Access::Shared => 0o777,
            Access::Private => 0o700,
        };
        DirBuilder::new().mode(bits).create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(here_if_empty(dir))? {
            let entry = entry?;
            entries.push(DirEntry {
                name: entry.file_name(),
                kind: kind(entry.file_type()?),
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        match fs::symlink_metadata(here_if_empty(path)) {
            Ok(found) => Ok(Some(Metadata {
                kind: kind(found.file_type()),
                len: found.len(),
                private: found.mode() & 0o077 == 0,
            })),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = OpenOptions::new()
            .read(true)
            .custom_flags(flags(OFlags::DIRECTORY))
            .open(here_if_empty(dir))?;
        // A file system that can't sync directories says EINVAL.
        dir.sync_all().map_err(|e| match e.kind() {
            ErrorKind::InvalidInput => io::Error::new(ErrorKind::Unsupported, e),
            _ => e,
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        for _ in 0..LOCK_ATTEMPTS {
            let file = options()
                .read(true)
                .write(true)
                .create(true)
                .open(path)
                .and_then(regular)
                .map_err(LockError::Io)?
                .0;
            file.try_lock().map_err(lock_error)?;
            // Between open and lock, the holder may have removed the file: a lock on what
            // no path names excludes nobody.
            if is_at(&file, path).map_err(LockError::Io)? {
                return Ok(Box::new(RealLock(file)));
            }
        }
        Err(LockError::Held)
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(here_if_empty(path))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// An open file of the operating system.
#[derive(Debug)]
struct RealFile(File);

impl StoreFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let count = bufs.len().min(MAX_BUFFERS);
        Ok(rustix::io::preadv(&self.0, &mut bufs[..count], offset)?)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        preallocate(&self.0, offset, len)
    }

    fn begin_sync(&self, offset: u64, len: u64) {
        begin_sync(&self.0, offset, len);
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        crate::map::map(&self.0)
    }
}

/// An exclusive lock (`flock`): it belongs to the open file, so closing another handle of
/// the same file does not drop it, as it would a POSIX record lock.
#[derive(Debug)]
struct RealLock(#[expect(dead_code, reason = "closing it is what releases the lock")] File);

impl FileLock for RealLock {}

/// Options that follow no link, and don't wait for the other end of a pipe.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK));
    options
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn regular(file: File) -> io::Result<RealFile> {
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        Err(ErrorKind::IsADirectory.into())
    } else if !kind.is_file() {
        Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        ))
    } else {
        Ok(RealFile(file))
    }
}

fn kind(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Dir
    } else {
        FileKind::Other
    }
}

fn here_if_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// Whether `path` names this very file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn lock_error(error: TryLockError) -> LockError {
    match error {
        TryLockError::WouldBlock => LockError::Held,
        TryLockError::Error(e) => {
            // ENOLCK is what a network file system without a lock server says.
            if e.kind() == ErrorKind::Unsupported
                || e.raw_os_error() == Some(Errno::NOLCK.raw_os_error())
            {
                LockError::Unsupported(e)
            } else {
                LockError::Io(e)
            }
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn preallocate(file: &File, offset: u64, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let result = rustix::io::retry_on_intr(|| {
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, len)
    });
    Ok(result?)
}

/// Apple systems can reserve space at the end only, and `rustix` sets the length to the end
/// of the range, which would cut a longer file.
#[cfg(target_vendor = "apple")]
fn preallocate(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let end = offset.checked_add(len).ok_or(ErrorKind::InvalidInput)?;
    if end <= file.metadata()?.len() {
        return Ok(());
    }
    let empty = rustix::fs::FallocateFlags::empty();
    Ok(rustix::fs::fallocate(file, empty, offset, len)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn preallocate(_file: &File, _offset: u64, _len: u64) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// What isn't wanted in memory any more is written, where it has to be; and as it is being written then, it stays.
#[cfg(target_os = "linux")]
fn begin_sync(file: &File, offset: u64, len: u64) {
    if let Some(len) = std::num::NonZeroU64::new(len) {
        let _ = rustix::fs::fadvise(file, offset, Some(len), rustix::fs::Advice::DontNeed);
    }
}

#[cfg(not(target_os = "linux"))]
fn begin_sync(_file: &File, _offset: u64, _len: u64) {}
