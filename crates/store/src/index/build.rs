//! Writing a run: one pass over its entries in order, memory for one partition.

use std::path::{Path, PathBuf};

use factlog_fs::{Access, StoreFile, StoreFs, write_all_at};

use super::block::{BLOCK, FENCES, POSTINGS, RECORD, RECORDS, Seal, key_at};
use super::filter::{self, KeyHash, LINES};
use super::item::{Item, Key};
use super::layout::{Header, PARTITION_KEYS, PLACES, Place, TableCount};
use super::{CODE, span};
use crate::{Damage, Error};

/// Where the bytes of a run go.
pub(super) trait Sink {
    /// The next bytes from block 1 on.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// Block 0, last of all.
    fn put_header(&mut self, block: &[u8]) -> Result<(), Error>;
}

/// Which run it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) journal: [u8; 16],
    pub(super) first: u64,
    pub(super) level: u8,
}

/// Bit 63 of a record's value: it is a place among the postings, not a sequence.
pub(super) const LISTED: u64 = 1 << 63;
pub(super) const COUNT_BITS: u32 = 31;

/// Encodes a run from its keys and postings in order.
#[derive(Debug)]
pub(super) struct Builder<S> {
    sink: S,
    run: Identity,
    seal: Seal,
    hash: KeyHash,
    /// The next block to put.
    block: u64,
    key: Option<OpenKey>,
    part: Option<OpenPart>,
    places: Vec<Place>,
    tables: Vec<TableCount>,
    /// Sealed blocks on their way out.
    out: Vec<u8>,
}

/// The key whose postings are being added.
#[derive(Debug)]
struct OpenKey {
    table: u8,
    key: Key,
    /// The first posting, which is written only when there is a second.
    posting: u32,
    count: u64,
    start: u64,
}

/// The partition that is being filled.
#[derive(Debug)]
struct OpenPart {
    table: u8,
    start: u64,
    postings: u64,
    keys: u32,
    /// Postings of the block that isn't full yet.
    block: Vec<u8>,
    records: Vec<u8>,
    hashes: Vec<u64>,
}

