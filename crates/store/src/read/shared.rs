//! What a journal's writer and readers share, and how the event of a sequence is found and looked at.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use factlog_format::{
    EventFrame, FRAME_HEADER_LEN, FormatError, FrameType, FullStub, Identity, Ordering, SectionRow,
    StreamId, coordinate_key,
};
use factlog_fs::StoreFs;
use uuid::Uuid;

use crate::{
    Damage, Error, Event,
    commit::Head,
    compact::{Erasures, body_of, stub_of},
    config::{Bug, planted},
    event::Opened,
    follow::Followers,
    index::Table,
    keys::{Keys, Sealed},
    layout::Layout,
    read::view::{Resident, Segment, View},
    recover::{Follower, UNSUPPORTED},
    segment::SegmentFile,
    signer::KeyHistory,
};

/// What the writer and all readers of a journal share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) fs: Arc<dyn StoreFs>,
    pub(crate) layout: Layout,
    pub(crate) identity: Identity,
    /// The keys that the journal itself names.
    pub(crate) keys: ArcSwap<KeyHistory>,
    pub(crate) view: ArcSwap<View>,
    /// How a journal without a writer here finds what was written since; `None` with a writer.
    pub(crate) follower: Option<Follower>,
    /// Who follows it in this process.
    pub(crate) followers: Arc<Followers>,
    /// What the open had to work around.
    pub(crate) damage: Vec<Damage>,
    pub(crate) resident: Resident,
    /// The keyset of an encrypted journal.
    pub(crate) secrets: Option<Arc<Keys>>,
    pub(crate) is_encrypted: bool,
    /// What is taken of events though files may still hold it.
    pub(crate) erasures: Erasures,
    /// Whether offsets led elsewhere, so that their files are to be written again.
    pub(crate) rescanned: AtomicBool,
}

/// Where the body of an event is.
#[derive(Clone, Debug)]
pub(super) struct Located {
    /// Which of the view's segments.
    segment: usize,
    /// The one that took its place, if it is gone.
    newer: Option<Arc<Segment>>,
    mapped: bool,
    pub(super) kind: FrameType,
    body: Range<usize>,
}

impl Located {
    /// The body, out of the map or the buffer.
    pub(super) fn body<'b>(&'b self, view: &'b View, buffer: &'b [u8]) -> &'b [u8] {
        let bytes = match self.mapped {
            true => self.segment(view).and_then(|segment| segment.mapped()),
            false => Some(buffer),
        };
        let body = bytes.and_then(|bytes| bytes.get(self.body.clone()));
        body.unwrap_or_default()
    }

    pub(super) fn segment<'v>(&'v self, view: &'v View) -> Option<&'v Segment> {
        match &self.newer {
            Some(newer) => Some(newer),
            None => view.segments.get(self.segment).map(|segment| &**segment),
        }
    }
}

/// Offset, type and range of the body.
type Place = (u64, FrameType, Range<usize>);

fn frame_at(
    file: &SegmentFile,
    (offset, most): (u64, Option<u64>),
    sequence: u64,
    buffer: &mut Vec<u8>,
) -> Result<(FrameType, Range<usize>), Error> {
    let (kind, body) = match most.and_then(|most| usize::try_from(most).ok()) {
        Some(most) => file.read_frame_of(offset, most, buffer)?,
        None => file.read_frame(offset, buffer)?,
    };
    if kind == FrameType::Commit {
        let detail = "a commit header stands where an event should";
        return Err(file.damage(offset, detail).sequence(sequence).into());
    }
    // An event's body starts with 8 bytes and then its sequence.
    let at = body.start + 8;
    let found = buffer
        .get(at..at + 8)
        .and_then(|bytes| bytes.try_into().ok());
    if found.map(u64::from_le_bytes) != Some(sequence) {
        let detail = "another event stands where this one should";
        return Err(file.damage(offset, detail).sequence(sequence).into());
    }
    debug_assert_eq!(body.start, FRAME_HEADER_LEN);
    Ok((kind, body))
}

