use std::borrow::Cow;

use factlog_format::{FactsRef, category_of};
use uuid::Uuid;

use crate::index::{correlation_key, tag_key};

/// Which events to read, in which direction and how many.
///
/// What is selected stands in one or more alternatives, told apart by [`or`](Self::or): an event is
/// taken if one of them takes it. Within an alternative every sort of condition must hold: one of the
/// streams, one of the kinds, all of the tags, the correlation id. All of these are found through the index;
/// the rest filters while scanning.
///
/// ```
/// use factlog::Query;
///
/// let query = Query::stream("bank", "account-7").kind("account.deposited").limit(10).reverse();
/// let seats = Query::all().kind("seat.taken").kind("seat.freed").tag("flight:LX8");
/// let either = Query::all().tag("course:c1").or().tag("student:s1");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    /// The alternative that the next calls add to.
    pub(crate) last: Item<'a>,
    pub(crate) others: Vec<Item<'a>>,
    pub(crate) from: u64,
    pub(crate) until: Option<u64>,
    pub(crate) recorded_from: Option<i64>,
    pub(crate) recorded_until: Option<i64>,
    pub(crate) limit: Option<u64>,
    pub(crate) reverse: bool,
    pub(crate) facts_only: bool,
}

/// One alternative of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item<'a> {
    /// Scope and entity; one of them, or any if there is none.
    pub(crate) streams: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(crate) scope: Option<Cow<'a, str>>,
    pub(crate) category: Option<Cow<'a, str>>,
    /// One of them, or any if there is none.
    pub(crate) kinds: Vec<Cow<'a, str>>,
    /// All of them.
    pub(crate) tags: Vec<Cow<'a, str>>,
    pub(crate) correlation: Option<Uuid>,
}

impl<'a> Query<'a> {
    /// Every event, `$journal` events included.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The events of one stream.
    #[must_use]
    pub fn stream(scope: impl Into<Cow<'a, str>>, entity: impl Into<Cow<'a, str>>) -> Self {
        Self::default().in_stream(scope, entity)
    }

    /// Only events of this stream, or of another one that this alternative names.
    #[must_use]
    pub fn in_stream(
        mut self,
        scope: impl Into<Cow<'a, str>>,
        entity: impl Into<Cow<'a, str>>,
    ) -> Self {
        self.last.streams.push((scope.into(), entity.into()));
        self
    }

