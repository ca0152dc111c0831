//! The header and the directory of a run, and where the blocks of a partition stand.

use super::block::{BODY, FENCES, POSTINGS, RECORDS, array_at, key_at, u32_at, u64_at};
use super::filter::{self, LINES};
use super::item::Key;

const MAGIC: &[u8; 8] = b"FACTRUN\0";
const VERSION: u16 = 3;

const HEADER_FIXED: usize = 72;
const TABLE: usize = 24;
const MAX_TABLES: usize = (BODY - HEADER_FIXED) / TABLE;

const PLACE: usize = 64;
/// Partitions in one block of the directory.
pub(super) const PLACES: usize = BODY / PLACE;

/// Keys of one table that share fence keys and a filter: one block of fence keys.
pub(super) const PARTITION_KEYS: u32 = (RECORDS * FENCES) as u32;

/// How many keys and entries a run has of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableCount {
    pub(super) table: u8,
    pub(super) keys: u64,
    pub(super) entries: u64,
}

/// Block 0 of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) journal: [u8; 16],
    pub(super) level: u8,
    pub(super) first: u64,
    pub(super) end: u64,
    /// The first block of the directory, which is the end of the partitions.
    pub(super) directory: u64,
    pub(super) partitions: u32,
    pub(super) tables: Vec<TableCount>,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BODY);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[self.level, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.end.to_le_bytes());
        out.extend_from_slice(&self.blocks().to_le_bytes());
        out.extend_from_slice(&self.directory.to_le_bytes());
        out.extend_from_slice(&self.partitions.to_le_bytes());
        out.extend_from_slice(&(self.tables.len() as u32).to_le_bytes());
        debug_assert_eq!(out.len(), HEADER_FIXED);
        for count in &self.tables {
            out.extend_from_slice(&[count.table, 0, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(&count.keys.to_le_bytes());
            out.extend_from_slice(&count.entries.to_le_bytes());
        }
        out.resize(BODY, 0);
        out
    }

    /// Reads a block's body; `None` for anything that [`encode`](Self::encode) doesn't write.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let tables = u32_at(body, 68) as usize;
        if tables > MAX_TABLES {
            return None;
        }
        let header = Self {
            level: *body.get(10)?,
            journal: array_at(body, 16)?,
            first: u64_at(body, 32),
            end: u64_at(body, 40),
            directory: u64_at(body, 56),
            partitions: u32_at(body, 64),
            tables: (0..tables)
                .map(|at| HEADER_FIXED + TABLE * at)
                .map(|at| TableCount {
                    table: body.get(at).copied().unwrap_or(0),
                    keys: u64_at(body, at + 8),
                    entries: u64_at(body, at + 16),
                })
                .collect(),
        };
        header.directory.checked_add(u64::from(u32::MAX))?;
        (header.encode() == body).then_some(header)
    }

    pub(super) fn directory_blocks(&self) -> u64 {
        u64::from(self.partitions).div_ceil(PLACES as u64)
    }

    /// Blocks of the whole file.
    pub(super) fn blocks(&self) -> u64 {
        self.directory.saturating_add(self.directory_blocks())
    }
}

/// One entry of the directory: a partition and where its blocks stand.
///
/// In this order: postings, records, one block of fence keys, filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) table: u8,
    pub(super) first: Key,
    pub(super) last: Key,
    /// The partition's first block.
    pub(super) start: u64,
    pub(super) postings: u64,
    pub(super) keys: u32,
}

impl Place {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.to_be_bytes());
        out.extend_from_slice(&self.last.to_be_bytes());
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.postings.to_le_bytes());
        out.extend_from_slice(&self.keys.to_le_bytes());
        out.extend_from_slice(&[self.table, 0, 0, 0]);
        out.extend_from_slice(&[0; 8]);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            first: key_at(bytes, 0),
            last: key_at(bytes, 16),
            start: u64_at(bytes, 32),
            postings: u64_at(bytes, 40),
            keys: u32_at(bytes, 48),
            table: *bytes.get(52)?,
        })
    }

    /// Reads the places of one block's body; `None` if [`encode`](Self::encode) wouldn't give it.
    pub(super) fn decode_block(body: &[u8], count: usize) -> Option<Vec<Self>> {
        let places: Vec<Self> = body
            .chunks_exact(PLACE)
            .take(count)
            .map(Self::decode)
            .collect::<Option<_>>()?;
        let mut again = Vec::with_capacity(BODY);
        places.iter().for_each(|place| place.encode(&mut again));
        again.resize(BODY, 0);
        (again == body).then_some(places)
    }

    pub(super) fn records_at(&self) -> u64 {
        self.start + self.postings.div_ceil(POSTINGS as u64)
    }

    pub(super) fn record_blocks(&self) -> u64 {
        u64::from(self.keys).div_ceil(RECORDS as u64)
    }

    pub(super) fn fences_at(&self) -> u64 {
        self.records_at() + self.record_blocks()
    }

    pub(super) fn filter_at(&self) -> u64 {
        self.fences_at() + 1
    }

    pub(super) fn lines(&self) -> u32 {
        filter::lines_for(self.keys)
    }

    pub(super) fn filter_blocks(&self) -> u64 {
        u64::from(self.lines()).div_ceil(LINES as u64)
    }

    pub(super) fn end(&self) -> u64 {
        self.filter_at() + self.filter_blocks()
    }
}

/// Whether the places tile the blocks between header and directory in key order, with the counts
/// that the header states.
pub(super) fn places_fit(header: &Header, places: &[Place]) -> bool {
    let mut block = 1;
    let mut counts: Vec<(u8, u64)> = Vec::new();
    let mut before: Option<&Place> = None;
    for place in places {
        let shape = place.keys > 0
            && place.keys <= PARTITION_KEYS
            && place.postings <= u64::from(u32::MAX)
            && place.start == block
            && place.first <= place.last
            && (place.keys > 1) == (place.first < place.last);
        let order = before.is_none_or(|before| {
            before.table < place.table
                || before.table == place.table
                    && before.last < place.first
                    && before.keys == PARTITION_KEYS
        });
        if !shape || !order {
            return false;
        }
        match counts.last_mut() {
            Some((table, keys)) if *table == place.table => *keys += u64::from(place.keys),
            _ => counts.push((place.table, u64::from(place.keys))),
        }
        block = place.end();
        before = Some(place);
    }
    let stated = header.tables.iter().map(|count| (count.table, count.keys));
    let enough = header
        .tables
        .iter()
        .all(|count| count.entries >= count.keys);
    block == header.directory && enough && stated.eq(counts)
}
