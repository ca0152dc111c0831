//! `cargo xtask kill`: the tests that kill a process which appends, for longer.

use anyhow::Result;

use crate::run::{cargo, step};

/// Kills it so many times, with chance beginning at `seed`; `effects` are those on databases of what it
/// appends.
pub(crate) fn run(times: u64, seed: u64, effects: bool) -> Result<()> {
    let package = if effects {
        "factlog-targets"
    } else {
        "factlog"
    };
    let mut test = cargo(&[
        "test",
        "--locked",
        "--package",
        package,
        "--test",
        "kill",
        "--",
        "--nocapture",
    ]);
    test.env("FACTLOG_KILLS", times.to_string())
        .env("FACTLOG_SEED", seed.to_string());
    step("kill", &mut test)
}
