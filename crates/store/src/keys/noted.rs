//! What events say of the keyset, and what they are told of it: so that an older copy that is put back is named.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use factlog_format::{JournalEvent, KeyDomain, KeysetNoted, SecretFate, ShredCompleted};

use super::Keys;
use crate::{
    Damage, Error, Query, Refusal,
    commit::Writer,
    config::{Bug, planted},
    event::own,
    read::{Events, Shared},
};

/// The newest of what events say of the keyset.
#[derive(Default)]
pub(super) struct Said {
    pub(super) completed: Option<ShredCompleted>,
    pub(super) noted: Option<KeysetNoted>,
}

fn newest(
    shared: &Arc<Shared>,
    kind: &'static str,
) -> impl Iterator<Item = Result<JournalEvent, Error>> {
    let query = Query::all().kind(kind).reverse();
    let events = Events::new(Arc::clone(shared), shared.view.load_full(), query);
    events.filter_map(|event| event.map(|event| Some(own::decoded(&event)?.1)).transpose())
}

impl Said {
    pub(super) fn of(shared: &Arc<Shared>) -> Result<Self, Error> {
        let mut said = Self::default();
        if let Some(JournalEvent::ShredCompleted(done)) =
            newest(shared, "shred.completed").next().transpose()?
        {
            said.completed = Some(done);
        }
        if let Some(JournalEvent::KeysetNoted(noted)) =
            newest(shared, "keyset.noted").next().transpose()?
        {
            said.noted = Some(noted);
        }
        Ok(said)
    }

    /// What is wrong with a keyset of this generation, beside a journal that says this.
    pub(super) fn against(&self, keys: &Keys, generation: u64) -> Option<Damage> {
        let done = self.completed.as_ref().map_or(0, |done| done.generation);
        let noted = self.noted.as_ref().map_or(0, |noted| noted.generation);
        let newest = done.max(noted);
        (generation < newest).then(|| {
            keys.older(format!(
                "it is of generation {generation}, and events tell of generation {newest}"
            ))
        })
    }

    /// Whether the keyset is older than a change of recipients, and not only than a shred.
    pub(super) fn names_others(&self, keys: &Keys, generation: u64) -> Result<bool, Error> {
        let Some(noted) = &self.noted else {
            return Ok(false);
        };
        if generation >= noted.generation || planted(Bug::OlderAccepted) {
            return Ok(false);
        }
        let state = keys.opened()?;
        let now = state.open.iter().flat_map(|open| &open.head.recipients);
        Ok(!now
            .map(|one| one.public.id())
            .eq(noted.recipients.iter().copied()))
    }
}

/// Everybody who ever was a recipient, as far as events tell.
pub(super) fn former(shared: &Arc<Shared>) -> Result<BTreeSet<[u8; 8]>, Error> {
    let mut found = BTreeSet::new();
    for event in newest(shared, "keyset.noted").chain(newest(shared, "shred.completed")) {
        match event? {
            JournalEvent::KeysetNoted(noted) => found.extend(noted.recipients),
            JournalEvent::ShredCompleted(done) => {
                found.extend(done.recipients.into_iter().map(|(id, _)| id));
            }
            _ => {}
        }
    }
    Ok(found)
}

impl Keys {
    pub(super) fn older(&self, detail: String) -> Damage {
        Damage::new("keyset.rolled_back", &self.layout.keyset(), detail)
    }

    /// Whether events tell of more keys than there are.
    pub(super) fn lacks(&self, noted: Option<&KeysetNoted>) -> Result<bool, Error> {
        let told = noted.map_or(0, |noted| noted.keys);
        Ok(told > 0 && self.state_of(None)?.keys < told)
    }

    /// How far the keyset is.
    pub(super) fn state_of(&self, replacing: Option<SecretFate>) -> Result<KeysetNoted, Error> {
        let mut state = self.opened()?;
        self.load(&mut state)?;
        let Some(open) = &state.open else {
            return Err(Refusal::KeysetLocked.into());
        };
        let all = open.head.recipients.iter();
        // Only of what is durable: the rest may still be lost.
        let keys = open.loaded.as_ref().map_or(0, |loaded| {
            loaded.index.next() - loaded.pending.len() as u32
        });
        Ok(KeysetNoted {
            generation: open.head.generation,
            root: open.head.commitment,
            keys,
            recipients: all.map(|one| one.public.id()).collect(),
            replacing,
        })
    }

    /// Has an event tell who can open the keyset, unless the newest one does.
    pub(super) fn note_recipients(&self, writer: &Writer) -> Result<(), Error> {
        let said = Said::of(&writer.shared)?.noted;
        let now = self.state_of(None)?;
        match said.is_some_and(|said| said.recipients == now.recipients) {
            true => Ok(()),
            false => self.note(writer, now),
        }
    }

    pub(super) fn note(&self, writer: &Writer, now: KeysetNoted) -> Result<(), Error> {
        let keys = now.keys;
        let event = JournalEvent::KeysetNoted(now);
        writer.append(&[own::event(&event)], &[], true)?;
        self.noted_keys.store(keys, Relaxed);
        Ok(())
    }

    /// At the end of a session: destroys what came back of keys that events call destroyed, and has an event tell
    /// how many keys there are, where nothing else shows that some of them were lost. Of all other sorts of domain
    /// the newest event does.
    pub(crate) fn note_end(&self, writer: &Writer) -> Result<(), Error> {
        self.destroy_left_over()?;
        if self.domain != KeyDomain::Subject || self.is_follower || self.broken.load(Relaxed) {
            return Ok(());
        }
        let minted = self.state.lock().minted();
        if minted == 0 {
            return Ok(());
        }
        // What is told must be there.
        self.fence(minted)?;
        let now = self.state_of(None)?;
        self.note(writer, now)
    }

    /// Takes the keyset as it is, though it is an older copy: what was minted since is given up, and who was a
    /// recipient then is one again.
    pub(super) fn accept(&self, writer: &Writer, newest: u64) -> Result<(), Error> {
        self.set_least_generation(newest.saturating_add(1));
        let recipients = {
            let state = self.opened()?;
            let open = state.open.as_ref();
            open.map(|open| open.head.recipients.clone())
        };
        self.give_to(recipients.unwrap_or_default())?;
        let now = self.state_of(None)?;
        self.note(writer, now)
    }
}
