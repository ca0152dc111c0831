//! Crashes for as long as one likes: what `cargo xtask sim` runs.

#![forbid(unsafe_code)]

#[path = "mod.rs"]
mod crash;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crash::campaign::{Budget, campaign, minimal};
use crash::fault::{Failing, Faults, fail_everywhere, fail_recovery};
use crash::figures::Figures;
use crash::verdict::{Specimen, Verdicts, flips, rollbacks, sectors};
use crash::workload::Workload;

/// One seed in so many also has its calls fail and its bytes rot.
const FAULTS_EVERY: u64 = 8;

struct Args {
    from: u64,
    seeds: u64,
    minutes: u64,
}

impl Args {
    /// `--from SEED --seeds N --minutes M`, as the chore passes them on.
    fn read() -> Self {
        let args: Vec<String> = std::env::args().collect();
        let number = |name: &str, default| {
            let at = args.iter().position(|arg| arg == name);
            let value = at.and_then(|at| args.get(at + 1)?.parse().ok());
            value.unwrap_or(default)
        };
        Self {
            from: number("--from", 0),
            seeds: number("--seeds", u64::MAX),
            minutes: number("--minutes", u64::MAX),
        }
    }
}

#[derive(Default)]
struct Sum {
    figures: Figures,
    /// Failing calls, each followed by a recovery.
    failing: u64,
    rot: Verdicts,
    seeds: u64,
}

/// Everything that is done with one seed.
fn attack(seed: u64) -> Sum {
    let mut sum = Sum {
        seeds: 1,
        figures: campaign(seed..seed + 1, Budget::ORDINARY, None),
        ..Sum::default()
    };
    if seed.is_multiple_of(FAULTS_EVERY) {
        let how = [
            &Failing::ALL[..2],
            &Failing::ALL[2..4],
            &Failing::ALL[4..6],
            &Failing::ALL[6..],
        ][(seed / FAULTS_EVERY % 4) as usize];
        let faults = Faults { how, ..Faults::ALL };
        let workload = Workload::of(seed);
        for figures in [
            fail_everywhere(&workload, faults),
            fail_recovery(&workload, faults, 29),
        ] {
            sum.failing += figures.states;
            sum.figures.violations.extend(figures.violations);
        }
        let closed = Specimen::closed(workload.clone());
        rollbacks(&closed, &mut sum.rot);
        let abandoned = Specimen::abandoned(workload);
        for specimen in [closed].into_iter().chain(abandoned) {
            flips(&specimen, &mut sum.rot, 97);
            sectors(&specimen, &mut sum.rot);
        }
    }
    sum
}

fn main() -> ExitCode {
    let args = Args::read();
    let start = Instant::now();
    let most = Duration::from_secs(args.minutes.saturating_mul(60));
    let (next, failed) = (AtomicU64::new(args.from), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let end = args.from.saturating_add(args.seeds);
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while start.elapsed() < most && !failed.load(Relaxed) {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= end {
                        break;
                    }
                    let done = attack(seed);
                    let bad = !done.figures.violations.is_empty() || !done.rot.wrong.is_empty();
                    if bad && !failed.swap(true, Relaxed) {
                        report(seed, &done);
                    }
                    let mut sum = sum.lock().expect("nobody panics while adding up");
                    sum.figures.add(done.figures);
                    sum.failing += done.failing;
                    sum.rot.add(done.rot);
                    sum.seeds += 1;
                    progress(&sum, start);
                }
            });
        }
    });
    let sum = sum.into_inner().expect("nobody panics while adding up");
    println!("\n\n{}", table(&sum, start, args.from));
    if failed.load(Relaxed) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn progress(sum: &Sum, start: Instant) {
    use std::io::Write;
    let seconds = start.elapsed().as_secs().max(1);
    let (crashes, per) = (sum.figures.states, sum.figures.states / seconds);
    print!(
        "\r{} seeds, {crashes} crashes, {per}/s, {seconds} s ",
        sum.seeds
    );
    let _ = std::io::stdout().flush();
}

#[expect(
    clippy::use_debug,
    reason = "a workload is shown as it would be written"
)]
fn report(seed: u64, done: &Sum) {
    println!("\nseed {seed} fails:\n{}{}", done.figures, done.rot);
    println!("again: cargo xtask sim --from {seed} --seeds 1");
    if let Some(workload) = &done.figures.failed {
        println!("smallest: {:#?}", minimal(workload).steps);
    }
}

fn table(sum: &Sum, start: Instant, from: u64) -> String {
    let seconds = start.elapsed().as_secs().max(1);
    let (figures, rot) = (&sum.figures, &sum.rot);
    let rotten: u64 = rot.said.values().sum();
    format!(
        "{figures}| failing calls, each followed by a recovery | {} |\n\
         | spoiled journals, each judged | {rotten} |\n\
         | seeds, from {from} on | {} |\n\
         | seconds | {seconds} |\n\
         | crashes a second | {} |\n\
         | distinct states a second | {} |\n\n{rot}",
        sum.failing,
        sum.seeds,
        figures.states / seconds,
        figures.distinct / seconds,
    )
}
