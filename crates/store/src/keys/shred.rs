//! Destroying keys: the intent, the destruction, and the event that says it is done.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use factlog_format::{
    JournalEvent, KeyDomain, KeysetNoted, SecretFate, ShredCompleted, ShredGrade, ShredIntended,
};
use factlog_keys::{DomainTag, Recipient, SectionKey};

use super::{Keys, Rewrap, Selector, derived::tell, domain::Domain, noted::Said};
use crate::{
    Damage, Error, Journal, Misuse, Query, Reader, Refusal,
    commit::Writer,
    config::{Bug, planted},
    event::own,
    read::{Events, Shared},
};

/// A shred that is asked for.
#[derive(Clone, Debug)]
pub struct Shred {
    selectors: Vec<Selector>,
    reason: String,
    actor: Option<String>,
    replace: Option<Rewrap>,
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
            replace: None,
        }
    }

    /// Replaces all recipients too, so that none that still exists opens an older copy of the journal's folder.
    /// The change has to name another secret for each: a provider, and a recovery recipient if there is one.
    #[must_use]
    pub fn replace_recipients(self, with: Rewrap) -> Self {
        Self {
            replace: Some(with),
            ..self
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
    /// Ids of the keys that are given up.
    pub keys: Vec<[u8; 16]>,
    /// Which of them were not there to be destroyed: they were lost before.
    pub missing: Vec<[u8; 16]>,
    /// How far it reached.
    pub grade: ShredGrade,
    /// Each recipient of before, by the first 8 bytes of its key, and what became of its secret.
    pub recipients: Vec<([u8; 8], SecretFate)>,
    /// Who keeps derived data and was told, and whether it says that this is gone.
    pub acknowledged: Vec<(String, bool)>,
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
    /// Whether all recipients were to be replaced too. Where they were not, a crash came between; then
    /// [`rewrap_keyset`](Journal::rewrap_keyset) does it.
    pub replacing: bool,
    /// Sequence of the event that says it is done, and what that says; `None` while it isn't.
    pub completed: Option<(u64, ShredCompleted)>,
}

impl Reader {
    /// Every shred that the journal tells of, the oldest first.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn erasures(&self) -> Result<Vec<ErasureEntry>, Error> {
        let mut found: Vec<ErasureEntry> = Vec::new();
        let query = Query::all()
            .kind("shred.intended")
            .or()
            .kind("keyset.noted")
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
                    replacing: false,
                    completed: None,
                }),
                Some((sequence, JournalEvent::KeysetNoted(noted))) => {
                    let mut last = found.last_mut();
                    if let Some(entry) = last.as_mut().filter(|last| last.intent + 1 == sequence) {
                        entry.replacing = noted.replacing.is_some();
                    }
                }
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

    pub(super) fn keys_there(&self) -> Result<&Arc<Keys>, Error> {
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
        let mut ids: BTreeSet<[u8; 16]> = found.into_iter().flat_map(|(_, ids)| ids).collect();
        // A key that was lost can be given up; until then nothing new is sealed in its domain.
        for selector in &shred.selectors {
            if let Some((_, id)) = keys.newest_key(&writer.shared, selector.domain())?
                && !keys.is_known(&writer.shared, &id)?
            {
                ids.insert(id);
            }
        }
        if ids.is_empty() {
            return Err(Misuse::NothingToShred.into());
        }
        let ids: Vec<[u8; 16]> = ids.into_iter().collect();
        let replacement = shred.replace.as_ref();
        let replacement = replacement
            .map(|change| keys.replacement(change, &writer.shared))
            .transpose()?;
        let intended = JournalEvent::ShredIntended(ShredIntended {
            domain: keys.domain,
            reason: shred.reason.clone(),
            keys: ids.clone(),
        });
        intended.check().map_err(Misuse::Event)?;
        let mut event = own::event(&intended);
        event.actor = shred.actor.clone().map(Into::into);
        let wish = replacement.as_ref();
        let wish = wish.map(|all| keys.state_of(Some(all.fate))).transpose()?;
        // In one with it, so that whoever finishes after a crash knows.
        let told = wish.clone().map(JournalEvent::KeysetNoted);
        let events: Vec<_> = [event]
            .into_iter()
            .chain(told.iter().map(own::event))
            .collect();
        let intent = writer.append_retiring(&events, &ids)?.first_sequence();
        let demand = Demand {
            intent,
            keys: ids,
            replacing: wish,
        };
        let new = replacement.map(|all| all.new);
        let (completion, done, missing) = destroy(keys, writer, &demand, new)?;
        Ok(Shredded {
            intent,
            completion,
            keys: demand.keys,
            missing,
            grade: done.grade,
            recipients: done.recipients,
            acknowledged: done.acknowledged,
        })
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

    pub(super) fn keys_and_writer(&self) -> Result<(&Arc<Keys>, &Arc<Writer>), Error> {
        let writer = self.writer()?;
        let keys = self.reader().shared.secrets.as_ref();
        Ok((keys.ok_or(Misuse::NotEncrypted)?, writer))
    }
}

impl Keys {
    /// The tags of what is selected.
    pub(crate) fn tags_of(&self, selectors: &[Selector]) -> Result<Vec<DomainTag>, Error> {
        let found = self.ids_of(&names_of(self, selectors)?)?;
        Ok(found.into_iter().map(|(tag, _)| tag).collect())
    }
}

fn names_of(keys: &Keys, selectors: &[Selector]) -> Result<Vec<Vec<u8>>, Error> {
    let domains = selectors.iter().map(Selector::domain);
    if let Some(other) = domains.clone().find(|one| one.sort() != keys.domain) {
        return Err(Misuse::OtherDomain {
            asked: other.sort().name(),
            journal: keys.domain.name(),
        }
        .into());
    }
    Ok(domains.map(Domain::name).collect())
}

