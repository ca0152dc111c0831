use std::{collections::VecDeque, ops::Range, sync::Arc};

use factlog_format::{
    ErasureLevel, EventFrame, FRAME_HEADER_LEN, FrameType, FullStub, Ordering, StreamId,
    coordinate_key,
};

use super::{
    Item, Query,
    reader::{Located, Shared},
};
use crate::{
    Damage, Error, Event, EventRef,
    event::Opened,
    index::{Postings, Table, keys_of_category, kind_key},
    read::view::View,
    segment::{FrameReader, FrameStop, SegmentFile},
};

/// If more than one in so many events is wanted, all are looked at in turn: a read by position takes as long
/// as passing over some events.
const DENSE: u64 = 4;

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
    /// The event that was lent last, where it doesn't stand in a scan's buffer.
    current: Option<Event>,
    /// What events are read into that the index leads to, and where the one that was lent last is.
    buffer: Vec<u8>,
    located: Option<Located>,
    /// What opening the sections of the one that was lent last came to.
    opened: Vec<Opened>,
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

/// A scan upwards through the segments, a buffer at a time or in their maps.
#[derive(Debug)]
struct Scan {
    next: u64,
    end: u64,
    frames: Option<Frames>,
}

/// The segment that is being read, and where in it.
#[derive(Debug)]
struct Frames {
    segment: Arc<SegmentFile>,
    window: crate::segment::Window,
    mapped: bool,
    /// One past the last sequence that stands in it.
    until: u64,
}

/// An event that a scan has come to.
#[derive(Clone, Copy, Debug)]
struct Hit {
    kind: FrameType,
    order: Ordering,
    /// Where its body stands in the segment.
    offset: u64,
    len: usize,
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
            current: None,
            buffer: Vec::new(),
            located: None,
            opened: Vec::new(),
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
        let Range { start: from, end } = self.within_times(from..end);
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

