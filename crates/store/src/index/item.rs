//! What the index holds.

/// One of the maps that share the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    /// By event id: the event.
    Id = 1,
    /// By stream id: the stream's events.
    Stream = 2,
    /// By coordinate key: revision 0 of each stream that the coordinate has had.
    Coordinate = 3,
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

/// An entry in memory, its sequence relative to the chunk's first; ordered as runs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) table: u8,
    pub(super) key: Key,
    pub(super) at: u32,
}
