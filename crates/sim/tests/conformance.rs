//! The simulated disk keeps every promise of `StoreFs`.

#![forbid(unsafe_code)]

use std::path::Path;

use factlog_fs::{Access, StoreFs, conformance, probe};
use factlog_sim::{Failure, Fault, SimFs};

#[test]
fn the_simulated_disk_conforms() {
    let fs = SimFs::new(1);
    fs.create_dir(Path::new("scratch"), Access::Shared).unwrap();
    let failures = conformance::check(&fs, Path::new("scratch"));
    assert!(failures.is_empty(), "{}", conformance::report(&failures));
    probe(&fs, Path::new("scratch")).unwrap();
}

#[test]
fn it_conforms_with_short_and_interrupted_calls() {
    let fs = SimFs::new(2);
    fs.create_dir(Path::new("scratch"), Access::Shared).unwrap();
    for call in (0..20_000).step_by(3) {
        fs.inject(Fault::at(call, Failure::Short));
    }
    let failures = conformance::check(&fs, Path::new("scratch"));
    assert!(failures.is_empty(), "{}", conformance::report(&failures));
    assert!(fs.hits() > 20);
}
