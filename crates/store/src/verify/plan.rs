use factlog_format::{CommitHeader, FrameType, JournalId, Manifest, ManifestRow};
use factlog_fs::{OpenMode, StoreFs};

use super::{
    findings::Findings,
    resync::{Search, Work},
};
use crate::{
    Damage, Error,
    layout::Layout,
    segment::{FrameReader, SegmentFile},
};

/// One segment that is to be read, and what is said of it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) first: u64,
    pub(super) generation: u32,
    /// What MANIFEST says, if there is a good one.
    pub(super) row: Option<ManifestRow>,
    /// How long the file was at a clean close; 0 if that isn't known.
    pub(super) proven_end: u64,
    /// The sequence at which the next segment begins; `None` for the last one.
    pub(super) until: Option<u64>,
}

impl Plan {
    /// Where a sealed segment ends, in bytes.
    pub(super) fn sealed_end(&self) -> Option<u64> {
        let row = self.row.as_ref()?;
        row.count.map(|_| row.sealed_end)
    }
}

/// The segments that MANIFEST names.
pub(super) fn named(manifest: &Manifest) -> Vec<Plan> {
    let plan = |row: &ManifestRow| Plan {
        first: row.first_sequence,
        generation: row.generation,
        proven_end: if row.count.is_some() {
            0
        } else {
            row.proven_end
        },
        until: row
            .count
            .map(|count| row.first_sequence.saturating_add(count)),
        row: Some(row.clone()),
    };
    manifest.rows.iter().map(plan).collect()
}

/// The segments as they can be told without MANIFEST: of those that begin alike the highest
/// generation; none that a compacted segment covers; each ends where the next begins.
pub(super) fn rebuilt(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
    names: &[(u64, u32)],
    findings: &mut Findings,
) -> Result<Vec<Plan>, Error> {
    let mut names = names.to_vec();
    names.sort_unstable_by_key(|(_, generation)| std::cmp::Reverse(*generation));
    // First sequence, one past the last if that is known, generation.
    let mut taken: Vec<(u64, Option<u64>, u32)> = Vec::new();
    for (first, generation) in names {
        let path = layout.segment(first, generation);
        let segment = match SegmentFile::open(fs, &path, OpenMode::Read, journal) {
            Ok(segment) => segment,
            Err(error) => {
                findings.absorb(error)?;
                continue;
            }
        };
        let end = if segment.header.inputs.is_empty() {
            None
        } else {
            match first_header(&segment)? {
                // Without its group it loses to its inputs.
                None => continue,
                Some(header) => Some(header.end_sequence()),
            }
        };
        let covers = |begin: u64, end: Option<u64>, sequence: u64| {
            begin == sequence || end.is_some_and(|end| begin < sequence && sequence < end)
        };
        let overlaps = taken.iter().any(|(other, other_end, _)| {
            covers(*other, *other_end, first) || covers(first, end, *other)
        });
        if !overlaps {
            taken.push((first, end, generation));
        }
    }
    taken.sort_unstable();
    let next = taken
        .iter()
        .skip(1)
        .map(|(first, ..)| Some(*first))
        .chain([None]);
    let plan = |((first, _, generation), until)| Plan {
        first,
        generation,
        row: None,
        proven_end: 0,
        until,
    };
    Ok(taken.iter().copied().zip(next).map(plan).collect())
}

fn first_header(segment: &SegmentFile) -> Result<Option<CommitHeader>, Error> {
    let end = segment.len()?;
    let file = segment.file.as_ref();
    let mut frames = FrameReader::new(file, segment.seed, segment.header_len, end);
    let Ok(frame) = frames.next() else {
        return Ok(None);
    };
    if frame.kind != FrameType::Commit {
        return Ok(None);
    }
    Ok(CommitHeader::decode(&segment.key, frame.body).ok())
}

/// The largest number of events that a segment which nothing names calls durable.
pub(super) fn orphans_say(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
    names: &[(u64, u32)],
    plans: &[Plan],
    findings: &mut Findings,
) -> Result<u64, Error> {
    let mut largest = 0;
    for (first, generation) in names {
        if plans
            .iter()
            .any(|plan| (plan.first, plan.generation) == (*first, *generation))
        {
            continue;
        }
        let path = layout.segment(*first, *generation);
        let detail =
            "MANIFEST does not name this segment, so nothing in it counts; a crash leaves such";
        match SegmentFile::open(fs, &path, OpenMode::Read, journal) {
            Ok(segment) => {
                findings.note(Damage::new("segment.orphan", &path, detail).sequence(*first));
                largest = largest.max(segment.header.durable);
                let end = segment.len()?;
                let mut work = Work::of(end);
                let mut search = Search::new(&segment, segment.header_len, end, &mut work);
                while let Some(header) = search.next_commit()? {
                    largest = largest.max(header.durable);
                }
            }
            // A crash may leave one without a whole header; another journal's isn't left by any.
            Err(Error::Damaged(damage)) if damage.code == "segment.header" => {
                findings.note(Damage::new("segment.orphan", &path, detail).sequence(*first));
            }
            Err(error) => findings.absorb(error)?,
        }
    }
    Ok(largest)
}
