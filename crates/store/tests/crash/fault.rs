//! Every call of a workload failing in turn.

use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_sim::{FailedSync, Failure, Fault, PowerCut, SimFs, Unsynced};

use super::{
    bugs::Bug,
    campaign::Crash,
    figures::Figures,
    lab::Lab,
    run::{Log, Run, perform, read_all, writable},
    survive::{Before, Violation, survive, text_of},
    workload::{Plan, Step, Workload},
};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    Once(Failure),
    /// From then on nothing can be changed, until the machine starts anew.
    ForGood(Failure),
}

impl Failing {
    pub const ALL: [Self; 8] = [
        Self::Once(Failure::Io),
        Self::Once(Failure::IoAfter),
        Self::ForGood(Failure::Io),
        Self::ForGood(Failure::NoSpace),
        Self::Once(Failure::Sync(FailedSync::KeepsDirty)),
        Self::Once(Failure::Sync(FailedSync::KeepsInCache)),
        Self::Once(Failure::Sync(FailedSync::DropsPages)),
        Self::Once(Failure::Sync(FailedSync::WritesHalf)),
    ];

    fn fault(self, call: u64) -> Fault {
        match self {
            Self::Once(failure) => Fault::at(call, failure),
            Self::ForGood(failure) => Fault::from(call, failure).changes_only(),
        }
    }
}

/// What is to fail.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub how: &'static [Failing],
    /// Ends at so many violations.
    pub violations: usize,
    pub bug: Option<Bug>,
}

impl Faults {
    pub const ALL: Self = Self {
        how: &Failing::ALL,
        violations: 20,
        bug: None,
    };
}

/// Does the workload once for each of its calls and ways to fail. After each the process ends and
/// the journal is opened on the same cache, goes on, and then loses power as well.
pub fn fail_everywhere(workload: &Workload, faults: Faults) -> Figures {
    let seed = workload.seed;
    let lab = Lab::new(SimFs::new(seed), seed);
    let mut figures = Figures {
        workloads: 1,
        ..Figures::default()
    };
    let run =
        Run::record(workload.clone(), &lab).expect("a workload without faults does its steps");
    for call in 0..lab.fs.calls() {
        for failing in faults.how {
            if figures.violations.len() >= faults.violations {
                return figures;
            }
            let found = fail_at(&run, call, *failing, faults.bug);
            match found {
                Ok(hit) => figures.states += u64::from(hit),
                Err((oracle, detail)) => {
                    let scenario = format!("workload {seed}, {failing:?} at call {call}");
                    figures.violations.push(Violation {
                        oracle,
                        detail,
                        scenario,
                    });
                }
            }
        }
    }
    figures
}

