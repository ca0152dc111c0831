use std::{fs::File, os::unix::fs::FileExt, path::Path, time::Instant};

use factlog::{Encoding, Journal, NewEvent, Options};

use crate::report::{Report, median};

const PAYLOAD: [u8; 256] = [b'x'; 256];
const STREAMS: usize = 1000;
const PAIRS: usize = 5;
const DURABLE: usize = 3000;
const BATCHES: usize = 300;
const BATCH: usize = 1000;

/// Appends durably one by one, beside the same number of plain appends with a sync each; then in bulk.
pub(crate) fn run(scratch: &Path, report: &mut Report) -> anyhow::Result<()> {
    let (mut raw, mut ours, mut ratios, mut bulk) = (vec![], vec![], vec![], vec![]);
    for round in 0..PAIRS {
        let plain = plain_appends(&scratch.join(format!("raw-{round}")))?;
        let durable = durable_appends(&scratch.join(format!("one-{round}")))?;
        raw.push(plain);
        ours.push(durable);
        ratios.push(durable / plain);
        bulk.push(bulk_appends(&scratch.join(format!("bulk-{round}")))?);
    }
    let rate = |figures| format!("{:.0} /s", median(figures));
    report.add("plain append + fdatasync of 560 bytes, growing file", rate(raw));
    report.add("durable signed append of 256 bytes, one producer", rate(ours));
    report.add("the same as a share of the plain one, median of pairs", format!("{:.2}", median(ratios)));
    report.add("bulk, 1,000 a batch, one sync and signature a batch, one producer", rate(bulk));
    Ok(())
}

fn plain_appends(path: &Path) -> anyhow::Result<f64> {
    let file = File::create_new(path)?;
    let start = Instant::now();
    for index in 0..DURABLE {
        file.write_all_at(&[b'x'; 560], (index * 560) as u64)?;
        file.sync_data()?;
    }
    Ok(DURABLE as f64 / start.elapsed().as_secs_f64())
}

fn event(index: usize) -> NewEvent<'static> {
    NewEvent::new("bench", format!("stream-{}", index * 7919 % STREAMS), "bench.measured")
        .data(Encoding::Raw, PAYLOAD.as_slice())
}

fn durable_appends(dir: &Path) -> anyhow::Result<f64> {
    let journal = Journal::create(dir, Options::new().fresh_signing_key())?;
    let start = Instant::now();
    for index in 0..DURABLE {
        journal.append(event(index))?;
    }
    let rate = DURABLE as f64 / start.elapsed().as_secs_f64();
    journal.close()?;
    Ok(rate)
}

fn bulk_appends(dir: &Path) -> anyhow::Result<f64> {
    let journal = Journal::create(dir, Options::new().fresh_signing_key())?;
    let start = Instant::now();
    for batch in 0..BATCHES {
        let events: Vec<_> = (0..BATCH).map(|index| event(batch * BATCH + index)).collect();
        journal.append_batch(&events)?;
    }
    let rate = (BATCHES * BATCH) as f64 / start.elapsed().as_secs_f64();
    journal.close()?;
    Ok(rate)
}
