//! Memory that one batch leaves for the next.

use std::{collections::HashMap, sync::Arc};

use factlog_format::{Digest, HashBatch, HashSort};

use super::{
    batch::{Chance, PreparedEvent},
    generations::KeyState,
};
use crate::{keys::SealedSections, sync::Mutex};

/// How many of each sort are kept, and of how many bytes and events at most: enough for the producers
/// that are at work at one time, and no more than some megabytes.
const KEPT: usize = 8;
const MOST_BYTES: usize = 6 << 20;
/// The most bytes of batches that are kept, all together.
const MOST_KEPT: usize = 16 << 20;
const MOST_EVENTS: usize = 1 << 13;

/// Memory to be used again, so that an append in steady state asks for little.
///
/// Memory of a few hundred kilobytes would otherwise go back to the system after each batch and come
/// back page by page, which costs more than hashing what it holds.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    batches: Mutex<Vec<BatchMemory>>,
    scratch: Mutex<Vec<Scratch>>,
}

/// The memory of a batch.
#[derive(Debug, Default)]
pub(super) struct BatchMemory {
    pub(super) buffer: Vec<u8>,
    pub(super) events: Vec<PreparedEvent>,
    pub(super) coordinates: Vec<[u8; 16]>,
}

/// What is needed only while a batch is prepared.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) random: Vec<u8>,
    pub(super) chance: Vec<Chance>,
    pub(super) sealed: SealedSections,
    pub(super) piece: PieceScratch,
}

/// What is needed while a piece of a batch is prepared. All but the hash batches, which empty themselves,
/// is cleared by who uses it.
#[derive(Debug)]
pub(super) struct PieceScratch {
    /// What salts are made of, and pairs of salts.
    pub(super) blocks: Vec<[u8; 64]>,
    pub(super) salts: Vec<Digest>,
    pub(super) sections: HashBatch,
    pub(super) sealed_sections: HashBatch,
    pub(super) section_hashes: Vec<Digest>,
    pub(super) facts: HashBatch,
    pub(super) coordinates: HashBatch,
    pub(super) hashes: Vec<Digest>,
    pub(super) bytes: Vec<u8>,
    pub(super) numbers: HashMap<[u8; 16], u32, KeyState>,
}

impl Default for PieceScratch {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            salts: Vec::new(),
            sections: HashBatch::new(HashSort::Section),
            sealed_sections: HashBatch::new(HashSort::SealedSection),
            section_hashes: Vec::new(),
            facts: HashBatch::new(HashSort::Facts),
            coordinates: HashBatch::new(HashSort::Coordinate),
            hashes: Vec::new(),
            bytes: Vec::new(),
            numbers: HashMap::default(),
        }
    }
}

impl Pool {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Memory for a batch; empty.
    pub(super) fn batch(&self) -> BatchMemory {
        self.batches.lock().pop().unwrap_or_default()
    }

    pub(super) fn keep_batch(&self, mut memory: BatchMemory) {
        let fits =
            memory.buffer.capacity() <= MOST_BYTES && memory.events.capacity() <= MOST_EVENTS;
        let mut batches = self.batches.lock();
        let kept: usize = batches.iter().map(|kept| kept.buffer.capacity()).sum();
        let fits = fits && kept + memory.buffer.capacity() <= MOST_KEPT;
        if fits && batches.len() < KEPT {
            memory.buffer.clear();
            memory.events.clear();
            memory.coordinates.clear();
            batches.push(memory);
        }
    }

    pub(super) fn scratch(&self) -> Scratch {
        let kept = self.scratch.lock().pop();
        kept.unwrap_or_default()
    }

    /// Keeps it, unless it has grown large. Its hash batches must be empty.
    pub(super) fn keep_scratch(&self, scratch: Scratch) {
        let piece = &scratch.piece;
        let hashed = piece.sections.capacity() + piece.sealed_sections.capacity();
        let fits = scratch.chance.len() <= MOST_EVENTS
            && scratch.sealed.bytes.capacity() + hashed <= MOST_BYTES;
        let mut kept = self.scratch.lock();
        if fits && kept.len() < KEPT {
            kept.push(scratch);
        }
    }
}
