use std::{fmt, sync::LazyLock};

use blake3::{
    Hash, Hasher,
    hazmat::{ContextKey, HasherExt, hash_derive_key_context},
};
use factlog_format::{Digest, EventId, FORMAT_VERSION, JournalId, key_commitment};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    Suite,
    cipher::{self, TAG},
    padding::padded_len,
};

/// Names a data key: 16 bytes of its hash, as the section table and the journal's events have it.
pub type KeyId = [u8; 16];

/// Bytes that a stored section ends with.
pub const TAG_LEN: usize = TAG;
/// The true length, which the plaintext begins with.
const LENGTH: usize = 4;

macro_rules! context {
    ($name:ident, $context:literal) => {
        static $name: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context($context));
    };
}

context!(KEY_ID, "factlog 1 key id");
context!(NONCE_KEY, "factlog 1 nonce key");
context!(SECTION_KEY, "factlog 1 section key");
context!(SECTION_AAD, "factlog 1 section aad");

fn derive(context: &ContextKey, bytes: &[u8]) -> Digest {
    *Hasher::new_from_context_key(context)
        .update(bytes)
        .finalize()
        .as_bytes()
}

/// What one key domain is encrypted under: 256 random bits. Destroying it erases what it sealed.
pub struct DataKey {
    key: Zeroizing<[u8; 32]>,
    nonce_key: Zeroizing<[u8; 32]>,
    id: KeyId,
}

/// The key of one section, used once. It opens this section and nothing else, so that it can be given
/// to an auditor.
pub struct SectionKey(Zeroizing<[u8; 32]>);

/// Where a section stands, and what its event and its table row say before they are ordered: what is
/// bound to its ciphertext.
#[derive(Clone, Copy, Debug)]
pub struct SectionPlace<'a> {
    /// The journal's id.
    pub journal: &'a JournalId,
    /// The event's id.
    pub event: &'a EventId,
    /// The event's scope.
    pub scope: &'a str,
    /// The event's entity.
    pub entity: &'a str,
    /// The event's kind.
    pub kind: &'a str,
    /// Version of the payload's shape.
    pub payload_version: u16,
    /// Which section of the event it is, from 0.
    pub index: u8,
    /// The section's name.
    pub name: &'a str,
    /// Code of its encoding.
    pub encoding: u8,
    /// How it is encrypted.
    pub suite: Suite,
    /// Code of its padding: 0 none, 1 PADMÉ.
    pub padding: u8,
}

/// What sealing a section leaves beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Stands before the section's bytes.
    pub nonce: [u8; 24],
    /// Commits to the section key; stands in the section table.
    pub commitment: Digest,
}

/// Why a section can't be opened with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The key is not the one that the event commits to.
    #[error("the key is not the one that the section commits to")]
    Commitment,
    /// The bytes are not what was sealed there.
    #[error("the section is not what was sealed there")]
    Cipher,
    /// The length or padding inside is none that a writer makes.
    #[error("the length or padding inside of the section is invalid")]
    Padding,
}

impl SectionPlace<'_> {
    /// The additional data of the cipher: a hash of all of this and of the key's id.
    #[must_use]
    pub fn aad(&self, key: &KeyId) -> Digest {
        let mut hasher = Hasher::new_from_context_key(&SECTION_AAD);
        hasher.update(&[FORMAT_VERSION]);
        hasher.update(self.journal).update(self.event);
        for name in [self.scope, self.entity, self.kind, self.name] {
            // Names have at most 255 bytes.
            hasher.update(&[name.len() as u8]).update(name.as_bytes());
        }
        let version = self.payload_version.to_le_bytes();
        // encoding, cipher suite, compression (none), padding, flags (none), as the table has them
        let row = [self.encoding, self.suite.code(), 0, self.padding, 0];
        hasher.update(&version).update(&[self.index]).update(&row);
        *hasher.update(key).finalize().as_bytes()
    }
}

