use std::path::PathBuf;

use anyhow::Result;
use factlog::{Misuse, Reader, Uuid};

use crate::exit::Exit;
use crate::output::Output;
use crate::{event, misused, opening};

/// Show one event, with everything that proves it in the JSON
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog show ledger 42
  factlog show ledger 0198b5a0-7c1e-7cc3-9d0b-5f0a3a9e2f11
  factlog show ledger 42 --json > event.json    # for verify-receipt --event")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// The event's sequence, or its id
    #[arg(value_name = "SEQ|ID")]
    event: String,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(&args.dir)?;
    let sequence = sequence_of(&reader, &args.event)?;
    let Some(found) = reader.get(sequence)? else {
        return Err(factlog::Error::from(Misuse::NoSuchEvent(args.event.clone())).into());
    };
    if out.is_json() {
        out.object(&event::whole(&found))?;
    } else {
        out.line(event::page(&found)?)?;
    }
    Ok(Exit::Done)
}

/// The sequence of an event that was named by it or by its id.
pub(super) fn sequence_of(reader: &Reader, text: &str) -> Result<u64> {
    if let Ok(sequence) = text.parse::<u64>() {
        return Ok(sequence);
    }
    let Ok(id) = text.parse::<Uuid>() else {
        return Err(misused(format!("{text:?} is neither a sequence nor an id")));
    };
    let found = reader.get_by_id(id)?;
    let found = found.ok_or_else(|| factlog::Error::from(Misuse::NoSuchEvent(text.to_owned())))?;
    Ok(found.sequence())
}
