use std::{
    ops::{Deref, Range},
    sync::Arc,
};

use factlog_format::{CommitHeader, FormatError, Frame, FrameType};
use factlog_fs::read_up_to;
use factlog_proof::{Hash, Subtree, leaf_hash};

use super::events::{CheckedEvent, EventBytes, EventChecks};
use crate::{
    Error,
    segment::{FrameReader, FrameStop, SegmentFile},
};

/// A group whose header and frames all hold; whether they fit what came before is yet to be seen.
#[derive(Debug)]
pub(super) struct WholeGroup {
    pub(super) offset: u64,
    /// Where the next group begins.
    pub(super) end: u64,
    pub(super) header: CommitHeader,
    /// The commit header's frame as stored.
    pub(super) header_bytes: Vec<u8>,
    pub(super) events: Events,
    /// The hashes of the events' leaves in the tree.
    pub(super) leaves: Vec<Hash>,
    /// The same, as the tree takes them in.
    pub(super) subtrees: Vec<Subtree>,
}

/// Some of the events that were checked together: they stay where they were made.
#[derive(Debug)]
pub(super) struct Events {
    all: Arc<Vec<CheckedEvent>>,
    range: Range<usize>,
}

impl Deref for Events {
    type Target = [CheckedEvent];

    fn deref(&self) -> &[CheckedEvent] {
        self.all.get(self.range.clone()).unwrap_or_default()
    }
}

impl<'e> IntoIterator for &'e Events {
    type Item = &'e CheckedEvent;
    type IntoIter = std::slice::Iter<'e, CheckedEvent>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
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

/// Reads the group that begins at `offset`.
pub(super) fn read_group(
    segment: &SegmentFile,
    offset: u64,
    end: u64,
    checks: &mut EventChecks,
) -> Result<Group, Error> {
    let mut frames = FrameReader::new(segment.file.as_ref(), segment.seed, offset, end);
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
    let mut bytes = frame.bytes.to_vec();
    let body = bytes.len();
    let there = end.saturating_sub(offset + body as u64);
    bytes.resize(body + u64::from(header.frames_len).min(there) as usize, 0);
    let events = bytes.get_mut(body..).unwrap_or_default();
    let read = read_up_to(segment.file.as_ref(), events, offset + body as u64)
        .map_err(Error::io("read", &segment.path))?;
    bytes.truncate(body + read);
    let framed = Framed {
        offset,
        header,
        body,
        bytes: &bytes,
    };
    let (mut groups, broken) = check_groups(segment, vec![framed], checks);
    Ok(match (groups.pop(), broken) {
        (Some(group), None) => Group::Whole(group),
        (_, Some(broken)) => Group::Broken(broken),
        (None, None) => Group::End,
    })
}

/// A group's bytes, or as many of them as there are, of which only the header was looked at.
pub(super) struct Framed<'b> {
    pub(super) offset: u64,
    pub(super) header: CommitHeader,
    /// Where the events' frames begin in `bytes`.
    pub(super) body: usize,
    pub(super) bytes: &'b [u8],
}

impl Framed<'_> {
    /// Takes the group's frames apart and hands over its events, up to the first that is none: that is put
    /// into `failed`. `false` if the frames aren't those that the header was written for.
    fn split(
        &self,
        segment: &SegmentFile,
        checks: &mut EventChecks,
        failed: &mut Option<(u64, FormatError)>,
    ) -> Result<bool, Broken> {
        let mut at = self.body;
        let mut crcs = Vec::new();
        let whole = self.body + self.header.frames_len as usize == self.bytes.len();
        for _ in 0..self.header.count {
            let offset = self.offset + at as u64;
            let rest = self.bytes.get(at..).unwrap_or_default();
            if rest.is_empty() && !whole {
                return Err(Broken::new(offset, "the group is cut short"));
            }
            let few = "the group has fewer events than its header says";
            if rest.is_empty() {
                return Err(Broken::new(offset, few));
            }
            let frame =
                Frame::read(segment.seed, rest).map_err(|error| Broken::format(offset, error))?;
            if frame.kind == FrameType::Commit {
                return Err(Broken::new(offset, few));
            }
            if failed.is_none() {
                let bytes = EventBytes {
                    kind: frame.kind,
                    offset,
                    body: frame.body,
                };
                // While its bytes are still near.
                *failed = checks
                    .push(segment, &bytes)
                    .err()
                    .map(|error| (offset, error));
            }
            crcs.push(frame.crc);
            at += frame.len;
        }
        Ok(at == self.bytes.len()
            && whole
            && segment.key.frames_check(crcs) == self.header.frames_check)
    }

    /// The group with its events, if there are as many as there should be and each has its place.
    fn whole(
        self,
        events: Events,
        fits: bool,
        failed: Option<&(u64, FormatError)>,
    ) -> Result<WholeGroup, Broken> {
        let mut places = events.iter().zip(self.header.first_sequence..);
        if let Some((event, _)) = places.find(|(event, place)| event.sequence() != *place) {
            let detail = "an event is out of its place";
            return Err(Broken::new(event.passed.offset, detail));
        }
        if let Some((offset, error)) = failed.filter(|_| events.len() < self.header.count as usize)
        {
            return Err(Broken::format(*offset, *error));
        }
        if !fits {
            let detail = "the group's events are not those of its commit header";
            return Err(Broken::new(self.offset + self.body as u64, detail));
        }
        let leaf = |event: &CheckedEvent| leaf_hash(&event.passed.hash);
        let leaves: Vec<Hash> = events.iter().map(leaf).collect();
        Ok(WholeGroup {
            offset: self.offset,
            end: self.offset + self.bytes.len() as u64,
            header_bytes: self.bytes.get(..self.body).unwrap_or_default().to_vec(),
            subtrees: Subtree::of(self.header.first_sequence, &leaves),
            leaves,
            header: self.header,
            events,
        })
    }
}

/// Checks groups that follow one another, up to the first that isn't whole.
pub(super) fn check_groups(
    segment: &SegmentFile,
    framed: Vec<Framed<'_>>,
    checks: &mut EventChecks,
) -> (Vec<WholeGroup>, Option<Broken>) {
    let mut split = Vec::with_capacity(framed.len());
    let (mut broken, mut failed) = (None, None);
    for group in framed {
        let start = checks.len();
        match group.split(segment, checks, &mut failed) {
            Ok(fits) => split.push((group, start..checks.len(), fits)),
            Err(why) => broken = Some(why),
        }
        if broken.is_some() || failed.is_some() {
            break;
        }
    }
    let all = Arc::new(checks.finish(segment));
    let mut groups = Vec::with_capacity(split.len());
    for (group, range, fits) in split {
        let all = Arc::clone(&all);
        let events = Events { all, range };
        match group.whole(events, fits, failed.as_ref()) {
            Ok(whole) => groups.push(whole),
            Err(why) => return (groups, Some(why)),
        }
    }
    (groups, broken)
}
