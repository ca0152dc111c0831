use factlog_format::{EventRecord, JournalEvent, KeyRotated, SectionSecret, next_key_hash};
use factlog_proof::{Policy, SuppliedSection, UnverifiedReceipt, VerifierKey};

use super::{KnownError, KnownJournal};
use crate::{DATA_SECTION, event::own};

/// Proof that a journal's key was replaced by another: the receipt of the event that says so, under a
/// checkpoint that the old key has signed, and the event's payload.
#[derive(Clone, Debug)]
pub struct RotationProof {
    /// The receipt, as text.
    pub receipt: String,
    /// Salt of the payload.
    pub secret: SectionSecret,
    /// The payload.
    pub payload: Vec<u8>,
}

impl RotationProof {
    /// The key that took the place of `key`.
    ///
    /// # Errors
    /// `known.not_followed` if `key` didn't sign that.
    pub fn successor(&self, key: &VerifierKey) -> Result<VerifierKey, KnownError> {
        Ok(self.rotated(key)?.0)
    }

    /// The key that took the place of `key`, and the event.
    fn rotated(&self, key: &VerifierKey) -> Result<(VerifierKey, KeyRotated), KnownError> {
        let not = |why: &str| KnownError::NotFollowed(why.to_owned());
        let section = SuppliedSection {
            name: DATA_SECTION,
            secret: self.secret,
            stored: &self.payload,
        };
        let verified = UnverifiedReceipt::parse(self.receipt.as_bytes())
            .and_then(|receipt| {
                receipt.verify_with_sections(&Policy::from(key.clone()), &[section])
            })
            .map_err(|error| not(&error.to_string()))?;
        let rotated = rotation_in(verified.event(), &self.payload)
            .ok_or_else(|| not("the event is not about keys"))?;
        if rotated.old != *key.public_key() {
            return Err(not("the event replaces another key"));
        }
        let new = VerifierKey::new(key.name(), &rotated.new);
        Ok((new.map_err(|error| not(&error.to_string()))?, rotated))
    }

    pub(super) fn apply(&self, known: &mut KnownJournal) -> Result<(), KnownError> {
        let key = known.key.clone().ok_or(KnownError::Unsigned(known.id))?;
        let (new, rotated) = self.rotated(&key)?;
        if known
            .next
            .is_some_and(|next| next != next_key_hash(new.public_key()))
        {
            let why = "the new key is not the one that was announced";
            return Err(KnownError::NotFollowed(why.to_owned()));
        }
        (known.key, known.next) = (Some(new), rotated.next);
        known.retired.push(key);
        Ok(())
    }
}

fn rotation_in(event: &EventRecord, payload: &[u8]) -> Option<KeyRotated> {
    let facts = event.facts()?;
    if (facts.scope, facts.entity) != (own::SCOPE, own::ENTITY) {
        return None;
    }
    match JournalEvent::decode(facts.kind, payload).ok()? {
        JournalEvent::KeyRotated(rotated) => Some(rotated),
        _ => None,
    }
}
