//! Mistakes planted between a journal and its disk, to show that the harness bites.
//!
//! Each stands for one that a store could make itself: where its code syncs too little, too
//! late or in the wrong order, the disk sees what it sees here.

use std::io::{self, ErrorKind, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use factlog_fs::{
    Access, DirEntry, FileLock, FileMap, LockError, Metadata, OpenMode, StoreFile, StoreFs,
    is_temporary, write_all_at,
};
use factlog_sim::SimFs;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// No file is ever synced.
    NoFileSync,
    /// No group is synced: a commit is acknowledged from the cache.
    NoGroupSync,
    /// A group is synced when the next one is, so that it is acknowledged before.
    LateGroupSync,
    /// One group of three is not synced.
    SomeGroupSync,
    /// A new segment's header is not synced before MANIFEST names it.
    NoSegmentHeaderSync,
    /// No directory is ever synced.
    NoDirSync,
    /// The directory of the segments is not synced.
    NoSegmentsDirSync,
    /// The journal's own directory is not synced: renames of MANIFEST are not durable.
    NoJournalDirSync,
    /// The journal's parent is not synced at creation.
    NoParentSync,
    /// A file that replaces another is not synced before its rename.
    RenameBeforeContent,
    /// A replace removes the old file and then writes the new one in its place.
    ReplaceInPlace,
    /// A replace removes the old file first and renames then.
    RemoveBeforeRename,
    /// A write leaves out its last byte and says that all is written.
    ShortWriteUnnoticed,
    /// A failing write or sync is taken for one that succeeded.
    ErrorsSwallowed,
}

impl Bug {
    /// Those that any crash can bring to light, with the number of seeds within which one does.
    pub const BY_CRASH: [(Self, u64); 13] = [
        (Self::NoFileSync, 2),
        (Self::NoGroupSync, 2),
        (Self::LateGroupSync, 2),
        (Self::SomeGroupSync, 2),
        (Self::NoSegmentHeaderSync, 6),
        (Self::NoDirSync, 2),
        (Self::NoSegmentsDirSync, 2),
        (Self::NoJournalDirSync, 2),
        (Self::NoParentSync, 2),
        (Self::RenameBeforeContent, 2),
        (Self::ReplaceInPlace, 2),
        (Self::RemoveBeforeRename, 2),
        (Self::ShortWriteUnnoticed, 8),
    ];

    /// The disk as a store with this mistake treats it.
    pub fn plant(self, fs: &SimFs) -> Arc<dyn StoreFs> {
        let late = Arc::default();
        Arc::new(Planted {
            bug: self,
            fs: fs.clone(),
            late,
        })
    }
}

type Late = Arc<Mutex<(u64, Option<Box<dyn StoreFile>>)>>;

#[derive(Debug)]
struct Planted {
    bug: Bug,
    fs: SimFs,
    late: Late,
}

impl Planted {
    fn file(&self, path: &Path, file: Box<dyn StoreFile>) -> Box<dyn StoreFile> {
        let (path, late) = (path.to_owned(), Arc::clone(&self.late));
        Box::new(PlantedFile {
            bug: self.bug,
            fs: self.fs.clone(),
            path,
            file,
            late,
        })
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg")
}

/// What a bug makes of a result.
fn swallowed(bug: Bug, result: io::Result<()>) -> io::Result<()> {
    if bug == Bug::ErrorsSwallowed {
        Ok(())
    } else {
        result
    }
}

impl StoreFs for Planted {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        Ok(self.file(path, self.fs.open(path, mode)?))
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        Ok(self.file(path, self.fs.create_new(path, access)?))
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        self.fs.create_dir(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.bug {
            Bug::RemoveBeforeRename => {
                match self.fs.remove_file(to) {
                    Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
                let dir = to.parent().unwrap_or(Path::new(""));
                self.fs.sync_dir(dir)?;
                self.fs.rename(from, to)
            }
            Bug::ReplaceInPlace if self.fs.metadata(to)?.is_some() => {
                let bytes = factlog_fs::read_file(&self.fs, from, usize::MAX)?;
                let file = self.fs.open(to, OpenMode::Write)?;
                file.set_len(0)?;
                write_all_at(file.as_ref(), &bytes, 0)?;
                file.sync_all()?;
                self.fs.remove_file(from)
            }
            _ => self.fs.rename(from, to),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.fs.list(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.fs.metadata(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let skipped = match self.bug {
            Bug::NoDirSync => true,
            Bug::NoSegmentsDirSync => dir.ends_with("segments"),
            Bug::NoJournalDirSync => dir == Path::new(super::lab::DIR),
            Bug::NoParentSync => dir.as_os_str().is_empty(),
            _ => false,
        };
        if skipped {
            Ok(())
        } else {
            swallowed(self.bug, self.fs.sync_dir(dir))
        }
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        self.fs.lock(path)
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.fs.available_space(path)
    }
}

#[derive(Debug)]
struct PlantedFile {
    bug: Bug,
    fs: SimFs,
    path: PathBuf,
    file: Box<dyn StoreFile>,
    late: Late,
}

impl PlantedFile {
    /// The sync of a group.
    fn sync_group(&self) -> io::Result<()> {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.0 += 1;
        match self.bug {
            Bug::NoGroupSync => Ok(()),
            Bug::SomeGroupSync if late.0.is_multiple_of(3) => Ok(()),
            Bug::LateGroupSync => {
                let this = self.fs.open(&self.path, OpenMode::Write)?;
                // The one before, whose pages are those of this one too, if it is the same file:
                // so only every other one is really synced.
                match late.1.take() {
                    Some(before) => before.sync_data(),
                    None => {
                        late.1 = Some(this);
                        Ok(())
                    }
                }
            }
            _ => self.file.sync_data(),
        }
    }
}

impl StoreFile for PlantedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.file.read_vectored_at(bufs, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        match self.bug {
            Bug::ShortWriteUnnoticed if is_segment(&self.path) && offset > 0 => {
                let (_, front) = buf.split_last().unwrap_or((&0, &[]));
                self.file.write_at(front, offset)?;
                Ok(buf.len())
            }
            Bug::ErrorsSwallowed => Ok(self.file.write_at(buf, offset).unwrap_or(buf.len())),
            _ => self.file.write_at(buf, offset),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.preallocate(offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = match self.bug {
            Bug::NoFileSync => Ok(()),
            _ if is_segment(&self.path) => self.sync_group(),
            _ => self.file.sync_data(),
        };
        swallowed(self.bug, synced)
    }

    fn sync_all(&self) -> io::Result<()> {
        let temporary = self.path.file_name().is_some_and(is_temporary);
        let skipped = match self.bug {
            Bug::NoFileSync => true,
            Bug::NoSegmentHeaderSync => is_segment(&self.path),
            Bug::RenameBeforeContent => temporary,
            _ => false,
        };
        if skipped {
            Ok(())
        } else {
            swallowed(self.bug, self.file.sync_all())
        }
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        self.file.map()
    }
}
