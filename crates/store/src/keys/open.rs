//! Opening sections, on the reader's thread.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    ops::Deref,
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use factlog_format::{EventFrame, JournalEvent, SectionRow, SectionSecret};
use factlog_keys::{DataKey, KeyId, OpenError, SectionPlace, Suite};
use zeroize::Zeroizing;

use super::{Keys, Sealed};
use crate::{
    Error, Event, Query,
    config::{Bug, planted},
    event::{Opened, own},
    read::{Events, Shared, view::View},
    sync::{Mutex, MutexGuard},
};

/// How many parts the keys in memory are in, so that readers seldom meet.
const PARTS: usize = 16;

/// Keys in memory by their ids, which readers find without waiting for who changes the keyset. They come and go
/// under its lock alone: what is retired isn't found here from then on.
#[derive(Default)]
pub(super) struct Held {
    parts: [Mutex<Part>; PARTS],
    count: AtomicUsize,
}

type Part = HashMap<KeyId, Arc<DataKey>, BuildHasherDefault<IdHasher>>;

/// An id is a hash already, of a key that chance made. Its first byte chooses the part.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .last_chunk()
            .map_or(0, |last| u64::from_le_bytes(*last));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Held {
    fn part(&self, id: &KeyId) -> Option<MutexGuard<'_, Part>> {
        let part = self.parts.get(usize::from(id[0]) % PARTS)?;
        Some(part.lock())
    }

    pub(super) fn get(&self, id: &KeyId) -> Option<Arc<DataKey>> {
        self.part(id)?.get(id).cloned()
    }

    pub(super) fn insert(&self, key: &Arc<DataKey>) {
        let id = key.id();
        if let Some(mut part) = self.part(&id)
            && part.insert(id, Arc::clone(key)).is_none()
        {
            self.count.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn remove(&self, id: &KeyId) {
        if let Some(mut part) = self.part(id)
            && part.remove(id).is_some()
        {
            self.count.fetch_sub(1, Relaxed);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    pub(super) fn clear(&self) {
        self.parts.iter().for_each(|part| part.lock().clear());
        self.count.store(0, Relaxed);
    }
}

impl Keys {
    /// What opening each section of an event comes to. The memory of what was opened before is used again; it is
    /// wiped when it goes.
    pub(crate) fn open_sections(
        &self,
        shared: &Arc<Shared>,
        view: &Arc<View>,
        frame: &EventFrame<'_>,
        opened: &mut Vec<Opened>,
    ) {
        let mut used = 0;
        for (index, (row, content)) in frame.sections().enumerate() {
            if opened.len() == index {
                opened.push(None);
            }
            let Some(slot) = opened.get_mut(index) else {
                break;
            };
            let mut plain = match slot.take() {
                Some(Ok(plain)) => plain,
                _ => Zeroizing::default(),
            };
            if let (Some(sealed), Some((secret, stored))) = (&row.sealed, content) {
                let key = self.key(shared, view, &sealed.key_id);
                let done = key.and_then(|key| {
                    open(
                        &self.journal,
                        frame,
                        (index, &row),
                        secret,
                        stored,
                        &key,
                        &mut plain,
                    )
                });
                *slot = Some(done.map(|()| plain));
            }
            used = index + 1;
        }
        opened.truncate(used);
    }

    /// The key of each encrypted section alone, or why there is none.
    pub(crate) fn section_keys(
        &self,
        shared: &Arc<Shared>,
        view: &Arc<View>,
        event: &Event,
    ) -> Vec<Option<Result<[u8; 32], Sealed>>> {
        let Some(frame) = event.frame() else {
            return Vec::new();
        };
        let keys = (0u8..)
            .zip(frame.sections())
            .map(|(index, (row, content))| {
                let sealed = row.sealed.as_ref()?;
                let (SectionSecret::Nonce(nonce), _) = content? else {
                    return None;
                };
                let key = self.key(shared, view, &sealed.key_id);
                Some(key.map(|key| {
                    *key.section_key(&frame.facts.event_id, index, &nonce)
                        .bytes()
                        .deref()
                }))
            });
        keys.collect()
    }

    /// The key of an id, or why there is none.
    fn key(
        &self,
        shared: &Arc<Shared>,
        view: &Arc<View>,
        id: &KeyId,
    ) -> Result<Arc<DataKey>, Sealed> {
        // In the process that writes the intents there is nothing to look for after the first look.
        if self.retired_through.load(Acquire) != u64::MAX {
            // A scan may hold a view that is older than what this process knows of by now.
            let newest = shared.view.load();
            let view: &Arc<View> =
                match newest.durable >= view.durable && !planted(Bug::OldViewBelieved) {
                    true => &newest,
                    false => view,
                };
            self.note_intents(shared, view).map_err(keyset)?;
        }
        let is_due = self.is_due();
        if let Some(key) = self.held.get(id).filter(|_| !is_due) {
            return Ok(key);
        }
        let mut state = self.state.lock();
        if let Some(why) = state.gone(id) {
            return Err(why);
        }
        if is_due && self.has_moved(&state) {
            self.refresh(&mut state);
        }
        loop {
            if let Some(key) = self.find_by_id(&mut state, id).map_err(keyset)? {
                return Ok(key);
            }
            if !self.refresh(&mut state) {
                break;
            }
        }
        let buried = state.open.as_ref().is_some_and(|open| open.is_buried(id));
        let locked = state.open.is_none();
        drop(state);
        // Only an event says that a key was destroyed; it may be newer than what this reader has seen.
        if let Some(follower) = shared.follower.as_ref().filter(|_| buried) {
            let _ = follower.refresh(shared);
        }
        self.note_intents(shared, &shared.view.load_full())
            .map_err(keyset)?;
        let why = self.why_locked();
        let gone = self.state.lock().gone(id);
        Err(match (gone, why) {
            (Some(gone), _) => gone,
            (None, Some(why)) if locked => match &*why {
                Error::Refused(crate::Refusal::KeysetLocked) => Sealed::Locked,
                _ => Sealed::Keyset(why),
            },
            (None, _) if buried => Sealed::ForgedTombstone,
            (None, _) => Sealed::KeyMissing,
        })
    }

    /// Takes in which keys events want destroyed: at first all of them, then those since the last look. In
    /// the process that writes them they are told as they are ordered, and no more looks are needed.
    pub(super) fn note_intents(&self, shared: &Arc<Shared>, view: &Arc<View>) -> Result<(), Error> {
        let from = self.retired_through.load(Acquire);
        if from >= view.durable {
            return Ok(());
        }
        let query = Query::all().kind("shred.intended").from(from).into_owned();
        for event in Events::new(Arc::clone(shared), Arc::clone(view), query) {
            let event = event?;
            if let Some((sequence, JournalEvent::ShredIntended(intended))) = own::decoded(&event) {
                self.note_demanded(&intended.keys, sequence);
            }
        }
        let through = match self.is_follower {
            true => view.durable,
            false => u64::MAX,
        };
        self.retired_through.fetch_max(through, Release);
        Ok(())
    }
}

fn keyset(error: Error) -> Sealed {
    Sealed::Keyset(Arc::new(error))
}

/// Where a section stands, as it was sealed; `None` for a suite that this build doesn't know.
pub(super) fn place_of<'p>(
    journal: &'p [u8; 16],
    frame: &'p EventFrame<'_>,
    index: usize,
    row: &'p SectionRow<'_>,
) -> Option<SectionPlace<'p>> {
    let sealed = row.sealed.as_ref()?;
    let facts = &frame.facts;
    Some(SectionPlace {
        journal,
        event: &facts.event_id,
        scope: facts.scope,
        entity: facts.entity,
        kind: facts.kind,
        payload_version: facts.payload_version,
        index: u8::try_from(index).ok()?,
        name: row.name,
        encoding: row.encoding.code(),
        suite: Suite::from_code(sealed.suite)?,
        padding: sealed.padding,
    })
}

fn open(
    journal: &[u8; 16],
    frame: &EventFrame<'_>,
    (index, row): (usize, &SectionRow<'_>),
    secret: SectionSecret,
    stored: &[u8],
    key: &DataKey,
    plain: &mut Vec<u8>,
) -> Result<(), Sealed> {
    let unknown = Sealed::Mismatch("its cipher is not known");
    let SectionSecret::Nonce(nonce) = secret else {
        return Err(unknown);
    };
    let (Some(place), Some(sealed)) = (place_of(journal, frame, index, row), &row.sealed) else {
        return Err(unknown);
    };
    key.open(&place, &nonce, &sealed.key_commitment, stored, plain)
        .map_err(|error| match error {
            OpenError::Commitment => Sealed::OtherKey,
            OpenError::Cipher => Sealed::Mismatch("it is not what was sealed there"),
            _ => Sealed::Mismatch("what is inside is not what a writer makes"),
        })
}
