//! An access log: who looked at whose record is an event with a receipt, an alarm hears of what is out of
//! the ordinary as it happens, and whoever is a record's subject can be told who has seen it.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use factlog::{
    EventRef, Failure, InMemory, Journal, NewEvent, Policy, Projector, Query, Retries,
    UnverifiedReceipt, Worker,
};

type Done = Result<(), Box<dyn std::error::Error>>;

/// So many different records may one person look at.
const USUAL: usize = 3;

/// Notes an access before it is granted: what isn't in the log hasn't happened.
fn look(journal: &Journal, who: &str, record: &str, why: &str) -> Result<u64, factlog::Error> {
    let access = NewEvent::new("records", record.to_owned(), "record.seen")
        .actor(who.to_owned())
        .tag(format!("actor:{who}"))
        .data(factlog::Encoding::Raw, why.as_bytes().to_vec());
    Ok(journal.append(access)?.sequence())
}

/// Who has seen each record, and for what.
type Seen = BTreeMap<String, BTreeSet<(String, String)>>;

fn note(seen: &mut Seen, event: &EventRef<'_>) -> Result<(), Failure> {
    let Some(facts) = event.facts()? else {
        return Ok(());
    };
    let why = String::from_utf8_lossy(event.data()?.unwrap_or_default()).into_owned();
    let who = facts.actor.unwrap_or("nobody").to_owned();
    seen.entry(facts.entity.to_owned())
        .or_default()
        .insert((who, why));
    Ok(())
}

/// Prints what the tests compare, and what you see.
pub(crate) fn run(out: &mut dyn Write) -> Done {
    let journal = Arc::new(Journal::in_memory()?);
    let accesses = || Query::all().kind("record.seen");

    let views = Projector::start(journal.reader(), "views", Retries::new())?;
    let (seen, shown) = InMemory::new("seen", 1, accesses(), Seen::new, note);
    views.add(seen)?;

    // The alarm keeps its place in a file: after a restart it goes on, and misses nobody.
    let alarms = Arc::new(Mutex::new(Vec::new()));
    let rings = Arc::clone(&alarms);
    let mut records: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let alarm = Worker::new(journal.reader(), "alarm", accesses(), move |event| {
        let Some(facts) = event.facts()? else {
            return Ok(());
        };
        let who = facts.actor.unwrap_or("nobody").to_owned();
        let theirs = records.entry(who.clone()).or_default();
        if theirs.insert(facts.entity.to_owned()) && theirs.len() == USUAL + 1 {
            let text = format!("{who} has looked at {} records", theirs.len());
            rings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(text);
        }
        Ok(())
    })?;
    let workers = Projector::start(journal.reader(), "workers", Retries::new())?;
    workers.add(alarm)?;

    let mut last = look(&journal, "dr-ada", "patient-1", "visit")?;
    for number in 1..=5 {
        last = look(
            &journal,
            "clerk-eve",
            &format!("patient-{number}"),
            "no reason given",
        )?;
    }
    last = last.max(look(&journal, "dr-ada", "patient-1", "letter")?);
    let long = Duration::from_secs(60);
    if !views.wait_for(last, long) || !workers.wait_for(last, long) {
        return Err("something is stuck".into());
    }

    for alarm in alarms.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        writeln!(out, "alarm: {alarm}")?;
    }
    shown.read(|seen, _| {
        for (who, why) in seen.get("patient-1").into_iter().flatten() {
            writeln!(out, "patient-1 was seen by {who}: {why}")?;
        }
        Ok::<(), std::io::Error>(())
    })?;

    // What the patient is given, and checks without the clinic.
    let key = journal.reader().verifier_key().ok_or("it is unsigned")?;
    let policy = Policy::from(key);
    let theirs = journal.reader().read(Query::stream("records", "patient-1"));
    let mut proven = 0;
    for event in theirs {
        let receipt = journal.reader().receipt(event?.sequence())?;
        UnverifiedReceipt::parse(receipt.as_bytes())?.verify(&policy)?;
        proven += 1;
    }
    writeln!(out, "{proven} entries, each with a receipt that verifies")?;

    for one in views.stop().into_iter().chain(workers.stop()) {
        writeln!(out, "{}: {} behind", one.name, one.lag)?;
    }
    Ok(())
}

#[allow(dead_code, reason = "the tests call `run`")]
fn main() -> Done {
    run(&mut std::io::stdout())
}
