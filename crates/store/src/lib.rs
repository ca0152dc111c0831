//! An embedded, append-only event store with hash-chained, signed receipts.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod config;
mod error;
mod event;
mod index;
mod known;
mod signer;
mod tree;

pub use config::{Clock, Random, SystemClock, SystemRandom};
pub use error::{Conflict, Damage, Error, Misuse, Refusal, WriterFailure};
pub use event::Expect;
