//! The RFC 6962 Merkle tree over SHA-256.

mod frontier;
mod path;
mod span;
mod verify;

use sha2::{Digest, Sha256};

use crate::Hash;

pub use frontier::Frontier;
pub use path::{NodeSource, consistency_path, inclusion_path, root_at};
pub use span::Span;
pub use verify::{verify_consistency, verify_inclusion};

/// The hash of a leaf: SHA-256 over `0x00` and the data (RFC 6962, section 2.1).
///
/// The leaf data of a journal is the 32-byte event hash.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    hasher.update(data);
    Hash::from_bytes(hasher.finalize().into())
}

/// The hash of an inner node: SHA-256 over `0x01` and both children (RFC 6962, section 2.1).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [0x01; 65];
    let (_, children) = input.split_at_mut(1);
    let (left_half, right_half) = children.split_at_mut(32);
    left_half.copy_from_slice(left.as_bytes());
    right_half.copy_from_slice(right.as_bytes());
    Hash::from_bytes(Sha256::digest(input).into())
}

/// The root of the tree without leaves: SHA-256 of nothing (RFC 6962, section 2.1).
#[must_use]
pub fn empty_root() -> Hash {
    Hash::from_bytes(Sha256::digest([]).into())
}