    /// The part of a range in which the query's times can be: they never fall from event to event.
    fn within_times(&self, range: Range<u64>) -> Range<u64> {
        let first = |time: Option<i64>| {
            let (shared, range) = (&self.shared, range.clone());
            // Where an event can't be read, each is looked at instead.
            shared.first_recorded_from(&self.view, range, time?).ok()
        };
        let start = first(self.query.recorded_from).unwrap_or(range.start);
        start..first(self.query.recorded_until).unwrap_or(range.end)
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
            } else if !item.tags.is_empty() || item.correlation.is_some() {
                keys.push((Table::Tag, self.rarest(item)?));
            } else if !item.kinds.is_empty() {
                let kinds = item.kinds.iter();
                keys.extend(kinds.map(|kind| (Table::Kind, kind_key(kind))));
            } else if let Some(category) = &item.category {
                self.kinds_of(category, &mut keys)?;
            } else {
                return Ok(None);
            }
        }
        keys.sort_unstable();
        keys.dedup();
        if !one_stream && self.is_cheaper_scanned(&keys, &range)? {
            return Ok(None);
        }
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

    /// Whether so many of a range's events are found by these keys that looking at each event in turn, which
    /// reads ahead, costs less than reading those one by one. A limit may end the latter soon.
    fn is_cheaper_scanned(
        &self,
        keys: &[(Table, [u8; 16])],
        range: &Range<u64>,
    ) -> Result<bool, Error> {
        let events = range.end - range.start;
        let wanted = self.query.limit.unwrap_or(u64::MAX);
        let mut found = 0;
        for (table, key) in keys {
            found += self.shared.count(&self.view, *table, key)?;
            if found.min(wanted) > events / DENSE {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn stream_key(&self, scope: &str, entity: &str) -> Result<Option<(Table, [u8; 16])>, Error> {
        let (shared, view) = (&self.shared, &self.view);
        let key = coordinate_key(scope, entity);
        let Some(begin) = shared.index_last(view, Table::Coordinate, &key)? else {
            return Ok(None);
        };
        let stream = shared.stream_of(view, begin, &key)?;
        Ok(Some((Table::Stream, stream)))
    }

    /// The keys of the kinds of a category that events have.
    fn kinds_of(&self, category: &str, keys: &mut Vec<(Table, [u8; 16])>) -> Result<(), Error> {
        let wanted = keys_of_category(category);
        for kind in self.shared.keys(&self.view, Table::Kind)? {
            let (kind, ..) = kind?;
            if kind > *wanted.end() {
                break;
            }
            if wanted.contains(&kind) {
                keys.push((Table::Kind, kind));
            }
        }
        Ok(())
    }

    /// The key of the tag, or correlation id, that the fewest events have.
    fn rarest(&self, item: &Item<'_>) -> Result<[u8; 16], Error> {
        let keys: Vec<_> = item.tag_keys().collect();
        if let [only] = keys[..] {
            return Ok(only);
        }
        let mut best: Option<(u64, [u8; 16])> = None;
        for key in keys {
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
                    let hit = scan.next_matching(&self.shared, &self.view, &self.query)?;
                    let journal = &self.shared.identity.journal;
                    let event = hit.and_then(|hit| scan.event(journal, hit));
                    let event = event.map(|event| event.to_event()).transpose()?;
                    let left = event.map(|event| left_of(&self.shared, &self.view, event));
                    return left.transpose();
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
                    let (shared, view, query) = (&self.shared, &self.view, &self.query);
                    while let Some(hit) = scan.next_matching(shared, view, query)? {
                        let event = scan.event(&shared.identity.journal, hit);
                        let event = event.map(|event| event.to_event()).transpose()?;
                        let left = event.map(|event| left_of(shared, view, event));
                        batch.extend(left.transpose()?);
                    }
                    batch.make_contiguous().reverse();
                    *below = start;
                }
            }
        }
    }

    /// The next event where it stands, without a copy: for scans that look at every event and keep few.
    /// It may be mixed with [`next`](Iterator::next). That a query asks for [facts
    /// only](Query::facts_only) changes nothing here.
    ///
    /// ```
    /// use factlog::{Journal, NewEvent, Query};
    ///
    /// let journal = Journal::in_memory()?;
    /// journal.append(NewEvent::new("bank", "account-7", "account.opened"))?;
    /// let mut events = journal.reader().read(Query::all());
    /// let mut accounts = 0;
    /// while let Some(event) = events.next_ref()? {
    ///     accounts += u64::from(event.facts()?.is_some_and(|facts| facts.kind == "account.opened"));
    /// }
    /// assert_eq!(accounts, 1);
    /// # Ok::<(), factlog::Error>(())
    /// ```
    ///
    /// # Errors
    /// As those that the iterator gives; it has ended then.
    pub fn next_ref(&mut self) -> Result<Option<EventRef<'_>>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        if matches!(self.source, Source::New) {
            match self.begin() {
                Ok(source) => self.source = source,
                Err(error) => {
                    self.left = 0;
                    return Err(error);
                }
            }
        }
        // After an error nothing is left.
        let left = std::mem::take(&mut self.left);
        let (shared, view) = (&self.shared, &*self.view);
        let copied = |event| Some(Lent::Copied(Box::new(event)));
        // What has something taken from it can't be lent where it stands.
        let found = match &mut self.source {
            Source::Forwards(scan) => {
                let hit = scan.next_matching(shared, view, &self.query)?;
                match hit.filter(|hit| shared.erasures.taken(hit.order.sequence).is_some()) {
                    None => hit.map(Lent::Scanned),
                    Some(hit) => match scan.event(&shared.identity.journal, hit) {
                        Some(event) => copied(left_of(shared, view, event.to_event()?)?),
                        None => None,
                    },
                }
            }
            Source::Found(found) => {
                let next = next_found(found, shared, view, &self.query, &mut self.buffer)?;
                match next.as_ref().map(|(_, order)| order.sequence) {
                    Some(at) if shared.erasures.taken(at).is_some() => {
                        shared.get(view, at)?.and_then(copied)
                    }
                    _ => next.map(Lent::Found),
                }
            }
            _ => self.step()?.map(|event| Lent::Copied(Box::new(event))),
        };
        let Some(found) = found else {
            return Ok(None);
        };
        self.left = left - 1;
        let (journal, dir) = (&self.shared.identity.journal, &self.shared.layout.dir);
        let mut event = match (found, &self.source) {
            (Lent::Scanned(hit), Source::Forwards(scan)) => scan.event(journal, hit),
            (Lent::Scanned(_), _) => None,
            (Lent::Found((located, order)), _) => {
                let located = &*self.located.insert(located);
                Some(EventRef {
                    kind: located.kind,
                    body: located.body(&self.view, &self.buffer),
                    order,
                    journal,
                    opened: &[],
                    path: located
                        .segment(&self.view)
                        .map_or(dir, |segment| &segment.path),
                })
            }
            (Lent::Copied(event), _) => Some(self.current.insert(*event).as_event_ref(dir)),
        };
        if let Some(event) = event.as_mut().filter(|_| self.shared.is_encrypted) {
            // What can't be decoded is told of by whoever looks at it.
            let frame = event.frame().ok().flatten();
            let (shared, view) = (&self.shared, &self.view);
            shared.open_sections(view, frame.as_ref(), &mut self.opened);
            event.opened = &self.opened;
        }
        Ok(event)
    }
}

