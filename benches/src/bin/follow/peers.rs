//! The same projections with other stores.

use std::{hint::black_box, path::Path, time::Instant};

use batpak::{
    prelude::{
        AppendOptions, Coordinate, EventId, EventKind, KindFilter, Region, StoreConfig, SyncMode,
    },
    store::{BatchAppendItem, CausationRef, Store as BatpakStore},
};
use factlog::typed::TypedEvent;

use super::{Account, account, told};

pub fn project(home: &Path, events: u64) -> anyhow::Result<()> {
    sqlite(home, events)?;
    batpak(home, events)
}

/// From its index, and then each event from the disk.
fn batpak(home: &Path, events: u64) -> anyhow::Result<()> {
    let config = StoreConfig::new(home.join("batpak"))
        .with_sync_mode(SyncMode::SyncData)
        .with_batch_max_size(4096)
        .with_batch_max_bytes(16 << 20);
    let store = BatpakStore::open(config)?;
    let kind = |number: u64| EventKind::custom(0xF, if number % 10 == 0 { 1 } else { 2 });
    for first in (0..events).step_by(1_000) {
        let items = (first..events.min(first + 1_000)).map(|number| {
            let stream = Coordinate::new(format!("account-{}", number % 1_000), "bank")?;
            let (options, none) = (AppendOptions::default(), CausationRef::None);
            let event = account(number);
            Ok(BatchAppendItem::new(
                stream,
                kind(number),
                &event,
                options,
                none,
            )?)
        });
        store.append_batch(items.collect::<anyhow::Result<_>>()?)?;
    }
    let all = || Region::scope("bank");
    for (what, wanted) in [
        ("10% of kinds", all().with_fact(KindFilter::Exact(kind(0)))),
        ("all, decoded", all()),
    ] {
        for _ in 0..3 {
            let begun = Instant::now();
            let mut sum = 0;
            for entry in store.query(&wanted) {
                let found = store.read_raw(EventId::from(entry.event_id()))?;
                match rmp_serde::from_slice(&found.event.payload)? {
                    Account::Moved { cents, .. } | Account::Noted { cents, .. } => sum += cents,
                }
            }
            black_box(sum);
            told(&format!("batpak, {what}"), events, begun);
        }
    }
    store.close()?;
    Ok(())
}

/// From a table of an SQLite database, with an index on the kind.
fn sqlite(home: &Path, events: u64) -> anyhow::Result<()> {
    let mut database = rusqlite::Connection::open(home.join("events.db"))?;
    database.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE events (sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, data TEXT NOT NULL);
         CREATE INDEX kinds ON events (kind);",
    )?;
    let filling = database.transaction()?;
    {
        let mut insert = filling.prepare("INSERT INTO events VALUES (?1, ?2, ?3)")?;
        for number in 0..events {
            let event = account(number);
            let kind = event.event_type().kind;
            let data = serde_json::to_string(&event)?;
            insert.execute(rusqlite::params![number as i64, kind, data])?;
        }
    }
    filling.commit()?;
    for (what, condition) in [
        ("10% of kinds", "kind = 'account.noted'"),
        ("all, decoded", "TRUE"),
    ] {
        for _ in 0..5 {
            let text = format!("SELECT data FROM events WHERE {condition} ORDER BY sequence");
            let mut query = database.prepare(&text)?;
            let begun = Instant::now();
            let mut rows = query.query([])?;
            let mut sum = 0;
            while let Some(row) = rows.next()? {
                let event = serde_json::from_str(row.get_ref(0)?.as_str()?)?;
                match event {
                    Account::Moved { cents, .. } | Account::Noted { cents, .. } => sum += cents,
                }
            }
            black_box(sum);
            told(&format!("SQLite, {what}"), events, begun);
        }
    }
    Ok(())
}
