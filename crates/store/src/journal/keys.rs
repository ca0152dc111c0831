//! Who signs a journal: found at a creation and at an open, and changed in between.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use factlog_format::{Digest, JournalId, KeyRevoked, SigningPolicyCode, next_key_hash};
use factlog_proof::{SigningKey, VerifierKey};
use zeroize::Zeroizing;

use super::{Journal, parts::absolute};
use crate::{
    Error, KnownError, Misuse, Options, Refusal, SigningPolicy,
    commit::KeyChange,
    config::{KeySource, named_after},
    recover::{Floors, Found},
    signer::{Signer, read_state_only},
};

/// How a journal's key is to be replaced.
#[derive(Debug, Default)]
pub struct Rotation {
    key: Option<SigningKey>,
    next: Option<Digest>,
}

impl Rotation {
    /// By a fresh key, kept where the old one is: beside its file, under a name of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// By this key, which must be named after the journal's origin.
    #[must_use]
    pub fn key(self, key: SigningKey) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// Announces the key that will come after the new one: no other can. Whoever steals the new key
    /// then can't hand the journal over to a key of theirs.
    #[must_use]
    pub fn then(self, next: &VerifierKey) -> Self {
        Self {
            next: Some(next_key_hash(next.public_key())),
            ..self
        }
    }
}

/// A key that was replaced.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rotated {
    /// Sequence of the event that tells of it.
    pub sequence: u64,
    /// The key that signs from there on.
    pub key: VerifierKey,
    /// Where its private half is, if that is a file.
    pub key_file: Option<PathBuf>,
}

impl Journal {
    /// Replaces the journal's key. The event and the checkpoint behind it are signed by both, so that
    /// whoever knows only the first key can follow; see [`KnownJournals::follow`](crate::KnownJournals::follow).
    ///
    /// The old key's file stays; keep it until everyone who relies on it has followed, then destroy it.
    ///
    /// # Errors
    /// [`Misuse::Unsigned`], [`Misuse::KeyOfAnotherJournal`], [`Misuse::KeyRefused`] if the key was one of
    /// the journal's before or isn't the one announced, `signer.key_exists`; and as
    /// [`append`](Self::append).
    pub fn rotate_key(&self, rotation: Rotation) -> Result<Rotated, Error> {
        let writer = self.writer()?;
        let id = self.reader.id();
        let origin = self.reader.origin().to_owned();
        if self.reader.verifier_key().is_none() {
            return Err(Misuse::Unsigned.into());
        }
        if matches!(self.key_source, KeySource::External(..)) {
            let why = "the key is held elsewhere; it is replaced where it is at hand as a file";
            return Err(Misuse::KeyRefused(why).into());
        }
        let key = match rotation.key {
            Some(key) => key,
            None => fresh_key(writer.random.as_ref(), &origin)?,
        };
        if key.verifier().name() != origin {
            let found = key.verifier().name().to_owned();
            return Err(Misuse::KeyOfAnotherJournal {
                found,
                wanted: origin,
            }
            .into());
        }
        // Asked before a file is made.
        let keys = self.reader.shared.keys.load();
        keys.check_new(key.verifier()).map_err(Misuse::KeyRefused)?;
        let verifier = key.verifier().clone();
        let (signer, key_file) = match self.key_source.path(&id) {
            Some(plain) => {
                let path = named_after(&plain, &verifier);
                let signer = Signer::create(Arc::clone(&self.reader.shared.fs), &path, key)?;
                (signer, Some(absolute(&path)))
            }
            None => (Signer::in_memory(key), None),
        };
        let change = KeyChange::Rotate(Arc::new(signer), rotation.next);
        let receipt = writer.change_keys(&change)?;
        self.follow();
        Ok(Rotated {
            sequence: receipt.first_sequence(),
            key: verifier,
            key_file,
        })
    }

    /// Says that signatures of a key that was replaced don't count where they cover the event `from` or
    /// later ones; what it signed before still does, as far as a key that signs now confirms it.
    ///
    /// # Errors
    /// [`Misuse::KeyRefused`] if it is no key of the journal, still signs, or `from` is yet to come; and
    /// as [`append`](Self::append).
    pub fn revoke_key(&self, key: &VerifierKey, from: u64) -> Result<u64, Error> {
        let key = *key.public_key();
        let change = KeyChange::Revoke(KeyRevoked { key, from });
        let receipt = self.writer()?.change_keys(&change)?;
        Ok(receipt.first_sequence())
    }

