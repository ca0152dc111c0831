//! The list of segments as it can be told without MANIFEST.

use std::path::Path;

use factlog_format::{CommitHeader, FrameType, HeadersHasher, JournalId, Manifest, ManifestRow};
use factlog_fs::{OpenMode, StoreFs};

use crate::{
    Damage, Error,
    layout::Layout,
    recover::contents::{header_len, only_zeros_behind},
    segment::{
        FrameReader, GroupScanner, ScanStop, SegmentFile, largest_statement, parse_segment_name,
    },
};

/// One segment of a rebuilt list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) first: u64,
    pub(crate) generation: u32,
    /// The sequence at which the next segment begins; `None` for the last one.
    pub(crate) until: Option<u64>,
}

/// Chooses among segment files: of those that begin alike the highest generation; none that a compacted
/// segment covers; each ends where the next begins. What is wrong with a file goes to `problem`.
pub(crate) fn choose(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
    names: &[(u64, u32)],
    problem: &mut dyn FnMut(Error) -> Result<(), Error>,
) -> Result<Vec<Chosen>, Error> {
    let mut names = names.to_vec();
    let all = names.clone();
    names.sort_unstable_by_key(|(_, generation)| std::cmp::Reverse(*generation));
    // First sequence, one past the last if that is known, generation.
    let mut taken: Vec<(u64, Option<u64>, u32)> = Vec::new();
    for (first, generation) in names {
        let path = layout.segment(first, generation);
        let segment = match SegmentFile::open(fs, &path, OpenMode::Read, journal) {
            Ok(segment) => segment,
            Err(error) => {
                problem(error)?;
                continue;
            }
        };
        let end = if segment.header.inputs.is_empty() {
            None
        } else {
            let inputs = segment.header.inputs.iter();
            let mut inputs = inputs.map(|input| (input.first_sequence, input.generation));
            match (compacted_end(&segment)?, first_header(&segment)?) {
                (Some(end), _) => Some(end),
                // Its header was written last, so that what is damaged rotted; where an input is gone
                // nothing else has the rest.
                (None, Some(header)) if !inputs.all(|input| all.contains(&input)) => {
                    Some(header.end_sequence())
                }
                // A torn one loses to its inputs.
                _ => continue,
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
    let chosen = |((first, _, generation), until)| Chosen {
        first,
        generation,
        until,
    };
    Ok(taken.iter().copied().zip(next).map(chosen).collect())
}

/// Where the events of a compacted segment end; `None` if its group isn't whole.
fn compacted_end(segment: &SegmentFile) -> Result<Option<u64>, Error> {
    let first = segment.header.first_sequence;
    let mut scanner = GroupScanner::new(segment, segment.header_len, first, segment.len()?);
    let mut end = None;
    loop {
        match scanner.next() {
            Ok(part) if part.header.number == 0 => end = Some(part.header.end_sequence()),
            Err(ScanStop::End) => return Ok(end),
            Ok(_) | Err(ScanStop::Damage { .. }) => return Ok(None),
            Err(ScanStop::Failed(error)) => return Err(error),
        }
    }
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

/// A MANIFEST made again from the segments, and why it can't be the one that was lost.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) manifest: Manifest,
    /// Segments that can't be read, and ranges that no segment holds.
    pub(crate) gaps: Vec<Damage>,
}

/// Makes the list again, reading every segment once.
pub(crate) fn rebuild(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
    names: &[(u64, u32)],
) -> Result<Rebuilt, Error> {
    let mut named = Vec::with_capacity(names.len());
    for name in names {
        if names.len() == 1 || !was_never_used(fs, layout, journal, *name)? {
            named.push(*name);
        }
    }
    let mut gaps = Vec::new();
    let chosen = choose(fs, layout, journal, &named, &mut |error| match error {
        Error::Damaged(damage) if damage.code != "journal.unsupported_version" => {
            // A crash may leave a header that never got to the disk, and nothing behind it; anything
            // else may have held what was acknowledged.
            if damage.code != "segment.header" || !is_only_a_header(fs, &damage.path)? {
                gaps.push(damage);
            }
            Ok(())
        }
        error => Err(error),
    })?;
    let highest = names.iter().map(|(_, generation)| *generation).max();
    let mut manifest = Manifest {
        features: factlog_format::Features::default(),
        journal: *journal,
        next_generation: highest.unwrap_or(0).saturating_add(1),
        incarnation: 1,
        rows: Vec::new(),
        values: Vec::new(),
    };
    if chosen.first().is_none_or(|first| first.first > 0) {
        let end = chosen.first().map(|chosen| chosen.first);
        gaps.push(missing(&layout.segments(), 0, end));
    }
    let segments = chosen
        .iter()
        .map(|one| {
            let path = layout.segment(one.first, one.generation);
            SegmentFile::open(fs, &path, OpenMode::Read, journal)
        })
        .collect::<Result<Vec<_>, _>>()?;
    for (at, segment) in segments.iter().enumerate() {
        manifest.incarnation = manifest.incarnation.max(segment.header.incarnation);
        manifest.features = manifest.features.with(segment.header.features);
        manifest.rows.push(match segments.get(at + 1) {
            Some(next) => sealed(segment, next, &mut gaps)?,
            None => row_of(segment),
        });
    }
    Ok(Rebuilt { manifest, gaps })
}

/// Whether a segment is what a roll or a recovery leaves that was cut short before MANIFEST named it:
/// no whole group at its start, and no statement past it.
fn was_never_used(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
    (first, generation): (u64, u32),
) -> Result<bool, Error> {
    let path = layout.segment(first, generation);
    let segment = match SegmentFile::open(fs, &path, OpenMode::Read, journal) {
        Ok(segment) => segment,
        Err(Error::Damaged(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let start = segment.header_len;
    match GroupScanner::new(&segment, start, first, segment.len()?).next() {
        Ok(_) => Ok(false),
        Err(ScanStop::Failed(error)) => Err(error),
        Err(_) => Ok(largest_statement(&segment, start)? <= first),
    }
}

/// Whether nothing but zeros stands where the groups of a segment would.
fn is_only_a_header(fs: &dyn StoreFs, path: &Path) -> Result<bool, Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some((first, _)) = name.and_then(parse_segment_name) else {
        return Ok(false);
    };
    only_zeros_behind(fs, path, header_len(first))
}

fn row_of(segment: &SegmentFile) -> ManifestRow {
    ManifestRow {
        first_sequence: segment.header.first_sequence,
        count: None,
        generation: segment.header.generation,
        salt: segment.header.salt,
        proven_end: 0,
        sealed_end: 0,
        headers_hash: [0; 32],
    }
}

/// The row of a segment that ends where the next begins. A group past that was copied there, after
/// an unclean end; of the empty commits behind the last event those belong here that the next
/// segment's first commit counts.
fn sealed(
    segment: &SegmentFile,
    after: &SegmentFile,
    gaps: &mut Vec<Damage>,
) -> Result<ManifestRow, Error> {
    let (first, until) = (segment.header.first_sequence, after.header.first_sequence);
    let number = first_header(after)?.map(|header| header.number);
    // A compacted one has no number.
    let number = number.filter(|number| *number > 0).unwrap_or(u64::MAX);
    let mut hasher = HeadersHasher::new(&segment.header.encode());
    let len = segment.len()?;
    let mut scanner = GroupScanner::new(segment, segment.header_len, first, len);
    let (mut next, mut end) = (first, segment.header_len);
    let mut stop = None;
    loop {
        match scanner.next() {
            Ok(group) if group.header.end_sequence() <= until && group.header.number < number => {
                hasher.add(&group.header_bytes);
                (next, end) = (group.header.end_sequence(), group.end);
            }
            Ok(_) | Err(ScanStop::End) => break,
            Err(ScanStop::Damage { offset, detail, .. }) => {
                stop = Some((offset, detail));
                break;
            }
            Err(ScanStop::Failed(error)) => return Err(error),
        }
    }
    if next < until {
        gaps.push(match stop {
            Some((offset, detail)) => segment.damage(offset, detail).sequence(next),
            None => missing(&segment.path, next, Some(until)),
        });
        // What stands behind the damage is looked for when it is read.
        end = len;
    }
    Ok(ManifestRow {
        count: Some(until - first),
        sealed_end: end,
        headers_hash: hasher.digest(),
        ..row_of(segment)
    })
}

fn missing(path: &std::path::Path, from: u64, until: Option<u64>) -> Damage {
    let detail = match until {
        Some(until) => format!("no segment holds the events {from} to {}", until - 1),
        None => "there is no segment that can be read".to_owned(),
    };
    Damage::new("segment.missing", path, detail).sequence(from)
}
