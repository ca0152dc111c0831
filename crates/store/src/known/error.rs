use std::path::PathBuf;

use data_encoding::HEXLOWER;
use factlog_proof::{CheckpointError, ProofError};
use thiserror::Error;

/// What the user's known journals say against a journal, or why they don't take something in.
///
/// Nothing was changed. A file that can't be read is not here but
/// [`Damage`](crate::Damage), with the code `known.unreadable`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KnownError {
    /// No journal of this id is known.
    #[error("no journal of the id {} is known", Hex(*.0))]
    Unknown([u8; 16]),
    /// The journal is known under another key, or another origin.
    #[error("the journal {} is known with another key: {pinned}, not {shown}", Hex(*.id))]
    KeyDiffers {
        /// The journal's id.
        id: [u8; 16],
        /// The key that is known, or the word `unsigned`.
        pinned: String,
        /// The key that was shown, or the word `unsigned`.
        shown: String,
    },
    /// Another journal is known at this path.
    #[error("{} is known to hold the journal {}, and now holds {}", path.display(), Hex(*.pinned), Hex(*.found))]
    Replaced {
        /// The path.
        path: PathBuf,
        /// The journal that is known there.
        pinned: [u8; 16],
        /// The journal that is there now.
        found: [u8; 16],
    },
    /// What was to be remembered of a journal contradicts itself.
    #[error("the journal can't be remembered: {0}")]
    Invalid(&'static str),
    /// The journal is known as unsigned, so no checkpoint of it can be trusted.
    #[error("the journal {} is known as unsigned, so it has no checkpoints", Hex(*.0))]
    Unsigned([u8; 16]),
    /// The checkpoint isn't signed by the known key.
    #[error("the checkpoint is not one of the known key: {0}")]
    Checkpoint(#[source] CheckpointError),
    /// A larger checkpoint is known already.
    #[error("a checkpoint of {known} events is known already, which is more than {shown}")]
    Behind {
        /// The size of the newest known checkpoint.
        known: u64,
        /// The size that was shown.
        shown: u64,
    },
    /// The known key signed two histories of the same size.
    #[error("two histories of {size} events are signed by the same key: the journal was forked")]
    Forked {
        /// The size.
        size: u64,
    },
    /// The checkpoint was not shown to continue the newest one that is known.
    #[error("the checkpoint is not shown to continue the known one of {known} events: {reason}")]
    NotConsistent {
        /// The size of the newest known checkpoint.
        known: u64,
        /// What is wrong with the proof.
        #[source]
        reason: ProofError,
    },
    /// The proof that another key took the place of the known one does not hold.
    #[error("it is not proved that the known key was replaced: {0}")]
    NotFollowed(String),
    /// Another process holds the lock of the file for too long.
    #[error("{} is locked by another process", .0.display())]
    Locked(PathBuf),
}

impl KnownError {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "known.not_found",
            Self::KeyDiffers { .. } => "known.key_differs",
            Self::Replaced { .. } => "known.replaced",
            Self::Invalid(_) => "known.invalid",
            Self::Unsigned(_) => "known.unsigned",
            Self::Checkpoint(error) => error.code(),
            Self::Behind { .. } => "known.behind",
            Self::Forked { .. } => "history.forked",
            Self::NotConsistent { .. } => "known.not_consistent",
            Self::NotFollowed(_) => "known.not_followed",
            Self::Locked(_) => "known.locked",
        }
    }
}

struct Hex([u8; 16]);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}
