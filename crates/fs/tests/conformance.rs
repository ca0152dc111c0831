//! Our own file systems keep the promises of the trait, and the suite notices one that doesn't.

mod support;

use std::path::Path;

use factlog_fs::conformance::{check, report};
use factlog_fs::{Access, MemFs, RealFs, StoreFs};
use support::{Fault, FaultFs};

fn conforms(fs: &dyn StoreFs, scratch: &Path) {
    let failures = check(fs, scratch);
    assert!(failures.is_empty(), "{}", report(&failures));
    assert_eq!(fs.list(scratch).unwrap(), [], "the suite left something");
}

fn mem_with_scratch() -> MemFs {
    let fs = MemFs::new();
    fs.create_dir(Path::new("scratch"), Access::Shared).unwrap();
    fs
}

#[test]
fn the_real_file_system_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&RealFs::new(), dir.path());
}

#[test]
fn the_file_system_in_memory_conforms() {
    conforms(&mem_with_scratch(), Path::new("scratch"));
}

#[test]
fn short_and_interrupted_calls_conform() {
    let fs = FaultFs::new(mem_with_scratch(), Fault::ShortAndInterrupted);
    conforms(&fs, Path::new("scratch"));
}

#[test]
fn a_file_system_that_breaks_a_promise_is_named() {
    for (fault, promise) in [
        (Fault::LockTwice, "a lock excludes a second one"),
        (Fault::StaleBytesAfterCut, "what was cut off reads as zeros"),
        (Fault::SharedDespitePrivate, "a private file is private"),
        (Fault::UnsortedList, "list names every entry once, sorted"),
        (Fault::At("sync_dir", 0), "a directory can be synced"),
    ] {
        let fs = FaultFs::new(mem_with_scratch(), fault);
        let failures = check(&fs, Path::new("scratch"));
        assert!(
            failures.iter().any(|f| f.promise.starts_with(promise)),
            "not noticed: {promise}"
        );
    }
}
