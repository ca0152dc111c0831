//! Giving a key a journal back that it remembers otherwise, or a key that has lost its memory.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use factlog_fs::{RealFs, StoreFs};
use factlog_proof::{Hash, SignedCheckpoint, VerifierKey, verify_consistency};

use super::{lock, read_key, state};
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
}

/// What an adoption came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Adopted {
    /// Nothing was to be done: the journal continues all that the key remembers.
    Continues,
    /// The key remembers again that it has signed so many events.
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
        let report = self.verify(dir, &key)?;
        let mut signed: Vec<(u64, Hash)> = memory.flatten().into_iter().collect();
        for checkpoint in &self.evidence {
            if !found.keys.has_signed(checkpoint) {
                return Err(no(
                    "a checkpoint that was shown is not signed by the journal's key",
                ));
            }
            let claimed = checkpoint.claimed();
            signed.push((claimed.size(), claimed.root()));
        }
        self.check_common(dir, &report, &signed)?;
        let Some((size, root)) = signed.into_iter().max_by_key(|(size, _)| *size) else {
            return match memory {
                Some(_) => Ok(Adopted::Continues),
                None => Err(no(
                    "what the key remembered is lost, and nothing was shown that it has signed: show a \
                     checkpoint from an anchor, a witness or another machine",
                )),
            };
        };
        let (now, adopted) = match size.checked_sub(report.events) {
            Some(lacking @ 1..) => {
                self.check_prefix(&report, size, root, lacking)?;
                let events = lacking;
                ((report.events, report.root), Adopted::GaveUp { events })
            }
            _ if memory.is_some() => return Ok(Adopted::Continues),
            _ => ((size, root), Adopted::Remembers { events: size }),
        };
        state::write(fs, &state::path_of(key_path), &key, Some(now))?;
        Ok(adopted)
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

    /// Wherever both reach, they must be one history.
    fn check_common(
        &self,
        dir: &Path,
        report: &Report,
        signed: &[(u64, Hash)],
    ) -> Result<(), Error> {
        let options = Options::new().file_system(Arc::clone(&self.fs));
        let reader = Journal::open_read_only(dir, options.registry_check(RegistryCheck::Off))?;
        for (size, root) in signed.iter().filter(|(size, _)| *size <= report.events) {
            let own = match *size == report.events {
                true => report.root,
                false => reader.root_at(*size)?,
            };
            if own != *root {
                return Err(no(format!(
                    "it has another history than the first {size} events that the key has signed. To go on \
                     would sign two: begin a new journal, with a key of its own"
                )));
            }
        }
        Ok(())
    }

    fn check_prefix(
        &self,
        report: &Report,
        size: u64,
        root: Hash,
        lacking: u64,
    ) -> Result<(), Error> {
        let Some(prove) = &self.proof else {
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
        })?;
        if self.give_up == Some(lacking) {
            return Ok(());
        }
        Err(no(format!(
            "it is a true prefix of what the key has signed, and lacks {lacking} events: they are given up only \
             where that is said (--give-up {lacking})"
        )))
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
            .finish()
    }
}
