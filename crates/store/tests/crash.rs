//! Crashes at every change of the disk, in every way, and what must hold after them.

#![forbid(unsafe_code)]

#[path = "crash/mod.rs"]
mod crash;

use crash::campaign::{Budget, campaign};

#[test]
fn every_crash_is_survived() {
    let figures = campaign(0..6, Budget::ORDINARY, None);
    println!("{figures}");
    assert!(figures.violations.is_empty(), "{figures}");
}
