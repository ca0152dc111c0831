//! Crashes at every change of the disk, in every way, and what must hold after them.

#![forbid(unsafe_code)]

#[path = "crash/mod.rs"]
mod crash;

use crash::campaign::{Budget, campaign};
use crash::fault::{Failing, fail_everywhere, fail_recovery};
use crash::workload::Workload;

#[test]
fn every_crash_is_survived() {
    let figures = campaign(0..6, Budget::ORDINARY, None);
    println!("{figures}");
    assert!(figures.violations.is_empty(), "{figures}");
}

#[test]
fn every_failing_call_is_survived() {
    let figures = fail_everywhere(&Workload::of(1), &Failing::ALL);
    println!("{figures}");
    assert!(figures.violations.is_empty(), "{figures}");
}

#[test]
fn every_failing_call_of_a_recovery_is_survived() {
    let figures = fail_recovery(&Workload::of(1), &Failing::ALL, 9);
    println!("{figures}");
    assert!(figures.violations.is_empty(), "{figures}");
}
