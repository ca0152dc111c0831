//! A projection into SQLite, and what can go wrong with its database.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use factlog::{EventRef, Failure, Journal, NewEvent, Phase, Projector, Query, Retries};
use factlog_targets::Sqlite;
use rusqlite::{Connection, params};

const LONG: Duration = Duration::from_secs(60);
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS seen (sequence INTEGER NOT NULL)";

fn retries() -> Retries {
    Retries::new().pauses(Duration::ZERO, Duration::ZERO)
}

fn append(journal: &Journal, events: usize) -> u64 {
    let batch = vec![NewEvent::new("s", "e", "a.b"); events];
    let receipt = journal.append_batch(&batch).unwrap();
    receipt.first_sequence() + events as u64 - 1
}

fn note(connection: &Connection, event: &EventRef<'_>) -> Result<(), Failure> {
    let sequence = event.sequence() as i64;
    connection.execute("INSERT INTO seen VALUES (?1)", [sequence])?;
    Ok(())
}

fn seen(path: &Path) -> Vec<u64> {
    let connection = Connection::open(path).unwrap();
    let mut all = connection
        .prepare("SELECT sequence FROM seen ORDER BY rowid")
        .unwrap();
    let rows = all.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    rows.map(|sequence| sequence.unwrap() as u64).collect()
}

#[test]
fn state_and_position_are_one_through_restarts() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("views.db");
    let journal = Journal::in_memory().unwrap();
    for round in 1..4u64 {
        let last = append(&journal, 500);
        let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
        let table = Sqlite::new(&path, "seen", 1, Query::all(), SCHEMA, note);
        projector.add(table).unwrap();
        assert!(projector.wait_for(last, LONG));
        assert!(seen(&path).into_iter().eq(0..=last), "round {round}");
    }
}

#[test]
fn a_position_that_another_connection_has_moved_gives_the_transaction_up() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("views.db");
    let journal = Journal::in_memory().unwrap();
    let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
    let table = Sqlite::new(&path, "seen", 1, Query::all(), SCHEMA, note);
    projector.add(table).unwrap();
    let first = append(&journal, 10);
    assert!(projector.wait_for(first, LONG));

    // As another process does that runs the same projection.
    let mut other = Connection::open(&path).unwrap();
    let transaction = other.transaction().unwrap();
    for sequence in first + 1..=first + 5 {
        transaction
            .execute("INSERT INTO seen VALUES (?1)", [sequence as i64])
            .unwrap();
    }
    transaction
        .execute(
            "UPDATE factlog_projections SET position = ?1",
            [(first + 6) as i64],
        )
        .unwrap();
    transaction.commit().unwrap();
    let last = append(&journal, 10);
    assert!(projector.wait_for(last, LONG));
    assert!(seen(&path).into_iter().eq(0..=last));
}

#[test]
fn an_event_that_fails_half_way_leaves_nothing_of_itself() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("views.db");
    let journal = Journal::in_memory().unwrap();
    let last = append(&journal, 50);
    let mut tries = 0;
    let table = Sqlite::new(
        &path,
        "seen",
        1,
        Query::all(),
        SCHEMA,
        move |connection, event| {
            note(connection, event)?;
            if event.sequence() == 30 && tries < 2 {
                tries += 1;
                // It writes into a table that isn't there.
                connection.execute("INSERT INTO nowhere VALUES (1)", [])?;
            }
            Ok(())
        },
    );
    let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
    projector.add(table).unwrap();
    assert!(projector.wait_for(last, LONG));
    assert_eq!(projector.status()[0].failures, 2);
    assert!(seen(&path).into_iter().eq(0..=last));
}

#[test]
fn a_database_without_space_is_waited_for_and_seen_in_health() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("views.db");
    let journal = Journal::in_memory().unwrap();
    let full = Arc::new(AtomicBool::new(true));
    let limits = Arc::clone(&full);
    let table = Sqlite::new(
        &path,
        "seen",
        1,
        Query::all(),
        SCHEMA,
        move |connection, event| {
            let pages = if limits.load(Relaxed) { 5 } else { 1_000_000 };
            connection.pragma_update(None, "max_page_count", pages)?;
            note(connection, event)
        },
    );
    // A budget of none: no event is to blame.
    let projector = Projector::start(journal.reader(), "views", retries().budget(0)).unwrap();
    projector.add(table).unwrap();
    let last = append(&journal, 5_000);
    while projector.stuck().is_empty() {
        thread::yield_now();
    }
    let stuck = projector.stuck().remove(0);
    let Phase::Retrying { why, .. } = &stuck.phase else {
        panic!("{stuck:?}");
    };
    assert!(why.contains("full"), "{why}");
    full.store(false, Relaxed);
    assert!(projector.wait_for(last, LONG));
    assert!(projector.stuck().is_empty());
    assert!(seen(&path).into_iter().eq(0..=last));
}

#[test]
fn a_new_version_takes_over_in_the_transaction_in_which_it_has_come_as_far() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("views.db");
    let journal = Journal::in_memory().unwrap();
    let version = |version: u32| {
        let schema = format!("CREATE TABLE IF NOT EXISTS seen_{version} (sequence INTEGER)");
        let insert = format!("INSERT INTO seen_{version} VALUES (?1)");
        let apply = move |connection: &Connection, event: &EventRef<'_>| {
            connection
                .prepare_cached(&insert)?
                .execute([event.sequence() as i64])?;
            Ok::<(), Failure>(())
        };
        Sqlite::new(&path, "seen", version, Query::all(), schema, apply)
    };
    // What a reader does: which version is it, and what stands there?
    let connection = {
        let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
        projector.add(version(1)).unwrap();
        assert!(projector.wait_for(append(&journal, 20_000), LONG));
        projector.add(version(2)).unwrap();
        let connection = Connection::open(&path).unwrap();
        let mut before = 0;
        loop {
            let read = connection.unchecked_transaction().unwrap();
            let active: (u32, i64) = read
                .query_row(
                    "SELECT version, position FROM factlog_projections WHERE name = ?1 AND active",
                    params!["seen"],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            let count = format!("SELECT count(*) FROM seen_{}", active.0);
            let count: i64 = read.query_row(&count, [], |row| row.get(0)).unwrap();
            drop(read);
            assert!(count >= before && count == active.1, "{count} {active:?}");
            before = count;
            if active.0 == 2 {
                break;
            }
            append(&journal, 10);
        }
        assert!(projector.wait_for(append(&journal, 1), LONG));
        connection
    };
    let count = |version: u32| -> u64 {
        let count = format!("SELECT count(*) FROM seen_{version}");
        connection
            .query_row(&count, [], |row| row.get::<_, i64>(0))
            .unwrap() as u64
    };
    assert_eq!(count(2), journal.reader().len());
    assert!(count(1) < count(2));
}
