//! A file system in memory.

mod file;
mod pages;
mod tree;

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Access, DirEntry, FileLock, LockError, Metadata, OpenMode, StoreFile, StoreFs};
use file::{Contents, MemFile, MemLock};
use tree::{Node, Tree};

/// What a [`MemFs`] says is left: enough for anything that fits in memory.
const SPACE: u64 = 1 << 50;

/// A file system in memory, without faults: for tests and for journals that needn't last.
///
/// Clones share one tree, so a journal can be closed and opened again on a clone. It is
/// gone with the last clone and the last open file. Everything written counts as durable.
///
/// Absolute and relative paths are the same here; `..` is refused. Files are kept in
/// pages, so space that was preallocated or skipped costs nothing.
#[derive(Clone, Default)]
pub struct MemFs {
    tree: Arc<Mutex<Tree>>,
}

impl MemFs {
    /// A new, empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemFs")
            .field("entries", &self.tree().count())
            .finish()
    }
}

impl StoreFs for MemFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        let contents = self.tree().file(path)?;
        Ok(Box::new(MemFile::new(contents, mode)))
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        let contents = Arc::new(Contents::default());
        let node = Node::file(contents.clone(), access);
        self.tree().insert(path, node)?;
        Ok(Box::new(MemFile::new(contents, OpenMode::Write)))
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        self.tree().insert(path, Node::dir(access))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.tree().rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.tree().remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.tree().remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.tree().list(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        match self.tree().get(path) {
            Ok(node) => Ok(Some(node.metadata())),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.tree().dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        let mut tree = self.tree();
        let contents = match tree.file(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let contents = Arc::new(Contents::default());
                let node = Node::file(contents.clone(), Access::Shared);
                tree.insert(path, node).map_err(LockError::Io)?;
                contents
            }
            found => found.map_err(LockError::Io)?,
        };
        match MemLock::take(contents) {
            Some(lock) => Ok(Box::new(lock)),
            None => Err(LockError::Held),
        }
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.tree().get(path)?;
        Ok(SPACE)
    }
}
