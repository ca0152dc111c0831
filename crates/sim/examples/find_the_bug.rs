//! Finds the bug in a tiny write-ahead log: `cargo run -p factlog-sim --example find_the_bug`.
//!
//! The log keeps records of one length byte, a checksum and the bytes. It syncs its file with
//! every append, but it was told once that syncing the directory is a waste of time.

#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use factlog_fs::{Access, OpenMode, StoreFile, StoreFs, read_file, write_all_at};
use factlog_sim::{PowerCut, SimFs, Unsynced};

const FILE: &str = "wal";

struct Wal {
    file: Box<dyn StoreFile>,
    end: u64,
}

impl Wal {
    fn create(fs: &dyn StoreFs, sync_directory: bool) -> io::Result<Self> {
        let file = fs.create_new(Path::new(FILE), Access::Shared)?;
        if sync_directory {
            fs.sync_dir(Path::new(""))?;
        }
        Ok(Self { file, end: 0 })
    }

    /// Durable when it returns; so its author believes.
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let mut bytes = vec![record.len() as u8, checksum(record)];
        bytes.extend_from_slice(record);
        write_all_at(self.file.as_ref(), &bytes, self.end)?;
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0x5a, |sum: u8, byte| sum.rotate_left(3) ^ byte)
}

/// The whole records from the start on.
fn recover(fs: &dyn StoreFs) -> io::Result<Vec<Vec<u8>>> {
    let bytes = match fs.open(Path::new(FILE), OpenMode::Read) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        _ => read_file(fs, Path::new(FILE), 1 << 20)?,
    };
    let (mut records, mut rest) = (Vec::new(), bytes.as_slice());
    while let [len, sum, after @ ..] = rest
        && let Some(record) = after.get(..usize::from(*len))
        && checksum(record) == *sum
    {
        records.push(record.to_vec());
        rest = &after[record.len()..];
    }
    Ok(records)
}

/// Crashes the log at every change of the disk, in every way; says where a record was lost.
fn crash(sync_directory: bool) -> io::Result<Option<String>> {
    let fs = SimFs::new(1);
    fs.record();
    let mut wal = Wal::create(&fs, sync_directory)?;
    let mut acknowledged = Vec::new();
    for number in 1..=5u8 {
        wal.append(&[number; 7])?;
        acknowledged.push(fs.calls());
    }
    for moment in fs.moments() {
        let promised = acknowledged
            .iter()
            .filter(|call| **call <= moment.calls())
            .count();
        for unsynced in Unsynced::ALL {
            for seed in 0..8 {
                let found = recover(&moment.power_cut(&PowerCut::seeded(unsynced, seed), seed))?;
                if found.len() < promised {
                    let what = format!("{promised} records acknowledged, {} left", found.len());
                    let calls = moment.calls();
                    let trace = fs.trace();
                    let lines: Vec<String> = trace
                        .calls
                        .iter()
                        .take(calls as usize)
                        .map(ToString::to_string)
                        .collect();
                    let trace = lines.join("\n");
                    return Ok(Some(format!(
                        "{what}\ncrash {unsynced:?} with seed {seed} after call {calls}:\n{trace}"
                    )));
                }
            }
        }
    }
    Ok(None)
}

fn main() -> io::Result<()> {
    match crash(false)? {
        Some(found) => println!("without a directory sync: {found}"),
        None => return Err(io::Error::other("the planted bug was not found")),
    }
    match crash(true)? {
        Some(found) => Err(io::Error::other(found)),
        None => {
            println!("with it: every crash was survived");
            Ok(())
        }
    }
}
