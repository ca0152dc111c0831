//! Which keys a partition of a run may hold: a split-block Bloom filter.
//!
//! A key sets one bit in each of the eight words of one 32-byte line. At 12 bits per key about one
//! key in 200 that isn't there seems to be. The hash is fixed by the journal's id, which is no
//! secret, so someone who chooses ids can choose such that collide. That costs time, a block read
//! per run and look-up, and nothing else: a filter never decides that something *is* there.

use super::block::{BODY, u32_at};
use super::item::Key;

/// Bytes of a line.
pub(super) const LINE: usize = 32;
/// Lines in one block.
pub(super) const LINES: usize = BODY / LINE;

const BITS_PER_KEY: u64 = 12;

/// Odd multipliers that pick the bit of each word: those of the Parquet format.
const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// How many lines the filter of so many keys has.
pub(super) fn lines_for(keys: u32) -> u32 {
    // 43,350 keys at most stand in a partition, so this fits.
    (u64::from(keys) * BITS_PER_KEY).div_ceil(8 * LINE as u64) as u32
}

/// Hashes keys of one journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHash {
    low: u64,
    high: u64,
}

impl KeyHash {
    pub(super) fn new(journal: &[u8; 16]) -> Self {
        let id = u128::from_le_bytes(*journal);
        Self {
            low: id as u64,
            high: (id >> 64) as u64,
        }
    }

    pub(super) fn hash(self, table: u8, key: Key) -> u64 {
        let first = mix((key >> 64) as u64 ^ self.low ^ u64::from(table));
        mix(first ^ mix(key as u64 ^ self.high))
    }
}

/// The finalizer of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The bits of one line.
pub(super) type Line = [u32; 8];

/// The line of a key, of `lines`.
pub(super) fn line_of(hash: u64, lines: u32) -> usize {
    (((hash >> 32) * u64::from(lines)) >> 32) as usize
}

/// The bits that a key sets in its line.
pub(super) fn bits(hash: u64) -> Line {
    SALTS.map(|salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
}

/// Whether all these bits are set in a line.
pub(super) fn may_hold(line: &Line, bits: &Line) -> bool {
    line.iter()
        .zip(bits)
        .fold(0, |missing, (word, bit)| missing | (bit & !word))
        == 0
}

/// The line at a place in the lines as they are stored; all ones past the end, where none is asked.
pub(super) fn line_at(bytes: &[u8], at: usize) -> Line {
    let line = bytes
        .get(at * LINE..)
        .and_then(|rest| rest.get(..LINE))
        .unwrap_or(&[0xff; LINE]);
    std::array::from_fn(|word| u32_at(line, 4 * word))
}

/// The filter of keys with these hashes.
pub(super) fn build(hashes: &[u64]) -> Vec<Line> {
    let lines = lines_for(hashes.len() as u32);
    let mut filter = vec![[0; 8]; lines as usize];
    for hash in hashes {
        if let Some(line) = filter.get_mut(line_of(*hash, lines)) {
            line.iter_mut()
                .zip(bits(*hash))
                .for_each(|(word, bit)| *word |= bit);
        }
    }
    filter
}

/// Lines as they are stored.
pub(super) fn encode(lines: &[Line]) -> Vec<u8> {
    lines
        .iter()
        .flatten()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_little_else() {
        let hash = KeyHash::new(&[7; 16]);
        let hashes: Vec<u64> = (0..43_350).map(|key| hash.hash(1, key)).collect();
        let filter = build(&hashes);
        let stored = encode(&filter);
        let holds = |hash| {
            let at = line_of(hash, lines_for(43_350));
            assert_eq!(line_at(&stored, at), filter[at]);
            may_hold(&filter[at], &bits(hash))
        };
        assert!(hashes.iter().all(|hash| holds(*hash)));
        let wrong = (0..100_000).filter(|key| holds(hash.hash(2, *key))).count();
        assert!(wrong < 1_000, "{wrong} of 100,000");
    }
}
