//! Checkpoints that are put where whoever rewrites the journal should not reach.

use std::{
    fmt::Debug,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use factlog_proof::SignedCheckpoint;

use super::Writer;
use crate::{Reader, sync::Mutex};

/// A place outside the journal where its checkpoints are kept: worth most where the journal's keeper can't
/// take back what was put there.
pub trait Anchor: Debug + Send + Sync {
    /// Takes a newer checkpoint; the journal can prove that it continues what is there already. Called from a
    /// thread that nobody waits for but a close; what fails is tried again with the next checkpoint, and
    /// fails nothing else.
    ///
    /// # Errors
    /// Whatever keeps it from being there; see [`Journal::anchor_failures`](crate::Journal::anchor_failures).
    fn put(&self, checkpoint: &SignedCheckpoint, journal: &Reader) -> io::Result<()>;
}

/// The anchors of a journal that is open for writing.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    list: Vec<Arc<dyn Anchor>>,
    /// At most so long between two, in microseconds.
    every: i64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Size of the newest checkpoint that each has, and why it hasn't the newest.
    places: Vec<(u64, Option<String>)>,
    last_at: i64,
    segments: usize,
}

impl Anchors {
    pub(crate) fn new(list: Vec<Arc<dyn Anchor>>, every: i64) -> Self {
        let places = vec![(0, None); list.len()];
        let state = State {
            places,
            // The first is due at once.
            last_at: i64::MIN,
            segments: 0,
        };
        Self {
            list,
            every,
            state: Mutex::new(state),
        }
    }

    /// Why places don't have the newest checkpoint that was put.
    pub(crate) fn failures(&self) -> Vec<String> {
        let state = self.state.lock();
        let failed = state.places.iter().filter_map(|(_, why)| why.clone());
        failed.collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts the newest checkpoint, if one is due: after a roll, after the interval, or if `now_at_last` says
    /// that there will be no later chance. Never called with the journal's own locks held.
    pub(crate) fn step(&self, writer: &Writer, now_at_last: bool) {
        if self.list.is_empty() {
            return;
        }
        let view = writer.shared.view.load_full();
        let Some(signed) = view.signed.as_deref() else {
            return;
        };
        let size = signed.claimed().size();
        let now = writer.clock.now_micros();
        let mut state = self.state.lock();
        let rolled = view.segments.len() != state.segments;
        let waited = now < state.last_at || now.saturating_sub(state.last_at) >= self.every;
        if !(now_at_last || rolled || waited) {
            return;
        }
        (state.last_at, state.segments) = (now, view.segments.len());
        let reader = Reader {
            shared: Arc::clone(&writer.shared),
        };
        for (anchor, place) in self.list.iter().zip(&mut state.places) {
            if place.0 >= size && place.1.is_none() {
                continue;
            }
            let put = catch_unwind(AssertUnwindSafe(|| anchor.put(signed, &reader)));
            *place = match put {
                Ok(Ok(())) => (size, None),
                Ok(Err(error)) => (place.0, Some(error.to_string())),
                Err(_) => (place.0, Some("the anchor panicked".to_owned())),
            };
        }
    }
}
