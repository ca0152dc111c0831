//! How far a file was imported, and the proof that it is still the same file.

use serde::{Deserialize, Serialize};

use super::super::Ids;

const VERSION: u32 = 1;

/// The payload of a position event.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Position {
    format: String,
    version: u32,
    /// Complete lines that were read: those that end in a line feed.
    pub(super) lines: u64,
    /// Their length in bytes. What follows is read again, since a last line without a line feed may
    /// still grow.
    pub(super) offset: u64,
    /// How many of those lines are events.
    pub(super) events: u64,
    /// The highest line number that was ever imported.
    pub(super) high_line: u64,
    /// A keyed hash of all bytes before the offset.
    pub(super) prefix: String,
}

impl Position {
    pub(super) fn new(read: Read, events: u64, high_line: u64, prefix: String) -> Self {
        Self {
            format: "jsonl".to_owned(),
            version: VERSION,
            lines: read.lines,
            offset: read.offset,
            events,
            high_line,
            prefix,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` for what this version did not write.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let position: Self = serde_json::from_slice(bytes).ok()?;
        (position.format == "jsonl" && position.version == VERSION).then_some(position)
    }
}

/// How many complete lines were read, and their length in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    pub(super) lines: u64,
    pub(super) offset: u64,
}

/// The running hash of what was read. It is keyed, so that a position says nothing of bytes that
/// were erased since.
#[derive(Clone)]
pub(super) struct Prefix(blake3::Hasher);

impl Prefix {
    pub(super) fn new(ids: &Ids<'_>) -> Self {
        let mut key = [0; 32];
        let (left, right) = key.split_at_mut(16);
        left.copy_from_slice(ids.id(&[b"import prefix", b"1"]).as_bytes());
        right.copy_from_slice(ids.id(&[b"import prefix", b"2"]).as_bytes());
        Self(blake3::Hasher::new_keyed(&key))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn text(&self) -> String {
        data_encoding::BASE64.encode(self.0.finalize().as_bytes())
    }
}
