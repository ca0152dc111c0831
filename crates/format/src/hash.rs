use std::sync::LazyLock;

use blake3::{
    Hasher,
    hazmat::{ContextKey, HasherExt, hash_derive_key_context},
};

use crate::{
    Digest, JournalId, SPINE_LEN, Spine,
    lanes::{BLOCK, CHUNK_BLOCKS, Mode, TREE_BLOCKS, TREES, hash_equal, hash_many, hash_trees},
};

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
context!(ERASURE, "factlog 1 erasure");
context!(COORDINATE, "factlog 1 coordinate");
context!(JOURNAL_KEY, "factlog 1 journal key");
context!(NEXT_KEY, "factlog 1 next key");
context!(KEY_COMMITMENT, "factlog 1 key commitment");
context!(CASE, "factlog 1 case");
context!(CASE_FILE, "factlog 1 case file");

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

/// The event hashes of many spines that don't depend on one another, at a fraction of the cost; added
/// to `out` in their order.
pub fn event_hashes(spines: &[[u8; SPINE_LEN]], out: &mut Vec<Digest>) {
    hash_equal(Mode::Derive, &EVENT, spines, out);
}

/// Keyed hashes of many single blocks: what salts are made of. Added to `out` in their order.
pub fn keyed_blocks(key: &[u8; 32], blocks: &[[u8; 64]], out: &mut Vec<Digest>) {
    hash_equal(Mode::Keyed, key, blocks, out);
}

/// Many hashes over `length ‖ secret ‖ bytes ‖ zeros`, by the formula of [`section_hash`], of one
/// sort. It is made once and used again, so that it needs no memory of its own each time.
#[derive(Debug)]
pub struct HashBatch {
    sort: HashSort,
    /// The padded inputs of up to a chunk, one after another, and how many blocks each has.
    arena: Vec<u8>,
    blocks: Vec<u8>,
    /// Larger ones, with no block there: those of one size that wait for others of it, how many blocks each
    /// has, and which they are.
    trees: Vec<u8>,
    tree_blocks: usize,
    waiting: Vec<usize>,
    /// Hashes of larger ones, and which they are.
    large: Vec<(usize, Digest)>,
}

/// What a [`HashBatch`] hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashSort {
    /// Plain sections: [`section_hash`] with a salt.
    Section,
    /// Encrypted sections: [`section_hash`] with a nonce.
    SealedSection,
    /// Canonical facts: [`facts_hash`].
    Facts,
    /// Coordinates: [`coordinate_key`], whole.
    Coordinate,
}

impl HashBatch {
    /// One without inputs.
    #[must_use]
    pub fn new(sort: HashSort) -> Self {
        Self {
            sort,
            arena: Vec::new(),
            blocks: Vec::new(),
            trees: Vec::new(),
            tree_blocks: 0,
            waiting: Vec::new(),
            large: Vec::new(),
        }
    }

    /// Whether there is no input that [`finish`](Self::finish) hasn't hashed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many bytes its inputs take, padded.
    #[must_use]
    pub fn padded_len(&self) -> usize {
        self.arena.len() + self.trees.len()
    }

    /// How many bytes of inputs it has memory for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.arena.capacity() + self.trees.capacity()
    }

    /// Adds an input.
    pub fn push(&mut self, secret: &[u8], bytes: &[u8]) {
        let blocks = (8 + secret.len() + bytes.len()).div_ceil(BLOCK);
        if blocks <= CHUNK_BLOCKS {
            pad_into(&mut self.arena, secret, bytes);
            self.blocks.push(blocks as u8);
            return;
        }
        if blocks <= TREE_BLOCKS {
            if blocks != self.tree_blocks || self.waiting.len() == TREES {
                self.hash_waiting();
                self.tree_blocks = blocks;
            }
            pad_into(&mut self.trees, secret, bytes);
            self.waiting.push(self.blocks.len());
        } else {
            let digest = padded_hash(self.context(), secret, bytes);
            self.large.push((self.blocks.len(), digest));
        }
        self.blocks.push(0);
    }

    fn hash_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut hashes = Vec::with_capacity(TREES);
        let (context, blocks) = (self.context(), self.tree_blocks);
        hash_trees(Mode::Derive, context, &self.trees, blocks, &mut hashes);
        self.large.extend(self.waiting.drain(..).zip(hashes));
        self.trees.clear();
    }

    /// Hashes all inputs into `out`, in their order, and is empty again.
    pub fn finish(&mut self, out: &mut Vec<Digest>) {
        self.hash_waiting();
        let context = self.context();
        out.clear();
        hash_many(Mode::Derive, context, &self.arena, &self.blocks, out);
        for (at, digest) in self.large.drain(..) {
            if let Some(slot) = out.get_mut(at) {
                *slot = digest;
            }
        }
        self.arena.clear();
        self.blocks.clear();
    }

    fn context(&self) -> &'static ContextKey {
        match self.sort {
            HashSort::Section => &SECTION,
            HashSort::SealedSection => &SEALED_SECTION,
            HashSort::Facts => &FACTS,
            HashSort::Coordinate => &COORDINATE,
        }
    }
}

