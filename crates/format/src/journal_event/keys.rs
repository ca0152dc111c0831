//! How a journal's signing keys change.

use crate::{Digest, FormatError, cursor::Cursor};

/// Ed25519, the only type of key so far.
const ED25519: u8 = 1;
const SIGNATURE_LEN: usize = 64;

/// `key.rotated`: from here on another key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotated {
    /// The Ed25519 public key that signed so far.
    pub old: [u8; 32],
    /// The one that signs from this event on.
    pub new: [u8; 32],
    /// The new key's signature of the checkpoint right before this event: the tree of as many events
    /// as this one's sequence. So its holder agreed, and to this journal.
    pub signature: [u8; SIGNATURE_LEN],
    /// If the key after the new one is decided already: its hash, which the next rotation must match.
    pub next: Option<Digest>,
}

/// `key.revoked`: what a key that was replaced has signed doesn't count any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRevoked {
    /// The Ed25519 public key.
    pub key: [u8; 32],
    /// Its signatures of checkpoints of more than so many events don't count: the first sequence that
    /// it doesn't vouch for.
    pub from: u64,
}

impl KeyRotated {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        if self.old == self.new {
            return Err(FormatError::Invalid("a key that replaces itself"));
        }
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for key in [&self.old, &self.new] {
            out.push(ED25519);
            out.extend_from_slice(key);
        }
        out.extend_from_slice(&(SIGNATURE_LEN as u16).to_le_bytes());
        out.extend_from_slice(&self.signature);
        match &self.next {
            None => out.push(0),
            Some(hash) => {
                out.push(1);
                out.extend_from_slice(hash);
            }
        }
        // The length of an area for extensions.
        out.extend_from_slice(&[0, 0]);
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let (old, new) = (key(input)?, key(input)?);
        if usize::from(input.u16()?) != SIGNATURE_LEN {
            return Err(FormatError::Invalid("length of a signature"));
        }
        let signature = input.array()?;
        let next = match input.u8()? {
            0 => None,
            1 => Some(input.array()?),
            _ => return Err(FormatError::Invalid("hash of the next key")),
        };
        if input.u16()? != 0 {
            return Err(FormatError::Unsupported("extensions of key.rotated"));
        }
        let rotated = Self {
            old,
            new,
            signature,
            next,
        };
        rotated.check()?;
        Ok(rotated)
    }
}

impl KeyRevoked {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(ED25519);
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&self.from.to_le_bytes());
    }

    pub(super) fn decode(input: &mut Cursor<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            key: key(input)?,
            from: input.u64()?,
        })
    }
}

fn key(input: &mut Cursor<'_>) -> Result<[u8; 32], FormatError> {
    if input.u8()? != ED25519 {
        return Err(FormatError::Unsupported("key type"));
    }
    input.array()
}
