//! Retention of a large journal: how fast its space comes back beside a plain copy of the bytes that stay,
//! what it takes in memory, what appends notice of it, and that all that stays is what it was.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml --bin retain -- [events] [directory] [full]`: 5,000,000
//! events of 256 bytes in 10,000 streams if nothing is said, every second of which, by chance, is to lose its
//! payload, or with `full` all but its spine.

#![forbid(unsafe_code)]

mod doors;

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use doors::{Kept, Receipts};
use factlog::{
    ChainVerification, Encoding, Journal, NewEvent, Options, Outcome, Retention, RetentionRule,
    VerifyOptions, verify,
};

const SCOPE: &str = "bench";
const KEPT: &str = "bench.kept";
const DROPPED: &str = "bench.dropped";
const BATCH: u64 = 1000;
const STREAMS: u64 = 10_000;
const CHUNK: usize = 1 << 20;
const ALONE: Duration = Duration::from_secs(4);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments
        .next()
        .map_or(Ok(5_000_000), |text| text.parse())?;
    let scratch = tempfile::tempdir_in(arguments.next().map_or(PathBuf::from("."), PathBuf::from))?;
    let full = match arguments.next().as_deref() {
        None => false,
        Some("full") => true,
        Some(other) => bail!("{other} is no level"),
    };
    let dir = scratch.path().join("journal");
    let options = || Options::new().signing_key_file(scratch.path().join("key"));
    let journal = Journal::create(&dir, options())?;
    let mut random = Random(1);
    for _ in 0..events / BATCH {
        append(&journal, &mut random)?;
    }
    let end = journal.reader().len();
    let before = Kept::of(&journal, end)?;
    let receipts = Receipts::of(journal.reader(), end)?;
    measure(&journal, &dir, &mut random, full)?;

    before.assert_same(&journal, end, full)?;
    receipts.assert_hold(journal.reader())?;
    let checkpoint = journal.reader().checkpoint()?;
    let key = journal.reader().verifier_key().context("a key")?;
    journal.close()?;
    let evidence = VerifyOptions::new().key(key).checkpoint(checkpoint);
    let report = verify(&dir, &evidence)?;
    ensure!(
        report.outcome(false) == Outcome::Holds,
        "{:?}",
        report.findings
    );
    let journal = Journal::open(&dir, options().chain_verification(ChainVerification::Full))?;
    ensure!(journal.read_only_reason().is_none(), "it opens read-only");
    journal.close()?;
    println!("| what was kept, by every door | the same, byte for byte |");
    println!(
        "| receipts from before, `verify`, an open with a full check | {} hold |",
        receipts.len()
    );
    Ok(())
}

/// The retention, beside appends and plain copies that do as much.
fn measure(journal: &Journal, dir: &Path, random: &mut Random, is_full: bool) -> Result<()> {
    let before = on_disk(dir)?;
    let (copied, alone) = (copy(dir)?, appends(journal, random, rest)?);
    println!("| segments before | {:.0} MB |", before / 1e6);
    println!(
        "| a plain copy of them, synced | {:.0} MB/s |",
        copied / 1e6
    );
    println!("| appends alone | {} |", alone.shown());
    let mut beside = 0.0;
    let appended = appends(journal, random, || Ok(beside = copy(dir)?))?;
    println!("| a copy beside appends | {:.0} MB/s |", beside / 1e6);
    println!(
        "| appends beside it | {}, {:.2} of alone |",
        appended.shown(),
        appended.rate / alone.rate
    );

    let rule = RetentionRule::new("bench", "half of it is to go").kind(DROPPED);
    let rule = if is_full { rule.full() } else { rule };
    let retention = Retention::new(vec![rule]);
    let start = Instant::now();
    journal.retention_plan(&retention)?;
    let plan = start.elapsed().as_secs_f64();
    println!("| to find what goes | {plan:.1} s |");
    let (full, events) = (on_disk(dir)?, journal.reader().len());
    // From here on the high-water mark is that of the retention.
    fs::write("/proc/self/clear_refs", "5")?;
    let (mut took, mut gone) = (0.0, 0.0);
    let appended = appends(journal, random, || {
        let start = Instant::now();
        let done = journal.retain(&retention)?;
        took = start.elapsed().as_secs_f64();
        gone = done.rules.iter().map(|rule| rule.bytes as f64).sum();
        Ok(())
    })?;
    let memory = of_process("status", "VmHWM:")? / 1024.0;
    let rate = (full - gone) / took;
    println!("| what went | {:.0} MB |", gone / 1e6);
    println!(
        "| retention beside appends | {took:.1} s, {:.0} MB/s of what stays |",
        rate / 1e6
    );
    println!(
        "| … of a copy beside appends | {:.2}, {:.2} without finding what goes |",
        rate / beside,
        (full - gone) / (took - plan) / beside
    );
    println!("| … of a copy alone | {:.2} |", rate / copied);
    let again = copy(dir)?;
    println!(
        "| … of a copy alone right after it, {:.0} MB/s | {:.2} |",
        again / 1e6,
        rate / again
    );
    println!("| memory, at most | {memory:.0} MiB |");
    println!(
        "| appends beside it | {}, {:.2} of alone |",
        appended.shown(),
        appended.rate / alone.rate
    );
    let grown = appended.events as f64 * full / events as f64;
    println!(
        "| segments after | {:.0} MB less than before, but for what was appended meanwhile |",
        (full + grown - on_disk(dir)?) / 1e6
    );
    Ok(())
}

