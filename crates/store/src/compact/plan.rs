use std::ops::Range;

use factlog_format::{CommitHeader, FrameType, JournalId, Manifest, ManifestRow};
use factlog_fs::{OpenMode, StoreFs};

use crate::{
    Error,
    layout::Layout,
    segment::{FrameReader, SegmentFile},
};

/// A segment that is rewritten alone has to give back so many parts of a hundred.
const PAYS: u64 = 20;

/// Segments that are to become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Which rows of MANIFEST.
    pub(super) rows: Range<usize>,
    pub(super) events: u64,
    /// Bytes of their files now.
    pub(super) bytes: u64,
    /// How many of these it saves, as far as that can be told without reading all of them.
    pub(super) saves: u64,
}

/// One sealed segment, measured.
#[derive(Clone, Copy, Debug)]
struct Measured {
    events: u64,
    bytes: u64,
    saves: u64,
}

impl Measured {
    fn left(self) -> u64 {
        self.bytes.saturating_sub(self.saves)
    }
}

/// What to compact: neighbours that fit one segment together, where the largest is no more than half of it,
/// so that no byte is copied often; and what gives enough back alone. `until`: how many rows may be
/// touched.
pub(super) fn plan(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &Manifest,
    until: usize,
    segment_len: u64,
) -> Result<Vec<Planned>, Error> {
    let rows = manifest.rows.get(..until).unwrap_or_default();
    let mut measured = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        let next = manifest.rows.get(at + 1);
        measured.push(measure(fs, layout, &manifest.journal, row, next)?);
    }
    let mut planned = Vec::new();
    let mut start = 0;
    while start < measured.len() {
        let mut end = start;
        let mut left = 0;
        while let Some(one) = measured.get(end) {
            if end > start && left + one.left() > segment_len {
                break;
            }
            left += one.left();
            end += 1;
        }
        // The fewest that begin here: what follows may go well with others.
        let best = (start + 1..=end).rev().find_map(|end| {
            let group = measured.get(start..end)?;
            pays(group).then(|| Planned {
                rows: start..end,
                events: group.iter().map(|one| one.events).sum(),
                bytes: group.iter().map(|one| one.bytes).sum(),
                saves: group.iter().map(|one| one.saves).sum(),
            })
        });
        start = best.as_ref().map_or(start + 1, |best| best.rows.end);
        planned.extend(best);
    }
    Ok(planned)
}

fn pays(group: &[Measured]) -> bool {
    let left: u64 = group.iter().map(|one| one.left()).sum();
    let largest = group.iter().map(|one| one.left()).max().unwrap_or(0);
    match group {
        [only] => only.saves * 100 >= only.bytes * PAYS,
        _ => largest * 2 <= left || group.iter().all(|one| pays(&[*one])),
    }
}

fn measure(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
    row: &ManifestRow,
    next: Option<&ManifestRow>,
) -> Result<Measured, Error> {
    let path = layout.segment(row.first_sequence, row.generation);
    let metadata = fs.metadata(&path).map_err(Error::io("measure", &path))?;
    let bytes = metadata.map_or(0, |metadata| metadata.len);
    let set_aside = bytes.saturating_sub(row.sealed_end);
    // Commits are numbered densely.
    let headers = match (
        first_commit(fs, layout, journal, row),
        next.and_then(|next| first_commit(fs, layout, journal, next)),
    ) {
        (Some((first, len)), Some((after, _))) if first > 0 => after
            .saturating_sub(first)
            .saturating_sub(1)
            .saturating_mul(len),
        _ => 0,
    };
    Ok(Measured {
        events: row.count.unwrap_or(0),
        bytes,
        saves: set_aside + headers.min(row.sealed_end),
    })
}

/// Number and length of a segment's first commit header, if it can be read and has a number.
fn first_commit(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
    row: &ManifestRow,
) -> Option<(u64, u64)> {
    let path = layout.segment(row.first_sequence, row.generation);
    let segment = SegmentFile::open(fs, &path, OpenMode::Read, journal).ok()?;
    let (file, end) = (segment.file.as_ref(), segment.len().ok()?);
    let mut frames = FrameReader::new(file, segment.seed, segment.header_len, end);
    let frame = frames.next().ok()?;
    if frame.kind != FrameType::Commit {
        return None;
    }
    let header = CommitHeader::decode(&segment.key, frame.body).ok()?;
    (header.number > 0).then_some((header.number, frame.bytes.len() as u64))
}
