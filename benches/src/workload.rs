//! What is done with a store while the clock runs; runs in a process of its own.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use hdrhistogram::Histogram;

use crate::{
    cell::{Cell, Workload},
    event::{Event, KINDS, Stream, event, mix},
    group::Group,
    meter::{
        Figures, Meter, bytes_on_disk, bytes_written, latencies, peak_memory, put, put_latencies,
        timed,
    },
    store::{Setup, Store},
    stores::Task,
};

const BATCH: u64 = 1000;
const BATCH_BYTES: u64 = 4 << 20;
/// How long reading goes on, if it isn't over before.
const READING: Duration = Duration::from_millis(600);
const MIXED: Duration = Duration::from_secs(1);
const READS: u64 = 200_000;
const IDS: u64 = 20_000;
/// Of so many quick reads one is timed.
const SAMPLED: u64 = 8;
const READERS: usize = 8;

/// One cell, done once with the store in `dir`.
pub(crate) struct Run<'a> {
    pub(crate) cell: Cell,
    pub(crate) dir: &'a Path,
    pub(crate) setup: Setup,
}

impl Task for Run<'_> {
    type Output = Figures;

    fn run<S: Store>(self) -> anyhow::Result<Figures> {
        let Self { cell, dir, setup } = self;
        let mut figures = Figures::new();
        // Makes the payloads before any clock starts.
        event(0, cell.streams, cell.size);
        match cell.workload {
            Workload::Open | Workload::OpenKilled => open::<S>(&self, &mut figures)?,
            Workload::Verify => {
                let meter = Meter::start();
                S::verify(dir, setup)?;
                rate(&mut figures, &meter, cell.events);
            }
            Workload::Bulk | Workload::Durable | Workload::Tickets => {
                write::<S>(&self, &mut figures)?
            }
            Workload::BulkScanned | Workload::DurableScanned => {
                let store = S::open(dir, setup)?;
                scanned(&store, cell, &mut figures)?;
                store.close()?;
            }
            _ => {
                let store = S::open(dir, setup)?;
                read(&store, cell, &mut figures)?;
                store.close()?;
            }
        }
        put(&mut figures, "peak MiB", peak_memory()?);
        Ok(figures)
    }
}

/// Fills the store of a cell in bulk; `kill` says to stop there, with everything open, and wait for
/// the end.
pub(crate) struct Fill<'a> {
    pub(crate) cell: Cell,
    pub(crate) dir: &'a Path,
    pub(crate) setup: Setup,
    pub(crate) kill: bool,
}

impl Task for Fill<'_> {
    type Output = Figures;

    fn run<S: Store>(self) -> anyhow::Result<Figures> {
        let Self {
            cell,
            dir,
            setup,
            kill,
        } = self;
        let mut figures = Figures::new();
        let store = S::open(dir, setup)?;
        bulk(
            &store,
            Cell {
                producers: 1,
                ..cell
            },
            0,
        )?;
        if kill {
            put_disk::<S>(&mut figures, dir, cell.events)?;
            println!("{}", serde_json::to_string(&figures)?);
            loop {
                thread::park();
            }
        }
        store.close()?;
        put_disk::<S>(&mut figures, dir, cell.events)?;
        Ok(figures)
    }
}

fn rate(figures: &mut Figures, meter: &Meter, events: u64) {
    put(figures, "events/s", events as f64 / meter.seconds());
    put(
        figures,
        "CPU µs",
        meter.processor_seconds() * 1e6 / events as f64,
    );
}

fn put_disk<S: Store>(figures: &mut Figures, dir: &Path, events: u64) -> anyhow::Result<()> {
    put(
        figures,
        "disk B",
        bytes_on_disk(dir)? as f64 / events as f64,
    );
    if let Some(bytes) = S::log_bytes(dir)? {
        put(figures, "log B", bytes as f64 / events as f64);
    }
    Ok(())
}

fn write<S: Store>(run: &Run<'_>, figures: &mut Figures) -> anyhow::Result<()> {
    let cell = run.cell;
    let before = bytes_written()?;
    let store = S::open(run.dir, run.setup)?;
    let meter = Meter::start();
    let histogram = match cell.workload {
        Workload::Bulk => bulk(&store, cell, 0)?,
        Workload::Tickets => tickets(&store, cell)?,
        _ => durable(&store, cell)?,
    };
    rate(figures, &meter, cell.events);
    put_latencies(figures, &histogram);
    let closing = Instant::now();
    store.close()?;
    put(figures, "close ms", closing.elapsed().as_secs_f64() * 1e3);
    let written = bytes_written()? - before;
    put(figures, "written B", written / cell.events as f64);
    // What was put off until the close counts.
    put(
        figures,
        "CPU µs",
        meter.processor_seconds() * 1e6 / cell.events as f64,
    );
    put_disk::<S>(figures, run.dir, cell.events)
}

