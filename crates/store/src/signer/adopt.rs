//! Giving a key a journal back that it remembers otherwise, or a key that has lost its memory.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use factlog_fs::{RealFs, StoreFs};
use factlog_proof::{Hash, SignedCheckpoint, VerifierKey, verify_consistency};

use super::{lock, read_key, split, state};
use crate::{
    Authenticity, Error, Journal, Misuse, Options, Refusal, RegistryCheck, Report, VerifyOptions,
    config::named_after,
    journal::take_lock,
    recover::{Found, find},
    verify,
};

type Prove<'p> = Box<dyn Fn(u64, u64) -> Result<Vec<Hash>, String> + 'p>;

/// What is shown so that a key signs a journal again that is `signer.history_mismatch`, or of which it has
/// lost the memory (`signer.state_unreadable`).
///
/// ```no_run
/// use factlog::{Adopted, Adoption};
///
/// // The disk is gone, and the newest copy lacks 12 events; what was published of the journal proves it a prefix.
/// # let published = |from: u64, to: u64| -> Result<Vec<factlog::Hash>, String> { Err(String::new()) };
/// let adoption = Adoption::new().proof(published).give_up(12);
/// let adopted = adoption.adopt("/srv/ledger", "/secure/ledger.key")?;
/// assert_eq!(adopted, Adopted::GaveUp { events: 12 });
/// # Ok::<(), factlog::Error>(())
/// ```
pub struct Adoption<'p> {
    fs: Arc<dyn StoreFs>,
    evidence: Vec<SignedCheckpoint>,
    proof: Option<Prove<'p>>,
    give_up: Option<u64>,
    nothing_past: Option<u64>,
}

/// What an adoption came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Adopted {
    /// Nothing was to be done: the journal continues all that the key remembers.
    Continues,
    /// The key remembers that it has signed so many events: the most of what was shown and what the journal
    /// itself holds under its signature.
    Remembers {
        /// How many.
        events: u64,
    },
    /// The key goes on from where this journal ends. What it has signed past that contradicts the journal from
    /// now on.
    GaveUp {
        /// How many events it had signed past that.
        events: u64,
    },
}

impl<'p> Adoption<'p> {
    /// On the real file system, with nothing to show.
    #[must_use]
    pub fn new() -> Self {
        Self {
            fs: Arc::new(RealFs::new()),
            evidence: Vec::new(),
            proof: None,
            give_up: None,
            nothing_past: None,
        }
    }

    /// The file system that journal and key are on.
    #[must_use]
    pub fn file_system(self, fs: Arc<dyn StoreFs>) -> Self {
        Self { fs, ..self }
    }

    /// A checkpoint that the key has signed: from an anchor, a witness, or the known journals.
    #[must_use]
    pub fn evidence(mut self, checkpoint: SignedCheckpoint) -> Self {
        self.evidence.push(checkpoint);
        self
    }

    /// Makes the proof that the tree of a smaller size is a prefix of that of a larger one, as
    /// [`Reader::consistency`](crate::Reader::consistency) of a newer copy does, or what was published of it. It
    /// is checked, so it may come from anybody.
    #[must_use]
    pub fn proof(self, proof: impl Fn(u64, u64) -> Result<Vec<Hash>, String> + 'p) -> Self {
        Self {
            proof: Some(Box::new(proof)),
            ..self
        }
    }

    /// Gives up the events that the key has signed past this journal's end: exactly so many.
    #[must_use]
    pub fn give_up(self, events: u64) -> Self {
        Self {
            give_up: Some(events),
            ..self
        }
    }

    /// Says that the key has signed nothing past so many events, which nobody can check once its memory is lost.
    /// It must be the most that is shown, or that the journal holds under its signature.
    #[must_use]
    pub fn nothing_past(self, events: u64) -> Self {
        Self {
            nothing_past: Some(events),
            ..self
        }
    }

