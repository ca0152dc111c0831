//! Crashes at every change of the disk, in every way, and what must hold after them.

#![forbid(unsafe_code)]

#[path = "crash/mod.rs"]
mod crash;

use crash::bugs::Bug;
use crash::campaign::{
    Budget, Crash, campaign, crash_everywhere, crash_twice, last_steps, minimal,
    put_back_older_logs,
};
use crash::fault::{Failing, Faults, fail_everywhere, fail_recovery, fill_the_disk};
use crash::figures::Figures;
use crash::verdict::{Specimen, Verdicts, flips, rollbacks, sectors};
use crash::workload::{Step, Workload};
use factlog_sim::{FailedSync, Failure, SimFs};

#[track_caller]
#[expect(
    clippy::use_debug,
    reason = "a workload is shown as it would be written"
)]
fn green(figures: &Figures) {
    println!("{figures}");
    if let Some(workload) = &figures.failed {
        println!("smallest workload: {:#?}", minimal(workload));
    }
    assert!(figures.violations.is_empty(), "{figures}");
}

/// Every change of the workloads of these seeds, in every way.
#[track_caller]
fn survives(seeds: impl Iterator<Item = u64>) {
    let figures = campaign(seeds, Budget::ORDINARY, None);
    green(&figures);
    assert!(
        figures.workloads >= 20 && figures.states > 30_000,
        "{figures}"
    );
    assert!(
        figures.double > 1_000 && figures.triple > 1_000,
        "{figures}"
    );
    // A simulator whose crashes change nothing proves nothing.
    for crash in [Crash::Lost, Crash::Torn, Crash::Reordered] {
        let share = figures.share(crash);
        assert!(
            share >= 3,
            "{crash:?} hardly ever changed anything:\n{figures}"
        );
    }
    let (recovered, torn) = (figures.recovered, figures.torn);
    assert!(
        recovered * 10 > figures.distinct && torn * 100 > figures.distinct,
        "{figures}"
    );
}

#[test]
fn every_crash_of_a_compaction_is_survived() {
    green(&crash_everywhere(Workload::compacting(), Budget::ORDINARY));
}

#[test]
fn every_crash_of_a_retention_is_survived() {
    // Few are left to chance: what a retention leaves differs by where it stops.
    let budget = Budget {
        tries: 2,
        ..Budget::ORDINARY
    };
    green(&crash_everywhere(Workload::retaining(), budget));
}

#[test]
fn every_crash_of_a_full_erasure_is_survived() {
    let budget = Budget {
        tries: 2,
        ..Budget::ORDINARY
    };
    green(&crash_everywhere(Workload::forgetting(), budget));
}

/// One that has no effect, and a sync that loses what it was to keep.
const FAILING: Faults = Faults {
    how: &[
        Failing::Once(Failure::Io),
        Failing::Once(Failure::Sync(FailedSync::DropsPages)),
    ],
    ..Faults::ALL
};

#[test]
fn every_failing_call_of_a_compaction_is_survived() {
    green(&fail_everywhere(&Workload::compacting(), FAILING));
}

#[test]
fn every_failing_call_of_a_retention_is_survived() {
    green(&fail_everywhere(&Workload::retaining(), FAILING));
}

#[test]
fn every_failing_call_of_a_full_erasure_is_survived() {
    green(&fail_everywhere(&Workload::forgetting(), FAILING));
}

/// Events so large that segments roll.
#[test]
fn every_crash_of_rolling_journals_is_survived() {
    survives((0..60).step_by(3));
}

#[test]
fn every_crash_of_small_journals_is_survived() {
    survives((1..60).step_by(3));
}

/// Groups that end at sectors, pages and the end of a segment, and next to them.
#[test]
fn every_crash_of_journals_that_end_at_boundaries_is_survived() {
    survives((2..60).step_by(3));
}

/// Every workload of up to three steps of an alphabet of six: append, batch, fill a page, idle
/// commit, close and open, die and open.
#[track_caller]
fn short_workloads(first: std::ops::Range<usize>) {
    let all = Workload::all_up_to(3);
    assert_eq!(all.len(), 6 + 36 + 216);
    let wanted: Vec<_> = all
        .into_iter()
        .filter(|w| first.contains(&w.letter()))
        .collect();
    let figures = last_steps(&wanted, Budget::ORDINARY);
    green(&figures);
    assert_eq!(figures.workloads, wanted.len() as u64);
    assert!(figures.states > 10_000, "{figures}");
}