/// Adds `length ‖ secret ‖ bytes ‖ zeros to a multiple of 64`.
fn pad_into(arena: &mut Vec<u8>, secret: &[u8], bytes: &[u8]) {
    let used = 8 + secret.len() + bytes.len();
    let padded = used.next_multiple_of(BLOCK);
    arena.reserve(padded);
    arena.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    arena.extend_from_slice(secret);
    arena.extend_from_slice(bytes);
    arena.resize(arena.len() + padded - used, 0);
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

/// The hash by which an erasure commits to the events that it covers: over `sequence u64 ‖ event hash`
/// of each, in order.
#[derive(Clone)]
pub struct ErasureHasher {
    hasher: Hasher,
    /// Not yet hashed, less than one [`ErasureHasher::AT_ONCE`].
    pending: Vec<u8>,
}

impl ErasureHasher {
    /// Whole chunks, as many as are hashed side by side.
    const AT_ONCE: usize = 16 << 10;

    /// Of no event yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hasher: Hasher::new_from_context_key(&ERASURE),
            pending: Vec::new(),
        }
    }

    /// Adds the next event.
    pub fn add(&mut self, sequence: u64, event_hash: &Digest) {
        self.pending.extend_from_slice(&sequence.to_le_bytes());
        self.pending.extend_from_slice(event_hash);
        if let Some(whole) = self.pending.get(..Self::AT_ONCE) {
            self.hasher.update(whole);
            self.pending.drain(..Self::AT_ONCE);
        }
    }

    /// The hash over all that was added.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = self.hasher.clone();
        *hasher.update(&self.pending).finalize().as_bytes()
    }
}

impl Default for ErasureHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ErasureHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ErasureHasher(..)")
    }
}

impl std::fmt::Debug for HeadersHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HeadersHasher(..)")
    }
}

/// The tag of a domain in a journal that isn't encrypted: the first 16 bytes of a hash over the domain's name,
/// under the journal key for these. So whoever guesses a name can't tell that it was held, also when nothing
/// else names it any more.
#[must_use]
pub fn plain_domain_tag(key: &[u8; 32], name: &[u8]) -> [u8; 16] {
    let mut tag = [0; 16];
    let mut hasher = Hasher::new_keyed(key);
    hasher.update(name).finalize_xof().fill(&mut tag);
    tag
}

/// The key by which derived indexes know a coordinate: the first 16 bytes of a hash over
/// `entity length u64 ‖ scope ‖ entity ‖ zeros to a multiple of 64`.
#[must_use]
pub fn coordinate_key(scope: &str, entity: &str) -> [u8; 16] {
    // The length keeps ("ab","c") and ("a","bc") apart.
    let hash = padded_hash(&COORDINATE, scope.as_bytes(), entity.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(hash.split_at(16).0);
    key
}

/// A key derived from a journal's secret for one purpose (import ids, salts, holds).
#[must_use]
pub fn journal_key(secret: &[u8; 32], purpose: &str) -> Digest {
    let mut hasher = Hasher::new_from_context_key(&JOURNAL_KEY);
    *hasher
        .update(secret)
        .update(purpose.as_bytes())
        .finalize()
        .as_bytes()
}

/// The hash by which a rotation commits to the Ed25519 key after the one that it brings.
#[must_use]
pub fn next_key_hash(key: &[u8; 32]) -> Digest {
    let mut hasher = Hasher::new_from_context_key(&NEXT_KEY);
    *hasher.update(&[1]).update(key).finalize().as_bytes()
}

/// What a row of the section table commits to: the hash of the key that opens this section alone.
#[must_use]
pub fn key_commitment(section_key: &[u8; 32]) -> Digest {
    let mut hasher = Hasher::new_from_context_key(&KEY_COMMITMENT);
    *hasher.update(section_key).finalize().as_bytes()
}

/// What the journal's event about an evidence case commits to: its salted statement.
#[must_use]
pub fn case_commitment(salt: &[u8; 16], statement: &[u8]) -> Digest {
    padded_hash(&CASE, salt, statement)
}

/// The hash at the end of a case file, over all before it.
pub(crate) fn case_file_hash(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new_from_context_key(&CASE_FILE);
    *hasher.update(bytes).finalize().as_bytes()
}

#[expect(
    clippy::indexing_slicing,
    reason = "the bounds are computed from the very lengths that are copied"
)]
fn padded_hash(context: &ContextKey, secret: &[u8], stored: &[u8]) -> Digest {
    const SMALL: usize = CHUNK_BLOCKS * BLOCK;
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
        // One update is markedly cheaper than many of four bytes.
        let mut input = vec![b'F'];
        for crc in crcs {
            input.extend_from_slice(&crc.to_le_bytes());
        }
        truncated(hasher.update(&input))
    }

    /// Makes the frames check of a group that is too large to be held.
    #[must_use]
    pub fn frames_hasher(&self) -> FramesHasher {
        let mut hasher = Hasher::new_keyed(&self.0);
        hasher.update(b"F");
        FramesHasher {
            hasher,
            pending: Vec::new(),
        }
    }

    /// The header check: keyed BLAKE3 over `"H"` and the commit header's body up to the check.
    #[must_use]
    pub fn header_check(&self, body: &[u8]) -> [u8; 16] {
        let mut hasher = Hasher::new_keyed(&self.0);
        hasher.update(b"H").update(body);
        truncated(&hasher)
    }
}

