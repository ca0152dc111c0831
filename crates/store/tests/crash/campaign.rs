//! Many crashes, counted.

use std::collections::BTreeMap;
use std::fmt;

use factlog_sim::{Moment, PowerCut, Rng, SimFs, Unsynced};

use super::{
    bugs::Bug,
    lab::Lab,
    run::Run,
    survive::{Before, Outcome, Violation, survive},
    workload::{Step, Workload, plan},
};

/// How a machine went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crash {
    Killed,
    Lost,
    Kept,
    Torn,
    Reordered,
}

impl Crash {
    pub const ALL: [Self; 5] = [
        Self::Killed,
        Self::Lost,
        Self::Kept,
        Self::Torn,
        Self::Reordered,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Lost => "lost",
            Self::Kept => "kept",
            Self::Torn => "torn",
            Self::Reordered => "reordered",
        }
    }

    fn unsynced(self) -> Option<Unsynced> {
        match self {
            Self::Killed => None,
            Self::Lost => Some(Unsynced::Lost),
            Self::Kept => Some(Unsynced::Kept),
            Self::Torn => Some(Unsynced::Torn),
            Self::Reordered => Some(Unsynced::Reordered),
        }
    }

    /// The machine after it.
    pub fn of(self, moment: &Moment, seed: u64) -> SimFs {
        match self.unsynced() {
            None => moment.kill_process(seed),
            Some(unsynced) => moment.power_cut(&PowerCut::seeded(unsynced, seed), seed),
        }
    }
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub workloads: u64,
    /// Crash states whose every oracle was asked.
    pub states: u64,
    /// Of these, those that were a second crash.
    pub double: u64,
    /// By kind of crash: states with something unsynced, and those of them whose outcome was
    /// another one than if all had been kept.
    pub changed: BTreeMap<Crash, (u64, u64)>,
    pub recovered: u64,
    pub torn: u64,
    pub violations: Vec<Violation>,
}

/// How much to do.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// How often a state with chance in it is tried.
    pub tries: u64,
    /// One moment in so many is followed by a second crash; 0 for none.
    pub double_every: u64,
    /// Ends at so many violations.
    pub violations: usize,
}

impl Budget {
    pub const ORDINARY: Self = Self {
        tries: 2,
        double_every: 150,
        violations: 20,
    };
}

impl Figures {
    fn add(&mut self, crash: Crash, outcome: Outcome, kept: Option<Outcome>) {
        self.states += 1;
        self.recovered += u64::from(outcome.recovered);
        self.torn += u64::from(outcome.torn);
        if let Some(kept) = kept {
            let (all, changed) = self.changed.entry(crash).or_default();
            *all += 1;
            *changed += u64::from(outcome != kept);
        }
    }

