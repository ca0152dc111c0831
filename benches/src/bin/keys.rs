//! Encryption: what sealing and opening cost on a whole journal, and what a keyset of many domains costs.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml --bin keys -- [domains] [directory]`: 1,000,000 domains
//! if nothing is said, and with 0 only what sealing and opening cost. An open is measured in a process of its own.

#![forbid(unsafe_code)]

#[path = "../settle.rs"]
mod settle;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use factlog::{
    Encoding, Identity, Journal, KeyDomain, NewEvent, Options, Provider, Query, Selector, Shred,
};
use factlog_keys::{DataKey, SectionPlace, Suite};
use rustix::time::{ClockId, clock_gettime};
use settle::settle;

/// Events of one append.
const BATCH: usize = 1000;
/// Batches of one producer in a round.
const BATCHES: usize = 200;
const ROUNDS: usize = 9;
/// Streams of one producer, keyed before anything is measured.
const STREAMS: usize = 100;
const PAYLOAD: [u8; 256] = [7; 256];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, dir] = arguments.as_slice()
        && word == "open"
    {
        return open(Path::new(dir));
    }
    let mut arguments = arguments.into_iter();
    let domains: usize = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let scratch = tempfile::tempdir_in(arguments.next().map_or(PathBuf::from("."), PathBuf::from))?;
    payloads(scratch.path())?;
    match domains {
        0 => Ok(()),
        domains => keyset(&scratch.path().join("many"), domains),
    }
}

fn options() -> Options {
    Options::new().unlock(Provider::Key(Identity::generate(&[7; 32])))
}

fn create(dir: &Path, encrypted: bool) -> Result<Journal> {
    let options = match encrypted {
        true => options().encrypt(KeyDomain::Stream),
        false => Options::new(),
    };
    Ok(Journal::create(dir, options)?)
}

/// What something took of each event, in microseconds.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    /// Of all threads.
    processor: f64,
}

/// Runs it and gives what it took of each event.
fn cost(events: usize, run: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let (start, before) = (Instant::now(), processor());
    run()?;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / events as f64;
    Ok(Cost {
        wall: each(start.elapsed()),
        processor: each(processor().saturating_sub(before)),
    })
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The same by so many threads, each with its number.
fn together(threads: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let spawn = |number| scope.spawn(move || work(number));
        let all: Vec<_> = (0..threads).map(spawn).collect();
        let mut all = all.into_iter();
        all.try_for_each(|one| one.join().expect("a thread of the measurement"))
    })
}

fn batch(names: &[String]) -> Vec<NewEvent<'_>> {
    let names = names.iter().cycle().take(BATCH);
    let event =
        |name| NewEvent::new("bank", name, "account.noted").data(Encoding::Raw, &PAYLOAD[..]);
    names.map(event).collect()
}

fn appends(journal: &Journal, names: &[Vec<String>]) -> Result<Cost> {
    cost(names.len() * BATCH * BATCHES, || {
        together(names.len(), |own| {
            let batch = batch(&names[own]);
            for _ in 0..BATCHES {
                journal.append_batch(&batch)?;
            }
            Ok(())
        })
    })
}

fn scans(journal: &Journal, readers: usize) -> Result<Cost> {
    let events = BATCH * BATCHES;
    cost(readers * events, || {
        together(readers, |_| {
            let query = Query::all().scope("bank").limit(events as u64);
            let mut found = journal.reader().read(query);
            let mut count = 0;
            while let Some(event) = found.next_ref()? {
                ensure!(event.data()? == Some(&PAYLOAD[..]));
                count += 1;
            }
            ensure!(count == events, "{count} events");
            Ok(())
        })
    })
}

/// Deriving a section's key and sealing, and the same for opening, with nothing around them.
fn raw() -> Result<(Cost, Cost)> {
    let key = DataKey::new([3; 32]);
    let place = SectionPlace {
        journal: &[1; 16],
        event: &[2; 16],
        scope: "bank",
        entity: "account-0-42",
        kind: "account.noted",
        payload_version: 1,
        index: 0,
        name: "data",
        encoding: 0,
        suite: Suite::fastest(),
        padding: 1,
    };
    let (mut stored, mut plain) = (Vec::new(), Vec::new());
    let events = BATCH * BATCHES;
    let mut sealed = None;
    let seal = cost(events, || {
        for number in 0..events {
            stored.clear();
            let mut chance = [0; 32];
            chance[..8].copy_from_slice(&number.to_le_bytes());
            sealed = key.seal(&place, &chance, &PAYLOAD, &mut stored);
        }
        Ok(())
    })?;
    let sealed = sealed.context("nothing was sealed")?;
    let open = cost(events, || {
        for _ in 0..events {
            key.open(
                &place,
                &sealed.nonce,
                &sealed.commitment,
                &stored,
                &mut plain,
            )?;
        }
        Ok(())
    })?;
    Ok((seal, open))
}

/// What a journal of its own took in a round, with one thread and with two.
struct Run {
    append: Cost,
    appends: Cost,
    scan: Cost,
    scans: Cost,
}

