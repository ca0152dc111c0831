//! A projection into a PostgreSQL server that the test starts, where one is installed; where none is, it
//! says that it was not run.

mod server;

use std::{thread, time::Duration};

use factlog::{Journal, NewEvent, Phase, Projector, Query, Retries};
use factlog_targets::Postgres;
use postgres::{Client, NoTls};

use server::Server;

const LONG: Duration = Duration::from_secs(120);
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS seen (sequence BIGINT NOT NULL)";

fn append(journal: &Journal, events: usize) -> u64 {
    let batch = vec![NewEvent::new("s", "e", "a.b"); events];
    let receipt = journal.append_batch(&batch).unwrap();
    receipt.first_sequence() + events as u64 - 1
}

fn seen(client: &mut Client) -> Vec<u64> {
    let rows = client
        .query("SELECT sequence FROM seen ORDER BY sequence", &[])
        .unwrap();
    rows.iter().map(|row| row.get::<_, i64>(0) as u64).collect()
}

#[test]
fn connections_that_are_lost_and_servers_that_restart_leave_effects_exact() {
    let Some(mut server) = Server::start() else {
        println!("not run: no PostgreSQL server is installed, or none could be started");
        return;
    };
    let journal = Journal::in_memory().unwrap();
    let retries = Retries::new().budget(0);
    let retries = retries.pauses(Duration::from_millis(1), Duration::from_millis(20));
    let projector = Projector::start(journal.reader(), "views", retries).unwrap();
    let table = Postgres::new(
        server.address(),
        "seen",
        1,
        Query::all(),
        SCHEMA,
        |client, event| {
            client.execute(
                "INSERT INTO seen VALUES ($1)",
                &[&(event.sequence() as i64)],
            )?;
            Ok(())
        },
    );
    projector.add(table).unwrap();
    let mut last = append(&journal, 100);
    assert!(projector.wait_for(last, LONG));

    // The connection is taken away in the midst of it.
    let mut client = Client::connect(&server.address(), NoTls).unwrap();
    for _ in 0..5 {
        last = append(&journal, 200);
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        client.execute(others, &[]).unwrap();
    }
    assert!(projector.wait_for(last, LONG));
    assert!(seen(&mut client).into_iter().eq(0..=last));
    drop(client);

    // The server is killed, seen in health while it is away, and back.
    server.kill();
    last = append(&journal, 100);
    while projector.stuck().is_empty() {
        thread::yield_now();
    }
    assert!(matches!(projector.stuck()[0].phase, Phase::Retrying { .. }));
    assert!(server.restart(), "the server starts again");
    assert!(projector.wait_for(last, LONG));
    assert!(projector.stuck().is_empty());
    let mut client = Client::connect(&server.address(), NoTls).unwrap();
    assert!(seen(&mut client).into_iter().eq(0..=last));
}

#[test]
fn a_position_that_another_connection_has_moved_gives_the_transaction_up() {
    let Some(server) = Server::start() else {
        println!("not run: no PostgreSQL server is installed, or none could be started");
        return;
    };
    let journal = Journal::in_memory().unwrap();
    let retries = Retries::new().pauses(Duration::from_millis(1), Duration::from_millis(1));
    let projector = Projector::start(journal.reader(), "views", retries).unwrap();
    let insert = "INSERT INTO seen VALUES ($1)";
    let table = Postgres::new(
        server.address(),
        "seen",
        1,
        Query::all(),
        SCHEMA,
        move |client, event| {
            client.execute(insert, &[&(event.sequence() as i64)])?;
            Ok(())
        },
    );
    projector.add(table).unwrap();
    let first = append(&journal, 10);
    assert!(projector.wait_for(first, LONG));

    // As one does that was believed to be lost, and commits after all.
    let mut other = Client::connect(&server.address(), NoTls).unwrap();
    let mut transaction = other.transaction().unwrap();
    for sequence in first + 1..=first + 5 {
        transaction.execute(insert, &[&(sequence as i64)]).unwrap();
    }
    let next = (first + 6) as i64;
    transaction
        .execute("UPDATE factlog_projections SET position = $1", &[&next])
        .unwrap();
    transaction.commit().unwrap();
    let last = append(&journal, 10);
    assert!(projector.wait_for(last, LONG));
    assert!(seen(&mut other).into_iter().eq(0..=last));
}
