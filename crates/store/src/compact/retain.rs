//! Retention: which events are to be erased, by whose rules.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use factlog_format::{
    Digest, ErasureHasher, ErasureLevel, ErasureOrdered, EventFrame, JournalEvent, SequenceSet,
    StreamId, category_of,
};

use super::{
    Compaction, Pace,
    erased::all_erasures,
    hold::{Hold, hold_of, holds},
};
use crate::{
    Error, Event, EventRef, Journal, Misuse, Query, Reader,
    commit::Writer,
    config::{Bug, planted},
    event::own,
};

/// How many ranges of sequences one erasure covers; more are several.
const MAX_RANGES: usize = 1 << 16;

/// Whether an event is to be erased, as far as a program's own word goes.
type Predicate = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// A rule by which events lose their payloads, or all but their spines: those that fit all of what it asks for. A
/// rule that asks for nothing is refused.
#[derive(Clone)]
pub struct RetentionRule {
    name: String,
    reason: String,
    scopes: Vec<String>,
    categories: Vec<String>,
    kinds: Vec<String>,
    tags: Vec<String>,
    older_than: Option<i64>,
    keep_last: Option<u64>,
    shredded: bool,
    full: bool,
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
    /// [`Journal::retain`] asks of every rule before it changes anything.
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
    fn looks_inside(&self) -> bool {
        self.shredded || self.predicate.is_some()
    }

    /// What it takes of an event.
    fn takes(
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

/// What is to be erased: by the first of these rules that takes it, of those that take it [in full](RetentionRule::full)
/// if there are any.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    rules: Vec<RetentionRule>,
    actor: Option<String>,
    how: Compaction,
}

impl Retention {
    /// By these rules.
    #[must_use]
    pub fn new(rules: Vec<RetentionRule>) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Who wants it.
    #[must_use]
    pub fn actor(self, actor: impl Into<String>) -> Self {
        Self {
            actor: Some(actor.into()),
            ..self
        }
    }

    /// How segments are written anew.
    #[must_use]
    pub fn how(self, how: Compaction) -> Self {
        Self { how, ..self }
    }

    fn check(&self) -> Result<(), Error> {
        self.rules.iter().try_for_each(RetentionRule::check)
    }
}

/// What a rule takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleTakes {
    /// Name of the rule.
    pub rule: String,
    /// Its reason.
    pub reason: String,
    /// Whether facts go too.
    pub full: bool,
    /// How many events lose something by it.
    pub events: u64,
    /// Bytes of what they lose.
    pub bytes: u64,
    /// Sequences of the events that ordered it; none where that was only planned.
    pub erasures: Vec<u64>,
}

/// What a retention took, or would take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// By rule, in their order.
    pub rules: Vec<RuleTakes>,
    /// How many events a rule would take that a hold keeps.
    pub held: u64,
}

/// The erasure that took something of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasedBy {
    /// Sequence of the event that ordered it.
    pub sequence: u64,
    /// When that was recorded, in microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Name of the rule.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    pub actor: Option<String>,
}

impl Reader {
    /// What took something of an event, the first that did; `None` where nothing was taken.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn erased_by(&self, sequence: u64) -> Result<Option<ErasedBy>, Error> {
        let all = all_erasures(&self.shared, sequence)?;
        let Some(first) = all.into_iter().find(|one| one.covers(sequence)) else {
            return Ok(None);
        };
        let Some(event) = self.get(first.sequence)? else {
            return Ok(None);
        };
        let facts = event.facts();
        Ok(Some(ErasedBy {
            sequence: first.sequence,
            at: event.recorded_at(),
            rule: first.ordered.policy,
            reason: first.ordered.reason,
            actor: facts.and_then(|facts| facts.actor.map(str::to_owned)),
        }))
    }
}

impl Journal {
    /// What [`retain`](Self::retain) would take now. Changes nothing.
    ///
    /// # Errors
    /// As [`retain`](Self::retain).
    pub fn retention_plan(&self, retention: &Retention) -> Result<Retained, Error> {
        let writer = self.writer()?;
        retention.check()?;
        let holds = holds(&writer.shared)?;
        let selected = select(writer, retention, &holds)?;
        Ok(selected.told(retention))
    }

