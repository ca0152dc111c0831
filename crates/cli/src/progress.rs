//! How far a long task has got: a bar on a terminal, else a line every ten seconds.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Events,
}

/// Quick tasks say nothing.
const QUIET: Duration = Duration::from_secs(1);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress of one task; can be told from any thread.
pub(crate) struct Progress {
    what: &'static str,
    unit: Unit,
    start: Instant,
    terminal: bool,
    bar: ProgressBar,
    total: AtomicU64,
    /// Milliseconds after the start at which the next line is due.
    next_line: AtomicU64,
}

impl Progress {
    pub(crate) fn new(what: &'static str, unit: Unit, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        bar.set_message(what);
        bar.set_style(style(unit, total.is_some()));
        Self {
            what,
            unit,
            start: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            bar,
            total: AtomicU64::new(total.unwrap_or(0)),
            next_line: AtomicU64::new(LINE_EVERY.as_millis() as u64),
        }
    }

    /// So much is done of so much; a total of 0 is an unknown one.
    pub(crate) fn set(&self, done: u64, total: u64) {
        let elapsed = self.start.elapsed();
        if elapsed < QUIET {
            return;
        }
        if self.total.swap(total, Ordering::Relaxed) != total {
            self.bar.set_style(style(self.unit, total > 0));
        }
        if self.terminal {
            if self.bar.is_hidden() {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
                self.bar.reset_eta();
            }
            if total > 0 {
                self.bar.set_length(total);
            }
            self.bar.set_position(done);
            return;
        }
        let millis = elapsed.as_millis() as u64;
        let due = self.next_line.load(Ordering::Relaxed);
        let next = millis + LINE_EVERY.as_millis() as u64;
        let swapped =
            self.next_line
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if millis >= due && swapped.is_ok() {
            let line = self.line(done, total, elapsed);
            // Nobody to tell is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{line}");
        } else if swapped.is_ok() {
            self.next_line.store(due, Ordering::Relaxed);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self, done: u64, total: u64, elapsed: Duration) -> String {
        let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
        let amount = |value: u64| match self.unit {
            Unit::Bytes => HumanBytes(value).to_string(),
            Unit::Events => value.to_string(),
        };
        let suffix = match self.unit {
            Unit::Bytes => "",
            Unit::Events => " events",
        };
        let rated = amount(rate as u64);
        if total <= done || rate < 1.0 {
            return format!("{}: {}{suffix}, {rated}{suffix}/s", self.what, amount(done));
        }
        let left = Duration::from_secs_f64((total - done) as f64 / rate);
        format!(
            "{}: {} of {}{suffix}, {rated}{suffix}/s, {} left",
            self.what,
            amount(done),
            amount(total),
            HumanDuration(left)
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn style(unit: Unit, has_total: bool) -> ProgressStyle {
    let template = match (unit, has_total) {
        (Unit::Bytes, true) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
        (Unit::Bytes, false) => "{msg} {spinner} {bytes} {bytes_per_sec}",
        (Unit::Events, true) => "{msg} {wide_bar} {pos}/{len} {per_sec}, {eta} left",
        (Unit::Events, false) => "{msg} {spinner} {pos} events {per_sec}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_rate_and_time_left() {
        let progress = Progress::new("import", Unit::Events, None);
        let line = progress.line(1_000, 4_000, Duration::from_secs(10));
        assert_eq!(
            line,
            "import: 1000 of 4000 events, 100 events/s, 30 seconds left"
        );
        let line = progress.line(1_000, 0, Duration::from_secs(10));
        assert_eq!(line, "import: 1000 events, 100 events/s");
    }
}