    /// Only events of this scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<Cow<'a, str>>) -> Self {
        self.last.scope = Some(scope.into());
        self
    }

    /// Only events whose kind has this category: the part before its first dot.
    #[must_use]
    pub fn category(mut self, category: impl Into<Cow<'a, str>>) -> Self {
        self.last.category = Some(category.into());
        self
    }

    /// Only events of this kind, or of another one that this alternative names.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Cow<'a, str>>) -> Self {
        self.last.kinds.push(kind.into());
        self
    }

    /// Only events with this tag, and with every other one that this alternative names.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<Cow<'a, str>>) -> Self {
        self.last.tags.push(tag.into());
        self
    }

    /// Only events with this [correlation id](crate::NewEvent::correlation): those of one piece of work.
    #[must_use]
    pub fn correlation(mut self, id: Uuid) -> Self {
        self.last.correlation = Some(id);
        self
    }

    /// Begins another alternative: what follows selects on its own, beside what was said before.
    #[must_use]
    pub fn or(mut self) -> Self {
        self.others.push(std::mem::take(&mut self.last));
        self
    }

    /// Only events with this sequence or a higher one.
    #[must_use]
    pub fn from(self, sequence: u64) -> Self {
        Self {
            from: sequence,
            ..self
        }
    }

    /// Only events with a lower sequence than this.
    #[must_use]
    pub fn until(self, sequence: u64) -> Self {
        Self {
            until: Some(sequence),
            ..self
        }
    }

    /// Only events recorded at this time or later, in microseconds since 1970-01-01 UTC. Where they begin is
    /// found in O(log events) reads.
    #[must_use]
    pub fn recorded_from(self, micros: i64) -> Self {
        Self {
            recorded_from: Some(micros),
            ..self
        }
    }

    /// Only events recorded before this time, in microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn recorded_until(self, micros: i64) -> Self {
        Self {
            recorded_until: Some(micros),
            ..self
        }
    }

    /// At most this many events.
    #[must_use]
    pub fn limit(self, events: u64) -> Self {
        Self {
            limit: Some(events),
            ..self
        }
    }

    /// From the highest sequence down.
    #[must_use]
    pub fn reverse(self) -> Self {
        Self {
            reverse: true,
            ..self
        }
    }

    /// Facts suffice: events are given without their payloads, which then take no memory; see
    /// [`Event::is_without_payload`](crate::Event::is_without_payload).
    #[must_use]
    pub fn facts_only(self) -> Self {
        Self {
            facts_only: true,
            ..self
        }
    }

    /// What this or another takes, whatever range of events they name.
    pub(crate) fn or_all_of(self, other: Self) -> Self {
        let mut others = self.others;
        others.push(self.last);
        others.extend(other.others);
        Self {
            last: other.last,
            others,
            ..Self::default()
        }
    }

    /// The alternatives.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Item<'a>> + Clone {
        self.others.iter().chain(std::iter::once(&self.last))
    }

    pub(crate) fn items_mut(&mut self) -> impl Iterator<Item = &mut Item<'a>> {
        let last = std::iter::once(&mut self.last);
        self.others.iter_mut().chain(last)
    }

    pub(crate) fn takes_time(&self, recorded_at: i64) -> bool {
        self.recorded_from.is_none_or(|from| recorded_at >= from)
            && self.recorded_until.is_none_or(|until| recorded_at < until)
    }

    /// Whether it takes every event of its range, whatever that is about.
    pub(crate) fn takes_all(&self) -> bool {
        self.items()
            .all(|item| !item.asks_facts() && item.streams.is_empty())
    }

    /// Whether the conditions on facts hold.
    pub(crate) fn takes_facts(&self, facts: &FactsRef<'_>) -> bool {
        self.items().any(|item| item.takes(facts))
    }

    /// Whether an event is taken of which an erasure left no facts. `in_stream`: it is known to be of
    /// the one stream that the query names.
    pub(crate) fn takes_stub(&self, in_stream: bool) -> bool {
        self.items()
            .any(|item| !item.asks_facts() && (in_stream || item.streams.is_empty()))
    }

    /// Whether anything but streams and places is asked for.
    pub(crate) fn asks_facts(&self) -> bool {
        self.items().any(Item::asks_facts)
    }

    /// The stream, if the query is of one alone.
    pub(crate) fn one_stream(&self) -> Option<(&str, &str)> {
        match (self.last.streams.as_slice(), self.others.as_slice()) {
            ([(scope, entity)], []) => Some((scope, entity)),
            _ => None,
        }
    }

    pub(crate) fn into_owned(self) -> Query<'static> {
        Query {
            last: self.last.into_owned(),
            others: self.others.into_iter().map(Item::into_owned).collect(),
            from: self.from,
            until: self.until,
            recorded_from: self.recorded_from,
            recorded_until: self.recorded_until,
            limit: self.limit,
            reverse: self.reverse,
            facts_only: self.facts_only,
        }
    }
}

impl Item<'_> {
    /// Whether anything but the stream is asked for.
    fn asks_facts(&self) -> bool {
        self.scope.is_some()
            || self.category.is_some()
            || !self.kinds.is_empty()
            || !self.tags.is_empty()
            || self.correlation.is_some()
    }

    /// The keys of what an event must have besides stream and kind, all of them.
    pub(crate) fn tag_keys(&self) -> impl Iterator<Item = [u8; 16]> {
        let tags = self.tags.iter().map(|tag| tag_key(tag));
        tags.chain(self.correlation.as_ref().map(correlation_key))
    }

    fn takes(&self, facts: &FactsRef<'_>) -> bool {
        let is = |wanted: &Option<Cow<'_, str>>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        is(&self.scope, facts.scope)
            && is(&self.category, category_of(facts.kind))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == facts.kind))
            && self
                .correlation
                .is_none_or(|id| facts.correlation == Some(id.into_bytes()))
            && self
                .tags
                .iter()
                .all(|tag| facts.tags.iter().any(|other| other == tag))
            && (self.streams.is_empty()
                || self
                    .streams
                    .iter()
                    .any(|(scope, entity)| scope == facts.scope && entity == facts.entity))
    }

    fn into_owned(self) -> Item<'static> {
        let own = |name: Cow<'_, str>| Cow::Owned(name.into_owned());
        Item {
            streams: self
                .streams
                .into_iter()
                .map(|(scope, entity)| (own(scope), own(entity)))
                .collect(),
            scope: self.scope.map(own),
            category: self.category.map(own),
            kinds: self.kinds.into_iter().map(own).collect(),
            tags: self.tags.into_iter().map(own).collect(),
            correlation: self.correlation,
        }
    }
}
