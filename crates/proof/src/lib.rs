//! Proofs that stand without the journal that gave them.
//!
//! This crate holds what a third party needs to check a factlog journal offline, and nothing else:
//!
//! * the RFC 6962 Merkle tree: [`leaf_hash`], [`node_hash`], the incremental right edge
//!   ([`Frontier`], [`Span`]), paths from stored nodes ([`NodeSource`]) and their verification
//!   ([`verify_inclusion`], [`verify_consistency`]);
//! * C2SP signed notes and Ed25519 keys: [`SignedNote`], [`VerifierKey`], [`SigningKey`];
//! * C2SP checkpoints: [`Checkpoint`], [`SignedCheckpoint`];
//! * C2SP tlog-proofs, and receipts, which are tlog-proofs whose extra data is an event:
//!   [`TlogProof`], [`UnverifiedReceipt`], [`VerifiedReceipt`], [`UnsignedProof`].
//!
//! It does no I/O, reads no clock and starts no thread. Every text form is parsed strictly: what
//! [`parse`](SignedNote::parse) accepts, `to_string` gives back byte for byte. What a caller may
//! rely on can only be read after verification; names that begin with `claimed_` say what an
//! unverified text asserts of itself.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod checkpoint;
mod error;
mod hash;
mod key;
mod merkle;
mod note;
mod policy;
mod receipt;
mod text;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use error::{CheckpointError, KeyError, NoteError, PathError, ProofError, ReceiptError};
pub use hash::Hash;
pub use key::{SigningKey, VerifierKey};
pub use merkle::{
    Frontier, NodeSource, Span, consistency_path, empty_root, inclusion_path, leaf_hash, node_hash,
    root_at, verify_consistency, verify_inclusion,
};
pub use note::{NoteSignature, SignedNote};
pub use policy::Policy;
pub use receipt::{TlogProof, UnsignedProof, UnverifiedReceipt, VerifiedReceipt};
