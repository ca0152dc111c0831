//! The same with other stores: loading an aggregate, appending durably, appending on the condition that the
//! stream is as it was, and appending again what is known, where the store knows of that.

use std::{hint::black_box, path::Path, time::Duration};

use anyhow::{Context, ensure};
use batpak::{
    id::IdempotencyKey,
    prelude::{AppendOptions, Coordinate, EventId, EventKind, Region, StoreConfig, SyncMode},
    store::{BatchAppendItem, CausationRef, DurabilityGate, Store as BatpakStore, WatermarkKind},
};
use rusqlite::{Connection, params};
use tephra::{
    AppendCondition, Event as TephraEvent, EventType, Position, Query, QueryItem, SegmentConfig,
    SegmentSet, Tag, Tags, WriteCoordinator, WriteHandle, WriterConfig,
};

use super::{AGGREGATES, EACH, Moved, median, micros, moved};

trait Peer: Sized {
    const NAME: &'static str;
    fn open(dir: &Path) -> anyhow::Result<Self>;
    fn fill(&mut self, events: &[(String, Moved)]) -> anyhow::Result<()>;
    /// The sum of a stream, and what a condition needs to know of its end.
    fn load(&self, stream: &str) -> anyhow::Result<(i64, u64)>;
    /// Appends one event; with `after`, only if the stream still ends there.
    fn append(&mut self, stream: &str, event: &Moved, after: Option<u64>) -> anyhow::Result<u64>;
    /// Appends under a key; again, that changes nothing. `false`: it has no such thing.
    fn again(&mut self, stream: &str, event: &Moved, key: u64) -> anyhow::Result<bool>;
}

pub fn run(home: &Path) -> anyhow::Result<()> {
    measure::<Sqlite>(home)?;
    measure::<Tephra>(home)?;
    measure::<Batpak>(home)
}

fn measure<P: Peer>(home: &Path) -> anyhow::Result<()> {
    let dir = home.join(P::NAME);
    std::fs::create_dir_all(&dir)?;
    let mut store = P::open(&dir)?;
    let stream = |number: usize| format!("account-{}", number % AGGREGATES);
    let event = |number: usize| (stream(number), moved(number as i64));
    let events: Vec<_> = (0..AGGREGATES * EACH).map(event).collect();
    store.fill(&events)?;
    let load = |number: usize| {
        black_box(store.load(&stream(number))?);
        Ok(())
    };
    median(200, load)?;
    let loaded = micros(median(2_000, load)?);
    println!(
        "{}: load an aggregate of 100 events of five fields, warm: {loaded:.1} µs",
        P::NAME
    );
    let (mut plain, mut decided) = (Vec::new(), Vec::new());
    let mut end = store.append("decided", &moved(0), None)?;
    for number in 0..500 {
        plain.push(median(1, |_| {
            store.append("plain", &moved(number), None).map(drop)
        })?);
        decided.push(median(1, |_| {
            end = store.append("decided", &moved(number), Some(end))?;
            Ok(())
        })?);
    }
    let middle = |mut times: Vec<Duration>| {
        times.sort_unstable();
        micros(times[times.len() / 2])
    };
    println!(
        "{}: append, durable: {:.1} µs; on a condition: {:.1} µs",
        P::NAME,
        middle(plain),
        middle(decided)
    );
    if store.again("again", &moved(0), 0)? {
        for key in 1..1_000 {
            store.again("again", &moved(0), key)?;
        }
        let time = median(5_000, |number| {
            store
                .again("again", &moved(0), number as u64 * 7_919 % 1_000)
                .map(drop)
        })?;
        println!(
            "{}: append again what is known: {:.1} µs",
            P::NAME,
            micros(time)
        );
    }
    Ok(())
}

struct Sqlite(Connection);

impl Sqlite {
    const INSERT: &str =
        "INSERT INTO events (id, stream, revision, payload) VALUES (?1, ?2, ?3, ?4)";

