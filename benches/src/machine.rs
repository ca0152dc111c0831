//! What one core and the disk do at most: the parts of which an append is made.

use std::{fs::File, hint::black_box, os::unix::fs::FileExt, path::Path, time::Instant};

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use crate::{event::mix, meter::median};

const ROUNDS: usize = 5;
const SYNCS: u64 = 2000;
const RECORD: usize = 512;

pub(crate) fn run(scratch: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let bytes: Vec<u8> = (0..1 << 20).map(|place| mix(place) as u8).collect();
    let mut copy = vec![0; bytes.len()];
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = key.sign(&bytes[..200]);
    let verifier = key.verifying_key();
    let mut report = Vec::new();
    let mut add = |what: &str, figure: String| report.push((what.to_owned(), figure));
    add("processor", processor());
    let per_byte =
        |nanos: f64, length: usize| format!("{nanos:.0} ns, {:.1} GB/s", length as f64 / nanos);

    let nanos = each(100, || copy.copy_from_slice(black_box(&bytes)));
    add("memcpy of 1 MiB", per_byte(nanos, bytes.len()));
    for length in [256, 64 << 10] {
        let input = &bytes[..length];
        let nanos = each(2000, || crc32fast::hash(black_box(input)));
        add(
            &format!("CRC-32 of {length} bytes"),
            per_byte(nanos, length),
        );
        let nanos = each(2000, || blake3::hash(black_box(input)));
        add(
            &format!("BLAKE3 of {length} bytes"),
            per_byte(nanos, length),
        );
        let nanos = each(500, || Sha256::digest(black_box(input)));
        add(
            &format!("SHA-256 of {length} bytes"),
            per_byte(nanos, length),
        );
    }
    let nanos = each(5000, || Sha256::digest(black_box(&bytes[..65])));
    add(
        "SHA-256 of 65 bytes, a node of a Merkle tree",
        format!("{nanos:.0} ns"),
    );
    let nanos = each(500, || key.sign(black_box(&bytes[..200])));
    add(
        "Ed25519 signature over 200 bytes",
        format!("{:.1} µs", nanos / 1e3),
    );
    let nanos = each(500, || {
        let right = verifier
            .verify_strict(black_box(&bytes[..200]), &signature)
            .is_ok();
        assert!(right, "the signature doesn't verify");
    });
    add("its strict verification", format!("{:.1} µs", nanos / 1e3));

    let growing = syncs(&scratch.join("growing"), false)?;
    add(
        "write of 512 bytes and fdatasync, growing file",
        format!("{growing:.0} /s"),
    );
    let zeroed = syncs(&scratch.join("zeroed"), true)?;
    add(
        "write of 512 bytes and fdatasync, zero-filled file",
        format!("{zeroed:.0} /s"),
    );
    let file = File::open(scratch.join("zeroed"))?;
    let mut buffer = [0; RECORD];
    let mut number = 0;
    let nanos = each(20_000, || {
        number += 1;
        let read = file.read_exact_at(&mut buffer, mix(number) % SYNCS * RECORD as u64);
        assert!(read.is_ok(), "the file can't be read");
    });
    add(
        "random read of 512 bytes from the page cache",
        format!("{nanos:.0} ns"),
    );
    Ok(report)
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} threads")
}

/// Nanoseconds of one of `count`, median of some rounds.
fn each<T>(count: usize, mut run: impl FnMut() -> T) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        for _ in 0..count {
            black_box(run());
        }
        start.elapsed().as_nanos() as f64 / count as f64
    });
    median(rounds.collect())
}

/// Writes with a sync each, per second.
fn syncs(path: &Path, zeroed: bool) -> anyhow::Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        if zeroed {
            file.write_all_at(&vec![0; SYNCS as usize * RECORD], 0)?;
        }
        file.sync_all()?;
        let start = Instant::now();
        for number in 0..SYNCS {
            file.write_all_at(&[b'x'; RECORD], number * RECORD as u64)?;
            file.sync_data()?;
        }
        rates.push(SYNCS as f64 / start.elapsed().as_secs_f64());
    }
    Ok(median(rates))
}
