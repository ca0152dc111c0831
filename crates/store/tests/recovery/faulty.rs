//! A file system on which some paths can't be used.

use std::io;
use std::path::Path;
use std::sync::Arc;

use factlog_fs::{
    Access, DirEntry, FileLock, LockError, MemFs, Metadata, OpenMode, StoreFile, StoreFs,
};

/// Every call on a path that `fails` names ends in an error.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) inner: Arc<MemFs>,
    pub(crate) fails: fn(&Path) -> bool,
}

impl Faulty {
    fn check(&self, path: &Path) -> io::Result<&MemFs> {
        if (self.fails)(path) {
            return Err(io::Error::other("planted"));
        }
        Ok(&self.inner)
    }
}

impl StoreFs for Faulty {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        self.check(path)?.open(path, mode)
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        self.check(path)?.create_new(path, access)
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        self.check(path)?.create_dir(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(to)?.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.check(path)?.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.check(path)?.remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.check(dir)?.list(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.check(path)?.metadata(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.check(dir)?.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        self.inner.lock(path)
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.available_space(path)
    }
}
