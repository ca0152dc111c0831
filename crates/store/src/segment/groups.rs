use factlog_format::{
    CommitHeader, Digest, EventFrame, EventId, FormatError, FrameType, FullStub, HashBatch,
    HashSort, JournalId, MAX_BATCH_EVENTS, Ordering, SPINE_LEN, event_hashes,
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
    scan: EventScan,
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
        }
    }

    /// The next whole group.
    pub(crate) fn next(&mut self) -> Result<ScannedGroup, ScanStop> {
        let offset = self.frames.offset();
        self.scan.forget();
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
            let event = self
                .scan
                .push(frame.kind, frame.offset, frame.body)
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
