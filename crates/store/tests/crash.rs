//! Crashes at every change of the disk, in every way, and what must hold after them.

#![forbid(unsafe_code)]

#[path = "crash/mod.rs"]
mod crash;

use crash::bugs::Bug;
use crash::campaign::{Budget, Crash, campaign, last_steps};
use crash::fault::{Failing, Faults, fail_everywhere, fail_recovery, fill_the_disk};
use crash::figures::Figures;
use crash::verdict::{Specimen, Verdicts, flips, rollbacks, sectors};
use crash::workload::Workload;
use factlog_sim::{Failure, SimFs};

fn green(figures: &Figures) {
    println!("{figures}");
    assert!(figures.violations.is_empty(), "{figures}");
}

#[test]
fn every_crash_is_survived() {
    let figures = campaign(0..3, Budget::ORDINARY, None);
    green(&figures);
    // A simulator whose crashes lose nothing proves nothing.
    for crash in [Crash::Lost, Crash::Torn, Crash::Reordered] {
        assert!(
            figures.share(crash) >= 3,
            "{crash:?} hardly ever changed anything:\n{figures}"
        );
    }
    assert!(
        figures.recovered * 20 > figures.distinct && figures.torn > 10,
        "{figures}"
    );
}

#[test]
fn every_crash_of_more_workloads_is_survived() {
    green(&campaign(3..6, Budget::ORDINARY, None));
}

#[test]
fn every_crash_of_every_short_workload_is_survived() {
    green(&last_steps(&Workload::all_up_to(2), Budget::ORDINARY));
}

#[test]
fn every_failing_call_is_survived() {
    green(&fail_everywhere(&Workload::of(1), Faults::ALL));
}

/// It rolls, so that derived files of sealed segments fail too.
#[test]
fn every_failing_call_of_rolling_journals_is_survived() {
    let faults = Faults {
        how: &[Failing::Once(Failure::Io), Failing::Once(Failure::IoAfter)],
        ..Faults::ALL
    };
    green(&fail_everywhere(&Workload::of(0), faults));
}

#[test]
fn every_failing_call_of_a_recovery_is_survived() {
    green(&fail_recovery(&Workload::of(1), Faults::ALL, 29));
}

#[test]
fn a_full_disk_is_survived() {
    green(&fill_the_disk(&Workload::of(1), 211));
}

#[test]
fn every_planted_bug_is_found() {
    let budget = Budget {
        violations: 1,
        double: 0,
        tries: 2,
        ..Budget::ORDINARY
    };
    for (bug, seeds) in Bug::BY_CRASH {
        let figures = campaign(0..seeds, budget, Some(bug));
        let found = figures.violations.first();
        assert!(
            found.is_some(),
            "{bug:?} was not found within {seeds} seeds"
        );
    }
    let faults = Faults {
        how: &[Failing::Once(Failure::Io)],
        violations: 1,
        bug: Some(Bug::ErrorsSwallowed),
    };
    let figures = fail_everywhere(&Workload::of(1), faults);
    assert!(
        !figures.violations.is_empty(),
        "swallowed errors were not found"
    );
}

#[test]
fn a_seed_gives_one_trace() {
    let trace = || {
        let lab = crash::lab::Lab::new(SimFs::new(4), 4);
        crash::run::Run::record(Workload::of(4), &lab).unwrap();
        lab.fs.trace()
    };
    assert_eq!(trace().to_string(), trace().to_string());
}

/// What the simulator spoiled must be what the journal speaks of: nothing acknowledged is missing
/// without a word, no rot below a durable statement is called a torn write, and no derived file
/// keeps a journal from opening.
#[test]
fn what_is_said_of_rot_is_true() {
    let mut verdicts = Verdicts::default();
    for seed in [1, 2] {
        let closed = Specimen::closed(Workload::of(seed));
        flips(&closed, &mut verdicts, 7);
        sectors(&closed, &mut verdicts);
        rollbacks(&closed, &mut verdicts);
        let abandoned = Specimen::abandoned(Workload::of(seed));
        flips(&abandoned, &mut verdicts, 7);
        sectors(&abandoned, &mut verdicts);
    }
    println!("{verdicts}");
    assert!(verdicts.wrong.is_empty(), "{verdicts}");
    // What changes nothing shows nothing.
    for fault in ["flip", "zero", "misdirect", "stale", "swap", "rollback"] {
        assert!(verdicts.noticed(fault) >= 30, "{fault}: {verdicts}");
    }
}
