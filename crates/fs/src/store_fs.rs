//! The traits, and what their implementers promise.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io::{self, IoSliceMut};
use std::ops::Deref;
use std::path::Path;

/// A file system, as far as factlog needs one.
///
/// # What an implementation promises
///
/// **Visibility.** What one call changed is seen by every later call, through any handle,
/// in this process; in another process on the same machine too, if the file system is
/// shared between processes at all.
///
/// **Durability.** Nothing survives a power cut but what these rules name:
///
/// | after success of | this is durable |
/// |---|---|
/// | [`StoreFile::sync_data`] | every byte written to that file before, through any handle, and the length needed to read them back |
/// | [`StoreFile::sync_all`] | that, and the rest of the file's metadata |
/// | [`StoreFs::sync_dir`] | every create, rename and remove of an entry *directly* in that directory before |
///
/// A synced file whose directory was never synced may be gone; so may a synced directory
/// whose own entry in its parent was never synced. Until synced, a change may be kept,
/// lost, or kept in part, sector by sector, in any order, and a new length may be durable
/// before the bytes. Unchanged bytes of a sector survive a torn rewrite of it.
///
/// **Failed syncs.** After a sync fails, the state on disk of everything it covered is
/// unknown for good: a later sync that succeeds proves nothing about it. Callers write
/// the bytes anew, elsewhere.
///
/// **Errors** are returned, never swallowed or retried, and never panics. A call that
/// failed may have happened in part. The kinds named at each method are promised; where
/// none is named, any error will do. What can't be done here at all is
/// [`io::ErrorKind::Unsupported`].
///
/// **Links.** A symbolic link as the *last* component of a path is never followed, except
/// by [`list`](Self::list), [`sync_dir`](Self::sync_dir) and
/// [`available_space`](Self::available_space), which take a directory that the caller
/// vouches for. Links in front of the last component are followed.
///
/// **Threads.** All methods may be called from many threads at once.
pub trait StoreFs: Debug + Send + Sync {
    /// Opens an existing regular file.
    ///
    /// `NotFound` if there is none. Anything but a regular file is refused, without
    /// waiting (a pipe must not block the caller) and without following a link.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>>;

    /// Opens an existing regular file for reading, if it is a secret of whoever runs this process: nobody but
    /// its owner has access, and that is this user or the system's. It is looked at after it was opened, so that
    /// nothing can come in between.
    ///
    /// `PermissionDenied` if others have access; otherwise as [`open`](Self::open).
    fn open_private(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        let file = self.open(path, OpenMode::Read)?;
        match self.metadata(path)? {
            Some(found) if found.private => Ok(file),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// Creates an empty file and opens it for reading and writing.
    ///
    /// `AlreadyExists` if there is anything by that name, a dangling link included;
    /// `NotFound` if the directory is missing. A private file never is readable by
    /// others, not for a moment.
    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>>;

    /// Creates one directory.
    ///
    /// `AlreadyExists` if there is anything by that name; `NotFound` if the parent is missing.
    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()>;

    /// Renames a file or directory, within one file system.
    ///
    /// A file at `to` is replaced in one step: at every moment, and after a crash, `to` is
    /// the old file or the new one. Handles stay valid and follow their file. `NotFound`
    /// if there is no `from`. Durable once the directories of both paths are synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file or a link (never what a link points to).
    ///
    /// `NotFound` if there is none; a directory is refused. Open handles stay usable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory. `NotFound` if there is none; `DirectoryNotEmpty` if it
    /// has entries; anything but a directory is refused.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, sorted by name as bytes, without `.` and `..`.
    /// `NotFound` if there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// What is at this path; `None` if nothing is. A link is reported as
    /// [`FileKind::Other`].
    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>>;

    /// Makes the entries of a directory durable (see above).
    /// `Unsupported` if this file system can't; then nothing here can be made durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes an exclusive lock on a file, which is created (empty, shared) if missing.
    ///
    /// Never waits. The lock excludes every other lock on that file, in this process too,
    /// and lasts until the value is dropped or the process ends; opening and closing other
    /// handles of the file does not release it. On success the locked file is the one
    /// that `path` names, so a lock file may be removed by the one who holds its lock; that
    /// gives the lock up, as the next caller makes and locks a new file.
    ///
    /// A forked child inherits the lock with its descriptors, so the lock can outlive the
    /// process that took it for as long as a child lives that did not `exec`.
    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError>;

    /// Bytes that an ordinary user can still write to the file system `path` is on.
    /// An estimate: others write too.
    fn available_space(&self, path: &Path) -> io::Result<u64>;
}

/// An open file.
///
/// Its durability rules stand at [`StoreFs`]. Dropping it closes it and syncs nothing.
#[expect(
    clippy::len_without_is_empty,
    reason = "a length that must be asked of the disk can fail; emptiness has no use of its own"
)]
pub trait StoreFile: Debug + Send + Sync {
    /// The file's length now.
    fn len(&self) -> io::Result<u64>;