/// The [frames check](GroupKey::frames_check) of a group, made frame by frame.
#[derive(Clone)]
pub struct FramesHasher {
    hasher: Hasher,
    /// Not yet hashed, since one update is markedly cheaper than many of four bytes.
    pending: Vec<u8>,
}

impl FramesHasher {
    /// Adds the CRC of the next frame.
    pub fn add(&mut self, crc: u32) {
        self.pending.extend_from_slice(&crc.to_le_bytes());
        if self.pending.len() >= 4096 {
            self.hasher.update(&self.pending);
            self.pending.clear();
        }
    }

    /// The check over all that was added.
    #[must_use]
    pub fn finish(mut self) -> [u8; 16] {
        truncated(self.hasher.update(&self.pending))
    }
}

impl std::fmt::Debug for FramesHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FramesHasher(..)")
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
    fn hashes_of_a_batch_are_those_of_each_alone() {
        let bytes: Vec<u8> = (0..20_000u32).map(|i| (i * 7) as u8).collect();
        let lens = [
            0, 5, 40, 41, 64, 256, 999, 1000, 1001, 4000, 256, 256, 3, 2000, 4000, 4001, 16_300,
            16_400, 4500, 2000, 2001,
        ];
        let (mut batch, mut out) = (HashBatch::new(HashSort::Section), Vec::new());
        // Twice, as it is used again.
        for salt in [[1; 16], [2; 16]] {
            for len in lens {
                batch.push(&salt, &bytes[..len]);
            }
            batch.finish(&mut out);
            let alone = lens.map(|len| section_hash(&SectionSecret::Salt(salt), &bytes[..len]));
            assert_eq!(out, alone);
        }
        let mut facts = HashBatch::new(HashSort::Facts);
        facts.push(&[3; 16], &bytes[..100]);
        facts.finish(&mut out);
        assert_eq!(out, [facts_hash(&[3; 16], &bytes[..100])]);
        let mut coordinates = HashBatch::new(HashSort::Coordinate);
        coordinates.push(b"bank", b"account-1");
        coordinates.finish(&mut out);
        assert_eq!(out[0][..16], coordinate_key("bank", "account-1"));
    }

    #[test]
    fn many_spines_hash_as_each_alone() {
        let spines: Vec<[u8; SPINE_LEN]> = (0..100u8).map(|i| [i; SPINE_LEN]).collect();
        let mut out = Vec::new();
        event_hashes(&spines, &mut out);
        let alone: Vec<Digest> = spines.iter().map(hash_spine_bytes).collect();
        assert_eq!(out, alone);
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
    fn a_frames_check_is_the_same_frame_by_frame() {
        let key = GroupKey::derive(&[1; 16], &[2; 16], 3, 4);
        for count in [0, 1, 1023, 1024, 1025, 5000] {
            let mut hasher = key.frames_hasher();
            (0..count).for_each(|crc| hasher.add(crc));
            assert_eq!(hasher.finish(), key.frames_check(0..count));
        }
    }

    #[test]
    fn the_two_checks_of_a_header_never_meet() {
        let key = GroupKey::derive(&[1; 16], &[2; 16], 3, 4);
        assert_ne!(key.frames_check([7]), key.header_check(&7u32.to_le_bytes()));
    }
}
