//! Whom the caller trusts.

use crate::{KeyError, NoteError, SignedNote, VerifierKey};

/// The keys a caller accepts, and how strictly.
///
/// A policy always comes from the caller, never from what is being verified. Any one key that is
/// named like the log suffices; keys of other names are checked if they signed, but don't suffice.
#[derive(Clone, Debug)]
pub struct Policy {
    keys: Vec<VerifierKey>,
    refuses_unknown: bool,
}

impl Policy {
    /// A policy of these keys. Naming a key twice is the same as once.
    ///
    /// Signatures of other keys are ignored, as C2SP demands.
    ///
    /// # Errors
    ///
    /// [`KeyError::Ambiguous`] if two different keys have the same name and key id.
    pub fn new(keys: impl IntoIterator<Item = VerifierKey>) -> Result<Self, KeyError> {
        let mut distinct: Vec<VerifierKey> = Vec::new();
        for key in keys {
            let same_id =
                |other: &&VerifierKey| other.key_id() == key.key_id() && other.name() == key.name();
            match distinct.iter().find(same_id) {
                Some(other) if *other != key => return Err(KeyError::Ambiguous),
                Some(_) => {}
                None => distinct.push(key),
            }
        }
        Ok(Self {
            keys: distinct,
            refuses_unknown: false,
        })
    }

    /// Refuses signatures of keys that the policy does not name.
    ///
    /// Without this, a changed name or key id makes one signature of several an unknown one, which
    /// is ignored while another still holds. With it, no bit of a signed text can change.
    #[must_use]
    pub fn refuse_unknown_signatures(mut self) -> Self {
        self.refuses_unknown = true;
        self
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// The keys of the policy that signed the note.
    pub(crate) fn signers(&self, note: &SignedNote) -> Result<Vec<&VerifierKey>, NoteError> {
        let signers = note.verify(&self.keys)?;
        if self.refuses_unknown && signers.len() != note.signatures().len() {
            return Err(NoteError::UnknownSignature);
        }
        Ok(signers)
    }
}

impl From<VerifierKey> for Policy {
    fn from(key: VerifierKey) -> Self {
        Self {
            keys: vec![key],
            refuses_unknown: false,
        }
    }
}
