//! What a journal is opened with.

mod options;
mod planted;
mod seams;

pub use options::{ChainVerification, Dangerous, Options, Recovery, RegistryCheck, SigningPolicy};
pub(crate) use options::{KeySource, named_after};
#[cfg(test)]
pub(crate) use planted::with;
pub(crate) use planted::{Bug, planted};
pub use seams::{Clock, Random, SystemClock, SystemRandom};
