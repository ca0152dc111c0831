use std::borrow::Cow;

use factlog_format::{FactsRef, category_of};

/// Which events to read, in which direction and how many.
///
/// All conditions must hold. By stream they are found through the index; the others filter while
/// scanning.
///
/// ```
/// use factlog::Query;
///
/// let query = Query::stream("bank", "account-7").kind("account.deposited").limit(10).reverse();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    pub(crate) stream: Option<(Cow<'a, str>, Cow<'a, str>)>,
    pub(crate) scope: Option<Cow<'a, str>>,
    pub(crate) category: Option<Cow<'a, str>>,
    pub(crate) kind: Option<Cow<'a, str>>,
    pub(crate) tag: Option<Cow<'a, str>>,
    pub(crate) from: u64,
    pub(crate) until: Option<u64>,
    pub(crate) recorded_from: Option<i64>,
    pub(crate) recorded_until: Option<i64>,
    pub(crate) limit: Option<u64>,
    pub(crate) reverse: bool,
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
        Self {
            stream: Some((scope.into(), entity.into())),
            ..Self::default()
        }
    }

    /// Only events of this scope.
    #[must_use]
    pub fn scope(self, scope: impl Into<Cow<'a, str>>) -> Self {
        Self {
            scope: Some(scope.into()),
            ..self
        }
    }

    /// Only events whose kind has this category: the part before its first dot.
    #[must_use]
    pub fn category(self, category: impl Into<Cow<'a, str>>) -> Self {
        Self {
            category: Some(category.into()),
            ..self
        }
    }

    /// Only events of this kind.
    #[must_use]
    pub fn kind(self, kind: impl Into<Cow<'a, str>>) -> Self {
        Self {
            kind: Some(kind.into()),
            ..self
        }
    }

    /// Only events with this tag.
    #[must_use]
    pub fn tag(self, tag: impl Into<Cow<'a, str>>) -> Self {
        Self {
            tag: Some(tag.into()),
            ..self
        }
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

    /// Only events recorded at this time or later, in microseconds since 1970-01-01 UTC.
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

    /// Whether anything but sequences and the stream is asked for.
    pub(crate) fn asks_facts(&self) -> bool {
        self.scope.is_some() || self.category.is_some() || self.kind.is_some() || self.tag.is_some()
    }

    pub(crate) fn takes_time(&self, recorded_at: i64) -> bool {
        self.recorded_from.is_none_or(|from| recorded_at >= from)
            && self.recorded_until.is_none_or(|until| recorded_at < until)
    }

    /// Whether the conditions on facts hold; a full stub has no facts and meets none of them.
    pub(crate) fn takes_facts(&self, facts: &FactsRef<'_>) -> bool {
        let is = |wanted: &Option<Cow<'_, str>>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        is(&self.scope, facts.scope)
            && is(&self.kind, facts.kind)
            && is(&self.category, category_of(facts.kind))
            && self
                .tag
                .as_ref()
                .is_none_or(|tag| facts.tags.iter().any(|other| other == tag))
            && self
                .stream
                .as_ref()
                .is_none_or(|(scope, entity)| scope == facts.scope && entity == facts.entity)
    }

    pub(crate) fn into_owned(self) -> Query<'static> {
        let own = |name: Cow<'_, str>| Cow::Owned(name.into_owned());
        Query {
            stream: self.stream.map(|(scope, entity)| (own(scope), own(entity))),
            scope: self.scope.map(own),
            category: self.category.map(own),
            kind: self.kind.map(own),
            tag: self.tag.map(own),
            ..self
        }
    }
}
