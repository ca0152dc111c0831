//! Crashes of merges: what was covered stays covered.

use std::path::Path;

use factlog_sim::{Moment, PowerCut, SimFs, Unsynced};

use super::{CHUNK, DIR, Entry, IndexDir, IndexWriter, JOURNAL, Table, Tail, entry, settle};

fn open(fs: &SimFs) -> IndexWriter {
    let opened = IndexWriter::open(IndexDir::new(fs.store(), DIR.into(), JOURNAL));
    opened.unwrap().0
}

fn chunk(first: u64) -> Tail {
    let entries: Vec<Entry> = (first..first + CHUNK)
        .map(|sequence| entry(Table::Id, u128::from(sequence) << 77, sequence))
        .collect();
    Tail::new(first).push(first + CHUNK, entries)
}

/// What the index covers after each way to crash while eight runs are merged, the first seven of
/// which were durable; and the least that it may cover.
pub(crate) fn covered_after_crashes_of_a_merge() -> (Vec<u64>, u64) {
    let fs = SimFs::new(1);
    let mut writer = open(&fs);
    let durable = 7 * CHUNK;
    for first in (0..durable).step_by(CHUNK as usize) {
        writer.step(&chunk(first)).unwrap();
    }
    fs.store().sync_dir(Path::new(DIR)).unwrap();
    fs.record();
    settle(&mut writer, &chunk(durable));
    assert_eq!(writer.runs().len(), 1, "they were merged");
    let after = |moment: &Moment| {
        let cuts = Unsynced::ALL.into_iter().flat_map(|unsynced| {
            (0..4).map(move |seed| moment.power_cut(&PowerCut::new(unsynced), seed))
        });
        let machines: Vec<SimFs> = cuts.chain([moment.kill_process(1)]).collect();
        machines
    };
    let machines = fs.moments().iter().flat_map(after).collect::<Vec<_>>();
    let covered = machines.iter().map(|fs| open(fs).covered()).collect();
    (covered, durable)
}

#[test]
fn a_crash_of_a_merge_takes_nothing_that_was_covered() {
    let (covered, least) = covered_after_crashes_of_a_merge();
    assert!(covered.len() > 100 && covered.iter().all(|covered| *covered >= least));
    assert!(covered.contains(&(8 * CHUNK)) && covered.contains(&least));
}