/// What an intent demands.
struct Demand {
    intent: u64,
    keys: Vec<[u8; 16]>,
    /// The recipients, where all of them are to be replaced.
    replacing: Option<KeysetNoted>,
}

/// Finishes what intents demand and the keyset doesn't show: after a crash, and where an older keyset was
/// put back, which it tells.
///
/// # Errors
/// `keyset.rolled_back` if the keyset is older than a change of recipients, which nothing but the right copy mends.
pub(crate) fn finish(keys: &Arc<Keys>, writer: &Writer) -> Result<Option<Damage>, Error> {
    let shared = &writer.shared;
    let said = Said::of(shared)?;
    let (applied, generation) = keys.applied()?;
    let mut rolled_back = said.against(keys, generation);
    if planted(Bug::IntentNotFinished) {
        return Ok(None);
    }
    let noted = said.noted.as_ref();
    keys.noted_keys
        .store(noted.map_or(0, |noted| noted.keys), Relaxed);
    let done = said.completed.as_ref();
    let newest = done.map_or(0, |done| done.generation);
    let older = said.names_others(keys, generation)?;
    if keys.accepts_older && (older || keys.lacks(noted)?) {
        keys.accept(
            writer,
            newest.max(noted.map_or(0, |noted| noted.generation)),
        )?;
        rolled_back = None;
    } else if let Some(damage) = rolled_back.take_if(|_| older) {
        return Err(damage.into());
    }
    let next = done.map_or(0, |done| done.intent.saturating_add(1));
    keys.note_intents(shared, &shared.view.load_full())?;
    for demand in demands(shared, applied.min(next))? {
        // Generations go on from the highest that the journal knows.
        keys.set_least_generation(newest.saturating_add(1));
        if demand.intent >= next || demand.intent >= applied {
            destroy(keys, writer, &demand, None)?;
        }
    }
    if noted.is_some() {
        keys.note_recipients(writer)?;
    }
    Ok(rolled_back)
}

/// What the intents from a sequence on demand.
fn demands(shared: &Arc<Shared>, from: u64) -> Result<Vec<Demand>, Error> {
    let query = Query::all()
        .kind("shred.intended")
        .or()
        .kind("keyset.noted")
        .from(from);
    let mut found: Vec<Demand> = Vec::new();
    for event in Events::new(Arc::clone(shared), shared.view.load_full(), query) {
        match own::decoded(&event?) {
            Some((intent, JournalEvent::ShredIntended(intended))) => found.push(Demand {
                intent,
                keys: intended.keys,
                replacing: None,
            }),
            Some((sequence, JournalEvent::KeysetNoted(noted))) => {
                if let Some(last) = found.last_mut()
                    && last.intent + 1 == sequence
                    && !planted(Bug::WishForgotten)
                {
                    last.replacing = Some(noted).filter(|noted| noted.replacing.is_some());
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Destroys keys, has derived data forgotten, and then says so. Gives also which keys were not there.
fn destroy(
    keys: &Keys,
    writer: &Writer,
    demand: &Demand,
    new: Option<Vec<Recipient>>,
) -> Result<(u64, ShredCompleted, Vec<[u8; 16]>), Error> {
    keys.note_demanded(&demand.keys, demand.intent);
    if planted(Bug::CompletedBeforeDestroyed) {
        let early = JournalEvent::ShredCompleted(completed(keys, demand, &[])?);
        writer.append(&[own::event(&early)], &[], true)?;
    }
    let missing = match planted(Bug::NothingDestroyed) {
        true => Vec::new(),
        false => keys.destroy(&demand.keys, demand.intent, new)?,
    };
    let mut done = completed(keys, demand, &missing)?;
    done.acknowledged = tell(&keys.derived, &writer.shared, demand.intent, &demand.keys);
    let event = JournalEvent::ShredCompleted(done.clone());
    event.check().map_err(Misuse::Event)?;
    let receipt = writer.append(&[own::event(&event)], &[], true)?;
    if demand.replacing.is_some() {
        keys.note_recipients(writer)?;
    }
    Ok((receipt.first_sequence(), done, missing))
}

/// What can be said now that keys are destroyed; of recipients, what the head shows and not what was wanted.
fn completed(keys: &Keys, demand: &Demand, missing: &[[u8; 16]]) -> Result<ShredCompleted, Error> {
    let state = keys.opened()?;
    let Some(open) = &state.open else {
        return Err(Refusal::KeysetLocked.into());
    };
    let now: Vec<[u8; 8]> = open
        .head
        .recipients
        .iter()
        .map(|one| one.public.id())
        .collect();
    let wish = demand.replacing.as_ref();
    let before = wish.map_or(&now, |wish| &wish.recipients);
    let fate = wish.and_then(|wish| wish.replacing);
    let recipients: Vec<_> = before
        .iter()
        .map(|id| match fate.filter(|_| !now.contains(id)) {
            Some(fate) => (*id, fate),
            None => (*id, SecretFate::Kept),
        })
        .collect();
    let kept = recipients.iter().any(|(_, fate)| *fate == SecretFate::Kept);
    Ok(ShredCompleted {
        intent: demand.intent,
        generation: open.head.generation,
        root: open.head.commitment,
        destroyed: (demand.keys.len() - missing.len()) as u32, // at most 65,536
        grade: match kept {
            true => ShredGrade::Removed,
            false => ShredGrade::RecipientsReplaced,
        },
        recipients,
        acknowledged: Vec::new(),
    })
}
