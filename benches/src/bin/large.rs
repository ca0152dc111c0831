//! A large journal: what its writer takes in memory, what an event takes on the disk and is written for it,
//! and how long it takes to open it and to find one event in it.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml --bin large -- [events] [streams] [directory] [heads]`:
//! 10,000,000 events of 256 bytes in 10,000 streams if nothing is said, in batches of 1,000, each event in a
//! stream at random; `heads` is of how many streams the writer remembers the last event.

#![forbid(unsafe_code)]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use factlog::{Encoding, Journal, NewEvent, Options, Query, Reader, Uuid};

const BATCH: u64 = 1000;
const LOOKS: u64 = 200_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments
        .next()
        .map_or(Ok(10_000_000), |text| text.parse())?;
    let streams: u64 = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let scratch = tempfile::tempdir_in(arguments.next().map_or(PathBuf::from("."), PathBuf::from))?;
    let dir = scratch.path().join("journal");
    let options = match arguments.next() {
        Some(heads) => Options::new().stream_heads(heads.parse()?),
        None => Options::new(),
    };
    println!("{events} events in {streams} streams");
    write(&dir, options, events, streams)?;
    println!(
        "| a raw read of 512 bytes of a segment | {:.2} µs |",
        raw(&dir)?
    );
    read(&dir, false)?;
    read(&dir, true)
}

fn write(dir: &Path, options: Options, events: u64, streams: u64) -> Result<()> {
    let journal = Journal::create(dir, options.fresh_signing_key())?;
    let mut random = Random(1);
    let start = Instant::now();
    let mut appended = 0;
    while appended < events {
        let batch: Vec<_> = (0..BATCH).map(|_| event(&mut random, streams)).collect();
        journal.append_batch(&batch)?;
        appended += BATCH;
    }
    let seconds = start.elapsed().as_secs_f64();
    journal.close()?;
    let reader = Journal::open_read_only(dir, Options::new())?;
    let bytes = reader.stats()?.bytes;
    let taken = (bytes.segments + bytes.derived + bytes.other) as f64 / appended as f64;
    let written = of_process("io", "wchar:")? / appended as f64;
    println!("| appended | {:.0} k/s |", appended as f64 / seconds / 1e3);
    println!(
        "| the writer's peak memory | {:.0} MiB |",
        of_process("status", "VmHWM:")? / 1024.0
    );
    println!(
        "| on the disk, per event | {taken:.0} bytes, {:.0} besides the payload |",
        taken - 256.0
    );
    println!(
        "| written, per event | {written:.0} bytes, {:.2} times as much |",
        written / taken
    );
    Ok(())
}

fn read(dir: &Path, mapped: bool) -> Result<()> {
    let options = || match mapped {
        true => Options::new().map_segments(true),
        false => Options::new(),
    };
    println!(
        "{}:",
        if mapped {
            "segments mapped"
        } else {
            "by position"
        }
    );
    let start = Instant::now();
    let journal = Journal::open(dir, options())?;
    println!("| open | {:.1} ms |", start.elapsed().as_secs_f64() * 1e3);
    let reader = journal.reader();
    let mut random = Random(2);
    let len = reader.len();
    let ids: Vec<Uuid> = (0..LOOKS)
        .map(|_| {
            let event = reader.get(1 + random.next() % (len - 1))?;
            event.and_then(|event| event.id()).context("an event")
        })
        .collect::<Result<_>>()?;
    let sequences: Vec<u64> = (0..LOOKS).map(|_| random.next() % len).collect();
    for round in ["first", "again"] {
        let by_place = each(&sequences, |sequence| {
            ensure!(reader.get(*sequence)?.is_some(), "an event is there");
            Ok(())
        })?;
        let by_id = each(&ids, |id| {
            ensure!(reader.get_by_id(*id)?.is_some(), "an id is there");
            Ok(())
        })?;
        println!("| an event by sequence, {round} | {by_place:.2} µs |");
        println!("| an event by id, {round} | {by_id:.2} µs |");
    }
    let one = each(&sequences, |sequence| Ok(drop(reader.get(*sequence)?)))?;
    let two = thread::scope(|scope| -> Result<f64> {
        let start = Instant::now();
        let halves = sequences.chunks(sequences.len().div_ceil(2)).map(|half| {
            scope.spawn(|| {
                half.iter()
                    .try_for_each(|sequence| reader.get(*sequence).map(drop))
            })
        });
        for half in halves.collect::<Vec<_>>() {
            half.join().ok().context("a thread that reads panicked")??;
        }
        Ok(start.elapsed().as_secs_f64() * 1e6 / sequences.len() as f64)
    })?;
    println!("| two threads, times as fast as one | {:.2} |", one / two);
    // Where there are as many streams as events, many have none.
    let named = |sequence| -> Result<String> {
        let event = reader.get(sequence)?.context("an event")?;
        Ok(event.facts().context("its facts")?.entity.to_owned())
    };
    let names: Vec<String> = (0..2000)
        .map(|_| named(1 + random.next() % (len - 1)))
        .collect::<Result<_>>()?;
    for round in ["first", "again"] {
        let first = each(&names, |name| first_of(reader, name))?;
        println!("| the first event of a stream, {round} | {first:.1} µs |");
    }
    journal.close()?;
    Ok(())
}

/// Microseconds for what no read by position can do without, at random places.
fn raw(dir: &Path) -> Result<f64> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir.join("segments"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            let file = File::open(path)?;
            let len = file.metadata()?.len();
            files.push((file, len.saturating_sub(512).max(1)));
        }
    }
    let (mut random, mut buffer) = (Random(3), [0; 512]);
    let places: Vec<(usize, u64)> = (0..LOOKS)
        .map(|_| (random.next() as usize % files.len(), random.next()))
        .collect();
    each(&places, |(file, place)| {
        let (file, len) = &files[*file];
        file.read_at(&mut buffer, place % len)?;
        Ok(())
    })
}

fn first_of(reader: &Reader, name: &str) -> Result<()> {
    let mut events = reader.read(Query::stream("bench", name).limit(1));
    ensure!(events.next_ref()?.is_some(), "a stream has events");
    Ok(())
}

/// Microseconds for each, on average.
fn each<T>(all: &[T], mut look: impl FnMut(&T) -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    all.iter().try_for_each(&mut look)?;
    Ok(start.elapsed().as_secs_f64() * 1e6 / all.len() as f64)
}

fn event(random: &mut Random, streams: u64) -> NewEvent<'static> {
    let mut payload = vec![0; 256];
    for word in payload.chunks_exact_mut(8) {
        word.copy_from_slice(&random.next().to_le_bytes());
    }
    let name = name(random.next() % streams);
    NewEvent::new("bench", name, "bench.measured").data(Encoding::Raw, payload)
}

fn name(stream: u64) -> String {
    format!("stream-{stream}")
}

/// A figure that the system keeps of this process.
fn of_process(file: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(Path::new("/proc/self").join(file))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.split_whitespace().next());
    Ok(figure.context("a figure")?.parse()?)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