impl<S: Sink> Builder<S> {
    pub(super) fn new(sink: S, run: Identity) -> Self {
        Self {
            sink,
            seal: Seal::new(&run.journal, run.first, run.level),
            hash: KeyHash::new(&run.journal),
            run,
            block: 1,
            key: None,
            part: None,
            places: Vec::new(),
            tables: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Begins a key; table and key must be above those before.
    pub(super) fn key(&mut self, table: u8, key: Key) -> Result<(), Error> {
        self.end_key()?;
        let full = |part: &OpenPart| part.table != table || part.keys == PARTITION_KEYS;
        if self.part.as_ref().is_some_and(full) {
            self.end_part()?;
        }
        let block = self.block;
        let part = self.part.get_or_insert_with(|| OpenPart::new(table, block));
        self.key = Some(OpenKey {
            table,
            key,
            posting: 0,
            count: 0,
            start: part.postings,
        });
        Ok(())
    }

    /// Adds a sequence, relative to the run's first, to the key; not below the one before.
    pub(super) fn posting(&mut self, at: u32) -> Result<(), Error> {
        let (Some(key), Some(part)) = (&mut self.key, &mut self.part) else {
            debug_assert!(false, "a posting without a key");
            return Ok(());
        };
        key.count += 1;
        match key.count {
            1 => key.posting = at,
            2 => {
                let first = key.posting;
                self.list(first)?;
                self.list(at)?;
            }
            _ => {
                // The common case of a long list: no call.
                part.block.extend_from_slice(&at.to_le_bytes());
                part.postings += 1;
                if part.block.len() == 4 * POSTINGS {
                    self.put_postings()?;
                }
            }
        }
        Ok(())
    }

    /// Writes what is left and the header, and gives the sink back.
    pub(super) fn finish(mut self) -> Result<S, Error> {
        self.end_key()?;
        if self.part.is_some() {
            self.end_part()?;
        }
        let header = Header {
            journal: self.run.journal,
            level: self.run.level,
            first: self.run.first,
            end: self.run.first + span(self.run.level),
            directory: self.block,
            partitions: self.places.len() as u32,
            tables: std::mem::take(&mut self.tables),
        };
        let places = std::mem::take(&mut self.places);
        let mut body = Vec::new();
        for places in places.chunks(PLACES) {
            body.clear();
            places.iter().for_each(|place| place.encode(&mut body));
            self.put(&body)?;
        }
        self.flush()?;
        self.seal.push(0, &header.encode(), &mut self.out);
        self.sink.put_header(&self.out)?;
        Ok(self.sink)
    }

    fn list(&mut self, at: u32) -> Result<(), Error> {
        if let Some(part) = &mut self.part {
            part.block.extend_from_slice(&at.to_le_bytes());
            part.postings += 1;
            if part.block.len() == 4 * POSTINGS {
                self.put_postings()?;
            }
        }
        Ok(())
    }

    fn put_postings(&mut self) -> Result<(), Error> {
        let Some(part) = &mut self.part else {
            return Ok(());
        };
        let mut block = std::mem::take(&mut part.block);
        self.put(&block)?;
        block.clear();
        if let Some(part) = &mut self.part {
            part.block = block;
        }
        Ok(())
    }

    fn end_key(&mut self) -> Result<(), Error> {
        let Some(OpenKey {
            table,
            key,
            posting,
            count,
            start,
        }) = self.key.take()
        else {
            return Ok(());
        };
        let Some(part) = self.part.as_mut().filter(|_| count > 0) else {
            return Ok(());
        };
        let value = if count == 1 {
            self.run.first + u64::from(posting)
        } else if start <= u64::from(u32::MAX) && count < 1 << COUNT_BITS {
            LISTED | start << COUNT_BITS | count
        } else {
            return Err(self.overfull());
        };
        part.records.extend_from_slice(&key.to_be_bytes());
        part.records.extend_from_slice(&value.to_le_bytes());
        part.hashes.push(self.hash.hash(table, key));
        part.keys += 1;
        match self.tables.last_mut().filter(|last| last.table == table) {
            Some(total) => {
                total.keys += 1;
                total.entries += count;
            }
            None => self.tables.push(TableCount {
                table,
                keys: 1,
                entries: count,
            }),
        }
        Ok(())
    }

    /// More postings than a place can say: only a caller that repeats entries gets here.
    fn overfull(&self) -> Error {
        let what = format!(
            "the entries from sequence {} on don't fit a run",
            self.run.first
        );
        Damage::new(CODE, Path::new("index"), what).into()
    }

    fn end_part(&mut self) -> Result<(), Error> {
        let Some(part) = self.part.take() else {
            return Ok(());
        };
        let last_record = part.records.len().saturating_sub(RECORD);
        if part.keys == 0 {
            return Ok(());
        }
        if !part.block.is_empty() {
            self.put(&part.block)?;
        }
        let mut fences = Vec::with_capacity(16 * FENCES);
        for block in part.records.chunks(RECORDS * RECORD) {
            fences.extend_from_slice(block.get(..16).unwrap_or_default());
            self.put(block)?;
        }
        self.put(&fences)?;
        for lines in filter::build(&part.hashes).chunks(LINES) {
            self.put(&filter::encode(lines))?;
        }
        self.places.push(Place {
            table: part.table,
            first: key_at(&part.records, 0),
            last: key_at(&part.records, last_record),
            start: part.start,
            postings: part.postings,
            keys: part.keys,
        });
        debug_assert_eq!(self.places.last().map(Place::end), Some(self.block));
        Ok(())
    }

    fn put(&mut self, body: &[u8]) -> Result<(), Error> {
        self.seal.push(self.block, body, &mut self.out);
        self.block += 1;
        if self.out.len() >= 64 * BLOCK {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.sink.put(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

impl Builder<FileSink> {
    /// Adds sorted items, whose sequences are relative to the run's first.
    pub(super) fn items(&mut self, items: &[Item]) -> Result<(), Error> {
        let mut before: Option<&Item> = None;
        for item in items {
            if before.is_none_or(|before| !before.same_key(item)) {
                self.key(item.table(), item.key())?;
            }
            self.posting(item.at())?;
            before = Some(item);
        }
        Ok(())
    }
}

impl OpenPart {
    fn new(table: u8, start: u64) -> Self {
        Self {
            table,
            start,
            postings: 0,
            keys: 0,
            block: Vec::new(),
            records: Vec::new(),
            hashes: Vec::new(),
        }
    }
}

/// Bytes after which a long file is synced, so that the sync at its end is not one long stall.
const SYNC_EVERY: u64 = 32 << 20;

/// A run on its way to the disk, under a temporary name.
#[derive(Debug)]
pub(super) struct FileSink {
    file: Box<dyn StoreFile>,
    path: PathBuf,
    at: u64,
    synced: u64,
}

impl FileSink {
    /// Begins a file, in place of any that an earlier attempt left.
    pub(super) fn create(fs: &dyn StoreFs, path: PathBuf) -> Result<Self, Error> {
        match fs.remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path)(e));
            }
            _ => {}
        }
        let file = fs
            .create_new(&path, Access::Shared)
            .map_err(Error::io("create", &path))?;
        Ok(Self {
            file,
            path,
            at: BLOCK as u64,
            synced: 0,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(Error::io("sync", &self.path))
    }
}

impl Sink for FileSink {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        write_all_at(self.file.as_ref(), bytes, self.at).map_err(Error::io("write", &self.path))?;
        self.at += bytes.len() as u64;
        if self.at - self.synced >= SYNC_EVERY {
            self.file
                .sync_data()
                .map_err(Error::io("sync", &self.path))?;
            self.synced = self.at;
        }
        Ok(())
    }

    fn put_header(&mut self, block: &[u8]) -> Result<(), Error> {
        write_all_at(self.file.as_ref(), block, 0).map_err(Error::io("write", &self.path))
    }
}
