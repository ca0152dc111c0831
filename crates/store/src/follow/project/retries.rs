use std::{sync::Arc, time::Duration};

use crate::Journal;

/// What is done about events that can't be applied.
///
/// ```
/// use std::time::Duration;
/// use factlog::Retries;
///
/// let retries = Retries::new()
///     .attempts(3)
///     .pauses(Duration::from_millis(50), Duration::from_secs(5))
///     .budget(20);
/// ```
#[derive(Clone, Debug)]
pub struct Retries {
    pub(super) attempts: u32,
    first: Duration,
    longest: Duration,
    pub(super) budget: usize,
    pub(super) dead_letters: Option<Arc<Journal>>,
}

impl Default for Retries {
    fn default() -> Self {
        Self::new()
    }
}

impl Retries {
    /// Five attempts for an event, 100 ms apart and twice as long each time up to 30 s; 100 failures an
    /// hour; no dead letters.
    #[must_use]
    pub fn new() -> Self {
        Self {
            attempts: 5,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(30),
            budget: 100,
            dead_letters: None,
        }
    }

    /// How often an event is tried before it is given up, at least once. Failures that no event is to blame
    /// for don't count.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self {
            attempts: attempts.max(1),
            ..self
        }
    }

    /// How long it waits after the first failure, and at most; in between twice as long each time.
    #[must_use]
    pub fn pauses(self, first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            ..self
        }
    }

    /// How many times in an hour events may fail, whichever they are, before the projection ends: one that
    /// fails at everything must not turn a whole journal into dead letters.
    #[must_use]
    pub fn budget(self, failures: usize) -> Self {
        Self {
            budget: failures,
            ..self
        }
    }

    /// Writes down events that are given up, as events of kind `dead_letter.written` in the scope
    /// `dead-letters`, entity the projection's name, and goes on behind them. Without, a projection ends
    /// with the first that it has to give up.
    #[must_use]
    pub fn dead_letters(self, journal: Arc<Journal>) -> Self {
        Self {
            dead_letters: Some(journal),
            ..self
        }
    }

    /// The pause after so many failures in a row.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let doubled = 1u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retries = Retries::new().pauses(Duration::from_secs(1), Duration::from_secs(7));
        let pauses = [1, 2, 3, 4, 40, u32::MAX].map(|failures| retries.pause(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 7, 7, 7]);
    }
}
