//! A witness (C2SP tlog-witness) without its transport: what it asks, remembers and answers.

use std::fmt;

use thiserror::Error;

use crate::{
    CheckpointError, CosigningKey, Hash, NoteSignature, Policy, ProofError, SignedCheckpoint, text,
    verify_consistency,
};

const MAX_PATH: usize = 63;
/// Old size, path and a checkpoint.
const MAX_REQUEST: usize = 68 << 10;

/// What a log asks of a witness: to cosign a checkpoint, shown to continue the one of `old` leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the checkpoint that the witness cosigned last; 0 if none.
    pub old: u64,
    /// The consistency proof from there (RFC 6962, section 2.1.2).
    pub path: Vec<Hash>,
    /// The checkpoint, signed by the log.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Reads the body of a request. Takes one spelling only.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Malformed`], and what is wrong with the checkpoint.
    pub fn parse(request: &[u8]) -> Result<Self, WitnessError> {
        let malformed = WitnessError::Malformed;
        if request.len() > MAX_REQUEST {
            return Err(malformed);
        }
        let request = std::str::from_utf8(request).map_err(|_| WitnessError::Malformed)?;
        let (head, checkpoint) = request.split_once("\n\n").ok_or(malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(text::decode_decimal);
        let old = old.ok_or(WitnessError::Malformed)?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() == MAX_PATH {
                return Err(WitnessError::Malformed);
            }
            path.push(Hash::from_base64(line).ok_or(WitnessError::Malformed)?);
        }
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes())?;
        Ok(Self {
            old,
            path,
            checkpoint,
        })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.path {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// What a witness keeps: of each log that it knows the newest checkpoint that it cosigned.
///
/// From [`last`](Self::last) to the end of [`keep`](Self::keep) nobody else may change it: an
/// implementation holds a lock as long as it lives.
pub trait WitnessMemory {
    /// Why it could not be read or written.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The keys of a log and its newest checkpoint; `None` for a log that the witness doesn't know. A
    /// known log without a checkpoint was never met.
    ///
    /// # Errors
    ///
    /// Whatever the implementation says. A record that is lost or damaged is an error, never a log that was
    /// never met.
    fn last(&self, origin: &str)
    -> Result<Option<(Policy, Option<SignedCheckpoint>)>, Self::Error>;

    /// Keeps a newer checkpoint of a known log, with the signatures alone that were checked. When it
    /// returns, that is durable.
    ///
    /// # Errors
    ///
    /// Whatever the implementation says; then nothing is cosigned.
    fn keep(&mut self, checkpoint: &SignedCheckpoint) -> Result<(), Self::Error>;
}

/// Watches that logs only grow: it cosigns a checkpoint only if it continues the one before.
#[derive(Debug)]
pub struct Witness {
    key: CosigningKey,
}

/// An answer of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cosigned {
    /// The checkpoint as it was asked for, and this signature behind the others; of those only the log's
    /// were checked.
    pub checkpoint: SignedCheckpoint,
    /// The witness had never met the log, so it vouches for no earlier history: trust on first use.
    pub first_contact: bool,
}

impl Witness {
    /// A witness with this key.
    #[must_use]
    pub fn new(key: CosigningKey) -> Self {
        Self { key }
    }

