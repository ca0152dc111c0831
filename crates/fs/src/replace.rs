//! Replacing a small file in one step.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::{Access, StoreFs, write_all_at};

/// What the name of every temporary file ends with.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Whether a file of this name was only ever a temporary one, left by a crash.
pub fn is_temporary(name: &OsStr) -> bool {
    name.as_encoded_bytes()
        .ends_with(TEMPORARY_SUFFIX.as_bytes())
}

/// Replaces the file `name` in `dir` by one that holds `bytes`, or creates it: at every
/// moment, and after a crash, it is the old file or the new one, whole.
///
/// The steps: remove a stale temporary (`name` + [`TEMPORARY_SUFFIX`]), create it anew,
/// write, sync, rename, sync the directory. On success the new file is durable. After an
/// error before the rename the old file stands and the temporary is removed again; after
/// one of the directory sync the new file stands, but may be gone after a crash.
///
/// The error is that of the first step that failed. If the temporary couldn't be removed
/// after that, the error is a [`CleanupFailed`] of the same kind that holds both.
///
/// Two calls for the same name at the same time need a lock around them.
pub fn replace_file(
    fs: &dyn StoreFs,
    dir: &Path,
    name: &str,
    bytes: &[u8],
    access: Access,
) -> io::Result<()> {
    Replacement::prepare(fs, dir, name, bytes, access)?.put(fs)
}

/// The first half of a [`replace_file`]: the new file, written and synced under its temporary name.
///
/// Until [`put`](Self::put) nothing has changed but that a temporary file is there, so that a disk
/// that turns out to be full is found before there is anything to undo.
#[derive(Debug)]
#[must_use = "a replacement that isn't put leaves its temporary file behind"]
pub struct Replacement {
    dir: PathBuf,
    target: PathBuf,
    temporary: PathBuf,
}

impl Replacement {
    /// Writes the new file. After an error the temporary file is removed again, as far as that can
    /// be done; see [`replace_file`].
    pub fn prepare(
        fs: &dyn StoreFs,
        dir: &Path,
        name: &str,
        bytes: &[u8],
        access: Access,
    ) -> io::Result<Self> {
        let temporary = dir.join(format!("{name}{TEMPORARY_SUFFIX}"));
        match fs.remove_file(&temporary) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        match write_new(fs, &temporary, bytes, access) {
            Ok(()) => Ok(Self {
                dir: dir.to_owned(),
                target: dir.join(name),
                temporary,
            }),
            Err(first) => Err(clean_up(fs, temporary, first)),
        }
    }

    /// Lets the new file take the old one's place; durable when it returns.
    pub fn put(self, fs: &dyn StoreFs) -> io::Result<()> {
        fs.rename(&self.temporary, &self.target)
            .map_err(|first| clean_up(fs, self.temporary, first))?;
        fs.sync_dir(&self.dir)
    }
}

fn write_new(fs: &dyn StoreFs, path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let file = fs.create_new(path, access)?;
    write_all_at(file.as_ref(), bytes, 0)?;
    file.sync_all()
}

fn clean_up(fs: &dyn StoreFs, temporary: PathBuf, first: io::Error) -> io::Error {
    match fs.remove_file(&temporary) {
        Ok(()) => first,
        // A create that failed may have left nothing to remove.
        Err(e) if e.kind() == ErrorKind::NotFound => first,
        Err(cleanup) => io::Error::new(
            first.kind(),
            CleanupFailed {
                first,
                cleanup,
                left: temporary,
            },
        ),
    }
}

/// A step failed, and so did removing the temporary file after it.
#[derive(Debug, thiserror::Error)]
#[error("{first}; the temporary file {} could not be removed either: {cleanup}", left.display())]
pub struct CleanupFailed {
    /// What failed first.
    #[source]
    pub first: io::Error,
    /// Why the temporary file is still there.
    pub cleanup: io::Error,
    /// The temporary file.
    pub left: PathBuf,
}
