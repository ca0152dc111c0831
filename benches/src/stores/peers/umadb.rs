use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use umadb_core::{
    db::UmaDb,
    mvcc::{Mvcc, StorageOptions},
};
use umadb_dcb::{DcbEvent, DcbEventStoreSync, DcbQuery, DcbQueryItem, DcbSequencedEvent};

use super::row;
use crate::{
    event::{Event, Stream, kind_name},
    store::{Each, Setup, Store},
};

/// The engine of UmaDB without its server; a stream is a tag and a kind is a type. It keeps ids, but
/// finds nothing by them.
pub(crate) struct Umadb {
    database: UmaDb,
    writer: Mutex<()>,
}

/// It collects what it reads, so more is asked for in turns.
const PAGE: u32 = 1000;

fn encode(event: &Event) -> DcbEvent {
    DcbEvent::new()
        .event_type(kind_name(event.kind))
        .tags([event.stream.name()])
        .data(event.payload)
        .uuid(uuid::Uuid::from_bytes(row::new_id()))
}

impl Umadb {
    fn page(
        &self,
        query: Option<&DcbQuery>,
        start: u64,
        limit: u32,
    ) -> anyhow::Result<Vec<DcbSequencedEvent>> {
        let found = self
            .database
            .read(query.cloned(), Some(start), false, Some(limit))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    fn read(&self, query: Option<DcbQuery>, each: Each<'_>) -> anyhow::Result<()> {
        let mut start = 1;
        loop {
            let page = self.page(query.as_ref(), start, PAGE)?;
            for found in &page {
                if !each(&found.event.data) {
                    return Ok(());
                }
                start = found.position + 1;
            }
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }
}

impl Store for Umadb {
    const GROUPED: bool = true;

    fn open(dir: &Path, _: Setup) -> anyhow::Result<Self> {
        let options = StorageOptions::default().db_path(dir.join("uma.db"));
        let database = UmaDb::from_arc(Arc::new(Mvcc::new(false, options)?));
        Ok(Self {
            database,
            writer: Mutex::default(),
        })
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        let events = events.iter().map(encode).collect();
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.database.append(events, None, None)?;
        Ok(())
    }

    fn get(&self, sequence: u64) -> anyhow::Result<usize> {
        // Positions are counted from 1.
        let page = self.page(None, sequence + 1, 1)?;
        Ok(page.first().context("no such event")?.event.data.len())
    }

    fn read_stream(&self, stream: Stream, each: Each<'_>) -> anyhow::Result<()> {
        let query = DcbQuery::new().item(DcbQueryItem::new().tags([stream.name()]));
        self.read(Some(query), each)
    }

    fn scan(&self, kind: Option<u8>, each: Each<'_>) -> anyhow::Result<()> {
        let of = |kind| DcbQuery::new().item(DcbQueryItem::new().types([kind_name(kind)]));
        self.read(kind.map(of), each)
    }
}
