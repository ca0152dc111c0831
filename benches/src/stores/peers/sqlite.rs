use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::ensure;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row;
use crate::{
    event::{Event, Stream, kind_name},
    store::{Each, Id, Setup, Store},
};

/// SQLite with a write-ahead log that is synced at every commit: one connection writes, and every
/// thread that reads takes one of its own.
pub(crate) struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        sequence INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        stream TEXT NOT NULL,
        kind TEXT NOT NULL,
        payload BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS streams ON events (stream, sequence);";
const INSERT: &str = "INSERT INTO events (id, stream, kind, payload) VALUES (?1, ?2, ?3, ?4)";

fn connect(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    Ok(connection)
}

fn file_of(dir: &Path) -> PathBuf {
    dir.join("events.sqlite")
}

impl Sqlite {
    /// Shows the payload, the only column, of every row found.
    fn payloads(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
        each: Each<'_>,
    ) -> anyhow::Result<()> {
        self.reading(|connection| {
            let mut statement = connection.prepare_cached(query)?;
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                if !each(row.get_ref(0)?.as_blob()?) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn one<T>(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> anyhow::Result<T> {
        self.reading(|connection| {
            Ok(connection
                .prepare_cached(query)?
                .query_row(parameters, read)?)
        })
    }

    fn reading<T>(&self, read: impl FnOnce(&Connection) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let readers = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = readers().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        let result = read(&connection);
        readers().push(connection);
        result
    }
}

fn length(row: &Row<'_>) -> rusqlite::Result<usize> {
    Ok(row.get_ref(0)?.as_blob()?.len())
}

impl Store for Sqlite {
    const GROUPED: bool = true;

    fn open(dir: &Path, _: Setup) -> anyhow::Result<Self> {
        let path = file_of(dir);
        let writer = connect(&path)?;
        writer.execute_batch(SCHEMA)?;
        Ok(Self {
            path,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
        })
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for event in events {
                let (id, kind) = (row::new_id(), kind_name(event.kind));
                insert.execute(params![id, event.stream.name(), kind, event.payload])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn get(&self, sequence: u64) -> anyhow::Result<usize> {
        // Rows are counted from 1.
        let sequence = sequence as i64 + 1;
        self.one(
            "SELECT payload FROM events WHERE sequence = ?1",
            [sequence],
            length,
        )
    }

    fn id_at(&self, sequence: u64) -> anyhow::Result<Id> {
        let sequence = sequence as i64 + 1;
        self.one(
            "SELECT id FROM events WHERE sequence = ?1",
            [sequence],
            |row| row.get(0),
        )
    }

    fn get_by_id(&self, id: &Id) -> anyhow::Result<usize> {
        self.one("SELECT payload FROM events WHERE id = ?1", [id], length)
    }

    fn read_stream(&self, stream: Stream, each: Each<'_>) -> anyhow::Result<()> {
        let query = "SELECT payload FROM events WHERE stream = ?1 ORDER BY sequence";
        self.payloads(query, [stream.name()], each)
    }

    fn scan(&self, kind: Option<u8>, each: Each<'_>) -> anyhow::Result<()> {
        match kind {
            None => self.payloads("SELECT payload FROM events ORDER BY sequence", [], each),
            Some(kind) => {
                let query = "SELECT payload FROM events WHERE kind = ?1 ORDER BY sequence";
                self.payloads(query, [kind_name(kind)], each)
            }
        }
    }

    fn verify(dir: &Path, _: Setup) -> anyhow::Result<()> {
        let connection = connect(&file_of(dir))?;
        let check = |row: &Row<'_>| row.get::<_, String>(0);
        let found = connection
            .query_row("PRAGMA integrity_check", [], check)
            .optional()?;
        ensure!(found.as_deref() == Some("ok"), "SQLite found {found:?}");
        Ok(())
    }
}
