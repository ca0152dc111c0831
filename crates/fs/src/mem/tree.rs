//! The names in a [`MemFs`](crate::MemFs).

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::file::Contents;
use crate::{Access, DirEntry, FileKind, Metadata};

/// All entries by their full path. The root is the empty path, always there, not stored.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// `None` for a directory.
    contents: Option<Arc<Contents>>,
    private: bool,
}

impl Node {
    pub(crate) fn file(contents: Arc<Contents>, access: Access) -> Self {
        Self {
            contents: Some(contents),
            private: access == Access::Private,
        }
    }

    pub(crate) fn dir(access: Access) -> Self {
        Self {
            contents: None,
            private: access == Access::Private,
        }
    }

    pub(crate) fn metadata(&self) -> Metadata {
        Metadata {
            kind: self.kind(),
            len: self.contents.as_ref().map_or(0, |contents| contents.len()),
            private: self.private,
        }
    }

    fn kind(&self) -> FileKind {
        match self.contents {
            Some(_) => FileKind::File,
            None => FileKind::Dir,
        }
    }
}

impl Tree {
    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn get(&self, path: &Path) -> io::Result<Node> {
        self.at(&normal(path)?)
    }

    pub(crate) fn file(&self, path: &Path) -> io::Result<Arc<Contents>> {
        self.get(path)?
            .contents
            .ok_or_else(|| ErrorKind::IsADirectory.into())
    }

    /// Whether there is such a directory.
    pub(crate) fn dir(&self, path: &Path) -> io::Result<()> {
        self.dir_at(&normal(path)?)
    }

    pub(crate) fn insert(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let path = normal(path)?;
        self.parent_of(&path)?;
        if self.at(&path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (named(from)?, named(to)?);
        let moved = self.at(&from)?.kind();
        self.parent_of(&to)?;
        if from == to {
            return Ok(());
        }
        if to.starts_with(&from) {
            return Err(ErrorKind::InvalidInput.into());
        }
        match (moved, self.nodes.get(&to).map(Node::kind)) {
            (_, None) | (FileKind::File, Some(FileKind::File)) => {}
            (FileKind::Dir, Some(FileKind::Dir)) => self.empty_at(&to)?,
            (FileKind::Dir, Some(_)) => return Err(ErrorKind::NotADirectory.into()),
            (_, Some(_)) => return Err(ErrorKind::IsADirectory.into()),
        }
        let paths: Vec<PathBuf> = self.subtree(&from).map(|(path, _)| path.clone()).collect();
        for path in paths {
            let rest = path.strip_prefix(&from).map(Path::to_path_buf);
            if let (Some(node), Ok(rest)) = (self.nodes.remove(&path), rest) {
                let path = if rest.as_os_str().is_empty() {
                    to.clone()
                } else {
                    to.join(rest)
                };
                self.nodes.insert(path, node);
            }
        }
        Ok(())
    }

    pub(crate) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let path = normal(path)?;
        if self.at(&path)?.kind() == FileKind::Dir {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.nodes.remove(&path);
        Ok(())
    }

    pub(crate) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let path = named(path)?;
        self.dir_at(&path)?;
        self.empty_at(&path)?;
        self.nodes.remove(&path);
        Ok(())
    }

    pub(crate) fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let dir = normal(dir)?;
        self.dir_at(&dir)?;
        let mut entries: Vec<DirEntry> = self
            .children(&dir)
            .filter_map(|(path, node)| {
                Some(DirEntry {
                    name: path.file_name()?.to_os_string(),
                    kind: node.kind(),
                })
            })
            .collect();
        entries.sort();
        Ok(entries)
    }

    fn at(&self, path: &Path) -> io::Result<Node> {
        if path.as_os_str().is_empty() {
            return Ok(Node::dir(Access::Shared));
        }
        match self.nodes.get(path) {
            Some(node) => Ok(node.clone()),
            None => {
                // Something below a file is another mistake than something missing.
                let above = path.ancestors().skip(1).find_map(|p| self.nodes.get(p));
                match above.map(Node::kind) {
                    Some(FileKind::File) => Err(ErrorKind::NotADirectory.into()),
                    _ => Err(ErrorKind::NotFound.into()),
                }
            }
        }
    }

    fn dir_at(&self, path: &Path) -> io::Result<()> {
        match self.at(path)?.kind() {
            FileKind::Dir => Ok(()),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn parent_of(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) => self.dir_at(parent),
            None => Ok(()),
        }
    }

    fn empty_at(&self, dir: &Path) -> io::Result<()> {
        match self.children(dir).next() {
            None => Ok(()),
            Some(_) => Err(ErrorKind::DirectoryNotEmpty.into()),
        }
    }

    /// An entry and all below it: paths sort by component, so they stand together.
    fn subtree<'a>(&'a self, root: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
        self.nodes
            .range(root.to_path_buf()..)
            .take_while(move |(path, _)| path.starts_with(root))
    }

    fn children<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
        self.subtree(dir)
            .filter(move |(path, _)| path.parent() == Some(dir))
    }
}

/// The one spelling of a path: no root, no `.`, and no `..`, which would need links to
/// mean anything.
fn normal(path: &Path) -> io::Result<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::new(
                    ErrorKind::InvalidInput,
                    "a path with `..` means nothing in memory",
                ));
            }
        }
    }
    Ok(normal)
}

/// The same for a path that must not be the root.
fn named(path: &Path) -> io::Result<PathBuf> {
    let path = normal(path)?;
    if path.as_os_str().is_empty() {
        return Err(ErrorKind::InvalidInput.into());
    }
    Ok(path)
}