    /// Lets the user's known journals follow to the key that signs now. A pin that can't be written
    /// fails nothing.
    pub(super) fn follow(&self) {
        let Some(known) = &self.known else { return };
        let id = self.reader.id();
        for _ in 0..self.reader.keys().len() {
            let Ok(Some(pinned)) = known.find(&id) else {
                return;
            };
            let Some(key) = pinned.key else { return };
            let Ok(Some(proof)) = self.reader.rotation_proof(&key) else {
                return;
            };
            if known.follow(&id, &proof).is_err() {
                return;
            }
        }
    }
}

fn fresh_key(random: &dyn crate::Random, origin: &str) -> Result<SigningKey, Error> {
    let mut seed = Zeroizing::new([0u8; 32]);
    random.fill(seed.as_mut());
    Ok(SigningKey::generate(origin, *seed).map_err(|_| Misuse::Origin)?)
}

type CreatedSigner = (
    Option<Arc<Signer>>,
    Option<Zeroizing<String>>,
    Option<PathBuf>,
);

pub(super) fn create_signer(
    options: &Options,
    id: &JournalId,
    origin: &str,
) -> Result<CreatedSigner, Error> {
    let fresh = || fresh_key(options.random.as_ref(), origin);
    Ok(match &options.key {
        KeySource::None => (None, None, None),
        KeySource::Fresh => {
            let key = fresh()?;
            let text = key.to_text();
            (Some(Arc::new(Signer::in_memory(key))), Some(text), None)
        }
        KeySource::Memory(key) => {
            let found = key.verifier().name().to_owned();
            if found != origin {
                return Err(Misuse::KeyOfAnotherJournal {
                    found,
                    wanted: origin.to_owned(),
                }
                .into());
            }
            (
                Some(Arc::new(Signer::in_memory(same_key(key)?))),
                None,
                None,
            )
        }
        KeySource::External(key, _) => {
            return Err(Misuse::KeyOfAnotherJournal {
                found: key.name().to_owned(),
                wanted: origin.to_owned(),
            }
            .into());
        }
        KeySource::File(_) | KeySource::Folder(_) => {
            let Some(path) = options.key.path(id) else {
                return Ok((None, None, None));
            };
            let signer = Signer::create(Arc::clone(&options.fs), &path, fresh()?)?;
            (Some(Arc::new(signer)), None, Some(absolute(&path)))
        }
    })
}

/// The caller keeps its key; the signer zeroizes its own.
fn same_key(key: &SigningKey) -> Result<SigningKey, Error> {
    Ok(SigningKey::from_text(&key.to_text()).map_err(|_| Misuse::Origin)?)
}

/// Under `Required` a missing key refuses before anything is touched.
pub(super) fn require_key(options: &Options, found: &Found) -> Result<(), Error> {
    let demanded = options.signing == SigningPolicy::Required;
    let Some(key) = &found.key else {
        return match demanded {
            true => Err(Misuse::Unsigned.into()),
            false => Ok(()),
        };
    };
    if !demanded && found.created.signing != SigningPolicyCode::Required {
        return Ok(());
    }
    let is_there = |path: &PathBuf| matches!(options.fs.metadata(path), Ok(Some(_)));
    let there = match &options.key {
        KeySource::None | KeySource::Fresh => false,
        KeySource::Memory(_) | KeySource::External(..) => true,
        source => source
            .paths(&found.identity.journal, key)
            .iter()
            .any(is_there),
    };
    if there {
        Ok(())
    } else {
        Err(Refusal::KeyMissing.into())
    }
}

/// The signer of a signed journal, or why there is none: then it opens for reading.
pub(super) fn open_signer(
    options: &Options,
    found: &Found,
) -> Result<(Option<Arc<Signer>>, Option<Error>), Error> {
    let Some(wanted) = &found.key else {
        return Ok((None, None));
    };
    match signer_of(options, found, wanted) {
        Ok(signer) => Ok((Some(signer), None)),
        Err(error @ Error::Misuse(_)) => Err(error),
        Err(error @ Error::Refused(Refusal::KeyMissing))
            if options.signing != SigningPolicy::Required
                && found.created.signing != SigningPolicyCode::Required =>
        {
            Ok((None, Some(error)))
        }
        Err(error @ Error::Refused(Refusal::KeyMissing)) => Err(error),
        Err(error) if found.created.signing == SigningPolicyCode::Required => Err(error),
        Err(error) => Ok((None, Some(error))),
    }
}

