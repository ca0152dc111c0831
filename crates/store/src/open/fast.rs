//! Opening without reading the whole active segment: from what the derived files say of it, checked
//! against the next commit header's root.

use factlog_format::{CommitHeader, FrameType};
use factlog_fs::{OpenMode, StoreFs};

use crate::{
    Damage, Error,
    recover::{Found, Start, Survey},
    segment::{
        EventScan, ScannedEvent, SegmentFile,
        offsets::{OffsetsOf, OffsetsReader},
    },
    tree::TreeReader,
};

/// Reading more events than this one by one costs more than scanning the segment.
const MAX_UNINDEXED: u64 = 1 << 14;

/// Going back further than this one by one costs more than scanning the segment.
const MAX_BACK: u32 = 1 << 12;

/// A place near the end of the active segment to begin at.
pub(crate) struct FastStart {
    pub(crate) start: Start,
    /// Where the events before it stand.
    pub(crate) offsets: Vec<u32>,
    /// Those of them that the index doesn't cover.
    pub(crate) unindexed: Vec<ScannedEvent>,
}

/// Finds such a place; `None` if the derived files don't lead to one, and then everything is scanned.
///
/// `indexed` is how many events the index covers, `leaves` how many the tree's files hold.
pub(crate) fn fast_start(
    fs: &dyn StoreFs,
    found: &Found,
    indexed: u64,
    leaves: u64,
) -> Option<FastStart> {
    let row = found.manifest.rows.last()?;
    let path = found.layout.segment(row.first_sequence, row.generation);
    let segment = SegmentFile::open(fs, &path, OpenMode::Read, &found.identity.journal).ok()?;
    let of = OffsetsOf {
        journal: found.identity.journal,
        first: row.first_sequence,
        generation: row.generation,
    };
    let reader = OffsetsReader::open(fs, &path.with_extension("off"), of).ok()??;
    let mut offsets = reader.read_all().ok()?;
    // After an unclean end the tree's last leaves aren't believed.
    let most = leaves.checked_sub(row.first_sequence)?;
    offsets.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let offset = end_in_group(&segment, &mut offsets, row.first_sequence)?;
    let next = row.first_sequence + offsets.len() as u64;
    let dir = found.layout.tree();
    let missing = |sequence| {
        Err(Damage::new("derived.tree", &dir, "a leaf is missing")
            .sequence(sequence)
            .into())
    };
    let frontier = TreeReader::new(fs, &dir, missing).frontier(next).ok()?;
    let from = indexed.max(row.first_sequence);
    if next.saturating_sub(from) > MAX_UNINDEXED {
        return None;
    }
    let known = usize::try_from(from - row.first_sequence).ok()?;
    let unindexed = read_events(&segment, offsets.get(known..).unwrap_or_default(), from).ok()?;
    Some(FastStart {
        start: Start { offset, frontier },
        offsets,
        unindexed,
    })
}

/// Drops offsets until the last is that of a group's last event, and gives where the next group starts.
fn end_in_group(segment: &SegmentFile, offsets: &mut Vec<u32>, first: u64) -> Option<u64> {
    let mut behind = None;
    for _ in 0..MAX_BACK {
        let next = first + offsets.len() as u64;
        let last = *offsets.last()?;
        // Where another event follows at once, no group ends; that is seen without reading either.
        let goes_on = behind.is_some_and(|behind| {
            segment.frame_end(u64::from(last)).ok() == Some(u64::from(behind))
        });
        if !goes_on && let Some(start) = group_after(segment, last, next) {
            return Some(start);
        }
        behind = offsets.pop();
    }
    None
}

/// Where the group behind the event at `offset` starts, if it is the one of sequence `next`.
fn group_after(segment: &SegmentFile, offset: u32, next: u64) -> Option<u64> {
    let mut buffer = Vec::new();
    let (order, _) = segment.read_order(u64::from(offset), &mut buffer).ok()?;
    let after = u64::from(offset) + buffer.len() as u64;
    let (kind, body) = segment.read_frame(after, &mut buffer).ok()?;
    if order.sequence + 1 != next || kind != FrameType::Commit {
        return None;
    }
    let header = CommitHeader::decode(&segment.key, buffer.get(body)?).ok()?;
    (header.first_sequence == next).then_some(after)
}

fn read_events(
    segment: &SegmentFile,
    offsets: &[u32],
    first: u64,
) -> Result<Vec<ScannedEvent>, Error> {
    let mut buffer = Vec::new();
    let mut events = Vec::with_capacity(offsets.len());
    let mut scan = EventScan::new();
    for (sequence, offset) in (first..).zip(offsets) {
        let offset = u64::from(*offset);
        let (kind, body) = segment.read_frame(offset, &mut buffer)?;
        let event = scan
            .push(kind, offset, buffer.get(body).unwrap_or_default())
            .map_err(|error| segment.damage(offset, error.to_string()))?;
        if event.order.sequence != sequence {
            return Err(segment.damage(offset, "another event stands here").into());
        }
        events.push(event);
    }
    scan.finish(&segment.header.journal, &mut events);
    Ok(events)
}

/// Whether what a survey found from a fast start can be believed: it met a commit header whose root
/// fits, and nothing that calls for a closer look. A last group that nothing proves calls for none: its
/// root is that of all before it, and no statement in an earlier header says more than a later one's.
///
/// In a signed journal it met a signature too: one that covers what stands before the start, of which no other
/// is looked at.
pub(crate) fn is_settled(survey: &Survey, signed: bool) -> bool {
    survey.number > 0
        && (survey.signed.is_some() || !signed)
        && survey.torn == 0
        && survey.damage.is_none()
        && survey.bad_signature.is_none()
}
