//! A process that appends, and applies what it appends to SQLite, PostgreSQL and the same journal, is killed
//! again and again: the effect of each event is there exactly once.
//!
//! `FACTLOG_KILLS` says how often (`cargo xtask kill --effects` sets it for longer runs), `FACTLOG_SEED`
//! where chance begins.

mod server;

use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use factlog::{
    EventRef, Failure, Journal, NewEvent, Options, Projector, Query, Reader, Retries, Worker,
    typed::Cursor,
};
use factlog_sim::Rng;
use factlog_targets::{Postgres, Sqlite};
use postgres::{Client, NoTls};
use rusqlite::Connection;

use server::Server;

const KILLS: u64 = 25;
/// Longer than anything takes that isn't stuck.
const CATCH_UP: Duration = Duration::from_secs(600);
const TEST: &str = "effects_are_exact_through_kills";
/// Set for the process that is killed: its folder.
const HOME: &str = "FACTLOG_HOME_OF_TEST";
/// The address of the server, if there is one.
const SERVER: &str = "FACTLOG_SERVER_OF_TEST";
/// No key, so that an event that comes twice is there twice.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS seen (sequence BIGINT NOT NULL)";

#[test]
fn effects_are_exact_through_kills() {
    if let Some(home) = env::var_os(HOME) {
        work_until_killed(Path::new(&home));
    }
    let (kills, seed) = (number("FACTLOG_KILLS", KILLS), number("FACTLOG_SEED", 1));
    let mut rng = Rng::new(seed);
    let home = tempfile::tempdir().unwrap();
    let server = Server::start();
    let address = server.as_ref().map(Server::address);
    if address.is_none() {
        println!("PostgreSQL: not run, as no server is installed or none could be started");
    }
    let journal = Journal::create(home.path().join("j"), Options::new());
    journal.unwrap().close().unwrap();
    let (mut known, mut behind) = (Known::default(), 0);
    for kill in 0..kills {
        let mut child = child(home.path(), seed ^ kill, address.as_deref());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..1 + rng.below(40) {
            lines
                .next()
                .expect("it goes on until it is killed")
                .unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        behind += u64::from(check(
            &mut known,
            home.path(),
            address.as_deref(),
            &format!("seed {seed}, kill {kill}"),
            false,
        ));
    }
    println!("{kills} kills, after {behind} of which something was still to be applied");
    catch_up(home.path(), address.clone());
    let when = format!("seed {seed}, when all had caught up");
    check(&mut known, home.path(), address.as_deref(), &when, true);
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn child(home: &Path, seed: u64, address: Option<&str>) -> Child {
    let arguments: [OsString; 3] = [TEST.into(), "--exact".into(), "--nocapture".into()];
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(arguments)
        .env(HOME, home)
        .env("FACTLOG_SEED", seed.to_string());
    if let Some(address) = address {
        command.env(SERVER, address);
    }
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Appends, applies, and tells of each append, until it is killed.
fn work_until_killed(home: &Path) -> ! {
    let journal = Journal::open(home.join("j"), Options::new()).expect("the journal opens");
    let mut rng = Rng::new(number("FACTLOG_SEED", 0));
    let _projector = projector(&journal, home, env::var(SERVER).ok());
    let mut cursor = journal.cursor("consumers", "copies").expect("a cursor");
    let out = std::io::stdout();
    loop {
        let batch = vec![NewEvent::new("s", "e", "a.b"); 1 + rng.below(20) as usize];
        journal.append_batch(&batch).expect("an append");
        copy(&mut cursor);
        writeln!(out.lock(), "appended").expect("a pipe");
    }
}

/// Applies all that is there.
fn catch_up(home: &Path, address: Option<String>) {
    let journal = Journal::open(home.join("j"), Options::new()).unwrap();
    let projector = projector(&journal, home, address);
    let last = journal.reader().len() - 1;
    assert!(
        projector.wait_for(last, CATCH_UP),
        "{:?}",
        projector.status()
    );
    drop(projector.stop());
    copy(&mut journal.cursor("consumers", "copies").unwrap());
}

/// What applies events to both databases and hands them to a worker.
fn projector(journal: &Journal, home: &Path, address: Option<String>) -> Projector {
    let retries = Retries::new().pauses(Duration::ZERO, Duration::from_millis(10));
    let projector = Projector::start(journal.reader(), "views", retries).expect("a thread");
    let lite = Sqlite::new(
        home.join("views.db"),
        "seen",
        1,
        wanted(),
        SCHEMA,
        |connection: &Connection, event: &EventRef<'_>| -> Result<(), Failure> {
            connection.execute("INSERT INTO seen VALUES (?1)", [event.sequence() as i64])?;
            Ok(())
        },
    );
    projector.add(lite).expect("it is new");
    if let Some(address) = address {
        let insert = "INSERT INTO seen VALUES ($1)";
        let table = Postgres::new(
            address,
            "seen in a server",
            1,
            wanted(),
            SCHEMA,
            move |client, event| {
                client.execute(insert, &[&(event.sequence() as i64)])?;
                Ok(())
            },
        );
        projector.add(table).expect("it is new");
    }
    // At least once: it is looked at whether its position is never past what it has handled.
    let log = home.join("handled");
    let mut handled = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .expect("a file");
    let worker = Worker::new(journal.reader(), "handled", wanted(), move |event| {
        writeln!(handled, "{}", event.sequence())?;
        Ok(())
    });
    projector
        .add(worker.expect("nobody holds it").every(8))
        .expect("it is new");
    projector
}

/// Appends a copy of each event that has none yet, and moves the cursor in the same commit.
fn copy(cursor: &mut Cursor<'_>) {
    let mut copies = Vec::new();
    let mut next = cursor.position();
    for event in cursor.read(wanted()) {
        let event = event.expect("it can be read");
        next = event.sequence() + 1;
        let copy = NewEvent::new("s", "copies", "a.copy");
        copies.push(copy.causation(event.id().expect("an id")));
    }
    if next > cursor.position() {
        let moved = cursor.advance(next, &copies);
        moved.expect("nobody else moves it");
    }
}

fn wanted() -> Query<'static> {
    Query::all().kind("a.b")
}

/// What is known of the journal: what was durable stays as it is, so only what is new is read each time.
#[derive(Default)]
struct Known {
    end: u64,
    wanted: Vec<u64>,
    /// The events of which there are copies.
    copied: Vec<u64>,
}

impl Known {
    fn read_on(&mut self, reader: &Reader) {
        let end = reader.len();
        for event in reader.read(wanted().from(self.end).until(end)) {
            self.wanted.push(event.unwrap().sequence());
        }
        let copies = Query::all().kind("a.copy");
        for copy in reader.read(copies.from(self.end).until(end)) {
            let cause = copy.unwrap().facts().unwrap().causation.unwrap();
            let cause = reader.get_by_id(factlog::Uuid::from_bytes(cause)).unwrap();
            self.copied.push(cause.unwrap().sequence());
        }
        self.end = end;
    }
}

/// Compares effects with events up to their positions, or with all. `true`: something is still to be applied.
fn check(known: &mut Known, home: &Path, address: Option<&str>, when: &str, all: bool) -> bool {
    let journal = Journal::open(home.join("j"), Options::new()).unwrap();
    let reader = journal.reader();
    known.read_on(reader);
    let wanted = &known.wanted;
    let until = |position: u64| {
        let applied = wanted
            .iter()
            .copied()
            .take_while(|sequence| all || *sequence < position);
        applied.collect::<Vec<_>>()
    };
    let mut behind = false;
    let lite = Connection::open(home.join("views.db")).unwrap();
    let there: i64 = lite
        .query_row(
            "SELECT count(*) FROM sqlite_master WHERE name = 'seen'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    if there > 0 {
        let position = lite.query_row("SELECT position FROM factlog_projections", [], |row| {
            row.get::<_, i64>(0)
        });
        let position = position.unwrap_or(0) as u64;
        let mut seen = lite
            .prepare("SELECT sequence FROM seen ORDER BY sequence")
            .unwrap();
        let seen = seen.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        let seen: Vec<u64> = seen.map(|sequence| sequence.unwrap() as u64).collect();
        assert_eq!(seen, until(position), "{when}: SQLite");
        behind |= position < reader.len();
    }
    if let Some(address) = address {
        let mut client = Client::connect(address, NoTls).unwrap();
        // A transaction of the process that was killed may still be being given up.
        client
            .batch_execute("CREATE TABLE IF NOT EXISTS seen (sequence BIGINT NOT NULL)")
            .unwrap();
        let mut read = client
            .build_transaction()
            .isolation_level(postgres::IsolationLevel::RepeatableRead)
            .start()
            .unwrap();
        let position = read.query_opt(
            "SELECT position FROM factlog_projections WHERE name = 'seen in a server'",
            &[],
        );
        let position = position
            .ok()
            .flatten()
            .map_or(0, |row| row.get::<_, i64>(0)) as u64;
        let seen = read.query("SELECT sequence FROM seen ORDER BY sequence", &[]);
        let seen: Vec<u64> = seen.map_or_else(
            |_| Vec::new(),
            |rows| rows.iter().map(|row| row.get::<_, i64>(0) as u64).collect(),
        );
        assert_eq!(seen, until(position), "{when}: PostgreSQL");
        behind |= position < reader.len();
    }
    let cursor = reader.cursor_file("handled").unwrap().reached();
    let handled = std::fs::read_to_string(home.join("handled")).unwrap_or_default();
    let mut handled: Vec<u64> = handled
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    handled.sort_unstable();
    handled.dedup();
    handled.retain(|sequence| *sequence < cursor);
    assert_eq!(handled, until(cursor), "{when}: the worker skipped events");
    let position = journal.cursor("consumers", "copies").unwrap().position();
    assert_eq!(known.copied, until(position), "{when}: the same journal");
    behind
}
