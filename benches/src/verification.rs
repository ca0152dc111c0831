use std::{hint::black_box, num::NonZero, path::Path, time::Instant};

use anyhow::{Context, ensure};
use factlog::{
    Encoding, Integrity, Journal, NewEvent, Options, SignedCheckpoint, VerifierKey, VerifyOptions,
    verify,
};
use factlog_format::{HashBatch, HashSort, SPINE_LEN, event_hashes};
use factlog_proof::{Hash, Subtree, leaf_hash};

use crate::{event::mix, meter::median};

const ROUNDS: usize = 5;
const PAYLOAD: usize = 256;
const STREAMS: u64 = 1000;
/// Frames and facts of such events, in bytes.
const FRAME: usize = 544;
const FACTS: usize = 124;

/// A whole verification by one thread and by all, beside the hashes that it can't do without.
pub(crate) fn run(scratch: &Path, events: u64) -> anyhow::Result<Vec<(String, String)>> {
    let dir = scratch.join("verified");
    fill(&dir, events)?;
    let cores = std::thread::available_parallelism()?;
    let grown = grow(&dir, events)?;
    let events = events + grown.by;
    let (mut one, mut all, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    let mut resumed = Vec::new();
    // By turns: what the machine does changes from minute to minute.
    for _ in 0..ROUNDS {
        one.push(verified(&dir, events, NonZero::<usize>::MIN)?);
        all.push(verified(&dir, events, cores)?);
        raw.push(hashed(events.min(200_000)));
        resumed.push(grown.resumed(&dir, events, cores)?);
    }
    let text = receipt_text(&dir)?;
    std::fs::remove_dir_all(&dir)?;
    let full: Vec<f64> = all.iter().map(|rate| events as f64 / rate).collect();
    let of = |rates: &[f64]| median(rates.to_vec());
    let ratio = |a: &[f64], b: &[f64]| median(a.iter().zip(b).map(|(a, b)| a / b).collect());
    let ideal: Vec<f64> = raw.iter().map(|rate| rate * cores.get() as f64).collect();
    let rate = |rates: &[f64]| format!("{:.0} events/s", of(rates));
    Ok(vec![
        (
            format!("verification of {events} events, one thread"),
            rate(&one),
        ),
        (format!("{cores} threads"), rate(&all)),
        (
            "all threads against one".to_owned(),
            format!("{:.2}", ratio(&all, &one)),
        ),
        ("the hashes alone, one thread".to_owned(), rate(&raw)),
        (
            "time of the hashes alone on all threads, to that of the verification".to_owned(),
            format!("1 to {:.2}", ratio(&ideal, &all)),
        ),
        (
            format!(
                "verification since a checkpoint before the last {}",
                grown.by
            ),
            format!("{:.1} ms", of(&resumed) * 1e3),
        ),
        (
            "of the time of a whole one on all threads".to_owned(),
            format!("{:.2} %", 100.0 * ratio(&resumed, &full)),
        ),
        (
            "the text of a receipt".to_owned(),
            format!("{:.1} µs", text * 1e6),
        ),
    ])
}

/// A journal that has grown by 1 % since a checkpoint was kept.
struct Grown {
    key: VerifierKey,
    checkpoint: SignedCheckpoint,
    by: u64,
}

fn options(dir: &Path) -> Options {
    Options::new().signing_key_file(dir.with_extension("key"))
}

fn grow(dir: &Path, events: u64) -> anyhow::Result<Grown> {
    let journal = Journal::open(dir, options(dir))?;
    let key = journal.reader().verifier_key().context("it is signed")?;
    let checkpoint = journal.reader().checkpoint()?;
    let by = (events / 100).next_multiple_of(1000);
    fill_with(&journal, by)?;
    journal.close()?;
    Ok(Grown {
        key,
        checkpoint,
        by,
    })
}

impl Grown {
    fn size(&self) -> u64 {
        self.checkpoint.claimed().size()
    }

    /// How long it takes to verify what came since, in seconds.
    fn resumed(&self, dir: &Path, events: u64, threads: NonZero<usize>) -> anyhow::Result<f64> {
        let options = VerifyOptions::new()
            .threads(threads)
            .key(self.key.clone())
            .since(self.checkpoint.clone());
        let start = Instant::now();
        let report = verify(dir, &options)?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(report.resumed_from == self.size(), "everything was read");
        ensure!(report.findings.is_empty(), "the journal doesn't verify");
        ensure!(report.events == events + 1, "events are missing");
        Ok(seconds)
    }
}

/// How long it takes to make the text of a receipt that an append has given, in seconds; the median of many.
fn receipt_text(dir: &Path) -> anyhow::Result<f64> {
    let journal = Journal::open(dir, options(dir))?;
    let mut times = Vec::new();
    for place in 0..1000 {
        let event = NewEvent::new("bench", "receipts", "bench.measured");
        let payload = [place as u8; PAYLOAD];
        let receipt = journal.append(event.data(Encoding::Raw, &payload[..]))?;
        let start = Instant::now();
        black_box(receipt.text()?);
        times.push(start.elapsed().as_secs_f64());
    }
    journal.close()?;
    Ok(median(times))
}

fn fill(dir: &Path, events: u64) -> anyhow::Result<()> {
    let journal = Journal::create(dir, options(dir))?;
    fill_with(&journal, events)?;
    Ok(journal.close()?)
}

/// Events of 256 bytes in 1,000 streams.
pub(crate) fn fill_with(journal: &Journal, events: u64) -> anyhow::Result<()> {
    let names: Vec<String> = (0..STREAMS)
        .map(|stream| format!("stream-{stream}"))
        .collect();
    let payload: Vec<u8> = (0..PAYLOAD as u64).map(|place| mix(place) as u8).collect();
    for batch in 0..events / 1000 {
        let event = |at: u64| {
            let stream = (mix(batch * 1000 + at) % STREAMS) as usize;
            let entity = names.get(stream).map_or("", String::as_str);
            NewEvent::new("bench", entity, "bench.measured").data(Encoding::Raw, &payload[..])
        };
        let batch: Vec<_> = (0..1000).map(event).collect();
        journal.append_batch(&batch)?;
    }
    Ok(())
}

fn verified(dir: &Path, events: u64, threads: NonZero<usize>) -> anyhow::Result<f64> {
    let start = Instant::now();
    let report = verify(dir, &VerifyOptions::new().threads(threads))?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(
        report.integrity == Integrity::Intact,
        "the journal doesn't verify"
    );
    ensure!(report.events == events + 1, "events are missing");
    Ok(events as f64 / seconds)
}

/// CRC, section, facts, event and tree hashes of as many events, in memory, per second.
fn hashed(events: u64) -> f64 {
    let frames: Vec<u8> = (0..(FRAME * 1000) as u64)
        .map(|place| mix(place) as u8)
        .collect();
    let mut sections = HashBatch::new(HashSort::Section);
    let mut facts = HashBatch::new(HashSort::Facts);
    let (mut digests, mut spines) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for batch in 0..events / 1000 {
        for frame in frames.chunks_exact(FRAME) {
            black_box(crc32fast::hash(frame));
            let (salt, rest) = frame.split_at(16);
            sections.push(salt, rest.get(..PAYLOAD).unwrap_or_default());
            facts.push(salt, rest.get(PAYLOAD..PAYLOAD + FACTS).unwrap_or_default());
        }
        sections.finish(&mut digests);
        black_box(&digests);
        facts.finish(&mut digests);
        spines.clear();
        for digest in &digests {
            let mut spine = [0; SPINE_LEN];
            spine[..32].copy_from_slice(digest);
            spines.push(spine);
        }
        digests.clear();
        event_hashes(&spines, &mut digests);
        let leaves: Vec<Hash> = digests.iter().map(|digest| leaf_hash(digest)).collect();
        black_box(Subtree::of(batch * 1000, &leaves));
    }
    events as f64 / start.elapsed().as_secs_f64()
}
