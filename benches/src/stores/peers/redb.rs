use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, ensure};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use super::row;
use crate::{
    event::{Event, Stream},
    store::{Each, Id, Setup, Store},
};

const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
const IDS: TableDefinition<&[u8; 16], u64> = TableDefinition::new("ids");
const STREAMS: TableDefinition<&[u8], ()> = TableDefinition::new("streams");

/// redb with its default durability, which is to sync every transaction.
pub(crate) struct Redb {
    database: Database,
    next: Mutex<u64>,
}

fn file_of(dir: &Path) -> PathBuf {
    dir.join("events.redb")
}

impl Store for Redb {
    const GROUPED: bool = true;

    fn open(dir: &Path, _: Setup) -> anyhow::Result<Self> {
        let database = Database::create(file_of(dir))?;
        let transaction = database.begin_write()?;
        let next = transaction.open_table(EVENTS)?.len()?;
        if next > 0 {
            transaction.abort()?;
        } else {
            transaction.open_table(IDS)?;
            transaction.open_table(STREAMS)?;
            transaction.commit()?;
        }
        Ok(Self {
            database,
            next: Mutex::new(next),
        })
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = self.database.begin_write()?;
        {
            let mut rows = transaction.open_table(EVENTS)?;
            let mut ids = transaction.open_table(IDS)?;
            let mut streams = transaction.open_table(STREAMS)?;
            for (event, sequence) in events.iter().zip(*next..) {
                let id = row::new_id();
                rows.insert(sequence, row::encode(event, &id).as_slice())?;
                ids.insert(&id, sequence)?;
                streams.insert(
                    row::stream_key(event.stream.name(), sequence).as_slice(),
                    (),
                )?;
            }
        }
        transaction.commit()?;
        *next += events.len() as u64;
        Ok(())
    }

    fn get(&self, sequence: u64) -> anyhow::Result<usize> {
        let rows = self.database.begin_read()?.open_table(EVENTS)?;
        let found = rows.get(sequence)?.context("no such event")?;
        Ok(row::payload(found.value())?.len())
    }

    fn id_at(&self, sequence: u64) -> anyhow::Result<Id> {
        let rows = self.database.begin_read()?.open_table(EVENTS)?;
        row::id(rows.get(sequence)?.context("no such event")?.value())
    }

    fn get_by_id(&self, id: &Id) -> anyhow::Result<usize> {
        let transaction = self.database.begin_read()?;
        let sequence = transaction
            .open_table(IDS)?
            .get(id)?
            .context("no such id")?
            .value();
        let rows = transaction.open_table(EVENTS)?;
        let found = rows.get(sequence)?.context("no such event")?;
        Ok(row::payload(found.value())?.len())
    }

    fn read_stream(&self, stream: Stream, each: Each<'_>) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        let (streams, rows) = (
            transaction.open_table(STREAMS)?,
            transaction.open_table(EVENTS)?,
        );
        let first = row::stream_key(stream.name(), 0);
        let last = row::stream_key(stream.name(), u64::MAX);
        for entry in streams.range(first.as_slice()..=last.as_slice())? {
            let sequence = row::sequence_of(entry?.0.value())?;
            let found = rows.get(sequence)?.context("no such event")?;
            if !each(row::payload(found.value())?) {
                break;
            }
        }
        Ok(())
    }

    fn scan(&self, kind: Option<u8>, each: Each<'_>) -> anyhow::Result<()> {
        for entry in self.database.begin_read()?.open_table(EVENTS)?.iter()? {
            let (_, found) = entry?;
            if row::is_of(found.value(), kind) && !each(row::payload(found.value())?) {
                break;
            }
        }
        Ok(())
    }

    fn verify(dir: &Path, _: Setup) -> anyhow::Result<()> {
        ensure!(
            Database::open(file_of(dir))?.check_integrity()?,
            "redb repaired something"
        );
        Ok(())
    }
}
