//! The calls on names.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use factlog_fs::{
    Access, DirEntry, FileKind, FileLock, LockError, Metadata, OpenMode, StoreFile, StoreFs,
};

use super::SimFs;
use super::handle::{SimFile, SimLock};
use super::machine::{About, Machine};
use crate::FailedSync;
use crate::disk::{Directory, EntryChange, FileState, Node, NodeId, State, normal};
use crate::fault::{Effect, Kind, eio};

impl SimFs {
    fn call<T>(
        &self,
        about: About,
        work: impl FnOnce(&mut Machine, Option<Effect>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.machine().call(about, work)
    }

    fn handle(&self, id: NodeId, path: &Path, mode: OpenMode) -> Box<dyn StoreFile> {
        self.machine().open += 1;
        Box::new(SimFile {
            fs: self.clone(),
            id,
            path: Arc::new(path.to_owned()),
            mode,
        })
    }
}

impl StoreFs for SimFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        let id = self.call(About::path("open", Kind::Look, path), |machine, _| {
            let id = machine.state.find(path)?;
            machine.state.file(id).map(|_| id)
        })?;
        Ok(self.handle(id, path, mode))
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        let id = self.call(About::path("create_new", Kind::Grow, path), |machine, _| {
            machine.state.link(path, file(access))
        })?;
        Ok(self.handle(id, path, OpenMode::Write))
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        self.call(About::path("create_dir", Kind::Grow, path), |machine, _| {
            let private = access == Access::Private;
            let dir = Directory {
                private,
                ..Directory::default()
            };
            machine.state.link(path, Node::Dir(dir)).map(drop)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let about = About::path("rename", Kind::Grow, from);
        let about = About {
            to: Some(Arc::new(to.to_owned())),
            ..about
        };
        self.call(about, |machine, _| rename(&mut machine.state, from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(
            About::path("remove_file", Kind::Remove, path),
            |machine, _| {
                let id = machine.state.find(path)?;
                machine.state.file(id)?;
                unlink(&mut machine.state, path)
            },
        )
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call(
            About::path("remove_dir", Kind::Remove, path),
            |machine, _| {
                let id = machine.state.find(path)?;
                if !machine.state.dir(id)?.entries.is_empty() {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
                unlink(&mut machine.state, path)
            },
        )
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.call(About::path("list", Kind::Look, dir), |machine, _| {
            let state = &machine.state;
            let entries = state.dir(state.find(dir)?)?.entries.iter();
            let entry = |(name, id): (&std::ffi::OsString, &NodeId)| DirEntry {
                name: name.clone(),
                kind: kind(state, *id),
            };
            Ok(entries.map(entry).collect())
        })
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.call(About::path("metadata", Kind::Look, path), |machine, _| {
            let id = match machine.state.find(path) {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                found => found?,
            };
            Ok(Some(match machine.state.file(id) {
                Ok(file) => {
                    let (len, private) = (file.cache.len(), file.private);
                    Metadata {
                        kind: FileKind::File,
                        len,
                        private,
                    }
                }
                Err(_) => {
                    let private = machine.state.dir(id)?.private;
                    Metadata {
                        kind: FileKind::Dir,
                        len: 0,
                        private,
                    }
                }
            }))
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(
            About::path("sync_dir", Kind::SyncDir, dir),
            |machine, effect| {
                let id = machine.state.find(dir)?;
                machine.state.dir(id)?;
                match effect {
                    Some(Effect::Sync(FailedSync::KeepsDirty)) => Err(eio()),
                    Some(Effect::Lie) => {
                        machine.state.dir_mut(id)?.forget_pending();
                        Ok(())
                    }
                    Some(Effect::Sync(_)) => {
                        machine.state.dir_mut(id)?.forget_pending();
                        Err(eio())
                    }
                    _ if machine.state.dir(id)?.pending.is_empty() => Ok(()),
                    _ => {
                        machine.state.dir_mut(id)?.sync();
                        Ok(())
                    }
                }
            },
        )
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        let about = About::path("lock", Kind::Grow, path);
        let locked = self.call(about, |machine, _| {
            let id = match machine.state.find(path) {
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    machine.state.link(path, file(Access::Shared))?
                }
                found => found?,
            };
            machine.state.file(id)?;
            Ok(machine.locked.insert(id).then_some(id))
        });
        match locked.map_err(LockError::Io)? {
            Some(id) => Ok(Box::new(SimLock {
                fs: self.clone(),
                id,
            })),
            None => Err(LockError::Held),
        }
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.call(About::path("space", Kind::Look, path), |machine, _| {
            machine.state.find(path)?;
            Ok(machine.free())
        })
    }
}

fn file(access: Access) -> Node {
    let private = access == Access::Private;
    Node::File(FileState {
        private,
        ..FileState::default()
    })
}

fn kind(state: &State, id: NodeId) -> FileKind {
    match state.file(id) {
        Ok(_) => FileKind::File,
        Err(_) => FileKind::Dir,
    }
}

fn unlink(state: &mut State, path: &Path) -> io::Result<()> {
    let (dir, name) = state.parent(path)?;
    state.dir_mut(dir)?.change(EntryChange::Unlink(name));
    Ok(())
}

fn rename(state: &mut State, from: &Path, to: &Path) -> io::Result<()> {
    let (from_dir, from_name) = state.parent(from)?;
    let moved = state.find(from)?;
    let (to_dir, to_name) = state.parent(to)?;
    let (from_names, to_names) = (normal(from)?, normal(to)?);
    if from_names == to_names {
        return Ok(());
    }
    if to_names.starts_with(&from_names) {
        return Err(ErrorKind::InvalidInput.into());
    }
    if let Some(there) = state.dir(to_dir)?.entries.get(&to_name).copied() {
        match (kind(state, moved), kind(state, there)) {
            (FileKind::Dir, FileKind::Dir) if state.dir(there)?.entries.is_empty() => {}
            (FileKind::Dir, FileKind::Dir) => return Err(ErrorKind::DirectoryNotEmpty.into()),
            (FileKind::Dir, _) => return Err(ErrorKind::NotADirectory.into()),
            (_, FileKind::Dir) => return Err(ErrorKind::IsADirectory.into()),
            _ => {}
        }
    }
    if from_dir == to_dir {
        let change = EntryChange::Rename(from_name, to_name, moved);
        state.dir_mut(to_dir)?.change(change);
    } else {
        state
            .dir_mut(to_dir)?
            .change(EntryChange::Link(to_name, moved));
        state
            .dir_mut(from_dir)?
            .change(EntryChange::Unlink(from_name));
    }
    Ok(())
}
