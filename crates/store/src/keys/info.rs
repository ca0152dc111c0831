//! What can be said of a keyset, and whether it holds together.

use std::sync::Arc;

use factlog_format::{Digest, FactsRef, KeyDomain};
use factlog_keys::{DomainTag, KeyId, Lock, Recipient};

use super::{
    Keys, Sealed,
    domain::{Domain, shown},
    head::read_head,
    noted::Said,
};
use crate::{Damage, Error, Reader, Refusal, read::Shared};

/// What is publicly known of a keyset.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeysetInfo {
    /// What one key encrypts.
    pub domain: KeyDomain,
    /// Counts changes of the keyset's head.
    pub generation: u64,
    /// Commits to its root key.
    pub root: Digest,
    /// Who can open it.
    pub recipients: Vec<RecipientInfo>,
}

impl KeysetInfo {
    /// Whether any of the recipients is kept for the case that all others are lost.
    #[must_use]
    pub fn has_recovery(&self) -> bool {
        self.recipients.iter().any(|recipient| recipient.recovery)
    }
}

/// Somebody who can open a keyset.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecipientInfo {
    /// The first 8 bytes of its public key, as erasure reports have them.
    pub id: [u8; 8],
    /// Its public key, as text.
    pub key: String,
    /// What it is: `passphrase`, `key file`, `machine`, `recovery`.
    pub label: String,
    /// Whether it is kept for the case that all others are lost.
    pub recovery: bool,
    /// Whether the keyset holds its private half, under a passphrase or the machine.
    pub locked_here: bool,
}

/// A live key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyEntry {
    /// Its id, as the section tables of events have it.
    pub id: [u8; 16],
    /// The name of its domain: `bank/account-7`.
    pub domain: String,
}

impl Keys {
    /// What is publicly known of it.
    pub(super) fn info(&self) -> Result<KeysetInfo, Error> {
        let (head, _) = read_head(self.fs.as_ref(), &self.layout, &self.journal)?;
        Ok(KeysetInfo {
            domain: self.domain,
            generation: head.generation,
            root: head.commitment,
            recipients: head.recipients.iter().map(info_of).collect(),
        })
    }

