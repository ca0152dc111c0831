use std::path::Path;

use anyhow::Context;
use tephra::{
    Event as TephraEvent, EventType, Position, Query, QueryItem, SegmentConfig, SegmentSet, Tag,
    Tags, WriteCoordinator, WriteHandle, WriterConfig,
};

use crate::{
    event::{Event, Stream, kind_name},
    store::{Each, Setup, Store},
};

/// tephra as its own documentation starts it; a stream is a tag, a kind is a type, and it has no ids.
pub(crate) struct Tephra {
    coordinator: WriteCoordinator,
    handle: WriteHandle,
}

const SEGMENT: usize = 256 << 20;

fn encode(event: &Event) -> anyhow::Result<TephraEvent> {
    let kind = EventType::new(kind_name(event.kind))?;
    Ok(TephraEvent::new(
        &kind,
        &tags(event.stream)?,
        event.payload,
    )?)
}

fn tags(stream: Stream) -> anyhow::Result<Tags> {
    Ok(Tags::new([Tag::new(stream.name())?])?)
}

impl Tephra {
    fn read(&self, query: &Query, each: Each<'_>) -> anyhow::Result<()> {
        let mut reads = self.handle.read(query, Position::ZERO, None);
        while let Some(found) = reads.next() {
            if !each(found?.event.data()) {
                break;
            }
        }
        Ok(())
    }
}

impl Store for Tephra {
    fn open(dir: &Path, _: Setup) -> anyhow::Result<Self> {
        let set = SegmentSet::open(dir.join("tephra"), SegmentConfig::new(SEGMENT))?;
        let (coordinator, handle) = WriteCoordinator::start(set, WriterConfig::default())?;
        Ok(Self {
            coordinator,
            handle,
        })
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        let events = events
            .iter()
            .map(encode)
            .collect::<anyhow::Result<Vec<_>>>()?;
        self.handle.append(events, None)?;
        Ok(())
    }

    fn get(&self, sequence: u64) -> anyhow::Result<usize> {
        // What comes after a position, and positions are counted from 1.
        let mut reads = self
            .handle
            .read(&Query::all(), Position::new(sequence), Some(1));
        Ok(reads.next().context("no such event")??.event.data().len())
    }

    fn read_stream(&self, stream: Stream, each: Each<'_>) -> anyhow::Result<()> {
        self.read(&Query::item(QueryItem::with_tags(tags(stream)?)), each)
    }

    fn scan(&self, kind: Option<u8>, each: Each<'_>) -> anyhow::Result<()> {
        let query = match kind {
            None => Query::all(),
            Some(kind) => Query::item(QueryItem::of_types(vec![EventType::new(kind_name(kind))?])),
        };
        self.read(&query, each)
    }

    fn close(self) -> anyhow::Result<()> {
        drop(self.handle);
        drop(self.coordinator.shutdown());
        Ok(())
    }
}
