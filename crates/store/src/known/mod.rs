//! What a user remembers of journals, like ssh's `known_hosts`: on one's own machine a
//! verification is then complete without arguments.
//!
//! A pin is made at creation, or after a verification with a key that was given by hand; never on
//! a journal's own word. It advances only to checkpoints that the pinned key signed and that are
//! shown to continue what is known. `docs/keys-and-known-journals.md` describes the file.

mod error;
mod file;
mod follow;
mod journal;
mod standing;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use data_encoding::HEXLOWER;
use factlog_fs::{FileLock, LockError, RealFs, StoreFs};
use factlog_proof::{Hash, SignedCheckpoint};

use crate::{
    Error, Refusal,
    signer::{beside, create_private_dirs, split},
};

pub use error::KnownError;
pub use follow::RotationProof;
pub use journal::KnownJournal;
pub use standing::Standing;

/// How often, and how far apart, a lock is asked for: a second in all. It is held for the time of
/// one small write.
const LOCK_ATTEMPTS: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The file in which a user remembers journals.
///
/// Every call reads it anew, and every change is made under a lock, so processes can share it. A
/// file that isn't there is an empty one; a damaged one is an error, never an empty one. Relative
/// paths of journals are made absolute; links in them are not resolved, which is up to the
/// caller.
#[derive(Clone, Debug)]
pub struct KnownJournals {
    fs: Arc<dyn StoreFs>,
    path: PathBuf,
}

