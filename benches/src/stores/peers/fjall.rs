use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::row;
use crate::{
    event::{Event, Stream},
    store::{Each, Id, Setup, Store},
};

/// fjall as it comes, but that every batch is synced.
pub(crate) struct Fjall {
    database: Database,
    rows: Keyspace,
    ids: Keyspace,
    streams: Keyspace,
    next: Mutex<u64>,
}

impl Store for Fjall {
    const GROUPED: bool = true;

    fn open(dir: &Path, _: Setup) -> anyhow::Result<Self> {
        let database = Database::builder(dir.join("fjall")).open()?;
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        let (rows, ids, streams) = (keyspace("events")?, keyspace("ids")?, keyspace("streams")?);
        let next = match rows.last_key_value() {
            Some(last) => row::sequence_of(&last.key()?)? + 1,
            None => 0,
        };
        Ok(Self {
            database,
            rows,
            ids,
            streams,
            next: Mutex::new(next),
        })
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for (event, sequence) in events.iter().zip(*next..) {
            let (id, place) = (row::new_id(), sequence.to_be_bytes());
            batch.insert(&self.rows, place, row::encode(event, &id));
            batch.insert(&self.ids, id, place);
            batch.insert(
                &self.streams,
                row::stream_key(event.stream.name(), sequence),
                [],
            );
        }
        batch.commit()?;
        *next += events.len() as u64;
        Ok(())
    }

    fn get(&self, sequence: u64) -> anyhow::Result<usize> {
        let found = self
            .rows
            .get(sequence.to_be_bytes())?
            .context("no such event")?;
        Ok(row::payload(&found)?.len())
    }

    fn id_at(&self, sequence: u64) -> anyhow::Result<Id> {
        row::id(
            &self
                .rows
                .get(sequence.to_be_bytes())?
                .context("no such event")?,
        )
    }

    fn get_by_id(&self, id: &Id) -> anyhow::Result<usize> {
        self.get(row::sequence_of(&self.ids.get(id)?.context("no such id")?)?)
    }

    fn read_stream(&self, stream: Stream, each: Each<'_>) -> anyhow::Result<()> {
        for entry in self.streams.prefix(stream.name()) {
            let sequence = row::sequence_of(&entry.key()?)?;
            let found = self
                .rows
                .get(sequence.to_be_bytes())?
                .context("no such event")?;
            if !each(row::payload(&found)?) {
                break;
            }
        }
        Ok(())
    }

    fn scan(&self, kind: Option<u8>, each: Each<'_>) -> anyhow::Result<()> {
        for entry in self.rows.iter() {
            let found = entry.value()?;
            if row::is_of(&found, kind) && !each(row::payload(&found)?) {
                break;
            }
        }
        Ok(())
    }
}