    fn next(&self, stream: &str) -> anyhow::Result<i64> {
        let text = "SELECT coalesce(max(revision) + 1, 0) FROM events WHERE stream = ?1";
        Ok(self
            .0
            .prepare_cached(text)?
            .query_row([stream], |row| row.get(0))?)
    }

    fn insert(&self, id: i64, stream: &str, revision: i64, event: &Moved) -> anyhow::Result<()> {
        let payload = rmp_serde::to_vec_named(event)?;
        let mut insert = self.0.prepare_cached(Self::INSERT)?;
        insert.execute(params![id, stream, revision, payload])?;
        Ok(())
    }
}

impl Peer for Sqlite {
    const NAME: &'static str = "SQLite";

    fn open(dir: &Path) -> anyhow::Result<Self> {
        let database = Connection::open(dir.join("events.db"))?;
        database.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE events (sequence INTEGER PRIMARY KEY, id INTEGER NOT NULL UNIQUE,
                stream TEXT NOT NULL, revision INTEGER NOT NULL, payload BLOB NOT NULL,
                UNIQUE (stream, revision))",
        )?;
        Ok(Self(database))
    }

    fn fill(&mut self, events: &[(String, Moved)]) -> anyhow::Result<()> {
        self.0.execute_batch("BEGIN")?;
        for (number, (stream, event)) in events.iter().enumerate() {
            let revision = (number / AGGREGATES) as i64;
            self.insert(-1 - number as i64, stream, revision, event)?;
        }
        Ok(self.0.execute_batch("COMMIT")?)
    }

    fn load(&self, stream: &str) -> anyhow::Result<(i64, u64)> {
        let text = "SELECT revision, payload FROM events WHERE stream = ?1 ORDER BY revision";
        let mut statement = self.0.prepare_cached(text)?;
        let mut rows = statement.query([stream])?;
        let (mut sum, mut end) = (0, 0);
        while let Some(row) = rows.next()? {
            sum += rmp_serde::from_slice::<Moved>(row.get_ref(1)?.as_blob()?)?.cents;
            end = row.get::<_, i64>(0)? as u64;
        }
        Ok((sum, end))
    }

    fn append(&mut self, stream: &str, event: &Moved, after: Option<u64>) -> anyhow::Result<u64> {
        let revision = match after {
            Some(last) => last as i64 + 1,
            None => self.next(stream)?,
        };
        let id = i64::from_le_bytes(
            *uuid::Uuid::new_v4()
                .as_bytes()
                .first_chunk()
                .context("id")?,
        );
        self.insert(id, stream, revision, event)?;
        Ok(revision as u64)
    }

    fn again(&mut self, stream: &str, event: &Moved, key: u64) -> anyhow::Result<bool> {
        let known = "SELECT payload FROM events WHERE id = ?1";
        let mut known = self.0.prepare_cached(known)?;
        if known.exists([key as i64])? {
            return Ok(true);
        }
        drop(known);
        let revision = self.next(stream)?;
        self.insert(key as i64, stream, revision, event)?;
        Ok(true)
    }
}

struct Tephra {
    handle: WriteHandle,
    _coordinator: WriteCoordinator,
}

impl Tephra {
    fn of(stream: &str) -> anyhow::Result<Query> {
        let tags = Tags::new([Tag::new(stream)?])?;
        Ok(Query::item(QueryItem::with_tags(tags)))
    }

    fn event(stream: &str, event: &Moved) -> anyhow::Result<TephraEvent> {
        let tags = Tags::new([Tag::new(stream)?])?;
        let payload = rmp_serde::to_vec_named(event)?;
        Ok(TephraEvent::new(
            &EventType::new("account.moved")?,
            &tags,
            &payload,
        )?)
    }
}

impl Peer for Tephra {
    const NAME: &'static str = "tephra";

    fn open(dir: &Path) -> anyhow::Result<Self> {
        let set = SegmentSet::open(dir.join("tephra"), SegmentConfig::new(256 << 20))?;
        let (coordinator, handle) = WriteCoordinator::start(set, WriterConfig::default())?;
        Ok(Self {
            handle,
            _coordinator: coordinator,
        })
    }

