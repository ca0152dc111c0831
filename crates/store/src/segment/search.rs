use factlog_format::{CommitHeader, FRAME_HEADER_LEN, Frame, FrameType};
use factlog_fs::read_up_to;

use super::{EventScan, SegmentFile};
use crate::Error;

/// Frames start at multiples of this.
const STEP: u64 = 8;
const WINDOW: usize = 1 << 20;
/// How many bytes may be checksummed for each byte searched. Bytes made to look like the starts of
/// long frames, one behind another, would otherwise cost a checksum of megabytes every few bytes.
const WORK_PER_BYTE: u64 = 32;
const WORK_AT_LEAST: u64 = 64 << 20;

/// What can be believed at some place after damage.
#[derive(Debug)]
enum Believable {
    /// A commit header whose CRC and keyed check hold.
    Commit(Box<CommitHeader>),
    /// A frame whose CRC holds and which decodes as an event or stub.
    Event,
}

/// How much checksumming the searches in one segment may still do, all together.
#[derive(Debug)]
pub(crate) struct Work(u64);

impl Work {
    /// For a segment of this many bytes.
    pub(crate) fn of(bytes: u64) -> Self {
        Self(
            bytes
                .saturating_mul(WORK_PER_BYTE)
                .saturating_add(WORK_AT_LEAST),
        )
    }
}

/// Searches the bytes of a segment for what can be believed, wherever it stands.
pub(crate) struct Search<'s> {
    segment: &'s SegmentFile,
    at: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    work: &'s mut Work,
    /// Places were passed over, since checking them all would have taken too long.
    pub(crate) incomplete: bool,
}

impl<'s> Search<'s> {
    /// Searches from `from` to `end`.
    pub(crate) fn new(segment: &'s SegmentFile, from: u64, end: u64, work: &'s mut Work) -> Self {
        Self {
            segment,
            at: from.next_multiple_of(STEP),
            end,
            window: Vec::new(),
            window_at: from,
            work,
            incomplete: false,
        }
    }

    /// The next commit header, and where it stands; events are passed over.
    pub(crate) fn next_commit(&mut self) -> Result<Option<(u64, CommitHeader)>, Error> {
        while let Some((at, found)) = self.next(false)? {
            if let Believable::Commit(header) = found {
                return Ok(Some((at, *header)));
            }
        }
        Ok(None)
    }

    /// Where the next commit header or event stands.
    pub(crate) fn next_frame(&mut self) -> Result<Option<u64>, Error> {
        Ok(self.next(true)?.map(|(at, _)| at))
    }

    fn next(&mut self, events: bool) -> Result<Option<(u64, Believable)>, Error> {
        while self.at.saturating_add(FRAME_HEADER_LEN as u64) <= self.end {
            let at = self.at;
            self.at += STEP;
            self.fill(at)?;
            let head = self.ahead(at);
            let Some(len) = plausible_len(head, events, self.end - at) else {
                continue;
            };
            let Some(left) = self.work.0.checked_sub(len as u64) else {
                self.incomplete = true;
                continue;
            };
            self.work.0 = left;
            if let Some(found) = self.check(at, len)? {
                return Ok(Some((at, found)));
            }
        }
        Ok(None)
    }

    /// Makes at least a frame's head available, and mostly much more.
    fn fill(&mut self, at: u64) -> Result<(), Error> {
        if self.ahead(at).len() >= FRAME_HEADER_LEN {
            return Ok(());
        }
        let want = (self.end - at).min(WINDOW as u64) as usize;
        self.read(at, want)
    }

    fn read(&mut self, at: u64, len: usize) -> Result<(), Error> {
        self.window.resize(len, 0);
        self.window_at = at;
        let file = self.segment.file.as_ref();
        let got = read_up_to(file, &mut self.window, at)
            .map_err(Error::io("read", &self.segment.path))?;
        self.window.truncate(got);
        Ok(())
    }

    fn ahead(&self, at: u64) -> &[u8] {
        let start = at
            .checked_sub(self.window_at)
            .and_then(|start| usize::try_from(start).ok());
        start
            .and_then(|start| self.window.get(start..))
            .unwrap_or_default()
    }

    fn check(&mut self, at: u64, len: usize) -> Result<Option<Believable>, Error> {
        if self.ahead(at).len() < len {
            let want = (self.end - at).min(len.max(WINDOW) as u64) as usize;
            self.read(at, want)?;
        }
        let segment = self.segment;
        let Ok(frame) = Frame::read(segment.seed, self.ahead(at)) else {
            return Ok(None);
        };
        if frame.kind != FrameType::Commit {
            let decodes = EventScan::new().push(frame.kind, at, frame.body).is_ok();
            return Ok(decodes.then_some(Believable::Event));
        }
        let header = CommitHeader::decode(&segment.key, frame.body).ok();
        Ok(header.map(|header| Believable::Commit(Box::new(header))))
    }
}

/// The length of the frame that may begin here: decides nearly every place without a checksum.
fn plausible_len(head: &[u8], events: bool, left: u64) -> Option<usize> {
    let kind = head.get(8..FRAME_HEADER_LEN)?;
    let known = if events { 1..=4 } else { 1..=1 };
    let [kind, 0, 0, 0] = kind else {
        return None;
    };
    if !known.contains(kind) {
        return None;
    }
    Frame::peek_len(head).ok().filter(|len| *len as u64 <= left)
}
