use std::path::{Path, PathBuf};

use factlog_fs::{Access, FileKind, FileLock};

use super::{
    clear::{clear, remove},
    contents::{Contents, Standing},
};
use crate::{Error, Misuse, Options, journal::take_lock, layout::Layout};

/// What [`destroy`] or [`reset`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// How many files of the journal were removed.
    pub files: u64,
    /// What is in the directory and no journal's. It was left, and so was what it stands in.
    pub left: Vec<PathBuf>,
}

/// Removes a journal for good, in whatever state it is: damaged, of a newer version, unfinished. Its
/// directory goes too, unless something else is in it. The signing key, its state and what is known of
/// the journal stand elsewhere and stay.
///
/// Of the options it uses the file system. No link is followed, and nothing is removed that isn't a
/// journal's by name, kind and place. After a crash the next call goes on.
///
/// # Errors
/// [`Misuse::NotAJournal`] for a directory without a journal and for a link to one,
/// [`Refusal::Locked`](crate::Refusal::Locked) while a process has it open for writing, [`Error::Io`].
pub fn destroy(dir: impl AsRef<Path>, options: &Options) -> Result<Removed, Error> {
    let layout = Layout::new(&own_place(dir.as_ref()));
    let (removed, _lock) = empty(&layout, options)?;
    if removed.left.is_empty() {
        remove_dir(&layout, options)?;
    }
    Ok(removed)
}

/// Makes a journal's directory an empty one again, in which the next creation finds its place. Files go as
/// [`destroy`] removes them.
///
/// With `keep_directory` the directory itself stays and is only emptied, with its owner and mode: for a
/// mount point, or where its parent can't be written to. Without, it is removed and made anew.
///
/// # Errors
/// As [`destroy`].
pub fn reset(
    dir: impl AsRef<Path>,
    keep_directory: bool,
    options: &Options,
) -> Result<Removed, Error> {
    let layout = Layout::new(&own_place(dir.as_ref()));
    let (removed, _lock) = empty(&layout, options)?;
    if removed.left.is_empty() && !keep_directory {
        remove_dir(&layout, options)?;
        let fs = options.fs.as_ref();
        let dir = &layout.dir;
        fs.create_dir(dir, Access::Shared)
            .map_err(Error::io("create", dir))?;
        sync_parent(&layout, options)?;
    }
    Ok(removed)
}

/// The path without what would lead through a link at its end: a slash, or a dot behind one.
fn own_place(dir: &Path) -> PathBuf {
    let whole: PathBuf = dir.components().collect();
    if whole.file_name().is_some() {
        return whole;
    }
    // The directory one stands in can't be removed by that name.
    std::path::absolute(&whole).unwrap_or(whole)
}

/// Removes everything that is the journal's, the lock last, which is held all the while.
fn empty(layout: &Layout, options: &Options) -> Result<(Removed, Box<dyn FileLock>), Error> {
    let fs = options.fs.as_ref();
    let dir = &layout.dir;
    let none = || Error::from(Misuse::NotAJournal(dir.clone()));
    let metadata = fs.metadata(dir).map_err(Error::io("examine", dir))?;
    // A link may lead anywhere: its own place has to be named.
    if metadata.is_none_or(|found| found.kind != FileKind::Dir) {
        return Err(none());
    }
    let is_journal = |contents: &Contents| -> Result<bool, Error> {
        let standing = contents.standing(fs, layout)?;
        Ok(matches!(standing, Standing::Journal | Standing::Unfinished))
    };
    // Asked first, so that no lock is made in a stranger's directory.
    if !is_journal(&Contents::list(fs, layout)?)? {
        return Err(none());
    }
    let lock = take_lock(fs, layout)?;
    let contents = Contents::list(fs, layout)?;
    if !is_journal(&contents)? {
        return Err(none());
    }
    clear(fs, layout, &contents)?;
    remove(fs, &layout.lock())?;
    fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
    let lock_file = layout.lock();
    let files = contents.files.iter().filter(|path| **path != lock_file);
    let removed = Removed {
        files: files.count() as u64,
        left: contents.strangers,
    };
    Ok((removed, lock))
}

fn remove_dir(layout: &Layout, options: &Options) -> Result<(), Error> {
    let dir = &layout.dir;
    options
        .fs
        .remove_dir(dir)
        .map_err(Error::io("remove", dir))?;
    sync_parent(layout, options)
}

fn sync_parent(layout: &Layout, options: &Options) -> Result<(), Error> {
    let parent = layout.dir.parent().unwrap_or(Path::new(""));
    options
        .fs
        .sync_dir(parent)
        .map_err(Error::io("sync", parent))
}
