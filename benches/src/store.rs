//! What a store must do to be measured.

use std::{fmt, path::Path, time::Duration};

use crate::event::{Event, Stream};

/// The id of an event, by which it can be found.
pub(crate) type Id = [u8; 16];

/// Is shown payloads; says whether it wants more.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// What a store is told when it is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Bytes that factlog wrote per event of the same cell, for the raw machine to write as many.
    pub(crate) record: usize,
    /// How many events will be in it at most.
    pub(crate) events: u64,
}

/// A store under measurement. What it can't do answers [`unsupported`], which leaves its cell empty.
pub(crate) trait Store: Sized + Sync {
    /// Whether producers of single events stand together in the benchmark's own queue, because the
    /// store commits one transaction after another.
    const GROUPED: bool = false;

    /// Opens the store in `dir`, which exists, and makes it if it isn't there.
    fn open(dir: &Path, setup: Setup) -> anyhow::Result<Self>;

    /// Appends as one; durable on return.
    fn append(&self, events: &[Event]) -> anyhow::Result<()>;

    /// Appends events one by one with so many on their way at any time, and tells how long each took to be
    /// durable.
    fn append_many(
        &self,
        _events: &mut dyn Iterator<Item = Event>,
        _in_flight: usize,
        _took: &mut dyn FnMut(Duration) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        unsupported()
    }

    /// The length of the payload of the event at a place in the store, from 0.
    fn get(&self, _sequence: u64) -> anyhow::Result<usize> {
        unsupported()
    }

    /// The id of the event at a place.
    fn id_at(&self, _sequence: u64) -> anyhow::Result<Id> {
        unsupported()
    }

    /// The ids of the events at some places.
    fn ids(&self, sequences: &[u64]) -> anyhow::Result<Vec<Id>> {
        sequences
            .iter()
            .map(|sequence| self.id_at(*sequence))
            .collect()
    }

    /// The length of the payload of the event with an id.
    fn get_by_id(&self, _id: &Id) -> anyhow::Result<usize> {
        unsupported()
    }

    /// The events of a stream in order.
    fn read_stream(&self, _stream: Stream, _each: Each<'_>) -> anyhow::Result<()> {
        unsupported()
    }

    /// All events in order, or those of one kind.
    fn scan(&self, _kind: Option<u8>, _each: Each<'_>) -> anyhow::Result<()> {
        unsupported()
    }

    /// Checks all that is stored, as thoroughly as the store can.
    fn verify(_dir: &Path, _setup: Setup) -> anyhow::Result<()> {
        unsupported()
    }

    /// Ends the session as an orderly program does.
    fn close(self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Bytes of the log alone, without what is derived from it.
    fn log_bytes(_dir: &Path) -> anyhow::Result<Option<u64>> {
        Ok(None)
    }
}

/// The store can't do this.
#[derive(Debug)]
pub(crate) struct Unsupported;

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store can't do this")
    }
}

impl std::error::Error for Unsupported {}

pub(crate) fn unsupported<T>() -> anyhow::Result<T> {
    Err(Unsupported.into())
}
