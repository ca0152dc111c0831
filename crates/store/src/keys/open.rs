//! Opening sections, on the reader's thread.

use std::{ops::Deref, sync::Arc};

use factlog_format::{EventFrame, JournalEvent, SectionRow, SectionSecret};
use factlog_keys::{DataKey, KeyId, SectionPlace, Suite};
use zeroize::Zeroizing;

use super::{Keys, Sealed};
use crate::{
    Error, Event, Query,
    config::{Bug, planted},
    event::{Opened, own},
    read::{Events, Shared, view::View},
};

impl Keys {
    /// What opening each section of an event comes to.
    pub(crate) fn open_sections(
        &self,
        shared: &Arc<Shared>,
        view: &Arc<View>,
        event: &Event,
    ) -> Vec<Opened> {
        let Some(frame) = event.frame() else {
            return Vec::new();
        };
        let opened = frame.sections().enumerate().map(|(index, (row, content))| {
            let sealed = row.sealed.as_ref()?;
            let (secret, stored) = content?;
            let key = self.key(shared, view, &sealed.key_id);
            Some(key.and_then(|key| open(&self.journal, &frame, index, &row, secret, stored, &key)))
        });
        opened.collect()
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
        // A scan may hold a view that is older than what this process knows of by now.
        let newest = shared.view.load_full();
        let view = match newest.durable >= view.durable && !planted(Bug::OldViewBelieved) {
            true => &newest,
            false => view,
        };
        self.note_intents(shared, view).map_err(keyset)?;
        let mut state = self.state.lock();
        if let Some(intent) = state.retired.get(id) {
            return Err(Sealed::Shredded { intent: *intent });
        }
        if self.has_moved(&mut state) {
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
        let intent = self.state.lock().retired.get(id).copied();
        Err(match (intent, why) {
            (Some(intent), _) => Sealed::Shredded { intent },
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
        let from = self.state.lock().retired_through;
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
        let mut state = self.state.lock();
        state.retired_through = state.retired_through.max(through);
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
    index: usize,
    row: &SectionRow<'_>,
    secret: SectionSecret,
    stored: &[u8],
    key: &DataKey,
) -> Result<Zeroizing<Vec<u8>>, Sealed> {
    let unknown = Sealed::Mismatch("its cipher is not known");
    let SectionSecret::Nonce(nonce) = secret else {
        return Err(unknown);
    };
    let (Some(place), Some(sealed)) = (place_of(journal, frame, index, row), &row.sealed) else {
        return Err(unknown);
    };
    let mut plain = Zeroizing::new(Vec::new());
    key.open(&place, &nonce, &sealed.key_commitment, stored, &mut plain)
        .map_err(|error| {
            Sealed::Mismatch(match error {
                factlog_keys::OpenError::Commitment => "the key is not the one it commits to",
                factlog_keys::OpenError::Cipher => "it is not what was sealed there",
                _ => "what is inside is not what a writer makes",
            })
        })?;
    Ok(plain)
}
