//! Proofs in text form (C2SP tlog-proof), and receipts, whose extra data is an event.

mod body;
mod tlog;
mod unsigned;
mod verify;

pub use tlog::TlogProof;
pub use unsigned::UnsignedProof;
pub use verify::{SuppliedSection, UnverifiedReceipt, VerifiedReceipt};
