use std::{collections::VecDeque, sync::Arc};

use factlog_format::{EventFrame, FrameType, FullStub, Ordering, coordinate_key};

use super::{Query, reader::Shared};
use crate::{
    Error, Event,
    index::{Postings, Table},
    segment::{FrameReader, FrameStop, SegmentFile},
    view::View,
};

/// How many events a backwards scan reads at once.
const BACKWARDS: u64 = 256;

/// The events that a query asks for, as they were durable when it was made.
///
/// Ends after the first error.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
    view: Arc<View>,
    query: Query<'static>,
    left: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Not yet begun.
    New,
    /// Through the index.
    Stream(Box<Postings>),
    /// From a sequence up to another, upwards.
    Forwards(Box<Scan>),
    /// From `below` downwards to `from`; the batch is in the order to be given out.
    Backwards {
        from: u64,
        below: u64,
        batch: VecDeque<Event>,
    },
    Done,
}

/// A scan upwards through the segments, a buffer at a time.
#[derive(Debug)]
struct Scan {
    next: u64,
    end: u64,
    frames: Option<Frames>,
}

/// A frame reader that owns the segment it reads.
#[derive(Debug)]
struct Frames {
    segment: Arc<SegmentFile>,
    window: crate::segment::Window,
}

impl Events {
    pub(super) fn new(shared: Arc<Shared>, view: Arc<View>, query: Query<'static>) -> Self {
        let left = query.limit.unwrap_or(u64::MAX);
        Self {
            shared,
            view,
            query,
            left,
            source: Source::New,
        }
    }

    fn begin(&mut self) -> Result<Source, Error> {
        let end = self.query.until.unwrap_or(u64::MAX).min(self.view.durable);
        let from = self.query.from;
        if from >= end {
            return Ok(Source::Done);
        }
        if let Some((scope, entity)) = &self.query.stream {
            let key = coordinate_key(scope, entity);
            let Some(begin) = self
                .shared
                .index_last(&self.view, Table::Coordinate, &key)?
            else {
                return Ok(Source::Done);
            };
            let stream = self.shared.order_of(&self.view, begin, Some(&key))?.stream;
            let range = from..end;
            let postings = self.shared.postings(
                &self.view,
                Table::Stream,
                &stream,
                range,
                self.query.reverse,
            )?;
            return Ok(Source::Stream(Box::new(postings)));
        }
        Ok(if self.query.reverse {
            Source::Backwards {
                from,
                below: end,
                batch: VecDeque::new(),
            }
        } else {
            Source::Forwards(Box::new(Scan {
                next: from,
                end,
                frames: None,
            }))
        })
    }

    fn step(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match &mut self.source {
                Source::New => self.source = self.begin()?,
                Source::Done => return Ok(None),
                Source::Stream(postings) => {
                    let Some(sequence) = postings.next().transpose()? else {
                        return Ok(None);
                    };
                    let Some(event) = self.shared.get(&self.view, sequence)? else {
                        return Err(self.shared.index_is_wrong(sequence).into());
                    };
                    if takes(&self.query, &event) {
                        return Ok(Some(event));
                    }
                }
                Source::Forwards(scan) => {
                    return scan.next_matching(&self.shared, &self.view, &self.query);
                }
                Source::Backwards { from, below, batch } => {
                    if let Some(event) = batch.pop_front() {
                        return Ok(Some(event));
                    }
                    if *below <= *from {
                        return Ok(None);
                    }
                    let start = below.saturating_sub(BACKWARDS).max(*from);
                    let mut scan = Scan {
                        next: start,
                        end: *below,
                        frames: None,
                    };
                    while let Some(event) =
                        scan.next_matching(&self.shared, &self.view, &self.query)?
                    {
                        batch.push_front(event);
                    }
                    *below = start;
                }
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        match self.step().transpose() {
            Some(Ok(event)) => {
                self.left -= 1;
                Some(Ok(event))
            }
            other => {
                self.left = 0;
                other
            }
        }
    }
}

impl Scan {
    fn next_matching(
        &mut self,
        shared: &Shared,
        view: &View,
        query: &Query<'_>,
    ) -> Result<Option<Event>, Error> {
        let journal = shared.identity.journal;
        while self.next < self.end {
            let wanted = self.next;
            let Some(frames) = self.frames(shared, view)? else {
                return Ok(None);
            };
            let segment = Arc::clone(&frames.segment);
            let mut reader =
                FrameReader::over(segment.file.as_ref(), segment.seed, &mut frames.window);
            let at = reader.offset();
            let frame = match reader.next() {
                Ok(frame) => frame,
                Err(FrameStop::End) => {
                    self.frames = None;
                    continue;
                }
                Err(FrameStop::Io(error)) => return Err(Error::io("read", &segment.path)(error)),
                Err(FrameStop::Bad(error)) => {
                    let damage = segment.damage(at, error.to_string());
                    return Err(damage.sequence(wanted).into());
                }
            };
            if frame.kind == FrameType::Commit {
                continue;
            }
            let corrupt = |detail: String| Error::from(segment.damage(at, detail).sequence(wanted));
            let (order, matches) = examine(query, frame.kind, frame.body)
                .map_err(|error| corrupt(error.to_string()))?;
            if order.sequence != wanted {
                return Err(corrupt(
                    "another event stands where this one should".to_owned(),
                ));
            }
            let event = matches
                .then(|| Event::decode(&journal, frame.kind, frame.body.to_vec()))
                .transpose()
                .map_err(|error| corrupt(error.to_string()))?;
            self.next = wanted + 1;
            if view
                .segment_of(self.next)
                .is_none_or(|next| next.path != segment.path)
            {
                self.frames = None;
            }
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The frames from the next event on, in its segment.
    fn frames(&mut self, shared: &Shared, view: &View) -> Result<Option<&mut Frames>, Error> {
        if self.frames.is_none() {
            let Some(segment) = view.segment_of(self.next) else {
                return Ok(None);
            };
            let (fs, journal) = (shared.fs.as_ref(), &shared.identity.journal);
            let (offset, ..) = shared.place(segment, self.next, &mut Vec::new())?;
            let file = Arc::clone(segment.file(fs, journal)?);
            let end = match segment.sealed {
                Some((_, end)) => end,
                None => file.len()?,
            };
            let window = crate::segment::Window::new(offset, end);
            self.frames = Some(Frames {
                segment: file,
                window,
            });
        }
        Ok(self.frames.as_mut())
    }
}

/// Place of an event, and whether the query takes it; decides on facts without touching the payload.
fn examine(
    query: &Query<'_>,
    kind: FrameType,
    body: &[u8],
) -> Result<(Ordering, bool), factlog_format::FormatError> {
    if kind == FrameType::FullStub {
        let order = FullStub::decode(body)?.order;
        return Ok((
            order,
            !query.asks_facts() && query.takes_time(order.recorded_at),
        ));
    }
    let event = EventFrame::decode(kind, body)?;
    let takes = query.takes_time(event.order.recorded_at) && query.takes_facts(&event.facts);
    Ok((event.order, takes))
}

fn takes(query: &Query<'_>, event: &Event) -> bool {
    query.takes_time(event.recorded_at())
        && match event.facts() {
            Some(facts) => query.takes_facts(&facts),
            None => !query.asks_facts(),
        }
}
