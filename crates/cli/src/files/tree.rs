//! Folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::paths::shown;

pub(crate) fn is_dir(path: &Path) -> bool {
    path.is_dir()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

/// As [`exists`], where not being able to look is no answer.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    let found = path.try_exists();
    found.with_context(|| format!("cannot look for {}", shown(path)))
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).with_context(|| format!("cannot remove {}", shown(path)))
}

/// Without links and relative parts, where the system says so.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

/// The files of a folder, in order of their names; none if it isn't there.
pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let attempt = || -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    };
    match attempt() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.with_context(|| format!("cannot read {}", shown(dir))),
    }
}

/// Removes all files of a folder, and keeps the folder.
pub(crate) fn empty_dir(dir: &Path) -> Result<()> {
    list(dir)?.iter().try_for_each(|file| remove(file))
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fn copy(from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                copy(&entry.path(), &target)?;
            } else {
                fs::copy(entry.path(), target)?;
            }
        }
        Ok(())
    }
    copy(from, to).with_context(|| format!("cannot copy {} to {}", shown(from), shown(to)))
}
