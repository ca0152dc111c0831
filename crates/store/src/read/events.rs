use std::{collections::VecDeque, ops::Range, sync::Arc};

use factlog_format::{EventFrame, Ordering, coordinate_key};

use super::{
    Item, Query,
    merged::Merged,
    scan::{Hit, Scan},
    shared::{Located, Shared},
};
use crate::{
    Damage, Error, Event, EventRef,
    event::Opened,
    index::{Table, keys_of_category, kind_key},
    read::view::View,
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
            Source::Forwards(Box::new(Scan::new(from..end)))
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
            // As many of them are taken to stand in this range as in any other of its length.
            let here =
                u128::from(found) * u128::from(events) / u128::from(self.view.durable.max(1));
            if here.min(wanted.into()) > u128::from(events / DENSE) {
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
                    let hit = scan.next_matching(&self.shared, &self.view, &self.query, |_| ())?;
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
                    let mut scan = Scan::new(start..*below);
                    let (shared, view, query) = (&self.shared, &self.view, &self.query);
                    while let Some(hit) = scan.next_matching(shared, view, query, |_| ())? {
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
    /// It may be mixed with [`next`](Iterator::next). Where a query asks for [facts
    /// only](Query::facts_only), nothing is decrypted.
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
        let (shared, view) = (&self.shared, &self.view);
        let copied = |event| Some(Lent::Copied(Box::new(event)));
        let opens = shared.is_encrypted && !self.query.facts_only;
        let mut is_opened = false;
        // What has something taken from it can't be lent where it stands.
        let found = match &mut self.source {
            Source::Forwards(scan) => {
                // To decode it once more for that would cost as much as to find it.
                let open = |frame: &EventFrame<'_>| {
                    if opens {
                        shared.open_sections(view, Some(frame), &mut self.opened);
                        is_opened = true;
                    }
                };
                let hit = scan.next_matching(shared, view, &self.query, open)?;
                match hit.filter(|hit| shared.erasures.taken(hit.order.sequence).is_some()) {
                    None => hit.map(Lent::Scanned),
                    Some(hit) => match scan.event(&shared.identity.journal, hit) {
                        Some(event) => {
                            is_opened = false;
                            copied(left_of(shared, view, event.to_event()?)?)
                        }
                        None => None,
                    },
                }
            }
            Source::Found(found) => {
                let buffer = &mut self.buffer;
                let next = found.next_located(shared, view, &self.query, buffer)?;
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
        if let Some(event) = event.as_mut().filter(|_| opens) {
            if !is_opened {
                // What can't be decoded is told of by whoever looks at it.
                let frame = event.frame().ok().flatten();
                let (shared, view) = (&self.shared, &self.view);
                shared.open_sections(view, frame.as_ref(), &mut self.opened);
            }
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

#[cfg(test)]
mod tests {
    use super::{Query, Source};
    use crate::{Journal, NewEvent};

    #[test]
    fn a_part_of_the_journal_is_read_through_the_index_where_the_whole_would_be() {
        let journal = Journal::in_memory().unwrap();
        let kind = |at: usize| {
            if at.is_multiple_of(10) {
                "rare"
            } else {
                "often"
            }
        };
        let events = (0..1000).map(|at| NewEvent::new("s", "e", kind(at)));
        journal.append_batch(&events.collect::<Vec<_>>()).unwrap();
        let source = |kind: &'static str, from: u64, until: u64| {
            let query = Query::all().kind(kind).from(from).until(until);
            journal.reader().read(query).begin().unwrap()
        };
        for (from, until) in [(0, 1001), (300, 400)] {
            assert!(matches!(source("rare", from, until), Source::Found(_)));
            assert!(matches!(source("often", from, until), Source::Forwards(_)));
        }
    }
}