impl Shared {
    /// Where an event stands, with its frame. Offsets are derived and unchecked: one that leads
    /// elsewhere says no more than that the segment has to be scanned.
    pub(super) fn place(
        &self,
        segment: &Segment,
        sequence: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<Place, Error> {
        let (fs, journal) = (self.fs.as_ref(), &self.identity.journal);
        let mut look = || {
            let extent = segment.extent(fs, journal, &self.resident, sequence)?;
            let file = segment.file(fs, journal, &self.resident)?;
            let (kind, body) = frame_at(&file, extent, sequence, buffer)?;
            Ok((extent.0, kind, body))
        };
        match look() {
            Err(Error::Damaged(damage)) if damage.code != UNSUPPORTED => {
                segment.rescan(fs, journal, &self.resident)?;
                self.rescanned.store(true, Relaxed);
                look()
            }
            found => found,
        }
    }

    /// Has the body of a durable event looked at where it stands, in a map if there is one.
    pub(crate) fn look<T>(
        &self,
        view: &View,
        sequence: u64,
        buffer: &mut Vec<u8>,
        look: impl FnOnce(FrameType, &[u8]) -> Result<T, FormatError>,
    ) -> Result<Option<T>, Error> {
        let Some(found) = self.locate(view, sequence, buffer)? else {
            return Ok(None);
        };
        let body = found.body(view, buffer);
        let taken = self.erasures.taken(sequence);
        let stub = taken.map(|level| stub_of(found.kind, body, level));
        let stub = stub.transpose().map(Option::flatten);
        let stub = stub.map_err(|error| self.corrupt(view, sequence, error))?;
        let seen = match &stub {
            Some((kind, frame)) => look(*kind, body_of(frame)),
            None => look(found.kind, body),
        };
        seen.map(Some)
            .map_err(|error| self.corrupt(view, sequence, error))
    }

    /// Damage to the event of a sequence.
    pub(super) fn corrupt(&self, view: &View, sequence: u64, error: FormatError) -> Error {
        let segment = view.segment_of(sequence);
        let segments = self.layout.segments();
        let path = segment.map_or(&segments, |segment| &segment.path);
        Damage::format("segment.corrupt", path, error)
            .sequence(sequence)
            .into()
    }

    /// Finds the body of a durable event: in a map if there is one, or else in the buffer, into which it
    /// is read.
    pub(super) fn locate(
        &self,
        view: &View,
        sequence: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Located>, Error> {
        let Some(at) = view.place_of(sequence) else {
            return Ok(None);
        };
        let Some(segment) = view.segments.get(at) else {
            return Ok(None);
        };
        let ((mapped, kind, body), newer) = self.in_segment(segment, sequence, |segment| {
            if let Some((kind, body)) = self.in_map(segment, sequence)? {
                return Ok((true, kind, body));
            }
            let (_, kind, body) = self.place(segment, sequence, buffer)?;
            Ok((false, kind, body))
        })?;
        Ok(Some(Located {
            segment: at,
            newer,
            mapped,
            kind,
            body,
        }))
    }

    /// Does something with the segment of an event. Where its file is gone, since compaction has put
    /// another in its place after the view was made, it is done with that one, which is given too.
    pub(super) fn in_segment<T>(
        &self,
        segment: &Arc<Segment>,
        sequence: u64,
        mut work: impl FnMut(&Segment) -> Result<T, Error>,
    ) -> Result<(T, Option<Arc<Segment>>), Error> {
        let mut newer: Option<Arc<Segment>> = None;
        loop {
            let segment = newer.as_ref().unwrap_or(segment);
            let gone = match work(segment) {
                Err(Error::Damaged(damage)) if damage.code == "segment.missing" => damage,
                done => return done.map(|done| (done, newer)),
            };
            if let Some(follower) = &self.follower {
                follower.look_for_compacted(self)?;
            }
            let view = self.view.load_full();
            let now = view.segment_of(sequence);
            match now.filter(|now| now.generation != segment.generation) {
                Some(now) => newer = Some(Arc::clone(now)),
                None => return Err(gone.into()),
            }
        }
    }

    /// An event's body in the map of its segment; `None` where there is no map, or no such event at the
    /// place that its offset leads to, so that a closer look has to say why.
    fn in_map(
        &self,
        segment: &Segment,
        sequence: u64,
    ) -> Result<Option<(FrameType, Range<usize>)>, Error> {
        if !self.resident.maps || segment.sealed.is_none() {
            return Ok(None);
        }
        let (fs, journal) = (self.fs.as_ref(), &self.identity.journal);
        let file = segment.file(fs, journal, &self.resident)?;
        let Some(map) = file.mapped() else {
            return Ok(None);
        };
        let Ok(offset) = segment.offset(fs, journal, &self.resident, sequence) else {
            return Ok(None);
        };
        let start = offset as usize + FRAME_HEADER_LEN;
        Ok(file.frame_in(map, offset).ok().and_then(|frame| {
            let is_it = Ordering::peek(frame.body).is_ok_and(|order| order.sequence == sequence);
            let body = start..start + frame.body.len();
            (is_it && frame.kind != FrameType::Commit).then_some((frame.kind, body))
        }))
    }

    pub(crate) fn get(&self, view: &View, sequence: u64) -> Result<Option<Event>, Error> {
        let event = self.stored(view, sequence)?;
        let left = event.map(|event| self.left_of(event)).transpose();
        left.map_err(|error| self.corrupt(view, sequence, error))
    }

    /// As [`get`](Self::get), whatever erasures leave of it that aren't completed.
    pub(crate) fn stored(&self, view: &View, sequence: u64) -> Result<Option<Event>, Error> {
        let mut buffer = Vec::new();
        let Some(found) = self.locate(view, sequence, &mut buffer)? else {
            return Ok(None);
        };
        let body = if found.mapped {
            found.body(view, &buffer).to_vec()
        } else {
            // What was read for this event alone becomes its memory.
            buffer.truncate(found.body.end);
            buffer.drain(..found.body.start);
            buffer
        };
        Event::decode(&self.identity.journal, found.kind, body)
            .map(Some)
            .map_err(|error| self.corrupt(view, sequence, error))
    }

    /// Whether nothing but an event's spine stands in its segment.
    pub(crate) fn is_bare(&self, view: &View, sequence: u64) -> Result<bool, Error> {
        if planted(Bug::BeginningGone) {
            return Ok(false);
        }
        // Only where a segment was written anew is anything missing.
        if let Some(segment) = view.segment_of(sequence) {
            let (fs, journal) = (self.fs.as_ref(), &self.identity.journal);
            let rewritten = self.in_segment(segment, sequence, |segment| {
                let file = segment.file(fs, journal, &self.resident)?;
                Ok(!file.header.inputs.is_empty())
            })?;
            if !rewritten.0 {
                return Ok(false);
            }
        }
        let found = self.locate(view, sequence, &mut Vec::new())?;
        Ok(found.is_some_and(|found| found.kind == FrameType::FullStub))
    }

    /// What erasures leave of an event.
    pub(super) fn left_of(&self, event: Event) -> Result<Event, FormatError> {
        match self.erasures.taken(event.sequence()) {
            Some(level) => event.without(level),
            None => Ok(event),
        }
    }

    /// The event with its encrypted sections opened, as far as they can be.
    pub(crate) fn opened(self: &Arc<Self>, view: &Arc<View>, mut event: Event) -> Event {
        if self.is_encrypted {
            let mut opened = Vec::new();
            self.open_sections(view, event.frame().as_ref(), &mut opened);
            event.set_opened(opened);
        }
        event
    }

    /// What opening each of an event's sections comes to.
    pub(crate) fn open_sections(
        self: &Arc<Self>,
        view: &Arc<View>,
        frame: Option<&EventFrame<'_>>,
        opened: &mut Vec<Opened>,
    ) {
        let Some(frame) = frame else {
            opened.clear();
            return;
        };
        match &self.secrets {
            Some(secrets) => secrets.open_sections(self, view, frame, opened),
            None => {
                opened.clear();
                let not_built = |row: SectionRow<'_>| row.sealed.map(|_| Err(Sealed::NotBuilt));
                opened.extend(frame.sections().map(|(row, _)| not_built(row)));
            }
        }
    }

    /// The sequence of an event's id, checked against the event itself.
    pub(crate) fn sequence_of_id(&self, view: &View, id: Uuid) -> Result<Option<u64>, Error> {
        let event = self.event_of_id(view, id)?;
        Ok(event.map(|event| event.sequence()))
    }

    /// The event of an id, as it is stored.
    pub(crate) fn event_of_id(&self, view: &View, id: Uuid) -> Result<Option<Event>, Error> {
        let event = self.holder_of_id(view, id)?;
        Ok(event.filter(|event| event.id().is_some()))
    }

    /// What is left of the event that keeps others from having an id: until nothing but its spine is stored,
    /// since a hold may yet keep it.
    pub(crate) fn holder_of_id(&self, view: &View, id: Uuid) -> Result<Option<Event>, Error> {
        let Some(sequence) = self.index_last(view, Table::Id, id.as_bytes())? else {
            return Ok(None);
        };
        let event = self.stored(view, sequence)?;
        match event.as_ref().map(Event::id) {
            Some(Some(found)) if found == id => {
                let left = event.map(|event| self.left_of(event)).transpose();
                left.map_err(|error| self.corrupt(view, sequence, error))
            }
            // A full stub has given its id up.
            Some(None) => Ok(None),
            _ => Err(self.index_is_wrong(sequence).into()),
        }
    }

    /// The head of a stream, checked against the event itself.
    pub(crate) fn head(&self, view: &View, coordinate: &[u8; 16]) -> Result<Option<Head>, Error> {
        let Some(begin) = self.index_last(view, Table::Coordinate, coordinate)? else {
            return Ok(None);
        };
        let stream = self.stream_of(view, begin, coordinate)?;
        let last = self
            .index_last(view, Table::Stream, &stream)?
            .unwrap_or(begin);
        let head = self.order_of(view, last, Some(coordinate))?;
        if head.stream != stream {
            return Err(self.index_is_wrong(last).into());
        }
        Ok(Some(head))
    }

    /// Place and hash of an event, which must be of the coordinate given, if it still tells.
    pub(crate) fn order_of(
        &self,
        view: &View,
        sequence: u64,
        coordinate: Option<&[u8; 16]>,
    ) -> Result<Head, Error> {
        let journal = &self.identity.journal;
        let found = self.look(view, sequence, &mut Vec::new(), |kind, body| {
            if kind == FrameType::FullStub {
                let stub = FullStub::decode(body)?;
                return Ok((stub.order, stub.event_hash(journal), None));
            }
            let event = EventFrame::decode(kind, body)?;
            let found = coordinate_key(event.facts.scope, event.facts.entity);
            Ok((event.order, event.event_hash(journal), Some(found)))
        });
        let Some((order, hash, found)) = found? else {
            return Err(self.index_is_wrong(sequence).into());
        };
        if let (Some(wanted), Some(found)) = (coordinate, found)
            && *wanted != found
        {
            return Err(self.index_is_wrong(sequence).into());
        }
        Ok(Head {
            stream: order.stream,
            revision: order.revision,
            sequence: order.sequence,
            recorded_at: order.recorded_at,
            hash,
            is_bare: found.is_none(),
        })
    }

    /// The stream of an event, which must be of the coordinate given, if it still tells.
    pub(crate) fn stream_of(
        &self,
        view: &View,
        sequence: u64,
        coordinate: &[u8; 16],
    ) -> Result<StreamId, Error> {
        let found = self.look(view, sequence, &mut Vec::new(), |kind, body| {
            if kind == FrameType::FullStub {
                return Ok((FullStub::decode(body)?.order.stream, true));
            }
            let event = EventFrame::decode(kind, body)?;
            let found = coordinate_key(event.facts.scope, event.facts.entity);
            Ok((event.order.stream, found == *coordinate))
        });
        match found? {
            Some((stream, true)) => Ok(stream),
            _ => Err(self.index_is_wrong(sequence).into()),
        }
    }

    pub(crate) fn index_is_wrong(&self, sequence: u64) -> Damage {
        let detail = "the index names an event that is another one";
        Damage::new("derived.index", &self.layout.index(), detail).sequence(sequence)
    }
}
