use factlog_format::{
    CommitHeader, Digest, EventFrame, EventId, FormatError, FrameType, FramesHasher, FullStub,
    HashBatch, HashSort, JournalId, MAX_BATCH_EVENTS, Ordering, SPINE_LEN, event_hashes,
};

use super::{
    SegmentFile,
    frames::{FrameReader, FrameStop},
};
use crate::{
    Error,
    config::{Bug, planted},
    index::{NameKeys, push_names},
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
    pub(crate) keys: NameKeys,
}

/// A group whose commit header, frames and both checks hold; or a part of a compacted one, which may
/// be too large to be held: then its header counts the events of the part, and only the last part shows
/// that the group is whole.
#[derive(Debug)]
pub(crate) struct ScannedGroup {
    /// Where its commit header, or the part, starts.
    pub(crate) offset: u64,
    /// Where the next group, or part, starts.
    pub(crate) end: u64,
    pub(crate) header: CommitHeader,
    /// The commit header's frame as stored; nothing in parts but the first.
    pub(crate) header_bytes: Vec<u8>,
    pub(crate) events: Vec<ScannedEvent>,
}

/// How many events of a compacted group are handed on at once.
const PART: u64 = 8192;

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
    scan: EventScan,
    /// What is to come of a compacted group.
    rest: Option<Rest>,
}

/// A compacted group of which not all has been read.
struct Rest {
    header: CommitHeader,
    crcs: FramesHasher,
    /// Where its first event starts.
    start: u64,
}

impl<'f> GroupScanner<'f> {
    /// Scans from `offset`, where the group of `next_sequence` must start, to `end`.
    pub(crate) fn new(segment: &'f SegmentFile, offset: u64, next_sequence: u64, end: u64) -> Self {
        let frames = FrameReader::new(segment.file.as_ref(), segment.seed, offset, end);
        Self {
            segment,
            frames,
            next_sequence,
            scan: EventScan::new(),
            rest: None,
        }
    }

    /// The next whole group, or part of a compacted one.
    pub(crate) fn next(&mut self) -> Result<ScannedGroup, ScanStop> {
        if let Some(rest) = self.rest.take() {
            let offset = self.frames.offset();
            return self.next_part(rest, offset, Vec::new());
        }
        let offset = self.frames.offset();
        self.scan.forget();
        let segment = self.segment;
        let stop = |error, header: Option<&CommitHeader>| stop(segment, offset, error, header);
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
        if header.number == 0 {
            let rest = Rest {
                header,
                crcs: self.segment.key.frames_hasher(),
                start: frames_start,
            };
            return self.next_part(rest, offset, header_bytes);
        }
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
            let event = self
                .scan
                .push(frame.kind, frame.offset, frame.body)
                .map_err(|error| stop(FrameStop::Bad(error), Some(&header)))?;
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
        self.scan.finish(&self.segment.header.journal, &mut events);
        self.next_sequence = header.end_sequence();
        Ok(ScannedGroup {
            offset,
            end,
            header,
            header_bytes,
            events,
        })
    }

    /// Reads on in a compacted group.
    fn next_part(
        &mut self,
        mut rest: Rest,
        offset: u64,
        header_bytes: Vec<u8>,
    ) -> Result<ScannedGroup, ScanStop> {
        self.scan.forget();
        let (first, end) = (self.next_sequence, rest.header.end_sequence());
        let until = end.min(first.saturating_add(PART));
        let mut events = Vec::new();
        for sequence in first..until {
            let at = self.frames.offset();
            let header = &rest.header;
            let damage = |detail: String| ScanStop::Damage {
                offset: at,
                detail,
                header: Some(Box::new(header.clone())),
            };
            let frame = self.frames.next();
            let frame = frame.map_err(|error| stop(self.segment, at, error, Some(header)))?;
            rest.crcs.add(frame.crc);
            let event = self
                .scan
                .push(frame.kind, frame.offset, frame.body)
                .map_err(|error| stop(self.segment, at, FrameStop::Bad(error), Some(header)))?;
            if event.order.sequence != sequence {
                return Err(damage("an event is out of place".to_owned()));
            }
            events.push(event);
        }
        self.scan.finish(&self.segment.header.journal, &mut events);
        let header = CommitHeader {
            first_sequence: first,
            count: (until - first) as u32,
            ..rest.header.clone()
        };
        self.next_sequence = until;
        if until < end {
            self.rest = Some(rest);
        } else if self.frames.offset() - rest.start != u64::from(rest.header.frames_len)
            || rest.crcs.finish() != rest.header.frames_check
        {
            return Err(ScanStop::Damage {
                offset,
                detail: "the group's frames are not those of its header".to_owned(),
                header: Some(Box::new(rest.header)),
            });
        }
        Ok(ScannedGroup {
            offset,
            end: self.frames.offset(),
            header,
            header_bytes,
            events,
        })
    }
}

