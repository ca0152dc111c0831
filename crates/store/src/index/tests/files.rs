//! The files follow from the entries alone, whatever happened on the way.

use std::path::Path;
use std::sync::Arc;

use factlog_fs::{Access, MemFs, StoreFs, write_all_at};
use proptest::prelude::*;

use super::super::dir::RunName;
use super::super::{CHUNK, Entry, IndexDir, IndexWriter, Table, Tail};
use super::faulty::Faulty;
use super::model::{entries, groups};
use super::{DIR, JOURNAL, build, entry, files, open, settle, tail_of};

/// Just past a run of level 2.
const END: u64 = 280_000;

fn names(fs: &MemFs) -> Vec<String> {
    files(fs).into_iter().map(|(name, _)| name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn files_do_not_depend_on_groups_steps_and_crashes(
        entries in entries(END, 800),
        groups in groups(END),
        lag in 0u64..100_000,
        crashes in prop::collection::vec(1i64..400, 0..12),
    ) {
        let fs = MemFs::new();
        let mut crashes = crashes.into_iter();
        let mut begin = || {
            let left = crashes.next().unwrap_or(i64::MAX);
            Arc::new(Faulty::new(fs.clone(), left))
        };
        let mut writer = None;
        let mut tail = Tail::new(0);
        for ends in groups.windows(2) {
            let (from, end) = (ends[0], ends[1]);
            let group = entries.iter().filter(|e| (from..end).contains(&e.sequence));
            tail = tail.push(end, group.copied().collect());
            if end - tail.from() <= lag {
                continue;
            }
            // A writer that meets an error is given up, as by a crash, and another one begun.
            let current = match writer.take() {
                Some(current) => Ok(current),
                None => IndexWriter::open(IndexDir::new(begin(), DIR.into(), JOURNAL)).map(|(w, _)| w),
            };
            if let Ok(mut current) = current {
                tail = tail_of(&entries, current.covered().min(tail.end()), tail.end());
                writer = current.step(&tail).is_ok().then_some(current);
            }
        }
        let mut last = open(&fs);
        tail = tail_of(&entries, last.covered(), END);
        settle(&mut last, &tail);
        let (wanted, _) = build(&entries, END);
        prop_assert_eq!(names(&fs), names(&wanted));
        prop_assert!(files(&fs) == files(&wanted));
    }
}

#[test]
fn ranges_are_fixed_by_sequence() {
    let (fs, _) = build(&[entry(Table::Id, 1, 1)], END);
    let mut wanted = vec!["0000000000000000-02.run".to_owned()];
    wanted.extend((64..END / CHUNK).map(|chunk| format!("{:016x}-00.run", chunk * CHUNK)));
    assert_eq!(names(&fs), wanted);
}

#[test]
fn names_have_one_spelling() {
    for (name, range) in [
        ("0000000000000000-00.run", Some((0, 0))),
        ("0000000000008000-01.run", Some((32_768, 1))),
        ("0000000000001000-01.run", None),
        ("0000000000000000-06.run", None),
        ("0000000000000000-0.run", None),
        ("000000000000000-00.run", None),
        ("+000000000000000-00.run", None),
        ("000000000000A000-00.run", None),
        ("ffffffffffff8000-01.run", None),
        ("0000000000000000-00.run.tmp", None),
        ("0000000000000000-00", None),
    ] {
        let parsed = RunName::parse(name.as_ref());
        assert_eq!(parsed.map(|run| (run.first, run.level)), range, "{name}");
    }
}

/// A log of eleven chunks, one entry in each.
fn eleven() -> Vec<Entry> {
    (0..11)
        .map(|chunk| entry(Table::Id, chunk.into(), chunk * CHUNK + 7))
        .collect()
}

#[test]
fn a_merged_run_wins_over_its_inputs() {
    let (merged, _) = build(&eleven(), 11 * CHUNK);
    let (inputs, _) = build(&eleven(), 7 * CHUNK);
    for (name, bytes) in files(&inputs) {
        let file = merged
            .create_new(&Path::new(DIR).join(name), Access::Shared)
            .unwrap();
        write_all_at(file.as_ref(), &bytes, 0).unwrap();
    }
    let (runs, problems) = super::dir(&merged).read_runs(&[]).unwrap();
    assert_eq!((runs.len(), problems), (4, vec![]));
    assert_eq!(names(&merged).len(), 11);
    assert_eq!(open(&merged).runs().len(), 4);
    assert_eq!(names(&merged).len(), 4);
}

#[test]
fn a_gap_is_filled_without_making_the_runs_behind_it_again() {
    let (fs, _) = build(&eleven(), 11 * CHUNK);
    let wanted = files(&fs);
    let path = Path::new(DIR).join("0000000000000000-01.run");
    fs.remove_file(&path).unwrap();
    let (runs, _) = super::dir(&fs).read_runs(&[]).unwrap();
    assert!(runs.is_empty());
    let mut writer = open(&fs);
    assert_eq!(writer.covered(), 0);
    let mut fed = 0;
    while writer.covered() < 11 * CHUNK {
        let first = writer.covered();
        let tail = tail_of(&eleven(), first, first + CHUNK);
        let chunk = tail.lists().flat_map(|(_, items)| items.iter());
        let key = chunk.map(|item| item.key()).next().unwrap();
        writer
            .append_chunk(first, vec![entry(Table::Id, key, first + 7)])
            .unwrap();
        fed += 1;
    }
    settle(&mut writer, &Tail::new(11 * CHUNK));
    assert_eq!(fed, 8);
    assert!(files(&fs) == wanted);
}

#[test]
fn an_index_ahead_of_the_log_is_cut() {
    let (fs, _) = build(&eleven(), 11 * CHUNK);
    let mut writer = open(&fs);
    assert!(writer.truncate_to(11 * CHUNK).unwrap().is_none());
    let runs = writer.truncate_to(9 * CHUNK + 5).unwrap().unwrap();
    assert_eq!(runs.last().unwrap().end(), 9 * CHUNK);
    assert_eq!(
        names(&fs),
        ["0000000000000000-01.run", "0000000000008000-00.run"]
    );
    assert!(
        writer
            .truncate_to(8 * CHUNK - 1)
            .unwrap()
            .unwrap()
            .is_empty()
    );
    assert!(names(&fs).is_empty());
}

#[test]
fn a_damaged_run_is_discarded_and_made_again() {
    let (fs, _) = build(&eleven(), 11 * CHUNK);
    let wanted = files(&fs);
    let mut writer = open(&fs);
    let path = Path::new(DIR).join("0000000000009000-00.run");
    assert!(writer.discard(Path::new("elsewhere")).unwrap().is_none());
    assert_eq!(writer.discard(&path).unwrap().unwrap().len(), 2);
    assert_eq!(writer.covered(), 9 * CHUNK);
    settle(&mut writer, &tail_of(&eleven(), 9 * CHUNK, 10 * CHUNK));
    assert_eq!(writer.covered(), 11 * CHUNK);
    assert!(files(&fs) == wanted);
}

#[test]
fn an_open_clears_what_a_crash_left() {
    let (fs, _) = build(&eleven(), 11 * CHUNK);
    let wanted = files(&fs);
    for name in ["0000000000000000-02.run.tmp", "000000000000c000-00.run"] {
        let file = fs
            .create_new(&Path::new(DIR).join(name), Access::Shared)
            .unwrap();
        write_all_at(file.as_ref(), &[1; 10_000], 0).unwrap();
    }
    let (runs, problems) = super::dir(&fs).read_runs(&[]).unwrap();
    assert_eq!((runs.len(), problems.len()), (4, 1));
    assert_eq!(open(&fs).covered(), 11 * CHUNK);
    assert!(files(&fs) == wanted);
}

#[test]
fn an_open_with_nothing_to_clear_writes_nothing() {
    let (fs, _) = build(&eleven(), 11 * CHUNK);
    let strict = Arc::new(Faulty::new(fs, 0));
    let (writer, runs) = IndexWriter::open(IndexDir::new(strict, DIR.into(), JOURNAL)).unwrap();
    assert_eq!((writer.covered(), runs.len()), (11 * CHUNK, 4));
}
