//! An open run: finding a key in it.

use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use factlog_fs::{FileMap, OpenMode, StoreFile};

use super::CODE;
use super::block::{
    BLOCK, BODY, BlockFile, RECORD, RECORDS, Seal, key_at, partition_point, u64_at,
};
use super::build::{COUNT_BITS, LISTED};
use super::dir::{IndexDir, RunName};
use super::filter::{self, KeyHash, Line};
use super::front::{self, Front, Residency};
use super::item::Key;
use super::layout::{Header, PLACES, Place, places_fit};
use crate::{Damage, Error};

/// A run's file, with header and directory in memory.
///
/// The file may be removed while this is held: what was open stays readable.
#[derive(Debug)]
pub(crate) struct Run {
    path: PathBuf,
    file: Box<dyn StoreFile>,
    map: Option<Box<dyn FileMap>>,
    seal: Seal,
    journal: [u8; 16],
    name: RunName,
    /// Partitions by table, and the first key of each: what a look-up searches.
    tables: Vec<(u8, Range<usize>)>,
    firsts: Vec<Key>,
    parts: Vec<Part>,
    residency: Arc<Residency>,
}

#[derive(Debug)]
struct Part {
    place: Place,
    front: OnceLock<Front>,
}

/// What is looked for: a key of a table, and what the filters need to know of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) table: u8,
    pub(super) key: Key,
    pub(super) hash: u64,
    pub(super) bits: Line,
}

impl Probe {
    pub(super) fn new(hash: KeyHash, table: u8, key: Key) -> Self {
        let hash = hash.hash(table, key);
        Self {
            table,
            key,
            hash,
            bits: filter::bits(hash),
        }
    }
}

/// What stands beside a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The only sequence.
    One(u64),
    /// A place among the postings of a partition.
    Listed { part: usize, start: u64, count: u64 },
}

impl Value {
    pub(super) fn count(self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Listed { count, .. } => count,
        }
    }
}

impl Run {
    /// Opens a run and checks its header and directory; other blocks are checked when they are read.
    pub(super) fn open(dir: &IndexDir, name: RunName) -> Result<Self, Error> {
        let path = dir.file(name);
        let file = dir
            .fs
            .open(&path, OpenMode::Read)
            .map_err(Error::io("open", &path))?;
        let seal = Seal::new(&dir.journal, name.first, name.level);
        // Where it can't be mapped it is read by position.
        let map = dir.maps.then(|| file.map().ok()).flatten();
        let blocks = BlockFile {
            file: file.as_ref(),
            map: map.as_deref().map(Deref::deref),
            path: &path,
            seal,
        };
        let header = read_header(&blocks, dir, name)?;
        let places = read_places(&blocks, &header)?;
        let mut tables: Vec<(u8, Range<usize>)> = Vec::new();
        for (at, place) in places.iter().enumerate() {
            match tables.last_mut().filter(|(table, _)| *table == place.table) {
                Some((_, parts)) => parts.end = at + 1,
                None => tables.push((place.table, at..at + 1)),
            }
        }
        let firsts = places.iter().map(|place| place.first).collect();
        let parts = places
            .into_iter()
            .map(|place| Part {
                place,
                front: OnceLock::new(),
            })
            .collect();
        Ok(Self {
            seal,
            name,
            journal: header.journal,
            tables,
            firsts,
            parts,
            residency: dir.residency.clone(),
            file,
            map,
            path,
        })
    }

    /// Sequence of the first event it covers.
    pub(crate) fn first(&self) -> u64 {
        self.name.first
    }

    /// One past the last event it covers.
    pub(crate) fn end(&self) -> u64 {
        self.name.end()
    }

    /// How often its entries were merged.
    pub(crate) fn level(&self) -> u8 {
        self.name.level
    }

    /// Reads every block and checks it against its checksum; what the blocks say is not compared.
    #[cfg(test)]
    pub(crate) fn check(&self) -> Result<(), Error> {
        let blocks = self.parts.last().map_or(1, |part| part.place.end());
        let mut buf = vec![0; 16 * BLOCK];
        let mut at = 1;
        while at < blocks {
            let count = (blocks - at).min(16);
            self.read_blocks(
                at,
                buf.get_mut(..count as usize * BLOCK).unwrap_or_default(),
            )?;
            at += count;
        }
        Ok(())
    }

    pub(super) fn name(&self) -> RunName {
        self.name
    }

    pub(super) fn journal(&self) -> [u8; 16] {
        self.journal
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    pub(super) fn file(&self) -> &dyn StoreFile {
        self.file.as_ref()
    }

    pub(super) fn place(&self, part: usize) -> Option<&Place> {
        self.parts.get(part).map(|part| &part.place)
    }

    /// The partitions of a table.
    pub(super) fn parts_of(&self, table: u8) -> Range<usize> {
        let found = self.tables.iter().find(|(of, _)| *of == table);
        found.map_or(0..0, |(_, parts)| parts.clone())
    }

    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn read_blocks(&self, number: u64, buf: &mut [u8]) -> Result<(), Error> {
        self.blocks().read(number, buf)
    }

    pub(super) fn damage(&self, block: u64, detail: &str) -> Damage {
        self.blocks().damage(block, detail)
    }

    fn blocks(&self) -> BlockFile<'_> {
        BlockFile {
            file: self.file.as_ref(),
            map: self.map.as_deref().map(Deref::deref),
            path: &self.path,
            seal: self.seal,
        }
    }

