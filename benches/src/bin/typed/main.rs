//! Measures the typed layer: loading an aggregate, decoding events, deciding beside plain appends, and
//! appending again what is known; each beside what the raw file and the raw codec take.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml --bin typed -- [events] [directory]`: how many
//! events the journal of the last measurement has, 5,000,000 if nothing is said, and where it stands. With
//! `--features peers` other stores do the same.
#![forbid(unsafe_code)]

#[cfg(feature = "peers")]
mod peers;

use std::{
    fs::File,
    hint::black_box,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use factlog::{
    Encoding, Event, Journal, NewEvent, Options, Query, Uuid,
    typed::{Decider, Snapshots, TypedEvent},
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(kind = "account.moved")]
struct Moved {
    account: String,
    cents: i64,
    currency: String,
    memo: Option<String>,
    booked: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, Event)]
#[event(kind = "counter.raised")]
struct Raised {
    by: u64,
}

#[derive(Clone, Default)]
struct Counter(u64);

impl Decider for Counter {
    const SCOPE: &'static str = "counters";
    type Event = Raised;
    type Command = ();
    type Refusal = ();

    fn evolve(&mut self, event: Raised) {
        self.0 += event.by;
    }

    fn decide(&self, (): &()) -> Result<Vec<Raised>, ()> {
        Ok(vec![Raised { by: 1 }])
    }
}

fn moved(cents: i64) -> Moved {
    Moved {
        account: "CH93 0076 2011 6238 5295 7".to_owned(),
        cents,
        currency: "CHF".to_owned(),
        memo: Some("rent".to_owned()),
        booked: true,
    }
}

#[derive(Clone, Default)]
struct Account {
    cents: i64,
}

impl Decider for Account {
    const SCOPE: &'static str = "bank";
    type Event = Moved;
    type Command = i64;
    type Refusal = ();

    fn evolve(&mut self, event: Moved) {
        self.cents += event.cents;
    }

    fn decide(&self, cents: &i64) -> Result<Vec<Moved>, ()> {
        Ok(vec![moved(*cents)])
    }
}

fn create(dir: &Path) -> anyhow::Result<Journal> {
    Ok(Journal::create(dir, Options::new().fresh_signing_key())?)
}

/// The median of how long each of so many calls takes.
fn median(
    calls: usize,
    mut call: impl FnMut(usize) -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let mut times = Vec::with_capacity(calls);
    for number in 0..calls {
        let begun = Instant::now();
        call(number)?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[calls / 2])
}

fn load_all<D: Decider + Clone>(journal: &Journal, name: &str) -> anyhow::Result<f64> {
    let load = |number: usize| -> anyhow::Result<()> {
        let loaded = journal
            .stream::<D>(format!("{name}-{}", number % 100))
            .load()?;
        anyhow::ensure!(loaded.revision == Some(99));
        black_box(&loaded.state);
        Ok(())
    };
    median(1_000, load)?;
    Ok(micros(median(5_000, load)?))
}

/// Aggregates, and how many events each has: those of one follow each other at a distance.
const AGGREGATES: usize = 100;
const EACH: usize = 100;

fn load(dir: &Path) -> anyhow::Result<()> {
    let journal = create(dir)?;
    let frame = fill(&journal)?;
    let raw = raw_load(&dir.with_extension("raw"), frame)?;
    println!("raw: 100 reads of {frame} bytes by position with their CRC-32, warm: {raw:.1} µs");
    load_both(&journal, "read by position")?;
    let kept = Snapshots::new(1_000);
    let decide = journal.stream::<Account>("account-7").snapshots(&kept);
    decide
        .decide(1)
        .map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let time = median(5_000, |_| {
        black_box(decide.load()?.state.cents);
        Ok(())
    })?;
    println!("the latter from a snapshot: {:.1} µs", micros(time));
    let options = Options::new().map_segments(true).segment_len(4 << 20);
    let journal = Journal::create(dir.with_extension("mapped"), options)?;
    fill(&journal)?;
    // Another segment begins with it.
    let filler = NewEvent::new("bank", "filler", "filler").data(Encoding::Raw, vec![0; 4 << 20]);
    journal.append(filler)?;
    load_both(&journal, "in mapped segments")
}

/// Gives the average length of a frame.
fn fill(journal: &Journal) -> anyhow::Result<usize> {
    let mut batch = Vec::new();
    for number in 0..AGGREGATES * EACH {
        let entity = format!("account-{}", number % AGGREGATES);
        batch.push(journal.event("bank", entity, &moved(number as i64))?);
    }
    journal.append_batch(&batch)?;
    let mut batch = Vec::new();
    for number in 0..AGGREGATES * EACH {
        let entity = format!("counter-{}", number % AGGREGATES);
        let by = number as u64;
        batch.push(journal.event("counters", entity, &Raised { by })?);
    }
    journal.append_batch(&batch)?;
    let stats = journal.reader().stats()?;
    Ok((stats.bytes.segments / stats.events) as usize)
}

fn load_both(journal: &Journal, how: &str) -> anyhow::Result<()> {
    let one = load_all::<Counter>(journal, "counter")?;
    let five = load_all::<Account>(journal, "account")?;
    for (fields, time) in [("one field", one), ("five fields", five)] {
        println!("load an aggregate of 100 events of {fields}, {how}, warm: {time:.1} µs");
    }
    Ok(())
}

