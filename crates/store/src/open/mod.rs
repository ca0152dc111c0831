//! From what a directory holds to what readers see.

mod bare;
mod chain;
mod fast;
pub(crate) mod layout;
pub(crate) mod writable;

use std::sync::Arc;

use factlog_format::{FORMAT_VERSION, Features};
use factlog_fs::{OpenMode, StoreFs};
use factlog_proof::{Hash, leaf_hash};

pub(crate) use self::bare::Bare;
pub(crate) use self::chain::check_chain;
use self::fast::{FastStart, fast_start, is_settled};
use crate::{
    Damage, Error,
    commit::entries_of_scan,
    index::{IndexDir, IndexView, Run, Tail},
    read::MAX_GAP,
    read::view::{Segment, View},
    recover::{Absorb, Floors, Found, Start, Survey, survey},
    segment::{GroupScanner, ScanStop, ScannedGroup, SegmentFile},
};

/// The view of a journal for someone who may not write: what is proven to be durable, and behind it, if
/// nobody writes, a group that is whole.
pub(crate) fn read_view(
    fs: &Arc<dyn StoreFs>,
    found: &Found,
    floors: &Floors,
    nobody_writes: &dyn Fn() -> bool,
) -> Result<(View, Survey), Error> {
    let index = IndexDir::new(Arc::clone(fs), found.layout.index(), found.identity.journal);
    let bare = Bare::new(fs.as_ref(), &found.layout, &found.manifest);
    // Derived files never block an open: what can't be read of them is scanned.
    let (mut runs, _) = index.read_runs(&[]).unwrap_or_default();
    let mut scan_all = false;
    loop {
        let covered = runs.last().map_or(0, |run| run.end());
        let first = active_first(found);
        let mut tail = Tail::new(covered);
        // Too much to index in memory, or damage between: scans go on, look-ups say what is missing.
        let reaches = first.saturating_sub(covered) <= MAX_GAP
            && scan_sealed(fs.as_ref(), found, covered, &mut |group, _| {
                push(&mut tail, group, &bare);
                Ok(())
            })
            .is_ok();
        if !reaches {
            tail = Tail::new(first);
        }
        let fast = if scan_all {
            None
        } else {
            fast_start(fs.as_ref(), found, covered, u64::MAX)
        };
        let (start, mut offsets) = begin(fast, &mut tail, &bare);
        let is_fast = start.is_some();
        let mut survey = survey(
            fs.as_ref(),
            OpenMode::Read,
            found,
            floors,
            start,
            &mut |group, _| {
                push(&mut tail, group, &bare);
                offsets.extend(group.events.iter().map(|event| event.offset as u32));
                Ok(())
            },
        )?;
        if is_fast && !is_settled(&survey, found.keys.live().is_some()) {
            scan_all = true;
            continue;
        }
        if covered > survey.proven {
            // Made before a crash took what they index: they say nothing of this journal.
            runs.retain(|run| run.end() <= survey.proven);
            continue;
        }
        survey.take_kept(floors);
        let mut unproven_from = None;
        if let Some(group) = survey.unproven.take_if(|_| nobody_writes()) {
            unproven_from = Some(survey.proven);
            push(&mut tail, &group, &bare);
            offsets.extend(group.events.iter().map(|event| event.offset as u32));
            survey.believe(&group);
        }
        let view = View {
            unproven_from,
            ..view_of(found, &survey, runs, &tail, &offsets)
        };
        return Ok((view, survey));
    }
}

/// Begins where a fast start leads to: with its offsets, and with its events in the tail.
pub(crate) fn begin(
    fast: Option<FastStart>,
    tail: &mut Tail,
    bare: &Bare<'_>,
) -> (Option<Start>, Vec<u32>) {
    let Some(fast) = fast else {
        return (None, Vec::new());
    };
    if let Some(last) = fast.unindexed.last() {
        let fresh: Vec<_> = fast
            .unindexed
            .iter()
            .filter(|event| event.order.sequence >= tail.end())
            .cloned()
            .collect();
        let entries = entries_of_scan(&fresh, &|sequence| bare.is(sequence));
        *tail = tail.push(last.order.sequence + 1, entries);
    }
    (Some(fast.start), fast.offsets)
}

