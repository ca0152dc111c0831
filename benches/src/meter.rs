//! Time, latencies, memory and disk.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

/// The figures of one run, by the name of the column they go to.
pub(crate) type Figures = BTreeMap<String, f64>;

pub(crate) fn latencies() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new(3)?)
}

/// Runs it and counts how long it took, in nanoseconds.
pub(crate) fn timed<T>(
    histogram: &mut Histogram<u64>,
    run: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    let result = run()?;
    histogram.record(start.elapsed().as_nanos() as u64)?;
    Ok(result)
}

/// What a process has used since it was made.
pub(crate) struct Meter {
    start: Instant,
    processor: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            processor: processor(),
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Of all threads, those of the store's own included.
    pub(crate) fn processor_seconds(&self) -> f64 {
        processor().saturating_sub(self.processor).as_secs_f64()
    }
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub(crate) fn put(figures: &mut Figures, column: &str, figure: f64) {
    figures.insert(column.to_owned(), figure);
}

pub(crate) fn put_latencies(figures: &mut Figures, histogram: &Histogram<u64>) {
    for (column, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        put(
            figures,
            column,
            histogram.value_at_quantile(quantile) as f64 / 1e3,
        );
    }
}

/// The most memory that this process ever had, in MiB.
pub(crate) fn peak_memory() -> anyhow::Result<f64> {
    peak_of(&std::fs::read_to_string("/proc/self/status")?).context("a high-water mark")
}

/// The high-water mark in a process's status, in MiB.
pub(crate) fn peak_of(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Bytes that this process has handed to the system to be written, the zeros of files prepared ahead among
/// them. What is written through maps isn't counted.
pub(crate) fn bytes_written() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("wchar:"));
    Ok(line.context("bytes written")?.trim().parse()?)
}

/// Bytes that the files below a directory take, as allocated.
pub(crate) fn bytes_on_disk(dir: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            bytes_on_disk(&entry.path())?
        } else {
            metadata.blocks() * 512
        };
    }
    Ok(bytes)
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
