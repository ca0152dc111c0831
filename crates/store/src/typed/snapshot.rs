use std::collections::HashMap;

use factlog_format::{Digest, JournalId, StreamId, coordinate_key};
use serde::{Deserialize, Serialize};

use super::Decider;
use crate::{Error, Reader, Receipt, sync::Mutex};

/// A state as of one event of its stream: a cache, which is believed only while that very event stands
/// where it stood.
///
/// It can be stored elsewhere, in any of serde's formats. Keep in mind that it holds what the events hold:
/// an erasure of these doesn't reach it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot<D> {
    version: u16,
    journal: JournalId,
    stream: StreamId,
    revision: u64,
    sequence: u64,
    hash: Digest,
    state: D,
}

impl<D: Decider> Snapshot<D> {
    /// The state that the event of a receipt led to.
    pub fn of(state: D, journal: JournalId, receipt: &Receipt) -> Self {
        Self {
            version: D::SNAPSHOT,
            journal,
            stream: receipt.stream_id(),
            revision: receipt.revision(),
            sequence: receipt.sequence(),
            hash: receipt.event_hash(),
            state,
        }
    }

    /// Whether it is of the current version, and its event stands in the journal as it did.
    ///
    /// # Errors
    /// What reading the event comes to.
    pub fn is_current(&self, reader: &Reader) -> Result<bool, Error> {
        if self.version != D::SNAPSHOT || self.journal != reader.id() {
            return Ok(false);
        }
        let event = reader.get(self.sequence)?;
        Ok(event.is_some_and(|event| {
            event.stream_id() == self.stream
                && event.revision() == self.revision
                && event.facts().is_some()
                && event.hash() == self.hash
        }))
    }

    /// Sequence of its event.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Revision of its event.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The state.
    #[must_use]
    pub fn into_state(self) -> D {
        self.state
    }
}

/// Snapshots in memory, of the streams that were decided on last; may be shared by threads.
#[derive(Debug)]
pub struct Snapshots<D> {
    kept: Mutex<HashMap<[u8; 16], Snapshot<D>>>,
    capacity: usize,
}

impl<D: Decider + Clone> Snapshots<D> {
    /// Keeps those of up to `capacity` streams.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            kept: Mutex::new(HashMap::new()),
            capacity,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a snapshot, such as one stored elsewhere.
    pub fn put(&self, scope: &str, entity: &str, snapshot: Snapshot<D>) {
        let key = coordinate_key(scope, entity);
        let mut kept = self.kept.lock();
        if kept.len() >= self.capacity && !kept.contains_key(&key) {
            // Any will do: what is dropped is loaded anew.
            let some = kept.keys().next().copied();
            some.and_then(|some| kept.remove(&some));
        }
        if self.capacity > 0 {
            kept.insert(key, snapshot);
        }
    }

    /// The snapshot of a stream, if one is kept that is [current](Snapshot::is_current); one that isn't is
    /// dropped.
    ///
    /// # Errors
    /// What reading its event comes to.
    pub fn get(
        &self,
        reader: &Reader,
        scope: &str,
        entity: &str,
    ) -> Result<Option<Snapshot<D>>, Error> {
        let key = coordinate_key(scope, entity);
        let Some(snapshot) = self.kept.lock().get(&key).cloned() else {
            return Ok(None);
        };
        if snapshot.is_current(reader)? {
            return Ok(Some(snapshot));
        }
        self.kept.lock().remove(&key);
        Ok(None)
    }
}
