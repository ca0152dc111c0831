//! A simulated disk on which storage code can be shown to survive crashes.
//!
//! [`SimFs`] is a [`StoreFs`](factlog_fs::StoreFs) over a modelled page cache and disk, in
//! memory, decided by seeds alone: the same program with the same seeds makes the same calls
//! and meets the same faults, call by call ([`SimFs::trace`]).
//!
//! # The fault model
//!
//! * **Power cut** ([`SimFs::power_cut`]). What was synced is there. What was not is
//!   [lost, kept, torn or reordered](Unsynced), by sectors of 512 or 4,096 bytes; a length may
//!   be durable before the bytes, with [zeros, noise or old bytes](Garbage) in between;
//!   creates, renames and removes may be lost or out of order until their directory is synced.
//!   A rename within one directory is atomic. A torn sector keeps its unchanged bytes.
//! * **Killed process** ([`SimFs::kill_process`]). The cache stays, handles and locks go; what
//!   was not synced can still be lost by a later power cut.
//! * **Failing calls** ([`SimFs::inject`]): once or for good, before or [after](Failure::IoAfter)
//!   they did their work; full disk at any byte ([`SimFs::set_space`]); interrupted and short
//!   reads and writes; syncs that report an error once and then
//!   [keep, drop or half write](FailedSync) what was dirty.
//! * **Rot** of what was durable: bytes [flipped](SimFs::flip), sectors [zeroed](SimFs::zero),
//!   [misdirected](SimFs::misdirect) or [gone stale](SimFs::stale), files
//!   [exchanged](SimFs::swap), a directory [put back](SimFs::restore) as it once was, and syncs
//!   that [say they wrote and didn't](Failure::LostWrite).
//!
//! Not modelled: links, other processes, permissions.
//!
//! # How to use it
//!
//! Run a workload once, keeping every [`Moment`]; then go on from each of them in many ways.
//! A moment costs little, since all of them share the pages that didn't change.
//!
//! ```
//! use std::path::Path;
//! use factlog_fs::{Access, StoreFs, read_file, replace_file};
//! use factlog_sim::{PowerCut, SimFs, Unsynced};
//!
//! let name = Path::new("NAME");
//! let fs = SimFs::new(1);
//! replace_file(&fs, Path::new(""), "NAME", b"old", Access::Shared)?;
//! fs.record();
//! replace_file(&fs, Path::new(""), "NAME", b"new", Access::Shared)?;
//! for moment in fs.moments() {
//!     for unsynced in Unsynced::ALL {
//!         let crashed = moment.power_cut(&PowerCut::new(unsynced), 7);
//!         let found = read_file(&crashed, name, 10)?;
//!         assert!(found == b"old" || found == b"new");
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! When a run fails, [`shrink`] drops what it can do without, and [`SimFs::trace`] prints what is
//! left call by call. The example `find_the_bug` does this to a tiny write-ahead log with a planted bug. For what
//! else decides a run there are [`SimClock`] and [`SimRandom`], to be wrapped in the traits of
//! the code under test.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod clock;
mod disk;
mod fault;
mod fs;
mod rng;
mod shrink;
mod trace;

pub use clock::SimClock;
pub use disk::{FailedSync, Garbage, PowerCut, Unsynced};
pub use fault::{Failure, Fault};
pub use fs::{Moment, SimFs};
pub use rng::{Rng, SimRandom};
pub use shrink::shrink;
pub use trace::{Call, Trace};
