//! What other processes see of the subscriptions that have names.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::*},
    },
    time::Instant,
};

use super::{
    super::{Ended, notice::EVERY},
    slot::Slot,
    subscription::status,
};
use crate::{
    read::Shared,
    sync::{Condvar, Mutex},
};

/// Has a thread write how far they are, about once a second while that changes. While nothing does, the
/// thread does nothing.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// Whether anything may have changed since it was written.
    stale: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    slots: Vec<Arc<Slot>>,
    /// Whether the thread is there.
    running: bool,
}

impl Notices {
    /// Adds one. `true`: the thread isn't there, and is to be [run](Self::run) now.
    pub(super) fn add(&self, slot: &Arc<Slot>) -> bool {
        let mut state = self.state.lock();
        state.slots.push(Arc::clone(slot));
        let there = std::mem::replace(&mut state.running, true);
        drop(state);
        self.touch();
        !there
    }

    pub(super) fn remove(&self, slot: &Slot) {
        let mut state = self.state.lock();
        state.slots.retain(|other| other.id != slot.id);
        drop(state);
        self.changed.notify_one();
    }

    /// The thread couldn't be started.
    pub(super) fn is_not_running(&self) {
        self.state.lock().running = false;
    }

    /// Something may have changed.
    pub(super) fn touch(&self) {
        if !self.stale.load(Relaxed) && !self.stale.swap(true, SeqCst) {
            // The lock orders this after the look that the thread took before it waited.
            drop(self.state.lock());
            self.changed.notify_one();
        }
    }

    /// Writes them until there are none.
    pub(super) fn run(&self, shared: &Weak<Shared>) {
        loop {
            let mut state = self.state.lock();
            while !state.slots.is_empty() && !self.stale.load(SeqCst) {
                state = self.changed.wait(state);
            }
            let shared = shared.upgrade().filter(|_| !state.slots.is_empty());
            let Some(shared) = shared else {
                state.running = false;
                return;
            };
            self.stale.store(false, SeqCst);
            let slots = state.slots.clone();
            drop(state);
            let again = slots
                .iter()
                .filter(|slot| is_to_be_kept_again(&shared, slot));
            if again.count() > 0 {
                self.stale.store(true, SeqCst);
            }
            // The journal isn't held by who only looks at it.
            drop((shared, slots));
            self.pause();
        }
    }

    fn pause(&self) {
        let begun = Instant::now();
        let mut state = self.state.lock();
        while !state.slots.is_empty() {
            match EVERY.checked_sub(begun.elapsed()) {
                Some(left) if !left.is_zero() => state = self.changed.wait_for(state, left),
                _ => return,
            }
        }
    }
}

/// Writes how one stands; whether that is to be done again.
fn is_to_be_kept_again(shared: &Arc<Shared>, slot: &Slot) -> bool {
    let Some(notice) = &slot.notice else {
        return false;
    };
    let mut notice = notice.lock();
    let now = status(shared, slot, shared.followers.told());
    let position = now.position.min(shared.view.load().durable);
    notice.moved(position, now.last_progress, None);
    notice.keep(shared, Instant::now()).is_some()
}

/// Writes how far one came, and why it ended.
pub(super) fn end(shared: &Arc<Shared>, slot: &Slot, why: &Ended) {
    if let Some(notice) = &slot.notice {
        let mut notice = notice.lock();
        let now = status(shared, slot, shared.followers.told());
        let position = now.position.min(shared.view.load().durable);
        notice.moved(position, now.last_progress, None);
        notice.open(shared);
        notice.end(why);
    }
}
