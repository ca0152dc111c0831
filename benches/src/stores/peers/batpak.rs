use std::{path::Path, time::Duration};

use anyhow::{Context, ensure};
use batpak::{
    prelude::{
        AppendOptions, Coordinate, EventId, EventKind, KindFilter, Region, StoreConfig, SyncMode,
    },
    store::{BatchAppendItem, CausationRef, DurabilityGate, Store as BatpakStore, WatermarkKind},
};
use serde::{Serialize, Serializer};

use crate::{
    event::{Event, Stream},
    store::{Each, Id, Setup, Store},
};

/// batpak, unsigned as it comes; every append is synced, and those that wait share a sync.
pub(crate) struct Batpak(BatpakStore);

const SCOPE: &str = "bench";
const TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that are encoded as bytes and not as a list of numbers.
struct Bytes(&'static [u8]);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// What follows the header of MessagePack bytes.
fn bytes_of(encoded: &[u8]) -> anyhow::Result<&[u8]> {
    let header = match encoded.first() {
        Some(0xc4) => 2,
        Some(0xc5) => 3,
        Some(0xc6) => 5,
        _ => anyhow::bail!("the payload isn't bytes"),
    };
    encoded.get(header..).context("a payload that is too short")
}

fn coordinate(stream: Stream) -> anyhow::Result<Coordinate> {
    Ok(Coordinate::new(stream.name(), SCOPE)?)
}

fn kind(kind: u8) -> EventKind {
    EventKind::custom(0xF, u16::from(kind) + 1)
}

impl Batpak {
    /// The index first, then each event from the disk; asking for pages looks through all each time.
    fn read(&self, region: &Region, each: Each<'_>) -> anyhow::Result<()> {
        for entry in self.0.query(region) {
            let found = self.0.read_raw(EventId::from(entry.event_id()))?;
            if !each(bytes_of(&found.event.payload)?) {
                break;
            }
        }
        Ok(())
    }
}

impl Store for Batpak {
    fn open(dir: &Path, _: Setup) -> anyhow::Result<Self> {
        let config = StoreConfig::new(dir.join("batpak"))
            .with_sync_mode(SyncMode::SyncData)
            .with_sync_every_n_events(1)
            .with_group_commit_max_batch(0)
            .with_batch_max_size(4096)
            .with_batch_max_bytes(16 << 20);
        Ok(Self(BatpakStore::open(config)?))
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        if let [event] = events {
            // Without a gate the answer comes before the sync.
            let gate = DurabilityGate::new(WatermarkKind::Durable, TIMEOUT);
            let options = AppendOptions::default().with_gate(gate);
            let (stream, payload) = (coordinate(event.stream)?, Bytes(event.payload));
            let _ = self
                .0
                .append_with_options(&stream, kind(event.kind), &payload, options)?;
            return Ok(());
        }
        let items = events.iter().map(|event| {
            let (stream, payload) = (coordinate(event.stream)?, Bytes(event.payload));
            let options = AppendOptions::default();
            let none = CausationRef::None;
            Ok(BatchAppendItem::new(
                stream,
                kind(event.kind),
                &payload,
                options,
                none,
            )?)
        });
        self.0.append_batch(items.collect::<anyhow::Result<_>>()?)?;
        Ok(())
    }

    fn ids(&self, sequences: &[u64]) -> anyhow::Result<Vec<Id>> {
        let all = self.0.query(&Region::scope(SCOPE));
        let id = |sequence: &u64| {
            let entry = all.get(*sequence as usize).context("no such event")?;
            Ok(u128::from(entry.event_id()).to_be_bytes())
        };
        sequences.iter().map(id).collect()
    }

    fn get_by_id(&self, id: &Id) -> anyhow::Result<usize> {
        let found = self.0.read_raw(EventId::from(u128::from_be_bytes(*id)))?;
        Ok(bytes_of(&found.event.payload)?.len())
    }

    fn read_stream(&self, stream: Stream, each: Each<'_>) -> anyhow::Result<()> {
        self.read(&Region::entity(stream.name()), each)
    }

    fn scan(&self, wanted: Option<u8>, each: Each<'_>) -> anyhow::Result<()> {
        let region = Region::scope(SCOPE);
        match wanted {
            Some(wanted) => self.read(&region.with_fact(KindFilter::Exact(kind(wanted))), each),
            None => self.read(&region, each),
        }
    }

    fn verify(dir: &Path, setup: Setup) -> anyhow::Result<()> {
        let store = Self::open(dir, setup)?;
        ensure!(
            store.0.verify_chain()?.is_intact(),
            "batpak's chain doesn't verify"
        );
        store.close()
    }

    fn close(self) -> anyhow::Result<()> {
        self.0.close()?;
        Ok(())
    }
}
