//! Crashes at every change of the disk, in every way, and what must hold after them.

#![forbid(unsafe_code)]

#[path = "crash/mod.rs"]
mod crash;

use crash::bugs::Bug;
use crash::campaign::{Budget, Crash, campaign, last_steps};
use crash::fault::{Failing, fail_everywhere, fail_recovery, fill_the_disk};
use crash::figures::Figures;
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
    green(&fail_everywhere(&Workload::of(1), &Failing::ALL, None));
}

/// It rolls, so that derived files of sealed segments fail too.
#[test]
fn every_failing_call_of_rolling_journals_is_survived() {
    let how = [Failing::Once(Failure::Io), Failing::Once(Failure::IoAfter)];
    green(&fail_everywhere(&Workload::of(0), &how, None));
}

#[test]
fn every_failing_call_of_a_recovery_is_survived() {
    green(&fail_recovery(&Workload::of(1), &Failing::ALL, 29));
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
    let how = [Failing::Once(Failure::Io)];
    let figures = fail_everywhere(&Workload::of(1), &how, Some(Bug::ErrorsSwallowed));
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

#[test]
fn verdicts_on_rot_are_right() {
    use crash::verdict::*;
    let mut verdicts = Verdicts::default();
    for specimen in [
        Specimen::closed(Workload::of(1)),
        Specimen::abandoned(Workload::of(1)),
    ] {
        flips(&specimen, &mut verdicts, 7);
        sectors(&specimen, &mut verdicts);
        rollbacks(&specimen, &mut verdicts);
    }
    println!("{:#?}", verdicts.said);
    for w in verdicts.wrong.iter().take(60) {
        println!("{w}");
    }
    println!("{}", verdicts.wrong.len());
    assert!(verdicts.wrong.is_empty());
}
