use std::sync::Arc;

use thiserror::Error;

use crate::Error;

/// Why something that follows a journal has ended. Nothing ends without one.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Ended {
    /// All that was asked for has been given: the query has an end, and it is reached.
    #[error("all that was asked for has been given")]
    Complete,
    /// Somebody in this program stopped it.
    #[error("it was stopped")]
    Stopped,
    /// The journal was closed, or dropped.
    #[error("the journal was closed")]
    Closed,
    /// The journal's writer failed: everything durable has been given, and nothing more will come
    /// before the journal is opened again.
    #[error("the journal's writer has failed, so nothing more comes until it is opened again: {0}")]
    WriterFailed(Arc<Error>),
    /// An event could not be read, or the journal could not be followed.
    #[error("the journal could not be read: {0}")]
    ReadFailed(Arc<Error>),
    /// An event could not be applied, however often it was tried.
    #[error("event {sequence} could not be applied in {attempts} attempts: {why}")]
    GaveUp {
        /// The event.
        sequence: u64,
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        why: String,
    },
    /// Events failed too often, whichever they were.
    #[error("events failed {failures} times in an hour, the last time with: {why}")]
    BudgetSpent {
        /// How often.
        failures: usize,
        /// What happened the last time.
        why: String,
    },
    /// A newer version has taken its place.
    #[error("version {by} has taken its place")]
    Replaced {
        /// Which one.
        by: u32,
    },
    /// What runs it has panicked.
    #[error("what runs it has panicked; its message is where such messages go")]
    Panicked,
}

impl Ended {
    /// The reason in one stable word, for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::Closed => "closed",
            Self::WriterFailed(_) => "writer_failed",
            Self::ReadFailed(_) => "read_failed",
            Self::GaveUp { .. } => "gave_up",
            Self::BudgetSpent { .. } => "budget_spent",
            Self::Replaced { .. } => "replaced",
            Self::Panicked => "panicked",
        }
    }

    /// Whether it ended as somebody wanted.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        matches!(self, Self::Complete | Self::Stopped | Self::Replaced { .. })
    }
}
