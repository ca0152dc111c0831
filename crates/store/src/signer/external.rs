//! A private key that is elsewhere: behind a command, or with an agent. `docs/signer.md` is the protocol.

use std::{fmt, io, path::Path, sync::Arc};

use factlog_fs::{RealFs, StoreFs};
use factlog_proof::{Checkpoint, Hash, SignAnswer, SignRequest, SignedCheckpoint, VerifierKey};

use super::Signer;
use crate::{Error, Misuse, Refusal};

/// The way to whoever holds a journal's private key.
///
/// It is asked only for what is durable, by one thread at a time, and may take as long as it likes: the
/// appends that wait for it do so too.
pub trait ExternalSigner: fmt::Debug + Send + Sync {
    /// Passes a request on, and gives the answer; `docs/signer.md` describes both.
    ///
    /// # Errors
    /// Whatever keeps it from being answered. The journal then takes no more appends.
    fn ask(&self, request: &str) -> io::Result<String>;
}

/// Holds a journal's private key, and signs what continues all that it has signed before.
///
/// The key's file, its state and its lock are those that a journal leaves which was made with
/// [`Options::signing_key_file`](crate::Options::signing_key_file). What is signed is on the disk before the
/// answer is given, so that no second history can be signed, whatever becomes of the journal.
#[derive(Debug)]
pub struct SigningAgent {
    signer: Signer,
}

impl SigningAgent {
    /// Opens a key; as long as this lives nobody else signs with it here.
    ///
    /// # Errors
    /// `signer.key_permissions`, `signer.key_unreadable`, `signer.in_use`, `signer.state_unreadable`, or
    /// [`Error::Io`].
    pub fn open(key: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_in(Arc::new(RealFs::new()), key)
    }

    /// As [`open`](Self::open), on another file system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(fs: Arc<dyn StoreFs>, key: impl AsRef<Path>) -> Result<Self, Error> {
        let signer = Signer::open(fs, key.as_ref())?;
        Ok(Self { signer })
    }

    /// The public half of the key.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.signer.verifier()
    }

    /// Answers a request. A refusal is an answer too.
    ///
    /// # Errors
    /// [`Misuse::SignRequest`] if it is no request, `signer.other_journal` if it is for another key;
    /// [`Error::Io`] if what is to be signed can't be remembered. Then nothing was signed.
    pub fn answer(&self, request: &str) -> Result<String, Error> {
        let request = SignRequest::parse(request);
        let request = request.map_err(|error| Misuse::SignRequest(error.to_string()))?;
        if request.checkpoint.origin() != self.signer.origin() {
            return Err(Misuse::KeyOfAnotherJournal {
                found: self.signer.origin().to_owned(),
                wanted: request.checkpoint.origin().to_owned(),
            }
            .into());
        }
        // It would be remembered as nothing, and shown as if it were something.
        if request.checkpoint.size() == 0 {
            let detail = "a journal of no event is not signed".to_owned();
            return Err(Misuse::SignRequest(detail).into());
        }
        if let Err(refusal) = request.judge(self.signer.remembered()) {
            return Ok(refusal.to_string());
        }
        let checkpoint = request.checkpoint;
        self.signer.remember(checkpoint.size(), checkpoint.root())?;
        let signature = self.signer.sign(&checkpoint)?;
        let signed = SignedCheckpoint::new(checkpoint, vec![signature]);
        let signed = signed.map_err(|error| Misuse::SignRequest(error.to_string()))?;
        Ok(SignAnswer::Signed(signed).to_string())
    }
}

/// Has a checkpoint signed elsewhere. `from` is the size that was signed last, as far as is known here;
/// `path` proves from there, or from where the signer says.
///
/// # Errors
/// `signer.history_mismatch` if the signer has signed another history; `signer.unavailable`.
pub(super) fn ask(
    agent: &dyn ExternalSigner,
    key: &VerifierKey,
    checkpoint: &Checkpoint,
    from: u64,
    path: &dyn Fn(u64) -> Result<Vec<Hash>, Error>,
) -> Result<SignedCheckpoint, Error> {
    let unavailable = |detail: String| Error::from(Refusal::SignerUnavailable { detail });
    let mut old = from;
    for again in [true, false] {
        let path = match old {
            0 => Vec::new(),
            old => path(old)?,
        };
        let request = SignRequest {
            old,
            path,
            checkpoint: checkpoint.clone(),
        };
        let answer = agent.ask(&request.to_string());
        let answer = answer.map_err(|error| unavailable(error.to_string()))?;
        let answer = SignAnswer::parse(&answer).map_err(|error| unavailable(error.to_string()))?;
        match answer {
            SignAnswer::Signed(signed) => {
                let own = signed.claimed() == checkpoint && signed.signatures().len() == 1;
                if !own || signed.verify(key).is_err() {
                    let detail = "its answer is not signed by the journal's key".to_owned();
                    return Err(unavailable(detail));
                }
                return Ok(signed);
            }
            SignAnswer::ProveFrom(size) if again && size <= checkpoint.size() => old = size,
            SignAnswer::RolledBack(remembered) | SignAnswer::Forked(remembered) => {
                return Err(Refusal::HistoryMismatch { remembered }.into());
            }
            SignAnswer::ProveFrom(_) => break,
        }
    }
    Err(unavailable("it wants another proof each time".to_owned()))
}
