//! Destroying keys: the intent, the destruction, and the event that says it is done.

use std::{collections::BTreeSet, sync::Arc};

use factlog_format::{
    HoldLifted, HoldPlaced, JournalEvent, KeyDomain, SecretFate, ShredCompleted, ShredGrade,
    ShredIntended,
};
use factlog_keys::{Recipient, SectionKey};
use uuid::Uuid;

use super::{
    KeyEntry, Keys, KeysetInfo,
    keyset::{domain_name, read_head},
};
use crate::{
    Error, Journal, Misuse, Query, Reader, Refusal,
    commit::Writer,
    config::{Bug, planted},
    event::own,
    read::Events,
};

/// What is to be shredded or held: domains of the sort that the journal's keys are of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector {
    /// The stream of an entity in a scope.
    Stream {
        /// The scope.
        scope: String,
        /// The entity.
        entity: String,
    },
    /// All that is in a scope.
    Scope(String),
    /// All of a category.
    Category(String),
    /// All of a kind.
    Kind(String),
    /// A single event, by its id.
    Event(Uuid),
    /// All that is about a subject.
    Subject(String),
}

impl Selector {
    fn domain(&self) -> KeyDomain {
        match self {
            Self::Stream { .. } => KeyDomain::Stream,
            Self::Scope(_) => KeyDomain::Scope,
            Self::Category(_) => KeyDomain::Category,
            Self::Kind(_) => KeyDomain::Kind,
            Self::Event(_) => KeyDomain::Event,
            Self::Subject(_) => KeyDomain::Subject,
        }
    }

    /// The canonical name of the domain.
    fn name(&self) -> Vec<u8> {
        let domain = self.domain();
        match self {
            Self::Stream { scope, entity } => {
                domain_name(domain, &[scope.as_bytes(), entity.as_bytes()])
            }
            Self::Event(id) => domain_name(domain, &[id.as_bytes()]),
            Self::Scope(name) | Self::Category(name) | Self::Kind(name) | Self::Subject(name) => {
                domain_name(domain, &[name.as_bytes()])
            }
        }
    }
}

/// A shred that is asked for.
#[derive(Clone, Debug)]
pub struct Shred {
    selectors: Vec<Selector>,
    reason: String,
    actor: Option<String>,
}

impl Shred {
    /// Of these domains, for this reason, which stays in the journal for good: name a request or a case,
    /// nobody and nothing that is to be forgotten.
    #[must_use]
    pub fn new(selectors: Vec<Selector>, reason: impl Into<String>) -> Self {
        Self {
            selectors,
            reason: reason.into(),
            actor: None,
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
}

/// What became of a shred.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shredded {
    /// Sequence of the event that demanded it; from there on nothing is read of what it covers.
    pub intent: u64,
    /// Sequence of the event that says it is done.
    pub completion: u64,
    /// Ids of the keys that were destroyed.
    pub keys: Vec<[u8; 16]>,
    /// How far it reached.
    pub grade: ShredGrade,
}

/// A shred as the journal tells of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ErasureEntry {
    /// Sequence of the event that demanded it.
    pub intent: u64,
    /// When that was recorded, in microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// What sort of domain the keys are of.
    pub domain: KeyDomain,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    pub actor: Option<String>,
    /// Ids of the keys.
    pub keys: Vec<[u8; 16]>,
    /// Sequence of the event that says it is done, and what that says; `None` while it isn't.
    pub completed: Option<(u64, ShredCompleted)>,
}

/// What must not be shredded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hold {
    /// Sequence of the event that placed it; its name.
    pub id: u64,
    /// When that was recorded, in microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Why.
    pub reason: String,
    /// Tags of the domains it covers; none means the whole journal.
    pub domains: Vec<[u8; 16]>,
}

impl Reader {
    /// What is publicly known of the keyset.
    ///
    /// # Errors
    /// [`Misuse::NotEncrypted`], and what is wrong with the keyset.
    pub fn keyset(&self) -> Result<KeysetInfo, Error> {
        self.keys_there()?.info()
    }

    /// Every live key with its domain's name; the keyset must be open.
    ///
    /// # Errors
    /// As [`keyset`](Self::keyset).
    pub fn data_keys(&self) -> Result<Vec<KeyEntry>, Error> {
        self.keys_there()?.list()
    }

