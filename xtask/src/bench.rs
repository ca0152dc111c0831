//! `cargo xtask bench`: figures, never gates.

use anyhow::Result;

use crate::run::{cargo, root, step};

/// What to measure, and beside what.
#[derive(clap::Args)]
pub(crate) struct Bench {
    /// machine, verification, evidence, import, a workload such as durable, or a cell such as durable-256-1000-10000-1; all of
    /// the core if none is named
    name: Option<String>,
    /// Measures other stores, too
    #[arg(long)]
    peers: bool,
    /// Every workload with every size: takes hours, and is only printed
    #[arg(long)]
    full: bool,
    /// Passed on, as --rounds 5, --stores factlog,raw, --quick
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Builds the command and the benchmarks, runs them, and writes the tables of the page.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    let build = ["build", "--release", "--locked", "--package", "factlog-cli"];
    step("the command", &mut cargo(&build))?;
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root().join("target"), Into::into);
    let mut command = cargo(&["run", "--release", "--locked", "--quiet"]);
    command.current_dir(root().join("benches"));
    if bench.peers {
        command.args(["--features", "peers"]);
    }
    command.arg("--").args(&bench.name);
    if bench.full {
        command.arg("--full");
    }
    command.arg("--command").arg(target.join("release/factlog"));
    command
        .arg("--page")
        .arg(root().join("docs/performance.md"));
    command.args(&bench.rest);
    step("the benchmarks", &mut command)
}