impl KnownJournals {
    /// The known journals of this file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::with_fs(Arc::new(RealFs::new()), path)
    }

    /// The known journals of this file on another file system.
    pub fn with_fs(fs: Arc<dyn StoreFs>, path: impl Into<PathBuf>) -> Self {
        Self {
            fs,
            path: path.into(),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All known journals, in the order in which they became known. Signatures of their
    /// checkpoints are not checked; [`find`](Self::find) does.
    ///
    /// # Errors
    /// `known.unreadable`, `known.newer_version`; [`Error::Io`].
    pub fn list(&self) -> Result<Vec<KnownJournal>, Error> {
        file::read(self.fs.as_ref(), &self.path)
    }

    /// What is known of a journal; the signatures of its checkpoints are checked.
    ///
    /// # Errors
    /// As [`list`](Self::list); `known.unreadable` also if a checkpoint isn't one of the pinned
    /// key.
    pub fn find(&self, id: &[u8; 16]) -> Result<Option<KnownJournal>, Error> {
        self.checked(self.list()?.into_iter().find(|journal| journal.id == *id))
    }

    /// What is known of the journal that is pinned at this directory.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_path(&self, dir: &Path) -> Result<Option<KnownJournal>, Error> {
        let dir = absolute(dir);
        self.checked(
            self.list()?
                .into_iter()
                .find(|journal| journal.paths.contains(&dir)),
        )
    }

    /// Checks that no other journal is known at this directory.
    ///
    /// # Errors
    /// `known.replaced`; those of [`list`](Self::list).
    pub fn check_path(&self, dir: &Path, id: &[u8; 16]) -> Result<(), Error> {
        Ok(no_other_at(&self.list()?, &absolute(dir), id)?)
    }

    /// Remembers a journal: at its creation, or after a verification with a key given by hand.
    ///
    /// Of one that is known already the paths are added and the key file is replaced; checkpoints
    /// are taken in only if none is kept yet, since [`advance`](Self::advance) is how they grow.
    ///
    /// # Errors
    /// `known.key_differs` if it is known with another key; `known.replaced` if one of its paths
    /// belongs to another; `known.invalid`, or the code of the checkpoint, if what is given
    /// contradicts itself; those of [`list`](Self::list) and `known.locked`.
    pub fn pin(&self, journal: KnownJournal) -> Result<(), Error> {
        let journal = journal.absolute();
        journal.check()?;
        self.change(|journals| {
            for path in &journal.paths {
                no_other_at(journals, path, &journal.id)?;
            }
            match journals.iter_mut().find(|known| known.id == journal.id) {
                Some(known) => known.merge(journal)?,
                None => journals.push(journal),
            }
            Ok(())
        })
    }

    /// Takes in a newer checkpoint that `consistency_path` proves to continue the newest kept one
    /// (none kept: an empty path).
    ///
    /// The pin may have advanced since the path was made; [`advance_with`](Self::advance_with)
    /// makes it under the lock.
    ///
    /// # Errors
    /// As [`advance_with`](Self::advance_with).
    pub fn advance(
        &self,
        id: &[u8; 16],
        checkpoint: &SignedCheckpoint,
        consistency_path: &[Hash],
    ) -> Result<(), Error> {
        self.advance_with(id, checkpoint, |_| consistency_path.to_vec())
    }

    /// Takes in a newer checkpoint; `path_from` is asked, under the lock, for the consistency
    /// proof from the size of the newest kept checkpoint to the new one.
    ///
    /// A checkpoint of the newest kept size and root changes nothing. Of older ones one per
    /// doubling of the size is kept.
    ///
    /// # Errors
    /// `known.not_found`; `known.unsigned`; the checkpoint's code if it isn't signed by the
    /// pinned key for its origin; `known.behind` if a larger one is kept; `history.forked` if one
    /// of the same size has another root; `known.not_consistent` if the proof doesn't hold; those
    /// of [`list`](Self::list) and `known.locked`.
    pub fn advance_with(
        &self,
        id: &[u8; 16],
        checkpoint: &SignedCheckpoint,
        path_from: impl FnOnce(u64) -> Vec<Hash>,
    ) -> Result<(), Error> {
        self.change(|journals| {
            let known = journals.iter_mut().find(|journal| journal.id == *id);
            let known = known.ok_or(KnownError::Unknown(*id))?;
            self.check_signatures(known)?;
            Ok(known.advance(checkpoint, path_from)?)
        })
    }

    /// Follows a journal to the key that took the place of the known one. Only what the known key itself
    /// has signed proves that.
    ///
    /// # Errors
    /// `known.not_found`; `known.unsigned`; `known.not_followed`; those of [`list`](Self::list) and
    /// `known.locked`.
    pub fn follow(&self, id: &[u8; 16], proof: &RotationProof) -> Result<(), Error> {
        self.change(|journals| {
            let known = journals.iter_mut().find(|journal| journal.id == *id);
            let known = known.ok_or(KnownError::Unknown(*id))?;
            self.check_signatures(known)?;
            Ok(proof.apply(known)?)
        })
    }

    /// Remembers one more directory of a known journal.
    ///
    /// # Errors
    /// `known.not_found`; `known.replaced`; those of [`list`](Self::list) and `known.locked`.
    pub fn add_path(&self, id: &[u8; 16], dir: &Path) -> Result<(), Error> {
        let dir = absolute(dir);
        self.change(|journals| {
            no_other_at(journals, &dir, id)?;
            let known = journals.iter_mut().find(|journal| journal.id == *id);
            let paths = &mut known.ok_or(KnownError::Unknown(*id))?.paths;
            if !paths.contains(&dir) {
                paths.push(dir);
            }
            Ok(())
        })
    }

    /// Forgets a journal, as its user asked. Returns whether it was known.
    ///
    /// # Errors
    /// Those of [`list`](Self::list) and `known.locked`.
    pub fn forget(&self, id: &[u8; 16]) -> Result<bool, Error> {
        let mut found = false;
        self.change(|journals| {
            found = journals.iter().any(|journal| journal.id == *id);
            journals.retain(|journal| journal.id != *id);
            Ok(())
        })?;
        Ok(found)
    }

    /// Remembers a journal in place of whatever was known of its id and at its paths, as its user
    /// asked. Of journals that were known at its paths the rest stays known.
    ///
    /// # Errors
    /// `known.invalid`, or the code of the checkpoint, if what is given contradicts itself; those
    /// of [`list`](Self::list) and `known.locked`.
    pub fn accept(&self, journal: KnownJournal) -> Result<(), Error> {
        let journal = journal.absolute();
        journal.check()?;
        self.change(|journals| {
            for other in journals.iter_mut() {
                other.paths.retain(|path| !journal.paths.contains(path));
            }
            match journals.iter_mut().find(|known| known.id == journal.id) {
                Some(known) => *known = journal,
                None => journals.push(journal),
            }
            Ok(())
        })
    }

    fn checked(&self, journal: Option<KnownJournal>) -> Result<Option<KnownJournal>, Error> {
        if let Some(journal) = &journal {
            self.check_signatures(journal)?;
        }
        Ok(journal)
    }

    /// What is kept counts only as far as the pinned key signed it.
    fn check_signatures(&self, journal: &KnownJournal) -> Result<(), Error> {
        let unreadable = |error| {
            let id = HEXLOWER.encode(&journal.id);
            file::unreadable(&self.path, format!("journal {id}: {error}"))
        };
        Ok(journal.check_signatures().map_err(unreadable)?)
    }

    /// Reads, changes and writes the file under its lock. What didn't change isn't written.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<KnownJournal>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (dir, name) = split(&self.path)?;
        create_private_dirs(self.fs.as_ref(), dir)?;
        let _lock = self.lock()?;
        let before = self.list()?;
        let mut after = before.clone();
        change(&mut after)?;
        if after == before {
            return Ok(());
        }
        file::write(self.fs.as_ref(), dir, name, &after)
    }

    fn lock(&self) -> Result<Box<dyn FileLock>, Error> {
        let path = beside(&self.path, ".lock");
        for attempt in 0..LOCK_ATTEMPTS {
            if attempt > 0 {
                thread::sleep(LOCK_PAUSE);
            }
            match self.fs.lock(&path) {
                Ok(lock) => return Ok(lock),
                Err(LockError::Held) => {}
                Err(LockError::Io(source)) => return Err(Error::io("lock", &path)(source)),
                Err(error) => {
                    let detail = error.to_string();
                    return Err(Refusal::FileSystem { path, detail }.into());
                }
            }
        }
        Err(KnownError::Locked(self.path.clone()).into())
    }
}

fn no_other_at(journals: &[KnownJournal], path: &PathBuf, id: &[u8; 16]) -> Result<(), KnownError> {
    match journals.iter().find(|journal| journal.paths.contains(path)) {
        Some(other) if other.id != *id => Err(KnownError::Replaced {
            path: path.clone(),
            pinned: other.id,
            found: *id,
        }),
        _ => Ok(()),
    }
}

/// Without the working directory nothing better than the path itself is to be had.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