    /// Takes the payloads of the events that rules name, and their facts where a rule says [so](RetentionRule::full),
    /// and gives their space back: an event of the journal's own says which, and why, before anything is taken; then
    /// every segment that holds some of it is written anew. Hashes, links and receipts stay, so that all
    /// verifies as before; see `docs/guide/retention.md`.
    ///
    /// Appends and reads go on meanwhile; readers give nothing of it as soon as it is ordered. What a
    /// [hold](Self::hold) covers is not taken, also if that comes during the run. What a crash or an error cuts short is
    /// finished by the next `retain` or [`compact`](Self::compact).
    ///
    /// ```
    /// use factlog::{Encoding, Journal, NewEvent, Retention, RetentionRule};
    ///
    /// let journal = Journal::in_memory()?;
    /// let receipt = journal.append(
    ///     NewEvent::new("support", "chat-1", "chat.said").data(Encoding::Raw, b"hello".as_slice()),
    /// )?;
    /// let rule = RetentionRule::new("chats", "kept for no longer than they are needed").kind("chat.said");
    /// let done = journal.retain(&Retention::new(vec![rule]))?;
    /// assert_eq!(done.rules[0].events, 1);
    /// let event = journal.reader().get(receipt.sequence())?.expect("a stub stands in its place");
    /// assert!(event.data().expect("the table stays").bytes().is_none());
    /// # Ok::<(), factlog::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse::Retention`]: nothing was changed; as an append and as [`compact`](Self::compact).
    pub fn retain(&self, retention: &Retention) -> Result<Retained, Error> {
        let writer = self.writer()?;
        retention.check()?;
        let _one = writer.compacting.lock();
        let mut pace = Pace::new(writer, &retention.how);
        let mut wait = |bytes| {
            pace.wait(writer, bytes, &|| true);
            Ok(())
        };
        writer.finish_erasures(&mut wait)?;
        let told = loop {
            let holds = holds(&writer.shared)?;
            let selected = select(writer, retention, &holds)?;
            let _none_comes = writer.changing_keys.lock();
            // One that came meanwhile may cover what was selected.
            if self::holds(&writer.shared)? == holds {
                break order(writer, retention, selected, &mut wait)?;
            }
        };
        writer.finish_erasures(&mut wait)?;
        Ok(told)
    }
}

/// Events of a rule that lose the same.
struct Batch {
    rule: usize,
    level: ErasureLevel,
    set: SequenceSet,
    hasher: ErasureHasher,
}

/// What rules take.
#[derive(Default)]
struct Selected {
    batches: Vec<Batch>,
    /// The batches that grow, by rule and sections; of a rule all are of one level.
    open: BTreeMap<(usize, u16), usize>,
    /// Events and bytes, by rule.
    sums: Vec<(u64, u64)>,
    held: u64,
}

impl Selected {
    fn add(&mut self, rule: usize, level: ErasureLevel, sequence: u64, hash: &Digest) {
        let sections = match level {
            ErasureLevel::Sections(sections) => sections,
            _ => u16::MAX,
        };
        let open = self.open.get(&(rule, sections)).copied();
        let open = open.filter(|at| {
            let batch = self.batches.get_mut(*at);
            batch.is_some_and(|batch| {
                batch.set.ranges().len() < MAX_RANGES && batch.set.push(sequence)
            })
        });
        let at = open.unwrap_or_else(|| {
            self.batches.push(Batch {
                rule,
                level,
                set: [sequence].into_iter().collect(),
                hasher: ErasureHasher::default(),
            });
            self.batches.len() - 1
        });
        self.open.insert((rule, sections), at);
        if let Some(batch) = self.batches.get_mut(at) {
            batch.hasher.add(sequence, hash);
        }
    }

    fn told(&self, retention: &Retention) -> Retained {
        let sums = self.sums.iter().zip(&retention.rules);
        let rules = sums.map(|((events, bytes), rule)| RuleTakes {
            rule: rule.name.clone(),
            reason: rule.reason.clone(),
            full: rule.full,
            events: *events,
            bytes: *bytes,
            erasures: Vec::new(),
        });
        Retained {
            rules: rules.collect(),
            held: self.held,
        }
    }
}

