//! Chores of the workspace: `cargo xtask test`, `cargo xtask lint`, `cargo xtask bench`.

#![forbid(unsafe_code)]

mod bench;
mod lint;
mod run;
mod test;

use clap::{Parser, Subcommand};

/// Chores of the factlog workspace
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// All tests of the workspace, doctests, house rules and traceability among them
    Test {
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Format, lints and docs with warnings as errors, and the rules for dependencies
    Lint,
    /// Figures beside what the machine can do at most; they gate nothing
    Bench {
        /// One benchmark: append or import; all if none is named
        name: Option<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().chore {
        Chore::Test { args } => test::run(&args),
        Chore::Lint => lint::run(),
        Chore::Bench { name } => bench::run(name.as_deref()),
    }
}
