//! All files and directories of a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Content, Directory, EntryChange, FileState, normal};

pub(crate) type NodeId = u64;

/// The root directory.
pub(crate) const ROOT: NodeId = 0;

/// A file or directory.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    File(FileState),
    Dir(Directory),
}

/// All nodes, by number. A clone shares what neither side changes.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) nodes: BTreeMap<NodeId, Arc<Node>>,
    next: NodeId,
}

impl Default for State {
    fn default() -> Self {
        let root = Arc::new(Node::Dir(Directory::default()));
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
        }
    }
}

impl State {
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, Arc::new(node));
        id
    }

    pub(crate) fn file(&self, id: NodeId) -> io::Result<&FileState> {
        match self.nodes.get(&id).map(AsRef::as_ref) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn file_mut(&mut self, id: NodeId) -> io::Result<&mut FileState> {
        match self.nodes.get_mut(&id).map(Arc::make_mut) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn dir(&self, id: NodeId) -> io::Result<&Directory> {
        match self.nodes.get(&id).map(AsRef::as_ref) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn dir_mut(&mut self, id: NodeId) -> io::Result<&mut Directory> {
        match self.nodes.get_mut(&id).map(Arc::make_mut) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// What stands at a path.
    pub(crate) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut at = ROOT;
        for name in normal(path)? {
            at = *self
                .dir(at)?
                .entries
                .get(&name)
                .ok_or(ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// The directory in which a path stands, and its name there.
    pub(crate) fn parent(&self, path: &Path) -> io::Result<(NodeId, OsString)> {
        let mut names = normal(path)?;
        let name = names.pop().ok_or(ErrorKind::InvalidInput)?;
        let dir: PathBuf = names.iter().collect();
        let dir = self.find(&dir)?;
        self.dir(dir)?;
        Ok((dir, name))
    }

    pub(crate) fn link(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (dir, name) = match self.parent(path) {
            // The root is there already.
            Err(e) if e.kind() == ErrorKind::InvalidInput && normal(path)?.is_empty() => {
                return Err(ErrorKind::AlreadyExists.into());
            }
            parent => parent?,
        };
        if self.dir(dir)?.entries.contains_key(&name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let id = self.add(node);
        self.dir_mut(dir)?.change(EntryChange::Link(name, id));
        Ok(id)
    }

    /// Every file that can be reached, by path, with what the page cache shows.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, &FileState> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![(PathBuf::new(), ROOT)];
        while let Some((path, id)) = dirs.pop() {
            let entries = self.dir(id).map(|dir| dir.entries.iter());
            for (name, id) in entries.into_iter().flatten() {
                match self.nodes.get(id).map(AsRef::as_ref) {
                    Some(Node::File(file)) => {
                        found.insert(path.join(name), file);
                    }
                    Some(Node::Dir(_)) => dirs.push((path.join(name), *id)),
                    None => {}
                }
            }
        }
        found
    }

    /// Every directory that can be reached, the root left out.
    pub(crate) fn dirs(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut dirs = vec![(PathBuf::new(), ROOT)];
        while let Some((path, id)) = dirs.pop() {
            let entries = self.dir(id).map(|dir| dir.entries.iter());
            for (name, id) in entries.into_iter().flatten() {
                if self.dir(*id).is_ok() {
                    found.insert(path.join(name));
                    dirs.push((path.join(name), *id));
                }
            }
        }
        found
    }

    /// Lets a directory hold, durably, what another one holds in another state's cache.
    pub(crate) fn graft(&mut self, target: NodeId, from: &Self, source: NodeId) -> io::Result<()> {
        let mut entries = BTreeMap::new();
        for (name, id) in &from.dir(source)?.entries {
            let copy = match from.file(*id) {
                Ok(file) => self.add(Node::File(FileState {
                    cache: file.cache.clone(),
                    disk: file.cache.clone(),
                    pending: Vec::new(),
                    private: file.private,
                })),
                Err(_) => {
                    let private = from.dir(*id)?.private;
                    let copy = self.add(Node::Dir(Directory {
                        private,
                        ..Directory::default()
                    }));
                    self.graft(copy, from, *id)?;
                    copy
                }
            };
            entries.insert(name.clone(), copy);
        }
        let dir = self.dir_mut(target)?;
        dir.disk.clone_from(&entries);
        dir.entries = entries;
        dir.pending.clear();
        Ok(())
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> u64 {
        let len = |node: &Arc<Node>| match node.as_ref() {
            Node::File(file) => file.cache.len(),
            Node::Dir(_) => 0,
        };
        self.nodes.values().map(len).sum()
    }

    /// Whether anything waits for a sync.
    pub(crate) fn unsynced(&self) -> bool {
        self.nodes.values().any(|node| match node.as_ref() {
            Node::File(file) => !file.pending.is_empty(),
            Node::Dir(dir) => !dir.pending.is_empty(),
        })
    }

    /// Drops nodes that no path leads to, in the cache or on the disk: after a crash nobody
    /// holds them open.
    pub(crate) fn prune(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut dirs = vec![ROOT];
        while let Some(id) = dirs.pop() {
            let named = self.dir(id).map(Directory::named).unwrap_or_default();
            for id in named {
                if reached.insert(id) && self.dir(id).is_ok() {
                    dirs.push(id);
                }
            }
        }
        self.nodes.retain(|id, _| reached.contains(id));
    }

    /// All bytes that any file holds or held, for garbage that looks like something.
    pub(crate) fn stale(&self) -> Content {
        let mut stale = Content::default();
        let files = self.nodes.values().filter_map(|node| match node.as_ref() {
            Node::File(file) => Some(&file.cache),
            Node::Dir(_) => None,
        });
        let mut at = 0;
        for file in files {
            for number in file.numbers() {
                stale.set_page(at, file.page(number).cloned());
                at += 1;
            }
        }
        stale.set_len(at * super::PAGE as u64);
        stale
    }
}
