//! Open files and locks.

use std::io::{self, ErrorKind, IoSliceMut};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use factlog_fs::{FileLock, FileMap, OpenMode, StoreFile};

use super::SimFs;
use super::machine::{About, MAX_LEN, Machine};
use crate::disk::NodeId;
use crate::fault::{Effect, Kind};

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) fs: SimFs,
    pub(super) id: NodeId,
    /// The name it was opened by.
    pub(super) path: Arc<PathBuf>,
    pub(super) mode: OpenMode,
}

impl SimFile {
    fn writable(&self) -> io::Result<()> {
        match self.mode {
            OpenMode::Write => Ok(()),
            OpenMode::Read => {
                let why = "the file was opened for reading";
                Err(io::Error::new(ErrorKind::PermissionDenied, why))
            }
        }
    }

    fn call<T>(
        &self,
        about: About,
        work: impl FnOnce(&mut Machine, Option<Effect>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.fs.machine().call(about, work)
    }

    fn about(&self, name: &'static str, kind: Kind) -> About {
        About::file(name, kind, &self.path)
    }

    fn sync(&self, name: &'static str) -> io::Result<()> {
        self.call(self.about(name, Kind::SyncFile), |machine, effect| {
            machine.sync_file(self.id, effect)
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.fs.machine().open -= 1;
    }
}

impl StoreFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.call(self.about("len", Kind::Look), |machine, _| {
            Ok(machine.state.file(self.id)?.cache.len())
        })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let about = self
            .about("read", Kind::Read)
            .range(offset, buf.len() as u64);
        self.call(about, |machine, effect| {
            let len = buf.len() as u64;
            let wanted = match effect {
                Some(Effect::Short) if len > 1 => 1 + machine.rng.below(len - 1),
                _ => len,
            };
            let buf = &mut buf[..wanted as usize];
            Ok(machine.state.file(self.id)?.cache.read(buf, offset))
        })
    }

    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        for buf in bufs {
            let n = match self.read_at(buf, offset.saturating_add(done as u64)) {
                Err(_) if done > 0 => break,
                read => read?,
            };
            done += n;
            if n < buf.len() {
                break;
            }
        }
        Ok(done)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.writable()?;
        let about = self
            .about("write", Kind::Write)
            .range(offset, buf.len() as u64);
        self.call(about, |machine, effect| {
            if buf.is_empty() {
                return Ok(0);
            }
            let (done, error) = machine.room(self.id, offset, buf.len() as u64, effect)?;
            if done > 0 {
                machine
                    .state
                    .file_mut(self.id)?
                    .write(&buf[..done as usize], offset);
            }
            match error {
                Some(error) => Err(error),
                None => Ok(done as usize),
            }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?;
        self.call(
            self.about("set_len", Kind::Grow).range(0, len),
            |machine, _| {
                if len > MAX_LEN {
                    return Err(ErrorKind::FileTooLarge.into());
                }
                if len != machine.state.file(self.id)?.cache.len() {
                    machine.state.file_mut(self.id)?.set_len(len);
                }
                Ok(())
            },
        )
    }

    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.writable()?;
        let about = self.about("preallocate", Kind::Grow).range(offset, len);
        self.call(about, |machine, _| {
            let end = offset.checked_add(len).filter(|end| *end <= MAX_LEN);
            let end = end.ok_or(ErrorKind::FileTooLarge)?;
            let have = machine.state.file(self.id)?.cache.len();
            if end > have && end - have > machine.free() {
                return Err(crate::fault::enospc());
            }
            if end > have {
                machine.state.file_mut(self.id)?.set_len(end);
            }
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync("sync_data")
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync("sync_all")
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        self.call(self.about("map", Kind::Look), |machine, _| {
            let map: Box<dyn FileMap> =
                Box::new(SimMap(machine.state.file(self.id)?.cache.to_vec()));
            Ok(map)
        })
    }
}

/// A copy of the file's bytes at the time of mapping.
#[derive(Debug)]
struct SimMap(Vec<u8>);

impl Deref for SimMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl FileMap for SimMap {}

#[derive(Debug)]
pub(super) struct SimLock {
    pub(super) fs: SimFs,
    pub(super) id: NodeId,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.machine().locked.remove(&self.id);
    }
}

impl FileLock for SimLock {}
