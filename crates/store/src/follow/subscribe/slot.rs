use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    task::{Context, Waker},
    time::Duration,
};

use super::super::{Ended, notice::Notice};
use crate::sync::{Condvar, Mutex};

/// Where a subscription is told of news, and where it is seen how far it is.
#[derive(Debug)]
pub(in crate::follow) struct Slot {
    pub(in crate::follow) id: u64,
    pub(in crate::follow) name: String,
    state: Mutex<State>,
    told: Condvar,
    /// One past the last event that was given or that it doesn't take.
    pub(in crate::follow) position: AtomicU64,
    pub(in crate::follow) delivered: AtomicU64,
    /// When an event was given last, in microseconds since 1970-01-01 UTC; `i64::MIN` for never.
    pub(in crate::follow) last_progress: AtomicI64,
    /// How often it was told of anything.
    pub(in crate::follow) wakes: AtomicU64,
    /// Where other processes see it, if they do.
    pub(in crate::follow) notice: Option<Mutex<Notice>>,
}

#[derive(Debug, Default)]
struct State {
    /// The first event that it may take and that it hasn't looked at since.
    news: Option<u64>,
    ended: Option<Ended>,
    /// Whether it has looked at all that it was told, and found nothing more.
    waiting: bool,
    waker: Option<Waker>,
}

/// What a subscription finds when it looks for news.
#[derive(Debug)]
pub(in crate::follow) enum News {
    /// There may be an event for it, from this sequence on and not before.
    From(u64),
    Ended(Ended),
    None,
}

impl Slot {
    pub(in crate::follow) fn new(id: u64, name: String, position: u64) -> Self {
        Self {
            id,
            name,
            state: Mutex::default(),
            told: Condvar::default(),
            position: AtomicU64::new(position),
            delivered: AtomicU64::new(0),
            last_progress: AtomicI64::new(i64::MIN),
            wakes: AtomicU64::new(0),
            notice: None,
        }
    }

    /// Tells it that there may be an event for it at `sequence`. Groups come in order, so that the
    /// lowest that it hasn't looked at stands.
    #[must_use = "a task that waits is not woken yet"]
    pub(in crate::follow) fn tell(&self, sequence: u64) -> Sleeper {
        self.wakes.fetch_add(1, Relaxed);
        let mut state = self.state.lock();
        state.news.get_or_insert(sequence);
        let waker = state.waker.take();
        drop(state);
        self.told.notify_all();
        Sleeper(waker)
    }

    /// Ends it, unless it has ended before.
    #[must_use = "a task that waits is not woken yet"]
    pub(in crate::follow) fn end(&self, ended: Ended) -> Sleeper {
        let mut state = self.state.lock();
        state.ended.get_or_insert(ended);
        let waker = state.waker.take();
        drop(state);
        self.told.notify_all();
        Sleeper(waker)
    }

    /// What there is to look at. News come before the end, so that nothing durable is left out; only
    /// who was stopped wants no more.
    pub(in crate::follow) fn look(&self) -> News {
        let mut state = self.state.lock();
        let news = state.news.take();
        state.waiting &= news.is_none();
        match (&state.ended, news) {
            (Some(Ended::Stopped), _) => News::Ended(Ended::Stopped),
            (_, Some(from)) => News::From(from),
            (Some(ended), None) => News::Ended(ended.clone()),
            (None, None) => News::None,
        }
    }

    pub(in crate::follow) fn is_stopped(&self) -> bool {
        matches!(self.state.lock().ended, Some(Ended::Stopped))
    }

    /// Whether it has looked at all that it was told, and why it ended if it has.
    pub(in crate::follow) fn standing(&self) -> (bool, Option<Ended>) {
        let state = self.state.lock();
        let idle = state.waiting && state.news.is_none();
        (idle, state.ended.clone())
    }

    /// It has looked at all that it was told until its last look.
    pub(in crate::follow) fn is_waiting(&self) {
        self.state.lock().waiting = true;
    }

    /// It has found something to do that it wasn't told of.
    pub(in crate::follow) fn is_busy(&self) {
        self.state.lock().waiting = false;
    }

    /// Waits until there is something to look at, or for so long.
    pub(in crate::follow) fn wait(&self, most: Option<Duration>) {
        let mut state = self.state.lock();
        let before = most.map(|_| std::time::Instant::now());
        while state.news.is_none() && state.ended.is_none() {
            let Some((most, before)) = most.zip(before) else {
                state = self.told.wait(state);
                continue;
            };
            match most.checked_sub(before.elapsed()) {
                Some(left) if !left.is_zero() => state = self.told.wait_for(state, left),
                _ => return,
            }
        }
    }

    /// Has the task woken once there is something to look at. `true`: there is already.
    pub(in crate::follow) fn poll(&self, context: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        if state.news.is_some() || state.ended.is_some() {
            return true;
        }
        state.waker = Some(context.waker().clone());
        false
    }
}

/// A task to be woken, once no lock is held: wakers are other people's code.
#[derive(Debug)]
pub(in crate::follow) struct Sleeper(Option<Waker>);

impl Sleeper {
    /// Wakes it. One whose waker panics doesn't keep the others asleep.
    pub(in crate::follow) fn wake(self) {
        if let Some(waker) = self.0 {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
        }
    }
}
