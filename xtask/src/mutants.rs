//! `cargo xtask mutants`: changes the proof crate here and there, and sees whether its tests notice.

use anyhow::{Context, Result, bail};

use crate::run::{cargo, succeeds};

/// Which of the changes to try.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Tries one change in so many; all of them take hours
    #[arg(long, default_value_t = 10)]
    one_in: u64,
    /// Which of them: the same seed tries the same changes
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// What cargo-mutants ends with if it ran and some change went unnoticed, or made a test hang.
const RAN: [i32; 3] = [0, 2, 3];

/// Runs cargo-mutants over the proof crate and its own tests, and leaves its lists in `target/mutants`. What
/// survives is to be explained in `docs/reliability.md`; it fails nothing.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !succeeds(&mut cargo(&["mutants", "--version"])) {
        println!("mutants: not run (cargo-mutants is not installed)");
        return Ok(());
    }
    let of = args.one_in.max(1);
    let shard = format!("{}/{of}", args.seed % of);
    let mut mutants = cargo(&["mutants", "--package", "factlog-proof", "--jobs", "1"]);
    mutants
        .args(["--sharding", "round-robin", "--shard", &shard])
        .args([
            "--timeout",
            "300",
            "--colors",
            "never",
            "--output",
            "target/mutants",
        ])
        // What changes is built for each of them; signatures and hashes are built once.
        .args([
            "--cargo-arg",
            "--config=profile.test.package.\"*\".opt-level=3",
        ])
        .env("CARGO_PROFILE_TEST_OPT_LEVEL", "0");
    let status = mutants.status().context("mutants could not be started")?;
    match status.code() {
        Some(code) if RAN.contains(&code) => Ok(()),
        _ => bail!("mutants failed ({status})"),
    }
}
