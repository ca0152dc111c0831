//! Proofs of journals that don't sign.

use std::fmt;

use super::body::{self, Body, UNSIGNED_PROOF};
use crate::{Checkpoint, Hash, ReceiptError, verify_inclusion};

/// A proof that a leaf is in a tree whose root nobody signed.
///
/// Laid out like a tlog-proof, with another first line and a checkpoint without signatures. It holds
/// exactly as far as the caller knows the root from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedProof {
    body: Body,
    checkpoint: Checkpoint,
}

impl UnsignedProof {
    /// A proof from its parts; nothing of it is verified.
    ///
    /// # Errors
    ///
    /// As [`TlogProof::new`](crate::TlogProof::new).
    pub fn new(
        extra: Option<Vec<u8>>,
        index: u64,
        path: Vec<Hash>,
        checkpoint: Checkpoint,
    ) -> Result<Self, ReceiptError> {
        let body = Body::new(extra, index, path)?;
        body.check_len(UNSIGNED_PROOF, checkpoint.to_string().len())?;
        Ok(Self { body, checkpoint })
    }

    /// Reads a proof. Takes one spelling only.
    ///
    /// # Errors
    ///
    /// One that is about the form.
    pub fn parse(proof: &[u8]) -> Result<Self, ReceiptError> {
        let (first, lines, checkpoint) = body::split(proof)?;
        if first != UNSIGNED_PROOF {
            return Err(ReceiptError::Malformed);
        }
        let body = Body::parse(lines)?;
        let checkpoint = Checkpoint::parse(checkpoint)?;
        Ok(Self { body, checkpoint })
    }

    /// The checkpoint as it stands there: a claim that nobody signed.
    #[must_use]
    pub fn claimed_checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Checks that the leaf with this hash is in the tree with this root, which the caller must know
    /// from elsewhere, and gives its index.
    ///
    /// # Errors
    ///
    /// [`ReceiptError::Proof`] if the path does not hold or the proof is against another root.
    pub fn verify_inclusion_of(&self, leaf: &Hash, root: &Hash) -> Result<u64, ReceiptError> {
        let Body { index, path, .. } = &self.body;
        verify_inclusion(leaf, *index, self.checkpoint.size(), path, root)?;
        Ok(*index)
    }
}

impl fmt::Display for UnsignedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{UNSIGNED_PROOF}\n{}\n{}", self.body, self.checkpoint)
    }
}
