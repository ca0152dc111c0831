//! `cargo xtask sim`: crashes for as long as one likes.

use anyhow::Result;

use crate::run::{cargo, step};

/// Which seeds, and for how long.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds
    #[arg(long, required_unless_present = "minutes")]
    seeds: Option<u64>,
    /// How long, in minutes
    #[arg(long)]
    minutes: Option<u64>,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
}

/// Builds the harness as the tests do, with whatever is slow optimised, and lets it run.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut sim = cargo(&[
        "bench",
        "--package",
        "factlog",
        "--bench",
        "sim",
        "--profile",
        "test",
        "--locked",
        "--quiet",
        "--",
    ]);
    sim.args(["--from", &args.from.to_string()]);
    for (name, value) in [("--seeds", args.seeds), ("--minutes", args.minutes)] {
        if let Some(value) = value {
            sim.args([name, &value.to_string()]);
        }
    }
    step("crash simulation", &mut sim)
}
