//! The index against a model, against crashes and against damage.

pub(crate) mod crashes;
mod damage;
mod faulty;
mod files;
mod lookups;
mod model;
mod runs;

use std::path::Path;
use std::sync::Arc;

use factlog_fs::{MemFs, StoreFs, read_file};

use super::{CHUNK, Entry, IndexDir, IndexView, IndexWriter, Table, Tail};

const JOURNAL: [u8; 16] = *b"journal for test";
const DIR: &str = "index";

fn dir(fs: &MemFs) -> IndexDir {
    IndexDir::new(Arc::new(fs.clone()), DIR.into(), JOURNAL)
}

fn open(fs: &MemFs) -> IndexWriter {
    let opened = IndexWriter::open(IndexDir::new(Arc::new(fs.clone()), DIR.into(), JOURNAL));
    opened.unwrap().0
}

fn entry(table: Table, key: u128, sequence: u64) -> Entry {
    Entry {
        table,
        key: key.to_be_bytes(),
        sequence,
    }
}

/// Steps until nothing is left to do.
fn settle(writer: &mut IndexWriter, tail: &Tail) {
    while writer.has_work(tail) {
        writer.step(tail).unwrap();
    }
}

/// The tail of these entries from `from` to `end`, pushed in one go.
fn tail_of(entries: &[Entry], from: u64, end: u64) -> Tail {
    let within = entries
        .iter()
        .filter(|entry| (from..end).contains(&entry.sequence));
    Tail::new(from).push(end, within.copied().collect())
}

/// An index of these entries, all merges done.
fn build(entries: &[Entry], end: u64) -> (MemFs, IndexView) {
    let fs = MemFs::new();
    let mut writer = open(&fs);
    let tail = tail_of(entries, 0, end);
    settle(&mut writer, &tail);
    assert_eq!(writer.covered(), end - end % CHUNK);
    (fs, IndexView::new(JOURNAL, writer.runs(), &tail))
}

/// Every file of the index, by name.
fn files(fs: &MemFs) -> Vec<(String, Vec<u8>)> {
    let entries = fs.list(Path::new(DIR)).unwrap();
    let names = entries
        .into_iter()
        .map(|entry| entry.name.into_string().unwrap());
    names
        .map(|name| {
            let bytes = read_file(fs, &Path::new(DIR).join(&name), 1 << 30).unwrap();
            (name, bytes)
        })
        .collect()
}
