//! Reading the files of the tree by place.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::Path;

use factlog_fs::{OpenMode, StoreFile, StoreFs, read_up_to};
use factlog_proof::Hash;

use super::{HASH, PACK, UPPER, pack_name, upper_place};
use crate::Error;

/// The files, opened as they are needed: `upper` and the last pack asked for stay open.
#[derive(Debug)]
pub(super) struct Files<'a> {
    fs: &'a dyn StoreFs,
    dir: &'a Path,
    upper: RefCell<Option<Opened>>,
    pack: RefCell<Option<(u64, Opened)>>,
}

/// A file, or that there is none.
type Opened = Option<Box<dyn StoreFile>>;

impl<'a> Files<'a> {
    pub(super) fn new(fs: &'a dyn StoreFs, dir: &'a Path) -> Self {
        Self {
            fs,
            dir,
            upper: RefCell::default(),
            pack: RefCell::default(),
        }
    }

    /// The directory.
    pub(super) fn dir(&self) -> &'a Path {
        self.dir
    }

    /// Leaves from one on, which must be of one pack: each, or `None` if it was never written.
    pub(super) fn leaves(&self, first: u64, count: usize) -> Result<Vec<Option<Hash>>, Error> {
        let pack = first / PACK;
        let mut cached = self.pack.borrow_mut();
        if cached.as_ref().is_none_or(|(open, _)| *open != pack) {
            *cached = Some((pack, self.open(&pack_name(pack))?));
        }
        let file = cached.as_ref().and_then(|(_, file)| file.as_deref());
        self.read(&pack_name(pack), file, first % PACK, count)
    }

    /// Nodes of a stored level from one on, which must be children of one parent.
    pub(super) fn nodes(
        &self,
        level: u32,
        first: u64,
        count: usize,
    ) -> Result<Vec<Option<Hash>>, Error> {
        if level == super::STEP {
            return self.upper(upper_place(level, first), count);
        }
        let mut nodes = Vec::with_capacity(count);
        for index in (first..).take(count) {
            nodes.extend(self.upper(upper_place(level, index), 1)?);
        }
        Ok(nodes)
    }

    fn upper(&self, place: Option<u64>, count: usize) -> Result<Vec<Option<Hash>>, Error> {
        let mut cached = self.upper.borrow_mut();
        if cached.is_none() {
            *cached = Some(self.open(UPPER)?);
        }
        let file = cached.as_ref().and_then(Option::as_deref);
        // No file has a hash at a place that can't be counted.
        self.read(
            UPPER,
            file.filter(|_| place.is_some()),
            place.unwrap_or(0),
            count,
        )
    }

    fn open(&self, name: &str) -> Result<Opened, Error> {
        let path = self.dir.join(name);
        match self.fs.open(&path, OpenMode::Read) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).map_err(Error::io("open", &path)),
        }
    }

    fn read(
        &self,
        name: &str,
        file: Option<&dyn StoreFile>,
        place: u64,
        count: usize,
    ) -> Result<Vec<Option<Hash>>, Error> {
        let mut bytes = vec![0; count * HASH as usize];
        let read = match (file, place.checked_mul(HASH)) {
            (Some(file), Some(offset)) => read_up_to(file, &mut bytes, offset)
                .map_err(|e| Error::io("read", &self.dir.join(name))(e))?,
            _ => 0,
        };
        // A hash of which only a part is there was not written.
        bytes.truncate(read - read % HASH as usize);
        bytes.resize(count * HASH as usize, 0);
        Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| written(*bytes))
            .collect())
    }
}

pub(super) fn written(bytes: [u8; 32]) -> Option<Hash> {
    (bytes != [0; 32]).then(|| Hash::from_bytes(bytes))
}
