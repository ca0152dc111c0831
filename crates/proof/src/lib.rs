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
//!   [`TlogProof`], [`UnverifiedReceipt`], [`VerifiedReceipt`], [`UnsignedProof`];
//! * evidence cases, which are many events of a period with one proof for all ([`verify_case`],
//!   [`set_proof`], [`root_of_set`]);
//! * C2SP witnesses: cosignatures ([`CosignerKey`]), the [`Witness`] itself, and policies of files that
//!   say how many of which must have cosigned ([`TrustPolicy`]).
//!
//! ```
//! use factlog_proof::{Checkpoint, Frontier, Policy, SigningKey, TlogProof, leaf_hash};
//!
//! // The log's side: append three leaves, sign the tree, prove the second leaf.
//! let key = SigningKey::generate("example.com/log", [7; 32])?; // a real seed is random
//! let leaves = [b"a", b"b", b"c"].map(|data| leaf_hash(data));
//! let span = Frontier::new().extend(&leaves);
//! let checkpoint = Checkpoint::new("example.com/log", span.end(), span.root())?.sign(&key)?;
//! let path = span.inclusion(1).ok_or("not in the run")?;
//! let proof = TlogProof::new(None, 1, path, checkpoint)?.to_string();
//!
//! // Anyone's side, with nothing but the text and the log's public key.
//! let policy = Policy::from(key.verifier().clone());
//! let proof = TlogProof::parse(proof.as_bytes())?;
//! let (index, checkpoint) = proof.verify_inclusion_of(&leaf_hash(b"b"), &policy)?;
//! assert_eq!((index, checkpoint.size()), (1, 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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

mod case;
mod checkpoint;
mod cosignature;
mod error;
mod hash;
mod key;
mod merkle;
mod note;
mod policy;
mod receipt;
mod signing;
mod text;
mod trust;
mod witness;

pub use case::{
    CaseFinding, CaseQuestion, CaseReport, CaseTrust, CaseVerdict, VerifiedCase, sample_order,
    verify_case,
};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use cosignature::{CosignerKey, CosigningKey};
pub use error::{CheckpointError, KeyError, NoteError, PathError, ProofError, ReceiptError};
pub use hash::Hash;
pub use key::{SigningKey, VerifierKey};
pub use merkle::{
    Frontier, NodeSource, Span, Subtree, consistency_path, empty_root, inclusion_path, leaf_hash,
    node_hash, root_at, root_of_set, set_proof, verify_consistency, verify_inclusion,
};
pub use note::{NoteSignature, SignedNote};
pub use policy::Policy;
pub use receipt::{SuppliedSection, TlogProof, UnsignedProof, UnverifiedReceipt, VerifiedReceipt};
pub use signing::{MalformedSigning, SignAnswer, SignRequest};
pub use trust::{PolicyError, PolicyProblem, TrustPolicy, Vouched};
pub use witness::{AddCheckpoint, Cosigned, Witness, WitnessError, WitnessMemory};

/// Types of the event format that stand in this crate's API.
pub use factlog_format::{EventRecord, SectionSecret};
