//! The RFC 6962 Merkle tree over SHA-256.

mod frontier;
mod path;
mod set;
mod span;
mod verify;

use sha2::{Digest, Sha256, block_api::compress256};

use crate::Hash;

pub use frontier::{Frontier, Subtree};
pub use path::{NodeSource, consistency_path, inclusion_path, root_at};
pub use set::{root_of_set, set_proof};
pub use span::Span;
pub use verify::{verify_consistency, verify_inclusion};

/// The hash of a leaf: SHA-256 over `0x00` and the data (RFC 6962, section 2.1).
///
/// The leaf data of a journal is the 32-byte event hash.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    if let Ok(data) = <&[u8; 32]>::try_from(data) {
        return event_leaf(data);
    }
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    hasher.update(data);
    Hash::from_bytes(hasher.finalize().into())
}

/// The hash of an inner node: SHA-256 over `0x01` and both children (RFC 6962, section 2.1).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // 65 bytes and their padding are two blocks; see `digest`.
    let mut blocks = [[0; 64]; 2];
    let [first, second] = &mut blocks;
    let (prefix, rest) = first.split_at_mut(1);
    let (left_half, right_half) = rest.split_at_mut(32);
    prefix.copy_from_slice(&[0x01]);
    left_half.copy_from_slice(left.as_bytes());
    let (most, last) = right.as_bytes().split_at(31);
    right_half.copy_from_slice(most);
    let (tail, padding) = second.split_at_mut(1);
    tail.copy_from_slice(last);
    end_message(padding, 65);
    digest(&blocks)
}

fn event_leaf(data: &[u8; 32]) -> Hash {
    let mut block = [0; 64];
    let (message, padding) = block.split_at_mut(33);
    let (_, rest) = message.split_at_mut(1);
    rest.copy_from_slice(data);
    end_message(padding, 33);
    digest(&[block])
}

/// What follows a message of `len` bytes to the end of its last block (FIPS 180-4, section 5.1.1).
fn end_message(padding: &mut [u8], len: u64) {
    if let Some(first) = padding.first_mut() {
        *first = 0x80;
    }
    if let Some(bits) = padding.last_chunk_mut() {
        *bits = (8 * len).to_be_bytes();
    }
}

/// SHA-256 over whole blocks that include their padding.
///
/// A tree hashes nothing but messages of one and of two blocks: to lay them out here saves a third of
/// what the general interface costs.
fn digest(blocks: &[[u8; 64]]) -> Hash {
    // FIPS 180-4, section 5.3.3.
    let mut state: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    compress256(&mut state, blocks);
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    Hash::from_bytes(hash)
}

/// The root of the tree without leaves: SHA-256 of nothing (RFC 6962, section 2.1).
#[must_use]
pub fn empty_root() -> Hash {
    Hash::from_bytes(Sha256::digest([]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_and_nodes_are_plain_sha_256() {
        for seed in 0..50u8 {
            let data = |seed: u8| -> [u8; 32] { std::array::from_fn(|at| seed ^ (at * 7) as u8) };
            let (left, right) = (data(seed), data(seed.wrapping_mul(31)));
            let leaf = Sha256::new().chain_update([0]).chain_update(left);
            assert_eq!(leaf_hash(&left), Hash::from_bytes(leaf.finalize().into()));
            let node = Sha256::new().chain_update([1]).chain_update(left);
            let node = node.chain_update(right).finalize();
            let hash = node_hash(&Hash::from_bytes(left), &Hash::from_bytes(right));
            assert_eq!(hash, Hash::from_bytes(node.into()));
        }
    }
}