impl DataKey {
    /// A key of these bytes, which must be as random as the operating system makes them.
    #[must_use]
    pub fn new(mut bytes: [u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(derive(&KEY_ID, &bytes).split_at(16).0);
        let key = Self {
            nonce_key: Zeroizing::new(derive(&NONCE_KEY, &bytes)),
            key: Zeroizing::new(bytes),
            id,
        };
        bytes.zeroize();
        key
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// The key of one section.
    #[must_use]
    pub fn section_key(&self, event: &EventId, index: u8, nonce: &[u8; 24]) -> SectionKey {
        let mut hasher = Hasher::new_from_context_key(&SECTION_KEY);
        hasher.update(self.key.as_ref()).update(event);
        hasher.update(&[index]).update(nonce);
        SectionKey(Zeroizing::new(*hasher.finalize().as_bytes()))
    }

    /// Encrypts a section and adds it, ciphertext and tag, to `out`. `random` must be fresh.
    ///
    /// Returns `None`, with `out` as before, for more bytes than a section can have.
    #[must_use]
    pub fn seal(
        &self,
        place: &SectionPlace<'_>,
        random: &[u8; 32],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Sealed> {
        let length = u32::try_from(plain.len()).ok()?;
        let start = out.len();
        let padded = inner_len(place.padding, plain.len())?;
        out.reserve(padded + TAG);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(plain);
        out.resize(start + padded, 0);
        let bytes = out.get_mut(start..)?;
        let aad = place.aad(&self.id);
        let nonce = self.nonce(random, &aad, bytes);
        let key = self.section_key(place.event, place.index, &nonce);
        // The key is used for this alone, so that the cipher's own nonce can be zero.
        let Some(tag) = cipher::seal(place.suite, &key.0, [0; 12], &aad, bytes) else {
            bytes.zeroize();
            out.truncate(start);
            return None;
        };
        out.extend_from_slice(&tag);
        Some(Sealed {
            nonce,
            commitment: key.commitment(),
        })
    }

    /// Decrypts a section into `out`, which holds the plaintext alone when this succeeds.
    ///
    /// # Errors
    /// [`OpenError`]; `out` is then empty.
    pub fn open(
        &self,
        place: &SectionPlace<'_>,
        nonce: &[u8; 24],
        commitment: &Digest,
        stored: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        let key = self.section_key(place.event, place.index, nonce);
        key.open(place, &self.id, commitment, stored, out)
    }

    /// Hedged: with a generator that repeats itself, only equal sections get equal nonces.
    fn nonce(&self, random: &[u8; 32], aad: &Digest, padded: &[u8]) -> [u8; 24] {
        let mut hasher = Hasher::new_keyed(&self.nonce_key);
        hasher.update(random).update(aad).update(padded);
        let mut nonce = [0; 24];
        nonce.copy_from_slice(hasher.finalize().as_bytes().split_at(24).0);
        nonce
    }
}

impl SectionKey {
    /// A key that somebody was given.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes, to be given to who may read this section.
    #[must_use]
    pub fn bytes(&self) -> &Zeroizing<[u8; 32]> {
        &self.0
    }

    /// What the section table commits to.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        key_commitment(&self.0)
    }

    /// Decrypts the section that this is the key of, as [`DataKey::open`] does.
    ///
    /// # Errors
    /// [`OpenError`]; `out` is then empty.
    pub fn open(
        &self,
        place: &SectionPlace<'_>,
        key: &KeyId,
        commitment: &Digest,
        stored: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        out.clear();
        // In constant time, and before anything is opened: the ciphers alone don't commit to their key.
        if Hash::from_bytes(self.commitment()) != Hash::from_bytes(*commitment) {
            return Err(OpenError::Commitment);
        }
        if out.capacity() < stored.len() {
            // It may hold what was opened before: growing would leave that behind.
            out.zeroize();
        }
        out.extend_from_slice(stored);
        let opened = self.open_in_place(place, key, out);
        match opened {
            Ok(length) => {
                out.copy_within(LENGTH..LENGTH + length, 0);
                if let Some(rest) = out.get_mut(length..) {
                    rest.zeroize();
                }
                out.truncate(length);
                Ok(())
            }
            Err(why) => {
                out.zeroize();
                Err(why)
            }
        }
    }

    /// The true length of what now stands behind its length.
    fn open_in_place(
        &self,
        place: &SectionPlace<'_>,
        key: &KeyId,
        bytes: &mut [u8],
    ) -> Result<usize, OpenError> {
        let aad = place.aad(key);
        let opened = cipher::open(place.suite, &self.0, [0; 12], &aad, bytes);
        let plain: &[u8] = opened.ok_or(OpenError::Cipher)?;
        let (length, rest) = plain.split_first_chunk().ok_or(OpenError::Padding)?;
        let length = u32::from_le_bytes(*length) as usize;
        let zeros = rest.get(length..).ok_or(OpenError::Padding)?;
        let one_way = inner_len(place.padding, length) == Some(plain.len());
        if !one_way || zeros.iter().any(|byte| *byte != 0) {
            return Err(OpenError::Padding);
        }
        Ok(length)
    }
}

/// How many bytes are encrypted for a section of `len`.
fn inner_len(padding: u8, len: usize) -> Option<usize> {
    let whole = (len as u64).checked_add(LENGTH as u64)?;
    let padded = match padding {
        0 => whole,
        _ => padded_len(whole),
    };
    usize::try_from(padded).ok()
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

impl fmt::Debug for SectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SectionKey(..)")
    }
}
