//! Many independent BLAKE3 hashes at once.
//!
//! BLAKE3 compresses one input of up to 1 KiB block by block, but several inputs of equal block count
//! side by side in SIMD lanes: for the small, many inputs of a batch that is some ten times faster.
//! The crate's routine for it is not part of its documented interface; so its version is pinned, and
//! tests compare the results with those of the documented one.

use blake3::{IncrementCounter, platform::Platform};

use crate::Digest;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;
/// Inputs of more blocks than a chunk has are trees.
pub(crate) const CHUNK_BLOCKS: usize = 16;
const CHUNK: usize = CHUNK_BLOCKS * BLOCK;
/// The most blocks of an input whose tree is hashed beside others: larger ones fill the lanes alone.
pub(crate) const TREE_BLOCKS: usize = 16 * CHUNK_BLOCKS;
/// How many trees are hashed side by side.
pub(crate) const TREES: usize = 16;

// Table 3 of the BLAKE3 paper.
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const PARENT: u8 = 1 << 2;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;
const DERIVE_KEY_MATERIAL: u8 = 1 << 6;

/// What the 32 bytes before the input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The key of a keyed hash.
    Keyed,
    /// The context key of a key derivation.
    Derive,
}

/// Hashes inputs of whole blocks, at most [`CHUNK_BLOCKS`] of them, that stand one after another in
/// `arena`: `blocks` says how many each has. Adds a digest for each to `out`, in their order; zeros
/// for one of no blocks.
///
/// # Panics
/// If `arena` is not as long as `blocks` says: a mistake of the caller.
pub(crate) fn hash_many(
    mode: Mode,
    key: &[u8; 32],
    arena: &[u8],
    blocks: &[u8],
    out: &mut Vec<Digest>,
) {
    let lanes = Lanes::new(mode, key);
    let total: usize = blocks.iter().map(|count| usize::from(*count)).sum();
    assert_eq!(arena.len(), total * BLOCK, "an arena of whole inputs");
    let from = out.len();
    out.resize(from + blocks.len(), [0; 32]);
    let Some(out) = out.get_mut(from..) else {
        return;
    };
    macro_rules! by_count {
        ($($count:literal)*) => {
            $(if blocks.contains(&$count) {
                lanes.of_count::<{ $count * BLOCK }>($count, arena, blocks, out);
            })*
        };
    }
    by_count!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

/// As [`hash_many`] for inputs of one length, `N`: up to [`CHUNK_BLOCKS`] whole blocks.
pub(crate) fn hash_equal<const N: usize>(
    mode: Mode,
    key: &[u8; 32],
    inputs: &[[u8; N]],
    out: &mut Vec<Digest>,
) {
    const { assert!(N > 0 && N.is_multiple_of(BLOCK) && N / BLOCK <= CHUNK_BLOCKS) };
    let lanes = Lanes::new(mode, key);
    let from = out.len();
    out.resize(from + inputs.len(), [0; 32]);
    let slots = out.get_mut(from..).unwrap_or_default();
    let pieces = slots.chunks_mut(Lanes::AT_ONCE);
    for (inputs, slots) in inputs.chunks(Lanes::AT_ONCE).zip(pieces) {
        let mut places = [&[0; N]; Lanes::AT_ONCE];
        for (place, input) in places.iter_mut().zip(inputs) {
            *place = input;
        }
        let places = places.get(..inputs.len()).unwrap_or_default();
        lanes.compress(places, slots.as_flattened_mut());
    }
}

/// Hashes up to [`TREES`] inputs of the same `blocks`, more than a chunk has and at most [`TREE_BLOCKS`],
/// that stand one after another in `arena`: chunk by chunk and then parent by parent, all trees side by
/// side. Adds a digest for each to `out`, in their order.
pub(crate) fn hash_trees(
    mode: Mode,
    key: &[u8; 32],
    arena: &[u8],
    blocks: usize,
    out: &mut Vec<Digest>,
) {
    debug_assert!(
        (CHUNK_BLOCKS + 1..=TREE_BLOCKS).contains(&blocks),
        "a small tree"
    );
    let lanes = Lanes::new(mode, key);
    let inputs = || arena.chunks_exact(blocks * BLOCK).take(TREES);
    let trees = inputs().count();
    // Of each chunk, and then of each node of a level: its hash in every tree.
    let mut level = [[[0; 32]; TREES]; TREE_BLOCKS / CHUNK_BLOCKS];
    let mut width = 0;
    for (at, slots) in level
        .iter_mut()
        .enumerate()
        .take(blocks.div_ceil(CHUNK_BLOCKS))
    {
        let chunk = |input: &'_ [u8]| -> std::ops::Range<usize> {
            let start = at * CHUNK;
            start..input.len().min(start + CHUNK)
        };
        let slots = slots.get_mut(..trees).unwrap_or_default();
        let chunks = inputs().map(|input| input.get(chunk(input)).unwrap_or_default());
        lanes.chunks(at as u64, chunks, blocks - at * CHUNK_BLOCKS, slots);
        width = at + 1;
    }
    while width > 1 {
        let last = if width == 2 { ROOT } else { 0 };
        for at in 0..width.div_ceil(2) {
            let left = level.get(2 * at).copied();
            let right = level
                .get(2 * at + 1)
                .filter(|_| 2 * at + 1 < width)
                .copied();
            let (Some(left), Some(slots)) = (left, level.get_mut(at)) else {
                continue;
            };
            match right {
                Some(right) => lanes.parents(&left, &right, last, slots),
                // The last of an odd number goes up as it is.
                None => *slots = left,
            }
        }
        width = width.div_ceil(2);
    }
    let [roots, ..] = &level;
    out.extend_from_slice(roots.get(..trees).unwrap_or_default());
}

