use std::path::PathBuf;

use anyhow::Result;
use factlog::{Query, Uuid};

use super::{follow, show};
use crate::exit::Exit;
use crate::output::Output;
use crate::{opening, time};

/// List events, oldest first
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog log ledger
  factlog log ledger --stream bank/account-7 --reverse --limit 10
  factlog log ledger --kind account.deposited --since 2h --json
  factlog log ledger --after 1200 --follow")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
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
    /// Only events with this correlation id
    #[arg(long, value_name = "ID")]
    correlation: Option<Uuid>,
    /// Only events with a higher sequence
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Only events recorded at or after a time, or in a span until now, such as 2h
    #[arg(long, value_name = "T|2h")]
    since: Option<String>,
    /// At most so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Newest first
    #[arg(long, conflicts_with = "follow")]
    reverse: bool,
    /// Go on with new events as they become durable, until interrupted
    #[arg(long)]
    follow: bool,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let since = args
        .since
        .as_deref()
        .map(|text| time::parse_since(text, jiff::Timestamp::now()))
        .transpose()?;
    // Past the end of all numbers there is nothing.
    let Some(from) = args.after.map_or(Some(0), |after| after.checked_add(1)) else {
        return Ok(Exit::Done);
    };
    let query = query(args, since)?.from(from);
    let reader = opening::reader(&args.dir)?;
    if args.follow {
        return follow(reader.subscribe(query)?, out);
    }
    for event in reader.read(query) {
        show(&event?, out)?;
    }
    Ok(Exit::Done)
}

fn query(args: &Args, since: Option<i64>) -> Result<Query<'_>> {
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
    if let Some(id) = args.correlation {
        query = query.correlation(id);
    }
    if let Some(micros) = since {
        query = query.recorded_from(micros);
    }
    if let Some(limit) = args.limit {
        query = query.limit(limit);
    }
    if args.reverse {
        query = query.reverse();
    }
    Ok(query)
}