/// Runs a producer per number below `producers`, and joins their latencies.
fn produce(
    producers: u32,
    producer: impl Fn(u64, &mut Histogram<u64>) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Histogram<u64>> {
    thread::scope(|scope| {
        let spawn = |number| {
            let producer = &producer;
            scope.spawn(move || {
                let mut histogram = latencies()?;
                producer(u64::from(number), &mut histogram)?;
                anyhow::Ok(histogram)
            })
        };
        let threads: Vec<_> = (0..producers).map(spawn).collect();
        let mut all = latencies()?;
        for thread in threads {
            all += thread
                .join()
                .map_err(|_| anyhow!("a producer panicked"))??;
        }
        Ok(all)
    })
}

fn batch_of(cell: Cell) -> u64 {
    (BATCH_BYTES / u64::from(cell.size)).clamp(1, BATCH)
}

/// Appends the cell's events in batches, which the producers take by turns.
fn bulk<S: Store>(store: &S, cell: Cell, first: u64) -> anyhow::Result<Histogram<u64>> {
    let batch = batch_of(cell);
    produce(cell.producers, |producer, histogram| {
        let mut events = Vec::new();
        let mut start = producer * batch;
        while start < cell.events {
            let end = (start + batch).min(cell.events);
            fill(&mut events, cell, first + start..first + end);
            timed(histogram, || store.append(&events))?;
            start += u64::from(cell.producers) * batch;
        }
        Ok(())
    })
}

fn fill(events: &mut Vec<Event>, cell: Cell, numbers: std::ops::Range<u64>) {
    events.clear();
    events.extend(numbers.map(|number| event(number, cell.streams, cell.size)));
}

/// How many appends of each producer are on their way at any time.
const IN_FLIGHT: usize = 1024;

/// Appends single events, each producer with many on their way. An append's latency is the time until its
/// producer hears that it is durable, which is when its turn comes.
fn tickets<S: Store>(store: &S, cell: Cell) -> anyhow::Result<Histogram<u64>> {
    produce(cell.producers, |producer, histogram| {
        let events = (producer..cell.events).step_by(cell.producers as usize);
        let mut events = events.map(|number| event(number, cell.streams, cell.size));
        store.append_many(&mut events, IN_FLIGHT, &mut |took| {
            let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            // It grows with what is recorded.
            histogram.record(nanos)?;
            Ok(())
        })
    })
}

/// Appends single events. Each producer waits for its event to be durable before it makes the next:
/// a closed loop, so a stall shows once per producer and not once per event that would have come.
fn durable<S: Store>(store: &S, cell: Cell) -> anyhow::Result<Histogram<u64>> {
    let group = (S::GROUPED && cell.producers > 1).then(|| Group::new(store));
    produce(cell.producers, |producer, histogram| {
        let mut number = producer;
        while number < cell.events {
            let event = event(number, cell.streams, cell.size);
            timed(histogram, || match &group {
                Some(group) => group.append(event),
                None => store.append(&[event]),
            })?;
            number += u64::from(cell.producers);
        }
        Ok(())
    })
}

fn read<S: Store>(store: &S, cell: Cell, figures: &mut Figures) -> anyhow::Result<()> {
    let mut histogram = latencies()?;
    let place = |number: u64| mix(number) % cell.events;
    let size = cell.size as usize;
    match cell.workload {
        Workload::GetSequence => points(figures, &mut histogram, |number| {
            ensure!(store.get(place(number))? == size, "another payload");
            Ok(())
        })?,
        Workload::GetId => {
            let places: Vec<_> = (0..IDS).map(place).collect();
            let ids = store.ids(&places)?;
            points(figures, &mut histogram, |number| {
                let id = &ids[(mix(number) % IDS) as usize];
                ensure!(store.get_by_id(id)? == size, "another payload");
                Ok(())
            })?;
        }
        Workload::Stream => {
            let stream = |number| Stream::new((mix(number) % u64::from(cell.streams)) as u32);
            let wanted = cell.events / u64::from(cell.streams);
            // The first one may build what the rest use.
            store.read_stream(stream(0), &mut |_| true)?;
            rounds(figures, &mut histogram, wanted, |number| {
                counted(cell, |each| store.read_stream(stream(number), each))
            })?;
        }
        Workload::Filter => {
            let wanted = cell.events / u64::from(KINDS) / 2;
            rounds(figures, &mut histogram, wanted, |number| {
                let kind = (number % u64::from(KINDS)) as u8;
                counted(cell, |each| store.scan(Some(kind), each))
            })?;
        }
        _ => rounds(figures, &mut histogram, cell.events, |_| {
            counted(cell, |each| store.scan(None, each))
        })?,
    }
    put_latencies(figures, &histogram);
    Ok(())
}

/// Quick reads, by the number of the read.
fn points(
    figures: &mut Figures,
    histogram: &mut Histogram<u64>,
    read: impl Fn(u64) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    read(0)?;
    let meter = Meter::start();
    let mut count = 0;
    while count < READS && meter.seconds() < READING.as_secs_f64() {
        timed(histogram, || read(count))?;
        for number in 1..SAMPLED {
            read(count + number)?;
        }
        count += SAMPLED;
    }
    rate(figures, &meter, count);
    Ok(())
}

/// Reads of many events each; the rate is of the events that were given out.
fn rounds(
    figures: &mut Figures,
    histogram: &mut Histogram<u64>,
    wanted: u64,
    read: impl Fn(u64) -> anyhow::Result<u64>,
) -> anyhow::Result<()> {
    let meter = Meter::start();
    let (mut number, mut seen) = (0, 0);
    while number == 0 || meter.seconds() < READING.as_secs_f64() {
        let found = timed(histogram, || read(number))?;
        ensure!(
            found >= wanted,
            "{found} events were read, {wanted} are there"
        );
        (number, seen) = (number + 1, seen + found);
    }
    rate(figures, &meter, seen);
    Ok(())
}

/// Counts events, and sees to it that they are really read.
fn counted(
    cell: Cell,
    read: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let (mut count, mut right, mut sum) = (0, true, 0u64);
    read(&mut |payload| {
        count += 1;
        right &= payload.len() == cell.size as usize;
        sum += u64::from(payload.last().copied().unwrap_or_default());
        true
    })?;
    ensure!(right, "another payload");
    std::hint::black_box(sum);
    Ok(count)
}

fn open<S: Store>(run: &Run<'_>, figures: &mut Figures) -> anyhow::Result<()> {
    let meter = Meter::start();
    let store = S::open(run.dir, run.setup)?;
    put(figures, "open ms", meter.seconds() * 1e3);
    // Some put off what they must do until they are used; not all can read by place.
    match store.get(run.cell.events / 2) {
        Err(error) if error.is::<crate::store::Unsupported>() => {}
        result => {
            result.context("read after opening")?;
            put(figures, "first read ms", meter.seconds() * 1e3);
        }
    }
    Ok(())
}

/// Appends while readers scan from the start, again and again.
fn scanned<S: Store>(store: &S, cell: Cell, figures: &mut Figures) -> anyhow::Result<()> {
    let (over, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    let (bulk, readers) = match cell.workload {
        Workload::BulkScanned => (true, 1),
        _ => (false, READERS),
    };
    // Asked first, so that nothing is measured where it can't be done.
    store.scan(None, &mut |_| false)?;
    thread::scope(|scope| {
        let scan = || {
            while !over.load(Ordering::Relaxed) {
                let mut count = 0;
                store.scan(None, &mut |_| {
                    count += 1;
                    !over.load(Ordering::Relaxed)
                })?;
                seen.fetch_add(count, Ordering::Relaxed);
            }
            anyhow::Ok(())
        };
        let threads: Vec<_> = (0..readers).map(|_| scope.spawn(scan)).collect();
        let written = write_for(store, cell, bulk, figures);
        over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a reader panicked"))??;
        }
        let seconds = written?;
        put(
            figures,
            "read/s",
            seen.load(Ordering::Relaxed) as f64 / seconds,
        );
        Ok(())
    })
}

/// Appends for a while; returns for how many seconds.
fn write_for<S: Store>(
    store: &S,
    cell: Cell,
    bulk: bool,
    figures: &mut Figures,
) -> anyhow::Result<f64> {
    let batch = if bulk { batch_of(cell) } else { 1 };
    let mut histogram = latencies()?;
    let mut events = Vec::new();
    let mut number = cell.events;
    let meter = Meter::start();
    while meter.seconds() < MIXED.as_secs_f64() {
        fill(&mut events, cell, number..number + batch);
        timed(&mut histogram, || store.append(&events))?;
        number += batch;
    }
    put(
        figures,
        "events/s",
        (number - cell.events) as f64 / meter.seconds(),
    );
    put_latencies(figures, &histogram);
    Ok(meter.seconds())
}
