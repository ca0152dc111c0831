//! Nothing wrong in a run goes unreported, and nothing in it makes a reader panic.

use std::path::{Path, PathBuf};

use factlog_fs::{Access, MemFs, OpenMode, StoreFs, write_all_at};
use proptest::prelude::*;

use super::super::block::{BLOCK, BODY, Seal};
use super::super::dir::RunName;
use super::super::{CHUNK, Checker, Entry, IndexDir, IndexView, Table, Tail};
use super::{DIR, JOURNAL, build, dir, entry, files};
use crate::{Damage, Error};

/// A log of nine chunks: a run of level 1 and one of level 0.
const END: u64 = 9 * CHUNK;

fn log() -> Vec<Entry> {
    let mut entries = Vec::new();
    for at in 0..400u64 {
        let sequence = at * (END / 400);
        let id = u128::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        entries.push(entry(Table::Id, id, sequence));
        entries.push(entry(Table::Stream, u128::from(at % 7), sequence));
    }
    entries.push(entry(Table::Coordinate, 1, 0));
    entries.sort_by_key(|entry| entry.sequence);
    entries
}

fn check(fs: &MemFs, log: &[Entry], end: u64) -> Vec<Damage> {
    let mut checker = Checker::open(&dir(fs), *b"a random secret.").unwrap();
    log.iter().for_each(|entry| checker.add(entry));
    let runs = checker.runs().read();
    checker.finish(end, runs).unwrap()
}

/// Asks for everything; answers may be wrong or errors, but there must be answers, and the same out of maps.
fn ask(fs: &MemFs, log: &[Entry]) {
    assert_eq!(answers(&dir(fs), log), answers(&dir(fs).mapped(true), log));
}

fn answers(dir: &IndexDir, log: &[Entry]) -> Vec<Result<Option<u64>, &'static str>> {
    let (runs, _) = dir.read_runs(&[]).unwrap();
    let view = IndexView::new(JOURNAL, runs, &Tail::new(END));
    let code = |error: Error| {
        assert_eq!(error.code(), "derived.index");
        error.code()
    };
    let mut all = Vec::new();
    for entry in log.iter().step_by(50) {
        all.push(view.last(entry.table, entry.key).map_err(code));
        let count = view.count(entry.table, entry.key);
        all.push(count.map(Some).map_err(code));
        for reverse in [false, true] {
            let postings = view.postings(entry.table, entry.key, 3..END, reverse);
            let before = all.len();
            all.extend(postings.map(|one| one.map(Some).map_err(code)));
            assert!(all.len() - before <= 4 * log.len());
        }
    }
    assert!(view.keys(Table::Stream).count() <= 4 * log.len());
    all
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn overwrite(fs: &MemFs, name: &str, offset: usize, bytes: &[u8]) {
    let file = fs.open(&path(name), OpenMode::Write).unwrap();
    write_all_at(file.as_ref(), bytes, offset as u64).unwrap();
}

#[test]
fn a_sound_index_has_no_findings() {
    let (fs, _) = build(&log(), END);
    assert_eq!(check(&fs, &log(), END), []);
    assert_eq!(check(&fs, &log(), END + 100), []);
    assert_eq!(check(&MemFs::new(), &log(), END), []);
}

#[test]
fn every_flipped_byte_is_reported() {
    let log = log();
    let (fs, _) = build(&log, END);
    for (name, bytes) in files(&fs) {
        let run = RunName::parse(name.as_ref()).unwrap();
        let seal = Seal::new(&JOURNAL, run.first, run.level);
        for (at, byte) in bytes.iter().enumerate() {
            let (number, flipped) = (at / BLOCK, byte ^ 1 << (at % 8));
            let mut block = bytes[number * BLOCK..][..BLOCK].to_vec();
            block[at % BLOCK] = flipped;
            assert!(seal.body(number as u64, &block).is_none(), "{name} at {at}");
            // The whole check takes longer; every block has its share.
            if at % 41 == 0 {
                overwrite(&fs, &name, at, &[flipped]);
                let findings = check(&fs, &log, END);
                assert_eq!(findings.len(), 1, "{name} at {at}");
                assert_eq!(
                    (findings[0].code, &findings[0].path),
                    ("derived.index", &path(&name))
                );
                ask(&fs, &log);
                overwrite(&fs, &name, at, &[*byte]);
            }
        }
    }
    assert_eq!(check(&fs, &log, END), []);
}

