//! Chores of the workspace: `cargo xtask test`, `cargo xtask lint`, `cargo xtask kill`,
//! `cargo xtask sim`, `cargo xtask bench`, `cargo xtask mutants`.

#![forbid(unsafe_code)]

mod bench;
mod kill;
mod lint;
mod mutants;
mod run;
mod sim;
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
    /// Kills a process that appends, again and again, and looks for what it acknowledged
    Kill {
        /// How often
        #[arg(long, default_value_t = 2000)]
        times: u64,
        /// Where chance begins
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Looks at what it made of its events in databases and in its journal, instead
        #[arg(long)]
        effects: bool,
    },
    /// Figures beside what the machine can do at most; they gate nothing
    Bench(bench::Bench),
    /// Changes the proof crate here and there, and sees whether its tests notice
    Mutants(mutants::Args),
    /// Crashes journals on a simulated disk, seed after seed, until one fails or time is up
    Sim(sim::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().chore {
        Chore::Test { args } => test::run(&args),
        Chore::Lint => lint::run(),
        Chore::Kill {
            times,
            seed,
            effects,
        } => kill::run(times, seed, effects),
        Chore::Bench(bench) => bench::run(&bench),
        Chore::Mutants(args) => mutants::run(&args),
        Chore::Sim(args) => sim::run(&args),
    }
}
