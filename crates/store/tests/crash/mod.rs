//! Crashing journals on a simulated disk.
//!
//! A [`workload`] is done once, with a moment kept after every change of the disk; from each of
//! them the machine goes on in many ways ([`campaign`]), and each time every [`oracle`] is
//! asked. A violation names seed, moment and power cut, which is all it takes to see it again.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "included by several test programs, each of which uses a part of it"
)]

pub mod bugs;
pub mod campaign;
pub mod fault;
pub mod figures;
pub mod lab;
pub mod model;
pub mod oracle;
pub mod run;
pub mod survive;
pub mod verdict;
pub mod workload;

/// Where users' events are.
pub const SCOPE: &str = "bank";
