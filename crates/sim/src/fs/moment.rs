//! A point in a run, from which it can go on in many ways.

use crate::disk::State;
use crate::{PowerCut, Rng, SimFs};

/// How cache and disk stood after a call. Holding one costs little: what didn't change is
/// shared.
#[derive(Clone, Debug)]
pub struct Moment {
    pub(crate) calls: u64,
    pub(crate) state: State,
}

impl Moment {
    /// How many calls there had been.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// A machine that goes on here after its process was killed: what was written is still in
    /// the cache, and what was not synced can still be lost later.
    #[must_use]
    pub fn kill_process(&self, seed: u64) -> SimFs {
        let mut state = self.state.clone();
        state.prune();
        SimFs::with(state, seed)
    }

    /// A machine that goes on here after a power cut.
    #[must_use]
    pub fn power_cut(&self, cut: &PowerCut, seed: u64) -> SimFs {
        let mut rng = Rng::new(seed);
        let state = cut.apply(&self.state, &mut rng);
        SimFs::with(state, rng.next_u64())
    }

    /// Whether anything would be lost if the power went now.
    #[must_use]
    pub fn has_unsynced(&self) -> bool {
        self.state.unsynced()
    }
}
