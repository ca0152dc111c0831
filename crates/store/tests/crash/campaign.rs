//! Many crashes, counted.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use factlog_sim::{Moment, PowerCut, Rng, SimFs, Unsynced, shrink};

use super::{
    bugs::Bug,
    figures::Figures,
    lab::{DIR, Lab},
    run::Run,
    survive::{Before, Outcome, Violation, survive, text_of},
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

    pub fn name(self) -> &'static str {
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

/// How much to do.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// How often a state with chance in it is tried.
    pub tries: u64,
    /// At how many moments of a workload the journal goes on after a crash and crashes at every
    /// change again.
    pub double: u64,
    /// At how many moments of such a recovery the same is done once more.
    pub triple: u64,
    /// Ends at so many violations.
    pub violations: usize,
}

impl Budget {
    pub const ORDINARY: Self = Self {
        tries: 4,
        double: 2,
        triple: 1,
        violations: 20,
    };

    /// Ends at the first violation.
    pub const FIRST: Self = Self {
        violations: 1,
        ..Self::ORDINARY
    };
}

/// Crashes the workloads of these seeds at every change of the disk, in every way.
pub fn campaign(seeds: impl Iterator<Item = u64>, budget: Budget, bug: Option<Bug>) -> Figures {
    let mut figures = Figures::default();
    for seed in seeds {
        let workload = Workload::of(seed);
        Campaign::of(budget, bug, &mut figures).everywhere(workload.clone());
        if figures.failed.is_none() && !figures.violations.is_empty() {
            figures.failed = Some(workload);
        }
        if figures.violations.len() >= budget.violations {
            break;
        }
    }
    figures
}

/// The same workload without the steps that it fails without as well.
pub fn minimal(workload: &Workload) -> Workload {
    let of = |steps: &[Step]| Workload::of_steps(workload.seed, steps.to_vec());
    let steps = shrink(&workload.steps, |steps| {
        let figures = crash_everywhere(of(steps), Budget::FIRST);
        !figures.violations.is_empty()
    });
    of(&steps)
}

/// Crashes one workload at every change of the disk, in every way.
pub fn crash_everywhere(workload: Workload, budget: Budget) -> Figures {
    let mut figures = Figures::default();
    Campaign::of(budget, None, &mut figures).everywhere(workload);
    figures
}

/// Kills the process at every so manieth change that one step of the workload makes, lets the journal go
/// on, and crashes that at every change.
pub fn crash_twice(workload: Workload, step: usize, every: usize, budget: Budget) -> Figures {
    let mut figures = Figures::default();
    let what = format!("workload {}", workload.seed);
    let budget = Budget {
        triple: 0,
        ..budget
    };
    let mut campaign = Campaign::of(budget, None, &mut figures);
    let Some(run) = campaign.record(workload) else {
        return figures;
    };
    let calls = run.log.steps[step] + 1..=run.log.steps[step + 1];
    let moments = run
        .moments
        .iter()
        .filter(|moment| calls.contains(&moment.calls()));
    for moment in moments.step_by(every) {
        campaign.crash_again(&run, moment, Crash::Killed, &what, 2);
        if campaign.full() {
            break;
        }
    }
    figures
}

/// Opens the log as it was at every moment of a workload beside the derived files of its end, as where
/// a copy that left them out was put back over a journal.
pub fn put_back_older_logs(workload: Workload) -> Figures {
    let mut figures = Figures::default();
    let what = format!("workload {}", workload.seed);
    let mut campaign = Campaign::of(Budget::FIRST, None, &mut figures);
    let Some(run) = campaign.record(workload) else {
        return figures;
    };
    let created = run.log.created.unwrap_or(u64::MAX);
    let Some(last) = run.moments.last() else {
        return figures;
    };
    for moment in run
        .moments
        .iter()
        .filter(|moment| moment.calls() >= created)
    {
        let call = moment.calls();
        let fs = moment.kill_process(call);
        for derived in ["tree", "index"] {
            let dir = Path::new(DIR).join(derived);
            fs.restore(&dir, last).expect("both have it");
        }
        let before = Before {
            log: &run.log,
            truth: &run.truth,
            call,
        };
        campaign.figures.states += 1;
        if let Err((oracle, detail)) = survive(before, fs, call, None) {
            campaign.violated(oracle, detail, format!("{what}, as of call {call}"));
        }
    }
    figures
}

/// Crashes each of these workloads at every change of its last step only: what came before is a
/// shorter one's.
pub fn last_steps(workloads: &[Workload], budget: Budget) -> Figures {
    let mut figures = Figures::default();
    for workload in workloads {
        let mut campaign = Campaign::of(budget, None, &mut figures);
        if let Some(run) = campaign.record(workload.clone()) {
            let [.., from, until] = run.log.steps[..] else {
                continue;
            };
            let last = |moment: &&Moment| (from + 1..=until).contains(&moment.calls());
            let what = format!("short workload {:?}", workload.steps);
            for moment in run.moments.iter().filter(last) {
                campaign.crash_at(&run, moment, &what, budget.tries);
            }
        }
        if figures.violations.len() >= budget.violations {
            break;
        }
    }
    figures
}

/// What two states must have in common to be one: the bytes, and what was promised.
type Same = (u128, [usize; 4]);

/// One workload being crashed.
struct Campaign<'f> {
    budget: Budget,
    bug: Option<Bug>,
    figures: &'f mut Figures,
    /// States of the present run that were examined.
    seen: HashMap<Same, Outcome>,
}

