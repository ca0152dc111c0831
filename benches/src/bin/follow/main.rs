//! Measures what follows a journal: projections over typed events, how soon live subscribers are served, and
//! what many of them take in memory.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml --bin follow -- [events] [directory]`: how many
//! events projections are fed with, 1,000,000 if nothing is said, and where the journal stands. With
//! `--features peers` the same is done with rows of an SQLite table and with batpak.
#![forbid(unsafe_code)]

#[cfg(feature = "peers")]
mod peers;

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    sync::{
        Barrier, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use factlog::{
    Event, EventRef, Failure, InMemory, Journal, NewEvent, Options, Projector, Query, Retries,
    typed::{Typed, TypedEvent},
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
enum Account {
    #[event(kind = "account.moved")]
    Moved {
        account: String,
        cents: i64,
        currency: String,
        memo: Option<String>,
        booked: bool,
    },
    /// One of ten.
    #[event(kind = "account.noted")]
    Noted { account: String, cents: i64 },
}

fn account(number: u64) -> Account {
    let account = "CH93 0076 2011 6238 5295 7".to_owned();
    let cents = number as i64;
    match number % 10 {
        0 => Account::Noted { account, cents },
        _ => Account::Moved {
            account,
            cents,
            currency: "CHF".to_owned(),
            memo: Some("rent".to_owned()),
            booked: true,
        },
    }
}

const LONG: Duration = Duration::from_secs(600);

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let events = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let home = tempfile::tempdir()?;
    let dir = arguments
        .next()
        .map_or_else(|| home.path().join("j"), PathBuf::from);
    let journal = fill(&dir, events)?;
    project(
        &journal,
        "10% of kinds",
        Query::all().kind("account.noted"),
        events,
    )?;
    project(
        &journal,
        "all, decoded",
        Query::all().category("account"),
        events,
    )?;
    project_many(&journal, events)?;
    #[cfg(feature = "peers")]
    peers::project(home.path(), events)?;
    journal.close()?;
    wake(home.path(), 500)?;
    for subscribers in [0, 50] {
        flow(home.path(), subscribers, 10_000, Duration::from_secs(20))?;
    }
    Ok(())
}

fn fill(dir: &Path, events: u64) -> anyhow::Result<Journal> {
    let journal = Journal::create(dir, Options::new())?;
    let mut batch = Vec::new();
    for number in 0..events {
        let entity = format!("account-{}", number % 1_000);
        batch.push(journal.event("bank", entity, &account(number))?);
        if batch.len() == 1_000 || number + 1 == events {
            journal.append_batch(&batch)?;
            batch.clear();
        }
    }
    journal.housekeep()?;
    Ok(journal)
}

fn sum(sum: &mut i64, event: &EventRef<'_>) -> Result<(), Failure> {
    if let Typed::Known(Account::Moved { cents, .. } | Account::Noted { cents, .. }) =
        Account::read_ref(event)?
    {
        *sum += cents;
    }
    Ok(())
}

fn told(what: &str, events: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    let rate = events as f64 / seconds;
    println!("{what}: {events} events passed in {seconds:.3} s, {rate:.0} events/s");
}

/// Five times, the first of which warms up.
fn project(
    journal: &Journal,
    what: &str,
    query: Query<'static>,
    events: u64,
) -> anyhow::Result<()> {
    for _ in 0..5 {
        let projector = Projector::start(journal.reader(), "bench", Retries::new())?;
        let (projection, shown) = InMemory::new("sum", 1, query.clone(), || 0, sum);
        let begun = Instant::now();
        projector.add(projection)?;
        anyhow::ensure!(
            projector.wait_for(journal.reader().len() - 1, LONG),
            "it is stuck"
        );
        told(what, events, begun);
        black_box(shown.read(|sum, _| *sum));
    }
    Ok(())
}

fn project_many(journal: &Journal, events: u64) -> anyhow::Result<()> {
    let projector = Projector::start(journal.reader(), "bench", Retries::new())?;
    let mut shown = Vec::new();
    let begun = Instant::now();
    for number in 0..10 {
        let query = Query::all().kind("account.noted");
        let (projection, one) = InMemory::new(format!("sum {number}"), 1, query, || 0, sum);
        projector.add(projection)?;
        shown.push(one);
    }
    anyhow::ensure!(
        projector.wait_for(journal.reader().len() - 1, LONG),
        "one is stuck"
    );
    told("ten projections of 10% of kinds", events, begun);
    Ok(())
}

/// All wait, one event comes: until the last has it.
fn wake(home: &Path, subscribers: usize) -> anyhow::Result<()> {
    let journal = Journal::create(home.join("wake"), Options::new())?;
    let ready = Barrier::new(subscribers + 1);
    let served = Mutex::new(Vec::new());
    for round in 0..5 {
        served.lock().unwrap().clear();
        let from = journal.reader().len();
        let begun = thread::scope(|scope| {
            for _ in 0..subscribers {
                let (journal, ready, served) = (&journal, &ready, &served);
                scope.spawn(move || {
                    let mut news = journal.reader().subscribe(Query::all().from(from)).unwrap();
                    assert!(news.try_next().unwrap().is_none());
                    ready.wait();
                    news.next().unwrap().unwrap();
                    served.lock().unwrap().push(Instant::now());
                });
            }
            ready.wait();
            thread::sleep(Duration::from_millis(100));
            let begun = Instant::now();
            journal.append(NewEvent::new("s", "e", "a.b")).unwrap();
            (begun, Instant::now())
        });
        let served = served.lock().unwrap();
        let last = served.iter().max().copied().unwrap_or(begun.0);
        println!(
            "{subscribers} subscribers, round {round}: append {:?}, the last served {:?} after it returned",
            begun.1 - begun.0,
            last.saturating_duration_since(begun.1)
        );
    }
    journal.close()?;
    Ok(())
}

/// So many appends a second to filtered subscribers, each of which wants one kind of as many.
fn flow(home: &Path, subscribers: u64, rate: u64, time: Duration) -> anyhow::Result<()> {
    let journal = Journal::create(home.join(format!("flow {subscribers}")), Options::new())?;
    let (done, given) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| -> anyhow::Result<()> {
        let mut stoppers = Vec::new();
        for number in 0..subscribers {
            let query = Query::all().kind(format!("kind.k{number}"));
            let mut events = journal.reader().subscribe(query)?;
            stoppers.push(events.stopper());
            let given = &given;
            scope.spawn(move || {
                while let Some(Ok(event)) = events.next() {
                    black_box(event);
                    given.fetch_add(1, Relaxed);
                }
            });
        }
        let begun = Instant::now();
        let (before, cpu) = (resident(), cpu_time());
        let mut sent = 0u64;
        // What it takes at every fifth of the time: memory that grows with events grows in each.
        let mut memory = Vec::new();
        while begun.elapsed() < time {
            if begun.elapsed() >= time / 5 * (memory.len() as u32 + 1) {
                memory.push(resident());
            }
            let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
            let mut tickets = Vec::new();
            while sent < due {
                let event = NewEvent::new("s", "e", format!("kind.k{}", sent % subscribers.max(1)));
                tickets.push(journal.submit(&[event])?);
                sent += 1;
            }
            for ticket in tickets {
                ticket.wait()?;
            }
            thread::sleep(Duration::from_millis(1));
        }
        while subscribers > 0 && given.load(Relaxed) < sent {
            thread::yield_now();
        }
        memory.push(resident());
        println!(
            "{sent} appends in {:?} to {subscribers} filtered subscribers; memory {before} KiB before, then {memory:?} KiB; {:?} of processor time",
            begun.elapsed(),
            cpu_time().saturating_sub(cpu)
        );
        let cpu = cpu_time();
        thread::sleep(Duration::from_secs(5));
        println!(
            "idle for 5 s: {:?} of processor time",
            cpu_time().saturating_sub(cpu)
        );
        stoppers.iter().for_each(factlog::Stopper::stop);
        done.store(true, Relaxed);
        Ok(())
    })?;
    journal.close()?;
    Ok(())
}

/// What the process has in memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
