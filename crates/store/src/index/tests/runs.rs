//! Runs with more keys than one partition and lists longer than one block.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use factlog_fs::{Access, MemFs, StoreFs};

use super::super::build::{Builder, FileSink, Identity};
use super::super::cursor::RecordCursor;
use super::super::dir::RunName;
use super::super::filter::KeyHash;
use super::super::front::Residency;
use super::super::list::List;
use super::super::run::{Probe, Run};
use super::super::{Checker, IndexDir};
use super::{DIR, JOURNAL, dir};

const NAME: RunName = RunName {
    first: 1 << 20,
    level: 2,
};

/// 100,000 keys in one table, two in another; every 997th key has a list, one a long one.
fn lists() -> BTreeMap<(u8, u128), Vec<u32>> {
    let mut lists = BTreeMap::new();
    for at in 0..100_000u32 {
        let key = u128::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let list = if at % 997 == 0 {
            (at..at + 5).collect()
        } else {
            vec![at]
        };
        lists.insert((1, key), list);
    }
    lists.insert((9, 0), (0..200_000).collect());
    lists.insert((9, u128::MAX), vec![262_143]);
    lists
}

fn write(fs: &MemFs, lists: &BTreeMap<(u8, u128), Vec<u32>>) -> IndexDir {
    fs.create_dir(Path::new(DIR), Access::Shared).unwrap();
    let sink = FileSink::create(fs, dir(fs).file(NAME)).unwrap();
    let run = Identity {
        journal: JOURNAL,
        first: NAME.first,
        level: NAME.level,
    };
    let mut builder = Builder::new(sink, run);
    for ((table, key), list) in lists {
        builder.key(*table, *key).unwrap();
        for at in list {
            builder.posting(*at).unwrap();
        }
    }
    builder.finish().unwrap();
    dir(fs)
}

fn find(run: &Arc<Run>, table: u8, key: u128) -> Option<Vec<u64>> {
    let probe = Probe::new(KeyHash::new(&JOURNAL), table, key);
    let value = run.find(&probe).unwrap()?;
    let mut list = List::of(run, value);
    Some((0..list.len()).map(|at| list.get(at).unwrap()).collect())
}

fn check_all(run: &Arc<Run>, lists: &BTreeMap<(u8, u128), Vec<u32>>) {
    let absolute = |list: &[u32]| list.iter().map(|at| NAME.first + u64::from(*at)).collect();
    for ((table, key), list) in lists.iter().step_by(7).chain(lists.iter().rev().take(3)) {
        assert_eq!(find(run, *table, *key), Some(absolute(list)));
        assert_eq!(find(run, *table, *key ^ 1), None);
        assert_eq!(find(run, 5, *key), None);
    }
}

#[test]
fn a_run_of_many_partitions_finds_every_key() {
    let (fs, lists) = (MemFs::new(), lists());
    let run = write(&fs, &lists).open(NAME).unwrap();
    assert_eq!(run.parts(), 4);
    check_all(&run, &lists);
    run.check().unwrap();
    let mut cursor = RecordCursor::all(run);
    for ((table, key), list) in &lists {
        let record = cursor.next().unwrap().unwrap();
        assert_eq!((record.table, record.key), (*table, *key));
        assert_eq!(record.value.count(), list.len() as u64);
    }
    assert!(cursor.next().unwrap().is_none());
}

#[test]
fn beyond_the_memory_limit_blocks_are_read_instead() {
    let (fs, lists) = (MemFs::new(), lists());
    let mut dir = write(&fs, &lists);
    dir.residency = Arc::new(Residency::full());
    let run = dir.open(NAME).unwrap();
    check_all(&run, &lists);
    assert_eq!(dir.residency.used(), Residency::full().used());
}

#[test]
fn memory_is_given_back_with_the_run() {
    let (fs, lists) = (MemFs::new(), lists());
    let dir = write(&fs, &lists);
    let run = dir.open(NAME).unwrap();
    assert_eq!(dir.residency.used(), 0);
    check_all(&run, &lists);
    let used = dir.residency.used();
    assert!((150_000..170_000).contains(&used), "{used}");
    drop(run);
    assert_eq!(dir.residency.used(), 0);
}

#[test]
fn a_run_that_holds_what_the_log_does_not_is_found() {
    let (fs, lists) = (MemFs::new(), lists());
    let dir = write(&fs, &lists);
    let checker = Checker::open(&dir, [1; 16]).unwrap();
    let runs = checker.runs().read();
    let findings = checker.finish(NAME.end(), runs).unwrap();
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].detail.contains("other entries"),
        "{}",
        findings[0]
    );
    let checker = Checker::open(&dir, [1; 16]).unwrap();
    let runs = checker.runs().read();
    let findings = checker.finish(NAME.end() - 1, runs).unwrap();
    assert_eq!(findings[0].code, "derived.index_ahead");
}