fn run(dir: &Path, encrypted: bool) -> Result<Run> {
    let calm = dir.parent().context("a folder")?;
    let names = |own| (0..STREAMS).map(|n| format!("account-{own}-{n}")).collect();
    let names: [Vec<String>; 2] = [names(0), names(1)];
    let journal = create(dir, encrypted)?;
    for names in &names {
        journal.append_batch(&batch(names))?;
    }
    settle(calm)?;
    let append = appends(&journal, &names[..1])?;
    settle(calm)?;
    let run = Run {
        append,
        appends: appends(&journal, &names)?,
        scan: scans(&journal, 1)?,
        scans: scans(&journal, 2)?,
    };
    journal.close()?;
    fs::remove_dir_all(dir)?;
    Ok(run)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = figures.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// A line of the table: medians, and the median of the ratios within rounds.
fn line(what: &str, which: &str, rounds: &[[f64; 3]]) {
    let of = |n: usize| median(rounds.iter().map(|round| round[n]));
    let ratio = median(
        rounds
            .iter()
            .map(|[plain, raw, sealed]| sealed / (plain + raw)),
    );
    println!(
        "| {what}, {which} | {:.2} | {:.2} | {:.2} | {ratio:.2} |",
        of(0),
        of(1),
        of(2)
    );
}

fn payloads(dir: &Path) -> Result<()> {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let (seal, open) = raw()?;
        // By turns, so that whatever else the machine does falls on both.
        let first = run(&dir.join("first"), round % 2 == 0)?;
        let second = run(&dir.join("second"), round % 2 != 0)?;
        rounds.push(match round % 2 == 0 {
            true => (second, first, seal, open),
            false => (first, second, seal, open),
        });
    }
    println!(
        "| µs of an event of 256 bytes, {ROUNDS} rounds | plain | raw | encrypted | encrypted : plain + raw |"
    );
    println!("|---|---:|---:|---:|---:|");
    for (which, of) in [
        ("elapsed", (|cost| cost.wall) as fn(Cost) -> f64),
        ("processor", |cost| cost.processor),
    ] {
        let appends = rounds
            .iter()
            .map(|(plain, encrypted, seal, _)| [of(plain.append), of(*seal), of(encrypted.append)]);
        line("bulk append", which, &appends.collect::<Vec<_>>());
        let scans = rounds
            .iter()
            .map(|(plain, encrypted, _, open)| [of(plain.scan), of(*open), of(encrypted.scan)]);
        line("scan", which, &scans.collect::<Vec<_>>());
    }
    let gain = |of: fn(&Run) -> f64, encrypted: bool| {
        median(rounds.iter().map(|round| match encrypted {
            true => of(&round.1),
            false => of(&round.0),
        }))
    };
    println!("\n| a second thread gives so many times as many events | plain | encrypted |");
    println!("|---|---:|---:|");
    for (what, of) in [
        (
            "bulk append",
            (|run| run.append.wall / run.appends.wall) as fn(&Run) -> f64,
        ),
        ("scan", |run| run.scan.wall / run.scans.wall),
    ] {
        println!(
            "| {what} | {:.2} | {:.2} |",
            gain(of, false),
            gain(of, true)
        );
    }
    Ok(())
}

fn keyset(dir: &Path, domains: usize) -> Result<()> {
    let journal = create(dir, true)?;
    let start = Instant::now();
    let names: Vec<String> = (0..domains).map(|n| format!("account-{n}")).collect();
    for names in names.chunks(BATCH) {
        journal.append_batch(&batch(names))?;
    }
    println!("\n| {domains} key domains | |\n|---|---|");
    let each = start.elapsed().as_secs_f64() * 1e6 / domains as f64;
    println!("| minted, with an event each | {each:.1} µs each |");
    journal.close()?;
    let mut bytes = 0;
    for file in fs::read_dir(dir.join("keys"))? {
        bytes += file?.metadata()?.len();
    }
    println!("| `keys/`, per domain | {} bytes |", bytes / domains as u64);
    let ran = Command::new(std::env::current_exe()?)
        .arg("open")
        .arg(dir)
        .status()?;
    ensure!(ran.success(), "the open failed");
    Ok(())
}

/// In a process of its own, so that its memory is that of the open.
fn open(dir: &Path) -> Result<()> {
    let start = Instant::now();
    let journal = Journal::open(dir, options())?;
    println!("| open | {:.0} ms, {:.0} MiB |", ms(start), peak()?);
    let start = Instant::now();
    let mut found = journal.reader().read(Query::stream("bank", "account-7"));
    let first = found.next().context("no event")??;
    ensure!(first.data().and_then(|data| data.bytes()) == Some(&PAYLOAD[..]));
    println!(
        "| the first payload, for which the log of keys is read | {:.0} ms, {:.0} MiB |",
        ms(start),
        peak()?
    );
    let mut next = 0;
    let mut shred = |domains: usize| -> Result<f64> {
        // Each in another bucket, as far as there are as many.
        let stream = |n: usize| Selector::Stream {
            scope: "bank".to_owned(),
            entity: format!("account-{}", n * 67),
        };
        let selectors = (next..next + domains).map(stream).collect();
        next += domains;
        let start = Instant::now();
        journal.shred(&Shred::new(selectors, "measured"))?;
        Ok(ms(start))
    };
    let mut ones: Vec<f64> = (0..5).map(|_| shred(1)).collect::<Result<_>>()?;
    let first = ones[0];
    ones.sort_by(f64::total_cmp);
    println!(
        "| shredding one, at first and in the middle of five | {first:.0} ms, {:.0} ms |",
        ones[2]
    );
    println!("| shredding 1,000 in one call | {:.0} ms |", shred(1000)?);
    let start = Instant::now();
    journal.close()?;
    println!(
        "| close, {:.0} MiB at most by then | {:.0} ms |",
        peak()?,
        ms(start)
    );
    Ok(())
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// The most memory that this process ever had, in MiB.
fn peak() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    Ok(kib.context("no VmHWM")?.trim().parse::<f64>()? / 1024.0)
}
