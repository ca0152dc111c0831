use std::path::{Path, PathBuf};

/// Where each thing of a journal stands in its directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

pub(crate) const JOURNAL: &str = "JOURNAL";
pub(crate) const MANIFEST: &str = "MANIFEST";
pub(crate) const SECRET: &str = "journal.secret";
/// The subdirectories; `keys` is private.
pub(crate) const SUBDIRECTORIES: [&str; 5] = ["segments", "index", "tree", "checkpoints", "keys"];

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.join(JOURNAL)
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.dir.join(MANIFEST)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("LOCK")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.dir.join("segments")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.dir.join("keys")
    }

    pub(crate) fn secret(&self) -> PathBuf {
        self.keys().join(SECRET)
    }

    pub(crate) fn segment(&self, first: u64, generation: u32) -> PathBuf {
        self.segments().join(crate::segment::segment_name(first, generation))
    }
}

/// `{size:016x}.checkpoint`
pub(crate) fn checkpoint_name(size: u64) -> String {
    format!("{size:016x}.checkpoint")
}
