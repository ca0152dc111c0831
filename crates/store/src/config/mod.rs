//! What a journal is opened with.

mod options;
mod seams;

pub(crate) use options::KeySource;
pub use options::{Dangerous, Options, Recovery, SigningPolicy};
pub use seams::{Clock, Random, SystemClock, SystemRandom};
