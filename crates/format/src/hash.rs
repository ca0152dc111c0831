use std::sync::LazyLock;

use blake3::{
    Hasher,
    hazmat::{ContextKey, HasherExt, hash_derive_key_context},
};

use crate::{Digest, JournalId, SPINE_LEN, Spine};

/// Deriving a context's key costs a hash of its own, so it is done once.
macro_rules! context {
    ($name:ident, $context:literal) => {
        static $name: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context($context));
    };
}

context!(SECTION, "factlog 1 section");
context!(SEALED_SECTION, "factlog 1 sealed section");
context!(FACTS, "factlog 1 facts");
context!(EVENT, "factlog 1 event");
context!(GROUP_KEY, "factlog 1 group key");
context!(HEADERS, "factlog 1 segment headers");
context!(COORDINATE, "factlog 1 coordinate");
context!(JOURNAL_KEY, "factlog 1 journal key");

/// The random bytes that stand before a section's bytes and go into its hash.
///
/// They are erased together with the section, so that the hash of an erased, guessable payload
/// gives nothing away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionSecret {
    /// The salt of a plain section.
    Salt([u8; 16]),
    /// The nonce of an encrypted section.
    Nonce([u8; 24]),
}

impl SectionSecret {
    /// The bytes as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Salt(salt) => salt,
            Self::Nonce(nonce) => nonce,
        }
    }
}

/// The hash of one payload section: BLAKE3 `derive_key` over
/// `length u64 ‖ salt or nonce ‖ bytes as stored ‖ zeros to a multiple of 64`.
#[must_use]
pub fn section_hash(secret: &SectionSecret, stored: &[u8]) -> Digest {
    match secret {
        SectionSecret::Salt(salt) => padded_hash(&SECTION, salt, stored),
        SectionSecret::Nonce(nonce) => padded_hash(&SEALED_SECTION, nonce, stored),
    }
}

/// The hash of an event's canonical facts, by the formula of [`section_hash`] in a context of its own.
#[must_use]
pub fn facts_hash(salt: &[u8; 16], facts: &[u8]) -> Digest {
    padded_hash(&FACTS, salt, facts)
}

/// The event hash: BLAKE3 `derive_key` over the 128 bytes of the spine.
#[must_use]
pub fn event_hash(spine: &Spine) -> Digest {
    hash_spine_bytes(&spine.encode())
}

fn hash_spine_bytes(spine: &[u8; SPINE_LEN]) -> Digest {
    *Hasher::new_from_context_key(&EVENT)
        .update(spine)
        .finalize()
        .as_bytes()
}

/// The hash over a segment's header and its commit headers that MANIFEST keeps for a sealed segment:
/// BLAKE3 `derive_key` over `segment header ‖ whole frame of each commit header in order`.
#[derive(Clone)]
pub struct HeadersHasher(Hasher);

impl HeadersHasher {
    /// Begins with the encoded header of the segment, its CRC and zeros included.
    #[must_use]
    pub fn new(segment_header: &[u8]) -> Self {
        let mut hasher = Hasher::new_from_context_key(&HEADERS);
        hasher.update(segment_header);
        Self(hasher)
    }

    /// Adds the next commit header: its frame with header and padding.
    pub fn add(&mut self, commit_frame: &[u8]) {
        self.0.update(commit_frame);
    }

    /// The hash over all that was added so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.0.finalize().as_bytes()
    }
}

impl std::fmt::Debug for HeadersHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HeadersHasher(..)")
    }
}

/// The key by which derived indexes know a coordinate: 16 bytes of a hash over
/// `scope length u8 ‖ scope ‖ entity`.
#[must_use]
pub fn coordinate_key(scope: &str, entity: &str) -> [u8; 16] {
    let mut hasher = Hasher::new_from_context_key(&COORDINATE);
    // A scope is at most 255 bytes; the length keeps ("ab","c") and ("a","bc") apart.
    hasher.update(&[scope.len().min(255) as u8]);
    hasher.update(scope.as_bytes()).update(entity.as_bytes());
    truncated(&hasher)
}

/// A key derived from a journal's secret for one purpose (import ids, salts).
#[must_use]
pub fn journal_key(secret: &[u8; 32], purpose: &str) -> Digest {
    let mut hasher = Hasher::new_from_context_key(&JOURNAL_KEY);
    *hasher
        .update(secret)
        .update(purpose.as_bytes())
        .finalize()
        .as_bytes()
}