    /// The ids of the live keys of some domains.
    pub(super) fn ids_of(&self, names: &[Vec<u8>]) -> Result<Vec<(DomainTag, Vec<KeyId>)>, Error> {
        let mut state = self.opened()?;
        self.load(&mut state)?;
        let Some(open) = &state.open else {
            return Ok(Vec::new());
        };
        let Some(loaded) = &open.loaded else {
            return Ok(Vec::new());
        };
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let tag = open.names.tag(name);
            let mut ids = Vec::new();
            for number in loaded.index.by_tag(&tag) {
                match open.entry(number)? {
                    Some(entry) if entry.tag == tag => ids.push(entry.id),
                    _ => {}
                }
            }
            let pending = loaded.pending.iter();
            let pending = pending.filter(|pending| pending.is_of(&tag));
            ids.extend(pending.map(|pending| pending.key.id()));
            ids.retain(|id| !state.retired.contains_key(id));
            found.push((tag, ids));
        }
        Ok(found)
    }

    /// Whether an event is in one of these domains: by its facts, or since any of these keys was minted for
    /// one of them.
    pub(crate) fn are_of(
        &self,
        facts: &FactsRef<'_>,
        ids: &[KeyId],
        domains: &[DomainTag],
    ) -> Result<bool, Error> {
        let mut state = self.opened()?;
        self.load(&mut state)?;
        let Some(open) = &state.open else {
            return Err(Refusal::KeysetLocked.into());
        };
        if let Some(domain) = Domain::of(self.domain, facts)
            && domains.contains(&open.names.tag(&domain.name()))
        {
            return Ok(true);
        }
        let Some(loaded) = &open.loaded else {
            return Ok(false);
        };
        for id in ids {
            let pending = loaded.pending.iter();
            let mut pending = pending.filter(|pending| pending.key.id() == *id);
            if pending.any(|pending| domains.iter().any(|tag| pending.is_of(tag))) {
                return Ok(true);
            }
            for number in loaded.index.by_id(id) {
                let entry = open.entry(number)?.filter(|entry| entry.id == *id);
                if entry.is_some_and(|entry| domains.contains(&entry.tag)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Every live key, with the name of its domain.
    pub(super) fn list(&self) -> Result<Vec<KeyEntry>, Error> {
        let mut state = self.opened()?;
        self.load(&mut state)?;
        let Some(open) = &state.open else {
            return Ok(Vec::new());
        };
        let Some(loaded) = &open.loaded else {
            return Ok(Vec::new());
        };
        let mut keys = Vec::new();
        for number in loaded.index.live() {
            let Some(entry) = open.entry(number)? else {
                continue;
            };
            let (_, name) = self.unwrap(open, &entry)?;
            keys.push(KeyEntry {
                id: entry.id,
                domain: shown(&name),
            });
        }
        Ok(keys)
    }

    /// Refuses a keyset that calls keys destroyed which no event does.
    fn check_tombstones(&self) -> Result<(), Error> {
        let state = self.opened()?;
        let loaded = state.open.as_ref().and_then(|open| open.loaded.as_ref());
        let mut tombstones = loaded
            .into_iter()
            .flat_map(|loaded| loaded.index.tombstones());
        match tombstones.all(|tombstone| state.retired.contains_key(&tombstone.id)) {
            true => Ok(()),
            false => Err(Sealed::ForgedTombstone.into()),
        }
    }

    /// What events say against the keyset: then an older copy was put back, or a part of one.
    pub(super) fn rolled_back(&self, shared: &Arc<Shared>) -> Result<Option<Damage>, Error> {
        let (head, _) = read_head(self.fs.as_ref(), &self.layout, &self.journal)?;
        Ok(Said::of(shared)?.against(self, head.generation))
    }

    /// The same of the keys in it.
    fn rolled_back_keys(&self, shared: &Arc<Shared>) -> Result<Option<Damage>, Error> {
        let told = Said::of(shared)?.noted.map_or(0, |noted| noted.keys);
        let mut state = self.opened()?;
        self.load(&mut state)?;
        let left = self.left_over(&state)?.len();
        let loaded = state.open.as_ref().and_then(|open| open.loaded.as_ref());
        let there = loaded.map_or(0, |loaded| loaded.index.next());
        Ok(if left > 0 {
            Some(self.older(format!("{left} keys are in it that events want destroyed")))
        } else if there < told {
            Some(self.older(format!("it has {there} keys, and events tell of {told}")))
        } else {
            None
        })
    }
}

fn info_of(recipient: &Recipient) -> RecipientInfo {
    RecipientInfo {
        id: recipient.public.id(),
        key: recipient.public.to_text(),
        label: recipient.label.clone(),
        recovery: recipient.recovery,
        locked_here: recipient.lock != Lock::Elsewhere,
    }
}

impl Reader {
    /// What is publicly known of the keyset.
    ///
    /// # Errors
    /// [`Misuse::NotEncrypted`](crate::Misuse::NotEncrypted), and what is wrong with the keyset.
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

    /// Looks through the whole keyset: opens every key in it, and compares it with what the journal's events
    /// say. Gives how many keys there are.
    ///
    /// # Errors
    /// The first thing that is wrong with it: damage, `keyset.rolled_back`, `keyset.forged_tombstone`.
    pub fn check_keyset(&self) -> Result<usize, Error> {
        let keys = self.keys_there()?;
        read_head(keys.fs.as_ref(), &keys.layout, &keys.journal)?;
        if let Some(damage) = keys.rolled_back(&self.shared)? {
            return Err(damage.into());
        }
        if let Some(why) = keys.why_locked() {
            return Err(Refusal::ReadOnly(why).into());
        }
        let view = self.shared.view.load_full();
        keys.note_intents(&self.shared, &view)?;
        if let Some(damage) = keys.rolled_back_keys(&self.shared)? {
            return Err(damage.into());
        }
        let list = keys.list()?;
        keys.check_tombstones()?;
        Ok(list.len())
    }
}
