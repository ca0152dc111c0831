//! Crashes at every change of the disk, in every way, and what must hold after them.

#![forbid(unsafe_code)]

#[path = "crash/mod.rs"]
mod crash;

use crash::bugs::Bug;
use crash::campaign::{Budget, Crash, Figures, campaign};
use crash::fault::{Failing, fail_everywhere, fail_recovery, fill_the_disk};
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
        figures.recovered * 20 > figures.states && figures.torn > 10,
        "{figures}"
    );
}

#[test]
fn every_crash_of_more_workloads_is_survived() {
    green(&campaign(3..6, Budget::ORDINARY, None));
}

#[test]
#[ignore = "takes many minutes: for a longer search"]
fn every_crash_of_many_workloads_is_survived() {
    let mut all = Figures::default();
    let budget = Budget {
        tries: 4,
        ..Budget::ORDINARY
    };
    for from in (100..160).step_by(4) {
        let figures = campaign(from..from + 4, budget, None);
        println!("{figures}");
        all.merge(figures);
    }
    green(&all);
}

#[test]
fn every_failing_call_is_survived() {
    green(&fail_everywhere(&Workload::of(1), &Failing::ALL, None));
}

#[test]
fn every_failing_call_of_a_recovery_is_survived() {
    green(&fail_recovery(&Workload::of(1), &Failing::ALL, 29));
}

#[test]
#[ignore = "takes minutes: for a longer search"]
fn every_failing_call_of_many_recoveries_is_survived() {
    for seed in 0..6 {
        green(&fail_everywhere(&Workload::of(seed), &Failing::ALL, None));
        green(&fail_recovery(&Workload::of(seed), &Failing::ALL, 11));
    }
}

#[test]
fn a_full_disk_is_survived() {
    green(&fill_the_disk(&Workload::of(1), 211));
}

#[test]
fn every_planted_bug_is_found() {
    let budget = Budget {
        violations: 1,
        double_every: 0,
        ..Budget::ORDINARY
    };
    for (bug, seeds) in Bug::BY_CRASH {
        let figures = campaign(0..seeds, budget, Some(bug));
        let found = figures.violations.first();
        println!(
            "{bug:?}, after {} states: {}",
            figures.states,
            found.map_or("", |v| v.oracle)
        );
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
