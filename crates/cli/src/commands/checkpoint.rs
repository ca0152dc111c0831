use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use crate::exit::Exit;
use crate::output::Output;
use crate::{files, opening, paths};

/// Give the newest signed checkpoint: keep it elsewhere, and no event before it can vanish unseen
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog checkpoint ledger
  factlog checkpoint ledger -o ledger.checkpoint")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// Write to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    origin: &'a str,
    size: u64,
    root: String,
    checkpoint: &'a str,
    file: Option<String>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(&args.dir)?;
    let signed = reader.checkpoint()?;
    let text = signed.to_string();
    if let Some(path) = &args.output {
        files::write(path, text.as_bytes())?;
    }
    if out.is_json() {
        let claimed = signed.claimed();
        out.object(&Json {
            schema: "factlog.checkpoint/1",
            origin: claimed.origin(),
            size: claimed.size(),
            root: claimed.root().to_string(),
            checkpoint: &text,
            file: args.output.as_deref().map(paths::shown),
        })?;
    } else if args.output.is_none() {
        out.write(text.as_bytes())?;
    }
    Ok(Exit::Done)
}
