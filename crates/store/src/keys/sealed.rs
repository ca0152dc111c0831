use std::sync::Arc;

use thiserror::Error;

use crate::Error;

/// Why an encrypted section that is stored can't be decrypted.
///
/// Only [`Shredded`](Self::Shredded) says that it is gone for good. A key that is missing, wrong, older or
/// another journal's never reads as shredded.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Sealed {
    /// Its key was destroyed, as the event of this sequence demanded.
    #[error("it was shredded: event {intent} had its key destroyed")]
    Shredded {
        /// Sequence of the `shred.intended` event.
        intent: u64,
    },
    /// Its key is to be destroyed, and the event that demands it is not durable yet; where the shred failed, only
    /// the next open knows whether it ever will be.
    #[error(
        "its key is to be destroyed, and it isn't known yet whether the event that demands it is durable"
    )]
    ShredPending,
    /// Its key is not in the keyset, and nothing in the journal says why.
    #[error(
        "its key is not in the keyset, and no event says that it was destroyed: look for another copy of the journal's keys folder"
    )]
    KeyMissing,
    /// The keyset calls its key destroyed, and no event of the journal does.
    #[error(
        "the keyset calls its key destroyed, and no event of the journal does: the keyset was tampered with"
    )]
    ForgedTombstone,
    /// The keyset wasn't opened: nobody brought the secret of a recipient.
    #[error("it is encrypted, and the journal's keyset was not opened")]
    Locked,
    /// It is offered under a key that it was not sealed under.
    #[error("its key is not the one that it commits to: it was sealed under another")]
    OtherKey,
    /// The section or the keyset isn't what was written.
    #[error("it can't be decrypted: {0}")]
    Mismatch(&'static str),
    /// The keyset can't be read.
    #[error("the keyset can't be read: {0}")]
    Keyset(Arc<Error>),
    /// This build was made without the feature `encryption`.
    #[error(
        "it is encrypted, and this build can't decrypt anything: it was made without encryption"
    )]
    NotBuilt,
}

impl Sealed {
    /// A stable, machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shredded { .. } => "section.shredded",
            Self::ShredPending => "section.shred_pending",
            Self::KeyMissing => "key.missing",
            Self::ForgedTombstone => "keyset.forged_tombstone",
            Self::Locked => "keyset.locked",
            Self::OtherKey => "section.other_key",
            Self::Mismatch(_) => "section.sealed",
            Self::Keyset(why) => why.code(),
            Self::NotBuilt => "encryption.not_built",
        }
    }
}