/// Assembles a view after a survey.
pub(crate) fn view_of(
    found: &Found,
    survey: &Survey,
    runs: Vec<Arc<Run>>,
    tail: &Tail,
    offsets: &[u32],
) -> View {
    let active = Segment::live(Arc::clone(&survey.segment));
    active.note_offsets(active.first, offsets.iter().copied());
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(found.manifest.rows.len());
    for row in &found.manifest.rows {
        if let Some(count) = row.count {
            let path = found.layout.segment(row.first_sequence, row.generation);
            let (first, end) = (row.first_sequence, row.sealed_end);
            segments.push(Arc::new(Segment::sealed(
                path,
                first,
                row.generation,
                count,
                end,
            )));
        }
    }
    segments.push(Arc::new(active));
    View {
        segments: Arc::new(segments),
        durable: survey.proven,
        unproven_from: None,
        index: IndexView::new(found.identity.journal, runs, tail),
        signed: survey.signed.clone().map(Arc::new),
    }
}

/// First sequence of the segment that is being written.
pub(crate) fn active_first(found: &Found) -> u64 {
    found
        .manifest
        .rows
        .last()
        .map_or(0, |row| row.first_sequence)
}

/// Adds a group's entries to a tail, as far as they aren't in it or in runs already.
pub(crate) fn push(tail: &mut Tail, group: &ScannedGroup, bare: &Bare<'_>) {
    let end = group.header.end_sequence();
    if end <= tail.end() {
        return;
    }
    let events = group.events.iter();
    let fresh: Vec<_> = events
        .filter(|event| event.order.sequence >= tail.end())
        .cloned()
        .collect();
    *tail = tail.push(end, entries_of_scan(&fresh, &|sequence| bare.is(sequence)));
}

/// Hands on every group of the sealed segments from the one that holds `from` on.
pub(crate) fn scan_sealed(
    fs: &dyn StoreFs,
    found: &Found,
    from: u64,
    each: Absorb<'_>,
) -> Result<(), Error> {
    if from >= active_first(found) {
        return Ok(());
    }
    for row in &found.manifest.rows {
        let Some(count) = row.count.filter(|count| row.first_sequence + count > from) else {
            continue;
        };
        let path = found.layout.segment(row.first_sequence, row.generation);
        let segment = SegmentFile::open(fs, &path, OpenMode::Read, &found.identity.journal)?;
        let end = row.sealed_end.min(segment.len()?);
        let mut scanner = GroupScanner::new(&segment, segment.header_len, row.first_sequence, end);
        let mut next = row.first_sequence;
        loop {
            match scanner.next() {
                Ok(group) => {
                    next = group.header.end_sequence();
                    let leaves: Vec<Hash> = group
                        .events
                        .iter()
                        .map(|event| leaf_hash(&event.hash))
                        .collect();
                    each(&group, &leaves)?;
                }
                Err(ScanStop::End) if next == row.first_sequence + count => break,
                Err(ScanStop::End) => {
                    let detail = "the sealed segment holds fewer events than MANIFEST says";
                    return Err(segment.damage(end, detail).sequence(next).into());
                }
                Err(ScanStop::Damage { offset, detail, .. }) => {
                    return Err(segment.damage(offset, detail).sequence(next).into());
                }
                Err(ScanStop::Failed(error)) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Refuses to write to a journal with features that this build may only read.
pub(crate) fn check_writable(fs: &dyn StoreFs, found: &Found) -> Result<(), Error> {
    // Without the means to encrypt it would get events that nobody meant to be readable.
    if found.created.encryption.is_some() && cfg!(not(feature = "encryption")) {
        let detail = "it is encrypted, and this build was made without encryption";
        let damage = Damage::new("encryption.not_built", &found.layout.journal(), detail);
        return Err(damage.into());
    }
    // Of one that can't be read it is said elsewhere what is wrong with it.
    let active = found.manifest.rows.last().and_then(|row| {
        let path = found.layout.segment(row.first_sequence, row.generation);
        SegmentFile::open(fs, &path, OpenMode::Read, &found.identity.journal).ok()
    });
    let active = active.map_or(Features::default(), |segment| segment.header.features);
    let all = [found.identity.features, found.manifest.features, active];
    if all.iter().all(Features::writable) {
        return Ok(());
    }
    let detail = format!("format {FORMAT_VERSION} of this build may only read it");
    Err(Damage::new(
        "journal.unsupported_version",
        &found.layout.journal(),
        detail,
    )
    .into())
}
