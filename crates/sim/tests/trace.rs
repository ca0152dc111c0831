//! One seed, one run: in every build and on every machine.

#![forbid(unsafe_code)]

use std::path::Path;

use factlog_fs::{Access, StoreFs, replace_file, write_all_at};
use factlog_sim::{Failure, Fault, PowerCut, SimFs, Unsynced};

/// A run with faults and chance in it.
fn run(seed: u64) -> (SimFs, Vec<u128>) {
    let fs = SimFs::new(seed);
    fs.inject(Fault::at(3, Failure::Short));
    fs.inject(Fault::at(8, Failure::Io));
    fs.record();
    let dir = Path::new("d");
    fs.create_dir(dir, Access::Shared).unwrap();
    fs.sync_dir(Path::new("")).unwrap();
    let file = fs.create_new(&dir.join("log"), Access::Private).unwrap();
    write_all_at(file.as_ref(), &[7; 3000], 0).unwrap();
    file.sync_data().unwrap();
    let _ = replace_file(&fs, dir, "NAME", b"content", Access::Shared);
    write_all_at(file.as_ref(), &[8; 9000], 3000).unwrap();
    drop(file);
    let mut prints = Vec::new();
    for moment in fs.moments() {
        for unsynced in Unsynced::ALL {
            let cut = PowerCut::seeded(unsynced, seed);
            prints.push(moment.power_cut(&cut, seed).fingerprint());
        }
    }
    (fs, prints)
}

/// The same sum on every machine.
fn sum(prints: &[u128]) -> u128 {
    prints
        .iter()
        .fold(0, |sum, print| sum.rotate_left(7) ^ print)
}

const TRACE: &str = "     0 create_dir  d
     1 sync_dir
     2 create_new  d/log
     3 write       d/log 0+3000
     4 write       d/log 1488+1512
     5 sync_data   d/log
     6 remove_file d/NAME.tmp: entity not found
     7 create_new  d/NAME.tmp
     8 write       d/NAME.tmp 0+7: Input/output error (os error 5)
     9 remove_file d/NAME.tmp
    10 write       d/log 3000+9000
";

#[test]
fn the_trace_and_every_crash_of_a_seed_are_what_they_always_were() {
    let (fs, prints) = run(11);
    let trace = fs.trace().to_string();
    let lines: Vec<&str> = trace.lines().map(str::trim_end).collect();
    let wanted: Vec<&str> = TRACE.lines().map(str::trim_end).collect();
    assert_eq!(lines, wanted);
    assert_eq!(
        format!("{:032x}", sum(&prints)),
        "7a6f33212ab4359b783908cc10c6595f"
    );
}

#[test]
fn another_seed_gives_other_crashes() {
    assert_ne!(sum(&run(11).1), sum(&run(12).1));
}
