//! Receipts: the whole of their verification, in one place and one order.

use std::fmt;

use data_encoding::HEXLOWER;
use factlog_format::{EventRecord, FormatError, SectionSecret, section_hash};

use super::TlogProof;
use crate::{Checkpoint, Policy, ReceiptError, VerifierKey, leaf_hash};

/// A section of an event's payload, brought along to be checked against a receipt.
#[derive(Clone, Copy, Debug)]
pub struct SuppliedSection<'a> {
    /// The section's name.
    pub name: &'a str,
    /// What goes into its hash before the bytes.
    pub secret: SectionSecret,
    /// Its bytes as the journal stores them.
    pub stored: &'a [u8],
}

/// A receipt that was read and not yet verified. Nothing of it can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedReceipt(TlogProof);

impl UnverifiedReceipt {
    /// Reads a receipt. Takes one spelling only: LF, canonical base64, at most 64 hashes, 64 KiB.
    ///
    /// # Errors
    ///
    /// [`ReceiptError::Unsigned`] for an unsigned proof; otherwise one that is about the form.
    pub fn parse(receipt: &[u8]) -> Result<Self, ReceiptError> {
        TlogProof::parse(receipt).map(Self)
    }

    /// The checkpoint as it stands there: what the receipt *claims*, to explain a refusal with.
    #[must_use]
    pub fn claimed_checkpoint(&self) -> &Checkpoint {
        self.0.claimed_checkpoint()
    }

    /// Verifies everything: signature by a key of the policy that is named like the origin, the
    /// event's one encoding and its hashes, its journal and sequence against origin and index, and
    /// its inclusion. There is one result, and no part of it before the end.
    ///
    /// In a receipt that has one signature, by a key of the policy, no bit can change without being
    /// refused; with several, see [`Policy::refuse_unknown_signatures`].
    ///
    /// # Errors
    ///
    /// [`ReceiptError`], by the first step that fails.
    pub fn verify(&self, policy: &Policy) -> Result<VerifiedReceipt, ReceiptError> {
        self.verify_with_sections(policy, &[])
    }

    /// As [`verify`](Self::verify), and checks sections of the payload that were supplied with the
    /// receipt: kind of secret, length and hash. Sections not supplied are not checked.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`], by the first step that fails; the sections come last.
    pub fn verify_with_sections(
        &self,
        policy: &Policy,
        sections: &[SuppliedSection<'_>],
    ) -> Result<VerifiedReceipt, ReceiptError> {
        let (checkpoint, signers) = self.0.checkpoint.verify_by(policy)?;
        let extra = self.0.body.extra.as_ref().ok_or(ReceiptError::NoEvent)?;
        let event = decode_event(extra)?;
        if !is_origin_of(checkpoint.origin(), &event.spine().journal) {
            return Err(ReceiptError::JournalMismatch);
        }
        if event.spine().sequence != self.0.body.index {
            return Err(ReceiptError::SequenceMismatch);
        }
        let event_hash = event.event_hash();
        self.0.check_path(&leaf_hash(&event_hash), checkpoint)?;
        sections
            .iter()
            .try_for_each(|section| check_section(&event, section))?;
        Ok(VerifiedReceipt {
            event,
            event_hash,
            checkpoint: checkpoint.clone(),
            signers: signers.into_iter().cloned().collect(),
        })
    }
}

impl From<TlogProof> for UnverifiedReceipt {
    fn from(proof: TlogProof) -> Self {
        Self(proof)
    }
}

impl fmt::Display for UnverifiedReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A receipt that holds, by [`UnverifiedReceipt::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    event: EventRecord,
    event_hash: [u8; 32],
    checkpoint: Checkpoint,
    signers: Vec<VerifierKey>,
}

impl VerifiedReceipt {
    /// The event: its spine, and its facts if the receipt has them.
    #[must_use]
    pub fn event(&self) -> &EventRecord {
        &self.event
    }

    /// The event hash, to which everything in the event is bound.
    #[must_use]
    pub fn event_hash(&self) -> &[u8; 32] {
        &self.event_hash
    }

    /// The event's sequence in its journal.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.event.spine().sequence
    }

    /// The signed checkpoint under which the event lies.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The keys of the policy that signed the checkpoint for the log; at least one.
    #[must_use]
    pub fn signers(&self) -> &[VerifierKey] {
        &self.signers
    }
}

fn decode_event(extra: &[u8]) -> Result<EventRecord, ReceiptError> {
    let event = EventRecord::decode(extra).map_err(|error| match error {
        FormatError::Unsupported(_) => ReceiptError::UnsupportedEvent(error),
        _ => ReceiptError::Event(error),
    })?;
    // The decoder is strict; that one event has one spelling must not rest on it alone.
    if event.encode() != *extra {
        return Err(ReceiptError::EventSpelling);
    }
    Ok(event)
}

/// An origin ends in a slash and the journal's id, so that no key signs for two journals.
fn is_origin_of(origin: &str, journal: &[u8; 16]) -> bool {
    origin
        .rsplit_once('/')
        .is_some_and(|(_, id)| id == HEXLOWER.encode(journal))
}

fn check_section(event: &EventRecord, section: &SuppliedSection<'_>) -> Result<(), ReceiptError> {
    let facts = event.facts().ok_or(ReceiptError::SectionUnknown)?;
    let row = facts
        .sections
        .iter()
        .find(|row| row.name == section.name)
        .ok_or(ReceiptError::SectionUnknown)?;
    let holds = row.secret_len() == section.secret.as_bytes().len()
        && u64::from(row.stored_len) == section.stored.len() as u64
        && row.hash == section_hash(&section.secret, section.stored);
    if !holds {
        return Err(ReceiptError::SectionMismatch);
    }
    Ok(())
}