    /// Reads into `buf` from `offset` on and returns how many bytes were read.
    ///
    /// May read less than asked for, and may fail with `Interrupted`; 0 means end of file
    /// (or an empty `buf`). Most callers want [`read_exact_at`](crate::read_exact_at) or
    /// [`read_up_to`](crate::read_up_to).
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Like [`read_at`](Self::read_at), filling `bufs` one after the other.
    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize>;

    /// Writes `buf` at `offset` and returns how many bytes were written.
    ///
    /// May write less than asked for, and may fail with `Interrupted`. A write past the
    /// end makes the file longer; a gap reads as zeros. Refused on a file opened with
    /// [`OpenMode::Read`]. Most callers want [`write_all_at`](crate::write_all_at).
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file or makes it longer; what is added reads as zeros, also where other
    /// bytes stood before an earlier cut.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Secures space for `offset..offset + len`, so that writes there don't run out of it.
    ///
    /// The file becomes at least `offset + len` long; what is added reads as zeros, what
    /// was there stays. `StorageFull` if there is no room; `Unsupported` if the file
    /// system can't do this (callers then go without, or write zeros).
    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Has these bytes, written before, begin their way to the disk, without waiting for it: a sync that
    /// comes later has less left to do. Promises nothing, and may do nothing.
    fn begin_sync(&self, _offset: u64, _len: u64) {}

    /// Makes the file's bytes durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the file's bytes and metadata durable.
    fn sync_all(&self) -> io::Result<()>;

    /// Maps the whole file, at its present length, for reading.
    ///
    /// Only for files that this process owns (under the journal's lock) and neither
    /// writes nor cuts while mapped: whether the map shows later writes is not said, and
    /// touching a page past a new end, or one the disk can't read, kills the process.
    /// Never map a file that someone else may change.
    fn map(&self) -> io::Result<Box<dyn FileMap>>;
}

/// The bytes of a mapped file. It outlives the handle it came from.
pub trait FileMap: Deref<Target = [u8]> + Debug + Send + Sync {}

/// An exclusive lock, held until this value is dropped.
pub trait FileLock: Debug + Send + Sync {}

/// How an existing file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenMode {
    /// For reading.
    Read,
    /// For reading and writing, without cutting it.
    Write,
}

/// Who may read a new file or enter a new directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Whoever the process's umask lets.
    Shared,
    /// The owner only (0600 for files, 0700 for directories): keys and secrets.
    Private,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, pipe, socket or device: nothing factlog makes or follows.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the directory.
    pub name: OsString,
    /// What it is.
    pub kind: FileKind,
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// The length in bytes of a regular file; of anything else it says nothing.
    pub len: u64,
    /// Whether only the owner has any access (no permission bits for group and others).
    pub private: bool,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Someone holds it.
    #[error("the lock is held by another process, or elsewhere in this one")]
    Held,
    /// This file system has no locks.
    #[error("the file system does not support file locks")]
    Unsupported(#[source] io::Error),
    /// The lock file could not be opened or locked.
    #[error("the lock file could not be locked")]
    Io(#[source] io::Error),
}
