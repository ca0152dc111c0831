//! A sample that anyone can draw again.

use sha2::{Digest, Sha256};

use crate::Hash;

/// Where an event stands in the order in which a seed draws events: a sample of n are the n with the
/// lowest. It is SHA-256 over `factlog sample`, a line feed, the seed, a line feed and the event hash.
#[must_use]
pub fn sample_order(seed: &str, event_hash: &[u8; 32]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(b"factlog sample\n");
    hasher.update(seed.as_bytes());
    hasher.update(b"\n");
    hasher.update(event_hash);
    Hash::from_bytes(hasher.finalize().into())
}
