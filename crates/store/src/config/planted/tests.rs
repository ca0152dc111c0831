//! Each mistake is found by the tests that a sound journal passes.

use factlog_sim::Failure;

use super::{Bug, with};
use crate::crash::{
    campaign::{Budget, campaign, crash_everywhere, crash_twice, put_back_older_logs},
    fault::{Failing, Faults, fail_everywhere, fail_recovery},
    verdict::{Specimen, Verdicts, flips, rollbacks, sectors},
    workload::Workload,
};
use crate::index::tests::crashes::covered_after_crashes_of_a_merge;

/// What finds a mistake.
enum Found {
    /// Crashes of the workloads of the first so many seeds.
    Crash(u64),
    /// Failing calls of the workload of this seed.
    Fault(u64),
    /// Failing calls of every so manieth recovery of the workload of this seed.
    FaultOfRecovery(u64, usize),
    /// Rot in the journal of this seed.
    Rot(u64),
    /// Crashes of a workload with a payload that poses as a commit header.
    Pose,
    /// Crashes of a journal that goes on after a crash in the middle of a roll.
    Roll,
    /// Crashes of a journal that compacts.
    Compact,
    /// Crashes of a journal that erases.
    Retain,
    /// Crashes of one that erases in full.
    Forget,
    /// An older log beside newer derived files, of a workload with a close in it.
    OlderLog,
    /// Crashes while runs of the index are merged.
    Merge,
}

fn finds(by: &Found) -> bool {
    let faults = |how: &'static [Failing]| Faults {
        how,
        violations: 1,
        bug: None,
    };
    match by {
        Found::Crash(seeds) => !campaign(0..*seeds, Budget::FIRST, None)
            .violations
            .is_empty(),
        Found::Pose => !crash_everywhere(Workload::posing(), Budget::FIRST)
            .violations
            .is_empty(),
        Found::Roll => !crash_twice(Workload::rolling(), 1, 1, Budget::FIRST)
            .violations
            .is_empty(),
        Found::Compact => !crash_everywhere(Workload::compacting(), Budget::FIRST)
            .violations
            .is_empty(),
        Found::Retain | Found::Forget => {
            let workload = match by {
                Found::Forget => Workload::forgetting(),
                _ => Workload::retaining(),
            };
            let budget = Budget {
                tries: 1,
                triple: 0,
                ..Budget::FIRST
            };
            !crash_everywhere(workload, budget).violations.is_empty()
        }
        Found::OlderLog => !put_back_older_logs(Workload::closed_between())
            .violations
            .is_empty(),
        Found::Merge => {
            let (covered, least) = covered_after_crashes_of_a_merge();
            covered.iter().any(|covered| *covered < least)
        }
        Found::Fault(seed) => {
            let figures = fail_everywhere(&Workload::of(*seed), faults(&Failing::ALL));
            !figures.violations.is_empty()
        }
        Found::FaultOfRecovery(seed, every) => {
            let how = &[Failing::Once(Failure::Io)];
            let figures = fail_recovery(&Workload::of(*seed), faults(how), *every);
            !figures.violations.is_empty()
        }
        Found::Rot(seed) => {
            let mut verdicts = Verdicts::default();
            let closed = Specimen::closed(Workload::of(*seed));
            let abandoned = Specimen::abandoned(Workload::of(*seed));
            for specimen in [closed].into_iter().chain(abandoned) {
                flips(&specimen, &mut verdicts, 61);
                sectors(&specimen, &mut verdicts);
                rollbacks(&specimen, &mut verdicts);
            }
            !verdicts.wrong.is_empty()
        }
    }
}

#[track_caller]
fn all_found(bugs: &[(Bug, Found)]) {
    let missed = bugs
        .iter()
        .filter(|(bug, by)| !with(*bug, || finds(by)))
        .map(|(bug, _)| bug);
    let missed: Vec<_> = missed.collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn mistakes_that_crashes_find() {
    all_found(&[
        (Bug::TornIsCorrupt, Found::Crash(1)),
        (Bug::GroupCallsItselfDurable, Found::Crash(1)),
        (Bug::CopyCallsItselfDurable, Found::Crash(6)),
        (Bug::OldEndBeforeCopy, Found::Crash(6)),
        (Bug::SealedWithTear, Found::Crash(2)),
        (Bug::CopyNotIndexed, Found::Crash(2)),
        (Bug::CopyNotInTree, Found::Crash(2)),
        (Bug::AppendBehindTear, Found::Crash(2)),
        (Bug::GenerationReused, Found::Crash(6)),
        (Bug::NumbersRestart, Found::Crash(6)),
        (Bug::RollUnnamed, Found::Crash(6)),
        (Bug::JournalFirst, Found::Crash(2)),
        (Bug::SignedTooEarly, Found::Crash(2)),
        (Bug::TimeFalls, Found::Crash(6)),
        (Bug::OutOfOrderIsCorrupt, Found::Crash(2)),
        (Bug::PayloadHeaderBelieved, Found::Pose),
        (Bug::OrphansRemovedEarly, Found::Roll),
        (Bug::DerivedAheadBelieved, Found::OlderLog),
        (Bug::InputsRemovedFirst, Found::Merge),
    ]);
}

#[test]
fn mistakes_that_crashes_of_a_compaction_find() {
    all_found(&[
        (Bug::SurvivorLost, Found::Compact),
        (Bug::CompactedUnsynced, Found::Compact),
        (Bug::CompactedUnnamed, Found::Compact),
        (Bug::InputsRemovedEarly, Found::Compact),
    ]);
}

#[test]
fn mistakes_that_crashes_of_a_retention_find() {
    all_found(&[
        (Bug::ErasureForgotten, Found::Retain),
        (Bug::StubsBeforeOrder, Found::Retain),
        (Bug::ErasedTooEarly, Found::Retain),
        (Bug::ActiveKept, Found::Retain),
        (Bug::SetAsideKept, Found::Retain),
        (Bug::ErasureUntold, Found::Retain),
        (Bug::StubKeepsBytes, Found::Retain),
        (Bug::NeighbourErased, Found::Retain),
        (Bug::CompactedUnsynced, Found::Retain),
        (Bug::InputsRemovedEarly, Found::Retain),
    ]);
}

#[test]
fn mistakes_that_crashes_of_a_full_erasure_find() {
    all_found(&[
        (Bug::IdsKept, Found::Forget),
        (Bug::HeadsKept, Found::Forget),
        (Bug::BeginningGone, Found::Forget),
        (Bug::ErasureForgotten, Found::Forget),
        (Bug::StubKeepsBytes, Found::Forget),
        (Bug::NeighbourErased, Found::Forget),
    ]);
}

#[test]
fn mistakes_that_failing_calls_find() {
    all_found(&[
        (Bug::SyncRetried, Found::Fault(1)),
        (Bug::PoisonedGoesOn, Found::Fault(1)),
        (Bug::PoisonedCloses, Found::Fault(1)),
        (Bug::ReadErrorIsEnd, Found::FaultOfRecovery(1, 11)),
        (Bug::UnprovenBelieved, Found::Fault(1)),
        (Bug::EmptyCommitBelieved, Found::Fault(1)),
    ]);
}

#[test]
fn mistakes_that_rot_finds() {
    all_found(&[
        (Bug::StatementsIgnored, Found::Rot(1)),
        (Bug::ProvenEndIgnored, Found::Rot(1)),
        (Bug::MemoryIgnored, Found::Rot(1)),
    ]);
}
