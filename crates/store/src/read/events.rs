use std::{borrow::Cow, collections::VecDeque, ops::Range, sync::Arc};

use factlog_format::{EventFrame, FrameType, FullStub, Ordering, StreamId, coordinate_key};

use super::{Query, reader::Shared};
use crate::{
    Damage, Error, Event,
    index::{Postings, Table, kind_key, tag_key},
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
    Found(Box<Merged>),
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

/// The sequences of several keys in one order, each once.
#[derive(Debug)]
struct Merged {
    sources: Vec<(Option<u64>, Postings)>,
    reverse: bool,
    begun: bool,
    /// The one stream that all of them are of, where nothing else is asked for.
    stream: Option<StreamId>,
}

impl Merged {
    fn new(postings: Vec<Postings>, reverse: bool) -> Self {
        Self {
            sources: postings.into_iter().map(|one| (None, one)).collect(),
            reverse,
            begun: false,
            stream: None,
        }
    }

    fn next(&mut self) -> Result<Option<u64>, Error> {
        if let [(_, only)] = self.sources.as_mut_slice() {
            return only.next().transpose();
        }
        if !self.begun {
            self.begun = true;
            for (head, postings) in &mut self.sources {
                *head = postings.next().transpose()?;
            }
        }
        let heads = self.sources.iter().filter_map(|(head, _)| *head);
        let next = if self.reverse {
            heads.max()
        } else {
            heads.min()
        };
        if next.is_some() {
            for (head, postings) in &mut self.sources {
                // A key can have one event twice.
                while *head == next {
                    *head = postings.next().transpose()?;
                }
            }
        }
        Ok(next)
    }
}

impl Events {
    pub(crate) fn new(shared: Arc<Shared>, view: Arc<View>, query: Query<'static>) -> Self {
        let left = query.limit.unwrap_or(u64::MAX);
        Self {
            shared,
            view,
            query,
            left,
            source: Source::New,
        }
    }

    /// Where the journal ended when these events were asked for: a decision that rests on them rests on
    /// nothing that stands before this sequence and isn't among them. So it is what
    /// [`Query::from`] of a [`Condition`](crate::Condition) wants.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.view.durable
    }

    fn begin(&mut self) -> Result<Source, Error> {
        let end = self.query.until.unwrap_or(u64::MAX).min(self.view.durable);
        let from = self.query.from;
        if from >= end {
            return Ok(Source::Done);
        }
        if let Some(found) = self.through_index(from..end)? {
            return Ok(Source::Found(Box::new(found)));
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

    /// The places where the index has events that the query may take; `None` where it is no help.
    fn through_index(&self, range: Range<u64>) -> Result<Option<Merged>, Error> {
        let one_stream = self.query.one_stream().is_some();
        if !one_stream && !self.shared.is_indexed(&self.view) {
            return Ok(None);
        }
        let mut keys = Vec::new();
        for item in self.query.items() {
            if !item.streams.is_empty() {
                for (scope, entity) in &item.streams {
                    keys.extend(self.stream_key(scope, entity)?);
                }
            } else if !item.tags.is_empty() {
                keys.push((Table::Tag, self.rarest(&item.tags)?));
            } else if !item.kinds.is_empty() {
                let kinds = item.kinds.iter();
                keys.extend(kinds.map(|kind| (Table::Kind, kind_key(kind))));
            } else {
                return Ok(None);
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let reverse = self.query.reverse;
        let postings = keys.iter().map(|(table, key)| {
            let range = range.clone();
            self.shared
                .postings(&self.view, *table, key, range, reverse)
        });
        let mut found = Merged::new(postings.collect::<Result<_, _>>()?, reverse);
        if one_stream && !self.query.asks_facts() {
            found.stream = keys.first().map(|(_, stream)| *stream);
        }
        Ok(Some(found))
    }

    fn stream_key(&self, scope: &str, entity: &str) -> Result<Option<(Table, [u8; 16])>, Error> {
        let (shared, view) = (&self.shared, &self.view);
        let key = coordinate_key(scope, entity);
        let Some(begin) = shared.index_last(view, Table::Coordinate, &key)? else {
            return Ok(None);
        };
        let stream = shared.order_of(view, begin, Some(&key))?.stream;
        Ok(Some((Table::Stream, stream)))
    }

    /// The key of the tag that the fewest events have.
    fn rarest(&self, tags: &[Cow<'_, str>]) -> Result<[u8; 16], Error> {
        let mut best: Option<(u64, [u8; 16])> = None;
        for tag in tags {
            let key = tag_key(tag);
            if tags.len() == 1 {
                return Ok(key);
            }
            let count = self.shared.count(&self.view, Table::Tag, &key)?;
            if best.is_none_or(|(least, _)| count < least) {
                best = Some((count, key));
            }
        }
        Ok(best.map_or([0; 16], |(_, key)| key))
    }

    fn step(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match &mut self.source {
                Source::New => self.source = self.begin()?,
                Source::Done => return Ok(None),
                Source::Found(found) => {
                    let Some(sequence) = found.next()? else {
                        return Ok(None);
                    };
                    let Some(event) = self.shared.get(&self.view, sequence)? else {
                        return Err(self.shared.index_is_wrong(sequence).into());
                    };
                    let takes = match found.stream {
                        // Cheaper than a look at the facts, and says as much.
                        Some(stream) if event.stream_id() != stream => {
                            return Err(self.shared.index_is_wrong(sequence).into());
                        }
                        Some(_) => self.query.takes_time(event.recorded_at()),
                        None => takes(&self.query, &event),
                    };
                    if takes {
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
        let facts_only = self.query.facts_only;
        let event = self.step().transpose();
        let event = event.map(|event| match event {
            Ok(event) if facts_only => {
                let sequence = event.sequence();
                let shared = &self.shared;
                event.into_facts().map_err(|error| {
                    let path = shared.layout.segments();
                    Damage::format("segment.corrupt", &path, error)
                        .sequence(sequence)
                        .into()
                })
            }
            event => event,
        });
        match event {
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
            query.takes_stub(false) && query.takes_time(order.recorded_at),
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
            None => query.takes_stub(query.one_stream().is_some()),
        }
}