    fn fill(&mut self, events: &[(String, Moved)]) -> anyhow::Result<()> {
        for events in events.chunks(1_000) {
            let events = events
                .iter()
                .map(|(stream, event)| Self::event(stream, event));
            self.handle
                .append(events.collect::<anyhow::Result<_>>()?, None)?;
        }
        Ok(())
    }

    fn load(&self, stream: &str) -> anyhow::Result<(i64, u64)> {
        let mut reads = self.handle.read(&Self::of(stream)?, Position::ZERO, None);
        let mut sum = 0;
        while let Some(found) = reads.next() {
            sum += rmp_serde::from_slice::<Moved>(found?.event.data())?.cents;
        }
        Ok((sum, 0))
    }

    fn append(&mut self, stream: &str, event: &Moved, after: Option<u64>) -> anyhow::Result<u64> {
        let condition = match after {
            Some(after) => {
                Some(AppendCondition::new(Self::of(stream)?).after(Position::new(after)))
            }
            None => None,
        };
        let range = self
            .handle
            .append(vec![Self::event(stream, event)?], condition)?;
        Ok(range.last.get())
    }

    fn again(&mut self, _: &str, _: &Moved, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }
}

struct Batpak(BatpakStore);

impl Batpak {
    fn kind() -> EventKind {
        EventKind::custom(0xF, 1)
    }

    fn options() -> AppendOptions {
        let most = Duration::from_secs(30);
        AppendOptions::default().with_gate(DurabilityGate::new(WatermarkKind::Durable, most))
    }
}

impl Peer for Batpak {
    const NAME: &'static str = "batpak";

    fn open(dir: &Path) -> anyhow::Result<Self> {
        let config = StoreConfig::new(dir.join("batpak"))
            .with_sync_mode(SyncMode::SyncData)
            .with_sync_every_n_events(1)
            .with_group_commit_max_batch(0)
            .with_batch_max_size(4096)
            .with_batch_max_bytes(16 << 20);
        Ok(Self(BatpakStore::open(config)?))
    }

    fn fill(&mut self, events: &[(String, Moved)]) -> anyhow::Result<()> {
        for events in events.chunks(1_000) {
            let items = events.iter().map(|(stream, event)| {
                let stream = Coordinate::new(stream, "bank")?;
                let (options, none) = (AppendOptions::default(), CausationRef::None);
                Ok(BatchAppendItem::new(
                    stream,
                    Self::kind(),
                    event,
                    options,
                    none,
                )?)
            });
            self.0.append_batch(items.collect::<anyhow::Result<_>>()?)?;
        }
        Ok(())
    }

    fn load(&self, stream: &str) -> anyhow::Result<(i64, u64)> {
        let mut sum = 0;
        for entry in self.0.query(&Region::entity(stream)) {
            let found = self.0.read_raw(EventId::from(entry.event_id()))?;
            sum += rmp_serde::from_slice::<Moved>(&found.event.payload)?.cents;
        }
        Ok((sum, 0))
    }

    fn append(&mut self, stream: &str, event: &Moved, after: Option<u64>) -> anyhow::Result<u64> {
        let mut options = Self::options();
        if let Some(after) = after {
            options = options.with_cas(after as u32);
        }
        let stream = Coordinate::new(stream, "bank")?;
        let _ = self
            .0
            .append_with_options(&stream, Self::kind(), event, options)?;
        Ok(after.map_or(0, |after| after + 1))
    }

    fn again(&mut self, stream: &str, event: &Moved, key: u64) -> anyhow::Result<bool> {
        let key = IdempotencyKey::from(u128::from(key) + 1);
        let options = Self::options().with_idempotency(key);
        let stream = Coordinate::new(stream, "bank")?;
        let receipt = self
            .0
            .append_with_options(&stream, Self::kind(), event, options)?;
        ensure!(receipt.global_sequence < u64::MAX);
        Ok(true)
    }
}