/// What a frame that can't be had means for the group that `offset` stands for.
fn stop(
    segment: &SegmentFile,
    offset: u64,
    stop: FrameStop,
    header: Option<&CommitHeader>,
) -> ScanStop {
    let path = &segment.path;
    match stop {
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
    }
}

/// Decodes event frames and stubs as far as place, hash and index keys. What is hashed of one goes through
/// SIMD lanes with the same of the others.
#[derive(Debug)]
pub(crate) struct EventScan {
    facts: HashBatch,
    names: HashBatch,
    spines: Vec<[u8; SPINE_LEN]>,
    hashes: Vec<Digest>,
}

impl EventScan {
    pub(crate) fn new() -> Self {
        Self {
            facts: HashBatch::new(HashSort::Facts),
            names: HashBatch::new(HashSort::Coordinate),
            spines: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// Takes one in. Its hash and keys are not yet there.
    pub(crate) fn push(
        &mut self,
        kind: FrameType,
        offset: u64,
        body: &[u8],
    ) -> Result<ScannedEvent, FormatError> {
        match kind {
            FrameType::Event | FrameType::PayloadStub => {
                let event = EventFrame::decode(kind, body)?;
                self.facts.push(&event.facts_salt, event.facts_bytes);
                let tags = push_names(&event.facts, &mut self.names);
                Ok(ScannedEvent {
                    offset,
                    order: event.order,
                    hash: [0; 32],
                    facts: Some(ScannedFacts {
                        event_id: event.facts.event_id,
                        keys: NameKeys {
                            tags: vec![[0; 16]; tags].into(),
                            ..NameKeys::default()
                        },
                    }),
                })
            }
            FrameType::FullStub => {
                let stub = FullStub::decode(body)?;
                Ok(ScannedEvent {
                    offset,
                    order: stub.order,
                    hash: stub.facts_hash,
                    facts: None,
                })
            }
            FrameType::Commit => Err(FormatError::Invalid("commit header among events")),
        }
    }

    /// Fills in the hashes and keys of all that were taken in since the last time, in their order.
    pub(crate) fn finish(&mut self, journal: &JournalId, events: &mut [ScannedEvent]) {
        self.facts.finish(&mut self.hashes);
        let mut facts = self.hashes.iter();
        self.spines.clear();
        for event in events.iter() {
            let hash = match &event.facts {
                Some(_) => facts.next().copied().unwrap_or_default(),
                // A full stub carries it.
                None => event.hash,
            };
            self.spines.push(event.order.spine(journal, hash).encode());
        }
        self.hashes.clear();
        event_hashes(&self.spines, &mut self.hashes);
        for (event, hash) in events.iter_mut().zip(&self.hashes) {
            event.hash = *hash;
        }
        self.names.finish(&mut self.hashes);
        let mut names = self.hashes.iter();
        for facts in events.iter_mut().filter_map(|event| event.facts.as_mut()) {
            facts.keys = NameKeys::of(&mut names, facts.keys.tags.len());
        }
    }

    /// Forgets what was taken in before an error.
    fn forget(&mut self) {
        if !self.facts.is_empty() {
            *self = Self::new();
        }
    }
}
