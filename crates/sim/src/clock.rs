//! Time that moves when it is told to.

use std::sync::atomic::{AtomicI64, Ordering};

/// A clock for the code under test, to be wrapped in whatever seam it has.
///
/// Every reading moves it on by a fixed step, so that times differ and runs repeat. It can be
/// set to any time: real clocks jump, in both directions.
#[derive(Debug)]
pub struct SimClock {
    now: AtomicI64,
    step: i64,
}

impl SimClock {
    /// A clock that shows `now` microseconds and moves on by `step` with each reading.
    #[must_use]
    pub fn new(now: i64, step: i64) -> Self {
        let now = AtomicI64::new(now);
        Self { now, step }
    }

    /// Reads the clock.
    pub fn now_micros(&self) -> i64 {
        self.now.fetch_add(self.step, Ordering::Relaxed)
    }

    /// Moves the clock, back if `micros` is negative.
    pub fn jump(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::Relaxed);
    }
}
