//! What a campaign came to.

use std::collections::BTreeMap;
use std::fmt;

use super::{
    campaign::Crash,
    survive::{Outcome, Violation},
    workload::Workload,
};

/// Counts, and what went wrong.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub workloads: u64,
    /// Crashes: one for each place, way and seed.
    pub states: u64,
    /// Of these, those whose bytes and promises were unlike any before: each was opened, and
    /// every oracle asked.
    pub distinct: u64,
    /// Crashes that were a second one.
    pub double: u64,
    /// Crashes of a recovery from a crash of a recovery.
    pub triple: u64,
    /// By kind of crash: those with something unsynced, and those of them whose outcome was
    /// another one than if all had been kept.
    pub changed: BTreeMap<Crash, (u64, u64)>,
    pub recovered: u64,
    pub torn: u64,
    pub violations: Vec<Violation>,
    /// The first workload that a violation was found in.
    pub failed: Option<Workload>,
}

impl Figures {
    /// Counts a state that was examined.
    pub fn count(&mut self, outcome: Outcome) {
        self.distinct += 1;
        self.recovered += u64::from(outcome.recovered);
        self.torn += u64::from(outcome.torn);
    }

    /// Counts a crash by whether it made a difference.
    pub fn compare(&mut self, crash: Crash, outcome: Outcome, kept: Option<Outcome>) {
        if let Some(kept) = kept {
            let (all, changed) = self.changed.entry(crash).or_default();
            *all += 1;
            *changed += u64::from(outcome != kept);
        }
    }

    /// Share of crashes, in percent, whose outcome this kind changed.
    pub fn share(&self, crash: Crash) -> u64 {
        let (all, changed) = self.changed.get(&crash).copied().unwrap_or_default();
        100 * changed / all.max(1)
    }

    /// Adds what another campaign came to.
    pub fn add(&mut self, other: Self) {
        self.workloads += other.workloads;
        self.states += other.states;
        self.distinct += other.distinct;
        self.double += other.double;
        self.triple += other.triple;
        self.recovered += other.recovered;
        self.torn += other.torn;
        for (crash, (all, changed)) in other.changed {
            let sum = self.changed.entry(crash).or_default();
            *sum = (sum.0 + all, sum.1 + changed);
        }
        self.violations.extend(other.violations);
        self.failed = self.failed.take().or(other.failed);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | count |\n|---|---|")?;
        for (what, count) in [
            ("workloads", self.workloads),
            ("crashes", self.states),
            ("second crashes", self.double),
            ("third crashes", self.triple),
            ("distinct states, each examined", self.distinct),
            ("distinct states that called for a recovery", self.recovered),
            ("distinct states with a torn tail", self.torn),
        ] {
            writeln!(f, "| {what} | {count} |")?;
        }
        for (crash, (all, changed)) in &self.changed {
            let name = crash.name();
            writeln!(f, "| {name}: outcomes changed, of {all} | {changed} |")?;
        }
        writeln!(f, "| violations | {} |", self.violations.len())?;
        // The first of each kind; the others say the same.
        let mut seen = BTreeMap::new();
        for violation in &self.violations {
            let count: &mut u64 = seen.entry(violation.oracle).or_default();
            *count += 1;
            if *count <= 3 {
                writeln!(f, "{violation}")?;
            }
        }
        Ok(())
    }
}
