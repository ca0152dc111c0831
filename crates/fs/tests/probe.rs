//! A file system that can't do what factlog needs is found out.

mod support;

use std::path::Path;

use factlog_fs::{Access, MemFs, ProbeError, StoreFs, probe};
use support::{Fault, FaultFs};

fn probed(fault: Fault) -> Result<(), ProbeError> {
    let mem = MemFs::new();
    let dir = Path::new("d");
    mem.create_dir(dir, Access::Shared).unwrap();
    let result = probe(&FaultFs::new(mem.clone(), fault), dir);
    if fault != Fault::NoLocks {
        assert_eq!(mem.list(dir).unwrap(), [], "the probe left something");
    }
    result
}

#[test]
fn missing_or_idle_locks_are_found_out() {
    for fault in [Fault::NoLocks, Fault::LockTwice] {
        assert!(matches!(probed(fault), Err(ProbeError::Locks(_))));
    }
}

#[test]
fn missing_directory_sync_is_found_out() {
    let result = probed(Fault::NoDirSync);
    assert!(matches!(result, Err(ProbeError::DirectorySync(_))));
}

#[test]
fn what_could_not_be_found_out_is_another_answer() {
    for call in ["lock", "sync_dir"] {
        let result = probed(Fault::At(call, 0));
        assert!(matches!(result, Err(ProbeError::Io(_))), "{call}");
    }
}

#[test]
fn a_probe_file_left_by_a_crash_is_no_obstacle() {
    let fs = MemFs::new();
    let stale = Path::new("probe.tmp");
    fs.create_new(stale, Access::Shared).unwrap();
    probe(&fs, Path::new("")).unwrap();
    assert_eq!(fs.list(Path::new("")).unwrap(), []);
}
