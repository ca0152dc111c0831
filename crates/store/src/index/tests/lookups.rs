//! Every look-up is the model's.

use proptest::prelude::*;

use super::super::{CHUNK, Entry, IndexView, Table, Tail};
use super::model::{Model, entries, groups};
use super::{JOURNAL, build, dir, entry, open, tail_of};

const END: u64 = 75_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_answer_is_the_models(
        entries in entries(END, 600),
        groups in groups(END),
        lag in 0u64..60_000,
        ranges in prop::collection::vec(0..END, 2),
    ) {
        let fs = factlog_fs::MemFs::new();
        let mut writer = open(&fs);
        let mut tail = Tail::new(0);
        for ends in groups.windows(2) {
            let (from, end) = (ends[0], ends[1]);
            let group: Vec<Entry> =
                entries.iter().filter(|e| (from..end).contains(&e.sequence)).copied().collect();
            tail = tail.push(end, group);
            if end - tail.from() > lag {
                writer.step(&tail).unwrap();
                tail = tail.drop_below(writer.covered());
            }
        }
        let view = IndexView::new(JOURNAL, writer.runs(), &tail);
        prop_assert!(view.tail_from() <= view.covered());
        let (low, high) = (ranges[0].min(ranges[1]), ranges[0].max(ranges[1]));
        Model::of(&entries).compare(&view, &[0..u64::MAX, low..high, high..high, 0..low]);
    }

    #[test]
    fn a_reader_sees_what_is_in_files(entries in entries(END, 300)) {
        let (fs, view) = build(&entries, END);
        let (runs, problems) = dir(&fs).read_runs(&[]).unwrap();
        prop_assert_eq!(problems, vec![]);
        let covered = END - END % CHUNK;
        let (again, _) = dir(&fs).read_runs(&runs).unwrap();
        prop_assert!(runs.iter().zip(&again).all(|(a, b)| std::sync::Arc::ptr_eq(a, b)));
        let reader = IndexView::new(JOURNAL, runs, &tail_of(&entries, covered, END));
        prop_assert_eq!(reader.covered(), view.covered());
        Model::of(&entries).compare(&reader, std::slice::from_ref(&(0..END)));
    }
}

#[test]
fn an_empty_index_knows_nothing() {
    let fs = factlog_fs::MemFs::new();
    let (runs, problems) = dir(&fs).read_runs(&[]).unwrap();
    assert!(runs.is_empty() && problems.is_empty());
    Model::default().compare(&IndexView::new(JOURNAL, runs, &Tail::new(0)), &[]);
}

#[test]
fn a_tail_may_begin_behind_a_gap() {
    let all = [
        entry(Table::Id, 5, 10),
        entry(Table::Id, 5, 9_000),
        entry(Table::Id, 6, 9_001),
    ];
    let (fs, _) = build(&all[..1], CHUNK);
    let (runs, _) = dir(&fs).read_runs(&[]).unwrap();
    let view = IndexView::new(JOURNAL, runs, &tail_of(&all, 8_500, 9_500));
    assert_eq!((view.covered(), view.tail_from()), (CHUNK, 8_500));
    Model::of(&all).compare(&view, std::slice::from_ref(&(0..20_000)));
}

#[test]
fn a_tail_that_begins_within_a_chunk_never_makes_a_run_of_it() {
    let fs = factlog_fs::MemFs::new();
    let mut writer = open(&fs);
    let tail = Tail::new(100).push(CHUNK * 3, vec![entry(Table::Id, 1, 200)]);
    assert_eq!(tail.complete_chunks(), 2);
    assert!(writer.step(&tail).unwrap().is_none());
    assert!(!writer.has_work(&tail));
    assert_eq!(tail.drop_below(CHUNK).from(), CHUNK);
}

#[test]
fn groups_of_one_keep_few_lists() {
    let mut tail = Tail::new(0);
    for sequence in 0..CHUNK + 1_000 {
        tail = tail.push(
            sequence + 1,
            vec![entry(Table::Id, u128::from(sequence) << 90, sequence)],
        );
        assert!(tail.lists().count() <= 14);
    }
    assert_eq!(
        tail.lists().map(|(_, items)| items.len()).sum::<usize>() as u64,
        tail.end()
    );
}
