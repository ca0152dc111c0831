use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use factlog::{Encoding, Journal, NewEvent, Options, Query};
use hdrhistogram::Histogram;

use crate::{
    event::mix,
    meter::{latencies, timed},
};

const PAYLOAD: usize = 256;
const STREAMS: u64 = 1000;
/// Bytes that a durable append of one such event writes, and so the raw file's records.
const RECORD: usize = 768;
/// The raw file is written around in a circle.
const RECORDS: u64 = 100_000;
/// Events of a bulk append, and the pause after each: some thousand events a second.
const BULK: usize = 200;
const PAUSE: Duration = Duration::from_millis(100);
/// Appended at first, so that what is kept in memory of a journal, and of open files, is at its bound
/// when the measurement begins.
const BEFORE: u64 = 5_000_000;
const SEGMENT: u64 = 8 << 20;
/// What grows until then is warming up.
const WARM: u32 = 3;

/// Mixed work for some minutes: durable appends by turns with a raw file's, bulk appends, reads by sequence
/// and of streams. Says whether memory and handles grew, and how long the slowest appends took.
pub(crate) fn run(scratch: &Path, minutes: u32) -> anyhow::Result<Vec<(String, String)>> {
    // Small segments, so that there are more of them than are kept open.
    let options = Options::new().segment_len(SEGMENT);
    let journal = Journal::create(scratch.join("soaked"), options)?;
    fill(&journal)?;
    let raw = File::create_new(scratch.join("raw"))?;
    raw.write_all_at(&vec![0; RECORD * RECORDS as usize], 0)?;
    raw.sync_all()?;
    let stop = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    let (mut sampled, mut slow) = (Vec::new(), None);
    thread::scope(|scope| -> anyhow::Result<()> {
        let durable = scope.spawn(|| durable(&journal, &raw, &stop));
        let bulk = scope.spawn(|| bulk(&journal, &stop));
        let read = scope.spawn(|| read(&journal, &stop, &reads));
        let start = Instant::now();
        for minute in 1..=minutes {
            let next = start + Duration::from_secs(60) * minute;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let sample = Sample::take()?;
            eprintln!(
                "minute {minute}: {:.1} MiB, {} handles",
                sample.memory, sample.handles
            );
            sampled.push(sample);
        }
        stop.store(true, Relaxed);
        let ended = "a thread of the soak panicked";
        slow = Some(durable.join().ok().context(ended)??);
        bulk.join().ok().context(ended)??;
        read.join().ok().context(ended)?
    })?;
    let (ours, raws) = slow.context("no appends")?;
    let events = journal.reader().len();
    journal.close()?;
    let warm = (WARM.min(minutes) - 1) as usize;
    let (before, after) = sampled.split_at_checked(warm + 1).context("too short")?;
    let warm = before.last().context("too short")?;
    let most = |of: fn(&Sample) -> f64| after.iter().map(of).fold(0.0, f64::max);
    let quantile = |histogram: &Histogram<u64>| histogram.value_at_quantile(0.999) as f64 / 1e3;
    let (ours, raws) = (quantile(&ours), quantile(&raws));
    Ok(vec![
        ("minutes".to_owned(), minutes.to_string()),
        ("events appended".to_owned(), events.to_string()),
        ("reads".to_owned(), reads.load(Relaxed).to_string()),
        (
            format!("memory after {WARM} minutes, and the most later"),
            format!(
                "{:.1} and {:.1} MiB",
                warm.memory,
                most(|sample| sample.memory)
            ),
        ),
        (
            "handles then, and the most later".to_owned(),
            format!(
                "{:.0} and {:.0}",
                warm.handles,
                most(|sample| sample.handles)
            ),
        ),
        (
            "p99.9 of durable appends".to_owned(),
            format!("{ours:.0} µs"),
        ),
        (
            "p99.9 of the raw file's, by turns with them".to_owned(),
            format!("{raws:.0} µs, {:.2} times", ours / raws),
        ),
    ])
}

/// Memory that the process holds, mapped files apart, in MiB, and its open files.
struct Sample {
    memory: f64,
    handles: f64,
}

impl Sample {
    fn take() -> anyhow::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        Ok(Self {
            memory: kib.context("the memory in use")? / 1024.0,
            handles: std::fs::read_dir("/proc/self/fd")?.count() as f64,
        })
    }
}

type Slow = (Histogram<u64>, Histogram<u64>);

fn durable(journal: &Journal, raw: &File, stop: &AtomicBool) -> anyhow::Result<Slow> {
    let (mut ours, mut raws) = (latencies()?, latencies()?);
    let record = [7; RECORD];
    let mut number = 0;
    while !stop.load(Relaxed) {
        let event = event(number);
        timed(&mut ours, || Ok(journal.append(event)?))?;
        timed(&mut raws, || {
            raw.write_all_at(&record, number % RECORDS * RECORD as u64)?;
            Ok(raw.sync_data()?)
        })?;
        number += 1;
        thread::sleep(Duration::from_millis(1));
    }
    Ok((ours, raws))
}

fn fill(journal: &Journal) -> anyhow::Result<()> {
    for number in (0..BEFORE).step_by(1000) {
        let batch: Vec<_> = (0..1000).map(|at| event(number + at)).collect();
        journal.append_batch(&batch)?;
    }
    Ok(())
}

fn bulk(journal: &Journal, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut number = 0;
    while !stop.load(Relaxed) {
        let batch: Vec<_> = (0..BULK as u64).map(|at| event(number + at)).collect();
        journal.append_batch(&batch)?;
        number += BULK as u64;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn read(journal: &Journal, stop: &AtomicBool, reads: &AtomicU64) -> anyhow::Result<()> {
    let reader = journal.reader();
    let mut number = 0;
    while !stop.load(Relaxed) {
        for _ in 0..100 {
            number += 1;
            reader.get(mix(number) % reader.len())?;
        }
        let stream = format!("stream-{}", mix(number) % STREAMS);
        let events = reader.read(Query::stream("bench", &stream).limit(100));
        let mut read = 100;
        for event in events {
            event?;
            read += 1;
        }
        reads.fetch_add(read, Relaxed);
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn event(number: u64) -> NewEvent<'static> {
    let stream = format!("stream-{}", mix(number) % STREAMS);
    NewEvent::new("bench", stream, "bench.measured").data(Encoding::Raw, vec![7; PAYLOAD])
}