    /// What stands beside a key, if it is there.
    pub(super) fn find(&self, probe: &Probe) -> Result<Option<Value>, Error> {
        let parts = self.parts_of(probe.table);
        let firsts = self.firsts.get(parts.clone()).unwrap_or_default();
        let after = firsts.partition_point(|first| *first <= probe.key);
        let Some(at) = after.checked_sub(1).map(|at| parts.start + at) else {
            return Ok(None);
        };
        let Some(part) = self.parts.get(at) else {
            return Ok(None);
        };
        let Some(block) = self.record_block(part, probe)? else {
            return Ok(None);
        };
        self.find_record(at, &part.place, block, probe.key)
    }

    /// The record block that may hold a key; `None` if none does.
    fn record_block(&self, part: &Part, probe: &Probe) -> Result<Option<u64>, Error> {
        let place = &part.place;
        let after = match self.front(part)? {
            Some(front) => front.blocks_up_to(place, probe),
            None => front::read_blocks_up_to(&self.blocks(), place, probe)?,
        };
        Ok(after
            .checked_sub(1)
            .map(|at| place.records_at() + at as u64))
    }

    fn find_record(
        &self,
        part: usize,
        place: &Place,
        number: u64,
        key: Key,
    ) -> Result<Option<Value>, Error> {
        let mut block = [0; BLOCK];
        self.read_blocks(number, &mut block)?;
        let before = (number - place.records_at()) as usize * RECORDS;
        let records = (place.keys as usize).saturating_sub(before).min(RECORDS);
        let at = partition_point(records, |at| key_at(&block, RECORD * at) < key);
        if at == records || key_at(&block, RECORD * at) != key {
            return Ok(None);
        }
        self.value(part, number, u64_at(&block, RECORD * at + 16))
            .map(Some)
    }

    /// Reads the value of a record, which stands in block `number`.
    pub(super) fn value(&self, part: usize, number: u64, raw: u64) -> Result<Value, Error> {
        if raw & LISTED == 0 {
            if raw < self.first() || raw >= self.end() {
                return Err(self.damage(number, "a sequence is outside the run").into());
            }
            return Ok(Value::One(raw));
        }
        let start = (raw & !LISTED) >> COUNT_BITS;
        let count = raw & ((1 << COUNT_BITS) - 1);
        let postings = self.place(part).map_or(0, |place| place.postings);
        if count < 2 || start + count > postings {
            return Err(self
                .damage(number, "a list of sequences has no such place")
                .into());
        }
        Ok(Value::Listed { part, start, count })
    }

    /// The partition's front, if it is in memory or may be.
    fn front<'a>(&self, part: &'a Part) -> Result<Option<&'a Front>, Error> {
        if let Some(front) = part.front.get() {
            return Ok(Some(front));
        }
        let size = Front::size(&part.place);
        if !self.residency.take(size, self.name.level) {
            return Ok(None);
        }
        let front = match Front::load(&self.blocks(), &part.place) {
            Ok(front) => front,
            Err(error) => {
                self.residency.give_back(size);
                return Err(error);
            }
        };
        // Two readers may load it at once; one of the two is kept.
        if part.front.set(front).is_err() {
            self.residency.give_back(size);
        }
        Ok(part.front.get())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let loaded = self.parts.iter().filter(|part| part.front.get().is_some());
        self.residency
            .give_back(loaded.map(|part| Front::size(&part.place)).sum());
    }
}

fn read_header(blocks: &BlockFile<'_>, dir: &IndexDir, name: RunName) -> Result<Header, Error> {
    let len = blocks.file.len().map_err(Error::io("read", blocks.path))?;
    let mut block = [0; BLOCK];
    blocks.read(0, &mut block)?;
    let header = block.get(..BODY).and_then(Header::decode);
    let header = header.ok_or_else(|| blocks.damage(0, "the header is not one of a run"))?;
    let right = header.journal == dir.journal
        && (header.first, header.level, header.end) == (name.first, name.level, name.end());
    if !right {
        return Err(blocks.damage(0, "the header is one of another run").into());
    }
    if header.blocks().checked_mul(BLOCK as u64) != Some(len) {
        return Err(Damage::new(
            CODE,
            blocks.path,
            "the file has another length than its header says",
        )
        .into());
    }
    Ok(header)
}

/// The directory. What the header claims was compared with the file's length, so no claim makes this
/// allocate more than the file holds.
fn read_places(blocks: &BlockFile<'_>, header: &Header) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    let mut left = header.partitions as usize;
    let mut block = [0; BLOCK];
    for number in header.directory..header.blocks() {
        blocks.read(number, &mut block)?;
        let some = block
            .get(..BODY)
            .and_then(|body| Place::decode_block(body, left.min(PLACES)));
        let some = some.ok_or_else(|| blocks.damage(number, "the directory is not as written"))?;
        left -= some.len();
        places.extend(some);
    }
    if !places_fit(header, &places) {
        return Err(blocks
            .damage(header.directory, "the directory does not fit the file")
            .into());
    }
    Ok(places)
}