/// Finds what rules take of what is durable now.
fn select(writer: &Writer, retention: &Retention, holds: &[Hold]) -> Result<Selected, Error> {
    let shared = Arc::clone(&writer.shared);
    let reader = Reader { shared };
    let now = writer.clock.now_micros();
    let rules = &retention.rules;
    let heads = match rules.iter().any(|rule| rule.keep_last.is_some()) {
        true => stream_lengths(&reader)?,
        false => HashMap::new(),
    };
    let mut query = Query::all();
    if !rules.iter().any(RetentionRule::looks_inside) {
        query = query.facts_only();
    }
    let mut selected = Selected {
        sums: vec![(0, 0); rules.len()],
        ..Selected::default()
    };
    // In full first: what takes more goes before what takes less.
    let (full, rest): (Vec<_>, Vec<_>) = rules.iter().enumerate().partition(|(_, rule)| rule.full);
    let mut events = reader.read(query);
    while let Some(event) = events.next_ref()? {
        let Some(frame) = event.frame()? else {
            continue;
        };
        if frame.facts.scope.starts_with('$') {
            continue;
        }
        let length = heads.get(&event.stream_id());
        let left = length.map(|events| events.saturating_sub(event.revision() + 1));
        let mut found = None;
        for (at, rule) in full.iter().chain(&rest) {
            if let Some(level) = rule.takes(&event, &frame, now, left)? {
                found = Some((*at, level));
                break;
            }
        }
        let Some((rule, level)) = found else {
            continue;
        };
        if hold_of(writer, holds, &frame)?.is_some() {
            selected.held += 1;
            continue;
        }
        if let Some((events, bytes)) = selected.sums.get_mut(rule) {
            *events += 1;
            *bytes += bytes_of(&frame, level);
        }
        let hash = frame.event_hash(&writer.shared.identity.journal);
        selected.add(rule, level, event.sequence(), &hash);
    }
    Ok(selected)
}

/// How many events each stream has.
fn stream_lengths(reader: &Reader) -> Result<HashMap<StreamId, u64>, Error> {
    let streams = reader.streams();
    let length = |stream: Result<crate::StreamInfo, Error>| {
        let stream = stream?;
        Ok((stream.stream_id, stream.events))
    };
    streams.map(length).collect()
}

/// Bytes of what is taken, with salts and nonces.
fn bytes_of(frame: &EventFrame<'_>, level: ErasureLevel) -> u64 {
    let (sections, facts) = match level {
        ErasureLevel::Sections(sections) => (sections, 0),
        // In place of facts and their salt a stub has their hash.
        _ => (u16::MAX, frame.facts_bytes.len() as u64),
    };
    let rows = frame.facts.sections.iter().enumerate();
    let taken = rows.filter(|(index, _)| sections & (1 << index) != 0);
    let bytes = taken.map(|(_, row)| {
        let secret = if row.sealed.is_some() { 24 } else { 16 };
        u64::from(row.stored_len) + secret
    });
    facts + bytes.sum::<u64>()
}

/// Appends the events that order what was selected. From then on readers give nothing of it.
fn order(
    writer: &Writer,
    retention: &Retention,
    selected: Selected,
    pace: super::rewrite::Pace<'_>,
) -> Result<Retained, Error> {
    let mut told = selected.told(retention);
    if selected.batches.is_empty() {
        return Ok(told);
    }
    if !planted(Bug::ErasureUntold) {
        // Before the first is written, so that whoever opens after a crash looks for them.
        writer.tell_erasing(Some(writer.shared.view.load().durable))?;
    }
    for batch in selected.batches {
        let Some(rule) = retention.rules.get(batch.rule) else {
            continue;
        };
        let ordered = JournalEvent::ErasureOrdered(ErasureOrdered {
            level: batch.level,
            policy: rule.name.clone(),
            reason: rule.reason.clone(),
            set: batch.set,
            commitment: batch.hasher.digest(),
        });
        ordered.check().map_err(Misuse::Event)?;
        if planted(Bug::StubsBeforeOrder) {
            let next = writer.shared.view.load().durable;
            writer.shared.erasures.follow(next, ordered.clone());
            writer.take_all(&writer.shared.erasures.pending(), pace)?;
        }
        let mut event = own::event(&ordered);
        event.actor = retention.actor.clone().map(Into::into);
        let sequence = writer.append(&[event], &[], true)?.first_sequence();
        writer.shared.erasures.follow(sequence, ordered);
        if let Some(rule) = told.rules.get_mut(batch.rule) {
            rule.erasures.push(sequence);
        }
    }
    Ok(told)
}
