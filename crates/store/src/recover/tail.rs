use std::sync::Arc;

use factlog_format::{
    CommitHeader, CrcSeed, FRAME_HEADER_LEN, Frame, JournalRecovered, RecoveryReason,
};
use factlog_fs::read_exact_at;
use factlog_proof::{Hash, leaf_hash};

use super::{Survey, identity::read_manifest};
use crate::{
    Damage, Error, Recovery, Refusal,
    commit::{Baton, MAX_HEADER},
    config::{Bug, planted},
    segment::{ScannedGroup, SegmentFile, SegmentWriter},
    signer::Signer,
};

/// Bytes that the event of a recovery and the empty commit behind it take at most.
const ROOM_TO_TELL: u64 = 4096;

/// What an open did about an unclean end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// How many bytes of a torn write were set aside; they stay in the old segment and are never read.
    pub set_aside: u64,
    /// How many events were whole but not known to be durable, and were copied to make them so.
    pub copied: u64,
    /// How many events there were after that.
    pub events: u64,
}

/// Deals with a torn or unproven end: begins the next segment with a copy of the unproven group, makes
/// it durable, and lets it follow the old segment, which is never written again. Until MANIFEST is
/// replaced the old segment is the journal's.
///
/// Does nothing if nothing is torn and nothing unproven.
pub(crate) fn recover(
    baton: &mut Baton,
    survey: &Survey,
    strictness: Recovery,
) -> Result<Option<(RecoveryReport, JournalRecovered)>, Error> {
    let copied = survey
        .unproven
        .as_ref()
        .map_or(0, |group| u64::from(group.header.count));
    if survey.torn == 0 && survey.unproven.is_none() {
        return Ok(None);
    }
    let old = &survey.segment;
    if strictness == Recovery::Strict && survey.torn > 0 {
        let detail = format!("{} bytes after the last whole group", survey.torn);
        let damage = Damage::new("segment.torn_tail", &old.path, detail);
        return Err(Refusal::StrictRecovery(damage.at(survey.proven_end)).into());
    }
    // What was read well need not be on the disk after a failed sync.
    old.file.sync_all().map_err(Error::io("sync", &old.path))?;
    let segments = baton.layout.segments();
    baton
        .fs
        .sync_dir(&segments)
        .map_err(Error::io("sync", &segments))?;
    let frames = survey.unproven.as_ref();
    let frames = frames.map_or(0, |group| u64::from(group.header.frames_len));
    // With room to tell of it: once MANIFEST names the segment, a full disk must not keep it untold.
    let mut writer = baton.new_segment(survey.proven, MAX_HEADER + frames + ROOM_TO_TELL)?;
    let next = writer.segment.path.clone();
    if planted(Bug::OldEndBeforeCopy) {
        let manifest = baton.manifest.clone();
        let early = SegmentWriter::resume(Arc::clone(&writer.segment), writer.end);
        baton.ended = Some((Arc::clone(old), survey.proven_end));
        baton.succeed(early)?;
        baton.writer = None;
        baton.manifest = manifest;
    }
    if let Some(group) = &survey.unproven {
        copy_group(baton, old, group, survey.proven, &mut writer).inspect_err(|_| {
            // Nothing names it. One that can't be removed now is when the next session begins.
            let _ = baton.fs.remove_file(&next);
        })?;
    }
    let mut frontier = baton.frontier.clone();
    if let Some(group) = &survey.unproven {
        let leaves: Vec<Hash> = group
            .events
            .iter()
            .map(|event| leaf_hash(&event.hash))
            .collect();
        frontier.append(&leaves);
    }
    // In memory only, as in a commit; the next commit header carries it.
    let here = |signer: &&Signer| copied > 0 && !signer.is_elsewhere();
    let signed = match baton.signer.as_deref().filter(here) {
        Some(_) => Some(Arc::new(baton.sign(frontier.size(), frontier.root())?)),
        None => baton.signed.clone(),
    };
    let end = if planted(Bug::SealedWithTear) {
        old.len()?
    } else {
        survey.proven_end
    };
    baton.ended = Some((Arc::clone(old), end));
    baton.begin_recovered()?;
    baton.succeed(writer).inspect_err(|_| {
        // Unless the replace was seen by anyone, the new segment is no more than a leftover.
        let seen = read_manifest(baton.fs.as_ref(), &baton.layout);
        if seen.is_ok_and(|seen| seen.rows == baton.manifest.rows) {
            let _ = baton.fs.remove_file(&next);
        }
    })?;
    // A header that never reached the disk may read as another segment's; `verify` would object.
    // What can't be removed now is when the next session begins.
    let _ = baton.remove_orphans();
    // The room that was made for telling of it is to be used, however full the segment is.
    baton.in_segment = 0;
    baton.signed = signed;
    if copied > 0 {
        if !planted(Bug::CopyNotInTree) {
            baton.frontier = frontier;
        }
        baton.number += 1;
        baton.stated = false;
    }
    let set_aside = survey.torn;
    let report = RecoveryReport {
        set_aside,
        copied,
        events: survey.proven + copied,
    };
    let event = JournalRecovered {
        reason: if copied > 0 {
            RecoveryReason::Unproven
        } else {
            RecoveryReason::TornTail
        },
        segment_first: old.header.first_sequence,
        segment_generation: old.header.generation,
        sealed_end: survey.proven_end,
        set_aside,
        copied,
    };
    Ok(Some((report, event)))
}

/// Writes the frames of a group again, verbatim, behind a commit header of the new segment.
fn copy_group(
    baton: &Baton,
    old: &SegmentFile,
    group: &ScannedGroup,
    proven: u64,
    writer: &mut SegmentWriter,
) -> Result<(), Error> {
    let frames_at = group.offset + group.header_bytes.len() as u64;
    let mut frames = vec![0; group.header.frames_len as usize];
    read_exact_at(old.file.as_ref(), &mut frames, frames_at)
        .map_err(Error::io("read", &old.path))?;
    let seed = CrcSeed::of(&baton.manifest.journal);
    let mut crcs = Vec::with_capacity(group.events.len());
    let mut rest = frames.as_slice();
    while rest.len() >= FRAME_HEADER_LEN {
        let damage = |error: factlog_format::FormatError| old.damage(frames_at, error.to_string());
        let frame = Frame::read(seed, rest).map_err(damage)?;
        crcs.push(frame.crc);
        rest = rest.get(frame.len..).unwrap_or_default();
    }
    let header = CommitHeader {
        number: baton.number + 1,
        incarnation: baton.incarnation,
        durable: if planted(Bug::CopyCallsItselfDurable) {
            group.header.end_sequence()
        } else {
            proven
        },
        frames_check: writer.segment.key.frames_check(crcs),
        ..group.header.clone()
    };
    let mut bytes = Vec::with_capacity(frames.len() + 512);
    header
        .write(seed, &writer.segment.key, &mut bytes)
        .map_err(crate::Misuse::Event)?;
    let head_len = bytes.len();
    bytes.extend_from_slice(&frames);
    writer.write_group(&bytes, head_len)
}
