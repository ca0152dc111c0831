//! Projections: what is made of events, kept up to date, wherever it is kept.

mod dead_letter;
mod feed;
mod member;
mod memory;
mod projector;
mod retries;
mod status;
mod worker;

use std::fmt;

pub use memory::{InMemory, Shown};
pub use projector::Projector;
pub use retries::Retries;
pub use status::{Phase, ProjectionStatus};
pub use worker::Worker;

use super::Ended;
use crate::{Error, EventRef, Misuse, Query};

/// What is made of events, and kept together with the position up to which it was made.
///
/// A [`Projector`] reads the events that it wants, applies them in order, and has each batch committed
/// with the position behind it. Where both are kept in one place and committed in one transaction, the
/// effect of each event is there exactly once, whatever fails when: after a failure or a crash it goes on
/// at the position that was committed with the state.
///
/// [`InMemory`] is one whose state is a value of this process; a table in a database is another.
pub trait Projection: Send + 'static {
    /// Its name, under which it is seen in status and health.
    fn name(&self) -> &str;

    /// The version of what it makes. A higher one is built beside the one that runs, and takes its place
    /// once it has come as far.
    fn version(&self) -> u32 {
        1
    }

    /// The events that it wants. Others are not even decoded.
    fn query(&self) -> Query<'static>;

    /// How many events are applied before they are committed, at most: 16,384. While events come slower
    /// than that, what there is is committed at once; and what took longer than about 50 ms is, so that no
    /// other waits long for its turn, and a process that ends soon has got somewhere.
    fn batch(&self) -> u64 {
        16_384
    }

    /// The sequence of the first event that isn't in the state, as the state itself says; 0 if there is
    /// none. Asked before the first event, and again after each failure.
    ///
    /// # Errors
    /// What keeps it from being known; it is asked again later.
    fn position(&mut self) -> Result<u64, Failure>;

    /// Applies an event; it need not be durable before [`commit`](Self::commit).
    ///
    /// # Errors
    /// Why it can't be applied: see [`Failure`].
    fn apply(&mut self, event: &EventRef<'_>) -> Result<(), Failure>;

    /// Passes over an event of which an erasure took something, or of which the key of a section was
    /// [destroyed](EventRef::is_shredded). Does nothing if it isn't implemented: there may be no payload to
    /// apply.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn erased(&mut self, _event: &EventRef<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes what was applied since the last commit durable, together with the position `next`.
    ///
    /// # Errors
    /// Why it can't; it is tried again later, from the last commit on.
    fn commit(&mut self, next: u64) -> Result<(), Failure>;

    /// Forgets what was applied since the last commit, after a failure or a panic.
    fn rollback(&mut self);

    /// Takes the place of the version before: called once, right before the commit with which this one has
    /// come as far, so that readers can be switched over in the same transaction.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    fn activate(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether it keeps a [`CursorFile`](crate::CursorFile), so that `factlog stats` shows how far it is. Of
    /// any other its [`Projector`] writes that to one, about once a second.
    fn keeps_cursor(&self) -> bool {
        false
    }

    /// It ends, and this is why.
    fn ended(&mut self, _why: &Ended) {}
}

/// Why something could not be done with an event. Made of any error by `?`, which counts it against the
/// event.
pub enum Failure {
    /// The event is at fault: after some attempts it is given up, or with it the projection.
    Event(Box<dyn std::error::Error + Send + Sync>),
    /// Something else is: a connection, a full disk. It is tried again until it works.
    Later(Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// The same, with no event to blame for what had to be opened or read first.
    fn sorted(self) -> Self {
        let Self::Event(why) = self else {
            return self;
        };
        match why.downcast_ref::<Error>() {
            Some(Error::Sealed(_) | Error::Io { .. } | Error::Misuse(Misuse::Locked(_))) => {
                Self::Later(why)
            }
            _ => Self::Event(why),
        }
    }

    /// A failure that no event is to blame for.
    pub fn later(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Later(why.into())
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(why: E) -> Self {
        Self::Event(Box::new(why))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(why) | Self::Later(why) => why.fmt(f),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