/// What reading as many bytes from as many places takes by itself.
fn raw_load(path: &Path, frame: usize) -> anyhow::Result<f64> {
    let bytes: Vec<u8> = (0..2 * AGGREGATES * EACH * frame)
        .map(|at| at as u8)
        .collect();
    std::fs::write(path, &bytes)?;
    let file = File::open(path)?;
    let mut buffer = vec![0; frame];
    let mut load = |number: usize| -> anyhow::Result<()> {
        for event in 0..EACH {
            let place = event * AGGREGATES + number % AGGREGATES;
            file.read_exact_at(&mut buffer, (place * frame) as u64)?;
            black_box(crc32fast::hash(&buffer));
        }
        Ok(())
    };
    median(1_000, &mut load)?;
    Ok(micros(median(5_000, load)?))
}

fn decode(dir: &Path) -> anyhow::Result<()> {
    const EVENTS: usize = 100_000;
    let journal = create(dir)?;
    for thousand in 0..EVENTS / 1_000 {
        let event = |number| {
            let event = moved((thousand * 1_000 + number) as i64);
            NewEvent::typed("bank", "account", Encoding::MessagePack, &event)
        };
        let batch: Vec<_> = (0..1_000).map(event).collect::<Result<_, _>>()?;
        journal.append_batch(&batch)?;
    }
    let stored = journal.reader().read(Query::stream("bank", "account"));
    let stored: Vec<_> = stored.collect::<Result<_, _>>()?;
    anyhow::ensure!(stored.len() == EVENTS);
    let rate = |begun: Instant| 10.0 * EVENTS as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    for _ in 0..10 {
        for event in &stored {
            let bytes = event
                .data()
                .and_then(|data| data.bytes())
                .unwrap_or_default();
            black_box(rmp_serde::from_slice::<Moved>(bytes)?);
        }
    }
    let raw = rate(begun);
    println!("raw: finding the same payloads and decoding them with rmp-serde alone: {raw:.0}/s");
    let begun = Instant::now();
    for _ in 0..10 {
        for event in &stored {
            black_box(Moved::read(event)?);
        }
    }
    let rate = rate(begun);
    println!("decode events of five fields from MessagePack: {rate:.0}/s on one core");
    Ok(())
}

/// In turns, so that the disk is the same for both.
fn decide(dir: &Path) -> anyhow::Result<()> {
    let journal = create(dir)?;
    let kept = Snapshots::new(16);
    let decision = journal.stream::<Account>("decided").snapshots(&kept);
    let (mut plain, mut decided) = (Vec::new(), Vec::new());
    for number in 0..2_000 {
        let begun = Instant::now();
        journal.append(journal.event("bank", "plain", &moved(number))?)?;
        plain.push(begun.elapsed());
        let begun = Instant::now();
        decision
            .decide(number)
            .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        decided.push(begun.elapsed());
    }
    plain.sort_unstable();
    decided.sort_unstable();
    let (plain, decided) = (plain[1_000], decided[1_000]);
    println!(
        "append, durable: {:.1} µs; decide and append, durable: {:.1} µs; {:.2} of the rate",
        micros(plain),
        micros(decided),
        micros(plain) / micros(decided)
    );
    Ok(())
}

fn again(dir: &Path, events: u64) -> anyhow::Result<()> {
    let options = || Options::new().signing_key_file(dir.with_extension("key"));
    let journal = Journal::create(dir, options())?;
    let id = |number: u64| {
        Uuid::from_u128(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    };
    let event = |number: u64| {
        NewEvent::new(
            "bank",
            format!("account-{}", number % 1_000),
            "account.noted",
        )
        .id(id(number))
        .data(Encoding::Raw, number.to_le_bytes().to_vec())
    };
    let begun = Instant::now();
    for first in (0..events).step_by(1_000) {
        let batch: Vec<_> = (first..events.min(first + 1_000)).map(event).collect();
        journal.append_batch(&batch)?;
    }
    println!(
        "{events} events with ids of the caller's, in {:.0?}",
        begun.elapsed()
    );
    journal.housekeep()?;
    repeats(&journal, events, event, "read by position")?;
    journal.close()?;
    let journal = Journal::open(dir, options().map_segments(true))?;
    repeats(&journal, events, event, "in mapped files")
}

fn repeats(
    journal: &Journal,
    events: u64,
    event: impl Fn(u64) -> NewEvent<'static>,
    how: &str,
) -> anyhow::Result<()> {
    let before = resident();
    let mut number = 1u64;
    let mut next = || {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005u64)
            .wrapping_add(1_442_695_040_888_963_407);
        number % events
    };
    let known = |number: u64| -> anyhow::Result<()> {
        anyhow::ensure!(journal.append(event(number))?.already());
        Ok(())
    };
    // As many as there are pages, so that they are warm.
    median(500_000, |_| known(next()))?;
    let time = median(50_000, |_| known(next()))?;
    println!(
        "append again what is known, anywhere in it, {how}: {:.1} µs; memory {} MiB before, {} MiB after",
        micros(time),
        before >> 20,
        resident() >> 20
    );
    Ok(())
}

/// Resident memory in bytes besides mapped files, where the system says it.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let events = arguments.next().map(|text| text.parse()).transpose()?;
    let dir = arguments.next().map(PathBuf::from);
    let dir = tempfile::tempdir_in(dir.unwrap_or_else(std::env::temp_dir))?;
    load(&dir.path().join("load"))?;
    decode(&dir.path().join("decode"))?;
    decide(&dir.path().join("decide"))?;
    again(&dir.path().join("again"), events.unwrap_or(5_000_000))?;
    #[cfg(feature = "peers")]
    peers::run(dir.path())?;
    Ok(())
}
