use factlog_format::{CommitHeader, FormatError, FrameType};

use super::events::{CheckedEvent, check_event};
use crate::{
    Error,
    segment::{FrameReader, FrameStop, SegmentFile},
};

/// A group whose header and frames all hold; whether they fit what came before is yet to be seen.
#[derive(Debug)]
pub(super) struct WholeGroup {
    pub(super) offset: u64,
    pub(super) header: CommitHeader,
    /// The commit header's frame as stored.
    pub(super) header_bytes: Vec<u8>,
    pub(super) events: Vec<CheckedEvent>,
}

/// What stands at an offset where a group should.
#[derive(Debug)]
pub(super) enum Group {
    Whole(WholeGroup),
    /// A compacted segment's only group, which may be too large to be held: to be read frame by frame.
    Compacted,
    /// The end of what is to be read.
    End,
    /// No whole group.
    Broken(Broken),
}

/// Where and why a group isn't whole.
#[derive(Debug)]
pub(super) struct Broken {
    /// Of the first bytes that don't hold.
    pub(super) offset: u64,
    pub(super) detail: String,
    /// A newer version wrote it: not damage, but nothing that this build can check.
    pub(super) unsupported: bool,
}

impl Broken {
    pub(super) fn new(offset: u64, detail: impl Into<String>) -> Self {
        Self {
            offset,
            detail: detail.into(),
            unsupported: false,
        }
    }

    pub(super) fn format(offset: u64, error: FormatError) -> Self {
        let unsupported = matches!(error, FormatError::Unsupported(_));
        Self {
            unsupported,
            ..Self::new(offset, error.to_string())
        }
    }
}

/// Reads the group that begins where the reader stands. Memory grows with the bytes read, not with
/// what the header claims.
pub(super) fn read_group(
    segment: &SegmentFile,
    frames: &mut FrameReader<'_>,
) -> Result<Group, Error> {
    let offset = frames.offset();
    let frame = match frames.next() {
        Ok(frame) => frame,
        Err(FrameStop::End) => return Ok(Group::End),
        Err(FrameStop::Bad(error)) => return Ok(Group::Broken(Broken::format(offset, error))),
        Err(FrameStop::Io(error)) => return Err(Error::io("read", &segment.path)(error)),
    };
    if frame.kind != FrameType::Commit {
        let detail = "an event stands where a commit header should";
        return Ok(Group::Broken(Broken::new(offset, detail)));
    }
    let header = match CommitHeader::decode(&segment.key, frame.body) {
        Ok(header) => header,
        Err(error) => return Ok(Group::Broken(Broken::format(offset, error))),
    };
    if header.number == 0 {
        return Ok(Group::Compacted);
    }
    let header_bytes = frame.bytes.to_vec();
    Ok(match read_events(segment, frames, &header)? {
        Ok(events) => Group::Whole(WholeGroup {
            offset,
            header,
            header_bytes,
            events,
        }),
        Err(broken) => Group::Broken(broken),
    })
}

fn read_events(
    segment: &SegmentFile,
    frames: &mut FrameReader<'_>,
    header: &CommitHeader,
) -> Result<Result<Vec<CheckedEvent>, Broken>, Error> {
    let start = frames.offset();
    let mut events = Vec::new();
    let mut crcs = Vec::new();
    for sequence in header.first_sequence..header.end_sequence() {
        let offset = frames.offset();
        let frame = match frames.next() {
            Ok(frame) => frame,
            Err(FrameStop::End) => return Ok(Err(Broken::new(offset, "the group is cut short"))),
            Err(FrameStop::Bad(error)) => return Ok(Err(Broken::format(offset, error))),
            Err(FrameStop::Io(error)) => return Err(Error::io("read", &segment.path)(error)),
        };
        if frame.kind == FrameType::Commit {
            return Ok(Err(Broken::new(
                offset,
                "the group has fewer events than its header says",
            )));
        }
        crcs.push(frame.crc);
        match check_event(segment, frame.kind, offset, frame.body) {
            Ok(event) if event.sequence() == sequence => events.push(event),
            Ok(_) => return Ok(Err(Broken::new(offset, "an event is out of its place"))),
            Err(error) => return Ok(Err(Broken::format(offset, error))),
        }
    }
    let fits = frames.offset() - start == u64::from(header.frames_len)
        && segment.key.frames_check(crcs) == header.frames_check;
    if !fits {
        let detail = "the group's events are not those of its commit header";
        return Ok(Err(Broken::new(start, detail)));
    }
    Ok(Ok(events))
}
