use std::time::Duration;

use super::super::Ended;

/// How far a projection or a worker is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProjectionStatus {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The first event that it hasn't passed.
    pub position: u64,
    /// How many events of the journal it hasn't passed.
    pub lag: u64,
    /// For how long the first of them has been waiting, in microseconds.
    pub lag_micros: i64,
    /// How many events it has applied since it was started; those that were rolled back count again.
    pub applied: u64,
    /// How many it has passed of which an erasure or a shred took something.
    pub erased: u64,
    /// How many it has given up as dead letters.
    pub dead_letters: u64,
    /// How often something has failed.
    pub failures: u64,
    /// When it last committed anything, in microseconds since 1970-01-01 UTC.
    pub last_progress: Option<i64>,
    /// What it is doing.
    pub phase: Phase,
}

impl ProjectionStatus {
    /// Whether nothing keeps it from going on: `false` while it has to try again, and once it has ended
    /// for a reason that nobody wanted.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        match &self.phase {
            Phase::CatchingUp { .. } | Phase::Live => true,
            Phase::Retrying { .. } => false,
            Phase::Ended(why) => why.is_wanted(),
        }
    }
}

/// What a projection or a worker is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Phase {
    /// It is behind, and applies what there is.
    CatchingUp {
        /// How long that will take at the speed until now; `None` if that isn't known yet.
        left: Option<Duration>,
    },
    /// It has applied all that there was when it looked last.
    Live,
    /// It tries again after a failure.
    Retrying {
        /// The event that can't be applied; `None` if none is to blame.
        sequence: Option<u64>,
        /// How often that was tried.
        attempts: u32,
        /// What failed.
        why: String,
    },
    /// It has ended.
    Ended(Ended),
}
