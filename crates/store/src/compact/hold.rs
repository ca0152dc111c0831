//! What must not be erased: holds, which beat every rule and every shred.

use std::collections::BTreeSet;
use std::sync::Arc;

use factlog_format::{
    EventFrame, FactsRef, HoldLifted, HoldPlaced, JournalEvent, KeyDomain, plain_domain_tag,
};

use crate::{
    Error, Journal, Misuse, Query, Reader,
    commit::Writer,
    event::own,
    keys::{Domain, Selector},
    read::Shared,
};

/// The sorts of domain that facts tell.
const TOLD: [KeyDomain; 5] = [
    KeyDomain::Stream,
    KeyDomain::Scope,
    KeyDomain::Category,
    KeyDomain::Kind,
    KeyDomain::Event,
];

/// What must be neither shredded nor erased.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

impl Journal {
    /// Forbids to shred or erase what is named, or with nothing named anything at all, until
    /// [`lift_hold`](Self::lift_hold). Gives the hold's id.
    ///
    /// In an encrypted journal it is named by the sort that the keys are of; in any other by stream, scope,
    /// category, kind or event.
    ///
    /// ```
    /// use factlog::{Encoding, Journal, NewEvent, Retention, RetentionRule, Selector};
    ///
    /// let journal = Journal::in_memory()?;
    /// for entity in ["chat-1", "chat-2"] {
    ///     journal.append(NewEvent::new("support", entity, "chat.said").data(Encoding::Raw, b"hi".as_slice()))?;
    /// }
    /// let stream = Selector::Stream { scope: "support".into(), entity: "chat-1".into() };
    /// journal.hold(&[stream], "case 4")?;
    /// let rule = RetentionRule::new("chats", "not needed any more").scope("support");
    /// let done = journal.retain(&Retention::new(vec![rule]))?;
    /// assert_eq!((done.rules[0].events, done.held), (1, 1));
    /// # Ok::<(), factlog::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse::OtherDomain`] if a selector is of another sort than the journal's keys,
    /// [`Misuse::NotEncrypted`] for a subject where nothing is; and as an append.
    pub fn hold(&self, selectors: &[Selector], reason: impl Into<String>) -> Result<u64, Error> {
        let writer = self.writer()?;
        let _one = writer.changing_keys.lock();
        let tags: BTreeSet<[u8; 16]> = tags_of(writer, selectors)?.into_iter().collect();
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
}

fn tags_of(writer: &Writer, selectors: &[Selector]) -> Result<Vec<[u8; 16]>, Error> {
    if let Some(keys) = &writer.shared.secrets {
        return keys.tags_of(selectors);
    }
    let by_facts = |selector: &Selector| TOLD.contains(&selector.domain().sort());
    if writer.shared.is_encrypted || !selectors.iter().all(by_facts) {
        return Err(Misuse::NotEncrypted.into());
    }
    let names = selectors.iter().map(|selector| selector.domain().name());
    let tags = names.map(|name| plain_domain_tag(&writer.hold_key, &name));
    Ok(tags.collect())
}

/// The holds that are in force now.
pub(super) fn holds(shared: &Arc<Shared>) -> Result<Vec<Hold>, Error> {
    let shared = Arc::clone(shared);
    Reader { shared }.holds()
}

/// The first hold that covers an event: by what its facts tell, or by the keys of its sections.
///
/// # Errors
/// Where that can't be told, since the keyset is locked: nothing may be erased then.
pub(super) fn hold_of(
    writer: &Writer,
    holds: &[Hold],
    event: &EventFrame<'_>,
) -> Result<Option<u64>, Error> {
    for hold in holds {
        if hold.domains.is_empty() || covers(writer, &hold.domains, event)? {
            return Ok(Some(hold.id));
        }
    }
    Ok(None)
}

fn covers(writer: &Writer, domains: &[[u8; 16]], event: &EventFrame<'_>) -> Result<bool, Error> {
    if let Some(keys) = &writer.shared.secrets {
        let rows = event.facts.sections.iter();
        let ids: Vec<[u8; 16]> = rows.filter_map(|row| Some(row.sealed?.key_id)).collect();
        return keys.are_of(&event.facts, &ids, domains);
    }
    if writer.shared.is_encrypted {
        return Err(Misuse::NotEncrypted.into());
    }
    Ok(told_tags(writer, &event.facts).any(|tag| domains.contains(&tag)))
}

fn told_tags<'f>(
    writer: &'f Writer,
    facts: &'f FactsRef<'_>,
) -> impl Iterator<Item = [u8; 16]> + 'f {
    let domains = TOLD.iter().filter_map(|sort| Domain::of(*sort, facts));
    domains.map(|domain| plain_domain_tag(&writer.hold_key, &domain.name()))
}