impl<'f> Campaign<'f> {
    fn of(budget: Budget, bug: Option<Bug>, figures: &'f mut Figures) -> Self {
        Self {
            budget,
            bug,
            figures,
            seen: HashMap::new(),
        }
    }

    fn full(&self) -> bool {
        self.figures.violations.len() >= self.budget.violations
    }

    fn violated(&mut self, oracle: &'static str, detail: String, scenario: String) {
        self.figures.violations.push(Violation {
            oracle,
            detail,
            scenario,
        });
    }

    /// Does the workload without any crash.
    fn record(&mut self, workload: Workload) -> Option<Run> {
        let seed = workload.seed;
        let fs = SimFs::new(seed);
        let lab = match self.bug {
            Some(bug) => Lab::with_bug(fs, bug, seed),
            None => Lab::new(fs, seed),
        };
        let recorded = catch_unwind(AssertUnwindSafe(|| Run::record(workload, &lab)));
        let detail = match recorded {
            Ok(Ok(run)) => {
                self.figures.workloads += 1;
                return Some(run);
            }
            Ok(Err(error)) => format!("{}: {error}", error.code()),
            Err(panic) => text_of(panic.as_ref()),
        };
        self.violated("no crash", detail, format!("workload {seed}"));
        None
    }

    fn everywhere(&mut self, workload: Workload) {
        let seed = workload.seed;
        let Some(run) = self.record(workload) else {
            return;
        };
        let what = format!("workload {seed}");
        for moment in &run.moments {
            self.crash_at(&run, moment, &what, self.budget.tries);
            if self.full() {
                return;
            }
        }
        let created = run.log.created.unwrap_or(u64::MAX);
        let moments: Vec<&Moment> = run
            .moments
            .iter()
            .filter(|moment| moment.calls() >= created && moment.has_unsynced())
            .collect();
        let mut rng = Rng::new(seed ^ 0xd0);
        for at in 0..self.budget.double {
            if let Some(moment) = rng.pick(&moments) {
                let crash = Crash::ALL[((seed + 3 * at) % 5) as usize];
                self.crash_again(&run, moment, crash, &what, 2);
            }
        }
    }

    /// Goes on from one moment in every way.
    fn crash_at(&mut self, run: &Run, moment: &Moment, what: &str, tries: u64) {
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
            for number in 0..if chancy { tries } else { 1 } {
                let seed = run.workload.seed << 32 ^ moment.calls() << 8 ^ number;
                let Some(outcome) = self.examine(run, moment, crash, seed, what) else {
                    continue;
                };
                if crash == Crash::Kept {
                    kept = Some(outcome);
                }
                self.figures
                    .compare(crash, outcome, kept.filter(|_| unsynced));
            }
        }
    }

    /// Opens the journal after one crash and asks every oracle, unless that was done before for
    /// the same bytes and promises.
    fn examine(
        &mut self,
        run: &Run,
        moment: &Moment,
        crash: Crash,
        seed: u64,
        what: &str,
    ) -> Option<Outcome> {
        let call = moment.calls();
        let before = Before {
            log: &run.log,
            truth: &run.truth,
            call,
        };
        let fs = crash.of(moment, seed);
        let same = (fs.fingerprint(), run.log.promises(call));
        self.figures.states += 1;
        if let Some(outcome) = self.seen.get(&same) {
            return Some(*outcome);
        }
        // What a killed process left in the cache must be safe once the journal goes on.
        let cut = (crash == Crash::Killed && call.is_multiple_of(4)).then(PowerCut::lost);
        match survive(before, fs, seed, cut) {
            Ok(outcome) => {
                self.figures.count(outcome);
                self.seen.insert(same, outcome);
                Some(outcome)
            }
            Err((oracle, detail)) => {
                let scenario = format!("{what}, crash {crash:?} after call {call}, seed {seed}");
                self.violated(oracle, detail, scenario);
                None
            }
        }
    }

    /// Goes on from a crash at this moment, and crashes that at every change; `deep` is how many
    /// crashes those are then.
    fn crash_again(&mut self, run: &Run, moment: &Moment, crash: Crash, what: &str, deep: u64) {
        let seed = run.workload.seed << 32 ^ moment.calls() << 8 ^ 0xd0;
        let fs = crash.of(moment, seed);
        let lab = match self.bug {
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
        let next = || Run::go_on(Workload::of_steps(seed, steps), &lab, log);
        // A first crash that an oracle objects to is reported by itself.
        let Ok(Ok(next)) = catch_unwind(AssertUnwindSafe(next)) else {
            return;
        };
        let (states, seen) = (self.figures.states, std::mem::take(&mut self.seen));
        for moment in &next.moments {
            self.crash_at(&next, moment, &what, 1);
        }
        let states = self.figures.states - states;
        if deep == 2 {
            self.figures.double += states;
        } else {
            self.figures.triple += states;
        }
        // The first step begins when the recovery is over.
        let opened = next.log.steps.first().copied().unwrap_or_default();
        let during: Vec<&Moment> = next
            .moments
            .iter()
            .filter(|moment| moment.calls() <= opened && moment.has_unsynced())
            .collect();
        if deep == 2 {
            for at in 0..self.budget.triple {
                if let Some(moment) = rng.pick(&during) {
                    let crash = Crash::ALL[((seed + at) % 5) as usize];
                    self.crash_again(&next, moment, crash, &what, 3);
                }
            }
        }
        self.seen = seen;
    }
}
