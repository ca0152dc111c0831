use std::{cell::RefCell, collections::HashMap};

use factlog_format::{FrameType, JournalId, Manifest, ManifestRow};
use factlog_fs::{OpenMode, StoreFs};

use crate::{
    Error,
    layout::Layout,
    read::view::find_offsets,
    segment::{
        SegmentFile,
        offsets::{OffsetsOf, OffsetsReader},
    },
};

/// So many segments are kept open.
const MOST_OPEN: usize = 64;

/// Tells full stubs among the events of sealed segments, for whoever indexes events behind them before
/// there is a view.
pub(crate) struct Bare<'f> {
    fs: &'f dyn StoreFs,
    layout: &'f Layout,
    journal: JournalId,
    rows: &'f [ManifestRow],
    /// By first sequence; `None` for a segment that was never written anew, and so has no stubs.
    known: RefCell<HashMap<u64, Option<Rewritten>>>,
}

struct Rewritten {
    file: SegmentFile,
    offsets: Offsets,
}

enum Offsets {
    File(OffsetsReader),
    Found(Vec<u32>),
}

impl<'f> Bare<'f> {
    pub(crate) fn new(fs: &'f dyn StoreFs, layout: &'f Layout, manifest: &'f Manifest) -> Self {
        Self {
            fs,
            layout,
            journal: manifest.journal,
            rows: &manifest.rows,
            known: RefCell::default(),
        }
    }

    /// Whether an event is a full stub. What can't be read is none: that is said by who reads it.
    pub(crate) fn is(&self, sequence: u64) -> bool {
        self.look(sequence).unwrap_or(false)
    }

    fn look(&self, sequence: u64) -> Result<bool, Error> {
        let after = self
            .rows
            .partition_point(|row| row.first_sequence <= sequence);
        let row = after.checked_sub(1).and_then(|at| self.rows.get(at));
        let Some(row) = row.filter(|row| row.count.is_some()) else {
            return Ok(false);
        };
        let mut known = self.known.borrow_mut();
        if known.len() >= MOST_OPEN && !known.contains_key(&row.first_sequence) {
            known.clear();
        }
        let segment = match known.entry(row.first_sequence) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(self.open(row)?),
        };
        let Some(segment) = segment else {
            return Ok(false);
        };
        let at = sequence - row.first_sequence;
        let offset = match &segment.offsets {
            Offsets::File(reader) => reader.get(at)?,
            Offsets::Found(found) => {
                let at = usize::try_from(at).ok();
                at.and_then(|at| found.get(at)).copied()
            }
        };
        let Some(offset) = offset.filter(|offset| *offset > 0) else {
            return Ok(false);
        };
        let kind = segment
            .file
            .read_frame(u64::from(offset), &mut Vec::new())?
            .0;
        Ok(kind == FrameType::FullStub)
    }

    fn open(&self, row: &ManifestRow) -> Result<Option<Rewritten>, Error> {
        let path = self.layout.segment(row.first_sequence, row.generation);
        let file = SegmentFile::open(self.fs, &path, OpenMode::Read, &self.journal)?;
        if file.header.inputs.is_empty() {
            return Ok(None);
        }
        let of = OffsetsOf {
            journal: self.journal,
            first: row.first_sequence,
            generation: row.generation,
        };
        let stored = OffsetsReader::open(self.fs, &path.with_extension("off"), of);
        let offsets = match stored.ok().flatten() {
            Some(reader) if reader.len().ok() == row.count => Offsets::File(reader),
            _ => Offsets::Found(find_offsets(&file, row.sealed_end)?),
        };
        Ok(Some(Rewritten { file, offsets }))
    }
}
