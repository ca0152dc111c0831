//! C2SP tlog-proofs.

use std::fmt;

use super::body::{self, Body, TLOG_PROOF, UNSIGNED_PROOF};
use crate::{Checkpoint, Hash, Policy, ReceiptError, SignedCheckpoint, verify_inclusion};

/// A proof that a leaf is in a signed tree (C2SP tlog-proof), verified or not.
///
/// A journal's receipts are of this form, with the event as extra data; read them as
/// [`UnverifiedReceipt`](crate::UnverifiedReceipt). At most 64 hashes and 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    pub(super) body: Body,
    pub(super) checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// A proof from its parts; nothing of it is verified.
    ///
    /// # Errors
    ///
    /// [`ReceiptError::TooManyHashes`], [`ReceiptError::TooLarge`], or [`ReceiptError::Malformed`]
    /// for extra data that is there but empty.
    pub fn new(
        extra: Option<Vec<u8>>,
        index: u64,
        path: Vec<Hash>,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, ReceiptError> {
        let body = Body::new(extra, index, path)?;
        body.check_len(TLOG_PROOF, checkpoint.encoded_len())?;
        Ok(Self { body, checkpoint })
    }

    /// Reads a proof. Takes one spelling only: what this accepts, `to_string` gives back.
    ///
    /// # Errors
    ///
    /// [`ReceiptError::Unsigned`] for an unsigned proof; otherwise one that is about the form.
    pub fn parse(proof: &[u8]) -> Result<Self, ReceiptError> {
        let (first, lines, checkpoint) = body::split(proof)?;
        match first {
            TLOG_PROOF => {}
            UNSIGNED_PROOF => return Err(ReceiptError::Unsigned),
            _ => return Err(ReceiptError::Malformed),
        }
        let body = Body::parse(lines)?;
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes())?;
        Ok(Self { body, checkpoint })
    }

    /// The checkpoint as it stands there: what the proof *claims*, to explain a refusal with.
    #[must_use]
    pub fn claimed_checkpoint(&self) -> &Checkpoint {
        self.checkpoint.claimed()
    }

    /// Checks that the log of the policy has the leaf with this hash, and gives the index of the
    /// leaf and the signed checkpoint.
    ///
    /// The extra data plays no part in this: nothing signs it.
    ///
    /// # Errors
    ///
    /// [`ReceiptError::Checkpoint`] or [`ReceiptError::Proof`].
    pub fn verify_inclusion_of(
        &self,
        leaf: &Hash,
        policy: &Policy,
    ) -> Result<(u64, &Checkpoint), ReceiptError> {
        let (checkpoint, _) = self.checkpoint.verify_by(policy)?;
        self.check_path(leaf, checkpoint)?;
        Ok((self.body.index, checkpoint))
    }

    pub(super) fn check_path(
        &self,
        leaf: &Hash,
        checkpoint: &Checkpoint,
    ) -> Result<(), ReceiptError> {
        let Body { index, path, .. } = &self.body;
        verify_inclusion(leaf, *index, checkpoint.size(), path, &checkpoint.root())?;
        Ok(())
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TLOG_PROOF}\n{}\n{}", self.body, self.checkpoint)
    }
}