#[expect(
    clippy::indexing_slicing,
    reason = "the bounds are computed from the very lengths that are copied"
)]
fn padded_hash(context: &ContextKey, secret: &[u8], stored: &[u8]) -> Digest {
    const BLOCK: usize = 64;
    const SMALL: usize = 16 * BLOCK;
    let mut hasher = Hasher::new_from_context_key(context);
    let len = (stored.len() as u64).to_le_bytes();
    let used = len.len() + secret.len() + stored.len();
    let padded = used.next_multiple_of(BLOCK);
    // One update over whole blocks is markedly cheaper than several over parts.
    if padded <= SMALL {
        let mut buffer = [0u8; SMALL];
        let mut at = 0;
        for part in [&len[..], secret, stored] {
            buffer[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        return *hasher.update(&buffer[..padded]).finalize().as_bytes();
    }
    hasher.update(&len).update(secret).update(stored);
    *hasher
        .update(&[0u8; BLOCK][..padded - used])
        .finalize()
        .as_bytes()
}

fn truncated(hasher: &Hasher) -> [u8; 16] {
    let mut out = [0u8; 16];
    hasher.finalize_xof().fill(&mut out);
    out
}

/// The key of the two checks in each commit header of one segment.
///
/// It depends on the segment's secret salt, which is in no receipt and no API, so that no payload can
/// pose as a commit.
#[derive(Clone)]
pub struct GroupKey([u8; 32]);

impl GroupKey {
    /// `derive_key` over `segment salt ‖ journal id ‖ first sequence u64 ‖ generation u32`.
    #[must_use]
    pub fn derive(salt: &[u8; 16], journal: &JournalId, first: u64, generation: u32) -> Self {
        let mut hasher = Hasher::new_from_context_key(&GROUP_KEY);
        hasher.update(salt).update(journal);
        hasher
            .update(&first.to_le_bytes())
            .update(&generation.to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The frames check: keyed BLAKE3 over `"F"` and the CRCs of the group's frames in order.
    #[must_use]
    pub fn frames_check(&self, crcs: impl IntoIterator<Item = u32>) -> [u8; 16] {
        let mut hasher = Hasher::new_keyed(&self.0);
        hasher.update(b"F");
        for crc in crcs {
            hasher.update(&crc.to_le_bytes());
        }
        truncated(&hasher)
    }

    /// The header check: keyed BLAKE3 over `"H"` and the commit header's body up to the check.
    #[must_use]
    pub fn header_check(&self, body: &[u8]) -> [u8; 16] {
        let mut hasher = Hasher::new_keyed(&self.0);
        hasher.update(b"H").update(body);
        truncated(&hasher)
    }
}

impl std::fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula as the design states it, without the shortcuts above.
    fn by_the_book(context: &str, secret: &[u8], stored: &[u8]) -> Digest {
        let mut message = (stored.len() as u64).to_le_bytes().to_vec();
        message.extend_from_slice(secret);
        message.extend_from_slice(stored);
        message.resize(message.len().next_multiple_of(64), 0);
        blake3::derive_key(context, &message)
    }

    #[test]
    fn hashes_are_plain_blake3_at_every_length_around_the_block_sizes() {
        let bytes: Vec<u8> = (0..3000u32).map(|i| i as u8).collect();
        for len in (0..200).chain(900..1100).chain([2047, 2048, 3000]) {
            let stored = &bytes[..len];
            assert_eq!(
                section_hash(&SectionSecret::Salt([9; 16]), stored),
                by_the_book("factlog 1 section", &[9; 16], stored)
            );
            assert_eq!(
                section_hash(&SectionSecret::Nonce([9; 24]), stored),
                by_the_book("factlog 1 sealed section", &[9; 24], stored)
            );
            assert_eq!(
                facts_hash(&[3; 16], stored),
                by_the_book("factlog 1 facts", &[3; 16], stored)
            );
        }
    }

    #[test]
    fn the_length_keeps_trailing_zeros_apart() {
        let salt = SectionSecret::Salt([0; 16]);
        assert_ne!(section_hash(&salt, b"a"), section_hash(&salt, b"a\0"));
    }

    #[test]
    fn coordinates_that_concatenate_alike_differ() {
        assert_ne!(coordinate_key("ab", "c"), coordinate_key("a", "bc"));
    }

    #[test]
    fn the_two_checks_of_a_header_never_meet() {
        let key = GroupKey::derive(&[1; 16], &[2; 16], 3, 4);
        assert_ne!(key.frames_check([7]), key.header_check(&7u32.to_le_bytes()));
    }
}
