//! `cargo xtask kill`: the test that kills a process which appends, for longer.

use anyhow::Result;

use crate::run::{cargo, step};

/// Kills it so many times, with chance beginning at `seed`.
pub(crate) fn run(times: u64, seed: u64) -> Result<()> {
    let mut test = cargo(&[
        "test",
        "--locked",
        "--package",
        "factlog",
        "--test",
        "kill",
        "--",
        "--nocapture",
    ]);
    test.env("FACTLOG_KILLS", times.to_string())
        .env("FACTLOG_SEED", seed.to_string());
    step("kill", &mut test)
}
