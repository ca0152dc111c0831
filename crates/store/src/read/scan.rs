//! Looking at each event in turn.

use std::{ops::Range, sync::Arc};

use factlog_format::{
    ErasureLevel, EventFrame, FRAME_HEADER_LEN, FormatError, FrameType, FullStub, JournalId,
    Ordering,
};

use super::{Query, shared::Shared};
use crate::{
    Damage, Error, EventRef,
    read::view::View,
    segment::{FrameReader, FrameStop, SegmentFile, Window},
};

/// A scan upwards through the segments, a buffer at a time or in their maps.
#[derive(Debug)]
pub(crate) struct Scan {
    next: u64,
    end: u64,
    frames: Option<Frames>,
}

/// The segment that is being read, and where in it.
#[derive(Debug)]
struct Frames {
    segment: Arc<SegmentFile>,
    window: Window,
    mapped: bool,
    /// One past the last sequence that stands in it.
    until: u64,
}

/// An event that a scan has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    kind: FrameType,
    pub(super) order: Ordering,
    /// Where its body stands in the segment.
    offset: u64,
    len: usize,
}

impl Scan {
    pub(crate) fn new(range: Range<u64>) -> Self {
        Self {
            next: range.start,
            end: range.end,
            frames: None,
        }
    }

    /// Comes to the next event that the query takes. Where its facts had to be decoded for that, it is shown
    /// as it was decoded.
    pub(crate) fn next_matching(
        &mut self,
        shared: &Shared,
        view: &View,
        query: &Query<'_>,
        mut show: impl FnMut(&EventFrame<'_>),
    ) -> Result<Option<Hit>, Error> {
        let takes_all = query.takes_all();
        while self.next < self.end {
            let wanted = self.next;
            let Some(frames) = self.frames(shared, view)? else {
                return Ok(None);
            };
            let Some((kind, body, offset)) = frames.next(wanted)? else {
                self.frames = None;
                continue;
            };
            if kind == FrameType::Commit {
                continue;
            }
            let len = body.len();
            let examined = if takes_all {
                Ordering::peek(body).map(|order| (order, query.takes_time(order.recorded_at)))
            } else if shared.erasures.taken(wanted) == Some(ErasureLevel::Full) {
                Ordering::peek(body).map(|order| (order, takes_bare(query, &order)))
            } else {
                examine(query, kind, body, &mut show)
            };
            let segment = &frames.segment;
            let corrupt = |detail: String| {
                let damage = segment.damage(offset, detail);
                Error::from(damage.sequence(wanted))
            };
            let (order, matches) = examined.map_err(|error| corrupt(error.to_string()))?;
            if order.sequence != wanted {
                return Err(corrupt(
                    "another event stands where this one should".to_owned(),
                ));
            }
            self.next = wanted + 1;
            if matches {
                return Ok(Some(Hit {
                    kind,
                    order,
                    offset,
                    len,
                }));
            }
        }
        Ok(None)
    }

    /// The frames from the next event on, in its segment.
    fn frames(&mut self, shared: &Shared, view: &View) -> Result<Option<&mut Frames>, Error> {
        if self
            .frames
            .as_ref()
            .is_some_and(|frames| self.next < frames.until)
        {
            return Ok(self.frames.as_mut());
        }
        let Some(segment) = view.segment_of(self.next) else {
            return Ok(None);
        };
        let (fs, journal) = (shared.fs.as_ref(), &shared.identity.journal);
        let (frames, _) = shared.in_segment(segment, self.next, |segment| {
            let (offset, ..) = shared.place(segment, self.next, &mut Vec::new())?;
            let file = Arc::clone(&*segment.file(fs, journal, &shared.resident)?);
            let (until, end) = match segment.sealed {
                Some((count, end)) => (segment.first + count, end),
                None => (u64::MAX, file.len()?),
            };
            let mapped =
                shared.resident.maps && segment.sealed.is_some() && file.mapped().is_some();
            Ok(Frames {
                segment: file,
                window: Window::new(offset, end),
                mapped,
                until,
            })
        })?;
        Ok(Some(self.frames.insert(frames)))
    }

    /// The event that [`next_matching`](Self::next_matching) has just come to.
    pub(crate) fn event<'s>(&'s self, journal: &'s JournalId, hit: Hit) -> Option<EventRef<'s>> {
        let frames = self.frames.as_ref()?;
        Some(EventRef {
            kind: hit.kind,
            body: frames.bytes(hit.offset, hit.len),
            order: hit.order,
            journal,
            opened: &[],
            path: &frames.segment.path,
        })
    }
}

/// Type and body of a frame, and where the body stands.
type NextFrame<'f> = (FrameType, &'f [u8], u64);

impl Frames {
    /// The next frame; `None` at the end.
    fn next(&mut self, sequence: u64) -> Result<Option<NextFrame<'_>>, Error> {
        let (at, end) = self.window.place();
        let body_at = at + FRAME_HEADER_LEN as u64;
        let map = self.mapped.then(|| self.segment.mapped()).flatten();
        if let Some(map) = map {
            if at >= end {
                return Ok(None);
            }
            let map = map.get(..end as usize).unwrap_or(map);
            let frame = self
                .segment
                .frame_in(map, at)
                .map_err(|error| match error {
                    Error::Damaged(damage) => damage.sequence(sequence).into(),
                    other => other,
                })?;
            self.window.skip(frame.len);
            return Ok(Some((frame.kind, frame.body, body_at)));
        }
        let segment = &self.segment;
        let file = segment.file.as_ref();
        match FrameReader::over(file, segment.seed, &mut self.window).next() {
            Ok(frame) => {
                let (kind, len) = (frame.kind, frame.body.len());
                Ok(Some((kind, self.window.get(body_at, len), body_at)))
            }
            Err(FrameStop::End) => Ok(None),
            Err(FrameStop::Io(error)) => Err(Error::io("read", &segment.path)(error)),
            Err(FrameStop::Bad(error)) => {
                let damage = Damage::format("segment.corrupt", &segment.path, error);
                Err(damage.at(at).sequence(sequence).into())
            }
        }
    }

    /// Bytes of the frame that was read last.
    fn bytes(&self, offset: u64, len: usize) -> &[u8] {
        match self.mapped.then(|| self.segment.mapped()).flatten() {
            Some(map) => map
                .get(offset as usize..offset as usize + len)
                .unwrap_or_default(),
            None => self.window.get(offset, len),
        }
    }
}

/// Place of an event, and whether the query takes it; decides on facts without touching the payload. What
/// is taken is shown.
pub(super) fn examine(
    query: &Query<'_>,
    kind: FrameType,
    body: &[u8],
    show: impl FnOnce(&EventFrame<'_>),
) -> Result<(Ordering, bool), FormatError> {
    if kind == FrameType::FullStub {
        let order = FullStub::decode(body)?.order;
        return Ok((order, takes_bare(query, &order)));
    }
    let event = EventFrame::decode(kind, body)?;
    let takes = query.takes_time(event.order.recorded_at) && query.takes_facts(&event.facts);
    if takes {
        show(&event);
    }
    Ok((event.order, takes))
}

/// Whether a query takes a full stub that a scan meets.
fn takes_bare(query: &Query<'_>, order: &Ordering) -> bool {
    query.takes_stub(false) && query.takes_time(order.recorded_at)
}
