//! What the index holds.

use std::ops::RangeInclusive;

use factlog_format::{Digest, FactsRef, HashBatch, category_of, coordinate_key};
use uuid::Uuid;

/// In place of the scope, in the keys of kinds and tags: no coordinate of a caller has such a scope.
pub(crate) const KIND: &str = "$kind";
pub(crate) const CATEGORY: &str = "$category";
pub(crate) const TAG: &str = "$tag";
pub(crate) const CORRELATION: &str = "$correlation";

/// How many bytes of a kind's key tell its category.
const CATEGORY_LEN: usize = 4;

/// The key of a kind.
pub(crate) fn kind_key(kind: &str) -> [u8; 16] {
    let category = coordinate_key(CATEGORY, category_of(kind));
    kind_of_category(&category, &coordinate_key(KIND, kind))
}

/// The key of a kind, from the hashes of its category and of its name: that of the category stands in
/// front, so that the kinds of a category are neighbours.
pub(crate) fn kind_of_category(category: &[u8; 16], kind: &[u8; 16]) -> [u8; 16] {
    let mut key = *kind;
    key[..CATEGORY_LEN].copy_from_slice(&category[..CATEGORY_LEN]);
    key
}

/// The keys that kinds of a category can have; those of another category are among them at most by
/// chance.
pub(crate) fn keys_of_category(category: &str) -> RangeInclusive<[u8; 16]> {
    let hash = coordinate_key(CATEGORY, category);
    kind_of_category(&hash, &[0; 16])..=kind_of_category(&hash, &[0xff; 16])
}

/// The key of a tag.
pub(crate) fn tag_key(tag: &str) -> [u8; 16] {
    coordinate_key(TAG, tag)
}

/// The key of a correlation id. It stands among those of tags: all that an event can be found by beside
/// its stream and kind.
pub(crate) fn correlation_key(id: &Uuid) -> [u8; 16] {
    coordinate_key(CORRELATION, correlation_name(id, &mut [0; 32]))
}

/// What is hashed for it.
pub(crate) fn correlation_name<'b>(id: &Uuid, buffer: &'b mut [u8; 32]) -> &'b str {
    id.simple().encode_lower(buffer)
}

/// The keys of an event's tags, and after them that of its correlation id.
pub(crate) fn tag_keys(facts: &FactsRef<'_>) -> impl Iterator<Item = [u8; 16]> {
    let correlation = facts.correlation.map(Uuid::from_bytes);
    let tags = facts.tags.iter().map(tag_key);
    tags.chain(correlation.map(|id| correlation_key(&id)))
}

/// Notes what is to be hashed of an event's facts for the keys that it is found by besides its id and stream.
/// Returns how many tags that are, its correlation id among them.
pub(crate) fn push_names(facts: &FactsRef<'_>, names: &mut HashBatch) -> usize {
    push_coordinate(facts, names);
    push_kind(facts, names);
    push_tags(facts, names)
}

/// Notes one hash, which is the key of the coordinate.
pub(crate) fn push_coordinate(facts: &FactsRef<'_>, names: &mut HashBatch) {
    names.push(facts.scope.as_bytes(), facts.entity.as_bytes());
}

/// Notes two hashes, of which [`kind_of_category`] makes the key of the kind.
pub(crate) fn push_kind(facts: &FactsRef<'_>, names: &mut HashBatch) {
    names.push(CATEGORY.as_bytes(), category_of(facts.kind).as_bytes());
    names.push(KIND.as_bytes(), facts.kind.as_bytes());
}

/// Notes a hash for each tag and one for the correlation id, and returns how many: they are the keys.
pub(crate) fn push_tags(facts: &FactsRef<'_>, names: &mut HashBatch) -> usize {
    for tag in facts.tags.iter() {
        names.push(TAG.as_bytes(), tag.as_bytes());
    }
    if let Some(id) = facts.correlation.map(Uuid::from_bytes) {
        let mut buffer = [0; 32];
        let name = correlation_name(&id, &mut buffer);
        names.push(CORRELATION.as_bytes(), name.as_bytes());
    }
    facts.tags.len() + usize::from(facts.correlation.is_some())
}

/// The keys of an event's coordinate and kind, and of its tags with its correlation id.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameKeys {
    pub(crate) coordinate: [u8; 16],
    pub(crate) kind: [u8; 16],
    pub(crate) tags: Box<[[u8; 16]]>,
}

impl NameKeys {
    /// Of an event with so many tags, from the next of the hashes that [`push_names`] asked for.
    pub(crate) fn of<'h>(hashes: &mut impl Iterator<Item = &'h Digest>, tags: usize) -> Self {
        let mut next = || {
            let hash = hashes.next();
            hash.and_then(|hash| hash.first_chunk::<16>().copied())
                .unwrap_or_default()
        };
        let (coordinate, category) = (next(), next());
        Self {
            coordinate,
            kind: kind_of_category(&category, &next()),
            tags: (0..tags).map(|_| next()).collect(),
        }
    }
}

/// One of the maps that share the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    /// By event id: the event.
    Id = 1,
    /// By stream id: the stream's events.
    Stream = 2,
    /// By coordinate key: of each stream that the coordinate has had, revision 0 and what follows full stubs.
    Coordinate = 3,
    /// By the key of a kind: the events of it.
    Kind = 4,
    /// By the key of a tag: the events that have it.
    Tag = 5,
}

impl Table {
    /// The table's number on disk.
    pub(super) fn number(self) -> u8 {
        self as u8
    }
}

/// The event at `sequence` is found in `table` under `key`.
///
/// Nothing is deduplicated: an event that gives the same entry twice is found twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is found.
    pub(crate) table: Table,
    /// By what.
    pub(crate) key: [u8; 16],
    /// The event.
    pub(crate) sequence: u64,
}

/// A key as a number whose order is that of the bytes.
pub(super) type Key = u128;

pub(super) fn key_of(bytes: [u8; 16]) -> Key {
    Key::from_be_bytes(bytes)
}

/// An entry in memory: table, key, and the sequence relative to the chunk's first, packed in this
/// order, most significant byte first, so that comparing the words compares entries as runs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    high: u64,
    middle: u64,
    low: u64,
}

/// The sequence is in the 56 bits below the key's last byte.
const AT: u64 = (1 << 56) - 1;

impl Item {
    pub(super) fn new(table: u8, key: Key, at: u32) -> Self {
        Self {
            high: u64::from(table) << 56 | (key >> 72) as u64,
            middle: (key >> 8) as u64,
            low: (key as u64) << 56 | u64::from(at),
        }
    }

    pub(super) fn table(&self) -> u8 {
        (self.high >> 56) as u8
    }

    pub(super) fn key(&self) -> Key {
        Key::from(self.high & AT) << 72 | Key::from(self.middle) << 8 | Key::from(self.low >> 56)
    }

    pub(super) fn at(&self) -> u32 {
        (self.low & AT) as u32
    }

    /// The same, with the sequence relative to an earlier one.
    pub(super) fn shifted(mut self, by: u32) -> Self {
        self.low += u64::from(by);
        self
    }

    /// Whether table and key are the same.
    pub(super) fn same_key(&self, other: &Self) -> bool {
        (self.high, self.middle) == (other.high, other.middle) && (self.low ^ other.low) <= AT
    }
}