struct Lanes {
    platform: Platform,
    key: [u32; 8],
    flags: u8,
}

impl Lanes {
    fn new(mode: Mode, key: &[u8; 32]) -> Self {
        Self {
            platform: Platform::detect(),
            key: words(key),
            flags: match mode {
                Mode::Keyed => KEYED_HASH,
                Mode::Derive => DERIVE_KEY_MATERIAL,
            },
        }
    }

    /// How many inputs are handed over at a time: a multiple of every number of lanes.
    const AT_ONCE: usize = 64;

    /// Hashes those inputs that have `count` blocks.
    fn of_count<const N: usize>(&self, count: u8, arena: &[u8], blocks: &[u8], out: &mut [Digest]) {
        let mut inputs: [&[u8; N]; Self::AT_ONCE] = [&[0; N]; Self::AT_ONCE];
        let mut places = [0u32; Self::AT_ONCE];
        let mut filled = 0;
        let mut rest = arena;
        for (place, has) in blocks.iter().enumerate() {
            if *has == count
                && let Some(input) = rest.first_chunk::<N>()
            {
                if let (Some(slot), Some(to)) = (places.get_mut(filled), inputs.get_mut(filled)) {
                    *slot = place as u32; // a batch has at most 65,536 events
                    *to = input;
                    filled += 1;
                }
                if filled == Self::AT_ONCE {
                    self.run(&inputs, &places, out);
                    filled = 0;
                }
            }
            rest = rest.get(usize::from(*has) * BLOCK..).unwrap_or_default();
        }
        self.run(inputs.get(..filled).unwrap_or_default(), &places, out);
    }

    fn run<const N: usize>(&self, inputs: &[&[u8; N]], places: &[u32], out: &mut [Digest]) {
        let mut digests = [0u8; Self::AT_ONCE * 32];
        let Some(digests) = digests.get_mut(..inputs.len() * 32) else {
            return;
        };
        self.compress(inputs, digests);
        for (digest, place) in digests.as_chunks::<32>().0.iter().zip(places) {
            if let Some(slot) = out.get_mut(*place as usize) {
                *slot = *digest;
            }
        }
    }