fn rest() -> Result<()> {
    thread::sleep(ALONE);
    Ok(())
}

/// What appends came to.
struct Appends {
    events: u64,
    rate: f64,
    /// Milliseconds of the one that took longest, and of one in a hundred.
    longest: f64,
    p99: f64,
}

impl Appends {
    fn of(mut each: Vec<f64>) -> Self {
        each.sort_by(f64::total_cmp);
        let events = each.len() as u64 * BATCH;
        Self {
            events,
            rate: events as f64 / (each.iter().sum::<f64>() / 1e3),
            longest: each.last().copied().unwrap_or_default(),
            p99: each.get(each.len() * 99 / 100).copied().unwrap_or_default(),
        }
    }

    fn shown(&self) -> String {
        format!(
            "{:.0} k/s, the longest {:.1} ms, p99 {:.1} ms",
            self.rate / 1e3,
            self.longest,
            self.p99
        )
    }
}

/// Appends batch after batch until something is done.
fn appends(
    journal: &Journal,
    random: &mut Random,
    work: impl FnOnce() -> Result<()>,
) -> Result<Appends> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let appends = scope.spawn(|| -> Result<Appends> {
            let mut each = Vec::new();
            while !done.load(Relaxed) {
                let one = Instant::now();
                append(journal, random)?;
                each.push(one.elapsed().as_secs_f64() * 1e3);
            }
            Ok(Appends::of(each))
        });
        let worked = work();
        done.store(true, Relaxed);
        let appends = appends.join().ok().context("the appender panicked")??;
        worked.map(|()| appends)
    })
}

fn append(journal: &Journal, random: &mut Random) -> Result<()> {
    let batch: Vec<_> = (0..BATCH).map(|_| event(random)).collect();
    journal.append_batch(&batch)?;
    Ok(())
}

fn event(random: &mut Random) -> NewEvent<'static> {
    let mut payload = vec![0; 256];
    for word in payload.chunks_exact_mut(8) {
        word.copy_from_slice(&random.next().to_le_bytes());
    }
    let kind = [KEPT, DROPPED][(random.next() >> 32) as usize % 2];
    NewEvent::new(SCOPE, stream(random.next() % STREAMS), kind).data(Encoding::Raw, payload)
}

fn stream(number: u64) -> String {
    format!("stream-{number}")
}

/// Bytes that the segments take.
fn on_disk(dir: &Path) -> Result<f64> {
    let mut blocks = 0;
    for entry in fs::read_dir(dir.join("segments"))? {
        // One may go meanwhile.
        blocks += entry?.metadata().map_or(0, |metadata| metadata.blocks());
    }
    Ok(blocks as f64 * 512.0)
}

/// Bytes a second of a plain copy of the segments, synced at its end.
fn copy(dir: &Path) -> Result<f64> {
    let to = dir.with_extension("copy");
    let mut copy = File::create(&to)?;
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    let start = Instant::now();
    for entry in fs::read_dir(dir.join("segments"))? {
        let mut file = File::open(entry?.path())?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            copy.write_all(&buffer[..read])?;
            bytes += read;
        }
    }
    copy.sync_all()?;
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_file(to)?;
    Ok(bytes as f64 / seconds)
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