/// The signer of the key that the one that signs now has replaced, if it is here and wasn't seen yet to
/// have signed that.
pub(super) fn open_retiring(
    options: &Options,
    found: &Found,
    floors: &Floors,
) -> Option<Arc<Signer>> {
    let before = found.keys.before_live()?;
    let due = before
        .retired
        .is_some_and(|sequence| floors.handed_over <= sequence);
    if !due {
        return None;
    }
    signer_of(options, found, &before.key).ok()
}

/// # Errors
/// `signer.key_missing`; `signer.other_journal` if there are only other keys where it should be; those
/// of [`Signer::open`].
fn signer_of(options: &Options, found: &Found, wanted: &VerifierKey) -> Result<Arc<Signer>, Error> {
    // One that was replaced is not the right one, nor another journal's.
    let older = |signer: &Signer| found.keys.get(signer.verifier().public_key()).is_some();
    let mut why = None;
    let mut right = |signer: Result<Signer, Error>| match signer {
        Ok(signer) => match check_key(&signer, wanted) {
            Ok(()) => Some(Arc::new(signer)),
            Err(_) if older(&signer) => None,
            Err(error) => {
                why.get_or_insert(error);
                None
            }
        },
        Err(error) => {
            why.get_or_insert(error);
            None
        }
    };
    let signer = match &options.key {
        KeySource::None | KeySource::Fresh => None,
        KeySource::Memory(key) => right(same_key(key).map(Signer::in_memory)),
        KeySource::External(key, agent) => right(Ok(Signer::elsewhere(
            VerifierKey::clone(key),
            Arc::clone(agent),
        ))),
        source => {
            let mut there = source.paths(&found.identity.journal, wanted);
            there.retain(|path| !matches!(options.fs.metadata(path), Ok(None)));
            let alone = there.len() == 1;
            // The name of its own comes last, and says the most; once found, the others hinder nothing.
            let mut there = there.iter().rev();
            there.find_map(|path| {
                let wrong = !alone && is_of_another(options, path, wanted);
                let open = || Signer::open(Arc::clone(&options.fs), path);
                (!wrong).then(open).and_then(&mut right)
            })
        }
    };
    signer.ok_or_else(|| why.unwrap_or_else(|| Refusal::KeyMissing.into()))
}

/// Whether the state beside a key says that it is another.
fn is_of_another(options: &Options, path: &Path, wanted: &VerifierKey) -> bool {
    read_state_only(options.fs.as_ref(), path).is_ok_and(|state| state.key != *wanted)
}

fn check_key(signer: &Signer, wanted: &VerifierKey) -> Result<(), Error> {
    if signer.verifier() == *wanted {
        return Ok(());
    }
    let (found, wanted) = (signer.verifier().to_string(), wanted.to_string());
    Err(Misuse::KeyOfAnotherJournal { found, wanted }.into())
}

/// Everything outside the active segment that says how far the journal had come.
pub(super) fn floors(
    options: &Options,
    found: &Found,
    signer: Option<&Signer>,
) -> Result<Floors, Error> {
    let fs = options.fs.as_ref();
    let keys = &found.keys;
    let mut floors = Floors {
        signer: signer.and_then(Signer::remembered),
        ..Floors::default()
    };
    floors.consider_kept(fs, &found.layout, keys)?;
    let rows = found.manifest.rows.iter();
    let named: Vec<_> = rows
        .map(|row| (row.first_sequence, row.generation))
        .collect();
    floors.consider_orphans(fs, &found.layout, &found.identity.journal, &named)?;
    floors.foreign = floors.checkpoints.len();
    if let Some(known) = &options.known {
        known.check_path(&absolute(&found.layout.dir), &found.identity.journal)?;
        if let Some(known) = known.find(&found.identity.journal)? {
            let pinned = known.key.as_ref();
            let same = match pinned {
                Some(pinned) => keys
                    .get(pinned.public_key())
                    .is_some_and(|own| own.key == *pinned),
                None => found.key.is_none(),
            };
            if !same {
                // Else a journal that was rewritten without a key would pass for an unsigned one.
                let text = |key: Option<&VerifierKey>| {
                    key.map_or_else(|| "unsigned".to_owned(), ToString::to_string)
                };
                return Err(KnownError::KeyDiffers {
                    id: found.identity.journal,
                    pinned: text(pinned),
                    shown: text(found.key.as_ref()),
                }
                .into());
            }
            for checkpoint in &known.checkpoints {
                floors.consider(checkpoint, keys);
            }
        }
    }
    for checkpoint in &options.evidence {
        floors.consider(checkpoint, keys);
    }
    Ok(floors)
}
