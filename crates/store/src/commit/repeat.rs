//! Appends of what is in the journal already, by the ids that it was given.

use std::{collections::HashSet, sync::Arc};

use factlog_format::{Digest, Encoding, FrameType, MAX_BATCH_EVENTS, TraceContext};
use uuid::Uuid;

use super::{
    BatchReceipt, Receipt, Writer,
    batch::{Batch, plain_hash},
    order::Resolved,
    receipt::{Receipts, body_of},
};
use crate::{Conflict, Error, Event, NewEvent, event::NewSection, keys::Sealed, read::view::View};

/// What there is of the ids of a batch, as of what was durable when it was looked up.
pub(super) struct Known {
    pub(super) view: Arc<View>,
    /// Each with its id, which it need not tell itself any more.
    found: Vec<Option<(Uuid, Event)>>,
}

impl Known {
    /// What the order lock needs of it.
    pub(super) fn resolved(&self) -> Resolved {
        let found = self.found.iter().flatten();
        let ids = found.map(|(id, event)| (id.into_bytes(), event.sequence()));
        Resolved {
            mark: self.view.durable,
            ids: ids.collect(),
            has_ids: true,
            ..Resolved::default()
        }
    }
}

impl Writer {
    /// Looks for events of these ids, before anything is encoded or hashed; `None` where none has an id of
    /// the caller's.
    pub(super) fn find_known(&self, events: &[NewEvent<'_>]) -> Result<Option<Known>, Error> {
        let has_ids = events.iter().any(|event| event.id.is_some());
        // What is refused is refused whatever there is.
        let reserved = events.iter().any(|event| event.scope.starts_with('$'));
        if !has_ids || reserved || events.len() > MAX_BATCH_EVENTS {
            return Ok(None);
        }
        let view = self.shared.view.load_full();
        let mut found = Vec::with_capacity(events.len());
        for event in events {
            let known = event.id.map(|id| {
                let holder = self.shared.holder_of_id(&view, id)?;
                Ok::<_, Error>(holder.map(|holder| (id, holder)))
            });
            found.push(known.transpose()?.flatten());
        }
        Ok(Some(Known { view, found }))
    }

    /// The receipts of a batch all of which is durable already and says the same. Anything else is decided
    /// under the order lock, and refused there if it has to be.
    pub(super) fn answer_known(
        &self,
        events: &[NewEvent<'_>],
        known: &Known,
    ) -> Option<BatchReceipt> {
        let secrets = self.shared.secrets.as_deref();
        let by_subject = secrets.is_some_and(|secrets| secrets.is_by_subject());
        let is_misplaced = |section: &NewSection<'_>| section.subject.is_some() != by_subject;
        let (mut ids, mut compared) = (HashSet::new(), true);
        let mut receipts = Vec::with_capacity(events.len());
        for (event, found) in events.iter().zip(&known.found) {
            let (id, stored) = found.as_ref()?.clone();
            let stored = self.shared.opened(&known.view, stored);
            let is_alone = events.len() == 1 || ids.insert(event.id);
            if !is_alone || event.sections.iter().any(is_misplaced) {
                return None;
            }
            compared &= match Content::of_new(event).compare(&stored, &self.salt_key) {
                Ok(Compared::Same) => true,
                Ok(Compared::NotAll) => false,
                Ok(Compared::Other) | Err(_) => return None,
            };
            receipts.push(Receipt::stored(&stored, id, &self.shared));
        }
        Some(BatchReceipt {
            receipts: Receipts::Stored { receipts, compared },
        })
    }

    /// The receipts of a batch that is in the journal already, or why it is another one.
    pub(super) fn repeated(
        &self,
        batch: &Batch,
        known: &[Option<u64>],
    ) -> Result<BatchReceipt, Error> {
        let view = self.shared.view.load_full();
        let mut receipts = Vec::with_capacity(known.len());
        let mut plain = batch.plain.as_slice();
        let mut compared = true;
        for (index, (prepared, known)) in batch.events.iter().zip(known).enumerate() {
            let new = body_of(batch, index).and_then(|body| {
                let journal = &self.shared.identity.journal;
                Event::decode(journal, FrameType::Event, body.to_vec()).ok()
            });
            let sections = new.as_ref().map_or(0, |new| new.sections().count());
            // Empty in a journal that isn't encrypted.
            let (own, others) = plain.split_at_checked(sections).unwrap_or_default();
            plain = others;
            let Some(sequence) = *known else {
                continue;
            };
            let id = Uuid::from_bytes(prepared.frame.event_id);
            let stored = self.shared.get(&view, sequence)?;
            let stored = stored.map(|event| self.shared.opened(&view, event));
            let content = new.as_ref().and_then(|new| Content::of_encoded(new, own));
            let (stored, content) =
                { stored.zip(content) }.ok_or(Conflict::IdReused { id, sequence })?;
            compared &= match content.compare(&stored, &self.salt_key)? {
                Compared::Same => true,
                Compared::NotAll => false,
                Compared::Other => return Err(Conflict::IdReused { id, sequence }.into()),
            };
            receipts.push(Receipt::stored(&stored, id, &self.shared));
        }
        if receipts.len() < known.len() {
            let (known, events) = (receipts.len(), known.len());
            return Err(Conflict::PartialRepeat { known, events }.into());
        }
        Ok(BatchReceipt {
            receipts: Receipts::Stored { receipts, compared },
        })
    }
}

/// What comparing an event with the one of the same id came to.
enum Compared {
    Same,
    /// All that is left agrees; of the payload, a part of it, or the facts too, nothing is left to compare with.
    NotAll,
    Other,
}

/// What a caller says of an event: its facts and its payload.
struct Content<'a> {
    scope: &'a str,
    entity: &'a str,
    kind: &'a str,
    payload_version: u16,
    tags: Vec<&'a str>,
    occurred_at: Option<i64>,
    actor: Option<&'a str>,
    correlation: Option<[u8; 16]>,
    causation: Option<[u8; 16]>,
    trace: Option<TraceContext>,
    sections: Vec<(&'a str, Encoding, Payload<'a>)>,
}

/// What a section is compared by.
enum Payload<'a> {
    Plain(&'a [u8]),
    /// The keyed hash of what was sealed: ciphertexts never agree.
    Hash(Option<&'a Digest>),
}

impl<'a> Content<'a> {
    fn of_new(event: &'a NewEvent<'_>) -> Self {
        let sections = event.sections.iter();
        let payload = |one: &'a NewSection<'_>| Payload::Plain(&one.bytes);
        Self {
            scope: &event.scope,
            entity: &event.entity,
            kind: &event.kind,
            payload_version: event.payload_version,
            tags: event.tags.iter().map(AsRef::as_ref).collect(),
            occurred_at: event.occurred_at,
            actor: event.actor.as_deref(),
            correlation: event.correlation.map(Uuid::into_bytes),
            causation: event.causation.map(Uuid::into_bytes),
            trace: event.trace,
            sections: sections
                .map(|one| (&*one.name, one.encoding, payload(one)))
                .collect(),
        }
    }

    /// Of an event that was encoded; `plain` has the keyed hashes of its sections where they are sealed.
    fn of_encoded(event: &'a Event, plain: &'a [Digest]) -> Option<Self> {
        let facts = event.facts()?;
        let mut plain = plain.iter();
        let mut sections = Vec::with_capacity(facts.sections.len());
        for one in event.sections() {
            let hash = plain.next();
            let payload = match one.is_sealed() {
                true => Payload::Hash(hash),
                false => Payload::Plain(one.bytes()?),
            };
            sections.push((one.name, one.encoding, payload));
        }
        Some(Self {
            scope: facts.scope,
            entity: facts.entity,
            kind: facts.kind,
            payload_version: facts.payload_version,
            tags: facts.tags.iter().collect(),
            occurred_at: facts.occurred_at,
            actor: facts.actor,
            correlation: facts.correlation,
            causation: facts.causation,
            trace: facts.trace,
            sections,
        })
    }

    /// Whether a stored event says the same. An error where that can't be told, and may yet be.
    fn compare(&self, stored: &Event, key: &[u8; 32]) -> Result<Compared, Error> {
        if stored.facts().is_none() {
            return Ok(Compared::NotAll);
        }
        if !self.has_facts_of(stored) {
            return Ok(Compared::Other);
        }
        let mut compared = Compared::Same;
        for ((name, encoding, payload), stored) in self.sections.iter().zip(stored.sections()) {
            if *name != stored.name || *encoding != stored.encoding {
                return Ok(Compared::Other);
            }
            let same = match (stored.bytes(), stored.sealed()) {
                (Some(bytes), _) => match payload {
                    Payload::Plain(plain) => *plain == bytes,
                    Payload::Hash(hash) => hash.is_some_and(|hash| *hash == plain_hash(key, bytes)),
                },
                // What can't be looked at for any other reason may well be something else.
                (None, Some(why)) if !matches!(why, Sealed::Shredded { .. }) => {
                    return Err(why.clone().into());
                }
                (None, _) => {
                    compared = Compared::NotAll;
                    true
                }
            };
            if !same {
                return Ok(Compared::Other);
            }
        }
        Ok(compared)
    }

    fn has_facts_of(&self, stored: &Event) -> bool {
        stored.facts().is_some_and(|stored| {
            self.scope == stored.scope
                && self.entity == stored.entity
                && self.kind == stored.kind
                && self.payload_version == stored.payload_version
                && stored.tags.iter().eq(self.tags.iter().copied())
                && self.occurred_at == stored.occurred_at
                && self.actor == stored.actor
                && self.correlation == stored.correlation
                && self.causation == stored.causation
                && self.trace == stored.trace
                && self.sections.len() == stored.sections.len()
        })
    }
}