    /// Looks through the whole keyset: opens every key in it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check_keyset(&self) -> Result<usize, Error> {
        let keys = self.keys_there()?;
        read_head(keys.fs.as_ref(), &keys.layout, &keys.journal)?;
        if let Some(why) = keys.why_locked() {
            return Err(Refusal::ReadOnly(why).into());
        }
        let view = self.shared.view.load_full();
        keys.note_intents(&self.shared, &view, true)?;
        let list = keys.list()?;
        keys.check_tombstones()?;
        Ok(list.len())
    }

    /// Every shred that the journal tells of, the oldest first.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn erasures(&self) -> Result<Vec<ErasureEntry>, Error> {
        let mut found: Vec<ErasureEntry> = Vec::new();
        let query = Query::all()
            .kind("shred.intended")
            .or()
            .kind("shred.completed");
        for event in self.read(query) {
            let event = event?;
            match own::decoded(&event) {
                Some((intent, JournalEvent::ShredIntended(intended))) => found.push(ErasureEntry {
                    intent,
                    at: event.recorded_at(),
                    domain: intended.domain,
                    reason: intended.reason,
                    actor: event
                        .facts()
                        .and_then(|facts| facts.actor.map(str::to_owned)),
                    keys: intended.keys,
                    completed: None,
                }),
                Some((sequence, JournalEvent::ShredCompleted(completed))) => {
                    let mut entries = found.iter_mut();
                    if let Some(entry) = entries.find(|entry| entry.intent == completed.intent) {
                        entry.completed = Some((sequence, completed));
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The holds that are in force.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn holds(&self) -> Result<Vec<Hold>, Error> {
        let mut holds: Vec<Hold> = Vec::new();
        let query = Query::all().kind("hold.placed").or().kind("hold.lifted");
        for event in self.read(query) {
            let event = event?;
            match own::decoded(&event) {
                Some((id, JournalEvent::HoldPlaced(placed))) => holds.push(Hold {
                    id,
                    at: event.recorded_at(),
                    reason: placed.reason,
                    domains: placed.domains,
                }),
                Some((_, JournalEvent::HoldLifted(lifted))) => {
                    holds.retain(|hold| hold.id != lifted.hold);
                }
                _ => {}
            }
        }
        Ok(holds)
    }

    /// The key of one section, which opens that section and nothing else: for an auditor who is to see it.
    ///
    /// # Errors
    /// [`Misuse::NoSuchEvent`], [`Error::Sealed`] if the key is not there.
    pub fn section_key(&self, sequence: u64, section: &str) -> Result<SectionKey, Error> {
        let keys = self.keys_there()?;
        let missing = || {
            Error::from(Misuse::NoSuchEvent(format!(
                "{sequence}, section {section}"
            )))
        };
        let event = self.get(sequence)?.ok_or_else(missing)?;
        if let Some(why) = event.section(section).and_then(|found| found.sealed()) {
            return Err(why.clone().into());
        }
        keys.section_key(&event, section)?.ok_or_else(missing)
    }

    fn keys_there(&self) -> Result<&Arc<Keys>, Error> {
        let keys = self.shared.secrets.as_ref();
        keys.ok_or_else(|| Misuse::NotEncrypted.into())
    }
}

impl Journal {
    /// Destroys the keys of domains, and so all that was sealed under them: for good, as far as the keyset
    /// goes; `docs/erasure.md` says what else there may be. Events stay, and so do their hashes and
    /// receipts; their payloads read as [`Sealed::Shredded`](crate::Sealed::Shredded).
    ///
    /// # Errors
    /// [`Misuse::NotEncrypted`], [`Misuse::OtherDomain`] if a selector is of another sort than the
    /// journal's keys, [`Misuse::NothingToShred`], [`Refusal::Held`]: nothing was changed. After any other
    /// error the events may say that it is intended; then reads give nothing, and the next open finishes it.
    pub fn shred(&self, shred: &Shred) -> Result<Shredded, Error> {
        let (keys, writer) = self.keys_and_writer()?;
        let _one = writer.changing_keys.lock();
        finish(keys, writer)?;
        let names = names_of(keys, &shred.selectors)?;
        let found = keys.ids_of(&names)?;
        self.refuse_held(&found.iter().map(|(tag, _)| *tag).collect::<Vec<_>>())?;
        let ids: BTreeSet<[u8; 16]> = found.into_iter().flat_map(|(_, ids)| ids).collect();
        if ids.is_empty() {
            return Err(Misuse::NothingToShred.into());
        }
        let ids: Vec<[u8; 16]> = ids.into_iter().collect();
        let intended = JournalEvent::ShredIntended(ShredIntended {
            domain: keys.domain,
            reason: shred.reason.clone(),
            keys: ids.clone(),
        });
        intended.check().map_err(Misuse::Event)?;
        let mut event = own::event(&intended);
        event.actor = shred.actor.clone().map(Into::into);
        let intent = writer.append_retiring(&[event], &ids)?.first_sequence();
        let completion = destroy(keys, writer, &ids, intent)?;
        Ok(Shredded {
            intent,
            completion,
            keys: ids,
            grade: ShredGrade::Removed,
        })
    }

    /// Forbids to shred these domains, or with none anything at all, until [`lift_hold`](Self::lift_hold).
    /// Gives the hold's id.
    ///
    /// # Errors
    /// As [`shred`](Self::shred).
    pub fn hold(&self, selectors: &[Selector], reason: impl Into<String>) -> Result<u64, Error> {
        let (keys, writer) = self.keys_and_writer()?;
        let _one = writer.changing_keys.lock();
        let names = names_of(keys, selectors)?;
        let tags: BTreeSet<[u8; 16]> = keys
            .ids_of(&names)?
            .into_iter()
            .map(|(tag, _)| tag)
            .collect();
        let placed = JournalEvent::HoldPlaced(HoldPlaced {
            reason: reason.into(),
            domains: tags.into_iter().collect(),
        });
        placed.check().map_err(Misuse::Event)?;
        Ok(writer
            .append(&[own::event(&placed)], &[], true)?
            .first_sequence())
    }

    /// Ends a hold.
    ///
    /// # Errors
    /// [`Misuse::NoSuchHold`], and as an append.
    pub fn lift_hold(&self, hold: u64, reason: impl Into<String>) -> Result<u64, Error> {
        let writer = self.writer()?;
        let _one = writer.changing_keys.lock();
        if !self.reader().holds()?.iter().any(|one| one.id == hold) {
            return Err(Misuse::NoSuchHold(hold).into());
        }
        let reason = reason.into();
        let lifted = JournalEvent::HoldLifted(HoldLifted { hold, reason });
        lifted.check().map_err(Misuse::Event)?;
        Ok(writer
            .append(&[own::event(&lifted)], &[], true)?
            .first_sequence())
    }

    fn refuse_held(&self, tags: &[[u8; 16]]) -> Result<(), Error> {
        for hold in self.reader().holds()? {
            let covers = |tag| hold.domains.is_empty() || hold.domains.contains(tag);
            if tags.iter().any(covers) {
                return Err(Refusal::Held(hold.id).into());
            }
        }
        Ok(())
    }

    fn keys_and_writer(&self) -> Result<(&Arc<Keys>, &Arc<Writer>), Error> {
        let writer = self.writer()?;
        let keys = self.reader().shared.secrets.as_ref();
        Ok((keys.ok_or(Misuse::NotEncrypted)?, writer))
    }
}

fn names_of(keys: &Keys, selectors: &[Selector]) -> Result<Vec<Vec<u8>>, Error> {
    if let Some(other) = selectors.iter().find(|one| one.domain() != keys.domain) {
        return Err(Misuse::OtherDomain {
            asked: other.domain().name(),
            journal: keys.domain.name(),
        }
        .into());
    }
    Ok(selectors.iter().map(Selector::name).collect())
}

/// Finishes what intents demand and the keyset doesn't show: after a crash, and where an older keyset was
/// put back. Gives the sequences of those that it destroyed something for.
pub(crate) fn finish(keys: &Arc<Keys>, writer: &Writer) -> Result<Vec<u64>, Error> {
    let shared = &writer.shared;
    let view = shared.view.load_full();
    let last = |kind: &'static str| -> Result<Option<JournalEvent>, Error> {
        let query = Query::all().kind(kind).reverse();
        for event in Events::new(Arc::clone(shared), Arc::clone(&view), query) {
            if let Some((_, event)) = own::decoded(&event?) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    };
    let done = match last("shred.completed")? {
        Some(JournalEvent::ShredCompleted(completed)) => Some(completed),
        _ => None,
    };
    let applied = keys.applied()?;
    if planted(Bug::IntentNotFinished) {
        return Ok(Vec::new());
    }
    let next = done
        .as_ref()
        .map_or(0, |done| done.intent.saturating_add(1));
    let from = applied.min(next);
    let mut finished = Vec::new();
    let query = Query::all().kind("shred.intended").from(from);
    let intents: Vec<_> =
        Events::new(Arc::clone(shared), Arc::clone(&view), query).collect::<Result<_, _>>()?;
    for event in &intents {
        let Some((intent, JournalEvent::ShredIntended(intended))) = own::decoded(event) else {
            continue;
        };
        keys.note_retired(&intended.keys, intent);
        if intent >= next || intent >= applied {
            // Generations go on from the highest that the journal knows.
            keys.set_least_generation(
                done.as_ref()
                    .map_or(0, |done| done.generation.saturating_add(1)),
            );
            destroy(keys, writer, &intended.keys, intent)?;
            finished.push(intent);
        }
    }
    keys.all_noted();
    Ok(finished)
}

/// Destroys keys, and then says so.
fn destroy(keys: &Keys, writer: &Writer, ids: &[[u8; 16]], intent: u64) -> Result<u64, Error> {
    keys.note_retired(ids, intent);
    if planted(Bug::CompletedBeforeDestroyed) {
        let early = completed(keys, intent, ids.len() as u32)?;
        writer.append(&[own::event(&early)], &[], true)?;
    }
    let destroyed = match planted(Bug::NothingDestroyed) {
        true => ids.len() as u32,
        false => keys.destroy(ids, intent, keys.least_generation(), None)?,
    };
    let event = completed(keys, intent, destroyed)?;
    let receipt = writer.append(&[own::event(&event)], &[], true)?;
    Ok(receipt.first_sequence())
}

fn completed(keys: &Keys, intent: u64, destroyed: u32) -> Result<JournalEvent, Error> {
    let state = keys.opened()?;
    let Some(open) = &state.open else {
        return Err(Refusal::KeysetLocked.into());
    };
    let kept = |recipient: &Recipient| (recipient.public.id(), SecretFate::Kept);
    Ok(JournalEvent::ShredCompleted(ShredCompleted {
        intent,
        generation: open.head.generation,
        root: open.head.commitment,
        destroyed,
        grade: ShredGrade::Removed,
        recipients: open.head.recipients.iter().map(kept).collect(),
    }))
}
