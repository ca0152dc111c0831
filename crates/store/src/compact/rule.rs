//! The rules of a retention.

use std::fmt;
use std::sync::Arc;

use factlog_format::{ErasureLevel, ErasureOrdered, EventFrame, JournalEvent, category_of};

use crate::{Error, Event, EventRef, Misuse};

/// Whether an event is to be erased, as far as a program's own word goes.
type Predicate = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// A rule by which events lose their payloads, or all but their spines: those that fit all of what it asks for. A
/// rule that asks for nothing is refused.
#[derive(Clone)]
pub struct RetentionRule {
    pub(super) name: String,
    pub(super) reason: String,
    scopes: Vec<String>,
    categories: Vec<String>,
    kinds: Vec<String>,
    tags: Vec<String>,
    older_than: Option<i64>,
    pub(super) keep_last: Option<u64>,
    shredded: bool,
    pub(super) full: bool,
    predicate: Option<Predicate>,
}

impl RetentionRule {
    /// A rule of this name, for this reason. Both stay in the journal for good: name a policy or a law, and
    /// nobody who is to be forgotten.
    #[must_use]
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            reason: reason.into(),
            scopes: Vec::new(),
            categories: Vec::new(),
            kinds: Vec::new(),
            tags: Vec::new(),
            older_than: None,
            keep_last: None,
            shredded: false,
            full: false,
            predicate: None,
        }
    }

    /// Of this scope, or another one that is named so.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Of this category, or another one that is named so.
    #[must_use]
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.categories.push(category.into());
        self
    }

    /// Of this kind, or another one that is named so.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// With this tag, or another one that is named so.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Recorded longer ago than so many microseconds.
    #[must_use]
    pub fn older_than(self, micros: i64) -> Self {
        Self {
            older_than: Some(micros.max(0)),
            ..self
        }
    }

    /// All but the last so many of each stream.
    #[must_use]
    pub fn keep_last(self, events: u64) -> Self {
        Self {
            keep_last: Some(events),
            ..self
        }
    }

    /// Only what can't be decrypted any more, since its key was shredded.
    #[must_use]
    pub fn shredded(self) -> Self {
        Self {
            shredded: true,
            ..self
        }
    }

    /// Takes all but the spine: payload and facts, so id, scope, entity, kind and tags too. Nothing finds the event
    /// by them any more, its id is free again, and where no event of a stream is left that tells its scope
    /// and entity, the next append there begins a new one.
    #[must_use]
    pub fn full(self) -> Self {
        Self { full: true, ..self }
    }

    /// Only where this holds; it is given the event with its payload decrypted.
    #[must_use]
    pub fn only_if(self, holds: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Self {
        Self {
            predicate: Some(Arc::new(holds)),
            ..self
        }
    }

    /// Whether it makes sense, and its name and reason can stand in the journal: what
    /// [`Journal::retain`](crate::Journal::retain) asks of every rule before it changes anything.
    ///
    /// # Errors
    /// [`Misuse::Retention`]; [`Misuse::Event`] of a name or a reason.
    pub fn check(&self) -> Result<(), Error> {
        let lists = [&self.scopes, &self.categories, &self.kinds, &self.tags];
        let asks = lists.iter().any(|list| !list.is_empty())
            || self.older_than.is_some()
            || self.keep_last.is_some()
            || self.shredded
            || self.predicate.is_some();
        if !asks {
            let why = "a rule that asks for nothing would erase everything";
            return Err(Misuse::Retention(why).into());
        }
        if self.scopes.iter().any(|scope| scope.starts_with('$')) {
            return Err(Misuse::Retention("events of the journal itself are never erased").into());
        }
        let tried = JournalEvent::ErasureOrdered(ErasureOrdered {
            level: ErasureLevel::Full,
            policy: self.name.clone(),
            reason: self.reason.clone(),
            set: [1].into_iter().collect(),
            commitment: [0; 32],
        });
        tried.check().map_err(Misuse::Event)?;
        Ok(())
    }

    /// Whether it has to see payloads.
    pub(super) fn looks_inside(&self) -> bool {
        self.shredded || self.predicate.is_some()
    }

    /// What it takes of an event.
    pub(super) fn takes(
        &self,
        event: &EventRef<'_>,
        frame: &EventFrame<'_>,
        now: i64,
        left: Option<u64>,
    ) -> Result<Option<ErasureLevel>, Error> {
        let facts = &frame.facts;
        let is_one =
            |list: &[String], of: &str| list.is_empty() || list.iter().any(|one| one == of);
        let category = category_of(facts.kind);
        let mut tags = self.tags.iter();
        let fits = (self.full || frame.present != 0)
            && is_one(&self.scopes, facts.scope)
            && is_one(&self.kinds, facts.kind)
            && is_one(&self.categories, category)
            && (self.tags.is_empty() || tags.any(|tag| facts.tags.iter().any(|one| one == tag)))
            && (self.older_than).is_none_or(|age| event.recorded_at() < now.saturating_sub(age))
            && self
                .keep_last
                .is_none_or(|keep| left.is_some_and(|left| left >= keep));
        let sections = match (fits, self.looks_inside()) {
            (false, _) => 0,
            (true, false) => u16::MAX,
            (true, true) => self.takes_inside(&event.to_event()?),
        };
        Ok(match (sections, self.full) {
            (0, _) => None,
            (_, true) => Some(ErasureLevel::Full),
            (_, false) => Some(ErasureLevel::Sections(sections)),
        })
    }

    /// Which sections it takes of an event that fits otherwise, by what is inside.
    fn takes_inside(&self, event: &Event) -> u16 {
        let fits = self.predicate.as_ref().is_none_or(|holds| holds(event));
        match (fits, self.shredded) {
            (false, _) => 0,
            (true, false) => u16::MAX,
            (true, true) => shredded_sections(event),
        }
    }
}

/// The sections of an event of which the key was shredded, and that are still stored.
fn shredded_sections(event: &Event) -> u16 {
    let mut bits = 0;
    for (index, section) in event.sections().enumerate() {
        let is_gone = matches!(section.sealed(), Some(crate::Sealed::Shredded { .. }));
        if is_gone && section.content.is_some() {
            bits |= 1 << index;
        }
    }
    bits
}

impl fmt::Debug for RetentionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetentionRule")
            .field("name", &self.name)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}
