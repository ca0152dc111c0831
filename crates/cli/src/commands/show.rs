use std::path::PathBuf;

use anyhow::Result;
use factlog::{Misuse, Uuid};

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
    let found = if let Ok(sequence) = args.event.parse::<u64>() {
        reader.get(sequence)?
    } else if let Ok(id) = args.event.parse::<Uuid>() {
        reader.get_by_id(id)?
    } else {
        let text = &args.event;
        return Err(misused(format!("{text:?} is neither a sequence nor an id")));
    };
    let Some(found) = found else {
        return Err(factlog::Error::from(Misuse::NoSuchEvent(args.event.clone())).into());
    };
    if out.is_json() {
        out.object(&event::whole(&found))?;
    } else {
        out.line(event::page(&found)?)?;
    }
    Ok(Exit::Done)
}
