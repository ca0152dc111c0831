//! Cosignatures (C2SP tlog-cosignature): what a witness says of a checkpoint, and when.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::key::{self, COSIGNATURE};
use crate::{
    Checkpoint, KeyError, NoteError, NoteSignature, SignedCheckpoint, SigningKey, VerifierKey,
};

/// Bytes of the time in front of the signature.
const TIME_LEN: usize = 8;
/// POSIX times that a cosignature may have.
const MAX_TIME: u64 = i64::MAX as u64;

/// A witness's public key: what verifies its Ed25519 cosignatures (type 0x04).
///
/// Its text is a vkey as that of [`VerifierKey`], with the type byte 0x04 and a key id of its own, so that
/// neither can be taken for the other.
#[derive(Clone, PartialEq, Eq)]
pub struct CosignerKey {
    /// The point and its name; its key id is that of the other type.
    plain: VerifierKey,
    key_id: [u8; 4],
}

impl CosignerKey {
    /// A key from its name and the 32 bytes of RFC 8032.
    ///
    /// # Errors
    ///
    /// As [`VerifierKey::new`].
    pub fn new(name: &str, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        let plain = VerifierKey::new(name, public_key)?;
        let key_id = key::key_id(name, COSIGNATURE, public_key);
        Ok(Self { plain, key_id })
    }

    /// Reads a vkey of type 0x04. Takes one spelling only, without a line end.
    ///
    /// # Errors
    ///
    /// Any of [`KeyError`].
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        let (name, id, public_key) = key::parse_vkey(vkey, COSIGNATURE)?;
        let key = Self::new(name, &public_key)?;
        if key.key_id != id {
            return Err(KeyError::IdMismatch);
        }
        Ok(key)
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.plain.name()
    }

    /// The key id of its cosignatures.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// The public key as RFC 8032 encodes it.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.plain.public_key()
    }

    /// Looks for this witness's cosignature, and says when it was made, in seconds since 1970; `None` if
    /// there is none. The time is the witness's word.
    ///
    /// # Errors
    ///
    /// [`NoteError::BadSignature`] if one doesn't verify, [`NoteError::DuplicateSignature`] if there are
    /// several: each is over a time of its own, and nothing needs two.
    pub fn cosigned(&self, checkpoint: &SignedCheckpoint) -> Result<Option<u64>, NoteError> {
        let mut found = None;
        let text = checkpoint.claimed().to_string();
        for signature in checkpoint.signatures() {
            if signature.key_id() != self.key_id || signature.name() != self.name() {
                continue;
            }
            let name = || self.name().to_owned();
            let time = self.time_of(&text, signature.bytes());
            let time = time.ok_or_else(|| NoteError::BadSignature { name: name() })?;
            if found.replace(time).is_some() {
                return Err(NoteError::DuplicateSignature { name: name() });
            }
        }
        Ok(found)
    }

    fn time_of(&self, text: &str, bytes: &[u8]) -> Option<u64> {
        let (time, signature) = bytes.split_first_chunk::<TIME_LEN>()?;
        let time = u64::from_be_bytes(*time);
        let holds = time <= MAX_TIME && self.plain.verifies(&message(time, text), signature);
        holds.then_some(time)
    }
}

/// What a cosignature is over.
fn message(time: u64, checkpoint: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{checkpoint}").into_bytes()
}

impl FromStr for CosignerKey {
    type Err = KeyError;

    fn from_str(vkey: &str) -> Result<Self, KeyError> {
        Self::parse(vkey)
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        key::write_vkey(f, self.name(), self.key_id, COSIGNATURE, self.public_key())
    }
}

impl fmt::Debug for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignerKey({self})")
    }
}

/// A witness's private key.
///
/// Its text is that of [`SigningKey`] with the type byte 0x04 and the key id of a [`CosignerKey`]. It is
/// wiped from memory when dropped; `Debug` does not show it.
pub struct CosigningKey {
    verifier: CosignerKey,
    key: SigningKey,
}

impl CosigningKey {
    /// The key that a seed of 32 random bytes gives. The seed must be used for nothing else: not for a
    /// log's key, nor for another witness.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`].
    pub fn generate(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::generate(name, seed)?;
        let verifier = CosignerKey::new(name, key.verifier().public_key())?;
        Ok(Self { verifier, key })
    }

    /// Reads the text form. Takes one spelling only, without a line end.
    ///
    /// # Errors
    ///
    /// Any of [`KeyError`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let (name, id, seed) = key::parse_private(text, COSIGNATURE)?;
        let key = Self::generate(name, *seed)?;
        if key.verifier.key_id != id {
            return Err(KeyError::IdMismatch);
        }
        Ok(key)
    }

    /// The text form, without a line end.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        self.key.text_as(COSIGNATURE, self.verifier.key_id)
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &CosignerKey {
        &self.verifier
    }

    /// Cosigns a checkpoint at a time in seconds since 1970, at most 2^63 - 1. Whether it may be cosigned
    /// is decided by a [`Witness`](crate::Witness).
    ///
    /// # Errors
    ///
    /// [`NoteError::SignatureLine`] for a later time.
    pub(crate) fn cosign(
        &self,
        checkpoint: &Checkpoint,
        time: u64,
    ) -> Result<NoteSignature, NoteError> {
        if time > MAX_TIME {
            return Err(NoteError::SignatureLine);
        }
        let signature = self.key.sign(&message(time, &checkpoint.to_string()));
        let mut bytes = time.to_be_bytes().to_vec();
        bytes.extend(signature);
        NoteSignature::new(self.verifier.name(), self.verifier.key_id, bytes)
    }
}

impl fmt::Debug for CosigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosigningKey({}, secret)", self.verifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hash;

    #[test]
    fn the_last_second_can_be_cosigned_and_the_one_after_can_not() {
        let key = CosigningKey::generate("witness.example/w1", [7; 32]).unwrap();
        let root = Hash::from_bytes([1; 32]);
        let checkpoint = Checkpoint::new("example.com/log", 3, root).unwrap();
        let last = key.cosign(&checkpoint, MAX_TIME).unwrap();
        let signed = SignedCheckpoint::new(checkpoint.clone(), vec![last]).unwrap();
        assert_eq!(key.verifier().cosigned(&signed), Ok(Some(MAX_TIME)));
        let after = key.cosign(&checkpoint, MAX_TIME + 1);
        assert_eq!(after, Err(NoteError::SignatureLine));
    }

    #[test]
    fn debug_shows_the_public_key_and_nothing_else() {
        let key = CosigningKey::generate("witness.example/w1", [7; 32]).unwrap();
        let public = key.verifier().to_string();
        assert_eq!(
            format!("{:?}", key.verifier()),
            format!("CosignerKey({public})")
        );
        assert_eq!(
            format!("{key:?}"),
            format!("CosigningKey({public}, secret)")
        );
    }
}