#[test]
fn a_block_counts_only_in_its_place() {
    let log = log();
    let (fs, _) = build(&log, END);
    for (name, bytes) in files(&fs) {
        let other = if name.ends_with("-00.run") {
            BLOCK
        } else {
            2 * BLOCK
        };
        overwrite(&fs, &name, BLOCK, &bytes[bytes.len() - other..][..BLOCK]);
        assert_eq!(check(&fs, &log, END).len(), 1);
        overwrite(&fs, &name, 0, &bytes);
    }
}

#[test]
fn every_truncation_is_reported() {
    let log = log();
    let (fs, _) = build(&log, END);
    for (name, bytes) in files(&fs) {
        for len in (0..bytes.len()).step_by(97) {
            let file = fs.open(&path(&name), OpenMode::Write).unwrap();
            file.set_len(len as u64).unwrap();
            assert!(!check(&fs, &log, END).is_empty(), "{name} cut to {len}");
            ask(&fs, &log);
            overwrite(&fs, &name, 0, &bytes);
        }
    }
}

#[test]
fn surplus_and_strangers_are_reported() {
    let log = log();
    for (name, bytes) in [
        ("0000000000008000-00.run", vec![0; BLOCK]),
        ("notes.txt", vec![1]),
        ("0000000000008000-0.run", vec![1]),
    ] {
        let (fs, _) = build(&log, END);
        let at = files(&fs)
            .iter()
            .find(|(other, _)| other == name)
            .map_or(0, |(_, b)| b.len());
        if at == 0 {
            fs.create_new(&path(name), Access::Shared).unwrap();
        }
        overwrite(&fs, name, at, &bytes);
        let findings = check(&fs, &log, END);
        assert_eq!(findings.len(), 1, "{name}");
        assert_eq!(
            (findings[0].code, &findings[0].path),
            ("derived.index", &path(name))
        );
    }
}

#[test]
fn a_missing_run_is_no_finding_and_one_ahead_is() {
    let log = log();
    let (fs, _) = build(&log, END);
    let (shorter, rest) = log.split_at(log.partition_point(|e| e.sequence < END - 1));
    assert!(rest.is_empty());
    assert_eq!(check(&fs, shorter, END - 1)[0].code, "derived.index_ahead");
    fs.remove_file(&path("0000000000000000-01.run")).unwrap();
    assert_eq!(check(&fs, &log, END), []);
}

#[test]
fn an_entry_hidden_or_made_up_with_every_checksum_right_is_reported() {
    let log = log();
    for change in [
        |entries: &mut Vec<Entry>| entries.retain(|entry| entry.sequence != 2_116),
        |entries: &mut Vec<Entry>| entries[100].sequence += 1,
        |entries: &mut Vec<Entry>| entries[100].key[15] ^= 1,
        |entries: &mut Vec<Entry>| entries.push(entry(Table::Id, 3, 3)),
    ] {
        let mut other = log.clone();
        change(&mut other);
        let (fs, _) = build(&other, END);
        assert_eq!(check(&fs, &other, END).len(), 0);
        assert_eq!(check(&fs, &log, END).len(), 1);
    }
}

#[test]
fn another_journals_run_is_reported() {
    let (fs, _) = build(&log(), END);
    let stranger = super::IndexDir::new(std::sync::Arc::new(fs), DIR.into(), [9; 16]);
    let (runs, problems) = stranger.read_runs(&[]).unwrap();
    assert_eq!((runs.len(), problems.len()), (0, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whoever writes to the disk can make checksums too.
    #[test]
    fn changed_blocks_with_right_checksums_are_reported(
        which in 0usize..2,
        block in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..BODY, any::<u8>()), 1..4),
        near in any::<bool>(),
    ) {
        let log = log();
        let (fs, _) = build(&log, END);
        let (name, bytes) = files(&fs).remove(which);
        let run = RunName::parse(name.as_ref()).unwrap();
        let number = block.index(bytes.len() / BLOCK);
        let mut body = bytes[number * BLOCK..][..BODY].to_vec();
        for (at, to) in changes {
            // Most of a block is filled only at its start.
            body[if near { at % 200 } else { at }] = to;
        }
        let mut sealed = Vec::new();
        Seal::new(&JOURNAL, run.first, run.level).push(number as u64, &body, &mut sealed);
        let changed = sealed != bytes[number * BLOCK..][..BLOCK];
        overwrite(&fs, &name, number * BLOCK, &sealed);
        prop_assert_eq!(check(&fs, &log, END).is_empty(), !changed);
        ask(&fs, &log);
    }
}
