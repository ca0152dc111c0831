//! The directory `index/`: names, listing, and which of the runs found are used.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use factlog_fs::{FileKind, StoreFs, is_temporary};

use super::front::Residency;
use super::run::Run;
use super::{MAX_LEVEL, span};
use crate::{Damage, Error};

/// Often enough for any number of merges that end while a reader lists.
const ATTEMPTS: usize = 5;

/// Where the index of one journal stands.
#[derive(Clone, Debug)]
pub(crate) struct IndexDir {
    pub(super) fs: Arc<dyn StoreFs>,
    pub(super) path: PathBuf,
    pub(super) journal: [u8; 16],
    pub(super) residency: Arc<Residency>,
    /// Whether runs are read out of maps.
    pub(super) maps: bool,
}

impl IndexDir {
    /// The index in `path`, of this journal. Nothing is read.
    pub(crate) fn new(fs: Arc<dyn StoreFs>, path: PathBuf, journal: [u8; 16]) -> Self {
        Self {
            fs,
            path,
            journal,
            residency: Arc::default(),
            maps: false,
        }
    }

    /// The same, with its runs mapped: only for who may write, as nobody else touches its files then.
    pub(crate) fn mapped(self, maps: bool) -> Self {
        Self { maps, ..self }
    }

    /// The runs there are, in order, for someone who may not write, and what is wrong with others.
    ///
    /// Runs in `known` are not opened again. A missing directory is an empty index. Runs behind a
    /// gap are not among them.
    pub(crate) fn read_runs(
        &self,
        known: &[Arc<Run>],
    ) -> Result<(Vec<Arc<Run>>, Vec<Damage>), Error> {
        for attempt in 1.. {
            let mut found = Vec::new();
            let mut problems = Vec::new();
            let mut vanished = false;
            for name in self.list()?.runs {
                match self.reopen(name, known) {
                    Ok(run) => found.push(run),
                    Err(Error::Damaged(damage)) => problems.push(damage),
                    // The writer merged it away after it was listed.
                    Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                        vanished = true;
                    }
                    Err(error) => return Err(error),
                }
            }
            if !vanished || attempt == ATTEMPTS {
                return Ok((Chosen::of(found).covering, problems));
            }
        }
        Ok((Vec::new(), Vec::new()))
    }

    fn reopen(&self, name: RunName, known: &[Arc<Run>]) -> Result<Arc<Run>, Error> {
        match known.iter().find(|run| run.name() == name) {
            Some(run) => Ok(run.clone()),
            None => self.open(name),
        }
    }

    pub(super) fn open(&self, name: RunName) -> Result<Arc<Run>, Error> {
        Run::open(self, name).map(Arc::new)
    }

    pub(super) fn file(&self, name: RunName) -> PathBuf {
        self.path.join(name.file_name())
    }

    pub(super) fn list(&self) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        let entries = match self.fs.list(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(listing),
            entries => entries.map_err(Error::io("list", &self.path))?,
        };
        for entry in entries {
            if entry.kind == FileKind::File && is_temporary(&entry.name) {
                listing.temporaries.push(entry.name);
            } else if entry.kind == FileKind::File
                && let Some(name) = RunName::parse(&entry.name)
            {
                listing.runs.push(name);
            } else {
                listing.unknown.push(entry.name);
            }
        }
        Ok(listing)
    }

    pub(super) fn sync(&self) -> Result<(), Error> {
        self.fs
            .sync_dir(&self.path)
            .map_err(Error::io("sync", &self.path))
    }

    /// Removes a file; one that is gone already is no error.
    pub(super) fn remove(&self, path: &Path) -> Result<(), Error> {
        match self.fs.remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
            _ => Ok(()),
        }
    }
}

/// What is in the directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) runs: Vec<RunName>,
    pub(super) temporaries: Vec<OsString>,
    pub(super) unknown: Vec<OsString>,
}

/// The range of a run, which is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RunName {
    pub(super) first: u64,
    pub(super) level: u8,
}

impl RunName {
    /// The name in its one spelling; `None` for any other and for ranges that no run has.
    pub(super) fn parse(name: &OsStr) -> Option<Self> {
        let text = name.to_str()?;
        let (first, level) = text.strip_suffix(".run")?.split_once('-')?;
        let name = Self {
            first: u64::from_str_radix(first, 16).ok()?,
            level: u8::from_str_radix(level, 16).ok()?,
        };
        let range = name.level <= MAX_LEVEL && name.first.is_multiple_of(span(name.level));
        // Sequences stay below 2^63: the values of records need the bit above.
        let room = name.first < (1 << 63) - span(MAX_LEVEL);
        (range && room && name.file_name() == text).then_some(name)
    }

    pub(super) fn file_name(self) -> String {
        format!("{:016x}-{:02x}.run", self.first, self.level)
    }

    pub(super) fn end(self) -> u64 {
        self.first + span(self.level)
    }
}

/// The runs found, by what becomes of them.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// They cover the sequences from 0 on without a gap.
    pub(super) covering: Vec<Arc<Run>>,
    /// In order, behind a gap: good, and of use once the gap is filled.
    pub(super) behind: Vec<Arc<Run>>,
    /// Inputs of a merged run that is there too.
    pub(super) merged: Vec<Arc<Run>>,
}

impl Chosen {
    pub(super) fn of(mut runs: Vec<Arc<Run>>) -> Self {
        // Of the runs that begin at one place, the one of the highest level first.
        runs.sort_by_key(|run| (run.first(), std::cmp::Reverse(run.level())));
        let mut chosen = Self::default();
        let mut end = 0;
        for run in runs {
            if run.first() < end {
                chosen.merged.push(run);
                continue;
            }
            let gap = run.first() > end || !chosen.behind.is_empty();
            end = run.end();
            match gap {
                true => chosen.behind.push(run),
                false => chosen.covering.push(run),
            }
        }
        chosen
    }
}
