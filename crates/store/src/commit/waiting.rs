//! How appenders wait for their group, and who leads the next.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    task::{Context, Waker},
};

use super::receipt::GroupProof;
use crate::{
    WriterFailure,
    sync::{Condvar, Mutex},
};

pub(crate) type Outcome = Result<Arc<GroupProof>, WriterFailure>;

/// How a group ended, and those who wait to know.
///
/// They wait here and not at the order lock, so that all of a group wake at once and none of them has to
/// queue for a lock that the next group's appenders need.
#[derive(Debug, Default)]
pub(crate) struct GroupCell {
    outcome: OnceLock<Outcome>,
    seats: Mutex<Seats>,
    told: Condvar,
}

#[derive(Debug, Default)]
struct Seats {
    /// Whether one of those who wait is to lead, and hasn't heard of it yet.
    leader_wanted: bool,
    waiting: u32,
    wakers: Vec<Waker>,
}

/// Why somebody stopped waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The group has ended.
    Ended,
    /// The group is to be led by whoever is told so: nobody else will.
    Lead,
}

impl GroupCell {
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome.get().cloned()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Sets how the group ended, which those who wait hear of by [`wake`](Self::wake).
    pub(crate) fn end(&self, outcome: Outcome) {
        // A group ends once; a second word would contradict the first.
        let _ = self.outcome.set(outcome);
    }

    /// Wakes all who wait, once the group has ended.
    pub(crate) fn wake(&self) {
        let mut seats = self.seats.lock();
        let wakers = std::mem::take(&mut seats.wakers);
        if seats.waiting > 0 {
            self.told.notify_all();
        }
        drop(seats);
        for waker in wakers {
            // Other people's code: what goes wrong in one task's is no reason to leave the others asleep.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// Makes one of those who wait, or are about to, lead.
    pub(super) fn promote(&self) {
        let mut seats = self.seats.lock();
        seats.leader_wanted = true;
        if seats.waiting > 0 {
            self.told.notify_one();
        }
    }

    /// Waits until the group has ended or is to be led.
    pub(super) fn wait(&self) -> Woken {
        let mut seats = self.seats.lock();
        loop {
            if self.has_ended() {
                return Woken::Ended;
            }
            if std::mem::take(&mut seats.leader_wanted) {
                return Woken::Lead;
            }
            seats.waiting += 1;
            seats = self.told.wait(seats);
            seats.waiting -= 1;
        }
    }

    /// Has the task woken when the group has ended. Returns whether it has.
    pub(super) fn poll(&self, context: &Context<'_>) -> bool {
        if self.has_ended() {
            return true;
        }
        let mut seats = self.seats.lock();
        // It may have ended meanwhile, and its wakers be taken.
        if self.has_ended() {
            return true;
        }
        let waker = context.waker();
        if !seats.wakers.iter().any(|known| known.will_wake(waker)) {
            seats.wakers.push(waker.clone());
        }
        false
    }
}
