use std::path::PathBuf;

use anyhow::Result;
use factlog::Query;

use super::{follow, show};
use crate::exit::Exit;
use crate::opening;
use crate::output::Output;

/// Show the last events, and go on with new ones
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog tail ledger
  factlog tail ledger -f
  factlog tail ledger -n 0 -f --kind account.deposited --json")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// How many events to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u64,
    /// Go on with new events as they become durable, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Only events of this stream
    #[arg(long, value_name = "S/E")]
    stream: Option<String>,
    /// Only events of this scope
    #[arg(long, value_name = "S")]
    scope: Option<String>,
    /// Only events of this kind
    #[arg(long, value_name = "K")]
    kind: Option<String>,
    /// Only events with this tag
    #[arg(long, value_name = "T")]
    tag: Option<String>,
    /// End after so many new events
    #[arg(long, value_name = "N", requires = "follow")]
    limit: Option<u64>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let query = query(args)?;
    let reader = opening::reader(&args.dir)?;
    let last = query.clone().reverse().limit(args.lines);
    let mut events = reader.read(last);
    let end = events.end();
    let mut last = events.by_ref().collect::<Result<Vec<_>, _>>()?;
    last.reverse();
    for event in &last {
        show(event, out)?;
    }
    if !args.follow {
        return Ok(Exit::Done);
    }
    let mut query = query.from(end);
    if let Some(limit) = args.limit {
        query = query.limit(limit);
    }
    follow(reader.subscribe(query)?, out)
}

fn query(args: &Args) -> Result<Query<'_>> {
    let mut query = match &args.stream {
        Some(stream) => {
            let (scope, entity) = opening::coordinate(stream)?;
            Query::stream(scope, entity)
        }
        None => Query::all(),
    };
    if let Some(scope) = &args.scope {
        query = query.scope(scope.as_str());
    }
    if let Some(kind) = &args.kind {
        query = query.kind(kind.as_str());
    }
    if let Some(tag) = &args.tag {
        query = query.tag(tag.as_str());
    }
    Ok(query)
}
