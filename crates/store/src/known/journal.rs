use std::path::PathBuf;

use data_encoding::HEXLOWER;
use factlog_proof::{Hash, Policy, SignedCheckpoint, VerifierKey, verify_consistency};

use super::{KnownError, absolute};

/// What is remembered of one journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownJournal {
    /// The journal's id.
    pub id: [u8; 16],
    /// Its public name, which ends in `/` and the id in hex.
    pub origin: String,
    /// The key that signs its checkpoints, named like the origin; `None` for an unsigned journal.
    pub key: Option<VerifierKey>,
    /// The keys that were known before it, the oldest first; each proved to be replaced by the next.
    pub retired: Vec<VerifierKey>,
    /// The hash of the key that must come after it, if that was announced.
    pub next: Option<[u8; 32]>,
    /// Where the private key is, on the machine of whoever has it.
    pub key_file: Option<PathBuf>,
    /// Checkpoints of the key, in ascending order of size: the newest, and of the older ones one
    /// per doubling of the size.
    pub checkpoints: Vec<SignedCheckpoint>,
    /// The directories in which the journal was met.
    pub paths: Vec<PathBuf>,
}

impl KnownJournal {
    /// The size and root of the newest checkpoint.
    #[must_use]
    pub fn newest(&self) -> Option<(u64, Hash)> {
        self.known_roots().last()
    }

    /// The sizes and roots of the checkpoints, in ascending order.
    pub(super) fn known_roots(&self) -> impl DoubleEndedIterator<Item = (u64, Hash)> {
        let claimed = self.checkpoints.iter().map(SignedCheckpoint::claimed);
        claimed.map(|checkpoint| (checkpoint.size(), checkpoint.root()))
    }

    /// Everything that must hold, signatures included.
    pub(super) fn check(&self) -> Result<(), KnownError> {
        self.check_shape()?;
        self.check_signatures()
    }

    /// Everything that must hold and is cheap to check.
    pub(super) fn check_shape(&self) -> Result<(), KnownError> {
        let invalid = |why| Err(KnownError::Invalid(why));
        let id = HEXLOWER.encode(&self.id);
        if !self
            .origin
            .strip_suffix(&id)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('/'))
        {
            return invalid("its origin does not end in its id");
        }
        match &self.key {
            Some(key) if key.name() != self.origin => {
                return invalid("its key is named otherwise than its origin");
            }
            None if !self.retired.is_empty() => return invalid("it had keys and has none"),
            None if self.next.is_some() => return invalid("a key is announced, and it has none"),
            None if !self.checkpoints.is_empty() => {
                return invalid("it has checkpoints without a key");
            }
            _ => {}
        }
        if self
            .checkpoints
            .iter()
            .any(|checkpoint| checkpoint.claimed().origin() != self.origin)
        {
            return invalid("a checkpoint is one of another journal");
        }
        if !self.known_roots().is_sorted_by(|(a, _), (b, _)| a < b) {
            return invalid("its checkpoints do not grow");
        }
        let distinct = |(i, path)| !self.paths.iter().take(i).any(|other| other == path);
        if !self.paths.iter().enumerate().all(distinct) {
            return invalid("one of its paths stands there twice");
        }
        if !self.paths.iter().all(|path| path.is_absolute()) {
            return invalid("one of its paths is not absolute");
        }
        Ok(())
    }

    pub(super) fn check_signatures(&self) -> Result<(), KnownError> {
        let Some(key) = &self.key else { return Ok(()) };
        let keys = self.retired.iter().chain([key]);
        let policy = Policy::new(keys.cloned())
            .map_err(|_| KnownError::Invalid("two of its keys can't be told apart"))?;
        for checkpoint in &self.checkpoints {
            checkpoint
                .verify_by(&policy)
                .map_err(KnownError::Checkpoint)?;
        }
        Ok(())
    }

    /// Makes its paths absolute, each once.
    pub(super) fn absolute(mut self) -> Self {
        let mut paths: Vec<PathBuf> = Vec::with_capacity(self.paths.len());
        for path in self.paths.iter().map(|path| absolute(path)) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        self.paths = paths;
        self.key_file = self.key_file.as_deref().map(absolute);
        self
    }

    /// Takes in what a second pin of the same journal says.
    pub(super) fn merge(&mut self, other: Self) -> Result<(), KnownError> {
        let known = |key: &VerifierKey| self.retired.contains(key);
        let before = other.key.as_ref().is_some_and(known);
        if (self.key != other.key && !before) || self.origin != other.origin {
            return Err(KnownError::KeyDiffers {
                id: self.id,
                pinned: self.identity(),
                shown: other.identity(),
            });
        }
        if let Some((size, _)) = self.known_roots().find(|(size, root)| {
            other
                .known_roots()
                .any(|(other_size, other)| other_size == *size && other != *root)
        }) {
            return Err(KnownError::Forked { size });
        }
        if self.checkpoints.is_empty() {
            self.checkpoints = other.checkpoints;
        }
        if self.key == other.key {
            self.next = self.next.or(other.next);
        }
        self.key_file = other.key_file.or(self.key_file.take());
        for path in other.paths {
            if !self.paths.contains(&path) {
                self.paths.push(path);
            }
        }
        Ok(())
    }

    fn identity(&self) -> String {
        match &self.key {
            Some(key) => key.to_string(),
            None => format!("{}, unsigned", self.origin),
        }
    }

    /// See [`KnownJournals::advance_with`](super::KnownJournals::advance_with).
    pub(super) fn advance(
        &mut self,
        checkpoint: &SignedCheckpoint,
        path_from: impl FnOnce(u64) -> Vec<Hash>,
    ) -> Result<(), KnownError> {
        let key = self.key.as_ref().ok_or(KnownError::Unsigned(self.id))?;
        let claimed = checkpoint.verify(key).map_err(KnownError::Checkpoint)?;
        let (size, root) = (claimed.size(), claimed.root());
        if self
            .known_roots()
            .any(|(known, other)| known == size && other != root)
        {
            return Err(KnownError::Forked { size });
        }
        let path = match self.newest() {
            Some((known, _)) if size < known => {
                return Err(KnownError::Behind { known, shown: size });
            }
            Some((known, _)) if size == known => return Ok(()),
            Some((known, _)) => path_from(known),
            None => path_from(0),
        };
        match self.newest() {
            Some((known, old_root)) => verify_consistency(known, &old_root, size, &root, &path)
                .map_err(|reason| KnownError::NotConsistent { known, reason })?,
            None if path.is_empty() => {}
            None => {
                let reason = factlog_proof::ProofError::PathLength;
                return Err(KnownError::NotConsistent { known: 0, reason });
            }
        }
        self.keep_one_per_doubling();
        self.checkpoints.push(checkpoint.clone());
        Ok(())
    }

    /// Before a newer one comes: the newest so far goes, unless it is the first of its doubling.
    fn keep_one_per_doubling(&mut self) {
        let doubling = |(size, _): (u64, Hash)| size.checked_ilog2();
        let last = self.known_roots().next_back().map(doubling);
        let before = self.known_roots().rev().nth(1).map(doubling);
        if before.is_some() && last == before {
            self.checkpoints.pop();
        }
    }
}
