use anyhow::Result;

use crate::demo;
use crate::exit::Exit;
use crate::output::Output;

/// Watch a journal being made from real data, tampered with, and every tampering found
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog demo
  factlog demo --json")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, out: &mut Output) -> Result<Exit> {
    demo::run(out)
}