#[test]
fn every_crash_of_every_short_workload_that_begins_with_an_append_is_survived() {
    short_workloads(0..3);
}

#[test]
fn every_crash_of_every_other_short_workload_is_survived() {
    short_workloads(3..6);
}

/// A payload's author doesn't know what commit headers are keyed with.
#[test]
fn every_crash_of_a_payload_that_poses_as_a_commit_header_is_survived() {
    green(&crash_everywhere(Workload::posing(), Budget::ORDINARY));
}

/// The segment that the first crash left without an event leaves MANIFEST with the next one.
#[test]
fn every_crash_after_a_crash_in_the_middle_of_a_roll_is_survived() {
    let figures = crash_twice(Workload::rolling(), 1, 3, Budget::ORDINARY);
    green(&figures);
    assert!(figures.double > 1_000, "{figures}");
}

/// Before newer derived files are believed they are compared with the log.
#[test]
fn an_older_log_is_read_and_continued_beside_newer_derived_files() {
    for workload in [Workload::closed_between(), Workload::of(0), Workload::of(2)] {
        let figures = put_back_older_logs(workload);
        green(&figures);
        assert!(figures.states > 20, "{figures}");
    }
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

/// A close whose derived files can't be synced records no end, and they read well from the cache: only
/// synced again by the next session, they were half there after a power cut.
#[test]
fn every_failing_sync_between_sessions_is_survived() {
    let faults = Faults {
        how: &Failing::ALL[4..],
        ..Faults::ALL
    };
    green(&fail_everywhere(&Workload::closed_between(), faults));
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

/// The same calls, and the same bytes after each, on whatever thread and after whatever else.
#[test]
fn a_seed_gives_one_trace() {
    let trace = || {
        let lab = crash::lab::Lab::new(SimFs::new(4), 4);
        let run = crash::run::Run::record(Workload::of(4), &lab).unwrap();
        let cut = |moment: &factlog_sim::Moment| Crash::Torn.of(moment, 5).fingerprint();
        let prints: Vec<u128> = run.moments.iter().map(cut).collect();
        (lab.fs.trace().to_string(), prints)
    };
    let here = trace();
    let there = std::thread::spawn(trace).join().unwrap();
    assert_eq!(here, there);
    assert!(here.1.len() > 50);
}

/// What the simulator spoiled must be what the journal speaks of: nothing acknowledged is missing
/// without a word, no rot below a durable statement is called a torn write, and no derived file
/// keeps a journal from opening.
#[test]
fn what_is_said_of_rot_is_true() {
    let mut verdicts = Verdicts::default();
    for seed in [1, 2] {
        let closed = Specimen::closed(Workload::of(seed));
        flips(&closed, &mut verdicts, 23);
        sectors(&closed, &mut verdicts);
        rollbacks(&closed, &mut verdicts);
        let abandoned = Specimen::abandoned(Workload::of(seed)).unwrap();
        flips(&abandoned, &mut verdicts, 23);
        sectors(&abandoned, &mut verdicts);
    }
    // Every byte of a small journal.
    flips(
        &Specimen::closed(Workload::closed_between()),
        &mut verdicts,
        1,
    );
    let abandoned = Specimen::abandoned(Workload::closed_between()).unwrap();
    flips(&abandoned, &mut verdicts, 1);
    // Its last session wrote nothing after an unclean end: no end is recorded, and rot in the empty
    // commit or in the space behind it is like a torn write.
    let unrecorded = Workload::of_steps(24, vec![Step::Abandon, Step::Conflict]);
    let unrecorded = Specimen::closed(unrecorded);
    assert!(!unrecorded.closed);
    flips(&unrecorded, &mut verdicts, 97);
    sectors(&unrecorded, &mut verdicts);
    println!("{verdicts}");
    assert!(verdicts.wrong.is_empty(), "{verdicts}");
    // What changes nothing shows nothing.
    for fault in ["flip", "zero", "misdirect", "stale", "swap", "rollback"] {
        assert!(verdicts.noticed(fault) >= 20, "{fault}: {verdicts}");
    }
}
