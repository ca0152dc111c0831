use std::{io::ErrorKind, path::Path};

use factlog_fs::{Access, StoreFs};

use super::contents::{Contents, Standing};
use crate::{Error, Misuse, layout::Layout};

/// Refuses a directory in which something stands that a creation must not touch.
pub(crate) fn refuse_occupied(fs: &dyn StoreFs, layout: &Layout) -> Result<(), Error> {
    match Contents::list(fs, layout)?.standing(fs, layout)? {
        Standing::Nothing | Standing::Unfinished => Ok(()),
        Standing::Stranger | Standing::Journal => Err(Misuse::Exists(layout.dir.clone()).into()),
    }
}

/// Makes the journal's directory if it is missing, synced in its parent.
pub(crate) fn make_dir(fs: &dyn StoreFs, layout: &Layout) -> Result<(), Error> {
    let dir = &layout.dir;
    match fs.create_dir(dir, Access::Shared) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::io("create", dir)(error));
        }
        _ => {}
    }
    let parent = dir.parent().unwrap_or(Path::new(""));
    fs.sync_dir(parent).map_err(Error::io("sync", parent))
}

/// Under the lock: removes what a creation left that was cut short, and refuses anything else.
pub(crate) fn clear_unfinished(fs: &dyn StoreFs, layout: &Layout) -> Result<(), Error> {
    let contents = Contents::list(fs, layout)?;
    match contents.standing(fs, layout)? {
        Standing::Nothing => Ok(()),
        Standing::Unfinished => clear(fs, layout, &contents),
        Standing::Stranger | Standing::Journal => Err(Misuse::Exists(layout.dir.clone()).into()),
    }
}

/// Removes everything that is a journal's, but for the lock, under which this happens.
///
/// What a crash leaves must not be taken for a journal that can be written to, and yet be known as one,
/// whatever stands beside it, so that the next call goes on. So of `JOURNAL` and MANIFEST one goes first,
/// durably, and the other, by which a directory is known, last.
pub(crate) fn clear(fs: &dyn StoreFs, layout: &Layout, contents: &Contents) -> Result<(), Error> {
    let dir = &layout.dir;
    let sync = |dir: &Path| fs.sync_dir(dir).map_err(Error::io("sync", dir));
    let (journal, manifest) = (layout.journal(), layout.manifest());
    let (first, last) = match contents.files.contains(&journal) {
        true => (manifest, journal),
        false => (journal, manifest),
    };
    remove(fs, &first)?;
    sync(dir)?;
    let kept = [layout.lock(), last.clone()];
    for path in contents.files.iter().filter(|path| !kept.contains(path)) {
        remove(fs, path)?;
    }
    for path in &contents.dirs {
        match fs.remove_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // What isn't the journal's stays, and so does the directory around it.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => sync(path)?,
            removed => removed.map_err(Error::io("remove", path))?,
        }
    }
    sync(dir)?;
    remove(fs, &last)?;
    sync(dir)
}

pub(super) fn remove(fs: &dyn StoreFs, path: &Path) -> Result<(), Error> {
    match fs.remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Error::io("remove", path)),
    }
}