/// How an event is lent.
enum Lent {
    Scanned(Hit),
    Found((Located, Ordering)),
    Copied(Box<Event>),
}

/// The next event that the index leads to and the query takes, where it stands.
fn next_found(
    found: &mut Merged,
    shared: &Shared,
    view: &View,
    query: &Query<'_>,
    buffer: &mut Vec<u8>,
) -> Result<Option<(Located, Ordering)>, Error> {
    while let Some(sequence) = found.next()? {
        let wrong = || Error::from(shared.index_is_wrong(sequence));
        let located = shared.locate(view, sequence, buffer)?.ok_or_else(wrong)?;
        let body = located.body(view, buffer);
        let examined = match found.stream {
            // Cheaper than a look at the facts, and says as much.
            Some(_) => {
                Ordering::peek(body).map(|order| (order, query.takes_time(order.recorded_at)))
            }
            None => examine(query, located.kind, body),
        };
        let (order, takes) = examined.map_err(|error| shared.corrupt(view, sequence, error))?;
        if found.stream.is_some_and(|stream| order.stream != stream) {
            return Err(wrong());
        }
        if takes {
            return Ok(Some((located, order)));
        }
    }
    Ok(None)
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
            Ok(event) => Ok(self.shared.opened(&self.view, event)),
            failed => failed,
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
                examine(query, kind, body)
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
                window: crate::segment::Window::new(offset, end),
                mapped,
                until,
            })
        })?;
        Ok(Some(self.frames.insert(frames)))
    }

    /// The event that [`next_matching`](Self::next_matching) has just come to.
    fn event<'s>(
        &'s self,
        journal: &'s factlog_format::JournalId,
        hit: Hit,
    ) -> Option<EventRef<'s>> {
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
                let damage = segment.damage(at, error.to_string());
                Err(damage.sequence(sequence).into())
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

/// Place of an event, and whether the query takes it; decides on facts without touching the payload.
fn examine(
    query: &Query<'_>,
    kind: FrameType,
    body: &[u8],
) -> Result<(Ordering, bool), factlog_format::FormatError> {
    if kind == FrameType::FullStub {
        let order = FullStub::decode(body)?.order;
        return Ok((order, takes_bare(query, &order)));
    }
    let event = EventFrame::decode(kind, body)?;
    let takes = query.takes_time(event.order.recorded_at) && query.takes_facts(&event.facts);
    Ok((event.order, takes))
}

/// Whether a query takes a full stub that a scan meets.
fn takes_bare(query: &Query<'_>, order: &Ordering) -> bool {
    query.takes_stub(false) && query.takes_time(order.recorded_at)
}

/// What erasures leave of an event that a scan gave.
fn left_of(shared: &Shared, view: &View, event: Event) -> Result<Event, Error> {
    let sequence = event.sequence();
    let left = shared.left_of(event);
    left.map_err(|error| shared.corrupt(view, sequence, error))
}

fn takes(query: &Query<'_>, event: &Event) -> bool {
    query.takes_time(event.recorded_at())
        && match event.facts() {
            Some(facts) => query.takes_facts(&facts),
            None => query.takes_stub(query.one_stream().is_some()),
        }
}
