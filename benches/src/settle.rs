//! Brings machine and disk into the state in which each run begins.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// More than a run needs.
const WARMED: usize = 2 << 30;

/// Has the memory that the run is going to use: a virtual machine may have given free memory back to its
/// host, and getting it again page by page costs several times as much as what is measured.
fn warm_memory() {
    let mut memory = vec![0u8; WARMED];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}

const SLOW: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes out what is dirty, and waits until the disk answers a sync as quickly as it can: some are
/// slow for a while after much was written.
pub(crate) fn settle(scratch: &Path) -> anyhow::Result<()> {
    rustix::fs::sync();
    warm_memory();
    let path = scratch.join("probe");
    let start = Instant::now();
    loop {
        let file = File::create(&path)?;
        file.write_all_at(&[0; 64 << 10], 0)?;
        file.sync_all()?;
        let mut times = Vec::new();
        for _ in 0..15 {
            let sync = Instant::now();
            file.write_all_at(&[1; 512], 0)?;
            file.sync_data()?;
            times.push(sync.elapsed());
        }
        times.sort();
        if times.get(7).is_none_or(|time| *time < SLOW) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            eprintln!(
                "the disk stays slow: a sync takes more than {} ms",
                SLOW.as_millis()
            );
            return Ok(());
        }
        thread::sleep(Duration::from_millis(500));
    }
}