/// The same for the open after a crash: the journal is abandoned at every moment, and then each call
/// of what follows fails, recovery first of all.
pub fn fail_recovery(workload: &Workload, faults: Faults, every: usize) -> Figures {
    let seed = workload.seed;
    let lab = Lab::new(SimFs::new(seed), seed);
    let mut figures = Figures {
        workloads: 1,
        ..Figures::default()
    };
    let run =
        Run::record(workload.clone(), &lab).expect("a workload without faults does its steps");
    let created = run.log.created.unwrap_or_default();
    let moments = run
        .moments
        .iter()
        .filter(|moment| moment.calls() >= created);
    let unclean = moments.filter(|moment| moment.has_unsynced());
    for (at, moment) in unclean.enumerate().filter(|(at, _)| at % every == 0) {
        let crash = [Crash::Killed, Crash::Kept, Crash::Torn][at % 3];
        let log = run.log.settled(moment.calls());
        let steps = vec![Step::Append(vec![Plan::small(9)]), Step::Housekeep];
        let after = Workload::of_steps(seed ^ 0xfa, steps);
        let machine = || Lab::later(crash.of(moment, seed), seed ^ 5, 3);
        let whole = machine();
        let Ok(second) = Run::go_on(after, &whole, log.clone()) else {
            continue;
        };
        for call in 0..whole.fs.calls() {
            for failing in faults.how {
                if figures.violations.len() >= faults.violations {
                    return figures;
                }
                let lab = machine();
                match fail_open_at(&second, &log, lab, call, *failing) {
                    Ok(hit) => figures.states += u64::from(hit),
                    Err((oracle, detail)) => {
                        let moment = moment.calls();
                        let scenario = format!(
                            "workload {seed}, {crash:?} after call {moment}, then {failing:?} at call {call}"
                        );
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
    figures
}

fn fail_open_at(
    second: &Run,
    log: &Log,
    lab: Lab,
    call: u64,
    failing: Failing,
) -> Result<bool, (&'static str, String)> {
    let seed = second.workload.seed;
    lab.fs.inject(failing.fault(call));
    let mut log = log.clone();
    let done = catch_unwind(AssertUnwindSafe(|| {
        if let Ok(Ok(journal)) = lab.open().map(writable) {
            let _ = perform(&second.workload, &lab, &mut log, Some(journal));
        }
    }));
    done.map_err(|panic| ("no panic under the fault", text_of(panic.as_ref())))?;
    if lab.fs.hits() == 0 {
        return Ok(false);
    }
    let before = Before {
        log: &log,
        truth: &second.truth,
        call: u64::MAX,
    };
    let cut = PowerCut::new([Unsynced::Lost, Unsynced::Torn][(call % 2) as usize]);
    survive(before, lab.fs.kill_process(seed), seed ^ call, Some(cut))?;
    survive(
        before,
        lab.fs.power_cut(&cut, seed ^ call),
        seed ^ call,
        Some(cut),
    )?;
    Ok(true)
}

/// Does the workload on disks of every size, in steps of some bytes, and once more when there is room
/// again; the process ends in between.
pub fn fill_the_disk(workload: &Workload, step: usize) -> Figures {
    let seed = workload.seed;
    let lab = Lab::new(SimFs::new(seed), seed);
    let mut figures = Figures {
        workloads: 1,
        ..Figures::default()
    };
    let run =
        Run::record(workload.clone(), &lab).expect("a workload without faults does its steps");
    for space in (0..lab.fs.used()).step_by(step) {
        let lab = Lab::new(SimFs::new(seed), seed);
        lab.fs.set_space(Some(space));
        let mut log = Log::under_faults();
        let done = catch_unwind(AssertUnwindSafe(|| perform(workload, &lab, &mut log, None)));
        let found = match done {
            Ok(_) => {
                let before = Before {
                    log: &log,
                    truth: &run.truth,
                    call: u64::MAX,
                };
                reads_on_a_full_disk(&lab, space, &log).and_then(|()| {
                    survive(
                        before,
                        lab.fs.kill_process(seed),
                        seed,
                        Some(PowerCut::torn()),
                    )
                })
            }
            Err(panic) => Err(("no panic on a full disk", text_of(panic.as_ref()))),
        };
        figures.states += 1;
        if let Err((oracle, detail)) = found {
            let scenario = format!("workload {seed}, a disk of {space} bytes");
            figures.violations.push(Violation {
                oracle,
                detail,
                scenario,
            });
        }
    }
    figures
}

/// With the disk still full, what was acknowledged can at least be read.
fn reads_on_a_full_disk(lab: &Lab, space: u64, log: &Log) -> Result<(), (&'static str, String)> {
    if log.created.is_none() {
        return Ok(());
    }
    let full = Lab::later(lab.fs.kill_process(space), space, 3);
    full.fs.set_space(Some(space));
    let reader = full
        .read_only()
        .map_err(|e| ("read on a full disk", e.to_string()))?;
    let found = read_all(&reader).map_err(|e| ("read on a full disk", e.to_string()))?;
    for ack in &log.acks {
        // The last group of a journal that nobody writes is shown once something proves it.
        let proven = ack.first + ack.plans.len() as u64 <= reader.len();
        let last = log.acks.last().is_some_and(|last| last.first == ack.first);
        let hash = found.get(ack.first as usize).map(|record| record.hash);
        if (proven || !last) && hash != ack.hashes.first().copied() {
            return Err((
                "read on a full disk",
                format!("event {} is not there", ack.first),
            ));
        }
    }
    Ok(())
}

/// Returns whether the failure hit anything.
fn fail_at(
    run: &Run,
    call: u64,
    failing: Failing,
    bug: Option<Bug>,
) -> Result<bool, (&'static str, String)> {
    let seed = run.workload.seed;
    let fs = SimFs::new(seed);
    let lab = match bug {
        Some(bug) => Lab::with_bug(fs, bug, seed),
        None => Lab::new(fs, seed),
    };
    lab.fs.inject(failing.fault(call));
    let mut log = Log::under_faults();
    let done = catch_unwind(AssertUnwindSafe(|| {
        perform(&run.workload, &lab, &mut log, None)
    }));
    let (result, _) =
        done.map_err(|panic| ("no panic under the fault", text_of(panic.as_ref())))?;
    if lab.fs.hits() == 0 {
        return Ok(false);
    }
    drop(result);
    // Promises count up to here; what was in the cache then still is.
    let before = Before {
        log: &log,
        truth: &run.truth,
        call: u64::MAX,
    };
    let cut = PowerCut::new([Unsynced::Lost, Unsynced::Torn][(call % 2) as usize]);
    // The failure may have come after what makes a journal.
    survive(before, lab.fs.kill_process(seed), seed ^ call, Some(cut))?;
    let lost = lab.fs.power_cut(&cut, seed ^ call);
    survive(before, lost, seed ^ call, Some(cut))?;
    Ok(true)
}
