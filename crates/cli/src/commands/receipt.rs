use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use crate::exit::Exit;
use crate::output::Output;
use crate::{files, opening, paths};

/// Give the receipt of an event: proof for a third party, which needs nothing else
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog receipt ledger 42
  factlog receipt ledger 42 -o event-42.receipt")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// The event's sequence
    #[arg(value_name = "SEQ")]
    sequence: u64,
    /// Write to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    sequence: u64,
    receipt: &'a str,
    file: Option<String>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(&args.dir)?;
    let receipt = reader.receipt(args.sequence)?;
    if let Some(path) = &args.output {
        files::write(path, receipt.as_bytes())?;
    }
    if out.is_json() {
        out.object(&Json {
            schema: "factlog.receipt/1",
            sequence: args.sequence,
            receipt: &receipt,
            file: args.output.as_deref().map(paths::shown),
        })?;
    } else if args.output.is_none() {
        out.write(receipt.as_bytes())?;
    }
    Ok(Exit::Done)
}
