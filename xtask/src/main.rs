//! Chores of the workspace: `cargo xtask test`, `cargo xtask lint`.

#![forbid(unsafe_code)]

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
}

fn main() -> anyhow::Result<()> {
    match Args::parse().chore {
        Chore::Test { args } => test::run(&args),
        Chore::Lint => lint::run(),
    }
}