    /// Lets the key sign the journal in `dir` from now on, if what it has signed before is provably a prefix of
    /// it, or if it is provably a true prefix of that and the rest is given up. Of a key that was replaced, the file beside
    /// it is taken that holds the one that signs now.
    ///
    /// The whole journal is verified first. Nothing but the signer's state is written, and nothing at all where
    /// it is refused.
    ///
    /// # Errors
    /// `signer.not_adopted`, which says what is missing; `journal.locked`, `signer.in_use`,
    /// `signer.other_journal`, `signer.key_permissions`, `signer.key_unreadable`, and what reading comes to.
    pub fn adopt(&self, dir: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Adopted, Error> {
        let dir = dir.as_ref();
        let fs = self.fs.as_ref();
        let found = find(&self.fs, dir)?;
        let key_path = &self.key_path(&found, key.as_ref())?;
        let key = read_key(fs, key_path)?.verifier().clone();
        let _lock = lock(fs, key_path)?;
        let memory = match state::read_state_only(fs, key_path) {
            Ok(state) if state.key == key => Some(state.remembered),
            Ok(_) => None,
            Err(Error::Refused(Refusal::SignerState { detail, .. })) if detail != state::NEWER => {
                None
            }
            Err(error) => return Err(error),
        };
        check_key(&found, &key)?;
        let _journal = take_lock(fs, &found.layout)?;
        // As it stands now that nobody else writes it.
        let found = find(&self.fs, dir)?;
        check_key(&found, &key)?;
        let report = self.verify(dir, &key)?;
        self.refuse_before_a_later_key(&found, key_path, &key)?;
        let mut signed = self.shown(&found)?;
        if memory.is_none() && signed.is_empty() {
            return Err(no(
                "what the key remembered is lost, and nothing was shown that it has signed: show a \
                 checkpoint from an anchor, a witness or another machine",
            ));
        }
        signed.extend(memory.flatten());
        let newest = self.check_one_history(dir, &report, signed)?;
        let lacking = newest.0.saturating_sub(report.events);
        self.check_words(lacking, newest.0, memory.is_none())?;
        let (now, adopted) = match lacking {
            0 if memory.flatten() == Some(newest) => return Ok(Adopted::Continues),
            0 => (newest, Adopted::Remembers { events: newest.0 }),
            events => ((report.events, report.root), Adopted::GaveUp { events }),
        };
        state::write(fs, &state::path_of(key_path), &key, Some(now))?;
        Ok(adopted)
    }

    /// Size and root of the checkpoints that count of those that were shown. That of no event says nothing.
    fn shown(&self, found: &Found) -> Result<Vec<(u64, Hash)>, Error> {
        let mut shown = Vec::new();
        for checkpoint in &self.evidence {
            if !found.keys.has_signed(checkpoint) {
                return Err(no(
                    "a checkpoint that was shown is not signed by the journal's key",
                ));
            }
            // Whoever got hold of a key that was replaced or revoked by then could have made it.
            if !found.keys.vouches_for(checkpoint) {
                continue;
            }
            let claimed = checkpoint.claimed();
            if claimed.size() > 0 {
                shown.push((claimed.size(), claimed.root()));
            }
        }
        Ok(shown)
    }

    /// A copy from before a rotation names the old key, and the new one may have signed on since. It stands
    /// beside the old one, if it is here.
    fn refuse_before_a_later_key(
        &self,
        found: &Found,
        key_path: &Path,
        key: &VerifierKey,
    ) -> Result<(), Error> {
        let (dir, _) = split(key_path)?;
        for entry in self.fs.list(dir).map_err(Error::io("read", dir))? {
            let name = Path::new(&entry.name);
            if name
                .extension()
                .is_none_or(|extension| extension != "state")
            {
                continue;
            }
            let beside = dir.join(name).with_extension("");
            let Ok(state) = state::read_state_only(self.fs.as_ref(), &beside) else {
                continue;
            };
            // A journal's name has its id in it. A rotation that was cut short has left one that signed nothing.
            let other =
                state.key.name() == key.name() && found.keys.get(state.key.public_key()).is_none();
            if let Some((size, _)) = state.remembered.filter(|_| other) {
                return Err(no(format!(
                    "it is from before its key was replaced: {}, which it doesn't know, has signed {size} events \
                     of it. Find the newer copy, or begin a new journal",
                    state.key
                )));
            }
        }
        Ok(())
    }

    /// Where the key is that signs now: a rotation leaves it under a name of its own.
    fn key_path(&self, found: &Found, plain: &Path) -> Result<PathBuf, Error> {
        let own = found.key.as_ref().map(|live| named_after(plain, live));
        if let Some(own) = own
            && let Some(_) = self.fs.metadata(&own).map_err(Error::io("read", &own))?
        {
            return Ok(own);
        }
        Ok(plain.to_owned())
    }

    /// A journal that doesn't hold is nobody's to go on with.
    fn verify(&self, dir: &Path, key: &VerifierKey) -> Result<Report, Error> {
        let options = VerifyOptions::new().file_system(Arc::clone(&self.fs));
        let report = verify(dir, &options.key(key.clone()).internal(true))?;
        if let Some(first) = report.findings.first() {
            let why = format!(
                "the journal itself doesn't hold: {} ({})",
                first.detail, first.code
            );
            return Err(no(why));
        }
        if report.authenticity != Authenticity::Signed {
            return Err(no("nothing in the journal is signed by the key"));
        }
        Ok(report)
    }

    /// The most that the key has signed. All of it must be one history with the journal: the same wherever both
    /// reach, and provably its continuation past that.
    fn check_one_history(
        &self,
        dir: &Path,
        report: &Report,
        mut signed: Vec<(u64, Hash)>,
    ) -> Result<(u64, Hash), Error> {
        let options = Options::new().file_system(Arc::clone(&self.fs));
        let reader = Journal::open_read_only(dir, options.registry_check(RegistryCheck::Off))?;
        let root_at = |size| match size == report.events {
            true => Ok(report.root),
            false => reader.root_at(size),
        };
        // What stands in the journal under its signature, as far as a reader sees it.
        let own = report.signed_through.map_or(0, |through| through + 1);
        let own = match own == report.events {
            true => own,
            false => own.min(reader.len()),
        };
        if own > 0 {
            signed.push((own, root_at(own)?));
        }
        signed.sort_unstable_by_key(|(size, _)| *size);
        signed.dedup();
        for (size, root) in &signed {
            if *size > report.events {
                self.check_prefix(report, *size, *root)?;
            } else if root_at(*size)? != *root {
                return Err(no(format!(
                    "it has another history than the first {size} events that the key has signed. To go on \
                     would sign two: begin a new journal, with a key of its own"
                )));
            }
        }
        let newest = signed.last().copied();
        newest.ok_or_else(|| no("nothing in the journal is signed by the key"))
    }

    fn check_prefix(&self, report: &Report, size: u64, root: Hash) -> Result<(), Error> {
        let Some(prove) = &self.proof else {
            let lacking = size.saturating_sub(report.events);
            return Err(no(format!(
                "it lacks {lacking} events that the key has signed, and nothing shows that it is a true prefix \
                 of them: name a newer copy (--newer), or what was published of it"
            )));
        };
        let path = prove(report.events, size);
        let path = path.map_err(|why| no(format!("the proof can't be made: {why}")))?;
        verify_consistency(report.events, &report.root, size, &root, &path).map_err(|_| {
            no(format!(
                "it isn't shown to be a true prefix of the {size} events that the key has signed. To go on \
                 would sign two histories: begin a new journal, with a key of its own"
            ))
        })
    }

    /// What can't be checked is to be said.
    fn check_words(&self, lacking: u64, newest: u64, forgot: bool) -> Result<(), Error> {
        if lacking > 0 && self.give_up != Some(lacking) {
            return Err(no(format!(
                "it is a true prefix of what the key has signed, and lacks {lacking} events: they are given up \
                 only where that is said (--give-up {lacking})"
            )));
        }
        match self.nothing_past {
            None if !forgot => Ok(()),
            Some(said) if said == newest => Ok(()),
            Some(said) => Err(no(format!(
                "it was said that the key has signed nothing past {said} events, and what is known to be signed \
                 ends at {newest}"
            ))),
            None => Err(no(format!(
                "what the key remembered is lost, and what is known to be signed ends at {newest} events. If it \
                 signed more, of a newer copy, it would sign a second history: say that it hasn't \
                 (--nothing-past {newest})"
            ))),
        }
    }
}

fn check_key(found: &Found, key: &VerifierKey) -> Result<(), Error> {
    let Some(live) = &found.key else {
        return Err(Misuse::Unsigned.into());
    };
    if live == key {
        return Ok(());
    }
    let (found, wanted) = (key.to_string(), live.to_string());
    Err(Misuse::KeyOfAnotherJournal { found, wanted }.into())
}

fn no(why: impl Into<String>) -> Error {
    Refusal::NotAdopted(why.into()).into()
}

impl Default for Adoption<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Adoption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adoption")
            .field("fs", &self.fs)
            .field("evidence", &self.evidence.len())
            .field("proof", &self.proof.is_some())
            .field("give_up", &self.give_up)
            .field("nothing_past", &self.nothing_past)
            .finish()
    }
}