    /// Share of states, in percent, whose outcome this crash changed.
    pub fn share(&self, crash: Crash) -> u64 {
        let (all, changed) = self.changed.get(&crash).copied().unwrap_or_default();
        100 * changed / all.max(1)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workloads,
            states,
            double,
            recovered,
            torn,
            ..
        } = self;
        writeln!(
            f,
            "{workloads} workloads, {states} crash states ({double} double)"
        )?;
        writeln!(
            f,
            "recovered {recovered}, torn {torn}, violations {}",
            self.violations.len()
        )?;
        for (crash, (all, changed)) in &self.changed {
            let name = crash.name();
            writeln!(f, "{name}: {changed} of {all} outcomes changed")?;
        }
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

/// Crashes the workloads of these seeds at every change of the disk, in every way.
pub fn campaign(seeds: std::ops::Range<u64>, budget: Budget, bug: Option<Bug>) -> Figures {
    let mut figures = Figures::default();
    for seed in seeds {
        crash_everywhere(Workload::of(seed), budget, bug, &mut figures);
        if figures.violations.len() >= budget.violations {
            break;
        }
    }
    figures
}

fn crash_everywhere(workload: Workload, budget: Budget, bug: Option<Bug>, figures: &mut Figures) {
    let seed = workload.seed;
    let fs = SimFs::new(seed);
    let lab = match bug {
        Some(bug) => Lab::with_bug(fs, bug, seed),
        None => Lab::new(fs, seed),
    };
    let run = match Run::record(workload, &lab) {
        Ok(run) => run,
        Err(error) => {
            let detail = format!("{}: {error}", error.code());
            let scenario = format!("workload {seed}, without any crash");
            figures.violations.push(Violation {
                oracle: "no crash",
                detail,
                scenario,
            });
            return;
        }
    };
    figures.workloads += 1;
    let what = format!("workload {seed}");
    for (at, moment) in run.moments.iter().enumerate() {
        crash_at(&run, moment, &what, budget, figures);
        let due = budget.double_every > 0 && (at as u64 + seed).is_multiple_of(budget.double_every);
        if due
            && run
                .log
                .created
                .is_some_and(|created| created <= moment.calls())
        {
            crash_twice(&run, moment, &what, budget, bug, figures);
        }
        if figures.violations.len() >= budget.violations {
            return;
        }
    }
}

/// Goes on from one moment in every way.
fn crash_at(run: &Run, moment: &Moment, what: &str, budget: Budget, figures: &mut Figures) {
    let before = Before {
        log: &run.log,
        truth: &run.truth,
        call: moment.calls(),
    };
    let unsynced = moment.has_unsynced();
    let mut kept = None;
    // Kept comes first, as the others are compared with it.
    for crash in [
        Crash::Kept,
        Crash::Killed,
        Crash::Lost,
        Crash::Torn,
        Crash::Reordered,
    ] {
        if !unsynced && crash != Crash::Kept {
            continue;
        }
        let chancy = matches!(crash, Crash::Torn | Crash::Reordered);
        for number in 0..if chancy { budget.tries } else { 1 } {
            let seed = run.workload.seed << 32 ^ moment.calls() << 8 ^ number;
            match survive(before, crash.of(moment, seed), seed, None) {
                Ok(outcome) => {
                    if crash == Crash::Kept {
                        kept = Some(outcome);
                    }
                    figures.add(crash, outcome, kept.filter(|_| unsynced));
                }
                Err((oracle, detail)) => {
                    let call = moment.calls();
                    let scenario =
                        format!("{what}, crash {crash:?} after call {call}, seed {seed}");
                    figures.violations.push(Violation {
                        oracle,
                        detail,
                        scenario,
                    });
                }
            }
        }
    }
}

/// Goes on from a crash at this moment, and crashes that at every change.
fn crash_twice(
    run: &Run,
    moment: &Moment,
    what: &str,
    budget: Budget,
    bug: Option<Bug>,
    figures: &mut Figures,
) {
    for crash in Crash::ALL {
        let seed = run.workload.seed << 32 ^ moment.calls() << 8 ^ 0xd0;
        let fs = crash.of(moment, seed);
        let lab = match bug {
            Some(bug) => Lab::with_bug(fs, bug, seed ^ 0x77),
            None => Lab::later(fs, seed ^ 0x77, 3),
        };
        let mut rng = Rng::new(seed);
        let steps = vec![
            Step::Append(vec![plan(&mut rng, false)]),
            Step::Housekeep,
            Step::Append(vec![plan(&mut rng, false), plan(&mut rng, false)]),
        ];
        let log = run.log.settled(moment.calls());
        let what = format!(
            "{what}, crash {crash:?} after call {}, seed {seed}; then",
            moment.calls()
        );
        // A first crash that an oracle objects to is reported by itself.
        let Ok(second) = Run::go_on(Workload::of_steps(seed, steps), &lab, log) else {
            continue;
        };
        let states = figures.states;
        for moment in &second.moments {
            crash_at(
                &second,
                moment,
                &what,
                Budget { tries: 1, ..budget },
                figures,
            );
        }
        figures.double += figures.states - states;
    }
}