    /// Checks a request, keeps the checkpoint, and only then cosigns it, at a time in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`WitnessError`]. Nothing was kept, but for [`WitnessError::Signature`].
    pub fn add_checkpoint<M: WitnessMemory>(
        &self,
        memory: &mut M,
        request: &AddCheckpoint,
        time: u64,
    ) -> Result<Cosigned, WitnessError> {
        let failed = |error: M::Error| WitnessError::Memory(Box::new(error));
        let claimed = request.checkpoint.claimed();
        let (policy, last) = memory
            .last(claimed.origin())
            .map_err(failed)?
            .ok_or(WitnessError::UnknownLog)?;
        let (checkpoint, signers) = request.checkpoint.verify_by(&policy)?;
        let (size, root) = (checkpoint.size(), checkpoint.root());
        if request.old > size {
            return Err(WitnessError::SizesReversed);
        }
        let known = last.as_ref().map(|last| last.claimed());
        let known_size = known.map_or(0, |known| known.size());
        match known {
            Some(known) if known.size() == size && known.root() != root => {
                return Err(WitnessError::Forked { size });
            }
            Some(known) if known.size() > size => {
                return Err(WitnessError::RolledBack {
                    known: known.size(),
                });
            }
            _ => {}
        }
        if request.old != known_size {
            return Err(WitnessError::Conflict { known: known_size });
        }
        match known {
            Some(known) => {
                let path = &request.path;
                verify_consistency(known.size(), &known.root(), size, &root, path)
                    .map_err(WitnessError::NotConsistent)?;
            }
            None if request.path.is_empty() => {}
            None => return Err(WitnessError::NotConsistent(ProofError::PathLength)),
        }
        let first_contact = known.is_none();
        if known.is_none_or(|known| known.size() < size) {
            // A line that nobody checked could pass for one of a key that is trusted later.
            let mut checked = request.checkpoint.signatures().to_vec();
            checked.retain(|line| {
                let mut signers = signers.iter();
                signers.any(|key| (key.name(), key.key_id()) == (line.name(), line.key_id()))
            });
            let kept = SignedCheckpoint::new(checkpoint.clone(), checked)?;
            memory.keep(&kept).map_err(failed)?;
        }
        let cosignature = (self.key.cosign(checkpoint, time)).map_err(CheckpointError::Note);
        let cosignature = cosignature.map_err(WitnessError::Signature)?;
        // Of an earlier time, or anybody's under this name: only the new one stands there.
        let key = self.key.verifier();
        let others = request.checkpoint.signatures().iter();
        let mut signatures: Vec<NoteSignature> = others
            .filter(|other| (other.name(), other.key_id()) != (key.name(), key.key_id()))
            .cloned()
            .collect();
        signatures.push(cosignature);
        let checkpoint = SignedCheckpoint::new(checkpoint.clone(), signatures);
        Ok(Cosigned {
            checkpoint: checkpoint.map_err(WitnessError::Signature)?,
            first_contact,
        })
    }
}

/// Why a witness doesn't cosign.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The request isn't an old size, hashes, a blank line and a checkpoint.
    #[error("the request is not in its one valid spelling")]
    Malformed,
    /// The witness doesn't watch this log.
    #[error("the witness does not know this log")]
    UnknownLog,
    /// The checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The old size is larger than the new one.
    #[error("the old size is larger than that of the checkpoint")]
    SizesReversed,
    /// The proof begins elsewhere than at the checkpoint that the witness cosigned last.
    #[error("the witness has cosigned {known} leaves, and the proof begins elsewhere")]
    Conflict {
        /// How many leaves the last checkpoint has.
        known: u64,
    },
    /// The checkpoint is smaller than one that the witness has cosigned.
    #[error(
        "the log is shorter than the {known} leaves that the witness has cosigned: it was rolled back"
    )]
    RolledBack {
        /// How many leaves the last checkpoint has.
        known: u64,
    },
    /// The log signed two roots of one size.
    #[error("the log has signed two histories of {size} leaves: it was forked")]
    Forked {
        /// The size.
        size: u64,
    },
    /// The proof doesn't hold.
    #[error("the checkpoint is not shown to continue what the witness has cosigned: {0}")]
    NotConsistent(#[source] ProofError),
    /// The witness's own records can't be read or written.
    #[error("the witness's records fail: {0}")]
    Memory(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The cosignature can't be added to the checkpoint.
    #[error("the cosignature can't be added: {0}")]
    Signature(#[source] CheckpointError),
}

impl WitnessError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "witness.malformed",
            Self::UnknownLog => "witness.unknown_log",
            Self::Checkpoint(error) | Self::Signature(error) => error.code(),
            Self::SizesReversed => "proof.sizes_reversed",
            Self::Conflict { .. } => "witness.conflict",
            Self::RolledBack { .. } => "history.rolled_back",
            Self::Forked { .. } => "history.forked",
            Self::NotConsistent(_) => "witness.not_consistent",
            Self::Memory(_) => "witness.memory",
        }
    }
}
