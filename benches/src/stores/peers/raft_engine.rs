use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::{
    event::{Event, Stream},
    store::{Each, Setup, Store},
};

/// raft-engine, each stream a Raft group. It knows no order between groups, no ids and no kinds, so it
/// appends and reads streams and nothing else.
pub(crate) struct RaftEngine {
    engine: Engine,
    writer: Mutex<()>,
}

/// The index in 8 bytes before the payload.
struct Indexed;

const INDEX: usize = 8;

impl MessageExt for Indexed {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        entry
            .value
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

fn entry(index: u64, event: &Event) -> BytesValue {
    let mut value = Vec::with_capacity(INDEX + event.payload.len());
    value.extend_from_slice(&index.to_le_bytes());
    value.extend_from_slice(event.payload);
    BytesValue {
        value,
        ..BytesValue::default()
    }
}

impl Store for RaftEngine {
    const GROUPED: bool = true;

    fn open(dir: &Path, _: Setup) -> anyhow::Result<Self> {
        let dir = dir.join("raft").to_string_lossy().into_owned();
        // Its example turns compression off, and these payloads gain nothing by it.
        let batch_compression_threshold = ReadableSize(0);
        let config = Config {
            dir,
            batch_compression_threshold,
            ..Config::default()
        };
        let engine = Engine::open(config)?;
        Ok(Self {
            engine,
            writer: Mutex::default(),
        })
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        // The indexes of a group must be written in order.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut streams: HashMap<u32, Vec<BytesValue>> = HashMap::new();
        for event in events {
            let region = event.stream.number;
            let entries = streams.entry(region).or_default();
            let last = self.engine.last_index(u64::from(region)).unwrap_or(0);
            entries.push(entry(last + 1 + entries.len() as u64, event));
        }
        let mut batch = LogBatch::with_capacity(events.len());
        for (region, entries) in &streams {
            batch.add_entries::<Indexed>(u64::from(*region), entries)?;
        }
        self.engine.write(&mut batch, true)?;
        Ok(())
    }

    fn read_stream(&self, stream: Stream, each: Each<'_>) -> anyhow::Result<()> {
        let region = u64::from(stream.number);
        let (Some(first), Some(last)) = (
            self.engine.first_index(region),
            self.engine.last_index(region),
        ) else {
            return Ok(());
        };
        let mut entries = Vec::new();
        self.engine
            .fetch_entries_to::<Indexed>(region, first, last + 1, None, &mut entries)?;
        for entry in &entries {
            if !each(entry.value.get(INDEX..).unwrap_or_default()) {
                break;
            }
        }
        Ok(())
    }
}