    /// Hashes the chunks of this number of some trees, which have as many blocks each: `blocks`, or a whole
    /// chunk's.
    fn chunks<'i>(
        &self,
        number: u64,
        chunks: impl Iterator<Item = &'i [u8]>,
        blocks: usize,
        out: &mut [Digest],
    ) {
        macro_rules! by_count {
            ($($count:literal)*) => {
                match blocks {
                    $($count => self.chunks_of::<{ $count * BLOCK }>(number, chunks, out),)*
                    _ => self.chunks_of::<CHUNK>(number, chunks, out),
                }
            };
        }
        by_count!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }

    fn chunks_of<'i, const N: usize>(
        &self,
        number: u64,
        chunks: impl Iterator<Item = &'i [u8]>,
        out: &mut [Digest],
    ) {
        let mut inputs = [&[0; N]; TREES];
        for (input, chunk) in inputs.iter_mut().zip(chunks) {
            *input = chunk.first_chunk().unwrap_or(&[0; N]);
        }
        let inputs = inputs.get(..out.len()).unwrap_or_default();
        self.platform.hash_many(
            inputs,
            &self.key,
            number,
            IncrementCounter::No,
            self.flags,
            CHUNK_START,
            CHUNK_END,
            out.as_flattened_mut(),
        );
    }

    /// Hashes the parents of two nodes of each tree; `last` is [`ROOT`] where that is the tree's root.
    fn parents(
        &self,
        left: &[Digest; TREES],
        right: &[Digest; TREES],
        last: u8,
        out: &mut [Digest; TREES],
    ) {
        let mut pairs = [[0; BLOCK]; TREES];
        for ((pair, left), right) in pairs.iter_mut().zip(left).zip(right) {
            let (first, second) = pair.split_at_mut(32);
            first.copy_from_slice(left);
            second.copy_from_slice(right);
        }
        self.platform.hash_many(
            &pairs.each_ref(),
            &self.key,
            0,
            IncrementCounter::No,
            self.flags | PARENT,
            0,
            last,
            out.as_flattened_mut(),
        );
    }

    /// Hashes inputs into as many digests, one after another.
    fn compress<const N: usize>(&self, inputs: &[&[u8; N]], digests: &mut [u8]) {
        self.platform.hash_many(
            inputs,
            &self.key,
            0,
            IncrementCounter::No,
            self.flags,
            CHUNK_START,
            CHUNK_END | ROOT,
            digests,
        );
    }
}

fn words(key: &[u8; 32]) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_side_by_side_give_what_the_documented_interface_gives() {
        let key = [7; 32];
        let bytes: Vec<u8> = (0..(TREES * TREE_BLOCKS * BLOCK) as u32)
            .map(|i| (i.wrapping_mul(i) >> 5) as u8)
            .collect();
        for blocks in CHUNK_BLOCKS + 1..=TREE_BLOCKS {
            for trees in [1, 2, 5, TREES] {
                let arena = &bytes[..trees * blocks * BLOCK];
                let (mut keyed, mut derived) = (vec![[9; 32]], Vec::new());
                hash_trees(Mode::Keyed, &key, arena, blocks, &mut keyed);
                hash_trees(Mode::Derive, &key, arena, blocks, &mut derived);
                assert_eq!(keyed.remove(0), [9; 32], "what was there stays");
                assert_eq!((keyed.len(), derived.len()), (trees, trees));
                for (at, input) in arena.chunks(blocks * BLOCK).enumerate() {
                    assert_eq!(keyed[at], *blake3::keyed_hash(&key, input).as_bytes());
                    let mut hasher =
                        <blake3::Hasher as blake3::hazmat::HasherExt>::new_from_context_key(&key);
                    assert_eq!(derived[at], *hasher.update(input).finalize().as_bytes());
                }
            }
        }
    }

    #[test]
    fn lanes_give_what_the_documented_interface_gives() {
        let key = [7; 32];
        let bytes: Vec<u8> = (0..200 * 1024u32)
            .map(|i| (i.wrapping_mul(i) >> 5) as u8)
            .collect();
        // Every block count alone and mixed, and more and fewer inputs than there are lanes.
        for inputs in [1, 2, 7, 16, 17, 63, 64, 65, 130] {
            for shift in 0..16usize {
                let blocks: Vec<u8> = (0..inputs)
                    .map(|at| match shift {
                        0 => 2,
                        _ => 1 + (at * shift % CHUNK_BLOCKS) as u8,
                    })
                    .collect();
                let total: usize = blocks.iter().map(|count| usize::from(*count) * BLOCK).sum();
                let arena = &bytes[..total];
                let (mut keyed, mut derived) = (Vec::new(), vec![[9; 32]]);
                hash_many(Mode::Keyed, &key, arena, &blocks, &mut keyed);
                hash_many(Mode::Derive, &key, arena, &blocks, &mut derived);
                assert_eq!(derived.remove(0), [9; 32], "what was there stays");
                let mut rest = arena;
                for (at, count) in blocks.iter().enumerate() {
                    let (input, others) = rest.split_at(usize::from(*count) * BLOCK);
                    rest = others;
                    assert_eq!(keyed[at], *blake3::keyed_hash(&key, input).as_bytes());
                    let mut hasher =
                        <blake3::Hasher as blake3::hazmat::HasherExt>::new_from_context_key(&key);
                    assert_eq!(derived[at], *hasher.update(input).finalize().as_bytes());
                }
            }
        }
    }
}
