use factlog_format::{
    CommitHeader, Digest, EventFrame, EventId, FormatError, FrameType, FullStub, MAX_BATCH_EVENTS,
    Ordering, coordinate_key,
};

use super::{
    SegmentFile,
    frames::{FrameReader, FrameStop},
};
use crate::{
    Error,
    config::{Bug, planted},
    index::{kind_key, tag_keys},
};

/// An event as a scan sees it: its place, its hash, and what the indexes need.
#[derive(Clone, Debug)]
pub(crate) struct ScannedEvent {
    pub(crate) offset: u64,
    pub(crate) order: Ordering,
    pub(crate) hash: Digest,
    /// `None` in a full stub.
    pub(crate) facts: Option<ScannedFacts>,
}

/// What the indexes need of the facts.
#[derive(Clone, Debug)]
pub(crate) struct ScannedFacts {
    pub(crate) event_id: EventId,
    pub(crate) coordinate: [u8; 16],
    /// The keys of its kind, and of its tags and correlation id.
    pub(crate) kind: [u8; 16],
    pub(crate) tags: Box<[[u8; 16]]>,
}

/// A group whose commit header, frames and both checks hold.
#[derive(Debug)]
pub(crate) struct ScannedGroup {
    /// Where its commit header starts.
    pub(crate) offset: u64,
    /// Where the next group starts.
    pub(crate) end: u64,
    pub(crate) header: CommitHeader,
    /// The commit header's frame as stored.
    pub(crate) header_bytes: Vec<u8>,
    pub(crate) events: Vec<ScannedEvent>,
}

/// Why a scan ended.
#[derive(Debug)]
pub(crate) enum ScanStop {
    /// The end of what was to be scanned, exactly at a group's end.
    End,
    /// From `offset` on there is no whole group. `header` is there if a commit header could still be
    /// believed.
    Damage {
        offset: u64,
        detail: String,
        header: Option<Box<CommitHeader>>,
    },
    /// The file can't be read, or is of a newer version.
    Failed(Error),
}

/// Reads whole groups one after another.
pub(crate) struct GroupScanner<'f> {
    segment: &'f SegmentFile,
    frames: FrameReader<'f>,
    next_sequence: u64,
}

impl<'f> GroupScanner<'f> {
    /// Scans from `offset`, where the group of `next_sequence` must start, to `end`.
    pub(crate) fn new(segment: &'f SegmentFile, offset: u64, next_sequence: u64, end: u64) -> Self {
        let frames = FrameReader::new(segment.file.as_ref(), segment.seed, offset, end);
        Self {
            segment,
            frames,
            next_sequence,
        }
    }

    /// The next whole group.
    pub(crate) fn next(&mut self) -> Result<ScannedGroup, ScanStop> {
        let offset = self.frames.offset();
        let path = &self.segment.path;
        let stop = |stop: FrameStop, header: Option<&CommitHeader>| match stop {
            FrameStop::End if header.is_none() => ScanStop::End,
            FrameStop::Io(_) if planted(Bug::ReadErrorIsEnd) => ScanStop::End,
            FrameStop::Io(error) => ScanStop::Failed(Error::io("read", path)(error)),
            FrameStop::Bad(FormatError::Unsupported(what)) => ScanStop::Failed(
                crate::Damage::format("", path, FormatError::Unsupported(what))
                    .at(offset)
                    .into(),
            ),
            other => ScanStop::Damage {
                offset,
                detail: match other {
                    FrameStop::Bad(error) => error.to_string(),
                    _ => "the group is cut short".to_owned(),
                },
                header: header.cloned().map(Box::new),
            },
        };
        let frame = self.frames.next().map_err(|error| stop(error, None))?;
        let bad = |detail: String, header: Option<&CommitHeader>| ScanStop::Damage {
            offset,
            detail,
            header: header.cloned().map(Box::new),
        };
        if frame.kind != FrameType::Commit {
            return Err(bad(
                "an event stands where a commit header should".to_owned(),
                None,
            ));
        }
        let header = CommitHeader::decode(&self.segment.key, frame.body)
            .map_err(|error| bad(error.to_string(), None))?;
        let header_bytes = frame.bytes.to_vec();
        if header.first_sequence != self.next_sequence {
            return Err(bad(
                "the group does not follow the one before".to_owned(),
                Some(&header),
            ));
        }
        let frames_start = self.frames.offset();
        // What a header claims is not yet what the file holds.
        let expected = (header.count as usize).min(MAX_BATCH_EVENTS);
        let mut events = Vec::with_capacity(expected);
        let mut crcs = Vec::with_capacity(expected);
        for index in 0..u64::from(header.count) {
            let frame = self
                .frames
                .next()
                .map_err(|error| stop(error, Some(&header)))?;
            crcs.push(frame.crc);
            let event = scan_event(self.segment, frame.kind, frame.offset, frame.body)
                .map_err(|error| bad(error.to_string(), Some(&header)))?;
            if event.order.sequence != header.first_sequence + index {
                return Err(bad("an event is out of place".to_owned(), Some(&header)));
            }
            events.push(event);
        }
        let end = self.frames.offset();
        if end - frames_start != u64::from(header.frames_len)
            || self.segment.key.frames_check(crcs) != header.frames_check
        {
            return Err(bad(
                "the group's frames are not those of its header".to_owned(),
                Some(&header),
            ));
        }
        self.next_sequence = header.end_sequence();
        Ok(ScannedGroup {
            offset,
            end,
            header,
            header_bytes,
            events,
        })
    }
}

/// Decodes an event frame or stub as far as place, hash and index keys.
pub(crate) fn scan_event(
    segment: &SegmentFile,
    kind: FrameType,
    offset: u64,
    body: &[u8],
) -> Result<ScannedEvent, FormatError> {
    let journal = &segment.header.journal;
    match kind {
        FrameType::Event | FrameType::PayloadStub => {
            let event = EventFrame::decode(kind, body)?;
            Ok(ScannedEvent {
                offset,
                order: event.order,
                hash: event.event_hash(journal),
                facts: Some(ScannedFacts {
                    event_id: event.facts.event_id,
                    coordinate: coordinate_key(event.facts.scope, event.facts.entity),
                    kind: kind_key(event.facts.kind),
                    tags: tag_keys(&event.facts),
                }),
            })
        }
        FrameType::FullStub => {
            let stub = FullStub::decode(body)?;
            Ok(ScannedEvent {
                offset,
                order: stub.order,
                hash: stub.event_hash(journal),
                facts: None,
            })
        }
        FrameType::Commit => Err(FormatError::Invalid("commit header among events")),
    }
}
