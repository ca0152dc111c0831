//! `cargo xtask bench`: figures, never gates.

use anyhow::Result;

use crate::run::{cargo, root, step};

/// Builds the command and the benchmarks, and runs one of them or all.
pub(crate) fn run(name: Option<&str>) -> Result<()> {
    let build = ["build", "--release", "--locked", "--package", "factlog-cli"];
    step("the command", &mut cargo(&build))?;
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root().join("target"), Into::into);
    let mut bench = cargo(&["run", "--release", "--quiet", "--"]);
    bench.current_dir(root().join("benches"));
    bench.arg(target.join("release/factlog")).args(name);
    step("the benchmarks", &mut bench)
}
